# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import json

from e2e.twin import mongotwin


def test_pause_holds_the_target_still(replica_sets):
    replica_sets.load()
    twin = replica_sets.twin().start()
    twin.wait_for_state("replicating")
    writer = replica_sets.write()
    twin.wait_for_applied(100)
    twin.pause()
    before = _digests(replica_sets)
    writer.wait_for(400)
    assert _digests(replica_sets) == before
    assert twin.state == "paused"
    twin.resume()
    replica_sets.finish_and_compare(twin, writer)


def _digests(pair):
    return {name: pair.target_client[name].command("dbHash")["md5"] for name in ("shop", "crm", "logs")}


def test_paused_survives_a_restart_of_nothing(replica_sets):
    """Stopped while paused and started again, it loses nothing."""
    replica_sets.load()
    twin = replica_sets.twin().start()
    twin.wait_for_state("replicating")
    writer = replica_sets.write()
    twin.pause()
    writer.wait_for(200)
    assert twin.stop() == 0
    twin.start()
    if twin.wait_for_state("replicating", "paused")["state"] == "paused":
        twin.resume()
    replica_sets.finish_and_compare(twin, writer)


def test_commands_do_what_the_api_does(replica_sets):
    replica_sets.load(1000)
    twin = replica_sets.twin().start()
    twin.wait_for_state("replicating")
    for name, state in (("pause", "paused"), ("resume", "replicating"), ("finish", "finished")):
        ran = mongotwin(name, "--api", twin.api)
        assert ran.returncode == 0, ran.stderr
        twin.wait_for_state(state)
    shown = mongotwin("status", "--api", twin.api, "--json")
    assert json.loads(shown.stdout)["state"] == "finished"
    assert "finished" in mongotwin("status", "--api", twin.api).stdout
    replica_sets.assert_identical()


def test_nothing_brings_a_finished_one_back(replica_sets):
    replica_sets.load(1000)
    twin = replica_sets.twin().start()
    twin.wait_for_state("replicating")
    twin.finish()
    for name in ("resume", "pause", "finish"):
        with contextlib.suppress(RuntimeError):  # refused or without effect
            twin.command(name)
        assert twin.state == "finished"


def test_nobody_answers(tmp_path):
    ran = mongotwin("status", "--api", "127.0.0.1:1")
    assert ran.returncode == 1
    assert "127.0.0.1:1" in ran.stderr


def test_paused_is_said_when_nothing_is_under_way_any_more(replica_sets):
    """The target hangs with writes on their way to it: they may land at any moment, so it is not paused yet."""
    replica_sets.load(1000)
    twin = replica_sets.twin().start()
    twin.wait_for_state("replicating")
    primary = replica_sets.target.wait_primary()
    primary.pause()
    try:
        replica_sets.source_client["shop"]["stores"].insert_one({"_id": "on its way"})
        twin.wait_until(lambda status: _at(status, "planned") > _at(status, "applied"), "writes on their way")
        twin.command("pause")
        twin.wait_until(lambda status: status["state"] != "paused" and "pausing" in status["detail"], "it says that it is pausing")
    finally:
        primary.resume()
    twin.wait_for_state("paused")
    assert replica_sets.target_client["shop"]["stores"].find_one({"_id": "on its way"})
    twin.resume()
    replica_sets.finish_and_compare(twin)


def _at(status, position):
    (shard,) = status["positions"].values()
    return shard[position]["t"], shard[position]["i"]
