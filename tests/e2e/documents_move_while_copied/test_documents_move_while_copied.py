# SPDX-License-Identifier: Apache-2.0
"""Documents get to another shard at the very moments when the initial copy looks where they are."""

from __future__ import annotations

import os
from typing import Any

import pytest
from bson import Timestamp
from cluster import ShardedCluster
from cluster.process import wait_until
from e2e.copying import THROTTLE_OFF
from e2e.failpoint import failpoint

PAD = os.urandom(4000)
HELD = {"copy": "0"}


def _other(pair: Any, name: str) -> str:
    return next(shard.name for shard in pair.source.shards if shard.name != name)


def _two_chunks(pair: Any, ns: str, key: str, middle: Any) -> list[str]:
    """One on each shard; the shards by their names, the lower chunk's first."""
    pair.source.shard_collection(ns, {key: 1})
    pair.source.split(ns, {key: middle})
    there = pair.source_client.config.chunks.find_one({f"min.{key}": middle})["shard"]
    first, second = sorted([there, _other(pair, there)])
    for value, name in ((middle - 1, first), (middle, second)):
        pair.source.move_chunk(ns, find={key: value}, to=name)
    return [first, second]


@pytest.fixture(scope="module")
def lagging(tmp_path_factory, needs_shards):
    """A cluster with one secondary a shard that can be read, and is not needed for a majority."""
    base = tmp_path_factory.mktemp("lagging")
    with ShardedCluster(name="lagging", base_dir=base, shards=2, members=3, set_parameters={"enableTestCommands": "1"}) as cluster:
        for shard in cluster.shards:
            with shard.client() as client:
                config = client.admin.command("replSetGetConfig")["config"]
                config["version"] += 1
                hidden = next(m for m in config["members"] if m["host"] != shard.primary().address)
                hidden.update(hidden=True, priority=0)
                client.admin.command("replSetReconfig", config)
        yield cluster
        cluster.kill()


def _visible_secondary(shard: Any) -> Any:
    hosts = shard.primary().hello()["hosts"]
    return next(m for m in shard.members if m.address in hosts and m != shard.primary())


def _timestamps(saved: Any) -> list[Timestamp]:
    if isinstance(saved, Timestamp):
        return [saved]
    inner = saved.values() if isinstance(saved, dict) else saved if isinstance(saved, list) else []
    return [ts for value in inner for ts in _timestamps(value)]


def test_the_member_that_is_read_has_not_got_the_chunk_yet(make_pair, lagging, target_set):
    """The recipient's inserts are not replayed: what it lacks now, the target would lack for ever."""
    pair = make_pair(lagging, target_set)
    first, second = _two_chunks(pair, "db.c", "_id", 1000)
    pair.source_client.db.c.insert_many([{"_id": n} for n in range(2000)])
    twin = pair.twin(read_preference="secondary", throttle=HELD).start()
    twin.wait_until(lambda s: s["copy"]["ranges_total"] > 0, "the copy is planned")
    start = pair.target_client.mongotwin.checkpoints.find_one()["positions"]
    late = _visible_secondary(lagging.shard(second))
    wait_until(lambda: late.hello()["lastWrite"]["majorityOpTime"]["ts"] >= max(_timestamps(start)), "it has the start of the copy", 30)
    with late.client() as direct, failpoint(direct, "rsSyncApplyStop") as stopped:
        stopped.wait_entered()
        pair.source.move_chunk("db.c", find={"_id": 0}, to=second)
        twin.command("throttle", THROTTLE_OFF)
        twin.wait_until(lambda s: s["state"] != "copying" or "is behind" in str(s["warnings"]), "it waits for that member")
    twin.finish()
    pair.assert_identical()


def test_a_primary_moves_while_its_collection_is_looked_for(sharded_clusters):
    """Between the look at the metadata and that at the shard: then it is nowhere, and yet not gone."""
    pair = sharded_clusters
    for name in ("one", "other"):
        pair.source_client.db[name].insert_many([{"_id": n} for n in range(1000)])
    there = pair.source_client.config.databases.find_one({"_id": "db"})["primary"]
    twin = pair.twin(throttle=HELD, copiers=1).start()
    twin.wait_until(lambda s: s["copy"]["ranges_total"] > 0, "the copy is planned")
    with pair.source.shard(there).client() as direct:
        with failpoint(direct, "failCommand", failCommands=["listCollections"], appName="mongotwin", blockConnection=True, blockTimeMS=4000) as blocked:
            twin.command("throttle", THROTTLE_OFF)
            blocked.wait_entered()  # for the one of the two that comes after the other
            pair.source.move_primary("db", to=_other(pair, there))
    twin.finish()
    pair.assert_identical()
    assert all(pair.target_client.db[name].count_documents({}) == 1000 for name in ("one", "other"))


def test_an_update_moves_a_document_from_a_shard_that_was_read_to_one_that_is_read_next(sharded_clusters):
    """It would be on the target twice, and no index would notice."""
    pair = sharded_clusters
    _two_chunks(pair, "db.c", "k", 2000)
    for first in range(0, 4000, 1000):
        pair.source_client.db.c.insert_many([{"_id": n, "k": n, "pad": PAD} for n in range(first, first + 1000)])
    twin = pair.twin(copiers=1, reading="id", throttle={"copy": "4MB"}).start()
    twin.wait_until(lambda s: s["copy"]["documents_done"] > 0, "its first documents have been read")
    twin.command("throttle", {"copy_bytes_per_second": 0})
    assert twin.status()["copy"]["documents_done"] < 1500, "the first shard has been read"
    pair.source_client.db.c.update_one({"_id": 0, "k": 0}, {"$set": {"k": 3999.5}})
    twin.command("throttle", THROTTLE_OFF)
    twin.finish()
    pair.assert_identical()
