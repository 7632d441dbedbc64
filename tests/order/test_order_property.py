# SPDX-License-Identifier: Apache-2.0
"""The order of BSON values and the hash of hashed indexes, against a real mongod: random values of every type.

`TWIN_SEED=7 TWIN_ORDER_VALUES=20000 pytest tests/order`
"""

from __future__ import annotations

import datetime
import os
import random
import subprocess
from pathlib import Path

import bson
import pytest
from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from cluster import ReplicaSet

_ROOT = Path(__file__).resolve().parents[2]
VALUES = int(os.environ.get("TWIN_ORDER_VALUES", "3000"))
SEED = int(os.environ.get("TWIN_SEED", "1"))

_NUMBERS = [0, 1, 2, 3, 7, 10, 2**31 - 1, 2**31, 2**53, 2**53 + 1, 2**63 - 1, -(2**63), 10**15, 10**18]
_FLOATS = [0.0, -0.0, 0.1, 0.5, 1.5, 2.5, 7.0, 7.9, 1e15, 1e18, 1e19, 1e22, 1e308, 5e-324, 2.0**53, 2.0**63, -(2.0**63)]
_DECIMALS = [
    "0", "-0", "0E+100", "0.1", "0.5", "1.5", "2.5", "3.5", "7", "7.0", "7.00000000000000000000000000000000",
    "1E+6000", "1E-6100", "9.999999999999999999999999999999999E+6144", "9223372036854775807", "9223372036854775808", "9223372036854775807.5",
    "0.1000000000000000055511151231257827", "123456789012345678901234567890.1234", "NaN", "Infinity", "-Infinity", "1E+18", "0.00000000000000000000000000000000001",
]  # fmt: skip


def number(rng: random.Random):
    sign = rng.choice([1, -1])
    kind = rng.randrange(4)
    if kind == 0:
        value = sign * rng.choice([*_NUMBERS, rng.randrange(20), rng.randrange(2**63)])
        return max(min(value, 2**31 - 1), -(2**31)) if rng.random() < 0.3 else Int64(max(min(value, 2**63 - 1), -(2**63)))
    if kind == 1:
        return sign * rng.choice([*_FLOATS, float("inf"), float("nan"), rng.random() * 10 ** rng.randrange(-5, 25), float(rng.randrange(20))])
    if kind == 2:
        return Decimal128(rng.choice(_DECIMALS))
    digits = str(rng.randrange(10 ** rng.randrange(1, 34)))
    return Decimal128(f"{'-' if sign < 0 else ''}{digits}E{rng.randrange(-40, 40)}")


def text(rng: random.Random) -> str:
    return "".join(rng.choice("aAbzé\0") for _ in range(rng.randrange(5)))


def value(rng: random.Random, depth: int = 0):
    makers = [
        lambda: number(rng), lambda: number(rng), lambda: number(rng), lambda: text(rng), lambda: None, lambda: rng.random() < 0.5,
        lambda: ObjectId(bytes(rng.choice([0, 1, 255]) for _ in range(12))),
        lambda: datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=rng.randrange(-5, 5) * 10 ** rng.randrange(12)),
        lambda: Timestamp(rng.choice([1, 2, 2**31, 2**32 - 1]), rng.randrange(3)),  # a server puts the time in place of 0, 0
        lambda: Binary(rng.randbytes(rng.randrange(4)), rng.choice([0, 2, 5, 128])),
        lambda: Regex(rng.choice(["", "a", "ab", "b"]), rng.choice(["", "i", "im"])),
        lambda: Code(rng.choice(["", "f()", "g()"])), lambda: Code(rng.choice(["f()", "g()"]), {"x": number(rng)}),
        MinKey, MaxKey,
    ]  # fmt: skip
    if depth < 3:
        makers += [lambda: {rng.choice("abc"): value(rng, depth + 1) for _ in range(rng.randrange(4))}] * 2
        if depth:
            makers += [lambda: [value(rng, depth + 1) for _ in range(rng.randrange(3))]]
    return rng.choice(makers)()


def ask_tool(values: list) -> dict:
    built = list(_ROOT.glob("build*/tests/order/order_tool"))
    assert built, "order_tool is not built: run scripts/build"
    tool = max(built, key=lambda path: path.stat().st_mtime)
    answer = subprocess.run([tool], input=bson.encode({"values": values}), stdout=subprocess.PIPE, check=True, timeout=60)
    return bson.decode(answer.stdout)


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    with ReplicaSet(name="order", base_dir=tmp_path_factory.mktemp("order")) as server, server.client() as client:
        rng = random.Random(SEED)
        values = [value(rng) for _ in range(VALUES)]
        coll = client.keys.order
        coll.insert_many([{"_id": n, "v": v} for n, v in enumerate(values)])
        yield coll, values, ask_tool(values)


def test_order_is_the_servers(collection):
    coll, values, ours = collection
    theirs = [d["_id"] for d in coll.find({}, {"_id": 1}).sort([("v", 1), ("_id", 1)]).allow_disk_use(True)]
    for place, (mine, right) in enumerate(zip(ours["order"], theirs)):
        assert mine == right, f"seed {SEED}: place {place} is {values[mine]!r}, on the server {values[right]!r}"
    assert len(ours["order"]) == len(theirs)


def test_equal_values_are_equal(collection):
    """A stable sort alone does not show that equal values are taken for equal."""
    coll, values, ours = collection
    groups = coll.aggregate([{"$sort": {"v": 1, "_id": 1}}, {"$group": {"_id": {"$ifNull": ["$v", None]}, "n": {"$sum": 1}}}], allowDiskUse=True)
    assert sum(ours["equal"]) == sum(group["n"] - 1 for group in groups)
    assert sum(ours["equal"]) > 100


def test_hash_is_that_of_a_hashed_index(collection):
    coll, values, ours = collection
    coll.create_index([("v", "hashed")])
    for n in range(len(values)):
        command = {"find": coll.name, "hint": {"v": "hashed"}, "filter": {"_id": n}, "returnKey": True}
        if n % 50 == 0:  # by the index itself, which takes a while; the others by the server's own expression for it
            (key,) = coll.database.command(command)["cursor"]["firstBatch"]
            assert ours["hashes"][n] == key["v"], f"seed {SEED}: {values[n]!r}"
    for row in coll.aggregate([{"$project": {"hash": {"$toHashedIndexKey": {"$ifNull": ["$v", None]}}}}]):
        assert ours["hashes"][row["_id"]] == row["hash"], f"seed {SEED}: {values[row['_id']]!r}"


def test_compare_to_a_long(collection):
    coll, values, ours = collection
    seven = Int64(7)
    rows = coll.aggregate([{"$project": {"c": {"$cmp": [{"$ifNull": ["$v", None]}, seven]}}}])
    for row in rows:
        mine = ours["longs"][row["_id"]]
        assert (mine > 0) - (mine < 0) == row["c"], f"seed {SEED}: {values[row['_id']]!r}"
