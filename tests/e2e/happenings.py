# SPDX-License-Identifier: Apache-2.0
"""What an application or an administrator may do to a database, one happening a function.

A happening is a generator that gets its own database of the source: what it does before its one `yield` is there when
the happening itself, behind it, begins. So the same happening serves while mongotwin follows, during its initial copy and
across its restarts. It may also use databases whose names begin with its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Iterator

from pymongo import MongoClient
from pymongo.database import Database

Steps = Callable[[Database], Iterator[None]]


@dataclass(frozen=True)
class Happening:
    name: str
    steps: Steps
    held: bool  # it touches expiry, which the target gets only in the end
    since: tuple[int, ...]  # the version of the server that it needs

    def fits(self, client: MongoClient) -> bool:
        return tuple(client.server_info()["versionArray"]) >= self.since

    def begin(self, client: MongoClient, prefix: str) -> "Running":
        return Running(self, client[f"{prefix}_{self.name}"[:60]])


class Running:
    """One happening in one database."""

    def __init__(self, happening: Happening, database: Database) -> None:
        self.happening = happening
        self.database = database
        self._steps = happening.steps(database)
        next(self._steps)

    def happen(self) -> None:
        for _ in self._steps:
            raise AssertionError(f"{self.happening.name} has more than one yield")


class Happenings(list):
    """In the order in which they are written; `happening` adds one."""

    def happening(self, held: bool = False, since: tuple[int, ...] = ()) -> Callable[[Steps], Steps]:
        def add(steps: Steps) -> Steps:
            self.append(Happening(steps.__name__, steps, held, since))
            return steps

        return add
