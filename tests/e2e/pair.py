# SPDX-License-Identifier: Apache-2.0
"""A source, a target and what happens between them in one test. Owned by one thread."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

import shop
from compare import Result, Selection, compare_clusters
from cluster import ShardedCluster
from pymongo import MongoClient

from .twin import Twin

_SYSTEM_DATABASES = ("admin", "config", "local")
DOCUMENTS = 6000
OPERATIONS_PER_SECOND = 300
DDL_PER_SECOND = 3


def databases(client: MongoClient) -> list[str]:
    return [name for name in client.list_database_names() if name not in _SYSTEM_DATABASES]


class Pair:
    def __init__(self, source: Any, target: Any, directory: Path) -> None:
        self.source = source
        self.target = target
        self.source_client: MongoClient = source.client()
        self.target_client: MongoClient = target.client()
        self.twins: list[Twin] = []
        self._writers: list[shop.Writer] = []
        self._directory = directory
        self._documents = DOCUMENTS

    @property
    def sharded(self) -> bool:
        """Whether the source is."""
        return isinstance(self.source, ShardedCluster)

    def empty(self) -> None:
        for cluster, client in ((self.source, self.source_client), (self.target, self.target_client)):
            for name in databases(client):
                client.drop_database(name)
            if cluster.auth:
                self._drop_users(client, cluster.auth.user)

    @staticmethod
    def _drop_users(client: MongoClient, keep: str) -> None:
        for user in client.admin["system.users"].find({"user": {"$ne": keep}}, {"user": 1, "db": 1}):
            client[user["db"]].command("dropUser", user["user"])

    def close(self) -> None:
        for twin in self.twins:
            twin.kill()
        for writer in self._writers:
            writer.halt()
        self.source_client.close()
        self.target_client.close()

    # ---- what happens

    def load(self, documents: int = DOCUMENTS, **options: Any) -> None:
        self._documents = documents
        shop.load(self.source_client, documents, self.sharded, **options)

    def write(self, rate: Optional[float] = OPERATIONS_PER_SECOND, ddl: float = DDL_PER_SECOND, **options: Any) -> shop.Writer:
        """Starts a live load on the source; it ends with the test if not before."""
        writer = shop.Writer(
            self.source_client,
            documents=self._documents,
            operations_per_second=rate,
            ddl_per_second=ddl,
            sharded=self.sharded,
            **options,
        )
        self._writers.append(writer)
        writer.start()
        return writer

    def twin(self, **config: Any) -> Twin:
        """Configured, not started."""
        directory = self._directory / f"twin-{len(self.twins)}"
        uris = {"source": self.source.uri, "target": self.target.uri, **config}
        twin = Twin(directory, uris.pop("source"), uris.pop("target"), **uris)
        self.twins.append(twin)
        return twin

    # ---- what must hold

    def compare(self, sharding: bool = False, **selection: Any) -> Result:
        return compare_clusters(
            self.source_client, self.target_client, selection=Selection(**selection), sharding=sharding
        )

    def assert_identical(self, sharding: bool = False, **selection: Any) -> Result:
        result = self.compare(sharding, **selection)
        assert result.identical, str(result)
        assert result.documents > 0, "an empty compare proves nothing"
        return result

    def finish_and_compare(self, twin: Twin, *writers: shop.Writer, sharding: bool = False) -> Result:
        """Stops the writers, lets mongotwin finish and compares everything."""
        for writer in writers:
            writer.stop()
        twin.finish()
        result = self.assert_identical(sharding)
        assert self.source_balance() == shop.total_balance(self.target_client)
        return result

    def source_balance(self) -> int:
        return shop.total_balance(self.source_client)


def copy_and_follow(pair: Pair, operations: int = 1500, sharding: bool = False, **config: Any) -> Result:
    """The main job under load: copy while writes go on, follow, finish, compare in full."""
    pair.load()
    writer = pair.write()
    twin = pair.twin(**config).start()
    twin.wait_for_state("replicating")
    writer.wait_for(operations)
    return pair.finish_and_compare(twin, writer, sharding=sharding)
