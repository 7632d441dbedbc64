# SPDX-License-Identifier: Apache-2.0
"""Two clusters under live load, and everything that may go away goes away, in random order; in the end they are identical.

One round: load, start (often killed in the copy), a dozen blows, finish, full compare.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any, Callable

import shop
from cluster import ReplicaSet, ShardedCluster
from cluster.binaries import find_older_mongod
from e2e.pair import Pair
from e2e.twin import Twin
from pymongo.errors import OperationFailure

from .round import Failure, Story

_DOCUMENTS = 8000
_BLOWS = 12
_RECOVERY_S = 240.0
_LAYOUTS = ("one member each", "three members each", "sharded", "sharded to a replica set", "from MongoDB 5.0")


class Round:
    """One pair and its dice. Owned by one thread."""

    def __init__(self, seed: int, directory: Path, story: Story) -> None:
        self._rng = Random(seed)
        self._seed = seed
        self._directory = directory
        self._note = story.note
        self._pair: Pair
        self._twin: Twin
        self._writer: shop.Writer

    def run(self) -> str:
        layout = self._rng.choice(_LAYOUTS)
        if layout == "from MongoDB 5.0" and find_older_mongod() is None:
            layout = "one member each"
        self._note(layout)
        with ExitStack() as stack:
            source, target = (stack.enter_context(cluster) for cluster in self._clusters(layout))
            self._pair = Pair(source, target, self._directory)
            stack.callback(self._pair.close)
            self._pair.load(_DOCUMENTS)
            self._writer = self._pair.write(rate=self._rng.choice([50, 150, 400]), ddl=self._rng.choice([0, 1, 4]), seed=self._seed)
            self._start()
            for _ in range(_BLOWS):
                self._twin.wait_for_applied(self._rng.randrange(1, 150), _RECOVERY_S)
                self._blow()
            self._twin.wait_for_state("replicating", timeout=_RECOVERY_S)
            self._note("finish")
            result = self._pair.finish_and_compare(self._twin, self._writer)
            return f"{layout}: {result}; {self._writer.total} writes"

    def _clusters(self, layout: str) -> tuple[Any, Any]:
        def replica_set(name: str, **options: Any) -> ReplicaSet:
            return ReplicaSet(name=name, base_dir=self._directory, **options)

        def sharded(name: str, shards: int) -> ShardedCluster:
            return ShardedCluster(name=name, base_dir=self._directory / name, shards=shards)

        if layout == "sharded":
            return sharded("source", 2), sharded("target", self._rng.choice([1, 2, 3]))
        if layout == "sharded to a replica set":
            return sharded("source", 2), replica_set("target")
        members = 3 if layout == "three members each" else 1
        older = {"mongod": find_older_mongod()} if layout == "from MongoDB 5.0" else {}
        return replica_set("source", members=members, **older), replica_set("target", members=members)

    def _start(self) -> None:
        rng = self._rng
        self._twin = self._pair.twin(lanes=rng.choice([1, 4, 8]), copiers=rng.choice([1, 4])).start()
        while rng.random() < 0.4:
            time.sleep(rng.random())
            self._note(f"kill -9 in state {self._twin.state}")
            self._twin.kill()
            self._twin.start()
        self._twin.wait_for_state("replicating", timeout=_RECOVERY_S)

    # ---- blows

    def _blow(self) -> None:
        blows: list[Callable[[], None]] = [self._kill, self._kill, self._stop, self._pause, self._lose_server, self._elect]
        if isinstance(self._pair.source, ShardedCluster) or isinstance(self._pair.target, ShardedCluster):
            blows.append(self._move_chunk)
        self._rng.choice(blows)()

    def _kill(self) -> None:
        self._note("kill -9 of mongotwin")
        self._twin.kill()
        self._writer.wait_for(self._rng.randrange(80))
        self._twin.start()

    def _stop(self) -> None:
        self._note("SIGTERM to mongotwin")
        status = self._twin.stop()
        if status != 0:
            raise Failure(f"mongotwin ended with status {status}\n{self._twin.log_tail()}")
        self._writer.wait_for(self._rng.randrange(80))
        self._twin.start()

    def _pause(self) -> None:
        self._note("pause and resume")
        self._twin.wait_for_state("replicating", timeout=_RECOVERY_S)
        self._twin.command("pause")
        self._twin.wait_for_state("paused")
        self._writer.wait_for(self._rng.randrange(40))
        self._twin.command("resume")

    def _lose_server(self) -> None:
        side, replica_set = self._replica_set()
        self._note(f"kill -9 of the primary of {replica_set.name} ({side})")
        member = replica_set.kill_primary()
        time.sleep(self._rng.random() * 2)
        if self._rng.random() < 0.3:
            self._note("kill -9 of mongotwin meanwhile")
            self._twin.kill()
            self._twin.start()
        member.start()
        replica_set.wait_primary()

    def _elect(self) -> None:
        side, replica_set = self._replica_set()
        self._note(f"step down of the primary of {replica_set.name} ({side})")
        replica_set.step_down()

    def _move_chunk(self) -> None:
        sides = [side for side in ("source", "target") if isinstance(getattr(self._pair, side), ShardedCluster)]
        side = self._rng.choice(sides)
        cluster = getattr(self._pair, side)
        with cluster.client() as client:
            rows = client["config"]["collections"].find({"_id": {"$regex": "^(shop|crm)"}}).sort("_id", 1)
            row = self._rng.choice(list(rows))
            chunk = self._rng.choice(list(client["config"]["chunks"].find({"uuid": row["uuid"]}).sort("min", 1)))
        others = [shard.name for shard in cluster.shards if shard.name != chunk["shard"]]
        if not others:
            return
        to = self._rng.choice(others)
        self._note(f"chunk {chunk['min']} of {row['_id']} to {to} ({side})")
        try:
            cluster.move_chunk(row["_id"], bounds=(chunk["min"], chunk["max"]), to=to)
        except OperationFailure as error:  # definitions change meanwhile, and the balancer's lock is busy
            self._note(f"refused: {(error.details or {}).get('codeName', error)}")

    def _replica_set(self) -> tuple[str, ReplicaSet]:
        side = self._rng.choice(["source", "target"])
        cluster = getattr(self._pair, side)
        return side, self._rng.choice(cluster.shards) if isinstance(cluster, ShardedCluster) else cluster


def run(seed: int) -> str:
    with Story() as story:
        return Round(seed, story.directory, story).run()
