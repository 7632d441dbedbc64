# SPDX-License-Identifier: Apache-2.0
"""Pairs with authentication whose clusters can be closed for writes, and the application that is moved between them."""

from __future__ import annotations

import pytest
from cluster import Auth, ReplicaSet, ShardedCluster

from e2e.application import Application


@pytest.fixture(scope="session")
def secured_source_sharded(base_dir, needs_shards):
    with ShardedCluster(name="here", base_dir=base_dir / "secured-source", shards=2, auth=Auth("admin", "s0urce")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def secured_target_sharded(base_dir, needs_shards):
    with ShardedCluster(name="there", base_dir=base_dir / "secured-target", shards=3, auth=Auth("admin", "t@rget")) as cluster:
        yield cluster


def _open_for_writes(pair) -> None:
    for client in (pair.source_client, pair.target_client):
        client.admin.command("setUserWriteBlockMode", **{"global": False})


@pytest.fixture(params=["sets", "sharded", "set to sharded", "sharded to set"])
def secured_pair(request, make_pair):
    """Every kind of pair; both sides are open and empty."""
    source, target = {
        "sets": ("secured_source_set", "secured_target_set"),
        "sharded": ("secured_source_sharded", "secured_target_sharded"),
        "set to sharded": ("secured_source_set", "secured_target_sharded"),
        "sharded to set": ("secured_source_sharded", "secured_target_set"),
    }[request.param]
    pair = make_pair(request.getfixturevalue(source), request.getfixturevalue(target))
    _open_for_writes(pair)
    yield pair
    for twin in pair.twins:
        twin.kill()
    _open_for_writes(pair)


@pytest.fixture
def secured(make_pair, secured_source_set, secured_target_set):
    """A pair of replica sets, both open and empty."""
    pair = make_pair(secured_source_set, secured_target_set)
    _open_for_writes(pair)
    yield pair
    for twin in pair.twins:
        twin.kill()
    _open_for_writes(pair)


def _mortal(kind, request, make_pair, base):
    auth, testable = Auth("admin", "m0rtal"), {"enableTestCommands": "1"}
    if kind == "sharded":
        request.getfixturevalue("needs_shards")
        source = ShardedCluster(name="mortal", base_dir=base, shards=2, auth=auth, set_parameters=testable)
    else:
        source = ReplicaSet(name="mortal", base_dir=base, auth=auth, set_parameters=testable)
    with source:
        pair = make_pair(source, request.getfixturevalue("secured_target_sharded" if kind == "sharded" else "secured_target_set"))
        pair.target_client.admin.command("setUserWriteBlockMode", **{"global": False})
        yield pair
        for twin in pair.twins:
            twin.kill()
        pair.target_client.admin.command("setUserWriteBlockMode", **{"global": False})
        # A client of a dead cluster would wait for it when it is closed.
        source.start()
        pair.close()


@pytest.fixture(params=["sets", "sharded"])
def mortal(request, make_pair, base_dir, tmp_path_factory):
    """A source of its own, which may die; with authentication."""
    yield from _mortal(request.param, request, make_pair, base_dir / tmp_path_factory.mktemp("mortal").name)


@pytest.fixture
def mortal_sets(request, make_pair, base_dir, tmp_path_factory):
    yield from _mortal("sets", request, make_pair, base_dir / tmp_path_factory.mktemp("mortal").name)


@pytest.fixture
def application():
    """application(pair, …): started; it is stopped with the test if not before."""
    running: list[Application] = []

    def start(pair, **options) -> Application:
        application = Application([pair.source, pair.target], **options).open(pair.source_client)
        running.append(application)
        return application.start()

    yield start
    for application in running:
        application.halt()
