# SPDX-License-Identifier: Apache-2.0
"""Order and hash of shard key values, against the server's own."""

import datetime
import random
import struct

import bson
import pytest
from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.son import SON

from cluster.router import keys, scan
from cluster.router.targeting import equality_on_id, full_key, shards_for

UNDEFINED = object()
SYMBOL = object()

VALUES = [
    MinKey(), None, 0, 1, -1, 7, Int64(7), 7.0, Decimal128("7"), 2**31 - 1, -(2**31), Int64(2**62),
    Int64(2**63 - 1), Int64(-(2**63)), 0.0, -0.0, 1.5, -1.5, 7.9, 1e18, 2.0**63, 1e19, -1e19, 1e308,
    float("inf"), float("-inf"), float("nan"), Decimal128("0.1"), Decimal128("1E+6000"),
    Decimal128("-1E+6000"), Decimal128("NaN"), Decimal128("Infinity"), Decimal128("-Infinity"),
    Decimal128("2.5"), Decimal128("-7.9"), Decimal128("7.5"), Decimal128("3.5"), Decimal128("-2.5"), 9007199254740993, 9007199254740992.0, "", "a", "ab",
    "b", "é", "a\0b", {}, {"a": 1}, {"a": 1.0}, {"a": 2}, {"b": 0}, {"a": "x"}, {"a": {"b": 1}},
    {"a": 1, "b": 2}, {"a": [1, 2]}, Binary(b""), Binary(b"abc"), Binary(b"abd"),
    Binary(b"0123456789abcdef", 4), Binary(b"abc", 128), ObjectId("0" * 24),
    ObjectId("6b05f3f8d5ddef2dce284df2"), False, True, datetime.datetime(1969, 1, 1),
    datetime.datetime(2026, 1, 1), Timestamp(1, 2), Timestamp(2**32 - 1, 5), Regex("a", "i"),
    Regex("b"), Code("f()"), Code("f()", {"x": 1}), MaxKey(),
]  # fmt: skip


def raw(value):
    """(type, buffer, value offset, end) of a value encoded on its own."""
    document = bson.encode({"v": value})
    kind, _, at, end = scan.find(document, b"v")
    return kind, document, at, end


@pytest.fixture(scope="module")
def server(cluster):
    with cluster.shards[0].client() as client:
        yield client.keys_on_shard
        client.drop_database("keys_on_shard")


def test_order_is_the_servers(server):
    """Sort all values on the server and here; equal ones keep the order of _id."""
    shuffled = list(VALUES)
    random.Random(5).shuffle(shuffled)
    server.order.insert_many([{"_id": i, "v": v} for i, v in enumerate(shuffled)])
    theirs = [d["_id"] for d in server.order.find().sort([("v", 1), ("_id", 1)])]
    ours = sorted(range(len(shuffled)), key=lambda i: (keys.order(*raw(shuffled[i])), i))
    assert ours == theirs


def test_hash_is_the_servers(server):
    server.hashed.insert_many([{"_id": i, "v": v} for i, v in enumerate(VALUES)])
    rows = server.hashed.aggregate([{"$project": {"hash": {"$toHashedIndexKey": "$v"}}}])
    theirs = {row["_id"]: row["hash"] for row in rows}
    for i, value in enumerate(VALUES):
        assert theirs[i] == keys.hash_value(*raw(value)), repr(value)


def test_hash_is_that_of_a_hashed_index(server):
    server.indexed.create_index([("v", "hashed")])
    server.indexed.insert_many([{"_id": i, "v": v} for i, v in enumerate(VALUES)])
    for i, value in enumerate(VALUES):
        command = {"find": "indexed", "filter": {"_id": i}, "hint": {"v": "hashed"}}
        (key,) = server.command({**command, "returnKey": True})["cursor"]["firstBatch"]
        assert key["v"] == keys.hash_value(*raw(value)), repr(value)


def test_undefined_and_symbol():
    """Types that pymongo does not write: undefined sorts before null, a symbol is a string."""
    undefined = struct.pack("<i", 8) + b"\x06v\0\0"
    symbol = bson.encode({"v": "abc"}).replace(b"\x02v\0", b"\x0ev\0")
    kind, _, at, end = scan.find(undefined, b"v")
    assert keys.MIN_KEY < keys.order(kind, undefined, at, end) < keys.NULL_ORDER
    kind, _, at, end = scan.find(symbol, b"v")
    assert keys.order(kind, symbol, at, end) == keys.order(*raw("abc"))


def test_key_of_a_document():
    key = keys.ShardKey({"a.b": 1, "c": "hashed"})
    document = bson.encode({"c": 5, "a": {"x": 0, "b": "v"}})
    assert key.of_document(document) == (keys.order(*raw("v")), keys.hash_order(raw(5)))
    missing = key.of_document(bson.encode({"a": 1}))
    assert missing == (keys.NULL_ORDER, keys.hash_order(raw(None)))
    with pytest.raises(ValueError):
        key.of_document(bson.encode({"a": [{"b": 1}]}))


class FourChunks:
    """A route: (…, 10) on s0, [10, 20) on s1, [20, 30) on s2, [30, …) on s0."""

    def __new__(cls, pattern, collation=None):
        from cluster.router.routes import Route

        bounds = [MinKey(), 10, 20, 30, MaxKey()]
        rest = list(pattern)[1:]

        def bound(value):
            edge = MaxKey() if isinstance(value, MaxKey) else MinKey()
            return bson.encode(SON([(next(iter(pattern)), value), *((f, edge) for f in rest)]))

        chunks = [
            {
                "min": bound(low),
                "max": bound(high),
                "shard": shard,
                "lastmod": Timestamp(i + 1, 0),
            }
            for i, (low, high, shard) in enumerate(zip(bounds, bounds[1:], ["s0", "s1", "s2", "s0"]))
        ]
        entry = {
            "_id": "d.c",
            "uuid": None,
            "timestamp": Timestamp(1, 1),
            "lastmodEpoch": ObjectId("0" * 24),
            "key": pattern,
            "defaultCollation": collation,
        }
        return Route(entry, chunks)


@pytest.mark.parametrize(
    ("query", "shards"),
    [
        ({}, ["s0", "s1", "s2"]),
        ({"a": 15}, ["s1"]),
        ({"a": 15.5}, ["s1"]),
        ({"a": {"$eq": 10}}, ["s1"]),
        ({"a": {"$in": [5, 25]}}, ["s0", "s2"]),
        ({"a": {"$gte": 10, "$lt": 15}}, ["s1"]),
        ({"a": {"$gt": 12, "$lte": 20}}, ["s1", "s2"]),
        ({"a": {"$lt": 10}}, ["s0", "s1"]),
        ({"$and": [{"a": {"$gte": 22}}, {"a": {"$lt": 23}}]}, ["s2"]),
        ({"$or": [{"a": 12}, {"a": 14}]}, ["s1"]),
        ({"$or": [{"a": 12}, {"b": 1}]}, ["s0", "s1", "s2"]),
        ({"a": None}, ["s0"]),
        ({"a": "text"}, ["s0"]),
        ({"a": {"$ne": 15}}, ["s0", "s1", "s2"]),
        ({"a": {"$not": {"$gt": 3}}}, ["s0", "s1", "s2"]),
        ({"a": [15]}, ["s0", "s1", "s2"]),
        ({"a": Regex("x")}, ["s0", "s1", "s2"]),
        ({"b": 1}, ["s0", "s1", "s2"]),
        ({"$nor": [{"a": 15}]}, ["s0", "s1", "s2"]),
    ],
)
def test_which_shards_a_filter_reaches(query, shards):
    assert shards_for(FourChunks({"a": 1, "b": 1}), bson.encode(query)) == shards


def test_collation_keeps_strings_from_targeting():
    french = {"locale": "fr"}
    query = bson.encode({"a": "x"})
    assert len(shards_for(FourChunks({"a": 1}), query)) == 1
    assert len(shards_for(FourChunks({"a": 1}), query, french)) == 3
    assert len(shards_for(FourChunks({"a": 1}, french), query)) == 3
    assert len(shards_for(FourChunks({"a": 1}, french), query, {"locale": "simple"})) == 1


def test_full_key_and_equality_on_id():
    route = FourChunks({"a": 1, "b.c": 1})
    assert full_key(route, bson.encode({"a": 1})) is None
    assert full_key(route, bson.encode({"a": 1, "b.c": {"$gt": 2}})) is None
    wanted = (keys.order(*raw(1)), keys.order(*raw(2)))
    assert full_key(route, bson.encode({"a": 1, "b.c": 2})) == wanted
    assert full_key(route, bson.encode({"a": {"$eq": 1}, "b": {"c": 2}})) == wanted
    assert full_key(route, bson.encode({"$and": [{"a": 1}, {"b.c": 2}]})) == wanted
    assert equality_on_id(bson.encode({"_id": 1}))
    assert equality_on_id(bson.encode({"_id": {"x": 1}}))
    assert not equality_on_id(bson.encode({"_id": {"$gt": 1}}))
    assert not equality_on_id(bson.encode({"a": 1}))
