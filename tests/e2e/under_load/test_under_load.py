# SPDX-License-Identifier: Apache-2.0
"""What depends on the order of writes, at full speed, and killed in the middle."""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager
from random import Random
from typing import Any, Callable, Iterator

import pytest

KILLS = 3
PACE_S = 0.005  # else the target falls behind until the source's small oplog ends


@contextmanager
def _repeated(act: Callable[[int], None]) -> Iterator[None]:
    """act(0), act(1), … in a thread of its own until the block ends, whose failure is the test's."""
    stop = threading.Event()
    errors: list[BaseException] = []

    def run() -> None:
        try:
            time = 0
            while not stop.wait(PACE_S):
                act(time)
                time += 1
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert not errors, errors


@contextmanager
def _all(acts: list[Callable[[int], None]]) -> Iterator[None]:
    with ExitStack() as stack:
        for act in acts:
            stack.enter_context(_repeated(act))
        yield


def _copy_and_kill(pair: Any, acts: list[Callable[[int], None]], applied: int = 700) -> None:
    twin = pair.twin()
    with _all(acts):
        twin.start()
        twin.wait_for_state("replicating")
        for _ in range(KILLS):
            twin.wait_for_applied(applied)
            twin.kill()
            twin.start()
            twin.wait_for_state("replicating")
        twin.wait_for_applied(applied)
    twin.finish()
    pair.assert_identical()


# ---- capped collections


def _rolling(db: Any, name: str, seed: int) -> Callable[[int], None]:
    rng = Random(seed)
    may_change = db.client.server_info()["versionArray"][0] >= 6  # before, they keep their size and are not deleted singly

    def roll(time: int) -> None:
        count = rng.randrange(1, 40)
        db[name].insert_many([{"_id": f"{time} {n}", "pad": "x" * rng.choice((0, 10, 300, 900))} for n in range(count)])
        if not may_change:
            return
        if time % 5 == 0:
            db[name].update_one({"_id": f"{time} {count - 1}"}, {"$set": {"updated": time}})
        if time % 7 == 0:
            db[name].delete_one({"_id": f"{time} {rng.randrange(count)}"})

    return roll


def test_capped_collections_roll_while_they_are_copied_and_followed(replica_sets):
    db = replica_sets.source_client["logs"]
    acts = []
    for number, options in enumerate(({"size": 4096}, {"size": 16384, "max": 30}, {"size": 2 << 20})):
        name = f"capped_{number}"
        db.create_collection(name, capped=True, **options)
        db[name].insert_many([{"_id": n, "pad": "x" * 200} for n in range(8000)])
        acts.append(_rolling(db, name, number))
    _copy_and_kill(replica_sets, acts)


# ---- unique indexes

SEATS = 200


class _Seats:
    """Each thread swaps within seats of its own, so it knows who has which value; all of them are in one collection."""

    def __init__(self, client: Any, thread: int, in_transactions: bool) -> None:
        self._client = client
        self._seats = client["hall"]["seats"]
        self._rng = Random(thread)
        self._in_transactions = in_transactions
        self._of = {f"{thread} {n}": f"{thread} {n}" for n in range(SEATS)}
        self._free = 0
        self._thread = thread
        self._seats.insert_many([{"_id": one, "seat": seat, "row": thread} for one, seat in self._of.items()])

    def act(self, time: int) -> None:
        a, b = self._rng.sample(list(self._of), 2)
        if self._in_transactions:
            self._swap(a, b, time)
        else:
            self._take(a, b, time)

    def _take(self, a: str, b: str, time: int) -> None:
        self._free += 1
        new = f"{self._thread} new {self._free}"
        self._seats.update_one({"_id": b}, {"$set": {"seat": new}})
        self._seats.update_one({"_id": a}, {"$set": {"seat": self._of[b], "time": time}})
        self._of[a], self._of[b] = self._of[b], new

    def _swap(self, a: str, b: str, time: int) -> None:
        with self._client.start_session() as session, session.start_transaction():
            for one, seat in ((a, f"{self._thread} nobody"), (b, self._of[a]), (a, self._of[b])):
                self._seats.update_one({"_id": one}, {"$set": {"seat": seat, "time": time}}, session=session)
        self._of[a], self._of[b] = self._of[b], self._of[a]


@pytest.mark.parametrize("pair_name", ["replica_sets", "sharded_clusters"])
def test_unique_values_change_hands(request, pair_name):
    pair = request.getfixturevalue(pair_name)
    pair.source_client["hall"]["seats"].create_index("seat", unique=True)
    acts = [_Seats(pair.source_client, thread, in_transactions=thread == 2).act for thread in range(3)]
    _copy_and_kill(pair, acts)
