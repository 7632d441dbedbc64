# SPDX-License-Identifier: Apache-2.0
"""`sharding` in the configuration: another key, hashed, how many chunks, unsharded, sharded where the source is not; also for
what comes later."""

from __future__ import annotations

DOCUMENTS = 2000


def documents(count=DOCUMENTS):
    return [{"_id": n, "k": n, "customer": n % 97, "sku": f"s{n}"} for n in range(count)]


def row(client, ns):
    found = client.config.collections.find_one({"_id": ns}) or {}
    return None if found.get("dropped") or found.get("unsplittable") else found or None


def key(client, ns):
    return (row(client, ns) or {}).get("key")


def chunks(client, ns):
    return list(client.config.chunks.find({"$or": [{"uuid": row(client, ns)["uuid"]}, {"ns": ns}]}).sort("min", 1))


def owners(client, ns):
    return {chunk["shard"] for chunk in chunks(client, ns)}


def test_every_way_at_the_start(sharded_clusters):
    pair = sharded_clusters
    for name in ("other", "plain", "more", "kept"):
        pair.source.shard_collection(f"shop.{name}", {"k": 1})
    for name in ("other", "plain", "more", "kept", "new", "unique"):
        pair.source_client.shop[name].insert_many(documents())
    rules = {
        "shop.other": {"key": {"customer": "hashed", "_id": 1}, "unique": False, "chunks": 30},
        "shop.plain": "unsharded",
        "shop.more": {"chunks": 24},
        "shop.new": {"key": {"customer": 1, "_id": 1}},
        "shop.unique": {"key": {"sku": 1}, "unique": True},
    }
    twin = pair.twin(sharding=rules).start()
    twin.wait_for_state("replicating")
    client = pair.target_client
    keys = {name: key(client, f"shop.{name}") for name in ("other", "plain", "more", "new", "unique", "kept")}
    assert keys == {
        "other": {"customer": "hashed", "_id": 1},
        "plain": None,
        "more": {"k": 1},
        "new": {"customer": 1, "_id": 1},
        "unique": {"sku": 1},
        "kept": {"k": 1},
    }
    assert row(client, "shop.unique")["unique"]
    assert len(chunks(client, "shop.other")) == 30
    assert len(chunks(client, "shop.more")) == 24
    for name in ("other", "more", "new", "unique", "kept"):
        assert len(owners(client, f"shop.{name}")) == 3, name
    for name in ("other", "plain", "new"):
        pair.source_client.shop[name].update_many({"_id": {"$lt": 50}}, {"$set": {"customer": -1}})
    twin.finish()
    pair.assert_identical()


def test_a_replica_set_to_shards(set_to_sharded):
    pair = set_to_sharded
    pair.source_client.shop.orders.insert_many(documents())
    pair.source_client.shop.plain.insert_many(documents(100))
    pair.source_client.shop.hashed.insert_many(documents())
    rules = {"shop.orders": {"key": {"customer": 1, "_id": 1}}, "shop.hashed": {"key": {"_id": "hashed"}}}
    twin = pair.twin(sharding=rules, rename={"shop.orders": "store.sales"}).start()
    twin.wait_for_state("replicating")
    client = pair.target_client
    assert key(client, "store.sales") == {"customer": 1, "_id": 1}
    assert key(client, "shop.hashed") == {"_id": "hashed"}
    assert key(client, "shop.plain") is None
    assert len(owners(client, "store.sales")) == 3
    counts = []
    for shard in pair.target.shards:
        with shard.client() as direct:
            counts.append(direct.store.sales.count_documents({}))
    assert all(0.23 < count / DOCUMENTS < 0.43 for count in counts), counts
    pair.source_client.shop.orders.update_many({}, {"$inc": {"customer": 1}})
    twin.finish()
    pair.assert_identical(rename={"shop.orders": "store.sales"})


def test_what_comes_later(sharded_clusters):
    pair = sharded_clusters
    source = pair.source_client.shop
    source.plain.insert_many(documents(200))
    pair.source.shard_collection("shop.other", {"k": 1})
    source.other.insert_many(documents(200))
    rules = {
        "shop.plain": "unsharded",
        "shop.later": {"key": {"customer": "hashed"}, "chunks": 6},
        "shop.other": {"key": {"customer": 1}},
        "shop.split": {"chunks": 12},
        "shop.renamed": {"key": {"k": 1}},
    }
    twin = pair.twin(sharding=rules).start()
    twin.wait_for_state("replicating")
    # Created later; sharded by the source; its key refined; by hashes with so many chunks; and renamed to a name with a rule.
    source.later.insert_many(documents(200))
    source.plain.create_index([("k", 1)])
    pair.source.shard_collection("shop.plain", {"k": 1})
    source.other.create_index([("k", 1), ("sku", 1)])
    pair.source.refine_shard_key("shop.other", {"k": 1, "sku": 1})
    pair.source.shard_collection("shop.split", {"k": "hashed"})
    source.split.insert_many(documents(200))
    source.before.insert_many(documents(50))
    source.before.rename("renamed")
    for name in ("plain", "later", "other", "split"):
        source[name].update_many({}, {"$inc": {"n": 1}})
        source[name].delete_many({"_id": {"$gte": 150}})
    twin.wait_shards_caught_up(pair.source)
    client = pair.target_client
    keys = {name: key(client, f"shop.{name}") for name in ("plain", "later", "other", "split", "renamed")}
    assert keys == {"plain": None, "later": {"customer": "hashed"}, "other": {"customer": 1}, "split": {"k": "hashed"}, "renamed": None}
    assert len(chunks(client, "shop.later")) == 6
    assert len(chunks(client, "shop.split")) == 12
    assert "shop.renamed came by a rename" in twin.log()
    twin.finish()
    pair.assert_identical()


def test_renamed_into_the_selection(set_to_sharded):
    """It comes as a new collection does: by the rule."""
    pair = set_to_sharded
    pair.source_client.shop.things.insert_many(documents(300))
    pair.source_client.shop.before.insert_many(documents(300))
    included = ["shop.things", "shop.after"]
    twin = pair.twin(namespaces={"include": included}, sharding={"shop.after": {"key": {"customer": "hashed"}, "chunks": 9}}).start()
    twin.wait_for_state("replicating")
    pair.source_client.shop.before.rename("after")
    pair.source_client.shop.after.update_many({}, {"$inc": {"n": 1}})
    twin.finish()
    assert key(pair.target_client, "shop.after") == {"customer": "hashed"}
    assert len(chunks(pair.target_client, "shop.after")) == 9
    pair.assert_identical(include=included)


def test_the_source_reshards_what_has_another_key(sharded_clusters):
    pair = sharded_clusters
    pair.source.shard_collection("shop.things", {"k": 1})
    pair.source_client.shop.things.insert_many(documents(300))
    twin = pair.twin(sharding={"shop.things": {"key": {"customer": 1}}}).start()
    twin.wait_for_state("replicating")
    pair.source.reshard("shop.things", {"sku": 1})
    pair.source_client.shop.things.update_many({}, {"$inc": {"n": 1}})
    twin.wait_shards_caught_up(pair.source)
    assert key(pair.target_client, "shop.things") == {"customer": 1}
    twin.finish()
    pair.assert_identical()


def test_killed_when_a_collection_was_created_and_not_yet_sharded(sharded_clusters):
    """The next start meets the creation again, and shards it."""
    pair = sharded_clusters
    pair.source_client.shop.things.insert_many(documents(10))
    rules = {"shop.later": {"key": {"customer": 1}}}
    twin = pair.twin(sharding=rules).start()
    twin.wait_for_state("replicating")
    twin.kill()
    pair.source_client.shop.create_collection("later")
    pair.target_client.shop.create_collection("later")
    twin.start()
    twin.wait_for_state("replicating")
    twin.wait_shards_caught_up(pair.source)
    assert key(pair.target_client, "shop.later") == {"customer": 1}
    twin.finish()
    pair.assert_identical()


def test_indexes_on_the_key_that_only_the_target_has(sharded_clusters):
    """The source comes to have them under the names, or by the keys, that the server's own ones have on the target."""
    pair = sharded_clusters
    source = pair.source_client.shop
    source.unique.insert_many(documents(100))
    source.unique.create_index("sku", unique=True)
    rules = {f"shop.{name}": {"key": {"sku": 1}} for name in ("unique", "same", "named", "dropped")}
    twin = pair.twin(sharding=rules).start()
    twin.wait_for_state("replicating")
    for name in ("same", "named", "dropped"):
        source[name].insert_many(documents(100))
    source.same.create_index("sku", unique=True)
    source.named.create_index("sku", name="by_sku", unique=True)
    source.dropped.create_index("sku")
    source.dropped.drop_index("sku_1")
    twin.wait_shards_caught_up(pair.source)
    indexes = {name: set(pair.target_client.shop[name].index_information()) for name in ("unique", "same", "named", "dropped")}
    assert indexes == {"unique": {"_id_", "sku_1"}, "same": {"_id_", "sku_1"}, "named": {"_id_", "by_sku", "sku_1"}, "dropped": {"_id_", "sku_1"}}
    assert "sku_1, which the source has dropped, stays" in twin.log()
    twin.finish()
    pair.assert_identical()
