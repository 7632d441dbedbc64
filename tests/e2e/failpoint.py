# SPDX-License-Identifier: Apache-2.0
"""Where a server stops and waits until told otherwise; for servers with enableTestCommands."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Iterator

from bson import SON
from pymongo import MongoClient


class Failpoint:
    def __init__(self, client: MongoClient, name: str, data: dict[str, Any], mode: Any = "alwaysOn") -> None:
        self._client = client
        self._name = name
        self._times_before = self._configure(mode, data)["count"]

    def wait_entered(self, timeout_ms: int = 60_000) -> None:
        times = self._times_before + 1
        self._client.admin.command(SON([("waitForFailPoint", self._name), ("timesEntered", times), ("maxTimeMS", timeout_ms)]))

    def off(self) -> None:
        self._configure("off", {})

    def _configure(self, mode: Any, data: dict[str, Any]) -> dict[str, Any]:
        return self._client.admin.command(SON([("configureFailPoint", self._name), ("mode", mode), ("data", data)]))


@contextmanager
def failpoint(client: MongoClient, name: str, mode: Any = "alwaysOn", **data: Any) -> Iterator[Failpoint]:
    """`mode`: as the server takes it, such as {"times": 1} or {"skip": 2}."""
    point = Failpoint(client, name, data, mode)
    try:
        yield point
    finally:
        point.off()
