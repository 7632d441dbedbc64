# SPDX-License-Identifier: Apache-2.0
"""What `check` says of a target's user who may do less than the layout asks for."""

from __future__ import annotations

import pytest
from cluster import Auth, ShardedCluster
from e2e.twin import mongotwin, write_config

BASE = ["readWriteAnyDatabase", "restore", "clusterMonitor"]


@pytest.fixture(scope="module")
def secured_target(tmp_path_factory, needs_shards):
    directory = tmp_path_factory.mktemp("secured")
    with ShardedCluster(name="safe", base_dir=directory, shards=2, auth=Auth("admin", "s3cret")) as cluster:
        yield cluster


@pytest.fixture
def pair(make_pair, source_sharded, secured_target):
    pair = make_pair(source_sharded, secured_target)
    pair.source.shard_collection("shop.things", {"k": 1})
    pair.source_client.shop.things.insert_one({"_id": 1, "k": 1})
    return pair


def checked(pair, tmp_path, roles, **config):
    """What `mongotwin check` says to a user of these roles; its exit status."""
    places = [pair.target, *pair.target.shards]
    for place in places:
        with place.client() as client:
            client.admin.command("createUser", "twin", pwd="twin", roles=roles)
    try:
        path = tmp_path / "twin.yaml"
        address = pair.target.uri.partition("@")[2]
        write_config(path, source=pair.source.uri, target=f"mongodb://twin:twin@{address}", **config)
        ran = mongotwin("check", "--config", path)
        return ran.returncode, ran.stdout + ran.stderr
    finally:
        for place in places:
            with place.client() as client:
                client.admin.command("dropUser", "twin")


def test_enable_sharding_is_enough_but_for_chunks(pair, tmp_path):
    status, said = checked(pair, tmp_path, [*BASE, "enableSharding"])
    assert status == 0, said
    assert "warning: target: the user may not split and move chunks" in said and "clusterManager" in said


def test_cluster_manager_is_enough_for_all(pair, tmp_path):
    status, said = checked(pair, tmp_path, [*BASE, "clusterManager"])
    assert status == 0, said
    assert "warning" not in said


def test_nothing_can_be_sharded_without(pair, tmp_path):
    status, said = checked(pair, tmp_path, BASE)
    assert status == 1 and "enableSharding" in said, said
    status, said = checked(pair, tmp_path, BASE, sharding={"shop.later": {"key": {"k": 1}}})
    assert status == 1 and "enableSharding" in said, said


def test_zones_need_the_right_to_set_them(pair, tmp_path):
    zone = {"zones": {"EU": [pair.target.shards[0].name]}}
    pair.source.admin("addShardToZone", pair.source.shards[0].name, zone="EU")
    try:
        pair.source.admin("updateZoneKeyRange", "shop.things", min={"k": 0}, max={"k": 10}, zone="EU")
        status, said = checked(pair, tmp_path, [*BASE, "enableSharding"], **zone)
        assert status == 1 and "may not set zones" in said and "clusterManager" in said, said
        status, said = checked(pair, tmp_path, [*BASE, "clusterManager"], **zone)
        assert status == 0, said
    finally:
        pair.source.admin("updateZoneKeyRange", "shop.things", min={"k": 0}, max={"k": 10}, zone=None)
        pair.source.admin("removeShardFromZone", pair.source.shards[0].name, zone="EU")
