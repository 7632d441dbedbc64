# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the test bed's own tests: one sharded cluster serves most of them."""

import itertools

import pytest

from cluster import ShardedCluster

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """Two shards and a router, shared by tests that break nothing."""
    with ShardedCluster(name="bed", base_dir=tmp_path_factory.mktemp("bed"), shards=2) as made:
        yield made


@pytest.fixture(scope="session")
def client(cluster):
    with cluster.client() as made:
        yield made


@pytest.fixture
def db(client):
    """A database of the test's own, dropped afterwards."""
    name = f"test{next(_numbers)}"
    yield client[name]
    client.drop_database(name)


def other_shard(cluster, client, database):
    """The shard that is not the primary of a database."""
    primary = client.config.databases.find_one({"_id": database})["primary"]
    return next(shard for shard in cluster.shards if shard.name != primary)


def make_split(cluster, db, name, key="k", at=500):
    """A collection sharded by {key: 1}: below `at` on the database's primary shard, from
    `at` on the other one. Returns it."""
    ns = f"{db.name}.{name}"
    cluster.shard_collection(ns, {key: 1})
    cluster.split(ns, {key: at})
    cluster.move_chunk(ns, {key: at}, other_shard(cluster, db.client, db.name))
    return db[name]


def direct_counts(cluster, collection):
    """How many documents each shard holds, read from the shards themselves."""
    counts = []
    for shard in cluster.shards:
        with shard.client() as client:
            counts.append(client[collection.database.name][collection.name].count_documents({}))
    return counts


def oplog(shard, query):
    """A shard's oplog entries that match, oldest first."""
    with shard.client() as client:
        return list(client.local["oplog.rs"].find(query).sort("$natural", 1))
