# SPDX-License-Identifier: Apache-2.0
"""The demo's ground: room enough on this machine, and two clusters of different layout."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cluster

_SERVER_DISK = 400 << 20  # journal, oplog, log
_SERVER_MEMORY = 350 << 20
_DOCUMENT_DISK = 4 << 10  # on both clusters together
_MEMORY_BASE = 500 << 20  # mongotwin, this demo, the routers


class NoRoom(Exception):
    """This machine is too small; says what is missing."""


def check_room(directory: Path, servers: int, documents: int) -> None:
    needed = servers * _SERVER_DISK + documents * _DOCUMENT_DISK
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise NoRoom(f"{directory} has {free >> 20} MB free, this needs {needed >> 20} MB; free some or set TMPDIR to another disk")
    needed, available = servers * _SERVER_MEMORY + _MEMORY_BASE, _memory_available()
    if available < needed:
        raise NoRoom(f"{available >> 20} MB of memory are available, this needs {needed >> 20} MB; --replica-sets needs less")


def _memory_available() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return 1 << 60


def servers_of(replica_sets: bool) -> int:
    return 2 if replica_sets else 3 + 4


def start_clusters(stack: ExitStack, directory: Path, replica_sets: bool) -> tuple[Any, Any]:
    """Source and target, started at the same time; the stack stops them."""
    pair: tuple[Any, Any]
    if replica_sets:
        pair = tuple(cluster.ReplicaSet(name=name, base_dir=directory / name) for name in ("source", "target"))
    else:
        pair = (
            cluster.ShardedCluster(name="source", base_dir=directory / "source", shards=2),
            cluster.ShardedCluster(name="target", base_dir=directory / "target", shards=3),
        )
    for one in pair:
        stack.callback(one.stop)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda one: one.start(), pair))
    return pair
