# SPDX-License-Identifier: Apache-2.0
"""Servers die, elect and fall silent in the middle of the initial copy, the network is cut, and mongotwin is killed on top of
it: it goes on with the ranges that are left. Writes run on the source all the time; what comes when is seeded."""

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager
from random import Random
from typing import Any, Callable, ContextManager, Iterator

import pytest
from cluster import ReplicaSet
from cluster.process import free_port
from cluster.proxy import Proxy
from e2e.copying import THROTTLE_OFF, LargeWriter, assert_went_on, fill_large, ranges_done, wait_copied, wait_copy_goes_on

STEP = 30  # documents that are copied before the next trouble, at most
SOCKET_TIMEOUT = "socketTimeoutMS=2000"  # a silence is noticed after that
Trouble = Callable[[], ContextManager[Any]]


# ---- troubles: while one is on, it yields what the status says of it, or nothing where that is over before it can


@contextmanager
def _primary_killed(cluster: ReplicaSet) -> Iterator[None]:
    member = cluster.kill_primary()
    try:
        yield
        if len(cluster.members) > 1:
            cluster.wait_primary()
    finally:
        member.start()
        cluster.wait_primary()


@contextmanager
def _election(cluster: ReplicaSet) -> Iterator[None]:
    cluster.step_down()
    yield


@contextmanager
def _router_killed(cluster: Any) -> Iterator[str]:
    cluster.router.kill()
    try:
        yield "no answer"
    finally:
        cluster.router.start()


@contextmanager
def _cut(proxy: Proxy) -> Iterator[str]:
    proxy.refuse()
    try:
        yield "no answer"
    finally:
        proxy.restore()


@contextmanager
def _silence(proxy: Proxy) -> Iterator[str]:
    proxy.silence()
    try:
        yield "no answer"
    finally:
        proxy.restore()


@contextmanager
def _silent_server(cluster: ReplicaSet) -> Iterator[str]:
    member = cluster.wait_primary()
    member.pause()
    try:
        yield "no answer"
    finally:
        member.resume()
        cluster.wait_primary()


# ---- the copy through all of them


def _documents(troubles: dict[str, Trouble]) -> int:
    return 2 * STEP * (len(troubles) + 1)


def _write_shop(pair: Any, troubles: dict[str, Trouble]) -> Any:
    pair.load()
    fill_large(pair.source_client["big"]["large"], _documents(troubles))
    return pair.write(rate=100)


def _write_large(pair: Any, troubles: dict[str, Trouble]) -> LargeWriter:
    """One sharded collection: the shop's are split on the target for longer than the troubles last."""
    large = pair.source_client["big"]["large"]
    pair.source.shard_collection("big.large", {"_id": "hashed"})
    fill_large(large, _documents(troubles))
    return LargeWriter(large, _documents(troubles))


def _copy_through(pair: Any, twin: Any, troubles: dict[str, Trouble], writer: Any, seed: str) -> None:
    try:
        kills = _run_into(troubles, twin, writer, Random(seed))
        writer.stop()
    finally:
        writer.halt()
    twin.command("throttle", THROTTLE_OFF)
    twin.finish()
    assert_went_on(twin, kills)
    pair.assert_identical()


def _run_into(troubles: dict[str, Trouble], twin: Any, writer: Any, rng: Random) -> int:
    """Each trouble once, mongotwin killed in every other one; returns how often that was."""
    twin.start()
    kills, done = 0, 0
    for number, name in enumerate(rng.sample(sorted(troubles), len(troubles))):
        writer.wait_for(rng.randrange(20))
        seen = wait_copied(twin, rng.randrange(1, STEP))
        assert ranges_done(seen) >= done, f"before {name}: a range that was whole is copied again"
        with troubles[name]() as told:
            if killed := number % 2 == 0:
                done = ranges_done(twin.status())
                twin.kill()
            elif told:
                twin.wait_until(lambda s: told in json.dumps(s["warnings"]), f"{name}: the status tells of it")
        if killed:
            kills += 1
            twin.start()
            assert ranges_done(wait_copy_goes_on(twin)) >= done, f"after {name}: a range that was whole is copied again"
    wait_copied(twin, STEP)
    return kills


def test_primaries_die_and_elect(make_pair, tmp_path):
    with ExitStack() as stack:
        source, target = (stack.enter_context(ReplicaSet(name=f"{name}3", base_dir=tmp_path, members=3)) for name in ("source", "target"))
        troubles: dict[str, Trouble] = {
            "the source's primary is killed": lambda: _primary_killed(source),
            "the target's primary is killed": lambda: _primary_killed(target),
            "an election on the source": lambda: _election(source),
            "an election on the target": lambda: _election(target),
        }
        pair = make_pair(source, target)
        _copy_through(pair, pair.twin(copiers=2, throttle={"copy": "2MB"}), troubles, _write_shop(pair, troubles), "elections")
        pair.close()


@pytest.fixture
def proxies():
    """proxies(port): one in front of it, for mongotwin alone."""
    with ExitStack() as stack:

        def make(port: int) -> Proxy:
            proxy = Proxy(free_port(), port)
            proxy.start()
            stack.callback(proxy.stop)
            return proxy

        yield make


def test_the_network_of_replica_sets_is_cut(replica_sets, proxies):
    members = {"source": replica_sets.source.members[0], "target": replica_sets.target.members[0]}
    uris, troubles = {}, {}
    for side, member in members.items():
        proxy = proxies(member.port)
        cluster = getattr(replica_sets, side)
        uris[side] = f"mongodb://127.0.0.1:{proxy.port}/?directConnection=true&{SOCKET_TIMEOUT}"
        troubles[f"{side}: cut"] = lambda proxy=proxy: _cut(proxy)
        troubles[f"{side}: silence"] = lambda proxy=proxy: _silence(proxy)
        troubles[f"{side}: the only member is killed"] = lambda cluster=cluster: _primary_killed(cluster)
    twin = replica_sets.twin(**uris, copiers=2, throttle={"copy": "6MB"})
    _copy_through(replica_sets, twin, troubles, _write_shop(replica_sets, troubles), "cuts")


def test_parts_of_sharded_clusters_go_away(sharded_clusters, proxies):
    uris, troubles = {}, {}
    for side in ("source", "target"):
        cluster = getattr(sharded_clusters, side)
        proxy = proxies(cluster.router.port)
        uris[side] = f"mongodb://127.0.0.1:{proxy.port}/?{SOCKET_TIMEOUT}"
        troubles[f"{side}: cut from the router"] = lambda proxy=proxy: _cut(proxy)
        troubles[f"{side}: the router is silent"] = lambda proxy=proxy: _silence(proxy)
        troubles[f"{side}: the router is killed"] = lambda cluster=cluster: _router_killed(cluster)
        troubles[f"{side}: a shard is killed"] = lambda cluster=cluster: _primary_killed(cluster.shards[0])
        troubles[f"{side}: a shard elects"] = lambda cluster=cluster: _election(cluster.shards[1])
        troubles[f"{side}: a shard is silent"] = lambda cluster=cluster: _silent_server(cluster.shards[1])
        troubles[f"{side}: the config server is killed"] = lambda cluster=cluster: _primary_killed(cluster.config)
    twin = sharded_clusters.twin(**uris, copiers=2, throttle={"copy": "6MB"})
    _copy_through(sharded_clusters, twin, troubles, _write_large(sharded_clusters, troubles), "shards")
