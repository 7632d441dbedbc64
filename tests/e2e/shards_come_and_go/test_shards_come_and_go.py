# SPDX-License-Identifier: Apache-2.0
"""The source gets a shard and loses it again, under writes to the documents that move there and back."""

from __future__ import annotations

import pytest
from bson import MinKey
from cluster import ShardedCluster
from cluster.process import wait_until
from e2e.hot import HotDocuments
from e2e.verifying import assert_identical, result, wait_verification


@pytest.fixture(scope="module")
def growing_source(base_dir, needs_shards):
    with ShardedCluster(name="growing", base_dir=base_dir / "growing", shards=2) as cluster:
        yield cluster


@pytest.fixture
def growing(make_pair, growing_source, target_set):
    """A pair, some hot documents under writes on its source."""
    pair = make_pair(growing_source, target_set)
    documents = HotDocuments(pair.source_client)
    documents.shard(pair.source)
    documents.start()
    yield pair, documents
    documents.halt()
    for shard in list(growing_source.shards[2:]):
        growing_source.forget_shard(_take_away(growing_source, shard))


def _use(pair, documents, shard):
    """Documents go to the shard and back and there again; a database of its own, a collection, a transaction."""
    for home in (shard, pair.source.shards[0], shard):
        pair.source.move_chunk("hot.documents", {"group": 0, "_id": MinKey()}, to=home)
        documents.wait_for(40)
    young = pair.source_client[_young(shard)]
    pair.source.admin("enableSharding", young.name, primaryShard=shard.name)
    young.plain.insert_many([{"_id": n} for n in range(50)])
    young.plain.create_index("n", unique=True, sparse=True)
    young.plain.update_many({}, {"$set": {"b": 1, "a": 2}})
    young.gone.insert_one({"_id": 1})
    young.gone.drop()
    with pair.source_client.start_session() as session, session.start_transaction():
        young.plain.insert_one({"_id": "t"}, session=session)
        pair.source_client.hot.documents.update_one({"_id": 1, "group": 1}, {"$set": {"t": 1}}, session=session)


def _young(shard):
    """A database that no earlier test has left behind empty, with a primary."""
    return f"young{shard.wait_primary().port}"


def _take_away(cluster, shard):
    """Draining by hand is quicker than the balancer; what is left it does."""
    cluster.remove_shard(shard)
    with cluster.client() as client:
        for row in client.config.databases.find({"primary": shard.name}):
            cluster.move_primary(row["_id"], to=cluster.shards[0])
        names = {c["uuid"]: c["_id"] for c in client.config.collections.find()}
        for chunk in client.config.chunks.find({"shard": shard.name}):
            cluster.move_chunk(names[chunk["uuid"]], bounds=(chunk["min"], chunk["max"]), to=cluster.shards[0])
    wait_until(lambda: cluster.remove_shard(shard)["state"] == "completed", f"{shard.name} is removed", 120, interval=0.2)
    return shard


def _follows(twin, cluster):
    names = [shard.name for shard in cluster.shards]
    twin.wait_until(lambda status: sorted(status["positions"]) == sorted(names), f"it follows {names}")


def _finish(pair, twin, documents):
    documents.stop()
    twin.finish()
    pair.assert_identical()


def test_shard_is_added_used_and_removed(growing):
    pair, documents = growing
    twin = pair.twin().start()
    twin.wait_for_state("replicating")
    shard = pair.source.add_shard()
    _use(pair, documents, shard)
    _follows(twin, pair.source)
    assert twin.state == "replicating"
    documents.wait_for(50)
    twin.wait_shards_caught_up(pair.source)
    young = _young(shard)
    _take_away(pair.source, shard)
    pair.source.forget_shard(shard)  # its servers end a moment after the removal
    _follows(twin, pair.source)
    documents.wait_for(50)
    pair.source_client.hot.late.insert_one({"_id": 1})
    pair.source_client[young].plain.drop()
    twin.wait_shards_caught_up(pair.source)
    assert twin.status()["warnings"] == []
    twin.kill()
    twin.start()
    _finish(pair, twin, documents)


def test_shard_is_added_and_removed_while_mongotwin_is_down(growing):
    pair, documents = growing
    twin = pair.twin().start()
    twin.wait_for_state("replicating")
    twin.kill()
    shard = pair.source.add_shard()
    _use(pair, documents, shard)
    twin.start()
    _follows(twin, pair.source)
    _use_more(pair, documents, shard)
    assert twin.stop() == 0
    documents.wait_for(50)
    _take_away(pair.source, shard)
    twin.start()
    pair.source.shards.remove(shard)
    _follows(twin, pair.source)
    documents.wait_for(50)
    _finish(pair, twin, documents)
    pair.source.shards.append(shard)
    pair.source.forget_shard(shard)


def _use_more(pair, documents, shard):
    pair.source_client[_young(shard)].plain.update_many({}, {"$inc": {"a": 1}})
    documents.wait_for(20)


def test_shard_is_added_during_the_copy(growing):
    pair, documents = growing
    pair.source_client.hot.filler.insert_many([{"_id": n, "text": "f" * 1000} for n in range(30_000)])
    twin = pair.twin(copiers=1).start()
    twin.wait_for_state("copying")
    primary = pair.target.wait_primary()
    primary.pause()
    try:
        shard = pair.source.add_shard()
        _use(pair, documents, shard)
        assert twin.state == "copying"
    finally:
        primary.resume()
    twin.wait_for_state("replicating")
    _follows(twin, pair.source)
    documents.wait_for(50)
    _finish(pair, twin, documents)


def test_shards_come_and_go_while_it_is_verified_all_the_time(growing):
    """A verification that waits for its first moment of a new pipeline must not hold up what leads there."""
    pair, documents = growing
    twin = pair.twin(verify={"continuous": "1s", "bytes_per_second": "20KB"}).start()
    twin.wait_for_state("replicating")
    wait_verification(twin, lambda v: v["ranges_done"] > 0, "the first verification is under way")
    for _ in range(2):
        shard = pair.source.add_shard()
        _use(pair, documents, shard)
        _follows(twin, pair.source)
        documents.wait_for(100)
        _take_away(pair.source, shard)
        pair.source.forget_shard(shard)
        _follows(twin, pair.source)
    twin.command("throttle", {"verify_bytes_per_second": None})
    before = result(twin)["number"]
    ended = wait_verification(twin, lambda v: v["number"] > before and v["verdict"] != "running", "one of those after it ends")
    assert_identical(ended)
    _finish(pair, twin, documents)
