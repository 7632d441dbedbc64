# SPDX-License-Identifier: Apache-2.0
"""Chunks, primaries and shard keys of the source change under load; logically nothing changes."""

from __future__ import annotations

import itertools
import random
import threading

import pytest
from bson import MinKey
from e2e.hot import HotDocuments
from pymongo.errors import OperationFailure

from shop.writer import is_transient

CONFLICTING_OPERATION = 117  # the balancer moves something itself
STALE_CONFIG = 13388  # the chunk is being split: mongotwin's own pre-split on the target

@pytest.fixture
def running(sharded_clusters):
    sharded_clusters.load()
    twin = sharded_clusters.twin().start()
    twin.wait_for_state("replicating")
    writer = sharded_clusters.write(ddl=1)
    twin.wait_for_applied(100)
    return sharded_clusters, twin, writer


def _chunks(cluster, ns):
    with cluster.client() as client:
        uuid = client["config"]["collections"].find_one({"_id": ns})["uuid"]
        return list(client["config"]["chunks"].find({"uuid": uuid}).sort("min", 1))


def _move_all(cluster, ns):
    """Each chunk to another shard."""
    names = [shard.name for shard in cluster.shards]
    for chunk in _chunks(cluster, ns):
        other = names[(names.index(chunk["shard"]) + 1) % len(names)]
        cluster.move_chunk(ns, bounds=(chunk["min"], chunk["max"]), to=other)


def test_chunks_move_in_the_continuous_phase(running):
    pair, twin, writer = running
    for ns in ("shop.orders", "crm.customers", "shop.accounts"):
        _move_all(pair.source, ns)
    pair.finish_and_compare(twin, writer)


def test_chunks_move_on_the_target(running):
    pair, twin, writer = running
    _move_all(pair.target, "shop.orders")
    pair.finish_and_compare(twin, writer)


def test_chunks_move_during_the_copy(sharded_clusters):
    sharded_clusters.load(30_000)
    twin = sharded_clusters.twin(copiers=1)
    copied = threading.Event()
    errors = []

    def move() -> None:
        try:
            for ns in itertools.cycle(("shop.orders", "crm.customers")):
                _move_all(sharded_clusters.source, ns)
                if copied.is_set():
                    return
        except Exception as error:  # noqa: BLE001 - shown by the assertion below
            errors.append(error)

    mover = threading.Thread(target=move)
    mover.start()
    try:
        twin.start()
        twin.wait_for_state("replicating")
    finally:
        copied.set()
        mover.join()
    assert not errors
    sharded_clusters.finish_and_compare(twin)


def test_primary_of_a_database_moves(running):
    pair, twin, writer = running
    writer.stop()
    for database in ("shop", "crm", "logs"):
        row = pair.source_client["config"]["databases"].find_one({"_id": database})
        other = next(shard for shard in pair.source.shards if shard.name != row["primary"])
        pair.source.move_primary(database, to=other)
    after = pair.write(ddl=1)
    after.wait_for(300)
    pair.finish_and_compare(twin, after)


def test_collection_gets_another_shard_key(running):
    pair, twin, writer = running
    writer.stop()
    pair.source.reshard("crm.customers", {"_id": 1})
    after = pair.write(ddl=1)
    after.wait_for(300)
    pair.finish_and_compare(twin, after)


# ---- on the source, under writes to the very documents that move


@pytest.fixture
def hot(sharded_clusters, request):
    """hot.documents in two chunks on two shards, some threads writing to all of them, mongotwin following."""
    pair = sharded_clusters
    hot = HotDocuments(pair.source_client, only_updates=getattr(request, "param", False))
    hot.shard(pair.source)
    twin = pair.twin().start()
    twin.wait_for_state("replicating")
    hot.start()
    twin.wait_for_applied(100)
    yield pair, twin, hot
    hot.halt()


def _stop_and_compare(pair, twin, hot, sharding=False):
    hot.stop()
    twin.finish()
    pair.assert_identical(sharding)


def test_hot_documents_move_back_and_forth(hot):
    pair, twin, documents = hot
    for n in range(8):
        pair.source.move_chunk("hot.documents", {"group": 0, "_id": 0}, to=pair.source.shards[(n + 1) % 2])
        documents.wait_for(30)
    _stop_and_compare(pair, twin, documents, sharding=True)


def test_collection_is_resharded_under_writes(hot):
    pair, twin, documents = hot
    for key in ({"_id": 1}, {"_id": "hashed"}):
        pair.source.reshard("hot.documents", key)
        documents.wait_for(100)
    _stop_and_compare(pair, twin, documents)


def test_shard_key_is_refined_under_writes(hot):
    pair, twin, documents = hot
    pair.source_client.hot.documents.create_index([("group", 1), ("_id", 1), ("region", 1)])
    pair.source.refine_shard_key("hot.documents", {"group": 1, "_id": 1, "region": 1})
    documents.wait_for(100)
    documents.stop()
    for _ in range(3):
        _move_all(pair.source, "hot.documents")
    twin.finish()
    pair.assert_identical()


@pytest.mark.parametrize("hot", [True], indirect=True, ids=["hot"])
def test_updates_of_the_shard_key_move_documents(hot):
    """As retryable writes and in transactions: a delete on one shard, an insert on the other, one change of one document."""
    pair, twin, documents = hot
    dice = random.Random(3)
    collection = pair.source_client.hot.documents
    for n in range(60):
        one = dice.randrange(documents.count)
        change = {"$set": {"group": dice.randrange(2)}, "$inc": {"moved": 1}}
        if n % 2:
            with pair.source_client.start_session() as session:
                session.with_transaction(lambda s, one=one, change=change: _move_document(collection, one, change, s))
        else:
            _retried(lambda one=one, change=change: _move_document(collection, one, change, None))
    moved = pair.source_client.hot.documents.count_documents({"moved": {"$gt": 0}})
    assert moved > 10
    _stop_and_compare(pair, twin, documents)


def _move_document(collection, one, change, session):
    found = collection.find_one({"_id": one}, session=session)
    if found is None:  # seen between its delete and its insert: outside of a transaction a find over shards may
        return
    group = found["group"]
    collection.update_one({"_id": one, "group": group}, change, session=session)


def _retried(act):
    while True:
        try:
            return act()
        except OperationFailure as error:
            if not is_transient(error):
                raise


def test_followed_collection_becomes_sharded(sharded_clusters):
    """The target shards it too."""
    pair = sharded_clusters
    documents = HotDocuments(pair.source_client)
    documents.fill()
    twin = pair.twin().start()
    twin.wait_for_state("replicating")
    documents.start()
    try:
        documents.shard(pair.source)
        documents.wait_for(100)
        documents.stop()
    finally:
        documents.halt()
    twin.finish()
    pair.assert_identical(sharding=True)
    assert pair.target_client["config"]["collections"].find_one({"_id": "hot.documents"})["key"] == {"group": 1, "_id": 1}


def test_orphans_written_past_the_router_are_ignored(hot):
    """A direct write to a shard, for a range that it does not own: no client of the cluster ever sees it."""
    pair, twin, documents = hot
    pair.source.move_chunk("hot.documents", {"group": 0, "_id": MinKey()}, to=pair.source.shards[0])
    with pair.source.shards[1].client() as direct:
        orphans = direct["hot"]["documents"]
        orphans.insert_many([{"_id": 1000 + n, "group": -1, "orphan": True} for n in range(20)])
        orphans.update_many({"orphan": True}, {"$set": {"n": 1}})
        orphans.delete_many({"_id": {"$lt": 1010}, "orphan": True})
    _stop_and_compare(pair, twin, documents)
    assert pair.target_client.hot.documents.count_documents({"orphan": True}) == 0


def test_balancer_and_moves_on_both_sides(sharded_clusters):
    """During the copy and while following, hot documents in the chunks that move."""
    pair = sharded_clusters
    documents = HotDocuments(pair.source_client)
    documents.shard(pair.source)
    documents.start()
    stopped, errors = threading.Event(), []

    def move(cluster):
        try:
            for n in itertools.count():
                if stopped.wait(0.2):
                    return
                if not cluster.client()["config"]["collections"].find_one({"_id": "hot.documents"}):
                    continue
                try:
                    cluster.move_chunk("hot.documents", {"group": n % 2, "_id": 0}, to=cluster.shards[n // 2 % len(cluster.shards)])
                except OperationFailure as refused:
                    if refused.code not in (CONFLICTING_OPERATION, STALE_CONFIG):
                        raise
        except Exception as error:  # noqa: BLE001 - shown below
            errors.append(error)

    movers = [threading.Thread(target=move, args=(cluster,)) for cluster in (pair.source, pair.target)]
    try:
        for mover in movers:
            mover.start()
        twin = pair.twin(copiers=1).start()
        twin.wait_for_state("replicating")
        documents.wait_for(400)
    finally:
        stopped.set()
        for mover in movers:
            mover.join()
        documents.halt()
    assert not errors
    _stop_and_compare(pair, twin, documents)
