# SPDX-License-Identifier: Apache-2.0
"""One mongotwin that follows while one thing after the other happens, each in databases of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from compare import Result

from .happenings import Happening
from .pair import Pair
from .twin import Twin


class Following:
    """Started anew after a failure, so that what happened in one test does not fail the next one."""

    def __init__(self, source: Any, target: Any, directory: Path) -> None:
        self._source, self._target = source, target
        self._directory = directory
        self._count = 0
        self.pair: Pair
        self.twin: Twin
        self._begin()

    def _begin(self) -> None:
        self._count += 1
        self.pair = Pair(self._source, self._target, self._directory / f"{self._count}")
        self.pair.empty()
        self.twin = self.pair.twin().start()
        self.twin.wait_for_state("replicating")

    def close(self) -> None:
        self.pair.close()

    def make_healthy(self) -> None:
        if self.twin.is_running() and self.twin.state == "replicating":
            return
        self.close()
        self._begin()

    def restart(self) -> None:
        """kill -9, and on."""
        self.twin.kill()
        self.twin.start()
        self.twin.wait_for_state("replicating")

    def happens(self, happening: Happening) -> None:
        if not happening.fits(self.pair.source_client):
            pytest.skip(f"needs MongoDB {'.'.join(map(str, happening.since))}")
        running = happening.begin(self.pair.source_client, "live")
        self.twin.wait_caught_up(self.pair.source_client)
        running.happen()
        self.settle(running.database.name, happening.held)

    def settle(self, database: str, held: bool = False) -> None:
        """Everything is applied, and what begins with that name is the same; what is held back shows only in the end."""
        self.twin.wait_caught_up(self.pair.source_client)
        if not held:
            self.pair.assert_identical(include=[f"{database}*"])

    def finish(self) -> Result:
        self.twin.finish()
        return self.pair.assert_identical()
