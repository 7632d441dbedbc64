# SPDX-License-Identifier: Apache-2.0
"""Collections cross the border of what is to be replicated, by a rename. Out of it they are gone on the target; into it
they come with what they hold."""

from __future__ import annotations

import threading

import pytest
from e2e.definitions import every_index, fill
from e2e.failpoint import failpoint

RULES = {"include": ["shop.*"], "exclude": ["shop.tmp_*"]}


def _follow(pair):
    fill(pair.source_client["shop"], "there")
    twin = pair.twin(namespaces=RULES).start()
    twin.wait_for_state("replicating")
    return twin


def _assert_same(pair, *, finish=None):
    if finish:
        finish.finish()
    pair.assert_identical(**RULES)
    assert not [name for name in pair.target_client["shop"].list_collection_names() if name.startswith("tmp_")]


def test_out_of_it(replica_sets):
    shop = replica_sets.source_client["shop"]
    for name in ("goes", "kept", "replaced"):
        fill(shop, name)
    twin = _follow(replica_sets)
    shop["goes"].rename("tmp_gone")
    shop["tmp_gone"].insert_one({"_id": "unseen"})
    fill(shop, "goes", 5, new=True)
    shop["tmp_gone"].drop()
    fill(shop, "tmp_other")
    shop["replaced"].rename("tmp_other", dropTarget=True)
    _assert_same(replica_sets, finish=twin)


@pytest.mark.since(6, 0)  # clustered collections and pre-images
def test_into_it_with_everything(replica_sets):
    """Under writes: documents as of the rename, indexes, options, natural order; what comes later is applied to it."""
    shop = replica_sets.source_client["shop"]
    twin = _follow(replica_sets)
    fill(shop, "tmp_plain", 5000, place=[1, 2], flat=[1, 2])
    shop["tmp_plain"].create_indexes(every_index())
    shop.create_collection("tmp_images", changeStreamPreAndPostImages={"enabled": True}, validator={"n": {"$gte": 0}})
    fill(shop, "tmp_images", 500)
    shop.command("create", "tmp_clustered", clusteredIndex={"key": {"_id": 1}, "unique": True}, collation={"locale": "fr"})
    fill(shop, "tmp_clustered", 100)
    fill(shop, "in_the_way", 10)
    stop = threading.Event()

    def write():
        time = 0
        while not stop.is_set():
            name = next((n for n in ("plain", "tmp_plain") if n in names), "tmp_plain")
            shop[name].update_one({"_id": time % 5000}, {"$set": {"b": time, "a": 1}}, upsert=False)
            time += 1

    names = ["tmp_plain"]
    writer = threading.Thread(target=write)
    writer.start()
    try:
        shop["tmp_plain"].rename("plain")
        names[:] = ["plain"]
        shop["tmp_images"].rename("in_the_way", dropTarget=True)
        shop["tmp_clustered"].rename("clustered")
        shop["in_the_way"].insert_many([{"_id": f"after {n}", "n": n} for n in range(50)])
        shop["clustered"].delete_many({"n": {"$lt": 50}})
        twin.wait_caught_up(replica_sets.source_client)
    finally:
        stop.set()
        writer.join()
    shop["plain"].drop_index("ascending")
    shop["plain"].rename("tmp_plain")
    shop["tmp_plain"].rename("again")
    _assert_same(replica_sets, finish=twin)


def test_into_it_during_the_copy_and_across_a_kill(replica_sets):
    shop = replica_sets.source_client["shop"]
    for name in ("tmp_during", "tmp_down", "tmp_killed"):
        fill(shop, name, 300)
        shop[name].create_index("n", unique=True)
    replica_sets.source_client["shop"]["gate"].insert_one({"_id": 1})
    twin = replica_sets.twin(namespaces=RULES)
    with failpoint(replica_sets.source_client, "waitInFindBeforeMakingBatch", nss="shop.gate") as closed:
        twin.start()
        closed.wait_entered()
        shop["tmp_during"].rename("during")
        shop["during"].update_many({}, {"$inc": {"n": 1000}})
        fill(shop, "tmp_soon_dropped")
        shop["tmp_soon_dropped"].rename("soon_dropped")
        shop["soon_dropped"].create_index("word")
        shop["soon_dropped"].drop()
    twin.wait_for_state("replicating")
    twin.kill()
    shop["tmp_down"].rename("down")
    shop["down"].update_many({}, {"$inc": {"n": 1000}})
    shop["down"].drop_index("n_1")
    twin.start()
    twin.wait_for_state("replicating")
    with failpoint(replica_sets.source_client, "waitInFindBeforeMakingBatch", nss="shop.killed") as reading:
        shop["tmp_killed"].rename("killed")
        reading.wait_entered()
        twin.kill()
    twin.start()
    twin.wait_for_state("replicating")
    _assert_same(replica_sets, finish=twin)


def test_it_stops_by_name_if_it_can_not_know_what_came_in(replica_sets):
    """Redefined right behind the rename: what it was at the rename can't be told any more."""
    shop = replica_sets.source_client["shop"]
    twin = _follow(replica_sets)
    fill(shop, "tmp_soon_dropped")
    twin.pause()
    shop["tmp_soon_dropped"].rename("soon_dropped")
    shop["soon_dropped"].drop()
    twin.command("resume")
    assert "shop.soon_dropped was renamed into what is to be replicated" in twin.wait_failure()


def test_it_stops_by_name_if_it_can_not_be_read_as_of_then(replica_sets):
    shop = replica_sets.source_client["shop"]
    twin = _follow(replica_sets)
    shop.create_collection("tmp_capped", capped=True, size=8192)
    shop["tmp_capped"].rename("capped")
    assert "shop.capped was renamed into what is to be replicated, and it is capped" in twin.wait_failure()


def test_sharded_clusters_stop_by_name(sharded_clusters):
    shop = sharded_clusters.source_client["shop"]
    twin = _follow(sharded_clusters)
    fill(shop, "tmp_comes")
    shop["tmp_comes"].rename("comes")
    said = twin.wait_failure()
    assert "shop.tmp_comes was renamed to shop.comes" in said and "start again with a new copy" in said
