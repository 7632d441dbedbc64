# SPDX-License-Identifier: Apache-2.0
"""What a cluster says about its collections: options, indexes, views and shard keys, as raw BSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, Iterable, Iterator, Optional

from bson import Int64
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient

from .elements import Element, elements, fields, id_value
from .result import Result

INTERNAL_DATABASES = frozenset({"admin", "config", "local", "mongotwin"})
BUCKETS = "system.buckets."
_RAW: CodecOptions = CodecOptions(document_class=RawBSONDocument)


@dataclass(frozen=True)
class Sharding:
    key: bytes
    unique: bool

    def __str__(self) -> str:
        return f"{show_document(self.key)}{' unique' if self.unique else ''}"


@dataclass
class Collection:
    ns: str
    type: str  # collection, view, timeseries
    options: dict[str, Element]
    id_index: Optional[bytes]
    sharding: Optional[Sharding] = None
    indexes: dict[str, dict[str, Element]] = field(default_factory=dict)

    @property
    def database(self) -> str:
        return self.ns.partition(".")[0]

    @property
    def name(self) -> str:
        return self.ns.partition(".")[2]

    @property
    def has_documents(self) -> bool:
        """A time series keeps its documents in its buckets, which are compared as a collection of their own."""
        return self.type == "collection"

    @property
    def is_buckets(self) -> bool:
        return self.name.startswith(BUCKETS)

    def rename_base(self, target: Callable[[str], str]) -> None:
        """A view: what it is on, by its name in the target."""
        base = target(f"{self.database}.{id_value(self.options['viewOn'])}").partition(".")[2].encode()
        self.options["viewOn"] = Element("viewOn", 0x02, (len(base) + 1).to_bytes(4, "little") + base + b"\0")

    @property
    def clustered(self) -> bool:
        return "clusteredIndex" in self.options

    @property
    def capped(self) -> bool:
        return "capped" in self.options and self.options["capped"].value == b"\1"


def show_document(raw: bytes) -> str:
    return "{" + ", ".join(f"{e.name}: {id_value(e)!r}" for e in elements(raw)) + "}"


def logical_ns(ns: str) -> str:
    """The name that a user knows: a time series' buckets go by the name of the series."""
    return ns.replace("." + BUCKETS, ".", 1)


def read_raw(client: MongoClient, database: str, command: str, argument: Any, **options: Any) -> Iterator[bytes]:
    """The raw documents of listCollections, listIndexes or find; the driver's own helpers decode and so blur the listings,
    and refuse names that a server takes."""
    handle = client.get_database(database, codec_options=_RAW)
    with client.start_session() as session:
        reply = handle.command(command, argument, **options, codec_options=_RAW, session=session)
        while True:
            cursor = fields(fields(bytes(reply.raw))["cursor"].value)
            batch = cursor.get("firstBatch") or cursor["nextBatch"]
            yield from (element.value for element in elements(batch.value))
            number = id_value(cursor["id"])
            if not number:
                return
            collection = id_value(cursor["ns"]).partition(".")[2]
            reply = handle.command("getMore", Int64(number), collection=collection, codec_options=_RAW, session=session)


def is_sharded_cluster(client: MongoClient) -> bool:
    return client.admin.command("hello").get("msg") == "isdbgrid"


def _sharded_collections(client: MongoClient) -> dict[str, Sharding]:
    if not is_sharded_cluster(client):
        return {}
    rows = client.get_database("config", codec_options=_RAW)["collections"].find({})
    sharded = {}
    for row in rows:
        named = fields(bytes(row.raw))
        if "key" in named and not ("dropped" in named and named["dropped"].value == b"\1"):
            unique = "unique" in named and named["unique"].value == b"\1"
            sharded[id_value(named["_id"])] = Sharding(named["key"].value, unique)
    return sharded


def _is_internal(name: str) -> bool:
    """system.views is compared through the views it makes; what else begins so is the server's own, but for buckets and js."""
    return name.startswith("system.") and not name.startswith(BUCKETS) and name != "system.js"


def read_catalog(client: MongoClient, wanted: Any) -> dict[str, Collection]:
    """Every collection and view for which wanted(ns) holds, by namespace; indexes are read later, collection by collection."""
    sharded = _sharded_collections(client)
    found: dict[str, Collection] = {}
    for row in client.admin.command("listDatabases", nameOnly=True)["databases"]:
        name = row["name"]
        if name in INTERNAL_DATABASES:
            continue
        for document in read_raw(client, name, "listCollections", 1, cursor={}):
            collection = _collection(name, document)
            if not _is_internal(collection.name) and wanted(logical_ns(collection.ns)):
                collection.sharding = sharded.get(collection.ns)
                found[collection.ns] = collection
    return found


def _collection(database: str, raw: bytes) -> Collection:
    listed = fields(raw)
    id_index = listed["idIndex"].value if "idIndex" in listed else None
    options = fields(listed["options"].value)
    options.pop("uuid", None)
    return Collection(f"{database}.{id_value(listed['name'])}", id_value(listed["type"]), options, id_index)


def read_indexes(client: MongoClient, collection: Collection) -> None:
    collection.indexes = {}
    for document in read_raw(client, collection.database, "listIndexes", collection.name, cursor={}):
        index = fields(document)
        collection.indexes[id_value(index["name"])] = _comparable_index(index)


def _comparable_index(index: dict[str, Element]) -> dict[str, Element]:
    """Without `ns`, which old servers list; `v` by its number, since old drivers stored it as double or long."""
    index.pop("ns", None)
    if "v" in index:
        number = int(id_value(index["v"]))
        index["v"] = Element("v", 0x10, number.to_bytes(4, "little"))
    return index


def compare_named(result: Result, ns: str, key: str, kind: str, source: dict[str, Element], target: dict[str, Element]) -> None:
    for name in _union(source, target):
        ours, theirs = source.get(name), target.get(name)
        if ours == theirs:
            continue
        result.add(ns, f"{kind} {name!r}: {_show(ours)} in the source, {_show(theirs)} in the target", key)


def _show(element: Optional[Element]) -> str:
    return "absent" if element is None else element.show()


def _union(source: Iterable[str], target: Iterable[str]) -> list[str]:
    return list(dict.fromkeys([*source, *target]))


def compare_options(result: Result, source: Collection, target: Collection) -> None:
    if source.type != target.type:
        result.add(source.ns, f"{source.type} in the source, {target.type} in the target")
        return
    compare_named(result, source.ns, "", "option", source.options, target.options)
    ours, theirs = _comparable_id_index(source.id_index), _comparable_id_index(target.id_index)
    compare_named(result, source.ns, "idIndex", "option", ours, theirs)


def _comparable_id_index(raw: Optional[bytes]) -> dict[str, Element]:
    return {} if raw is None else _comparable_index(fields(raw))


def compare_indexes(result: Result, source: Collection, target: Collection, sharding_too: bool) -> None:
    for name in _union(source.indexes, target.indexes):
        ours, theirs = source.indexes.get(name), target.indexes.get(name)
        if ours is not None and theirs is not None:
            compare_named(result, source.ns, f"index {name!r}", "option", ours, theirs)
        elif not sharding_too and (_serves_shard_key(source, target, ours) or _serves_shard_key(target, source, theirs)):
            result.note(f"{source.ns}: index {name!r} serves the shard key of one side only")
        else:
            side = "missing in the target" if theirs is None else "only in the target"
            result.add(source.ns, f"{side}: {_show_index(ours or theirs)}", f"index {name!r}")


def _serves_shard_key(owner: Collection, other: Collection, index: Optional[dict[str, Element]]) -> bool:
    """Sharding by another key than the other side makes an index that the other side has no reason to have."""
    if index is None or owner.sharding is None:
        return False
    if set(index) != {"v", "key", "name", *(["unique"] if owner.sharding.unique else [])}:
        return False
    same_key = other.sharding is not None and _same_key(other.sharding.key, owner.sharding.key)
    return not same_key and _same_key(index["key"].value, owner.sharding.key)


def _same_key(one: bytes, other: bytes) -> bool:
    """1, 1.0 and NumberLong(1) mean the same in a key pattern."""
    return [(e.name, id_value(e)) for e in elements(one)] == [(e.name, id_value(e)) for e in elements(other)]


def _show_index(index: Optional[dict[str, Element]]) -> str:
    return ", ".join(f"{e.name}={e.show()}" for e in (index or {}).values())


def compare_sharding(result: Result, source: Collection, target: Collection, sharding_too: bool) -> None:
    if source.sharding is None and target.sharding is None:
        return
    text = f"sharded by {source.sharding or 'nothing'} in the source, {target.sharding or 'nothing'} in the target"
    same = source.sharding and target.sharding and str(source.sharding) == str(target.sharding)
    if sharding_too and not same:
        result.add(source.ns, text)
    else:
        result.note(f"{source.ns}: {text}")

