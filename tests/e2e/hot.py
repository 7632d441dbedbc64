# SPDX-License-Identifier: Apache-2.0
"""A few documents that threads write to all the time, in every way that keeps their shard key. Owned by one thread."""

from __future__ import annotations

import random
import threading
import time
from typing import Any, Optional

from bson import MinKey
from pymongo import MongoClient
from pymongo.errors import AutoReconnect, DuplicateKeyError, OperationFailure

from shop.writer import is_transient


class HotDocuments:
    """hot.documents: {_id, group: 0 or 1, n, list, …}; sharded by {group, _id}, one chunk a group."""

    count = 40

    def __init__(self, client: MongoClient, threads: int = 3, only_updates: bool = False) -> None:
        """`only_updates` where others change the key: an insert by an old key would make a second document of that _id."""
        self.done = 0
        self._only_updates = only_updates
        self._collection = client["hot"]["documents"]
        self._stopped = threading.Event()
        self._error: Optional[BaseException] = None
        self._threads = [threading.Thread(target=self._run, args=(random.Random(n),), daemon=True) for n in range(threads)]

    def fill(self) -> None:
        self._collection.insert_many([{"_id": n, "group": n % 2, "n": 0, "list": []} for n in range(self.count)])

    def shard(self, cluster: Any) -> None:
        if not self._collection.estimated_document_count():
            self.fill()
        self._collection.create_index([("group", 1), ("_id", 1)])
        cluster.shard_collection("hot.documents", {"group": 1, "_id": 1})
        cluster.split("hot.documents", {"group": 1, "_id": MinKey()})
        cluster.move_chunk("hot.documents", {"group": 1, "_id": 0}, to=cluster.shards[1])
        cluster.move_chunk("hot.documents", {"group": 0, "_id": 0}, to=cluster.shards[0])

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Raises what stopped it before."""
        self.halt()
        if self._error is not None:
            raise self._error

    def halt(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def wait_for(self, operations: int, timeout: float = 60) -> None:
        goal, deadline = self.done + operations, time.monotonic() + timeout
        while self.done < goal:
            if self._error is not None:
                raise self._error
            assert time.monotonic() < deadline, f"the writers did not do {operations} operations in {timeout:g} s"
            time.sleep(0.01)

    def _run(self, dice: random.Random) -> None:
        try:
            while not self._stopped.is_set():
                self._write(dice)
                self.done += 1  # about; threads may lose one
        except BaseException as error:  # noqa: BLE001 - raised by stop()
            self._error = error

    def _write(self, dice: random.Random) -> None:
        one = dice.randrange(self.count)
        try:
            found = self._collection.find_one({"_id": one})
            if found is None and self._only_updates:
                return
            key = {"_id": one, "group": found["group"] if found else one % 2}
            what = dice.randrange(1, 6)
            if self._only_updates and what == 2:
                what = 3
            if what == 5:
                self._collection.replace_one(key, {**key, "n": dice.random(), "list": [1, 2]}, upsert=found is None)
            elif what == 1:
                self._collection.update_one(key, {"$push": {"list": {"$each": [dice.random()], "$slice": -4}}})
            elif what == 2:
                self._collection.delete_one(key)
                self._collection.insert_one({**key, "n": 0, "list": [], "again": True})
            else:
                self._collection.update_one(key, {"$inc": {"n": 1}, "$set": {dice.choice("zyxab"): 1, dice.choice("cdefg"): 2}})
        except (DuplicateKeyError, AutoReconnect):
            pass
        except OperationFailure as error:
            # 61: the key was refined just now, and an upsert by the old one is refused.
            if not is_transient(error) and error.code != 61:
                raise
