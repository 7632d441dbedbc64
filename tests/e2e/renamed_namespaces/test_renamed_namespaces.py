# SPDX-License-Identifier: Apache-2.0
"""`rename` in the configuration: namespaces have other names on the target."""

from __future__ import annotations

import datetime

import pytest
from e2e.definitions import fill
from e2e.pair import databases
from e2e.twin import mongotwin, write_config

RENAME = {"shop.a": "shop2.b", "shop.b": "shop2.a", "shop.series": "other.numbers", "crm.*": "customers.*", "crm.own": "shop2.own"}
DAY = datetime.datetime(2024, 1, 1)


def _act(client, prefix):
    shop, crm = client["shop"], client["crm"]
    for name in ("a", "b", "c"):
        fill(shop, name) if name not in shop.list_collection_names() else shop[name].update_many({}, {"$set": {"seen": prefix, "a": 1}})
        shop[name].create_index([("n", 1), (prefix, 1)], unique=True)
        shop[name].insert_one({"_id": f"{prefix} one", "n": prefix})
    if prefix == "copied":
        shop.create_collection("series", timeseries={"timeField": "t", "metaField": "m"})
        crm.create_collection("capped", capped=True, size=8192)
        crm.create_collection("view", viewOn="things", pipeline=[{"$match": {"n": {"$gt": 2}}}])
    else:
        shop.command("collMod", "series", timeseries={"granularity": "minutes"})
        crm["view"].drop()
        crm.create_collection("view", viewOn="capped", pipeline=[])
        crm.command("collMod", "view", viewOn="things", pipeline=[{"$limit": 3}])
        shop.command("convertToCapped", "c", size=4096)
        crm["things"].rename("things2")
        crm["own"].rename("not_own")
        crm["not_own"].insert_one({"_id": "after the rename"})
        shop["b"].rename("b2")
        shop["b2"].insert_one({"_id": "after the rename", "n": "x"})
        shop["a"].drop()
        fill(shop, "a", 3)
    shop["series"].insert_many([{"t": DAY, "m": n % 2, "n": n} for n in range(10)])
    shop["series"].delete_many({"m": 1})
    fill(crm, "things" if prefix == "copied" else "more things")
    fill(crm, "own" if prefix == "copied" else "own2")
    crm["capped"].insert_many([{"pad": "x" * 100} for _ in range(100)])
    with client.start_session() as session, session.start_transaction():
        shop["a"].insert_one({"_id": "in a transaction", "n": "t"}, session=session)
        crm["capped_not"].insert_one({"_id": prefix}, session=session)


def test_everything_goes_by_its_new_name(replica_sets):
    _act(replica_sets.source_client, "copied")
    twin = replica_sets.twin(rename=RENAME).start()
    twin.wait_for_state("replicating")
    twin.pause()
    _act(replica_sets.source_client, "live")
    twin.command("resume")
    twin.wait_for_some_applied(replica_sets.source_client, 10)
    twin.kill()
    twin.start()
    twin.finish()
    replica_sets.assert_identical(rename=RENAME)
    assert set(databases(replica_sets.target_client)) == {"shop", "shop2", "other", "customers", "mongotwin"}


def test_with_a_selection(replica_sets):
    source = replica_sets.source_client
    for name in ("a", "b"):
        fill(source["shop"], name)
    fill(replica_sets.target_client["shop"], "a", 3)  # not what shop.a becomes: it is left alone
    rules = {"namespaces": {"include": ["shop.a"]}, "rename": {"shop.a": "shop.z"}}
    twin = replica_sets.twin(**rules).start()
    twin.wait_for_state("replicating")
    source["shop"]["a"].insert_one({"_id": "live"})
    source["shop"]["b"].insert_one({"_id": "live"})
    twin.finish()
    replica_sets.assert_identical(include=["shop.a"], rename=rules["rename"])
    assert set(replica_sets.target_client["shop"].list_collection_names()) == {"a", "z"}
    assert replica_sets.target_client["shop"]["a"].count_documents({}) == 3


def test_two_collections_of_one_name(replica_sets):
    source = replica_sets.source_client
    fill(source["shop"], "a")
    fill(source["shop"], "b")
    twin = replica_sets.twin(rename={"shop.a": "shop.b"}).start()
    assert "two collections of the source would be shop.b" in twin.wait_failure()
    source["shop"]["b"].drop()
    twin.start()
    twin.wait_for_state("replicating")
    fill(source["shop"], "b")
    assert "would be shop.b on the target, which shop.a is already" in twin.wait_failure()


def test_between_sharded_clusters(sharded_clusters):
    source = sharded_clusters.source_client
    rename = {"shop.orders": "shop.bills", "crm.*": "customers.*"}
    sharded_clusters.source.shard_collection("crm.things", {"n": 1})
    fill(source["shop"], "orders")
    fill(source["crm"], "things")
    twin = sharded_clusters.twin(rename=rename).start()
    twin.wait_for_state("replicating")
    fill(source["crm"], "more")
    source["crm"]["things"].update_many({}, {"$set": {"seen": 1}})
    source["shop"]["orders"].delete_one({"_id": 3})
    source["crm"]["more"].rename("things2")
    twin.finish()
    result = sharded_clusters.assert_identical(rename=rename)
    assert not [note for note in result.notes if "sharded by" in note and "nothing" in note]


@pytest.mark.parametrize(
    "rename, said",
    [
        ({"shop.*": "shop2.b"}, "one is a whole database"),
        ({"shop.a": "shop.a"}, "its own name"),
        ({"shop.a": "x.y", "shop.b": "x.y"}, "new name of shop.a already"),
        ({"shop.a*": "x.y*"}, "whole collection name"),
        ({"admin.a": "x.y"}, "never replicated"),
        ({"shop": "x"}, "no dot"),
        ("shop", "group of keys"),
    ],
)
def test_wrong_rules_are_refused(tmp_path, rename, said):
    config = tmp_path / "twin.yaml"
    write_config(config, source="mongodb://a", target="mongodb://b", rename=rename)
    program = mongotwin("check", "--config", config)
    assert program.returncode != 0 and said in program.stderr and "rename" in program.stderr
