# SPDX-License-Identifier: Apache-2.0
"""The target has other shards, another shard key, other chunks; and no operation asks more shards than it must."""

from __future__ import annotations

import contextlib

from bson import MinKey
from e2e.hot import HotDocuments

import pytest


def _presharded(pair, key, points):
    """hot.documents on the target, sharded by `key`, its chunks one after the other on all the shards."""
    target = pair.target
    target.shard_collection("hot.documents", key)
    for n, point in enumerate(points, 1):
        target.split("hot.documents", point)
        target.move_chunk("hot.documents", point, to=target.shards[n % len(target.shards)])


def test_updates_change_the_key_that_only_the_target_has(sharded_clusters):
    """Documents move from shard to shard of the target with every few updates."""
    pair = sharded_clusters
    documents = HotDocuments(pair.source_client)
    documents.shard(pair.source)
    _presharded(pair, {"n": 1}, [{"n": 1}, {"n": 2}, {"n": 4}, {"n": 7}])
    twin = pair.twin().start()
    twin.wait_for_state("replicating")
    documents.start()
    try:
        documents.wait_for(1200)
        documents.stop()
    finally:
        documents.halt()
    twin.finish()
    pair.assert_identical()


@contextlib.contextmanager
def _profiled(cluster, database):
    """Gives a function: how many statements of a kind all the shards have executed on hot.documents."""
    clients = [shard.client() for shard in cluster.shards]
    for client in clients:
        client[database].command("profile", 2)

    def count(kind):
        query = {"op": kind, "ns": f"{database}.documents"}
        return [client[database]["system.profile"].count_documents(query) for client in clients]

    try:
        yield count
    finally:
        for client in clients:
            client[database].command("profile", 0)
            client[database].drop_collection("system.profile")
            client.close()


@pytest.mark.parametrize(
    "key, points",
    [
        ({"group": 1, "_id": 1}, [{"group": 0, "_id": 20}, {"group": 1, "_id": MinKey()}]),
        ({"_id": 1}, [{"_id": 10}, {"_id": 25}]),
    ],
    ids=["the source's key", "by _id"],
)
def test_no_update_is_broadcast_where_the_key_is_known(sharded_clusters, key, points):
    pair = sharded_clusters
    documents = HotDocuments(pair.source_client)
    documents.shard(pair.source)
    _presharded(pair, key, points)
    twin = pair.twin().start()
    twin.wait_for_state("replicating")
    with _profiled(pair.target, "hot") as executed:
        source = pair.source_client.hot.documents
        for n in range(30):
            source.update_one({"_id": n, "group": n % 2}, {"$set": {"z": n, "a": n}})
        for n in range(30, 36):
            source.delete_one({"_id": n, "group": n % 2})
        twin.wait_shards_caught_up(pair.source)
        updates, removes = executed("update"), executed("remove")
    assert sum(updates) == 30, f"30 updates became {updates} on the shards"
    assert sum(removes) == 6, f"6 deletes became {removes} on the shards"
    assert sorted(updates)[-2] > 0, f"all on one shard: {updates}"
    twin.finish()
    pair.assert_identical()
