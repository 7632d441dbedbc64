# SPDX-License-Identifier: Apache-2.0
"""Source and target change their roles under an application that never stops."""

from __future__ import annotations

import json
import threading

import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from e2e.application import uri_of
from e2e.failpoint import failpoint
from e2e.roles import expiry_of_sessions, finish_with_nothing_lost, kill_in, sides, switch_over
from e2e.twin import mongotwin

pytestmark = pytest.mark.since(6, 0)


def test_there_and_back(secured_pair, application):
    """Five times between clusters of one kind, and each way once where the layouts differ."""
    pair = secured_pair
    turns = 5 if type(pair.source) is type(pair.target) else 2
    pair.load(1500)
    app = application(pair)
    app.wait_for(50)
    twin = pair.twin().start()
    twin.wait_for_state("replicating")
    closed = []
    for turn in range(turns):
        app.wait_for(60)
        status = switch_over(twin)
        closed.append(status["handover"]["closed_ms"])
        assert status["roles_swapped"] == (turn % 2 == 0)
        app.wait_for(40, side=(turn + 1) % 2)
    app.stop()
    print(f"closed {closed} ms, for the application at most {app.closed_s():.2f} s, {len(app.acknowledged)} writes, {app.transfers} transfers")
    assert app.turns() == turns
    app.assert_one_side_at_a_time()
    finish_with_nothing_lost(pair, twin, app)


def test_the_follower_is_closed_and_expires_nothing(secured, application):
    secured.load(500)
    app = application(secured)
    twin = secured.twin().start()
    twin.wait_for_state("replicating")
    held = expiry_of_sessions(secured.target_client)
    assert held == 2147483647
    switch_over(twin)
    seconds = [expiry_of_sessions(c) for c in (secured.source_client, secured.target_client)]
    assert seconds == [2147483647, 3600], "held on the old source, given back on the new one"
    with MongoClient(uri_of(secured.source)) as as_user, pytest.raises(OperationFailure, match="blocked"):
        as_user.app.log.insert_one({})
    app.wait_for(20, side=1)
    app.stop()
    twin.finish()
    secured.assert_identical()
    with MongoClient(uri_of(secured.source)) as as_user:
        as_user.app.log.insert_one({"_id": "after finish"})  # it stands on its own again


def test_definitions_follow_in_the_other_direction(secured, application):
    secured.load(500)
    app = application(secured)
    twin = secured.twin().start()
    twin.wait_for_state("replicating")
    switch_over(twin)
    there = secured.target_client
    there.app.create_collection("made_there", capped=True, size=100_000)
    there.app.made_there.insert_many([{"_id": n} for n in range(50)])
    there.app.log.create_index("at", name="by_time")
    there.app.create_collection("half", viewOn="log", pipeline=[{"$match": {"at": {"$gt": 0}}}])
    there.app.accounts.rename("vault")
    there.app.vault.rename("accounts")
    there.shop.orders.drop()
    app.wait_for(30)
    app.stop()
    twin.wait_caught_up(there)
    app.assert_all_there(secured.source_client)
    twin.finish()
    secured.assert_identical()


def test_a_dry_run_changes_nothing_and_a_refusal_says_why(secured, application):
    secured.load(500)
    app = application(secured)
    twin = secured.twin().start()
    twin.wait_for_state("replicating")
    dry = mongotwin("switchover", "--dry-run", "--api", twin.api)
    assert dry.returncode == 0, dry.stderr
    for word in ("lag:", "primary", "closed for writes", "rights", "versions", "oplog holds", "everything is replicated"):
        assert word in dry.stdout, dry.stdout
    assert not twin.status()["roles_swapped"] and twin.status()["handover"] is None
    twin.pause()
    refused = mongotwin("switchover", "--api", twin.api)
    assert refused.returncode == 1 and "can't switch over while paused" in refused.stderr
    twin.resume()
    app.wait_for(10, side=0)
    done = mongotwin("switchover", "--api", twin.api)
    assert done.returncode == 0, done.stderr
    assert "switched over: writes were closed for" in done.stdout
    app.stop()
    twin.finish()
    secured.assert_identical()


def test_who_may_not_is_refused_by_name(secured):
    """With the roles that following needs, and no more."""
    secured.load(300)
    for cluster, roles in ((secured.source_client, ["backup", "clusterMonitor"]), (secured.target_client, ["readWriteAnyDatabase", "restore", "clusterMonitor"])):
        if cluster.admin.command("usersInfo", "follower")["users"]:
            cluster.admin.command("dropUser", "follower")
        cluster.admin.command("createUser", "follower", pwd="follower", roles=roles)
    uris = {name: cluster.uri.replace(cluster.auth.uri_prefix, "follower:follower@") for name, cluster in (("source", secured.source), ("target", secured.target))}
    twin = secured.twin(**uris).start()
    twin.wait_for_state("replicating")
    refused = mongotwin("switchover", "--api", twin.api)
    assert refused.returncode == 1
    assert 'source: mongotwin\'s user lacks the right "bypassWriteBlockingMode"' in refused.stderr, refused.stderr
    assert "REFUSED" in refused.stdout
    twin.finish()
    secured.assert_identical()


def test_the_documented_roles_are_enough(secured, application):
    secured.load(300)
    for client in (secured.source_client, secured.target_client):
        if client.admin.command("usersInfo", "switcher")["users"]:
            client.admin.command("dropUser", "switcher")
        client.admin.command("createUser", "switcher", pwd="switcher", roles=["backup", "restore", "readWriteAnyDatabase", "clusterMonitor", "hostManager"])
    uris = {name: cluster.uri.replace(cluster.auth.uri_prefix, "switcher:switcher@") for name, cluster in (("source", secured.source), ("target", secured.target))}
    app = application(secured)
    twin = secured.twin(**uris).start()
    twin.wait_for_state("replicating")
    switch_over(twin)
    app.wait_for(30, side=1)
    switch_over(twin)
    app.wait_for(30, side=0)
    app.stop()
    twin.finish()
    app.assert_all_there(secured.target_client)
    secured.assert_identical()


def test_writes_that_pass_the_block_are_applied_and_named(secured):
    """A client with the role root writes on, all the while; it stops when the roles have changed."""
    secured.load(500)
    twin = secured.twin().start()
    twin.wait_for_state("replicating")
    written, stopped = [], threading.Event()

    def write_on():
        with secured.source.client() as root:
            for n in range(100_000):
                if stopped.is_set() or (twin.status()["handover"] or {}).get("step") not in (None, "asked for", "closing", "draining"):
                    return
                root.app.passed.insert_one({"_id": n})
                written.append(n)

    writer = threading.Thread(target=write_on)
    writer.start()
    try:
        twin.command("switchover")
        status = twin.wait_until(lambda s: s["handover"] and s["handover"]["succeeded"] is not None and s["state"] == "replicating", "it is over")
    finally:
        stopped.set()
        writer.join()
    handover = status["handover"]
    text = json.dumps(handover)
    assert "app.passed" in text, text
    source, target = sides(secured, status)
    twin.wait_caught_up(source)
    if handover["succeeded"] and "and not on the new one" not in text:
        assert source.app.passed.count_documents({}) == len(written)
    elif not handover["succeeded"]:
        assert source == secured.source_client
        twin.finish()
        secured.assert_identical()


# The command in which a server lets mongotwin wait at each step: of the source or the target, after so many that pass.
_HANGS = {
    "closing": ("source", {"failCommands": ["setUserWriteBlockMode"]}, 0),
    "draining": ("source", {"failCommands": ["appendOplogNote"]}, 0),
    "verifying": ("target", {"failCommands": ["listCollections"]}, 0),
    "restoring": ("target", {"failCommands": ["collMod"]}, 0),
    "deciding": ("target", {"failCommands": ["find"], "namespace": "mongotwin.checkpoints"}, 0),
    "opening": ("target", {"failCommands": ["setUserWriteBlockMode"]}, 1),
}


@pytest.mark.parametrize("step", _HANGS)
def test_killed_at_each_step_it_goes_back_or_on(secured, application, step):
    secured.load(500)
    app = application(secured)
    twin = secured.twin().start()
    twin.wait_for_state("replicating")
    app.wait_for(30)
    where, command, passing = _HANGS[step]
    client = secured.source_client if where == "source" else secured.target_client
    kill_in(twin, client, "switchover", step, command, passing)
    twin.start()
    status = twin.wait_for_state("replicating")
    assert status["roles_swapped"] == (step == "opening")
    side = 1 if status["roles_swapped"] else 0
    app.wait_for(40, side=side)
    switch_over(twin)
    app.wait_for(40, side=1 - side)
    app.stop()
    app.assert_one_side_at_a_time()
    finish_with_nothing_lost(secured, twin, app)


def test_what_fails_on_the_way_is_put_back(secured, application):
    """The target refuses to give back what was held: everything is as before, and the next try succeeds."""
    secured.load(500)
    app = application(secured)
    twin = secured.twin().start()
    twin.wait_for_state("replicating")
    app.wait_for(30)
    refuse = {"failCommands": ["collMod"], "errorCode": 72, "appName": "mongotwin"}
    with failpoint(secured.target_client, "failCommand", mode={"times": 1}, **refuse):
        failed = mongotwin("switchover", "--api", twin.api)
    assert failed.returncode == 1
    assert "given up, everything was put back" in failed.stderr, failed.stderr
    twin.wait_for_state("replicating")
    app.wait_for(40, side=0)
    held = [expiry_of_sessions(c) for c in (secured.source_client, secured.target_client)]
    assert held == [3600, 2147483647]
    switch_over(twin)
    app.wait_for(40, side=1)
    app.stop()
    app.assert_one_side_at_a_time()
    twin.finish()
    app.assert_all_there(secured.source_client)
    secured.assert_identical()


def test_hooks_in_place_of_the_command(secured, tmp_path):
    """Where a server is older: the operator's commands close and open; which cluster they mean does not change with the roles."""
    secured.load(300)
    said = tmp_path / "said"
    hooks = {name: {way: f'echo {name} {way} "$MONGOTWIN_LINK" >> {said}' for way in ("close", "open")} for name in ("source", "target")}
    twin = secured.twin(hooks=hooks, link="hooked").start()
    twin.wait_for_state("replicating")
    switch_over(twin)
    assert said.read_text().split("\n")[:3] == ["target close hooked", "source close hooked", "target open hooked"]
    said.unlink()
    switch_over(twin)
    assert said.read_text().split("\n")[:3] == ["source close hooked", "target close hooked", "source open hooked"]
    twin.finish()
    secured.assert_identical()


def test_a_hook_that_fails_puts_everything_back(secured, tmp_path):
    secured.load(300)
    hooks = {"source": {"close": "echo no way >&2; exit 3", "open": "true"}, "target": {"close": "true", "open": "true"}}
    twin = secured.twin(hooks=hooks).start()
    twin.wait_for_state("replicating")
    failed = mongotwin("switchover", "--api", twin.api)
    assert failed.returncode == 1
    assert "the hook source.close ended with exit status 3" in failed.stderr, failed.stderr
    twin.finish()
    secured.assert_identical()
