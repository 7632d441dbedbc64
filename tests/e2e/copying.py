# SPDX-License-Identifier: Apache-2.0
"""An initial copy that is slow enough for things to happen in the middle of it."""

from __future__ import annotations

import threading
import time
from random import Random
from typing import Optional

from pymongo.collection import Collection
from pymongo.errors import ConnectionFailure, DuplicateKeyError, OperationFailure

from shop.writer import is_transient

from .twin import Status, Twin

_PAD = b"x" * 200_000  # compressible: large to the copy, small on disk
_INSERT_MAX = 40
THROTTLE_OFF = {"copy_bytes_per_second": None}
HELD = {"copy_bytes_per_second": 0}


def fill_large(collection: Collection, documents: int) -> None:
    """80 documents are a range for the copy, or a little more."""
    for first in range(0, documents, _INSERT_MAX):
        collection.insert_many([{"_id": n, "n": n, "pad": _PAD} for n in range(first, min(documents, first + _INSERT_MAX))])


def ranges_done(status: Status) -> int:
    """-1 before the copy goes on."""
    return status["copy"]["ranges_done"] if status["copy"]["ranges_total"] else -1


def documents_done(status: Status, ns: str) -> int:
    return next((one["documents_done"] for one in status["copy"]["collections"] if one["ns"] == ns), 0)


def wait_copy_goes_on(twin: Twin) -> Status:
    status = twin.wait_until(lambda s: ranges_done(s) >= 0 or s["state"] == "catching_up", "the copy goes on")
    assert status["state"] == "copying", "the copy ended before anything could happen to it"
    return status


def wait_copied(twin: Twin, documents: int) -> Status:
    """Until that many more documents are copied than now; the copy must not end before."""
    goal = wait_copy_goes_on(twin)["copy"]["documents_done"] + documents
    status = twin.wait_until(lambda s: s["copy"]["documents_done"] >= goal or s["state"] != "copying", f"{goal} documents copied")
    assert status["state"] == "copying", "the copy ended before anything could happen to it"
    return status


def assert_went_on(twin: Twin, kills: int) -> None:
    """It never began again from zero: each start after a kill found the plan."""
    assert twin.log().count("going on with a copy that was interrupted") == kills
    assert "starting again from zero" not in twin.log()


class LargeWriter:
    """Writes to the documents that fill_large() made, and to others of the same _ids; trouble that passes is waited for.
    Owned by one thread."""

    pace_s = 0.01

    def __init__(self, collection: Collection, documents: int, seed: int = 1) -> None:
        self.done = 0
        self._collection = collection
        self._documents = documents
        self._stopped = threading.Event()
        self._error: Optional[BaseException] = None
        self._thread = threading.Thread(target=self._run, args=(Random(seed),), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Raises what stopped it before."""
        self.halt()
        if self._error is not None:
            raise self._error

    def halt(self) -> None:
        self._stopped.set()
        self._thread.join()

    def wait_for(self, operations: int, timeout_s: float = 60) -> None:
        goal, deadline = self.done + operations, time.monotonic() + timeout_s
        while self.done < goal:
            if self._error is not None:
                raise self._error
            assert time.monotonic() < deadline, f"no {operations} operations in {timeout_s:g} s"
            time.sleep(0.01)

    def _run(self, dice: Random) -> None:
        try:
            while not self._stopped.wait(self.pace_s):
                self._write(dice)
        except BaseException as error:  # noqa: BLE001 - raised by stop()
            self._error = error

    def _write(self, dice: Random) -> None:
        one = {"_id": dice.randrange(self._documents)}
        what = dice.randrange(4)
        try:
            if what == 0:
                self._collection.delete_one(one)
            elif what == 1:
                self._collection.replace_one(one, {"n": self.done, "small": True}, upsert=True)
            elif what == 2:
                self._collection.update_one(one, {"$set": {"seen": self.done}, "$inc": {"n": 1}})
            else:
                self._collection.insert_one({**one, "n": self.done, "again": True})
        except (ConnectionFailure, DuplicateKeyError):
            return
        except OperationFailure as error:
            if not is_transient(error):
                raise
            return
        self.done += 1
