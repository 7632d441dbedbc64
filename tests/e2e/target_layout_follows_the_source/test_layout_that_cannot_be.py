# SPDX-License-Identifier: Apache-2.0
"""`sharding`, `zones` and the source's zones, where the target can't have it so: refused by name before anything is changed."""

from __future__ import annotations

import pytest
from e2e.twin import mongotwin, write_config


def refused(pair, tmp_path, *expected, command="check", **config):
    path = tmp_path / "twin.yaml"
    before = pair.target_client.list_database_names()
    write_config(path, source=pair.source.uri, target=pair.target.uri, api={"listen": "127.0.0.1:0"}, **config)
    ran = mongotwin(command, "--config", path)
    output = ran.stdout + ran.stderr
    assert ran.returncode == 1, output
    for text in expected:
        assert text in output, f"{text!r} is missing in: {output}"
    assert pair.target_client.list_database_names() == before


@pytest.fixture
def zoned(sharded_clusters):
    source = sharded_clusters.source
    source.admin("addShardToZone", source.shards[0].name, zone="EU")
    source.admin("updateZoneKeyRange", "shop.things", min={"k": 0}, max={"k": 10}, zone="EU")
    source.shard_collection("shop.things", {"k": 1})
    sharded_clusters.source_client.shop.things.insert_one({"_id": 1, "k": 1})
    yield sharded_clusters
    sharded_clusters.source_client.drop_database("shop")
    source.admin("removeShardFromZone", source.shards[0].name, zone="EU")


@pytest.mark.parametrize("command", ["check", "run"])
def test_a_zone_of_the_source_without_a_shard(zoned, tmp_path, command):
    refused(zoned, tmp_path, "EU", "shop.things", zoned.target.shards[0].name, "zones:", command=command)


@pytest.mark.parametrize("command", ["check", "run"])
def test_a_zone_that_names_a_missing_shard(zoned, tmp_path, command):
    there = [shard.name for shard in zoned.target.shards]
    refused(zoned, tmp_path, "EU", "no-such-shard", *there, command=command, zones={"EU": [there[0], "no-such-shard"]})


def test_zones_that_do_not_apply(zoned, tmp_path):
    """By another key, unsharded, or not selected: the zone needs no shard; the first two are said."""
    path = tmp_path / "twin.yaml"
    for config, warned in [
        ({"sharding": {"shop.things": {"key": {"_id": 1}}}}, "by another key"),
        ({"sharding": {"shop.things": "unsharded"}}, "has it unsharded"),
        ({"databases": ["other"]}, ""),
        ({"zones": {"EU": [zoned.target.shards[0].name], "UE": [zoned.target.shards[0].name]}}, "no range in the zone UE"),
    ]:
        write_config(path, source=zoned.source.uri, target=zoned.target.uri, **config)
        ran = mongotwin("check", "--config", path)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert warned in ran.stdout
        assert ("sharding" in config) == ("none of the source's zones" in ran.stdout)


@pytest.mark.parametrize(
    "rules, expected",
    [
        ({"other.things": "unsharded"}, ["other.things", "not to be replicated"]),
        ({"shop.view": {"key": {"a": 1}}}, ["shop.view", "is a view"]),
        ({"shop.capped": {"key": {"a": 1}}}, ["shop.capped", "is capped"]),
        ({"shop.plain": {"chunks": 5}}, ["shop.plain", "is not sharded", "key"]),
        ({f"shop.{'x' * 240}": {"key": {"a": 1}}}, ["shop.xxx", "245 bytes", "235"]),
    ],
)
def test_rules_that_cannot_be(sharded_clusters, tmp_path, rules, expected):
    database = sharded_clusters.source_client.shop
    database.plain.insert_one({})
    database.create_collection("view", viewOn="plain", pipeline=[])
    database.create_collection("capped", capped=True, size=4096)
    refused(sharded_clusters, tmp_path, *expected, databases=["shop"], sharding=rules)


@pytest.mark.parametrize("config", [{"sharding": {"shop.things": "unsharded"}}, {"zones": {"EU": ["target"]}}])
def test_a_target_that_has_no_shards(sharded_to_set, tmp_path, config):
    sharded_to_set.source_client.shop.things.insert_one({})
    refused(sharded_to_set, tmp_path, "target", "replica set", "`sharding`", **config)
