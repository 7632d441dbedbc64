# SPDX-License-Identifier: Apache-2.0
"""Clusters are started once and shared by all tests; each test gets them empty. A failed test shows mongotwin's log."""

from __future__ import annotations

import shutil

import pytest
from cluster import Auth, ReplicaSet, ShardedCluster
from cluster.binaries import find_mongod, server_version, sharding_problem

from .following import Following
from .pair import Pair
from .twin import BINARY


def pytest_collection_modifyitems(config, items):
    """Without the program there is nothing to test here, and saying so once is enough."""
    if any("e2e" in item.path.parts for item in items) and not BINARY.exists() and not config.option.collectonly:
        raise pytest.UsageError(f"{BINARY} is not built: run scripts/build, or set MONGOTWIN to the program")


def pytest_runtest_setup(item):
    """since(6, 0): what is tested came with that version of the server."""
    needed = [mark.args for mark in item.iter_markers("since")]
    version = server_version(find_mongod())
    if needed and tuple(map(int, version.split("."))) < max(needed):
        pytest.skip(f"needs MongoDB {'.'.join(map(str, max(needed)))}, mongod is {version}")


@pytest.fixture(scope="session")
def base_dir(tmp_path_factory):
    """Gigabytes, so they are not left to pytest, which keeps the last runs' directories."""
    directory = tmp_path_factory.mktemp("clusters")
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def needs_shards():
    """Skips what uses it where there are no sharded clusters of the mongod in use."""
    problem = sharding_problem()
    if problem:
        pytest.skip(problem)


def _shared(make, sharded=False):
    """A fixture that starts a cluster when the first test asks for it and stops it after the last one."""

    @pytest.fixture(scope="session")
    def shared(request, base_dir):
        if sharded:
            request.getfixturevalue("needs_shards")
        with make(base_dir) as running:
            yield running

    return shared


# With test commands a server can be told where to stop and wait: see failpoint.py. What may expire does so at once.
_IMPATIENT = {"ttlMonitorSleepSecs": "1"}
_TESTABLE = {"enableTestCommands": "1", **_IMPATIENT}
source_set = _shared(lambda base: ReplicaSet(name="source", base_dir=base, set_parameters=_TESTABLE))
target_set = _shared(lambda base: ReplicaSet(name="target", base_dir=base, set_parameters=_TESTABLE))
source_sharded = _shared(lambda base: ShardedCluster(name="source", base_dir=base / "source", shards=2, set_parameters={"enableTestCommands": "1"}), sharded=True)
target_sharded = _shared(lambda base: ShardedCluster(name="target", base_dir=base / "target", shards=3, set_parameters={"enableTestCommands": "1"}), sharded=True)
secured_source_set = _shared(lambda base: ReplicaSet(name="secured", base_dir=base, set_parameters=_TESTABLE, auth=Auth("admin", "p@ss:w/rd%1")))
secured_target_set = _shared(lambda base: ReplicaSet(name="vault", base_dir=base, set_parameters=_TESTABLE, auth=Auth("admin", "an0ther?s3cret")))


@pytest.fixture
def make_pair(tmp_path):
    """make_pair(source, target): both emptied now, and whatever runs between them ended with the test."""
    pairs = []

    def make(source, target):
        pair = Pair(source, target, tmp_path)
        pairs.append(pair)
        pair.empty()
        return pair

    yield make
    for pair in pairs:
        pair.close()


@pytest.fixture(scope="module")
def module_following(tmp_path_factory, source_set, target_set):
    following = Following(source_set, target_set, tmp_path_factory.mktemp("following"))
    yield following
    following.close()


@pytest.fixture
def following(module_following):
    """Replica sets with a mongotwin that follows, for all tests of a module."""
    module_following.make_healthy()
    return module_following


@pytest.fixture
def replica_sets(make_pair, source_set, target_set):
    return make_pair(source_set, target_set)


@pytest.fixture
def sharded_clusters(make_pair, source_sharded, target_sharded):
    return make_pair(source_sharded, target_sharded)


@pytest.fixture
def sharded_to_set(make_pair, source_sharded, target_set):
    return make_pair(source_sharded, target_set)


@pytest.fixture
def set_to_sharded(make_pair, source_set, target_sharded):
    return make_pair(source_set, target_sharded)


@pytest.fixture
def secured_sets(make_pair, secured_source_set, secured_target_set):
    return make_pair(secured_source_set, secured_target_set)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.when != "call" or not report.failed:
        return
    for value in getattr(item, "funcargs", {}).values():
        pair = value.pair if isinstance(value, Following) and value is not item.funcargs.get("following") else value
        if isinstance(pair, Pair):
            report.sections += [(f"mongotwin {twin.config_path}", twin.log_tail()) for twin in pair.twins]
