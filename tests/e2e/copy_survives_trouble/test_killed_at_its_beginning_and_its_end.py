# SPDX-License-Identifier: Apache-2.0
"""kill -9 and an election at once, where a copy has no ranges to go on with: before its plan is saved, and while it builds
indexes."""

from __future__ import annotations

import pytest
from cluster import ReplicaSet
from e2e.copying import assert_went_on
from e2e.failpoint import failpoint

MEMBERS = 3
SHUTDOWN_IN_PROGRESS = 91  # it is waited for


@pytest.fixture(scope="module")
def three_members(base_dir):
    """A cluster that can elect, and be told where to stop."""
    with ReplicaSet(name="three", base_dir=base_dir / "three", members=MEMBERS, set_parameters={"enableTestCommands": "1"}) as cluster:
        yield cluster


def test_before_the_plan_is_saved(make_pair, three_members, target_set):
    """Nothing of the first try may be left, not even what the source has dropped since."""
    pair = make_pair(three_members, target_set)
    pair.load(2000)
    dropped = pair.source_client["gone"]["later"]
    dropped.insert_one({"_id": 1})
    dropped.create_index("n", name="n", unique=True, expireAfterSeconds=10**8)
    twin = pair.twin()
    primary = three_members.wait_primary()
    no_sizes = {"failCommands": ["collStats"], "errorCode": SHUTDOWN_IN_PROGRESS, "appName": "mongotwin"}
    with primary.client() as client:
        with failpoint(client, "failCommand", **no_sizes) as hang:
            twin.start()
            hang.wait_entered()
            assert "later" in pair.target_client["gone"].list_collection_names(), "the target's collections are there already"
            assert not pair.target_client["mongotwin"]["checkpoints"].find_one({"_id": "twin"}).get("copy_planned")
            twin.kill()
            three_members.step_down()
    dropped.drop()
    pair.source_client["shop"]["stores"].rename("shops")
    writer = pair.write(rate=100)
    twin.start()
    twin.wait_for_state("replicating")
    assert "starting again from zero, since it had not planned its ranges yet" in twin.log()
    assert "gone" not in pair.target_client.list_database_names()
    pair.finish_and_compare(twin, writer)
    pair.close()


@pytest.mark.parametrize("killed", [False, True], ids=["an election alone", "killed too"])
def test_while_it_builds_indexes(make_pair, source_set, three_members, killed):
    pair = make_pair(source_set, three_members)
    pair.load(2000)
    things = pair.source_client["builds"]["things"]
    things.insert_many([{"_id": n, "n": n} for n in range(500)])
    things.create_index("n", name="by n")
    things.create_index([("n", 1), ("_id", 1)], name="unique", unique=True)
    writer = pair.write(rate=100, ddl=0)
    twin = pair.twin()
    primary = three_members.wait_primary()
    with primary.client() as client:
        with failpoint(client, "hangAfterStartingIndexBuild") as hang:
            twin.start()
            hang.wait_entered()
            twin.wait_until(lambda s: s["index_builds"], "an index is built")
            if killed:
                twin.kill()
            three_members.step_down()
            if killed:
                twin.start()
            hang.off()
    twin.wait_for_state("replicating")
    assert_went_on(twin, int(killed))
    pair.finish_and_compare(twin, writer)
    pair.close()
