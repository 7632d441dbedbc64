# SPDX-License-Identifier: Apache-2.0
"""The demo itself, step by step."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from compare import Result, compare_clusters
from e2e.twin import Status, Twin
from pymongo import MongoClient

import shop

from .bed import start_clusters
from .screen import Screen, bar, status_lines

_POLL_S = 0.1
_COPY_TIMEOUT_S = 3600.0
_DRAIN_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class Plan:
    replica_sets: bool
    documents: int
    seconds: float
    rate: float
    keep: bool

    @property
    def layout(self) -> str:
        if self.replica_sets:
            return "two replica sets"
        return "two sharded clusters: 2 shards, and 3 shards with another shard key for the orders"


class Demo:
    """Everything it starts is stopped by the stack. Owned by one thread."""

    def __init__(self, plan: Plan, directory: Path, stack: ExitStack) -> None:
        self._plan = plan
        self._directory = directory
        self._stack = stack
        self._screen = Screen()
        self.source: Any = None
        self.target: Any = None
        self.twin: Any = None

    def run(self) -> Result:
        self._screen.line(f"mongotwin demo, {self._plan.layout}")
        source, target = self._start()
        self._load(source, target)
        writer = self._write(source)
        self._replicate(writer)
        self._drain(writer, source)
        return self._compare(source, target)

    def _timed(self, what: str, act: Callable[[], Any]) -> Any:
        self._screen.live([f"{what} …"], first_of_its_kind=True)
        started = time.monotonic()
        value = act()
        self._screen.line(f"{what}: {time.monotonic() - started:.1f} s")
        return value

    def _start(self) -> tuple[MongoClient, MongoClient]:
        pair = self._timed("starting both", lambda: start_clusters(self._stack, self._directory, self._plan.replica_sets))
        self.source, self.target = pair
        self._screen.line(f"  source {self.source.uri}")
        self._screen.line(f"  target {self.target.uri}")
        return self._stack.enter_context(self.source.client()), self._stack.enter_context(self.target.client())

    def _load(self, source: MongoClient, target: MongoClient) -> None:
        total, sharded = self._plan.documents, not self._plan.replica_sets
        shown: Callable[[int], None] = lambda n: self._screen.live([f"loading {bar(n, total)}  {n:,} documents"])
        self._timed(f"loading {total:,} documents", lambda: shop.load(source, total, sharded, progress=shown))
        if sharded:
            shop.preshard(target)

    def _write(self, source: MongoClient) -> shop.Writer:
        plan = self._plan
        writer = shop.Writer(
            source, documents=plan.documents, operations_per_second=plan.rate, sharded=not plan.replica_sets
        )
        self._stack.enter_context(writer)
        return writer

    def _replicate(self, writer: shop.Writer) -> None:
        self.twin = Twin(self._directory / "twin", self.source.uri, self.target.uri)
        self._stack.callback(self.twin.kill)
        started = time.monotonic()
        self.twin.start()
        self._screen.line(f"mongotwin runs; its status: http://{self.twin.api}/api/v1/status")
        self._follow(writer, "the copy", lambda s: s["state"] == "replicating", _COPY_TIMEOUT_S)
        self._screen.line(f"copied and caught up under live writes: {time.monotonic() - started:.1f} s")
        until = time.monotonic() + self._plan.seconds
        self._follow(writer, "replicating", lambda s: time.monotonic() >= until, self._plan.seconds + 60)

    def _follow(self, writer: shop.Writer, what: str, reached: Callable[[Status], bool], timeout: float) -> Status:
        """Shows the status until `reached`; a writer that was stopped by an error ends the demo."""
        state = ""

        def look(status: Status) -> bool:
            nonlocal state
            writer.check()
            self._screen.live(status_lines(status, writer.total), first_of_its_kind=status["state"] != state)
            state = status["state"]
            return reached(status)

        return self.twin.wait_until(look, what, timeout, interval=_POLL_S)

    def _drain(self, writer: shop.Writer, source: MongoClient) -> None:
        done = writer.stop()
        self._screen.line(f"{writer.total:,} writes of {len(done)} kinds went to the source meanwhile; they stop now")
        self._follow(writer, "draining", lambda s: s["state"] == "replicating", _DRAIN_TIMEOUT_S)
        self._timed("mongotwin finish", lambda: self.twin.finish(_DRAIN_TIMEOUT_S))

    def _compare(self, source: MongoClient, target: MongoClient) -> Result:
        return self._timed("comparing every document, index, option and view", lambda: compare_clusters(source, target))
