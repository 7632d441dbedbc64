# SPDX-License-Identifier: Apache-2.0
"""Collections change their definition in the middle of their ranges, and others that are still to be copied; kill -9
right after every other of them. The names of the acts say what happens, each in a database of its own."""

from __future__ import annotations

from random import Random
from typing import Any, Callable, Optional

import pytest
from bson import MinKey
from e2e.copying import HELD, THROTTLE_OFF, assert_went_on, documents_done, fill_large
from pymongo.database import Database

LARGE, LATER = "large", "later"  # in the middle of its ranges; still to be copied
LARGE_DOCUMENTS = 180
RATE = 15_000_000
CAPPED = {"capped": True, "size": 100_000_000}
Act = Callable[[Database, Any], None]
ACTS: list[Act] = []
SHARDED_ACTS: list[Act] = []


def act(of: Act) -> Act:
    ACTS.append(of)
    return of


def sharded_act(of: Act) -> Act:
    SHARDED_ACTS.append(of)
    return of


def _other_data(db: Database, name: str, count: int = 150) -> None:
    """The _ids of before, and other values."""
    db[name].insert_many([{"_id": n, "n": -n, "other": True} for n in range(count)])


# ---- what happens: act(database, cluster)


@act
def dropped_and_recreated(db: Database, cluster: Any) -> None:
    for name in (LARGE, LATER):
        db[name].drop()
        db[name].create_index("n", unique=True)
        _other_data(db, name)
        db[name].update_one({"_id": 3}, {"$set": {"n": "three"}})


@act
def emptied_and_refilled(db: Database, cluster: Any) -> None:
    for name in (LARGE, LATER):
        db[name].delete_many({})
        _other_data(db, name)
        db[name].delete_one({"_id": 5})


@act
def renamed_over_one_to_come(db: Database, cluster: Any) -> None:
    db[LARGE].rename(LATER, dropTarget=True)
    db[LATER].update_many({"_id": {"$lt": 20}}, {"$set": {"renamed": True}})
    db[LATER].delete_many({"_id": {"$gt": 160}})
    _other_data(db, LARGE)  # the name is used again


@act
def renamed_there_and_back(db: Database, cluster: Any) -> None:
    db[LATER].rename("swap")
    db[LARGE].rename(LATER)
    db["swap"].rename(LARGE)
    for name in (LARGE, LATER):
        db[name].insert_one({"_id": "after", "in": name})
        db[name].update_many({"_id": {"$lt": 10}}, {"$set": {"in": name}})


@act
def indexed(db: Database, cluster: Any) -> None:
    for name in (LARGE, LATER):
        db[name].create_index("n", unique=True, name="unique")
        db[name].create_index("at", expireAfterSeconds=1_000_000_000)
        db[name].create_index([("word", "text")])
        db[name].drop_index("old_1")
        db[name].update_one({"_id": 1}, {"$set": {"n": 100_001}})
        db[name].update_one({"_id": 2}, {"$set": {"n": 1}})
        db[name].drop_index("unique")
        db[name].insert_many([{"_id": f"double {n}", "n": 7} for n in range(2)])
        db[name].create_index("n", name="unique", unique=True, partialFilterExpression={"n": {"$gt": 100}})


@act
def capped_and_recreated(db: Database, cluster: Any) -> None:
    for name in (LARGE, LATER):
        db[name].drop()
        db.create_collection(name, **CAPPED)
        db[name].insert_many([{"_id": n * 7919 % 301} for n in range(300)])


@act
def database_dropped_and_recreated(db: Database, cluster: Any) -> None:
    db.client.drop_database(db.name)
    _other_data(db, LATER)
    db["new"].insert_one({"_id": 1})


@act
def replaced_by_views(db: Database, cluster: Any) -> None:
    db["seen"].drop()
    _other_data(db, "seen")
    for name in (LARGE, LATER):
        db[name].drop()
        db.create_collection(name, viewOn="seen", pipeline=[{"$match": {"n": {"$lt": -3}}}])
    db["seen"].insert_one({"_id": "after"})


@sharded_act
def sharded(db: Database, cluster: Any) -> None:
    """And a chunk moves to a shard that the copy has not seen this collection on."""
    for name in (LARGE, LATER):
        ns = f"{db.name}.{name}"
        db[name].create_index([("n", 1), ("_id", 1)])
        cluster.shard_collection(ns, {"n": 1, "_id": 1})
        cluster.split(ns, {"n": 100, "_id": MinKey()})
        cluster.move_chunk(ns, find={"n": 100, "_id": 0}, to=_other_shard(db, cluster))
        db[name].update_many({}, {"$set": {"seen": True}})
        db[name].delete_many({"n": {"$gt": 160}})


@sharded_act
def primary_moved(db: Database, cluster: Any) -> None:
    cluster.move_primary(db.name, to=_other_shard(db, cluster))
    for name in (LARGE, LATER):
        db[name].update_many({"_id": {"$gt": 20}}, {"$set": {"moved": True}})
        db[name].delete_many({"_id": {"$gt": 160}})


def _other_shard(db: Database, cluster: Any) -> Any:
    primary = db.client["config"]["databases"].find_one({"_id": db.name})["primary"]
    return next(shard for shard in cluster.shards if shard.name != primary)


# ---- the test


def _create(db: Database, what: Act) -> None:
    """LATER is listed, and so copied, behind LARGE; the server lists by UUID."""
    options = CAPPED if what is capped_and_recreated else {}
    db.create_collection(LARGE, **options)
    while True:
        db.create_collection(LATER, **options)
        names = db.list_collection_names()
        if names.index(LATER) > names.index(LARGE):
            break
        db[LATER].drop()
    fill_large(db[LARGE], LARGE_DOCUMENTS)
    db[LATER].insert_many([{"_id": n, "n": n, "old": True} for n in range(400)])
    for name in (LARGE, LATER):
        db[name].create_index("old")
    db.create_collection("seen", viewOn=LATER, pipeline=[{"$match": {"n": 1}}])


@pytest.mark.parametrize("pair_name", ["replica_sets", "sharded_clusters"])
def test_in_the_middle_of_the_ranges(request, pair_name):
    pair = request.getfixturevalue(pair_name)
    rng = Random(pair_name)
    acts = [*ACTS, *SHARDED_ACTS] if pair.sharded else ACTS
    left = {f"copied_{number}_{one.__name__}": one for number, one in enumerate(acts)}
    for name, one in left.items():
        _create(pair.source_client[name], one)
    middle = {name: rng.uniform(0.2, 0.6) * LARGE_DOCUMENTS for name in left}
    twin = pair.twin(copiers=1, throttle={"copy": f"{RATE}B"}).start()
    kills = 0
    while left:  # in the copy's own order
        status = twin.wait_until(lambda s: _in_the_middle(s, middle, left), "one is in the middle of its ranges")
        twin.command("throttle", HELD)
        name = _in_the_middle(status, middle, left)
        status = twin.status()
        assert documents_done(status, f"{name}.{LARGE}") < LARGE_DOCUMENTS and documents_done(status, f"{name}.{LATER}") == 0
        one = left.pop(name)
        one(pair.source_client[name], pair.source)
        if (acts.index(one) + pair.sharded) % 2 == 0:  # each on one of the two pairs
            twin.kill()
            twin.start()
            kills += 1
        else:
            twin.command("throttle", {"copy_bytes_per_second": RATE})
    twin.command("throttle", THROTTLE_OFF)
    twin.wait_for_state("catching_up", "replicating")
    twin.kill()
    twin.start()
    assert_went_on(twin, kills)
    twin.finish()
    pair.assert_identical(sharding=pair.sharded)


def _in_the_middle(status: Any, middle: dict[str, float], left: dict[str, Act]) -> Optional[str]:
    return next((name for name in left if documents_done(status, f"{name}.{LARGE}") >= middle[name]), None)
