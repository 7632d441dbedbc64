# SPDX-License-Identifier: Apache-2.0
"""From MongoDB 5.0 to the version in use, as before an upgrade: what 5.0 has and says in its own way arrives."""

from __future__ import annotations

import datetime

import pytest
from bson.son import SON
from cluster import ReplicaSet
from cluster.binaries import find_mongod, find_older_mongod, server_version
from pymongo.errors import OperationFailure

from e2e.pair import copy_and_follow

_MORNING = datetime.datetime(2024, 5, 1, 6)


@pytest.fixture(scope="module")
def older_source_set(base_dir):
    older = find_older_mongod()
    if older is None:
        pytest.skip("no mongod 5.0 here: scripts/mongod-5.0 installs it, on Linux on x86_64")
    if int(server_version(find_mongod()).split(".")[0]) <= 5:
        pytest.skip("the mongod in use is none of a later version")
    with ReplicaSet(name="older", base_dir=base_dir, mongod=older) as running:
        yield running


@pytest.fixture
def pair(make_pair, older_source_set, target_set):
    return make_pair(older_source_set, target_set)


def test_everything_is_copied_and_followed(pair):
    copy_and_follow(pair)


def test_definitions_and_commands_of_its_own(pair):
    """Made before the copy, and again while it is followed."""
    db = pair.source_client["d"]
    _define(db, "before")
    twin = pair.twin().start()
    twin.wait_for_state("replicating")
    _change(db, "before")
    _define(db, "after")
    _change(db, "after")
    twin.wait_caught_up(pair.source_client)
    twin.finish()
    pair.assert_identical()


def _define(db, name):
    db.command(SON([("create", f"{name}_images"), ("recordPreImages", True)]))
    db.command(SON([("create", f"{name}_capped"), ("capped", True), ("size", 1 << 20), ("max", 5)]))
    db.command(SON([("create", f"{name}_series"), ("timeseries", {"timeField": "at", "metaField": "host"})]))
    db[f"{name}_series"].insert_many(_points(0))
    db[f"{name}_plain"].insert_many([{"_id": n, "n": n % 7} for n in range(50)])
    db[f"{name}_plain"].create_index("n", expireAfterSeconds=10**6)
    db[f"{name}_capped"].insert_many([{"_id": n} for n in range(8)])


def _change(db, name):
    plain = db[f"{name}_plain"]
    db[f"{name}_images"].insert_one({"_id": 1})
    db[f"{name}_images"].update_one({"_id": 1}, {"$set": {"x": 1}})
    # Not on one that has other collMods to come: 6.0 takes the option, and the next collMod takes it away again.
    db.command("collMod", f"{name}_images", recordPreImages=name == "after")
    plain.find_one_and_update({"_id": 3}, {"$set": {"x": 3}})
    plain.find_one_and_delete({"_id": 4})
    db[f"{name}_series"].insert_many(_points(1))
    db[f"{name}_series"].delete_many({"host": 2})
    db.command("collMod", f"{name}_series", timeseries={"granularity": "minutes"})
    db[f"{name}_capped"].insert_many([{"_id": n} for n in range(10, 13)])
    db.command("cloneCollectionAsCapped", plain.name, toCollection=f"{name}_clone", size=1 << 16)
    db.command("convertToCapped", f"{name}_clone", size=1 << 15)
    db.command("collMod", plain.name, index={"name": "n_1", "expireAfterSeconds": 10**7, "hidden": True})
    with pytest.raises(OperationFailure):
        plain.create_index([("n", -1)], unique=True)
    with pytest.raises(OperationFailure):
        db[f"{name}_series"].create_index("host", unique=True)
    _apply_ops(db, plain)


def _apply_ops(db, plain):
    """As mongorestore --oplogReplay sends them; 5.0 logs them as they are."""
    ns = f"{db.name}.{plain.name}"
    for operation in (
        {"op": "i", "ns": ns, "o": {"_id": 5, "n": "replaces what is there"}},
        {"op": "u", "ns": ns, "o2": {"_id": 6}, "o": {"$v": 1, "$set": {"n": 66, "a.b": 1}}},
        {"op": "u", "ns": ns, "o2": {"_id": 600}, "o": {"_id": 600, "n": "was not there"}},
        {"op": "d", "ns": ns, "o": {"_id": 7}},
    ):
        db.client.admin.command("applyOps", [operation])


def _points(hour):
    at = _MORNING + datetime.timedelta(hours=hour)
    return [{"at": at + datetime.timedelta(minutes=n), "host": n % 4, "load": n * 0.5} for n in range(60)]
