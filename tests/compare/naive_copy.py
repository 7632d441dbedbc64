# SPDX-License-Identifier: Apache-2.0
"""A few lines that copy a cluster at rest, for testing the compare: no speed, no changes under way, no sharding."""

from __future__ import annotations

from typing import Iterator

import bson
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from bson.son import SON
from pymongo import MongoClient

from .catalog import Collection, read_catalog, read_indexes
from .elements import Element, elements, id_of, id_value

_EMPTY_TIMESTAMP = (0x11, bytes(8))


def copy_cluster(source: MongoClient, target: MongoClient) -> None:
    catalog = read_catalog(source, lambda ns: True)
    ordered = sorted(catalog.values(), key=lambda c: (c.type == "view", c.ns))
    for collection in ordered:
        if not collection.is_buckets:
            _create(target, collection)
    for collection in ordered:
        if collection.has_documents:
            _copy_documents(source, target, collection)
            _copy_indexes(source, target, collection)


def _spec(options: dict[str, Element]) -> SON:
    return SON((name, id_value(element)) for name, element in options.items())


def _create(target: MongoClient, collection: Collection) -> None:
    options = _spec(collection.options)
    if collection.type == "timeseries":
        options.pop("clusteredIndex", None)
    target[collection.database].command(SON([("create", collection.name), *options.items()]))


def _copy_documents(source: MongoClient, target: MongoClient, collection: Collection) -> None:
    handle = target[collection.database].get_collection(collection.name)
    for batch in _batches(source, collection):
        plain = [RawBSONDocument(raw) for raw in batch if not _has_empty_timestamp(raw)]
        if plain:
            handle.insert_many(plain, ordered=True, bypass_document_validation=True)
        for raw in filter(_has_empty_timestamp, batch):
            literal = [{"$replaceWith": {"$literal": RawBSONDocument(raw)}}]
            handle.update_one({"_id": id_value(id_of(raw))}, literal, upsert=True, bypass_document_validation=True)


def _batches(source: MongoClient, collection: Collection) -> Iterator[list[bytes]]:
    cursor = source[collection.database][collection.name].find_raw_batches({}, sort=[("$natural", 1)])
    for raw in cursor:
        yield [document.raw for document in bson.decode_all(raw, CodecOptions(document_class=RawBSONDocument))]


def _has_empty_timestamp(raw: bytes) -> bool:
    """The server replaces a top-level Timestamp(0,0) on insert by the present time."""
    return any((element.type, element.value) == _EMPTY_TIMESTAMP for element in elements(raw))


def _copy_indexes(source: MongoClient, target: MongoClient, collection: Collection) -> None:
    read_indexes(source, collection)
    specs = [_spec(index) for index in collection.indexes.values() if "clustered" not in index]
    specs = [spec for spec in specs if spec["name"] != "_id_"]
    if specs:
        target[collection.database].command("createIndexes", collection.name, indexes=specs)

