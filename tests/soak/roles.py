# SPDX-License-Identifier: Apache-2.0
"""Source and target change their roles again and again under an application that never stops, and mongotwin and servers go away at any moment.

One round: a pair with authentication, a first switch-over, then a dozen turns: switch-overs (undisturbed, mongotwin killed, a primary lost),
failovers with the old source coming back, verifications. No acknowledged write is lost but those that a failover says are, and those are in its file.
"""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any, Callable

from cluster import Auth, ReplicaSet, ShardedCluster
from e2e.application import Application
from e2e.pair import Pair
from e2e.roles import finish_with_nothing_lost, sides, survivors
from e2e.twin import Twin, mongotwin

from .round import Failure, Story

_DOCUMENTS = 2000
_TURNS = 12
_RECOVERY_S = 240.0
_LAYOUTS = ("one member each", "three members each", "sharded", "sharded to a replica set", "a replica set to sharded")


class Round:
    """One pair and its dice. Owned by one thread."""

    def __init__(self, seed: int, directory: Path, story: Story) -> None:
        self._rng = Random(seed)
        self._directory = directory
        self._note = story.note
        self._lost = 0
        self._pair: Pair
        self._twin: Twin
        self._app: Application

    def run(self) -> str:
        layout = self._rng.choice(_LAYOUTS)
        self._note(layout)
        with ExitStack() as stack:
            source, target = (stack.enter_context(self._cluster(side, layout)) for side in ("source", "target"))
            self._pair = Pair(source, target, self._directory)
            stack.callback(self._pair.close)
            self._pair.load(_DOCUMENTS)
            self._app = Application([source, target]).open(self._pair.source_client)
            stack.callback(self._app.halt)
            self._app.start()
            self._twin = self._pair.twin(switchover={"closed_max": 30}).start()
            stack.callback(self._twin.kill)
            self._twin.wait_for_state("replicating", timeout=_RECOVERY_S)
            # Until it is a follower for the first time the target is open for the application too.
            self._switch_over()
            for _ in range(_TURNS):
                self._app.wait_for(self._rng.randrange(1, 120))
                self._turn()
            self._note("finish")
            self._app.stop()
            self._app.assert_one_side_at_a_time()
            self._twin.wait_for_state("replicating", timeout=_RECOVERY_S)
            finish_with_nothing_lost(self._pair, self._twin, self._app)
            return f"{layout}: {len(self._app.acknowledged)} writes are there, {self._lost} lost by failovers and saved"

    def _cluster(self, side: str, layout: str) -> Any:
        sharded = {"sharded": ("source", "target"), "sharded to a replica set": ("source",), "a replica set to sharded": ("target",)}
        auth = Auth("admin", f"{side}-p@ss")
        if side in sharded.get(layout, ()):
            return ShardedCluster(name=side, base_dir=self._directory / side, shards=self._rng.choice([1, 2, 3]), auth=auth)
        members = 3 if layout == "three members each" else 1
        return ReplicaSet(name=side, base_dir=self._directory, members=members, auth=auth)

    # ---- turns

    def _turn(self) -> None:
        turns: list[Callable[[], None]] = [self._switch_over, self._killed, self._killed, self._a_server_goes_away, self._fail_over, self._fail_over, self._verify]
        self._rng.choice(turns)()

    def _switch_over(self) -> None:
        self._note("switch-over")
        self._twin.wait_for_state("replicating", timeout=_RECOVERY_S)
        before = self._twin.status()["roles_swapped"]
        self._twin.command("switchover")
        handover = self._ended()
        if not handover["succeeded"] or self._twin.status()["roles_swapped"] == before:
            raise Failure(f"an undisturbed switch-over did not succeed: {handover}")

    def _killed(self) -> None:
        self._twin.wait_for_state("replicating", timeout=_RECOVERY_S)
        self._twin.command("switchover")
        self._kill_after(1.2)
        self._ended()

    def _a_server_goes_away(self) -> None:
        cluster = self._rng.choice([self._pair.source, self._pair.target])
        one: ReplicaSet = self._rng.choice(cluster.shards) if isinstance(cluster, ShardedCluster) else cluster
        self._twin.wait_for_state("replicating", timeout=_RECOVERY_S)
        self._twin.command("switchover")
        time.sleep(self._rng.random())
        if len(one.members) > 1 and self._rng.random() < 0.5:
            self._note(f"in a switch-over the primary of {one.name} steps down")
            one.step_down()
        else:
            self._note(f"in a switch-over the primary of {one.name} is killed")
            member = one.kill_primary()
            time.sleep(self._rng.random() * 2)
            member.start()
        one.wait_primary()
        self._ended()

    def _fail_over(self) -> None:
        self._twin.wait_for_state("replicating", timeout=_RECOVERY_S)
        swapped = self._twin.status()["roles_swapped"]
        gone = self._pair.target if swapped else self._pair.source
        self._app.only = side = int(swapped)
        alive = self._rng.random() < 0.6
        if not alive:
            self._note("mongotwin is killed; some more writes")
            self._twin.kill()
            self._app.wait_for(self._rng.randrange(1, 40), side=side)
        self._note(f"every process of the {gone.name} is killed")
        gone.kill()
        if alive and self._rng.random() < 0.4:
            self._note("failover, killed on its way")
            self._twin.command("failover")
            time.sleep(self._rng.random() * 1.5)
            self._twin.kill()
            alive = False
        done = mongotwin("failover", "--config", self._twin.config_path, timeout=_RECOVERY_S)
        if done.returncode != 0:
            raise Failure(f"the failover failed: {done.stdout}{done.stderr}")
        self._note(done.stdout.strip().splitlines()[-1])
        taken_over = self._pair.source_client if swapped else self._pair.target_client
        up_to = taken_over.mongotwin.checkpoints.find_one({"_id": "twin"})["handover"]["up_to"].time
        lost = self._app.forget_what_was_lost(taken_over, survivors(self._app, up_to, new_side=1 - side))
        self._note(f"up to {up_to}, {len(lost)} acknowledged writes are lost")
        self._app.only = 1 - side
        self._app.wait_for(self._rng.randrange(1, 60), side=1 - side)
        gone.start()
        self._rejoin(alive)
        self._app.only = None
        self._lost += len(lost)
        saved = set()
        for file in Path(self._twin.config_path).parent.glob("twin.beyond-the-cut.*.json"):
            saved |= {str(json.loads(line).get("_id")) for line in file.read_text().splitlines()}
        if not lost <= saved:
            raise Failure(f"lost, and in no file: {sorted(lost - saved)[:10]}")

    def _rejoin(self, alive: bool) -> None:
        self._note("rejoin")
        if not alive:
            self._twin.start()
        self._twin.wait_for_state("failed_over", timeout=_RECOVERY_S)
        if self._rng.random() < 0.5:
            self._twin.command("rejoin")
            self._kill_after(1.5)
        if self._twin.wait_for_state("failed_over", "replicating", timeout=_RECOVERY_S)["state"] == "failed_over":
            done = mongotwin("rejoin", "--config", self._twin.config_path, timeout=_RECOVERY_S)
            if done.returncode != 0:
                raise Failure(f"the rejoin failed: {done.stdout}{done.stderr}")
        self._twin.wait_for_state("replicating", timeout=_RECOVERY_S)

    def _verify(self) -> None:
        self._note("verify")
        self._twin.wait_for_state("replicating", timeout=_RECOVERY_S)
        done = mongotwin("verify", "--config", self._twin.config_path, timeout=_RECOVERY_S)
        if done.returncode != 0:
            raise Failure(f"not identical: {done.stdout}{done.stderr}")

    # ---- details

    def _kill_after(self, seconds_max: float) -> None:
        time.sleep(self._rng.random() * seconds_max)
        status = self._twin.status()
        self._note(f"kill -9 in state {status['state']}, step {(status['handover'] or {}).get('step')}")
        self._twin.kill()
        time.sleep(self._rng.random())
        self._twin.start()

    def _ended(self) -> dict[str, Any]:
        """What has become of the change of roles, once it replicates again and the application writes."""
        status = self._twin.wait_until(
            lambda s: s["state"] == "replicating" and (s["handover"] is None or s["handover"]["succeeded"] is not None), "the change of roles ends", _RECOVERY_S
        )
        handover = status["handover"] or {"succeeded": None}
        self._note(f"roles {'swapped' if status['roles_swapped'] else 'as configured'}; {handover}")
        self._app.wait_for(5, side=int(status["roles_swapped"]))
        source, _ = sides(self._pair, status)
        self._app.assert_all_there(source, list(self._app.acknowledged))
        return handover


def run(seed: int) -> str:
    with Story() as story:
        return Round(seed, story.directory, story).run()
