# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from e2e.pair import copy_and_follow

import shop


def _shard_key(client, ns):
    return (client["config"]["collections"].find_one({"_id": ns}) or {}).get("key")


def test_everything_is_copied_and_followed(sharded_clusters):
    """Shard keys are the source's."""
    copy_and_follow(sharded_clusters, sharding=True)


def test_target_keeps_its_own_shard_key(sharded_clusters):
    shop.preshard(sharded_clusters.target_client)
    copy_and_follow(sharded_clusters)
    assert _shard_key(sharded_clusters.target_client, "shop.orders") == {"_id": "hashed"}
    assert _shard_key(sharded_clusters.source_client, "shop.orders") == {"customer_id": 1, "_id": 1}


def test_sharded_collections_are_spread_over_the_target(sharded_clusters):
    sharded_clusters.load()
    twin = sharded_clusters.twin().start()
    sharded_clusters.finish_and_compare(twin)
    for name in ("orders", "products"):
        holders = [shard for shard in sharded_clusters.target.shards if _direct_count(shard, name)]
        assert len(holders) > 1, f"all of shop.{name} is on one shard"


def _direct_count(shard, name):
    with shard.client() as client:
        return client["shop"][name].count_documents({}, limit=1)


def test_orphans_are_not_copied(sharded_clusters):
    """Documents on a shard that does not own their range: no client of the source ever sees them."""
    sharded_clusters.load()
    for shard in sharded_clusters.source.shards:
        with shard.client() as direct:
            direct["shop"]["products"].insert_many([{"_id": n, "orphan": shard.name} for n in range(-50, 0)])
    seen = sharded_clusters.source_client["shop"]["products"].count_documents({"orphan": {"$exists": True}})
    assert seen == 50, "one shard owns the range, the other has orphans"
    twin = sharded_clusters.twin().start()
    sharded_clusters.finish_and_compare(twin)
