# SPDX-License-Identifier: Apache-2.0
"""The balancers of both clusters stand still while documents are copied, and are then as they were found, whatever happened."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager

import pytest
from cluster import ShardedCluster
from e2e.failpoint import failpoint
from e2e.twin import mongotwin

DOCUMENTS = 400


@pytest.fixture
def pair(sharded_clusters):
    pair = sharded_clusters
    pair.source.shard_collection("shop.things", {"_id": 1})
    pair.source_client.shop.things.insert_many([{"_id": n, "pad": os.urandom(1000)} for n in range(DOCUMENTS)])
    yield pair
    for twin in pair.twins:
        twin.kill()
    pair.source.start_balancer()
    pair.target.start_balancer()


def mode(cluster):
    return cluster.admin("balancerStatus")["mode"]


def modes(pair):
    return mode(pair.source), mode(pair.target)


def saved(pair):
    return pair.target_client.mongotwin.checkpoints.find_one({"_id": "twin"}).get("balancers")


def is_held(side):
    return lambda status: any(f"balancer of the {side}" in warning for warning in status["warnings"])


def held_copy(pair, **config):
    """A copy that stands still: its throttle lets no byte through."""
    twin = pair.twin(throttle={"copy": 0}, **config).start()
    twin.wait_until(lambda status: status["state"] == "copying" and status["copy"]["ranges_total"] > 0, "the copy has begun")
    return twin


@contextmanager
def configured(twin, **config):
    """With that in its configuration besides."""
    before = twin.config_path.read_text()
    twin.config_path.write_text(before + "".join(f"{key}: {json.dumps(value)}\n" for key, value in config.items()))
    try:
        yield
    finally:
        twin.config_path.write_text(before)


def go_on(twin):
    twin.command("throttle", {"copy_bytes_per_second": None})
    return twin.wait_for_state("replicating")


def test_held_in_the_copy_and_put_back_after_it(pair):
    twin = held_copy(pair)
    assert is_held("source")(twin.status()) and is_held("target")(twin.status())
    assert modes(pair) == ("off", "off")
    assert set(saved(pair)) == {"source", "target"}
    status = go_on(twin)
    assert modes(pair) == ("full", "full")
    assert saved(pair) == {} and not is_held("source")(status)
    twin.finish()
    pair.assert_identical(sharding=True)


def test_one_that_was_off_stays_off(pair):
    pair.source.stop_balancer()
    twin = held_copy(pair)
    assert modes(pair) == ("off", "off")
    assert set(saved(pair)) == {"target"}
    go_on(twin)
    assert modes(pair) == ("off", "full")
    twin.finish()
    assert modes(pair) == ("off", "full")
    pair.assert_identical()


def test_killed_in_the_copy_it_holds_on_and_puts_back(pair):
    twin = held_copy(pair)
    twin.kill()
    assert modes(pair) == ("off", "off")
    twin.start()
    go_on(twin)
    assert modes(pair) == ("full", "full")
    assert saved(pair) == {}
    twin.finish()
    pair.assert_identical()


def test_killed_after_the_copy_the_next_start_puts_back(pair):
    """What a run that died has left behind, whatever the phase that it died in."""
    twin = pair.twin().start()
    twin.wait_for_state("replicating")
    twin.kill()
    left = {side: {"mode": "full", "stopped": True} for side in ("source", "target")}
    pair.target_client.mongotwin.checkpoints.update_one({"_id": "twin"}, {"$set": {"balancers": left}})
    pair.source.stop_balancer()
    pair.target.stop_balancer()
    twin.start()
    twin.wait_for_state("replicating")
    assert modes(pair) == ("full", "full")
    assert saved(pair) == {}
    twin.finish()
    pair.assert_identical()


def test_stopped_in_the_copy_it_holds_nothing(pair):
    twin = held_copy(pair)
    assert twin.stop() == 0
    assert modes(pair) == ("full", "full")
    twin.start()
    twin.wait_until(is_held("target"), "the balancer is held again")
    go_on(twin)
    assert modes(pair) == ("full", "full")
    twin.finish()
    pair.assert_identical()


def test_killed_in_the_copy_and_refused_at_the_next_start(pair):
    """It may be the last one: nothing may be left off. Corrected, it goes on and holds them again."""
    twin = held_copy(pair)
    twin.kill()
    assert modes(pair) == ("off", "off")
    with configured(twin, databases=["shop", "another"]):
        twin.start()
        assert twin.wait_exit() == 1
    assert "are not those that the link was started with" in twin.log()
    assert modes(pair) == ("full", "full")
    assert saved(pair) == {}
    twin.start()
    twin.wait_until(is_held("source"), "the balancer is held again")
    go_on(twin)
    assert modes(pair) == ("full", "full")
    twin.finish()
    pair.assert_identical()


def test_a_check_that_is_refused_changes_nothing(pair):
    twin = held_copy(pair)
    twin.kill()
    with configured(twin, databases=["shop", "another"]):
        assert mongotwin("check", "--config", twin.config_path).returncode == 1
    assert modes(pair) == ("off", "off")
    assert set(saved(pair)) == {"source", "target"}
    twin.start()
    go_on(twin)
    twin.finish()
    pair.assert_identical()


def test_turned_on_again_by_an_operator_it_is_left_on(pair):
    twin = held_copy(pair)
    pair.source.start_balancer()
    twin.kill()
    twin.start()
    twin.wait_until(is_held("target"), "the copy goes on")
    twin.wait_until(lambda status: status["copy"] and status["copy"]["ranges_total"] > 0, "it copies")
    assert modes(pair) == ("full", "off")
    go_on(twin)
    assert modes(pair) == ("full", "full")
    twin.finish()
    pair.assert_identical()


@pytest.fixture(scope="module")
def testable(tmp_path_factory, needs_shards):
    """A source that can be told where to stop, or what to refuse."""
    directory = tmp_path_factory.mktemp("testable")
    with ShardedCluster(name="testable", base_dir=directory, shards=2, set_parameters={"enableTestCommands": "1"}) as cluster:
        yield cluster


def test_waits_for_a_move_that_is_under_way(make_pair, target_sharded, testable):
    """The balancer of the source is in the middle of a move when the copy begins; a kill then loses nothing of what was found."""
    pair = make_pair(testable, target_sharded)
    testable.stop_balancer()
    testable.shard_collection("shop.things", {"_id": 1})
    testable.split("shop.things", {"_id": 10})
    testable.split("shop.things", {"_id": 20})
    pair.source_client.shop.things.insert_many([{"_id": n} for n in range(100)])
    primary = pair.source_client.config.databases.find_one({"_id": "shop"})["primary"]
    other = next(shard.name for shard in testable.shards if shard.name != primary)
    # A zone that what is there does not keep to: the balancer moves it at once.
    testable.admin("addShardToZone", other, zone="elsewhere")
    testable.admin("updateZoneKeyRange", "shop.things", min={"_id": 10}, max={"_id": 20}, zone="elsewhere")
    with testable.shard(primary).client() as donor:
        with failpoint(donor, "moveChunkHangAtStep4") as hang:
            testable.start_balancer()
            hang.wait_entered()
            twin = pair.twin(zones={"elsewhere": [target_sharded.shards[0].name]}).start()
            for _ in range(2):
                twin.wait_until(lambda s: any("move of chunks that is under way" in w for w in s["warnings"]), "it says what it waits for")
                assert twin.status()["copy"]["ranges_total"] == 0
                assert saved(pair) == {"source": {"mode": "full", "stopped": False}}
                twin.kill()
                twin.start()
        twin.wait_for_state("replicating")
    assert modes(pair) == ("full", "full")
    twin.finish()
    pair.assert_identical(sharding=True)
    twin.kill()
    pair.empty()
    target_sharded.admin("removeShardFromZone", target_sharded.shards[0].name, zone="elsewhere")


def test_one_that_may_not_be_stopped_is_left_alone(make_pair, target_sharded, testable):
    pair = make_pair(testable, target_sharded)
    testable.start_balancer()
    pair.source_client.shop.things.insert_many([{"_id": n} for n in range(100)])
    unauthorized = {"failCommands": ["_configsvrBalancerStop"], "errorCode": 13, "failInternalCommands": True}
    with testable.config.client() as config:
        with failpoint(config, "failCommand", **unauthorized):
            twin = held_copy(pair)
            assert modes(pair) == ("full", "off")
            assert set(saved(pair)) == {"target"}
            status = go_on(twin)
    assert any("source: the balancer can't be held" in w and "backup or clusterManager" in w for w in status["warnings"]), status["warnings"]
    twin.finish()
    pair.assert_identical()


def test_one_that_can_not_be_turned_on_again_is_said(make_pair, target_sharded, testable):
    pair = make_pair(testable, target_sharded)
    testable.start_balancer()
    pair.source_client.shop.things.insert_many([{"_id": n} for n in range(100)])
    unauthorized = {"failCommands": ["_configsvrBalancerStart"], "errorCode": 13, "failInternalCommands": True}
    with testable.config.client() as config:
        with failpoint(config, "failCommand", **unauthorized):
            status = pair.twin().start().wait_for_state("replicating")
    assert any("source: its balancer" in w and "sh.startBalancer()" in w for w in status["warnings"]), status["warnings"]
    assert modes(pair) == ("off", "full")
    pair.twins[0].finish()
    pair.assert_identical()
    testable.start_balancer()
