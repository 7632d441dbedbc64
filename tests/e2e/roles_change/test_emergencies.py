# SPDX-License-Identifier: Apache-2.0
"""What an operator meets at 3 a.m. after a change of roles: a wrong direction, two mongotwins, a lost journal, a reader in the way, a shard more."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from cluster import Auth, ShardedCluster
from pymongo import MongoClient

from e2e.application import uri_of
from e2e.roles import expiry_of_sessions, kill_in, switch_over
from e2e.twin import mongotwin

pytestmark = pytest.mark.since(6, 0)


def _forget(client):
    client.mongotwin.checkpoints.delete_one({"_id": "twin"})


def test_a_copy_over_the_cluster_that_lives_is_refused(secured):
    """The state of the link is removed, as for a new copy, and the configuration still says the old direction."""
    secured.load(300)
    twin = secured.twin(on_existing_target="drop").start()
    twin.wait_for_state("replicating")
    switch_over(twin)
    twin.wait_caught_up(secured.target_client)
    assert twin.stop() == 0
    lives = secured.target_client
    lives.app.only_here.insert_one({"_id": 1})
    _forget(secured.source_client)
    for command in (("check",), ("run",)):
        refused = mongotwin(*command, "--config", twin.config_path)
        assert refused.returncode == 1
        assert "became the source" in refused.stderr and "swap `source` and `target`" in refused.stderr, refused.stderr
    assert lives.app.only_here.count_documents({}) == 1
    # The way out that it names.
    _forget(lives)
    other_way = secured.twin(source=secured.target.uri, target=secured.source.uri, on_existing_target="drop").start()
    other_way.wait_for_state("replicating")
    other_way.wait_caught_up(lives)
    other_way.finish()
    secured.assert_identical()
    assert secured.source_client.app.only_here.count_documents({}) == 1
    for client in (secured.source_client, lives):
        client.admin.command("setUserWriteBlockMode", **{"global": False})


@pytest.mark.parametrize("state", ["copying", "replicating"])
def test_the_mongotwin_that_was_started_last_works_on_the_pair(secured, state):
    """Two on one pair, as on two machines: the first one stops, and says why."""
    secured.load(300)
    writer = secured.write()
    first = secured.twin(throttle={"copy": "0"} if state == "copying" else {}).start()
    first.wait_for_state(state)
    second = secured.twin().start()
    second.wait_for_state("replicating")
    why = first.wait_failure()
    assert "another mongotwin has taken over the link" in why, why
    writer.stop()
    switch_over(second)
    assert first.status()["state"] == "failed"
    first.stop()
    second.finish()
    secured.assert_identical()


@pytest.mark.parametrize("killed_in", ["opening", "following"])
def test_the_new_source_is_lost_as_soon_as_it_is_one(mortal_sets, application, killed_in):
    """Decided, and it is gone before it was opened or before anything of it was read: the old one takes over again."""
    pair = mortal_sets
    pair.load(300)
    app = application(pair)
    app.only = 0
    twin = pair.twin().start()
    twin.wait_for_state("replicating")
    switch_over(twin)  # so that the mortal one is the target
    app.only = 1
    app.wait_for(30, side=1)
    app.stop()
    twin.wait_caught_up(pair.target_client)
    if killed_in == "opening":
        kill_in(twin, pair.source_client, "switchover", "opening", {"failCommands": ["setUserWriteBlockMode"]}, 1)
    else:
        # Written to it, and not read by anybody: the journal of the other direction is all that there is.
        switch_over(twin)
        twin.kill()
        shutil.rmtree(Path(twin.config_path).parent / "twin.journal")
    pair.source.kill()
    done = mongotwin("failover", "--config", twin.config_path)
    if killed_in == "following":
        assert done.returncode == 1
        assert "does not have what the source's shard" in done.stderr and "failover --force takes the target as it is" in done.stderr, done.stderr
        done = mongotwin("failover", "--force", "--config", twin.config_path)
        assert "taken as it is, by force" in done.stdout, done.stdout
    assert done.returncode == 0, done.stderr
    app.assert_all_there(pair.target_client)
    assert expiry_of_sessions(pair.target_client) == 3600
    with MongoClient(uri_of(pair.target)) as as_user:
        as_user.app.log.insert_one({"_id": "open"})
    again = mongotwin("failover", "--config", twin.config_path)
    assert again.returncode == 0 and "has failed over already" in again.stdout
    pair.source.start()
    twin.start()
    twin.wait_for_state("failed_over")
    done = mongotwin("rejoin", "--config", twin.config_path)
    assert done.returncode == 0, done.stderr
    twin.wait_caught_up(pair.target_client)
    twin.finish()
    pair.assert_identical()


def test_a_readers_transaction_does_not_keep_both_closed(secured, application):
    """The server closes for writes only when no transaction is open: the switch-over is given up in time, and everything is as before."""
    secured.load(300)
    app = application(secured)
    twin = secured.twin(switchover={"closed_max": 2}).start()
    twin.wait_for_state("replicating")
    app.wait_for(30)
    with secured.target_client.start_session() as session, session.start_transaction():
        secured.target_client.app.sessions.find_one({}, session=session)
        failed = mongotwin("switchover", "--api", twin.api)
        assert failed.returncode == 1
        assert "given up, everything was put back" in failed.stderr and "open transactions" in failed.stderr, failed.stderr
        twin.wait_for_state("replicating")
        app.wait_for(30, side=0)  # open, while the reader is still there
    assert app.closed_s() < 20
    assert [expiry_of_sessions(c) for c in (secured.source_client, secured.target_client)] == [3600, 2147483647]
    switch_over(twin)
    app.wait_for(30, side=1)
    app.stop()
    app.assert_one_side_at_a_time()
    twin.finish()
    app.assert_all_there(secured.source_client)
    secured.assert_identical()


def test_a_shard_that_the_target_got_is_followed_from_the_switch_over_on(secured_source_set, make_pair, base_dir, needs_shards):
    """What mongotwin itself has written through it is not taken for news."""
    with ShardedCluster(name="grown", base_dir=base_dir / "grown", shards=1, auth=Auth("admin", "gr0wn")) as target:
        pair = make_pair(secured_source_set, target)
        pair.source_client.admin.command("setUserWriteBlockMode", **{"global": False})
        pair.load(500)
        twin = pair.twin().start()
        twin.wait_for_state("replicating")
        shard = target.add_shard()
        target.move_primary("shop", to=shard)
        orders = pair.source_client.shop.orders
        orders.update_many({}, {"$set": {"before": 1}})
        orders.update_many({}, {"$set": {"before": 2}})
        twin.wait_caught_up(pair.source_client)
        status = switch_over(twin)
        assert shard.name in status["positions"], status["positions"]
        pair.target_client.shop.orders.update_many({}, {"$set": {"after": 1}})
        pair.target_client.shop.orders.delete_one({})
        twin.wait_shards_caught_up(target)
        assert pair.source_client.shop.orders.count_documents({"before": 2, "after": 1}) == pair.target_client.shop.orders.count_documents({})
        twin.finish()
        pair.assert_identical()
        pair.close()
