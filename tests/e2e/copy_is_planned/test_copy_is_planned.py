# SPDX-License-Identifier: Apache-2.0
"""Into which ranges collections are cut, on servers that are slow, behind or ahead of what is committed."""

from __future__ import annotations

import datetime
import os

import pytest
from bson import Int64
from cluster import ReplicaSet
from e2e.failpoint import failpoint
from pymongo import WriteConcern

PAD = os.urandom(4000)
LARGE_PAD = b"x" * 300_000
HELD = {"copy": "0"}
LET_GO = {"copy_bytes_per_second": None}
MANY = 24_000  # more than those whose _ids are all listed; 98 MB of them


def _fill(collection, first, last, pad=PAD, **options):
    for n in range(first, last, 1000):
        collection.insert_many([{"_id": n, "pad": pad} for n in range(n, min(n + 1000, last))], **options)


def _planned(pair, **config):
    """A copy that is planned and held, and its ranges."""
    twin = pair.twin(throttle=HELD, **config).start()
    ranges = pair.target_client.mongotwin.copy_ranges
    twin.wait_until(lambda s: s["copy"]["ranges_total"] > 0 and ranges.count_documents({}) >= s["copy"]["ranges_total"], "the copy is planned")
    return twin, list(ranges.find(sort=[("n", 1)]))


def _finish(pair, twin):
    twin.command("throttle", LET_GO)
    twin.finish()
    pair.assert_identical()


def test_samples_that_are_newer_than_the_last_document(make_pair, tmp_path, target_set):
    """What samples see need not be committed yet: as if it had been inserted after the last document was looked for."""
    with ReplicaSet(name="ahead", base_dir=tmp_path, members=3, set_parameters={"enableTestCommands": "1"}) as source:
        pair = make_pair(source, target_set)
        documents = pair.source_client.big.growing
        _fill(documents, 0, MANY)
        secondaries = [m for m in source.members if m != source.primary()]
        with secondaries[0].client() as one, secondaries[1].client() as other, failpoint(one, "rsSyncApplyStop") as first, failpoint(other, "rsSyncApplyStop") as second:
            first.wait_entered()
            second.wait_entered()
            _fill(documents.with_options(write_concern=WriteConcern(w=1)), MANY, 2 * MANY)
            twin, ranges = _planned(pair)
        assert len(ranges) > 4
        bounds = [r["min"]["_id"] for r in ranges if "min" in r] + [r["max"]["_id"] for r in ranges if "max" in r]
        assert max(bounds) == MANY - 1, "a range begins above the last document"
        _finish(pair, twin)
        pair.close()
        source.kill()


def test_a_saved_range_whose_end_is_before_its_beginning(replica_sets):
    """As earlier versions have planned it, where documents came while they sampled."""
    pair = replica_sets
    _fill(pair.source_client.big.c, 0, 12_000)
    twin, ranges = _planned(pair)
    twin.kill()
    last = next(r for r in ranges if r.get("only_min"))
    before = next(r for r in ranges if r.get("max") == last["min"])
    saved = pair.target_client.mongotwin.copy_ranges
    saved.update_one({"_id": before["_id"]}, {"$set": {"min": {"_id": 20_000}}})
    saved.update_one({"_id": {"$ne": before["_id"]}, "max": before["min"]}, {"$set": {"max": {"_id": 20_000}}})
    twin.start()
    _finish(pair, twin)


def test_sampling_that_takes_too_long(replica_sets):
    pair = replica_sets
    _fill(pair.source_client.big.c, 0, MANY)
    with failpoint(pair.source_client, "failCommand", failCommands=["aggregate"], errorCode=50, namespace="big.c"):
        twin, ranges = _planned(pair)
        assert len(ranges) == 2, "without samples it is one range up to its last document, and that"
        _finish(pair, twin)


def test_of_few_documents_none_is_read_to_cut_them(replica_sets):
    """However large they are: their _ids are in the index."""
    pair = replica_sets
    for first in range(0, 320, 10):
        pair.source_client.big.files.insert_many([{"_id": n, "pad": LARGE_PAD} for n in range(first, first + 10)])

    def scanned():
        return pair.source_client.admin.command("serverStatus")["metrics"]["queryExecutor"]["scannedObjects"]

    before = scanned()
    twin, ranges = _planned(pair, reading="id")
    assert len(ranges) > 3
    assert scanned() - before < 100
    _finish(pair, twin)


def test_smallest_documents(replica_sets):
    """More than 100,000 in 2 MB, which a server does not take in one command."""
    tiny = replica_sets.source_client.big.tiny
    for first in range(0, 130_000, 10_000):
        tiny.insert_many([{"_id": Int64(n)} for n in range(first, first + 10_000)])
    twin = replica_sets.twin().start()
    twin.finish()
    replica_sets.assert_identical()


@pytest.mark.since(5, 3)
def test_clustered_collections_are_cut_by_id(replica_sets):
    """Their records have no numbers to go by, and one that grows faster than it is copied would have no end."""
    pair = replica_sets
    clustered = pair.source_client.big.create_collection("clustered", clusteredIndex={"key": {"_id": 1}, "unique": True})
    _fill(clustered, 0, 12_000)
    twin, ranges = _planned(pair, copiers=1, reading="natural")
    assert {r["by"] for r in ranges} == {"id"} and len(ranges) > 2
    _fill(clustered, 12_000, 16_000)
    twin.command("throttle", {"copy_bytes_per_second": None, "operations_per_second": 0})
    status = twin.wait_until(lambda s: s["state"] == "catching_up", "the copy has ended")
    assert status["copy"]["documents_done"] == 12_000
    twin.command("throttle", {"operations_per_second": None})
    twin.finish()
    pair.assert_identical()


def test_time_series_are_cut_by_id(replica_sets):
    pair = replica_sets
    pair.source_client.big.create_collection("points", timeseries={"timeField": "at", "metaField": "of"})
    start = datetime.datetime(2026, 1, 1)
    pair.source_client.big.points.insert_many([{"at": start + datetime.timedelta(hours=n), "of": n % 7, "v": n} for n in range(2000)])
    twin, ranges = _planned(pair)
    assert {r["by"] for r in ranges} == {"id"}
    _finish(pair, twin)


def test_a_collection_that_becomes_a_view_before_it_is_planned(replica_sets):
    pair = replica_sets
    db = pair.source_client.big
    _fill(db.a, 0, 2000)
    db.b.insert_one({"_id": 1})
    with failpoint(pair.target_client, "failCommand", failCommands=["create"], errorCode=91) as held:
        twin = pair.twin().start()
        held.wait_entered()  # its catalog has been read
        db.a.drop()
        db.create_collection("a", viewOn="b", pipeline=[])
    twin.finish()
    pair.assert_identical()
