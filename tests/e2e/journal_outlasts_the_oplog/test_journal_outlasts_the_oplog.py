# SPDX-License-Identifier: Apache-2.0
"""What has been read is kept at the target's side: the source may forget it, or be gone."""

from __future__ import annotations

import os

import pytest
from cluster import ReplicaSet
from cluster.process import wait_until
from pymongo.errors import PyMongoError

OPLOG_MB = 16


@pytest.fixture
def forgetful(make_pair, base_dir, target_set):
    """A source whose oplog holds little."""
    with ReplicaSet(name="forgetful", base_dir=base_dir / "forgetful", oplog_mb=OPLOG_MB) as source:
        pair = make_pair(source, target_set)
        yield pair
        pair.close()


def _oldest(client):
    return client.local["oplog.rs"].find_one(sort=[("$natural", 1)])["ts"]


def _churn_until_forgotten(client, ts):
    """Writes several times what the oplog may hold; the server cuts it about once a minute."""
    docs = client.churn.docs
    for n in range(0, OPLOG_MB * 1500, 500):
        docs.insert_many([{"_id": n + i, "pad": "x" * 2000} for i in range(500)])
        docs.update_many({"_id": {"$gte": n}}, {"$inc": {"times": 1}})
        docs.delete_many({"_id": {"$lt": n - 1000}})

    def forgotten():
        docs.insert_one({"pad": "x" * 2000})
        return _oldest(client) > ts

    wait_until(forgotten, f"the oplog no longer holds {ts}", 180)


def _now(client):
    return client.admin.command("ping")["operationTime"]


def test_copy_that_takes_longer_than_the_oplog_holds(forgetful):
    forgetful.load(20_000)
    started = _now(forgetful.source_client)
    twin = forgetful.twin(throttle={"copy": 0}).start()
    twin.wait_until(lambda s: s["state"] == "copying" and s["copy"]["ranges_total"] > 0, "the copy stands")
    writer = forgetful.write()
    _churn_until_forgotten(forgetful.source_client, started)
    now = _now(forgetful.source_client)
    twin.wait_until(lambda s: s["journal"]["bytes"] > (OPLOG_MB << 20) // 2, "the journal holds what the source forgot")
    twin.kill()
    twin.start()
    twin.wait_until(lambda s: s["state"] == "copying" and s["copy"]["ranges_total"] > 0, "the copy goes on")
    twin.command("throttle", {"copy_bytes_per_second": None})
    twin.wait_for_state("replicating")
    assert "going on with a copy" in twin.log()
    assert _oldest(forgetful.source_client) > started and now > started
    forgetful.finish_and_compare(twin, writer)


def test_everything_that_was_read_is_applied_without_the_source(make_pair, base_dir, target_set):
    with ReplicaSet(name="doomed", base_dir=base_dir / "doomed") as source:
        pair = make_pair(source, target_set)
        pair.load(2000)
        twin = pair.twin().start()
        twin.wait_for_state("replicating")
        twin.wait_caught_up(pair.source_client)
        twin.command("throttle", {"operations_per_second": 0})
        for n in range(40):
            pair.source_client.last.words.insert_many([{"_id": n * 500 + i, "pad": "x" * 500} for i in range(500)])
            pair.source_client.last.words.update_many({"_id": {"$lt": n * 10}}, {"$inc": {"n": 1}})
        expected = list(pair.source_client.last.words.find(sort=[("_id", 1)]))
        now = _now(pair.source_client)
        twin.wait_until(lambda s: all((p["read"]["t"], p["read"]["i"]) >= (now.time, now.inc) for p in s["positions"].values()), "everything is read")
        assert pair.target_client.last.words.count_documents({}) < len(expected)
        for member in source.members:
            member.kill()
        with pytest.raises(PyMongoError):
            source.client(serverSelectionTimeoutMS=200).admin.command("ping")
        twin.command("throttle", {"operations_per_second": None})
        twin.wait_until(lambda s: all((p["applied"]["t"], p["applied"]["i"]) >= (now.time, now.inc) for p in s["positions"].values()), "everything is applied")
        assert list(pair.target_client.last.words.find(sort=[("_id", 1)])) == expected
        for member in source.members:
            member.start()
        source.wait_primary()
        pair.close()


def _write_until_full(twin, docs, first):
    while not twin.status()["journal"]["full"]:
        docs.insert_many([{"_id": first + i, "pad": os.urandom(2000)} for i in range(500)])
        first += 500


def test_full_journal_stops_reading_and_says_so(replica_sets):
    replica_sets.load(2000)
    twin = replica_sets.twin(throttle={"operations": 0}, journal={"size_limit": "10MB"}).start()
    twin.wait_for_state("catching_up")
    _write_until_full(twin, replica_sets.source_client.much.docs, first=0)
    status = twin.wait_until(lambda s: any("reading pauses" in w for w in s["warnings"]), "the warning is there")
    assert any("the oplog of" in w and "lasts about" in w for w in status["warnings"])
    assert status["journal"]["bytes"] >= 10_000_000
    twin.kill()
    twin.start()
    twin.wait_for_state("catching_up")
    _write_until_full(twin, replica_sets.source_client.much.docs, first=1_000_000)
    twin.command("throttle", {"operations_per_second": None})
    twin.wait_for_state("replicating")
    twin.wait_caught_up(replica_sets.source_client)
    twin.wait_until(lambda s: not s["journal"]["full"] and s["journal"]["bytes"] < 5_000_000, "the journal is trimmed")
    replica_sets.finish_and_compare(twin)
