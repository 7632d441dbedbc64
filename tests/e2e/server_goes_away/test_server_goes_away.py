# SPDX-License-Identifier: Apache-2.0
"""A server that goes away after the start is waited for, with the reason in the status."""

from __future__ import annotations

import json

import pytest
from cluster import ReplicaSet


@pytest.mark.parametrize("side", ["source", "target"])
def test_killed_server_is_waited_for(replica_sets, side):
    replica_sets.load()
    twin = replica_sets.twin().start()
    twin.wait_for_state("replicating")
    writer = replica_sets.write()
    twin.wait_for_applied(100)
    member = getattr(replica_sets, side).members[0]
    member.kill()
    try:
        twin.wait_until(lambda status: _names(status, member.port), f"the status names the lost {side}", timeout=60)
    finally:
        member.start()
        getattr(replica_sets, side).wait_primary()
    writer.wait_for(200)
    replica_sets.finish_and_compare(twin, writer)


def _names(status, port):
    return str(port) in json.dumps([status.get("detail"), status["warnings"], status["error"]])


def test_target_goes_away_in_the_copy(replica_sets):
    replica_sets.load(40_000)
    twin = replica_sets.twin(copiers=2).start()
    twin.wait_until(lambda s: s["state"] == "copying" and s["copy"]["documents_done"] > 0, "the copy is under way")
    member = replica_sets.target.members[0]
    member.kill()
    member.start()
    replica_sets.target.wait_primary()
    replica_sets.finish_and_compare(twin)


def test_elections_on_both_sides(make_pair, tmp_path):
    with ReplicaSet(name="source3", base_dir=tmp_path, members=3) as source:
        with ReplicaSet(name="target3", base_dir=tmp_path, members=3) as target:
            pair = make_pair(source, target)
            pair.load()
            twin = pair.twin().start()
            twin.wait_for_state("replicating")
            writer = pair.write(rate=150)
            for one in (source, target, source, target):
                twin.wait_for_applied(60)
                one.step_down()
            twin.wait_for_applied(60)
            pair.finish_and_compare(twin, writer)
            pair.close()
