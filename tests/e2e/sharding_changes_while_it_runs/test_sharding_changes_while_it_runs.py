# SPDX-License-Identifier: Apache-2.0
"""Chunks, primaries and shard keys of the source change under load; logically nothing changes."""

from __future__ import annotations

import itertools
import threading

import pytest


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
