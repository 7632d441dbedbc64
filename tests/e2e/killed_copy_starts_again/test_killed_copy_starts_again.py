# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

DOCUMENTS = 60_000


def _kill_in_copy(twin):
    twin.start()
    twin.wait_until(lambda s: s["state"] == "copying" and s["copy"]["documents_done"] > 0, "the copy is under way")
    twin.kill()


def test_half_a_copy_is_not_taken_for_a_whole_one(replica_sets):
    """What was copied and is gone from the source since then must not survive; documents and collections come anew."""
    replica_sets.load(DOCUMENTS)
    twin = replica_sets.twin(copiers=1)
    _kill_in_copy(twin)
    partial = sum(c.estimated_document_count() for c in _collections(replica_sets.target_client))
    assert 0 < partial < DOCUMENTS, "the kill came too late to prove anything"
    source = replica_sets.source_client["shop"]
    source["orders"].delete_many({"_id": {"$lt": DOCUMENTS // 4}})
    source["products"].drop()
    source["stores"].rename("shops")
    twin.start()
    replica_sets.finish_and_compare(twin)


def _collections(client):
    for database in ("shop", "crm", "logs"):
        for name in client[database].list_collection_names(filter={"type": "collection"}):
            if not name.startswith("system."):
                yield client[database][name]


def test_killed_twice_under_load(replica_sets):
    replica_sets.load(DOCUMENTS)
    writer = replica_sets.write()
    twin = replica_sets.twin(copiers=1)
    for _ in range(2):
        _kill_in_copy(twin)
    twin.start()
    twin.wait_for_state("replicating")
    replica_sets.finish_and_compare(twin, writer)


def test_killed_copy_of_sharded_clusters(sharded_clusters):
    sharded_clusters.load(30_000)
    twin = sharded_clusters.twin(copiers=1)
    _kill_in_copy(twin)
    sharded_clusters.source_client["shop"]["orders"].delete_many({"customer_id": {"$lt": 500}})
    twin.start()
    sharded_clusters.finish_and_compare(twin)
