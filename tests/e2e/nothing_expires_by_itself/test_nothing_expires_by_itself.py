# SPDX-License-Identifier: Apache-2.0
"""A passive target expires nothing, takes the source's deletes, and gets its own expiry back in the end."""

from __future__ import annotations

import datetime

import pytest
from cluster.process import wait_until

LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
COUNT = 50


def _let_expire(client, allowed):
    client.admin.command("setParameter", 1, ttlMonitorEnabled=allowed)


def _wait_for_passes(client, more=2):
    """Two whole ones, counted from now: whatever expires has done so."""

    def passes():
        return client.admin.command("serverStatus")["metrics"]["ttl"]["passes"]

    goal = passes() + more
    wait_until(lambda: passes() >= goal, "the TTL monitor has run", 60)


@pytest.fixture
def impatient(replica_sets):
    """The source's monitor waits for its sign, the target's runs every second."""
    _let_expire(replica_sets.source_client, False)
    yield replica_sets
    _let_expire(replica_sets.source_client, True)


def _make(db, prefix):
    old = [{"_id": LONG_AGO + datetime.timedelta(seconds=n), "t": LONG_AGO, "at": LONG_AGO} for n in range(COUNT)]
    db[f"{prefix}_indexed"].create_index("at", name="at", expireAfterSeconds=60)
    db[f"{prefix}_indexed"].create_index("t", name="partly", expireAfterSeconds=3600, partialFilterExpression={"old": True})
    db[f"{prefix}_changed"].create_index("at", name="at", expireAfterSeconds=10**9)
    db[f"{prefix}_made"].create_index("at", name="at")
    db.command("create", f"{prefix}_clustered", clusteredIndex={"key": {"_id": 1}, "unique": True}, expireAfterSeconds=60)
    db.create_collection(f"{prefix}_series", timeseries={"timeField": "t"}, expireAfterSeconds=60)
    for kind in ("indexed", "changed", "made", "clustered", "series"):
        db[f"{prefix}_{kind}"].insert_many(old)


def _begin_to_expire(db, prefix):
    db.command("collMod", f"{prefix}_changed", index={"name": "at", "expireAfterSeconds": 61})
    db.command("collMod", f"{prefix}_made", index={"name": "at", "expireAfterSeconds": 62})


def _counts(client):
    db = client["expiring"]
    return {name: db[name].count_documents({}) for name in db.list_collection_names() if not name.startswith("system.")}


@pytest.mark.since(6, 0)  # clustered collections, and expiry by collMod on a plain index
def test_until_it_is_finished(impatient):
    db = impatient.source_client["expiring"]
    _make(db, "copied")
    twin = impatient.twin().start()
    twin.wait_for_state("replicating")
    _make(db, "live")
    for prefix in ("copied", "live"):
        _begin_to_expire(db, prefix)
    twin.wait_caught_up(impatient.source_client)
    everything = {f"{p}_{kind}": COUNT for p in ("copied", "live") for kind in ("indexed", "changed", "made", "clustered", "series")}
    _wait_for_passes(impatient.target_client)
    assert _counts(impatient.target_client) == everything == _counts(impatient.source_client)

    twin.kill()
    twin.start()
    twin.wait_for_state("replicating")
    db["live_indexed"].insert_one({"_id": "stays", "at": "no date"})
    _let_expire(impatient.source_client, True)
    wait_until(lambda: sum(_counts(impatient.source_client).values()) == 1, "everything old has expired on the source", 60)
    twin.wait_caught_up(impatient.source_client)
    assert _counts(impatient.target_client) == _counts(impatient.source_client)

    twin.finish()
    impatient.assert_identical()
    impatient.target_client["expiring"]["live_made"].insert_one({"_id": 1, "at": LONG_AGO})
    _wait_for_passes(impatient.target_client)
    assert impatient.target_client["expiring"]["live_made"].count_documents({}) == 0, "expiry works again"
