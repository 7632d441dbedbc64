# SPDX-License-Identifier: Apache-2.0
"""Documents of one collection, both sides streamed in `_id` order and matched by `_id` and bytes.

The two streams are walked in step. A document that does not meet its twin at once waits for it; so nothing depends on
how a server orders mixed types, collations or documents that share an `_id` on two shards: in equal collections next to
nothing ever waits, and otherwise what waits is what differs. The memory for waiting is bounded (WAITING_BYTES_MAX).
"""

from __future__ import annotations

from collections import defaultdict
from itertools import zip_longest
from typing import Iterator, Optional

from pymongo import MongoClient
from pymongo.read_concern import ReadConcern

from .catalog import Collection, read_raw
from .elements import Element, describe, id_of, id_value
from .result import Result

WAITING_BYTES_MAX = 256 << 20
_BATCH_DOCUMENTS = 2000
_BY_ID = {"sort": [("_id", 1)], "hint": [("_id", 1)]}
_Key = tuple[int, bytes]
_Sides = tuple[tuple[MongoClient, Collection], tuple[MongoClient, Collection]]


class _Waiting:
    """Documents of one side that have not met their twin, by `_id`."""

    def __init__(self) -> None:
        self.documents: dict[_Key, list[bytes]] = defaultdict(list)
        self.bytes = 0

    def add(self, key: _Key, raw: bytes) -> None:
        self.documents[key].append(raw)
        self.bytes += len(raw)

    def take(self, key: _Key, raw: bytes) -> bool:
        same_id = self.documents.get(key)
        if not same_id or raw not in same_id:
            return False
        same_id.remove(raw)
        self.bytes -= len(raw)
        if not same_id:
            del self.documents[key]
        return True


def compare_documents(result: Result, source: MongoClient, target: MongoClient, ours: Collection, theirs: Collection) -> None:
    """Both by the names that they have on their side."""
    sides = ((source, ours), (target, theirs))
    same_order = not ours.capped or _compare_natural_order(sides)
    before = result.differences_total
    count = _compare_by_id(result, ours.ns, sides)
    if not same_order and result.differences_total == before:
        result.add(ours.ns, "the same documents stand in another natural order")
    result.count(documents=count)


def _compare_natural_order(sides: _Sides) -> bool:
    streams = (_stream(client, collection, natural=True) for client, collection in sides)
    return all(ours == theirs for ours, theirs in zip_longest(*streams))


def _compare_by_id(result: Result, ns: str, sides: _Sides) -> int:
    waiting_source, waiting_target = _Waiting(), _Waiting()
    count = 0
    # A clustered collection's natural order is that of its _ids, and 5.0 has no other way through one.
    ours_and_theirs = (_stream(client, collection, natural=collection.clustered) for client, collection in sides)
    for ours, theirs in zip_longest(*ours_and_theirs):
        count += ours is not None
        if ours == theirs:
            continue
        _meet(ours, waiting_source, waiting_target)
        _meet(theirs, waiting_target, waiting_source)
        if waiting_source.bytes + waiting_target.bytes > WAITING_BYTES_MAX:
            result.add(ns, f"more than {WAITING_BYTES_MAX >> 20} MB of documents differ; gave up after {count} documents")
            break
    _report(result, ns, waiting_source, waiting_target)
    return count


def _meet(raw: Optional[bytes], own: _Waiting, other: _Waiting) -> None:
    if raw is None:
        return
    element = id_of(raw)
    key = (element.type, element.value)
    if not other.take(key, raw):
        own.add(key, raw)


def _report(result: Result, ns: str, source: _Waiting, target: _Waiting) -> None:
    for key, ours in source.documents.items():
        theirs = target.documents.pop(key, [])
        for one, other in zip(ours, theirs):
            result.add(ns, describe(one, other), _show_id(key))
        _report_alone(result, ns, key, len(ours) - len(theirs), target)
    for key, theirs in target.documents.items():
        result.add(ns, "only in the target", _show_id(key), times=len(theirs))


def _report_alone(result: Result, ns: str, key: _Key, surplus: int, target: _Waiting) -> None:
    if surplus == 0:
        return
    side = "missing in the target" if surplus > 0 else "more often in the target"
    twin = _same_value(key, target) if surplus > 0 else ""
    result.add(ns, f"{side}{twin}", _show_id(key), times=abs(surplus))


def _same_value(key: _Key, target: _Waiting) -> str:
    """A hint where the target has the same `_id` in another type: 1 and 1.0 are one `_id` to a server."""
    if len(target.documents) > 1000:
        return ""
    value = id_value(Element("_id", *key))
    same = (other for other in target.documents if id_value(Element("_id", *other)) == value)
    return "".join(f"; the target has {_show_id(other)}" for other in same)


def _show_id(key: _Key) -> str:
    return f"_id {Element('_id', *key).show()}"


def _stream(client: MongoClient, collection: Collection, natural: bool = False) -> Iterator[bytes]:
    """Raw documents in the order of the `_id` index, so never sorted in memory; or in natural order."""
    if _is_refused_by_the_driver(collection.name):
        hint = {"$natural": 1} if natural else {"_id": 1}
        yield from read_raw(client, collection.database, "find", collection.name, hint=hint, readConcern={"level": "majority"})
        return
    handle = client[collection.database].get_collection(collection.name, read_concern=ReadConcern("majority"))
    order = {"sort": [("$natural", 1)]} if natural else _BY_ID
    for batch in handle.find_raw_batches({}, batch_size=_BATCH_DOCUMENTS, **order):
        yield from _split(batch)


def _is_refused_by_the_driver(name: str) -> bool:
    return ".." in name or name.startswith(".") or name.endswith(".")


def _split(batch: bytes) -> Iterator[bytes]:
    at, end = 0, len(batch)
    while at < end:
        size = int.from_bytes(batch[at : at + 4], "little")
        yield batch[at : at + size]
        at += size

