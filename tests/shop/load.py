# SPDX-License-Identifier: Apache-2.0
"""Fills a cluster with the shop: schema, shard keys spread over the shards, documents in parallel, oddities, views."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random
from typing import Any, Callable, Iterator, Optional

import bson
from bson import MinKey
from bson.raw_bson import RawBSONDocument
from bson.son import SON
from pymongo import MongoClient

from . import documents as make
from .oddities import load_oddities
from .schema import COLLECTIONS, PRESHARDED_KEY, PRESHARDED_NS, SINCE, TIME_SERIES, VIEWS, CollectionSpec

_BLOCK = 1000
_THREADS = 4
_CHUNKS = 6  # of a range-sharded collection


@dataclass(frozen=True)
class Size:
    """How many documents each collection gets."""

    documents: int

    def of(self, spec: CollectionSpec) -> int:
        return max(20, round(self.documents * spec.share))

    @property
    def customers(self) -> int:
        return self.of(next(spec for spec in COLLECTIONS if spec.ns == "crm.customers"))


def load(
    client: MongoClient,
    documents: int = 200_000,
    sharded: bool = False,
    *,
    seed: int = 1,
    time_series: bool = False,
    progress: Optional[Callable[[int], None]] = None,
) -> int:
    """Loads about `documents` documents (never fewer) and returns their number. `progress(loaded)` is called from several
    threads. The same arguments make the same documents."""
    size = Size(documents)
    specs = [*COLLECTIONS, TIME_SERIES] if time_series else [*COLLECTIONS]
    for spec in specs:
        _create(client, spec)
        if sharded and spec.shard_key:
            _shard(client, spec, size)
    loaded = _fill(client, specs, size, seed, progress)
    load_oddities(client["shop"])
    for database, name, on, pipeline in VIEWS:
        client[database].create_collection(name, viewOn=on, pipeline=pipeline)
    return loaded


def preshard(target: MongoClient) -> None:
    """Makes one collection on an empty target, sharded by another key than load() gives it on the source."""
    target.admin.command("shardCollection", PRESHARDED_NS, key=SON(PRESHARDED_KEY))


def total_balance(client: MongoClient) -> int:
    """Money moves between accounts in transactions: every state that a transaction leaves whole has the same total."""
    rows = client["shop"]["accounts"].aggregate([{"$group": {"_id": None, "total": {"$sum": "$balance"}}}])
    return next(rows)["total"]


def _create(client: MongoClient, spec: CollectionSpec) -> None:
    database = client[spec.database]
    version = tuple(client.server_info()["versionArray"])
    options = {name: value for name, value in spec.options.items() if version >= SINCE.get(name, (0,))}
    indexes = [index for index in spec.indexes if version >= SINCE.get(index["name"], (0,))]
    database.command(SON([("create", spec.name), *options.items()]))
    if indexes:
        database.command("createIndexes", spec.name, indexes=indexes)


def _shard(client: MongoClient, spec: CollectionSpec, size: Size) -> None:
    assert spec.shard_key
    client.admin.command("shardCollection", spec.ns, key=SON(spec.shard_key), unique=spec.shard_unique)
    if "hashed" in spec.shard_key.values():
        return  # comes split and spread
    shards = sorted(row["_id"] for row in client["config"]["shards"].find())
    points = [_split_point(spec, size, n) for n in range(1, _CHUNKS)]
    for point in points:
        client.admin.command("split", spec.ns, middle=SON(point))
    for n, point in enumerate([{name: MinKey() for name in spec.shard_key}, *points]):
        _move_chunk(client, spec.ns, point, shards[n % len(shards)])


def _split_point(spec: CollectionSpec, size: Size, n: int) -> dict[str, Any]:
    """Fields after the first are MinKey: a value of the first field stays in one chunk."""
    first, *rest = spec.shard_key or {}
    extent = {"customer_id": size.customers, "store": make.STORES}.get(first, size.of(spec))
    return {first: extent * n // _CHUNKS, **{name: MinKey() for name in rest}}


def _move_chunk(client: MongoClient, ns: str, low: dict[str, Any], to: str) -> None:
    if _owner(client, ns, low) != to:
        client.admin.command("moveChunk", ns, find=SON(low), to=to)


def _owner(client: MongoClient, ns: str, low: dict[str, Any]) -> str:
    collection = client["config"]["collections"].find_one({"_id": ns}) or {}
    chunk = client["config"]["chunks"].find_one({"uuid": collection.get("uuid"), "min": SON(low)})
    return chunk["shard"] if chunk else ""


def _fill(client: MongoClient, specs: list[CollectionSpec], size: Size, seed: int, progress: Any) -> int:
    loaded = 0

    def insert(block: tuple[CollectionSpec, int, int]) -> None:
        nonlocal loaded
        spec, first, end = block
        _insert(client, spec, _documents(spec, first, end, size, seed))
        loaded += end - first  # under the interpreter's lock and for display only
        if progress is not None:
            progress(loaded)

    with ThreadPoolExecutor(_THREADS, thread_name_prefix="load") as pool:
        list(pool.map(insert, _blocks(specs, size)))
    return sum(size.of(spec) for spec in specs)


def _blocks(specs: list[CollectionSpec], size: Size) -> Iterator[tuple[CollectionSpec, int, int]]:
    """A capped collection is one block: its documents' order counts."""
    for spec in specs:
        total = size.of(spec)
        step = total if spec.options.get("capped") else _BLOCK
        for first in range(0, total, step):
            yield spec, first, min(total, first + step)


def _documents(spec: CollectionSpec, first: int, end: int, size: Size, seed: int) -> Iterator[RawBSONDocument]:
    rng = Random(f"{seed}/{spec.ns}/{first}")
    for n in range(first, end):
        document = make.order(n, rng, size.customers) if spec.ns == "shop.orders" else make.MAKERS[spec.ns](n, rng)
        yield RawBSONDocument(bson.encode(document))


def _insert(client: MongoClient, spec: CollectionSpec, documents: Iterator[RawBSONDocument]) -> None:
    ordered = bool(spec.options.get("capped"))
    collection = client[spec.database][spec.name]
    collection.insert_many(list(documents), ordered=ordered, bypass_document_validation="validator" in spec.options)
