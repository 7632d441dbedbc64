# SPDX-License-Identifier: Apache-2.0
"""Transactions held open between prepare and commit: the commands that a coordinator sends, sent to the shards by hand.

Owned by one thread.
"""

from __future__ import annotations

import uuid
from typing import Any

from bson import Int64
from bson.binary import UUID_SUBTYPE, Binary
from bson.timestamp import Timestamp
from cluster import ReplicaSet
from cluster.router.wire import Connection

_TIMEOUT_S = 30.0


class Prepared:
    """One transaction: write() on any shards, prepare() on all of them, then commit() or abort(), shard by shard if need be."""

    def __init__(self, *shards: ReplicaSet) -> None:
        self.shards = list(shards)
        self.prepared_at: dict[str, Timestamp] = {}
        self._identity = {"lsid": {"id": Binary(uuid.uuid4().bytes, UUID_SUBTYPE)}, "txnNumber": Int64(1), "autocommit": False}
        self._connections = {s.name: Connection("127.0.0.1", s.wait_primary().port, _TIMEOUT_S, _TIMEOUT_S) for s in shards}
        self._begun: set[str] = set()  # and not ended

    @property
    def commit_time(self) -> Timestamp:
        return max(self.prepared_at.values())

    def write(self, shard: ReplicaSet, database: str, command: dict[str, Any]) -> None:
        """A write command with its own statements."""
        first = {} if shard.name in self._begun else {"startTransaction": True}
        self._begun.add(shard.name)
        reply = self._send(shard, database, {**command, **first})
        assert not reply.get("writeErrors"), reply

    def prepare(self, *shards: ReplicaSet) -> "Prepared":
        """On all shards or on those given."""
        for shard in shards or self.shards:
            reply = self._send(shard, "admin", {"prepareTransaction": 1, "writeConcern": {"w": "majority"}})
            self.prepared_at[shard.name] = reply["prepareTimestamp"]
        return self

    def commit(self, *shards: ReplicaSet) -> None:
        time = self.commit_time
        clock = {"clusterTime": time, "signature": {"hash": Binary(bytes(20)), "keyId": Int64(0)}}
        for shard in shards or self.shards:
            command = {"commitTransaction": 1, "commitTimestamp": time, "writeConcern": {"w": "majority"}, "$clusterTime": clock}
            self._send(shard, "admin", command)
            self._begun.discard(shard.name)

    def abort(self, *shards: ReplicaSet) -> None:
        for shard in shards or self.shards:
            self._send(shard, "admin", {"abortTransaction": 1, "writeConcern": {"w": "majority"}})
            self._begun.discard(shard.name)

    def close(self) -> None:
        """Aborts what is open: left behind it would block the next test."""
        still_open = [shard for shard in self.shards if shard.name in self._begun]
        if still_open:
            self.abort(*still_open)
        for connection in self._connections.values():
            connection.close()

    def _send(self, shard: ReplicaSet, database: str, command: dict[str, Any]) -> dict[str, Any]:
        reply = self._connections[shard.name].command(database, {**command, **self._identity})
        assert reply.get("ok"), f"{shard.name}: {next(iter(command))}: {reply}"
        return reply


def insert(collection: str, *documents: dict[str, Any]) -> dict[str, Any]:
    return {"insert": collection, "documents": list(documents)}


def update(collection: str, query: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    return {"update": collection, "updates": [{"q": query, "u": change}]}


def delete(collection: str, query: dict[str, Any]) -> dict[str, Any]:
    return {"delete": collection, "deletes": [{"q": query, "limit": 1}]}
