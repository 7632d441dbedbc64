# SPDX-License-Identifier: Apache-2.0
"""Documents that a copy easily gets wrong: `_id`s of every type, names with dots and dollars, values at the edges."""

from __future__ import annotations

import datetime
from typing import Any

import bson
from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from bson.son import SON
from pymongo.database import Database

COLLECTION = "odd"
_IDS: tuple[Any, ...] = (
    MinKey(), MaxKey(), None, float("nan"), float("-inf"), float("inf"), -0.0, 1.5, -1e-9, Int64(2**62), -(2**31), 2**31 - 1,
    Decimal128("0.1"), Decimal128("1E+6000"), Decimal128("-1E-6000"), "", "a", "A", "ä", "a.b", "$a", "\0nul", "x" * 900,
    {}, {"a": 1}, SON([("b", 1), ("a", 1)]), SON([("a", 1), ("b", 1)]), {"a": {"b": [1, {"c": None}]}}, Binary(b"", 0),
    Binary(b"\0\1\2", 0), Binary(b"\0" * 16, 4), Binary(b"z", 128), ObjectId("0" * 24), ObjectId("f" * 24), True, False,
    datetime.datetime(1, 1, 1), datetime.datetime(1970, 1, 1), datetime.datetime(9999, 12, 31), Timestamp(0, 1),
    Timestamp(2**32 - 1, 2**32 - 1), Code("f()"), Code("f()", {"x": 1}),
)  # fmt: skip
_VALUES: tuple[dict[str, Any], ...] = (
    {"a.b": 1, "a": {"b": 2, "c.d": {"e": 3}}, ".": 4, "..": 5},
    {"$set": 1, "$a.b": {"$c": 2}, "": "no name", "n": {"": {"": 1}}},
    {"0": 1, "1": {"0": 2, "01": 3}, "list": [[], [[]], [None, {"0": 1}], {}]},
    {"z": -0.0, "nan": float("nan"), "inf": float("-inf"), "tiny": 5e-324, "big": 1.7976931348623157e308},
    {"int": 1, "long": Int64(1), "double": 1.0, "decimal": Decimal128("1.00"), "decimal nan": Decimal128("NaN")},
    {"null": None, "min": MinKey(), "max": MaxKey(), "regex": Regex("^a.*", "im"), "code": Code("x", {"y": 1})},
    {"ref": DBRef("carts", 1, "shop"), "uuid": Binary(b"1" * 16, 4), "old uuid": Binary(b"2" * 16, 3), "ts": {"in": Timestamp(0, 0)}},
    {"before": datetime.datetime(1, 1, 1), "after": datetime.datetime(9999, 12, 31, 23, 59, 59, 999000), "z": [{"y": {"x": [1]}}]},
    {"i": 1, "a": 2, "h": 3, "b": 4, "g": 5, "c": 6},
)


def _raw(document: Any) -> RawBSONDocument:
    return RawBSONDocument(bson.encode(document))


def _nested(depth: int) -> dict[str, Any]:
    document: dict[str, Any] = {"end": True}
    for level in range(depth):
        document = {"down": document} if level % 2 else {"down": [document]}
    return document


def load_oddities(db: Database) -> None:
    collection = db.get_collection(COLLECTION, codec_options=CodecOptions(document_class=RawBSONDocument))
    documents = [SON([("_id", id_), ("value", n)]) for n, id_ in enumerate(_IDS)]
    documents += [SON([("_id", f"value {n}"), *value.items()]) for n, value in enumerate(_VALUES)]
    documents += [{"_id": "deep", **_nested(80)}, {"_id": "wide", **{f"f{n}": n for n in range(1500)}}]
    documents += [{"_id": "big", "data": Binary(b"\x55" * 5_000_000, 0)}]
    collection.insert_many([_raw(document) for document in documents])
    _load_empty_timestamp(db)


def _load_empty_timestamp(db: Database) -> None:
    """A top-level Timestamp(0,0) is replaced by the present time on insert; this keeps it."""
    literal = {"_id": "empty timestamp", "ts": Timestamp(0, 0), "$dollar": 1}
    db[COLLECTION].update_one({"_id": literal["_id"]}, [{"$replaceWith": {"$literal": literal}}], upsert=True)
