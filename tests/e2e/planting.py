# SPDX-License-Identifier: Apache-2.0
"""Differences of every kind, planted on the target: each in a document of its own, or in a definition."""

from __future__ import annotations

import datetime
import struct
from typing import Any

import bson
from bson import Binary, Decimal128, Int64
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient

NS = "plant.documents"
FILLER = 12_000  # more than a range
_DAY = datetime.datetime(2024, 2, 29)


def _double(bits: int) -> float:
    return struct.unpack("<d", struct.pack("<Q", bits))[0]


def _bits(value: float) -> int:
    return struct.unpack("<Q", struct.pack("<d", value))[0]


def _flip(value: float) -> float:
    return _double(_bits(value) ^ 1)


# name → the source's fields, the target's, what is said
DOCUMENTS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "one bit of a string": ({"a": "x" * 50}, {"a": "x" * 49 + "y"}, "field a has another value"),
    "one bit of a double": ({"a": 0.1}, {"a": _flip(0.1)}, "field a has another value"),
    "one bit of a huge double": ({"a": 1e300}, {"a": _flip(1e300)}, "field a has another value"),
    "one bit of a tiny double": ({"a": 1e-300}, {"a": _flip(1e-300)}, "field a has another value"),
    "the smallest doubles": ({"a": 5e-324}, {"a": 1e-323}, "field a has another value"),
    "a fraction inside": ({"a": {"b": [{"c": 1.5}]}}, {"a": {"b": [{"c": 1.25}]}}, "field a.b.0.c has another value"),
    "signs of zero": ({"a": 0.0}, {"a": -0.0}, "field a has another value"),
    "zeros of a decimal": ({"a": Decimal128("1.0")}, {"a": Decimal128("1.00")}, "field a has another value"),
    "int and long": ({"a": 1}, {"a": Int64(1)}, "field a is int on the source, long on the target"),
    "long and double": ({"a": Int64(1)}, {"a": 1.0}, "field a is long on the source, double on the target"),
    "long and double inside": ({"a": [{"b": Int64(1)}]}, {"a": [{"b": 1.0}]}, "field a.0.b is long on the source, double on the target"),
    "int and long that cancel out": ({"a": 1, "b": Int64(1)}, {"a": Int64(1), "b": 1}, "field a is int on the source, long on the target; field b is long on the source, int on the target"),
    "order of fields": ({"a": 1, "b": 2}, {"b": 2, "a": 1}, "the order of fields in the document"),
    "order inside": ({"x": {"a": 1, "b": 2}}, {"x": {"b": 2, "a": 1}}, "the order of fields in x"),
    "a name": ({"abc": 1}, {"abd": 1}, "field abc is missing on the target; field abd is only on the target"),
    "null and nothing": ({"a": None}, {}, "field a is missing on the target"),
    "array and object": ({"a": ["x"]}, {"a": {"0": "x"}}, "field a is array on the source, object on the target"),
    "a millisecond": ({"a": _DAY}, {"a": _DAY + datetime.timedelta(milliseconds=1)}, "field a has another value"),
    "kinds of binary": ({"a": Binary(b"abc", 0)}, {"a": Binary(b"abc", 5)}, "field a has another value"),
}
# What a digest can't see, as docs/verify.md says.
UNSEEN: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "payloads of NaN": ({"a": _double(0x7FF8000000000000)}, {"a": _double(0x7FF8000000000001)}, "field a has another value"),
    "fractions far inside": ({"a": [[[[[[[1.5]]]]]]]}, {"a": [[[[[[[1.25]]]]]]]}, "field a.0.0.0.0.0.0.0 has another value"),
}


def _raw(name: str, fields: dict[str, Any]) -> RawBSONDocument:
    return RawBSONDocument(bson.encode({"_id": name, **fields}))


def fill(client: MongoClient) -> None:
    """All as it is on the source; the views and validators too."""
    db = client["plant"]
    documents = db["documents"]
    documents.insert_many([{"_id": n, "n": n, "pad": "p" * (n % 50)} for n in range(FILLER)])
    documents.insert_many([_raw(name, ours) for name, (ours, _, _) in {**DOCUMENTS, **UNSEEN}.items()])
    documents.insert_many([{"_id": "missing", "n": 1}, {"_id": Int64(FILLER + 5), "what": "its _id's type"}])
    documents.create_index("n", name="by_n", partialFilterExpression={"n": {"$gt": 5}})
    documents.create_index("pad", name="by_pad")
    db.create_collection("checked", validator={"n": {"$gt": 0}}, validationLevel="strict", validationAction="error")  # as collMod leaves it
    db["checked"].insert_one({"_id": 1, "n": 1})
    db.command("create", "looked_at", viewOn="documents", pipeline=[{"$match": {"n": 1}}])


def plant_documents(client: MongoClient) -> dict[str, str]:
    """What a verification must say of each, by digests."""
    documents = client["plant"]["documents"]
    for name, (_, theirs, _) in {**DOCUMENTS, **UNSEEN}.items():
        documents.delete_one({"_id": name})
        documents.insert_one(_raw(name, theirs))
    documents.delete_one({"_id": "missing"})
    documents.insert_one({"_id": "extra", "n": 1})
    documents.insert_many([{"_id": FILLER + 100 + n} for n in range(3)])
    documents.delete_one({"_id": FILLER + 5})
    documents.insert_one(RawBSONDocument(bson.encode({"_id": float(FILLER + 5), "what": "its _id's type"})))
    said = {f'{NS} "{name}"': what for name, (_, _, what) in DOCUMENTS.items()}
    said[f'{NS} "missing"'] = "is missing on the target"
    said[f'{NS} "extra"'] = "is only on the target"
    said |= {f"{NS} {FILLER + 100 + n}": "is only on the target" for n in range(3)}
    said[f"{NS} {FILLER + 5}"] = "field _id is long on the source, double on the target"
    return said


def unseen() -> dict[str, str]:
    return {f'{NS} "{name}"': what for name, (_, _, what) in UNSEEN.items()}


def plant_definitions(client: MongoClient) -> set[str]:
    """The namespaces that a verification must name."""
    db = client["plant"]
    db["documents"].drop_index("by_n")
    db["documents"].create_index("n", name="by_n", partialFilterExpression={"n": {"$gt": 6}})
    db["documents"].drop_index("by_pad")
    db.command("collMod", "checked", validator={"n": {"$gt": 1}})
    db.command("collMod", "looked_at", viewOn="documents", pipeline=[{"$match": {"n": 2}}])
    db["alone"].insert_one({"_id": 1})
    return {NS, "plant.checked", "plant.looked_at", "plant.alone"}


def mend_definitions(client: MongoClient) -> None:
    db = client["plant"]
    db["documents"].drop_index("by_n")
    db["documents"].create_index("n", name="by_n", partialFilterExpression={"n": {"$gt": 5}})
    db["documents"].create_index("pad", name="by_pad")
    db.command("collMod", "checked", validator={"n": {"$gt": 0}})
    db.command("collMod", "looked_at", viewOn="documents", pipeline=[{"$match": {"n": 1}}])
    db["alone"].drop()
