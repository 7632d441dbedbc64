# SPDX-License-Identifier: Apache-2.0
"""In the middle of writes every planted difference is found and named, nothing else is, and a repair mends it."""

from __future__ import annotations

from e2e import planting
from e2e.hot import HotDocuments
from e2e.verifying import assert_identical, named, verify


def _follow(pair, sharded):
    if sharded:
        pair.source.shard_collection(planting.NS, {"_id": "hashed"})
    planting.fill(pair.source_client)
    hot = HotDocuments(pair.source_client)
    hot.fill()
    twin = pair.twin().start()
    twin.wait_for_state("replicating")
    return twin, hot


def _found_and_mended(pair, sharded=False):
    twin, hot = _follow(pair, sharded)
    hot.start()
    try:
        assert_identical(verify(twin))
        said = planting.plant_documents(pair.target_client)
        names = planting.plant_definitions(pair.target_client)

        found = verify(twin)
        documents = {key: what for key, what in named(found).items() if " " in key}
        assert documents == said
        assert {one["ns"] for one in found["list"] if not one["id"]} == names
        for one in found["list"]:
            assert one["way_out"] and one["first_seen_ms"] <= one["last_seen_ms"], one

        by_bytes = verify(twin, mode="bytes", namespaces=["plant.doc*"])
        assert {key: what for key, what in named(by_bytes).items() if " " in key} == {**said, **planting.unseen()}

        repaired = verify(twin, mode="bytes", repair=True, namespaces=["plant.doc*"])
        assert repaired["repaired"] == len(said) + len(planting.unseen())
        assert all(one["repaired"] for one in repaired["list"] if one["id"])
        assert twin.log().count(" repaired: ") == repaired["repaired"]

        planting.mend_definitions(pair.target_client)
        assert_identical(verify(twin))
        assert_identical(verify(twin, mode="bytes"))
    finally:
        hot.stop()
    twin.finish()
    pair.assert_identical()


def test_replica_sets(replica_sets):
    _found_and_mended(replica_sets)


def test_sharded_clusters(sharded_clusters):
    _found_and_mended(sharded_clusters, sharded=True)


def test_replica_set_to_sharded(set_to_sharded):
    pair = set_to_sharded
    pair.target.shard_collection(planting.NS, {"_id": "hashed"})  # beforehand: a layout of its own
    _found_and_mended(pair)


def test_keys_of_shards_and_the_order_of_capped_documents(sharded_clusters):
    pair = sharded_clusters
    pair.source.shard_collection("plant.keyed", {"a": 1})
    source, target = pair.source_client["plant"], pair.target_client["plant"]
    source["keyed"].insert_many([{"_id": n, "a": n % 7, "b": n} for n in range(500)])
    source.create_collection("ring", capped=True, size=1 << 20)
    source["ring"].insert_many([{"_id": n} for n in range(10)])
    twin = pair.twin().start()
    twin.wait_for_state("replicating")
    assert_identical(verify(twin))

    target["keyed"].drop()
    pair.target.shard_collection("plant.keyed", {"b": 1})
    target["keyed"].insert_many([{"_id": n, "a": n % 7, "b": n} for n in range(500)])
    target["ring"].drop()
    target.create_collection("ring", capped=True, size=1 << 20)
    target["ring"].insert_many([{"_id": n} for n in (0, 1, 2, 4, 3, 5, 6, 7, 8, 9)])
    found = verify(twin)
    assert found["verdict"] == "different"
    assert {one["ns"] for one in found["list"]} == {"plant.keyed", "plant.ring"}, found["list"]
    said = named(found)
    assert said["plant.keyed"] == 'sharded by { "a" : 1 } on the source, by { "b" : 1 } on the target'
    assert said["plant.ring"] == "the document _id 3 stands where the target has _id 4, or has other bytes there"


def test_second_document_of_an_id_on_another_shard(set_to_sharded):
    """No index forbids it where _id is not the shard key, and the router gives the one or the other first."""
    pair = set_to_sharded
    pair.target.shard_collection("plant.keyed", {"k": 1})
    pair.target.split("plant.keyed", {"k": 0})
    pair.target.move_chunk("plant.keyed", {"k": -1}, to=pair.target.shards[0])
    pair.target.move_chunk("plant.keyed", {"k": 1}, to=pair.target.shards[1])
    pair.source_client["plant"]["keyed"].insert_many([{"_id": n, "k": n + 1 if n % 2 else -n - 1} for n in range(100)])
    twin = pair.twin().start()
    twin.wait_for_state("replicating")
    assert_identical(verify(twin))

    target = pair.target_client["plant"]["keyed"]
    target.insert_many([{"_id": 10, "k": 11}, {"_id": 11, "k": -12}])
    for mode in ("digest", "bytes"):
        found = verify(twin, mode=mode)
        assert set(named(found)) == {"plant.keyed 10", "plant.keyed 11"}, found["list"]
        for what in named(found).values():
            assert what.startswith("1 documents of this _id on the source, 2 on the target, with the shard keys "), what
            assert '{ "k" : 11 }' in what or '{ "k" : 12 }' in what, what
    assert verify(twin, repair=True)["repaired"] == 2
    assert_identical(verify(twin))
    twin.finish()
    pair.assert_identical()
