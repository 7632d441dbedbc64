# SPDX-License-Identifier: Apache-2.0
"""Live load on the shop: threads that write in every way an application can, until stopped.

Every thread has its own seeded dice; what they throw is repeatable, how the threads interleave is not. Errors that a
retry cures (elections, lost connections, transient transaction errors) are retried and counted; any other one stops the
writer, and `stop()` raises it. Owned by one thread.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from functools import partial
from random import Random
from typing import Callable, Iterable, Optional

from pymongo import MongoClient
from pymongo.errors import ConnectionFailure, DuplicateKeyError, OperationFailure, WriteError

from .ddl import Definitions
from .load import Size
from .manipulations import MANIPULATIONS, Shop

_RETRY_PAUSE_S = 0.1
# What a change of definition may get because an earlier one took the ground from under it.
_REFUSED_DDL = frozenset(
    """NamespaceNotFound NamespaceExists IndexNotFound IndexOptionsConflict IndexKeySpecsConflict CommandNotFound""".split()
)
# Cured by waiting, whether the server labels them so or not.
_TRANSIENT = frozenset(
    """NotWritablePrimary PrimarySteppedDown InterruptedDueToReplStateChange WriteConflict LockTimeout LockBusy
    StaleConfig StaleDbVersion StaleEpoch NoSuchTransaction MovePrimaryInProgress InterruptedAtShutdown
    ShutdownInProgress NotPrimaryNoSecondaryOk NotPrimaryOrSecondary HostUnreachable ReshardCollectionInProgress
    SnapshotUnavailable IndexBuildAborted BackgroundOperationInProgressForNamespace
    ConflictingOperationInProgress FailedToSatisfyReadPreference""".split()
)

# The same of a write error, which has a code and no name: not primary, stepping down, shutting down.
_TRANSIENT_WRITE_ERRORS = frozenset({91, 189, 10107, 11600, 11602, 13435})


class Pace:
    """Lets operations through at a rate, over all threads. Thread-safe."""

    def __init__(self, per_second: Optional[float]) -> None:
        self._interval = 1 / per_second if per_second else 0.0
        self._next = time.monotonic()
        self._lock = threading.Lock()

    def wait(self, stopped: threading.Event) -> None:
        with self._lock:
            now = time.monotonic()
            at = max(self._next, now - 1.0)  # what was missed for more than a second is not made up for
            self._next = at + self._interval
        if at > now:
            stopped.wait(at - now)


class Writer:
    """See the top of this file. `documents` must be what load() was given."""

    def __init__(
        self,
        client: MongoClient,
        *,
        documents: int = 200_000,
        threads: int = 4,
        operations_per_second: Optional[float] = None,
        ddl_per_second: float = 1.0,
        sharded: bool = False,
        time_series: bool = False,
        seed: int = 1,
        only: Optional[set[str]] = None,
        without: frozenset[str] = frozenset(),
    ) -> None:
        """`only`/`without`: kinds, as `done` counts them; `ddl_per_second=0` leaves definitions alone."""
        self.done: Counter[str] = Counter()  # by kind
        self.retries = 0
        self._client = client
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._error: Optional[BaseException] = None
        self._shop = Shop(client, Size(documents), sharded, time_series)
        self._kinds = [m for m in MANIPULATIONS if (only is None or m.kind in only) and m.kind not in without]
        self._kinds = [m for m in self._kinds if m.fits(self._shop)]
        pace, ddl_pace = Pace(operations_per_second), Pace(ddl_per_second)
        work = [partial(self._manipulate, pace, Random(f"{seed}/{n}")) for n in range(threads)]
        if ddl_per_second:
            work.append(partial(self._define, ddl_pace, Random(f"{seed}/ddl"), without))
        self._threads = [threading.Thread(target=self._guard, args=(act,), daemon=True) for act in work]

    def __enter__(self) -> "Writer":
        self.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self.halt()
        if kind is None:
            self.check()

    @property
    def total(self) -> int:
        return sum(self.done.values())

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> Counter[str]:
        """Returns what was done, by kind, when the last write has been acknowledged; raises what stopped it before."""
        self.halt()
        self.check()
        return self.done

    def halt(self) -> None:
        """As stop(), but never raises: for cleaning up."""
        self._stopped.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def check(self) -> None:
        """Raises what stopped the writer, if anything did."""
        if self._error is not None:
            raise self._error

    def wait_for(self, operations: int, timeout_s: float = 120.0) -> None:
        """Until that many more operations have been done."""
        goal = self.total + operations
        self._wait(lambda: self.total >= goal, f"{operations} more operations", timeout_s)

    def wait_until_done(self, kinds: Iterable[str], timeout_s: float = 120.0) -> None:
        """Until each of these kinds has been done at least once."""
        self._wait(lambda: all(self.done[kind] for kind in kinds), f"each of {sorted(kinds)}", timeout_s)

    def _wait(self, reached: Callable[[], bool], what: str, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not reached():
            self.check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"the writer did not do {what} within {timeout_s:g} s: {self.done}")
            time.sleep(0.02)

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - handed to stop()
            self._error = self._error or error
            self._stopped.set()

    def _manipulate(self, pace: Pace, rng: Random) -> None:
        weights = [kind.weight for kind in self._kinds]
        while not self._stopped.is_set():
            pace.wait(self._stopped)
            kind = rng.choices(self._kinds, weights)[0]
            self._attempt(kind.kind, partial(kind.act, self._shop, rng))

    def _define(self, pace: Pace, rng: Random, without: frozenset[str]) -> None:
        definitions = Definitions(self._shop, rng, without)
        while not self._stopped.is_set():
            pace.wait(self._stopped)
            kind, act = definitions.next()
            self._attempt(kind, act)

    def _attempt(self, kind: str, act: Callable[[], None]) -> None:
        while not self._stopped.is_set():
            try:
                act()
            except DuplicateKeyError:
                return self._count(f"{kind} refused: duplicate")
            except ConnectionFailure:
                self._pause()
                continue
            except OperationFailure as error:
                name = (error.details or {}).get("codeName", "")
                if kind.startswith("ddl ") and name in _REFUSED_DDL:
                    return self._count(f"{kind} refused: {name}")
                if not is_transient(error):
                    raise
                self._pause()
                continue
            return self._count(kind)

    def _count(self, kind: str) -> None:
        with self._lock:
            self.done[kind] += 1

    def _pause(self) -> None:
        with self._lock:
            self.retries += 1
        self._stopped.wait(_RETRY_PAUSE_S)


def is_transient(error: OperationFailure) -> bool:
    labelled = error.has_error_label("TransientTransactionError") or error.has_error_label("RetryableWriteError")
    named = (error.details or {}).get("codeName") in _TRANSIENT
    return labelled or named or (isinstance(error, WriteError) and error.code in _TRANSIENT_WRITE_ERRORS)
