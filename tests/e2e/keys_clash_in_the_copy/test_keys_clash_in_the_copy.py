# SPDX-License-Identifier: Apache-2.0
"""Documents of which the target may have one at a time, or which are one _id to a server and two to a program."""

from __future__ import annotations

import os
from typing import Any

from bson import Decimal128
from e2e.copying import HELD, THROTTLE_OFF

PAD = os.urandom(4000)
CASE_INSENSITIVE = {"locale": "en", "strength": 2}


def _shard(pair: Any, middle: int, **options: Any) -> None:
    """db.c by k, what is below `middle` on the first shard."""
    pair.source_client.db.create_collection("c", **options)
    pair.source_client.db.c.create_index("k", collation={"locale": "simple"})
    pair.source.shard_collection("db.c", {"k": 1}, collation={"locale": "simple"})
    pair.source.split("db.c", {"k": middle})
    first, second = sorted(shard.name for shard in pair.source.shards)
    for value, name in ((middle - 1, first), (middle, second)):
        pair.source.move_chunk("db.c", find={"k": value}, to=name)


def test_ids_that_differ_by_case_on_two_shards(sharded_to_set):
    """Legal there, since each shard has its own index; a replica set has one."""
    pair = sharded_to_set
    _shard(pair, 50, collation=CASE_INSENSITIVE)
    pair.source_client.db.c.insert_many([{"_id": "a", "k": 1}, {"_id": "A", "k": 100}])
    said = pair.twin().start().wait_failure()
    assert "db.c has two documents with _id" in said and "remove one of them" in said


def test_ids_that_are_equal_numbers_on_two_shards(sharded_to_set):
    pair = sharded_to_set
    _shard(pair, 50)
    pair.source_client.db.c.insert_many([{"_id": 1.5, "k": 1}, {"_id": 1, "k": 2}, {"_id": Decimal128("1.50"), "k": 100}])
    said = pair.twin().start().wait_failure()
    assert "db.c has two documents with _id" in said and "remove one of them" in said


def test_ids_that_differ_by_case_survive_a_range_that_is_read_again(sharded_clusters):
    """On two shards of the target, too, they are no leftovers of each other."""
    pair = sharded_clusters
    _shard(pair, 1500, collation=CASE_INSENSITIVE)
    documents = pair.source_client.db.c
    documents.insert_many([{"_id": "a", "k": 1}, {"_id": "A", "k": 2999}])
    for first in range(0, 3000, 500):
        documents.insert_many([{"_id": f"filler {n}", "k": n, "pad": PAD} for n in range(first, first + 500)])
    twin = pair.twin(copiers=1, throttle={"copy": "4MB"}).start()
    there = pair.target_client.db.c
    twin.wait_until(lambda s: there.find_one({"k": 1, "_id": "a"}) and there.find_one({"k": 2999, "_id": "A"}), "both are copied")
    twin.command("throttle", HELD)
    assert twin.status()["copy"]["ranges_done"] == 0, "it will not be read again"
    twin.kill()
    twin.start()
    twin.command("throttle", THROTTLE_OFF)
    twin.finish()
    pair.assert_identical()


def test_unique_shard_keys_go_from_one_document_to_another(sharded_clusters):
    """Their index is on the target from the beginning, and may have the value from a document that lost it since."""
    pair = sharded_clusters
    pair.source.shard_collection("db.c", {"k": 1}, unique=True)
    documents = pair.source_client.db.c
    for first in range(0, 9000, 1000):
        documents.insert_many([{"_id": n, "k": n, "pad": PAD} for n in range(first, first + 1000)])
    twin = pair.twin(copiers=1, throttle={"copy": "4MB"}).start()
    twin.wait_until(lambda s: s["copy"]["documents_done"] > 100, "its first documents have been read")
    twin.command("throttle", HELD)
    assert twin.status()["copy"]["documents_done"] < 4000
    documents.delete_one({"_id": 0, "k": 0})
    documents.insert_one({"_id": 8900.5, "k": 0, "after": "a delete"})
    documents.update_one({"_id": 1, "k": 1}, {"$set": {"k": 100_001}})
    documents.insert_one({"_id": 8901.5, "k": 1, "after": "an update"})
    documents.update_one({"_id": 2, "k": 2}, {"$set": {"k": 100_002}})
    documents.update_one({"_id": 3, "k": 3}, {"$set": {"k": 2}})
    documents.insert_one({"_id": 8902.5, "k": 3, "after": "a chain"})
    twin.command("throttle", THROTTLE_OFF)
    twin.finish()
    pair.assert_identical(sharding=True)


def test_values_that_are_unique_on_the_target_alone(set_to_sharded):
    """There is no state of the source that the target could have."""
    pair = set_to_sharded
    pair.target.shard_collection("db.c", {"k": 1}, unique=True)
    pair.source_client.db.c.insert_many([{"_id": "one", "k": 7}, {"_id": "other", "k": 7}])
    said = pair.twin().start().wait_failure()
    assert "db.c" in said and "is refused" in said and "duplicate key" in said
