# SPDX-License-Identifier: Apache-2.0
"""A new target is laid out as the source is: primaries, keys, zones; and its chunks by where the documents are."""

from __future__ import annotations

import datetime
import os
from random import Random

import pytest
from bson import Int64, MaxKey, MinKey
from e2e.copying import assert_went_on
from e2e.verifying import verify

DOCUMENTS = 3000


def clear_zones(cluster):
    """What a test has left in the cluster: its collections' ranges go with them, a shard's zones don't."""
    client = cluster.client()
    for tag in client.config.tags.find():
        cluster.admin("updateZoneKeyRange", tag["ns"], min=tag["min"], max=tag["max"], zone=None)
    for shard in client.config.shards.find():
        for zone in shard.get("tags", []):
            cluster.admin("removeShardFromZone", shard["_id"], zone=zone)
    client.close()


@pytest.fixture
def pair(sharded_clusters):
    for cluster in (sharded_clusters.source, sharded_clusters.target):
        clear_zones(cluster)
    yield sharded_clusters
    for twin in sharded_clusters.twins:
        twin.kill()
    sharded_clusters.empty()
    for cluster in (sharded_clusters.source, sharded_clusters.target):
        clear_zones(cluster)


def shares(cluster, ns):
    """Which part of the documents each shard holds."""
    database, _, name = ns.partition(".")
    counts = []
    for shard in cluster.shards:
        with shard.client() as client:
            counts.append(client[database][name].count_documents({}))
    return [count / sum(counts) for count in counts]


def chunks(client, ns):
    row = client.config.collections.find_one({"_id": ns})
    return list(client.config.chunks.find({"$or": [{"uuid": row["uuid"]}, {"ns": ns}]}).sort("min", 1))


def copied(pair, **config):
    twin = pair.twin(**config).start()
    twin.wait_for_state("replicating")
    return twin


def skewed(rng, documents=DOCUMENTS):
    """Nine of ten documents in a hundredth of the keys."""
    for n in range(documents):
        yield {"_id": n, "k": rng.uniform(990, 1000) if rng.random() < 0.9 else rng.uniform(0, 990), "pad": os.urandom(100)}


def test_every_shard_gets_its_part_of_skewed_keys(pair):
    pair.source.shard_collection("shop.skewed", {"k": 1})
    pair.source_client.shop.skewed.insert_many(skewed(Random(1)))
    twin = copied(pair)
    first = chunks(pair.target_client, "shop.skewed")
    assert {chunk["shard"] for chunk in first} == {shard.name for shard in pair.target.shards}
    assert all(0.23 < share < 0.43 for share in shares(pair.target, "shop.skewed"))
    twin.finish()
    pair.assert_identical(sharding=True)


def test_heavy_documents_count_by_their_bytes(pair):
    pair.source.shard_collection("shop.heavy", {"k": 1})
    source = pair.source_client.shop.heavy
    source.insert_many([{"_id": n, "k": n, "pad": os.urandom(20_000 if n < 100 else 100)} for n in range(1000)])
    copied(pair).finish()
    # The first tenth of the documents holds nineteen twentieths of the bytes: they are spread over all the shards.
    sizes = []
    for shard in pair.target.shards:
        with shard.client() as client:
            sizes.append(client.shop.command("collStats", "heavy")["size"])
    assert all(0.2 < size / sum(sizes) < 0.47 for size in sizes), sizes
    pair.assert_identical(sharding=True)


def test_compound_keys_of_several_types(pair):
    pair.source.shard_collection("shop.mixed", {"a": 1, "b.c": 1})
    rng = Random(2)
    values = [None, 5, 5.5, "x", "y", True]
    pair.source_client.shop.mixed.insert_many(
        [{"_id": n, "b": {"c": rng.random()}, **({} if n % 7 == 0 else {"a": values[n % 6]})} for n in range(DOCUMENTS)]
    )
    copied(pair).finish()
    assert all(0.23 < share < 0.43 for share in shares(pair.target, "shop.mixed"))
    pair.assert_identical(sharding=True)


def test_hashed_fields(pair):
    pair.source.shard_collection("shop.hashed", {"k": "hashed"})
    pair.source.shard_collection("shop.compound", {"country": 1, "_id": "hashed"})
    documents = [{"_id": n, "k": n % 1000, "country": "DE" if n % 10 else "FR"} for n in range(DOCUMENTS)]
    for name in ("hashed", "compound"):
        pair.source_client.shop[name].insert_many(documents)
    copied(pair).finish()
    for name in ("hashed", "compound"):
        assert all(0.2 < share < 0.47 for share in shares(pair.target, f"shop.{name}")), name
    pair.assert_identical(sharding=True)


def test_an_empty_collection_is_split_as_on_the_source(pair):
    pair.source.shard_collection("shop.empty", {"k": 1})
    for point in (10, 20, 30):
        pair.source.split("shop.empty", {"k": point})
    pair.source_client.shop.full.insert_one({})
    copied(pair).finish()
    there = chunks(pair.target_client, "shop.empty")
    assert [chunk["min"]["k"] for chunk in there[1:]] == [10, 20, 30]
    assert len({chunk["shard"] for chunk in there}) == 3
    pair.assert_identical(sharding=True)


def test_unique_and_collation_and_the_index_of_the_key(pair):
    """The key is served by an index that begins with it: no other one is made for it."""
    client = pair.source_client
    client.shop.create_collection("things", collation={"locale": "de", "strength": 2})
    simple = {"locale": "simple"}
    client.shop.things.create_index([("k", 1), ("z", 1)], collation=simple, name="serves")
    pair.source.shard_collection("shop.things", {"k": 1}, collation=simple)
    pair.source.shard_collection("shop.unique", {"k": 1}, unique=True)
    client.shop.named.create_index("k", unique=True, name="its own name")
    pair.source.shard_collection("shop.named", {"k": 1}, unique=True)
    for name in ("things", "unique", "named"):
        client.shop[name].insert_many([{"_id": n, "k": n, "z": -n} for n in range(500)])
    copied(pair).finish()
    pair.assert_identical(sharding=True)
    assert pair.target_client.config.collections.find_one({"_id": "shop.unique"})["unique"]
    assert set(pair.target_client.shop.things.index_information()) == {"_id_", "serves"}


def test_primaries_are_spread_by_what_they_hold(pair):
    client = pair.source_client
    for database, documents in (("small", 10), ("large", 300), ("middle", 150), ("other", 20)):
        client[database].things.insert_many([{"_id": n, "pad": os.urandom(1000)} for n in range(documents)])
    # Sharded, so it weighs nothing.
    pair.source.shard_collection("small.sharded", {"_id": 1})
    client.small.sharded.insert_many([{"_id": n, "pad": os.urandom(1000)} for n in range(500)])
    pair.target.admin("enableSharding", "other", primaryShard=pair.target.shards[2].name)
    copied(pair).finish()
    primary = {row["_id"]: row["primary"] for row in pair.target_client.config.databases.find()}
    assert primary["other"] == pair.target.shards[2].name, "a database that was there is moved"
    assert len({primary["small"], primary["large"], primary["middle"]}) == 3, primary
    pair.assert_identical(sharding=True)


def zoned(pair):
    """The keys from 0 to 500 in the zone low, on the source's second shard; and some others in high."""
    pair.source.admin("addShardToZone", pair.source.shards[1].name, zone="low")
    pair.source.admin("addShardToZone", pair.source.shards[0].name, zone="high")
    pair.source.admin("updateZoneKeyRange", "shop.zoned", min={"k": 0}, max={"k": 500}, zone="low")
    pair.source.admin("updateZoneKeyRange", "shop.zoned", min={"k": 900}, max={"k": MaxKey()}, zone="high")
    pair.source.shard_collection("shop.zoned", {"k": 1})
    pair.source_client.shop.zoned.insert_many([{"_id": n, "k": n - 1000} for n in range(2000)])


def test_zones_come_along(pair):
    zoned(pair)
    first, second, third = (shard.name for shard in pair.target.shards)
    pair.target.admin("addShardToZone", third, zone="high")
    twin = copied(pair, zones={"low": [first, second]})
    client = pair.target_client
    tags = [(tag["min"]["k"], tag["max"]["k"], tag["tag"]) for tag in client.config.tags.find({"ns": "shop.zoned"}).sort("min", 1)]
    assert tags == [(0, 500, "low"), (900, MaxKey(), "high")]
    assert {row["_id"]: row.get("tags", []) for row in client.config.shards.find()} == {first: ["low"], second: ["low"], third: ["high"]}
    for chunk in chunks(client, "shop.zoned"):
        low = chunk["min"]["k"]
        if not isinstance(low, MinKey) and 0 <= low < 500:
            assert chunk["shard"] in (first, second), chunk
        if not isinstance(low, MinKey) and low >= 900:
            assert chunk["shard"] == third, chunk
    assert all(0.2 < share < 0.47 for share in shares(pair.target, "shop.zoned")), shares(pair.target, "shop.zoned")
    twin.finish()
    pair.assert_identical(sharding=True)


def test_interrupted_copy_needs_no_zones_for_what_is_sharded_beforehand(pair):
    zoned(pair)
    pair.target.shard_collection("shop.zoned", {"k": 1})
    twin = pair.twin(throttle={"copy": "0"}).start()
    twin.wait_until(lambda s: pair.target_client.mongotwin.checkpoints.find_one({"copy_planned": True}) is not None, "the copy is planned")
    twin.kill()
    twin.start()
    twin.command("throttle", {"copy_bytes_per_second": None})
    twin.wait_for_state("replicating")
    assert_went_on(twin, 1)
    assert pair.target_client.config.tags.count_documents({}) == 0
    twin.finish()
    pair.assert_identical()


def test_zones_of_a_compound_hashed_key(pair):
    for shard, zone in zip(pair.source.shards, ("DE", "FR")):
        pair.source.admin("addShardToZone", shard.name, zone=zone)
        low, high = {"country": zone, "_id": MinKey()}, {"country": zone, "_id": MaxKey()}
        pair.source.admin("updateZoneKeyRange", "shop.zoned", min=low, max=high, zone=zone)
    pair.source.shard_collection("shop.zoned", {"country": 1, "_id": "hashed"})
    pair.source_client.shop.zoned.insert_many([{"_id": n, "country": "DE" if n % 3 else "FR"} for n in range(DOCUMENTS)])
    first, second, third = (shard.name for shard in pair.target.shards)
    copied(pair, zones={"DE": [first, second], "FR": [third]}).finish()
    assert all(0.23 < share < 0.43 for share in shares(pair.target, "shop.zoned")), shares(pair.target, "shop.zoned")
    pair.assert_identical(sharding=True)


def test_zones_of_a_hashed_key(pair):
    for shard, (zone, low, high) in zip(pair.source.shards, (("a", MinKey(), Int64(0)), ("b", Int64(0), MaxKey()))):
        pair.source.admin("addShardToZone", shard.name, zone=zone)
        pair.source.admin("updateZoneKeyRange", "shop.zoned", min={"_id": low}, max={"_id": high}, zone=zone)
    pair.source.shard_collection("shop.zoned", {"_id": "hashed"})
    pair.source_client.shop.zoned.insert_many([{"_id": n} for n in range(DOCUMENTS)])
    first, second, third = (shard.name for shard in pair.target.shards)
    copied(pair, zones={"a": [first, second], "b": [third]}).finish()
    found = shares(pair.target, "shop.zoned")
    assert 0.15 < found[0] < 0.35 and 0.15 < found[1] < 0.35 and 0.4 < found[2] < 0.6, found
    pair.assert_identical(sharding=True)


def test_sharded_beforehand_is_left_as_it_is(pair):
    zoned(pair)
    for zone in ("low", "high"):
        pair.target.admin("addShardToZone", pair.target.shards[0].name, zone=zone)
    pair.target.shard_collection("shop.zoned", {"_id": 1})
    pair.target.split("shop.zoned", {"_id": 77})
    twin = copied(pair, sharding={"shop.zoned": {"key": {"k": "hashed"}}})
    assert any("shop.zoned is sharded there already" in warning for warning in twin.status()["warnings"])
    row = pair.target_client.config.collections.find_one({"_id": "shop.zoned"})
    assert row["key"] == {"_id": 1}
    assert [chunk["min"]["_id"] for chunk in chunks(pair.target_client, "shop.zoned")] == [MinKey(), 77]
    assert pair.target_client.config.tags.count_documents({}) == 0
    twin.finish()
    pair.assert_identical()


def test_a_unique_index_serves_a_key_that_is_not(pair):
    """It can't be there during the copy, and the collection needs one for its key all the time."""
    client = pair.source_client
    client.shop.things.create_index("k", unique=True)
    client.shop.longer.create_index([("k", 1), ("z", 1)], unique=True)
    for name in ("things", "longer"):
        pair.source.shard_collection(f"shop.{name}", {"k": 1})
        client.shop[name].insert_many([{"_id": n, "k": n} for n in range(500)])
    copied(pair).finish()
    pair.assert_identical(sharding=True)


def test_time_series_are_sharded_by_their_own_fields(pair):
    """A router refuses to shard their buckets; the source's catalog and oplog name nothing else."""
    series = {"timeField": "at", "metaField": "of"}
    source = pair.source_client.shop
    for name in ("by_meta", "by_time"):
        source.create_collection(name, timeseries=series)
    pair.source.shard_collection("shop.by_meta", {"of.host": 1, "at": 1})
    pair.source.shard_collection("shop.by_time", {"at": 1})
    start = datetime.datetime(2024, 2, 29)
    buckets = [{"at": start + datetime.timedelta(minutes=n), "of": {"host": n % 7}, "v": n} for n in range(500)]
    source.create_collection("filled", timeseries=series)
    source.filled.insert_many(buckets)
    source["system.buckets.by_meta"].insert_many(source["system.buckets.filled"].find())
    twin = copied(pair)
    source.create_collection("later", timeseries=series)
    pair.source.shard_collection("shop.later", {"of": 1})
    twin.finish()
    keys = {row["_id"]: row["key"] for row in pair.target_client.config.collections.find({"_id": {"$regex": "^shop"}})}
    assert keys == {
        "shop.system.buckets.by_meta": {"meta.host": 1, "control.min.at": 1},
        "shop.system.buckets.by_time": {"control.min.at": 1},
        "shop.system.buckets.later": {"meta": 1},
    }
    pair.assert_identical(sharding=True)


def test_rule_for_a_time_series_is_by_its_own_name(pair):
    for name in ("ruled", "following"):
        pair.source_client.shop.create_collection(name, timeseries={"timeField": "at", "metaField": "of"})
        pair.source.shard_collection(f"shop.{name}", {"of": 1})
    twin = copied(pair, sharding={"shop.ruled": "unsharded"})
    assert verify(twin)["verdict"] == "identical"
    twin.finish()
    keys = {row["_id"]: row["key"] for row in pair.target_client.config.collections.find({"_id": {"$regex": "^shop"}})}
    assert keys == {"shop.system.buckets.following": {"meta": 1}}
