# SPDX-License-Identifier: Apache-2.0
"""An application that never stops: it writes to the cluster that takes its writes, looks at the other one when it is refused,
and counts every write that was acknowledged. Money moves between accounts in transactions. Owned by one thread.

Its user may read and write, but not pass a block of user writes, as those with the roles root and restore do.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from typing import Any, Optional
from urllib.parse import quote_plus, urlsplit, urlunsplit

from pymongo import MongoClient, WriteConcern
from pymongo.errors import DuplicateKeyError, OperationFailure, PyMongoError

USER, PASSWORD = "application", "w/ri:te%r"
ACCOUNTS, START = 40, 1000
USER_WRITES_BLOCKED = 371
_RETRY_S = 0.002


def uri_of(cluster: Any) -> str:
    """The cluster's, with the application's user if it asks for one."""
    parts = urlsplit(cluster.uri)
    if not cluster.auth:
        return cluster.uri
    hosts = parts.netloc.rsplit("@", 1)[-1]
    return urlunsplit(parts._replace(netloc=f"{quote_plus(USER)}:{quote_plus(PASSWORD)}@{hosts}"))


def make_user(cluster: Any) -> None:
    if not cluster.auth:
        return
    with cluster.client() as client:
        if not client.admin.command("usersInfo", USER)["users"]:
            client.admin.command("createUser", USER, pwd=PASSWORD, roles=["readWriteAnyDatabase"], writeConcern={"w": "majority"})


@dataclass(frozen=True)
class Acknowledged:
    key: str
    side: int
    sent: float  # time.monotonic()
    acked: float
    wall: float  # time.time() when it was sent


class Application:
    def __init__(self, clusters: list[Any], threads: int = 3, rate: Optional[float] = None) -> None:
        for cluster in clusters:
            make_user(cluster)
        self._uris = [uri_of(cluster) for cluster in clusters]
        self.side = 0  # where it writes
        self.only: Optional[int] = None  # it is told to keep to this side
        self.acknowledged: list[Acknowledged] = []
        self.transfers = 0
        self._pause = threads / rate if rate else 0
        self._lock = threading.Lock()
        self._news = threading.Condition(self._lock)
        self._stopped = threading.Event()
        self._error: Optional[BaseException] = None
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(threads)]

    def open(self, client: MongoClient) -> "Application":
        """Creates what it works on; `client` may do that."""
        client.app.accounts.insert_many([{"_id": n, "balance": START, "moves": 0} for n in range(ACCOUNTS)])
        client.app.log.insert_one({"_id": "begin"})
        client.app.counters.insert_many([{"_id": n, "n": 0} for n in range(len(self._threads))])
        client.app.sessions.create_index("at", expireAfterSeconds=3600)
        return self

    def start(self) -> "Application":
        for thread in self._threads:
            thread.start()
        return self

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

    def wait_for(self, more: int, timeout: float = 60, side: Optional[int] = None) -> None:
        """Until so many more writes were acknowledged, on that side if one is given."""
        with self._news:

            def count() -> int:
                return len(self.acknowledged) if side is None else sum(1 for a in self.acknowledged if a.side == side)

            goal = count() + more
            if not self._news.wait_for(lambda: self._error is not None or count() >= goal, timeout):
                raise TimeoutError(f"{count()} writes were acknowledged, {goal} are waited for")
            if self._error is not None:
                raise self._error

    def closed_s(self) -> float:
        """The longest time in which no write was acknowledged."""
        with self._lock:
            times = sorted(a.acked for a in self.acknowledged)
        return max(later - earlier for earlier, later in zip(times, times[1:]))

    # ---- what must hold

    def assert_all_there(self, client: MongoClient, written: Optional[list[Acknowledged]] = None) -> None:
        """Every acknowledged write once, and the bank's sum."""
        expected = {a.key for a in (self.acknowledged if written is None else written)}
        there = {doc["_id"] for doc in client.app.log.find({}, {"_id": 1})}
        missing = expected - there
        assert not missing, f"{len(missing)} acknowledged writes are gone, such as {sorted(missing)[:5]}"
        if written is None:
            for n, thread in enumerate(client.app.counters.find().sort("_id", 1)):
                wrote = sum(1 for key in there if key.startswith(f"{n}-"))
                assert thread["n"] == wrote, f"counter {n} was counted up {thread['n']} times for {wrote} writes"
        assert_sum(client)

    def forget_what_was_lost(self, client: MongoClient, survivors: list[Acknowledged]) -> set[str]:
        """After a failover: what must have survived has; the keys of the writes that have not."""
        self.assert_all_there(client, survivors)
        there = {doc["_id"] for doc in client.app.log.find({}, {"_id": 1})}
        with self._lock:
            lost = {a.key for a in self.acknowledged} - there
            self.acknowledged = [a for a in self.acknowledged if a.key in there]
        return lost

    def assert_one_side_at_a_time(self) -> None:
        """No write was taken on one side while the other one took writes too."""
        with self._lock:
            writes = sorted(self.acknowledged, key=lambda a: a.acked)
        segments: list[list[Acknowledged]] = []
        for write in writes:
            if not segments or segments[-1][-1].side != write.side:
                segments.append([])
            segments[-1].append(write)
        for one, other in zip(segments, segments[1:]):
            assert max(w.sent for w in one) < min(w.acked for w in other), "both sides took writes at the same time"

    def turns(self) -> int:
        with self._lock:
            sides = [a.side for a in sorted(self.acknowledged, key=lambda a: a.acked)]
        return sum(1 for one, other in zip(sides, sides[1:]) if one != other)

    # ---- the work

    def _run(self, number: int) -> None:
        clients = [MongoClient(uri, serverSelectionTimeoutMS=2000, connectTimeoutMS=2000, socketTimeoutMS=5000, retryReads=False) for uri in self._uris]
        dice = random.Random(number)
        try:
            count = 0
            while not self._stopped.is_set():
                self._write(clients, number, count, dice)
                count += 1
                if self._pause:
                    self._stopped.wait(self._pause)
        except BaseException as error:  # noqa: BLE001 - raised by stop()
            with self._news:
                self._error = error
                self._news.notify_all()
        finally:
            for client in clients:
                client.close()

    def _write(self, clients: list[MongoClient], number: int, count: int, dice: random.Random) -> None:
        key = f"{number}-{count}"
        side = self.side
        while not self._stopped.is_set():
            sent, wall = time.monotonic(), time.time()
            try:
                self._do(clients[side], number, key, dice)
            except OperationFailure as error:
                if error.code != USER_WRITES_BLOCKED and not error.has_error_label("TransientTransactionError"):
                    raise
                if error.code == USER_WRITES_BLOCKED:
                    side = self._other(side)
                self._stopped.wait(_RETRY_S)
            except PyMongoError:
                side = self._other(side)  # whether it took place is not known: the next try finds out
                self._stopped.wait(_RETRY_S)
            else:
                with self._news:
                    self.side = side
                    self.acknowledged.append(Acknowledged(key, side, sent, time.monotonic(), wall))
                    self._news.notify_all()
                return

    def _other(self, side: int) -> int:
        return 1 - side if self.only is None else self.only

    def _do(self, client: MongoClient, number: int, key: str, dice: random.Random) -> None:
        """One write and its count, now and then with a transfer, whole or not at all."""
        one, other = dice.sample(range(ACCOUNTS), 2)
        amount = dice.randrange(1, 20)
        with client.start_session() as session:
            with session.start_transaction(write_concern=WriteConcern("majority")):
                try:
                    client.app.log.insert_one({"_id": key, "at": time.time()}, session=session)
                except DuplicateKeyError:
                    session.abort_transaction()
                    return  # an earlier try took place
                client.app.counters.update_one({"_id": number}, {"$inc": {"n": 1}}, session=session)
                if dice.random() < 0.3:
                    client.app.accounts.update_one({"_id": one}, {"$inc": {"balance": -amount, "moves": 1}}, session=session)
                    client.app.accounts.update_one({"_id": other}, {"$inc": {"balance": amount, "moves": 1}}, session=session)
                    self.transfers += 1


def assert_sum(client: MongoClient) -> None:
    total = sum(account["balance"] for account in client.app.accounts.find())
    assert total == ACCOUNTS * START, f"the bank has {total} instead of {ACCOUNTS * START}"
