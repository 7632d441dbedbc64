# SPDX-License-Identifier: Apache-2.0
"""What has been read is kept at the target's side: the source may forget it, or be gone."""

from __future__ import annotations

import os

import pytest
from cluster import ReplicaSet
from e2e.forgetting import forget_history
from pymongo.errors import PyMongoError

DOCUMENTS = 20_000


def _oldest(client):
    return client.local["oplog.rs"].find_one(sort=[("$natural", 1)])["ts"]


def _now(client):
    return client.admin.command("ping")["operationTime"]


def _is_read(ts):
    return lambda status: all((p["read"]["t"], p["read"]["i"]) >= (ts.time, ts.inc) for p in status["positions"].values())


def test_copy_that_takes_longer_than_the_oplog_holds(make_pair, base_dir, target_set):
    with ReplicaSet(name="forgetful", base_dir=base_dir / "forgetful") as source:
        pair = make_pair(source, target_set)
        pair.load(DOCUMENTS)
        twin = pair.twin(throttle={"copy": 0}).start()
        twin.wait_until(lambda s: s["state"] == "copying" and s["copy"]["ranges_total"] > 0, "the copy stands")
        started = _now(pair.source_client)
        writer = pair.write()
        writer.wait_for(500)
        writer.stop()
        now = _now(pair.source_client)
        twin.wait_until(_is_read(now), "the journal holds what the source forgets")
        assert forget_history(source, now) > DOCUMENTS
        assert _oldest(pair.source_client) >= now > started
        after = pair.write()
        twin.kill()
        twin.start()
        twin.wait_until(lambda s: s["state"] == "copying" and s["copy"]["ranges_total"] > 0, "the copy goes on")
        twin.command("throttle", {"copy_bytes_per_second": None})
        twin.wait_for_state("replicating")
        assert "going on with a copy" in twin.log()
        pair.finish_and_compare(twin, after)
        pair.close()


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
        twin.wait_until(_is_read(now), "everything is read")
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


def test_history_that_is_lost_while_the_journal_is_full_is_said_at_once(make_pair, base_dir, target_set):
    """And not when there is room again, after a copy of hours that was for nothing."""
    with ReplicaSet(name="overtaken", base_dir=base_dir / "overtaken") as source:
        pair = make_pair(source, target_set)
        pair.load(2000)
        twin = pair.twin(throttle={"copy": 0}, journal={"size_limit": "10MB"}).start()
        twin.wait_until(lambda s: s["state"] == "copying" and s["copy"]["ranges_total"] > 0, "the copy stands")
        _write_until_full(twin, pair.source_client.much.docs, first=0)
        pair.source_client.much.docs.insert_many([{"_id": -1 - n, "pad": "x" * 2000} for n in range(5000)])
        assert forget_history(source) > 5000
        assert "history is lost" in twin.wait_failure()
        twin.stop()
        twin.start()
        twin.command("throttle", {"copy_bytes_per_second": None})
        twin.wait_for_state("replicating")
        assert "starting again from zero" in twin.log()
        pair.finish_and_compare(twin)
        pair.close()
