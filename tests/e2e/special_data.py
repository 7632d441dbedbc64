# SPDX-License-Identifier: Apache-2.0
"""Happenings: data that a copy gets wrong if it takes all collections and all documents for alike."""

from __future__ import annotations

import datetime
from random import Random
from typing import Any, Iterator

import bson
from bson import Binary, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from pymongo import DeleteOne, InsertOne, ReplaceOne, UpdateOne
from pymongo.database import Database

from .happenings import Happenings

SPECIAL_DATA = Happenings()
happening = SPECIAL_DATA.happening

DAY = datetime.datetime(2024, 2, 29, tzinfo=datetime.timezone.utc)
BYTES_MAX = 16 << 20  # of a document


# ---- special collections


def _rolled(rng: Random, first: int, count: int) -> list[dict[str, Any]]:
    return [{"_id": n, "n": n, "pad": "x" * rng.randrange(300)} for n in range(first, first + count)]


@happening(since=(6, 0))  # before, an update of a capped collection's document could not change its size
def capped_collections_roll(db: Database) -> Iterator[None]:
    rng = Random(1)
    db.create_collection("by_size", capped=True, size=16384)
    db.create_collection("by_number", capped=True, size=1 << 20, max=20)
    db.create_collection("tiny", capped=True, size=4096)
    names = ("by_size", "by_number", "tiny")
    for name in names:
        db[name].insert_many(_rolled(rng, 0, 300))
    yield
    for time in range(1, 8):
        for name in names:
            db[name].insert_many(_rolled(rng, time * 1000, rng.randrange(1, 400)))
            newest = db[name].find_one(sort=[("$natural", -1)])["_id"]
            db[name].update_one({"_id": newest}, {"$set": {"updated": time}})
            db[name].update_one({"_id": newest - 2}, {"$set": {"pad": "y" * rng.randrange(200)}})
            db[name].delete_one({"_id": newest - 3})
            db[name].insert_one({"_id": f"last of {time}"})


@happening()
def capped_collections_with_unique_indexes_roll(db: Database) -> Iterator[None]:
    """What was evicted may come again."""
    db.create_collection("capped", capped=True, size=1 << 20, max=10)
    db["capped"].create_index("key", unique=True)
    db["capped"].insert_many([{"_id": n, "key": n} for n in range(15)])
    yield
    for time in range(5):
        for n in range(15):
            db["capped"].insert_one({"_id": f"{time} {n}", "key": n})


@happening()
def time_series_grow_and_shrink(db: Database) -> Iterator[None]:
    rng = Random(2)

    def measure(hour: int, count: int = 60) -> None:
        measurements = [
            {
                "t": DAY + datetime.timedelta(hours=hour, seconds=rng.randrange(7200)),
                "m": {"sensor": rng.randrange(5), "place": "indoors"},
                "v": rng.choice([rng.random(), n, None, "text", {"a": [n]}, Decimal128("1.50")]),
            }
            for n in range(count)
        ]
        db["series"].insert_many(measurements)
        db["bare"].insert_many([{"t": m["t"], "v": m["v"]} for m in measurements])

    db.create_collection("series", timeseries={"timeField": "t", "metaField": "m", "granularity": "seconds"})
    db.create_collection("bare", timeseries={"timeField": "t", "granularity": "minutes"})
    db["series"].create_index([("m.sensor", 1), ("t", -1)])
    measure(0)
    yield
    for hour in range(1, 6):
        measure(hour)
        measure(hour - 1, 3)  # late ones
        db["series"].update_many({"m.sensor": hour % 5}, {"$set": {"m.place": f"moved {hour}"}})
        db["series"].delete_many({"m.sensor": (hour + 1) % 5})
    db["series"].insert_one({"t": DAY, "m": {"sensor": 1}})
    db["series"].delete_many({})
    measure(7)


@happening(since=(5, 3))
def clustered_collections_live(db: Database) -> Iterator[None]:
    rng = Random(3)
    db.command("create", "clustered", clusteredIndex={"key": {"_id": 1}, "unique": True})
    db["clustered"].insert_many([{"_id": n, "n": n} for n in range(0, 1000, 2)])
    db["clustered"].create_index("n")
    yield
    for time in range(20):
        key = rng.randrange(1000)
        db["clustered"].update_many({"_id": {"$gte": key, "$lt": key + 30}}, {"$inc": {"n": 1}, "$set": {"time": time}})
        db["clustered"].delete_many({"_id": {"$gte": key + 30, "$lt": key + 40}})
        db["clustered"].bulk_write([ReplaceOne({"_id": key - n}, {"again": time}, upsert=True) for n in range(5)])
    db["clustered"].insert_many([{"_id": one} for one in ("text", DAY, ObjectId(), 1.5, {"a": 1}, None)])
    db["clustered"].delete_one({"_id": "text"})


# ---- special documents


def odd_ids() -> list[Any]:
    nan = float("nan")
    return [
        MinKey(), MaxKey(), None, True, False, nan, Decimal128("NaN"), float("inf"), -float("inf"), -0.0, 0.5, Decimal128("0.1"), Int64(7), 2.0,
        Decimal128("3.0"), 1 << 40, "", "text", "ünï", "a\0b", DAY, Timestamp(5, 6), Timestamp(0, 0), Binary(b"abc"), Binary(b"abc", 2), Binary(b"abc", 128),
        Binary(b"x" * 16, 4), ObjectId("0" * 24), {}, {"a": 1}, {"a": 1.5, "b": {"c": [1, 2]}}, {"b": 1, "a": 1}, {"": 1}, {"a.b": 1}, bson.Code("f()"),
    ]  # fmt: skip


@happening()
def odd_ids_come_and_go(db: Database) -> Iterator[None]:
    """NaN is one `_id` whatever its type, and so are 1, 1.0 and Decimal 1; the stored one keeps its type."""

    def insert(of: str, ids: list[Any]) -> None:
        db[of].insert_many([{"_id": one, "n": n} for n, one in enumerate(ids)], ordered=False)

    apart = [one for one in odd_ids() if one != Decimal128("NaN")]
    insert("there", apart)
    insert("changing", [1, 2.0, Decimal128("3"), Int64(4), float("nan")])
    yield
    insert("new", apart)
    for one in apart:
        db["there"].update_one({"_id": one}, {"$set": {"seen": 1, "again": 2}})
        db["new"].update_one({"_id": one}, [{"$set": {"z": 1, "a": "$n"}}])
    for one in apart[::2]:
        db["there"].delete_one({"_id": one})
    for one in apart[::4]:
        db["there"].insert_one({"_id": one, "back": True})
    types = (int, float, Int64, lambda n: Decimal128(str(n)), lambda n: Decimal128(f"{n}.00"))
    for time in range(20):
        for n in (1, 2, 3, 4):
            db["changing"].delete_one({"_id": n})
            db["changing"].insert_one({"_id": types[(n + time) % 5](n), "time": time})
        db["changing"].delete_one({"_id": float("nan")})
        db["changing"].insert_one({"_id": float("nan") if time % 2 else Decimal128("NaN"), "time": time})
        db["changing"].update_many({}, {"$inc": {"count": 1}, "$set": {"b": 1, "a": 1}})


def _store(db: Database, name: str, document: dict[str, Any]) -> None:
    """As it is: an insert would put the time in the place of Timestamp(0, 0)."""
    db[name].update_one({"_id": document["_id"]}, [{"$replaceWith": {"$literal": document}}], upsert=True)


def odd_documents() -> list[dict[str, Any]]:
    return [
        {"$dollar": 1, "$set": {"$inc": 2}, "plain": 3},
        {"a.b": 1, "a": {"b": 2, "c.d": {"": 3}}, ".": 4, "a..b": 5},
        {"": 1, " ": 2, "0": [3, {"1": 4}]},
        {"empty": Timestamp(0, 0), "inside": {"empty": Timestamp(0, 0)}},
        {"$dollar": Timestamp(0, 0), "": Timestamp(0, 0), "a.b": "$plain"},
        {"types": [MinKey(), MaxKey(), -0.0, float("nan"), Decimal128("-0E+3"), Regex("^a", "xi"), bson.Code("f()", {"a": 1}), Binary(b"", 2), None]},
        {"$ref": "c", "$id": 1, "$db": "d"},
        {"deep": {"$dollar": {"": {"x.y": [{"$z": 1}, [], {}]}}}},
    ]


@happening()
def odd_fields(db: Database) -> Iterator[None]:
    def store(name: str) -> None:
        for n, fields in enumerate(odd_documents()):
            _store(db, name, {"_id": n, **fields})

    store("copied")
    yield
    store("live")
    for name in ("copied", "live"):
        for n in range(len(odd_documents())):
            one = {"_id": n}
            set_field = {"$setField": {"field": {"$literal": "$new.one"}, "input": "$$ROOT", "value": n}}
            db[name].update_one(one, [{"$replaceWith": set_field}])
            db[name].update_one(one, {"$set": {"z": n, "a": n, "inside.more": 1}})
            db[name].update_one(one, {"$unset": {"plain": 1, "types.3": 1}, "$push": {"list": {"$each": [n, n]}}})
        db[name].delete_one({"_id": 2})
        _store(db, name, {"_id": 2, "again": Timestamp(0, 0), "$again": 1})
        _store(db, name, {"_id": 3, "empty": Timestamp(0, 0), "other": 1})
        db[name].update_one({"_id": 3}, {"$set": {"small": 1}})
    with db.client.start_session() as session, session.start_transaction():
        for n, fields in enumerate(odd_documents()):
            document = {"_id": f"in a transaction {n}", **fields}
            db["live"].update_one({"_id": document["_id"]}, [{"$replaceWith": {"$literal": document}}], upsert=True, session=session)


def _padded(document: dict[str, Any], size: int = BYTES_MAX) -> dict[str, Any]:
    """Exactly that large."""
    return {**document, "pad": "x" * (size - len(bson.encode({**document, "pad": ""})))}


@happening()
def documents_of_16_megabytes(db: Database) -> Iterator[None]:
    big = db["big"]
    big.insert_one(_padded({"_id": "copied"}))
    _store(db, "big", _padded({"_id": "copied oddly", "$a": Timestamp(0, 0)}))
    big.insert_one({"_id": "small"})
    yield
    big.insert_one(_padded({"_id": "live", "n": 1}))
    big.update_one({"_id": "live"}, {"$set": {"n": 2}})
    big.update_one({"_id": "copied"}, {"$set": {"pad": "short", "b": 1, "a": 2}})
    big.replace_one({"_id": "small"}, _padded({"_id": "small", "was": "small"}))
    _store(db, "big", _padded({"_id": "live oddly", "$a": Timestamp(0, 0), "n": 1}))
    big.update_one({"_id": "live oddly"}, {"$inc": {"n": 1}})
    big.delete_one({"_id": "live"})


# ---- unique indexes


@happening()
def unique_values_change_hands(db: Database) -> Iterator[None]:
    """A takes B's value while B takes a new one, in one document after the other, and in transactions."""
    rng = Random(4)
    count = 300
    for name in ("seats", "pairs"):
        db[name].create_index("seat", unique=True)
        db[name].create_index([("row", 1), ("seat", 1)], unique=True)
        db[name].insert_many([{"_id": n, "seat": n, "row": 0} for n in range(count)])
    yield
    free = count
    for time in range(6):
        order = rng.sample(range(count), count)
        seat_of = {one["_id"]: one["seat"] for one in db["seats"].find()}
        writes: list[Any] = []
        for a, b in zip(order, order[1:]):
            writes.append(UpdateOne({"_id": b}, {"$set": {"seat": free}}))
            writes.append(UpdateOne({"_id": a}, {"$set": {"seat": seat_of[b], "time": time}}))
            seat_of[a], seat_of[b] = seat_of[b], free
            free += 1
        for one in order[::10]:
            writes += [DeleteOne({"_id": one}), InsertOne({"_id": free, "seat": seat_of[one]}), DeleteOne({"_id": free})]
            writes.append(InsertOne({"_id": one, "seat": seat_of[one], "row": time}))
            free += 1
        db["seats"].bulk_write(writes)
    with db.client.start_session() as session:
        for time in range(40):
            a, b = rng.sample(range(count), 2)
            with session.start_transaction():
                one, other = (db["pairs"].find_one({"_id": n}, session=session)["seat"] for n in (a, b))
                for n, seat in ((a, -1), (b, one), (a, other)):
                    db["pairs"].update_one({"_id": n}, {"$set": {"seat": seat}}, session=session)
