# SPDX-License-Identifier: Apache-2.0
"""Under heavy writes to a few documents, and with every kind of collection, what is the same is called the same."""

from __future__ import annotations

import datetime
import random
import threading

import pytest
from bson import Decimal128, Int64, MaxKey, MinKey, ObjectId, Timestamp
from e2e.bank import Bank
from e2e.hot import HotDocuments
from e2e.verifying import assert_identical, verify

ROUNDS = 4


def _odd_ids():
    day = datetime.datetime(2024, 2, 29)
    numbers = [float("nan"), float("-inf"), -5, 0, 1.5, Int64(7), Decimal128("9.5"), 1e300]
    return [MinKey(), None, *numbers, "a", "$b", {"a": 1}, {"b": {"c": 1}}, b"x", ObjectId(), True, False, day, Timestamp(5, 5), MaxKey()]


def _fill_odd(client, clustered):
    db = client["odd"]
    db["ids"].insert_many([{"_id": one} for one in _odd_ids()])
    db.create_collection("letters", collation={"locale": "en", "strength": 2})
    db["letters"].insert_many([{"_id": one, "n": n} for n, one in enumerate(["a", "B", "c", "D", "é", "E", 5])])
    db["large"].insert_many([{"_id": n, "pad": "x" * 5_000_000} for n in range(8)])
    db["numbers"].insert_one({"_id": 1, "many": [1] * 1_200_000})  # a server can't make its digest
    db.create_collection("series", timeseries={"timeField": "t", "metaField": "m"})
    db["series"].insert_many([{"t": datetime.datetime(2024, 1, 1) + datetime.timedelta(hours=n), "m": n % 40, "v": n} for n in range(2000)])
    db["ttl"].create_index("t", expireAfterSeconds=100_000)
    db.create_collection("rolling", capped=True, size=100_000)
    if clustered:
        db.create_collection("clustered", clusteredIndex={"key": {"_id": 1}, "unique": True})
        db["clustered"].insert_many([{"_id": n if n % 2 else str(n)} for n in range(500)])


class _Rolling:
    """Inserts into a capped collection, which evicts as much."""

    def __init__(self, client):
        self._client, self._stopped = client, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        n = 0
        while not self._stopped.wait(0.002):
            self._client["odd"]["rolling"].insert_one({"_id": n, "pad": "x" * random.randrange(500)})
            n += 1

    def stop(self):
        self._stopped.set()
        self._thread.join()


@pytest.mark.parametrize("mode", ["digest", "bytes"])
def test_replica_sets(replica_sets, mode):
    pair = replica_sets
    version = tuple(map(int, pair.source_client.server_info()["version"].split(".")[:2]))
    _fill_odd(pair.source_client, clustered=version >= (5, 3))
    hot = HotDocuments(pair.source_client)
    hot.fill()
    twin = pair.twin().start()
    twin.wait_for_state("replicating")
    hot.start()
    rolling = _Rolling(pair.source_client)
    try:
        for _ in range(ROUNDS):
            found = verify(twin, mode=mode)
            assert_identical(found)
            hot.wait_for(50)
        if mode == "digest":
            assert any("odd.numbers" in note and "by bytes" in note for note in found["notes"]), found["notes"]
        assert any("expiry" in note for note in found["notes"])
    finally:
        rolling.stop()
        hot.stop()


def test_transactions_over_shards(sharded_clusters):
    pair = sharded_clusters
    bank = Bank(pair.source_client).open(pair.source)
    hot = HotDocuments(pair.source_client)
    hot.shard(pair.source)
    twin = pair.twin().start()
    twin.wait_for_state("replicating")
    bank.start()
    hot.start()
    try:
        for _ in range(ROUNDS):
            assert_identical(verify(twin))
        assert_identical(verify(twin, mode="bytes"))
        moved = pair.source.shards[0]
        pair.source.move_chunk("hot.documents", {"group": 1, "_id": 0}, to=moved)
        assert_identical(verify(twin))
    finally:
        hot.stop()
        bank.stop()
