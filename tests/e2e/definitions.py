# SPDX-License-Identifier: Apache-2.0
"""Happenings: DDL of every kind that a server takes."""

from __future__ import annotations

from typing import Any, Iterator

from bson import SON
from pymongo import ASCENDING, DESCENDING, GEO2D, GEOSPHERE, HASHED, TEXT, IndexModel
from pymongo.database import Database
from pymongo.errors import OperationFailure

from .happenings import Happenings

DEFINITIONS = Happenings()
happening = DEFINITIONS.happening
_SINCE = {"clusteredIndex": (5, 3), "changeStreamPreAndPostImages": (6, 0)}  # options by the version that brought them

TIMES = 12  # how often the quick ones are repeated


def fill(db: Database, name: str, count: int = 20, **more: Any) -> None:
    db[name].insert_many([{"_id": n, "n": n, "word": f"word {n}", "of": name, **more} for n in range(count)])


def _admin_rename(db: Database, old: str, new: str, **options: Any) -> None:
    db.client.admin.command(SON([("renameCollection", old), ("to", new), *options.items()]))


# ---- collections


@happening(held=True)
def create_with_every_option(db: Database) -> Iterator[None]:
    def create(prefix: str) -> None:
        options: dict[str, dict[str, Any]] = {
            "plain": {},
            "capped": {"capped": True, "size": 8192},
            "capped_by_number": {"capped": True, "size": 65536, "max": 7},
            "french": {"collation": {"locale": "fr", "strength": 1, "numericOrdering": True}},
            "validated": {"validator": {"n": {"$gte": 0}}, "validationLevel": "moderate", "validationAction": "warn"},
            "schema": {"validator": {"$jsonSchema": {"required": ["n"], "properties": {"n": {"bsonType": "int"}}}}},
            "expression": {"validator": {"$expr": {"$gt": ["$n", -1]}}, "validationAction": "error"},
            "clustered": {"clusteredIndex": {"key": {"_id": 1}, "unique": True}},
            "clustered_named": {
                "clusteredIndex": {"key": {"_id": 1}, "unique": True, "name": "by id"},
                "expireAfterSeconds": 86400_000,
            },
            "series": {"timeseries": {"timeField": "t", "metaField": "m", "granularity": "minutes"}},
            "series_expiring": {"timeseries": {"timeField": "t"}, "expireAfterSeconds": 864_000_000},
            "series_french": {"timeseries": {"timeField": "t", "metaField": "m"}, "collation": {"locale": "fr"}},
            "images": {"changeStreamPreAndPostImages": {"enabled": True}},
            "engine": {
                "storageEngine": {"wiredTiger": {"configString": "block_compressor=zlib"}},
                "indexOptionDefaults": {"storageEngine": {"wiredTiger": {"configString": "prefix_compression=false"}}},
            },
            "everything": {
                "capped": True,
                "size": 100_000,
                "max": 50,
                "collation": {"locale": "de", "caseLevel": True},
                "validator": {"n": {"$lt": 1000}},
                "validationLevel": "off",
                "changeStreamPreAndPostImages": {"enabled": True},
                "storageEngine": {"wiredTiger": {"configString": "block_compressor=none"}},
            },
        }
        version = tuple(db.client.server_info()["versionArray"])
        for name, of_it in options.items():
            if any(version < _SINCE.get(option, ()) for option in of_it):
                continue
            db.command(SON([("create", f"{prefix}_{name}"), *of_it.items()]))
            if "timeseries" not in of_it:
                fill(db, f"{prefix}_{name}")
        db[f"{prefix}_implicitly"].insert_one({"_id": 1})

    create("before")
    yield
    create("after")


@happening()
def drop_and_recreate_at_once(db: Database) -> Iterator[None]:
    """An operation of the old one must not land in the new one, nor the other way round."""
    fill(db, "again")
    yield
    for time in range(TIMES):
        db["again"].insert_many([{"_id": f"late {n}", "n": f"late {n}", "time": time} for n in range(5)])
        db["again"].drop()
        if time % 3 == 0:
            db.create_collection("again", capped=True, size=4096)
        elif time % 3 == 1:
            db["again"].create_index("n", unique=True, name="n")
        db["again"].insert_many([{"_id": n, "n": n, "time": time, "m": -1} for n in range(time + 1)])
        db["again"].update_one({"_id": 0}, {"$set": {"m": time}})  # no larger: 5.0 allows no more in a capped one


@happening()
def rename_without_and_with_dropping_the_target(db: Database) -> Iterator[None]:
    for name in ("a", "b", "c", "d"):
        fill(db, name)
        db[name].create_index("word", name=f"index of {name}")
    yield
    db["a"].rename("a2")
    db["a2"].insert_one({"_id": "after the rename"})
    db["b"].rename("c", dropTarget=True)
    db["c"].update_many({}, {"$set": {"renamed": True}})
    db["a2"].rename("d", dropTarget=True)
    db["d"].delete_one({"_id": 3})
    fill(db, "a")  # the old name is used again
    fill(db, "b")
    db["b"].rename("a", dropTarget=True)
    db["a"].insert_one({"_id": "after everything"})


@happening()
def rename_across_databases(db: Database) -> Iterator[None]:
    other = db.client[db.name + "_2"]
    for name in ("stays", "moves", "capped_moves"):
        if name == "capped_moves":
            db.create_collection(name, capped=True, size=4096)
        fill(db, name, 200)
    db["moves"].create_index([("word", 1)], unique=True)
    db["moves"].create_index([("n", -1)], sparse=True)
    fill(other, "in_the_way")
    yield
    _admin_rename(db, f"{db.name}.moves", f"{other.name}.moved")
    other["moved"].insert_one({"_id": "after", "word": "after"})
    _admin_rename(db, f"{db.name}.capped_moves", f"{other.name}.in_the_way", dropTarget=True)
    other["in_the_way"].insert_one({"_id": "after"})
    _admin_rename(db, f"{other.name}.moved", f"{db.name}.moves")
    db["moves"].update_many({}, {"$inc": {"n": 1}})


@happening()
def rename_chains_and_swaps(db: Database) -> Iterator[None]:
    for name in ("a", "b", "c"):
        fill(db, name)
        db[name].create_index("n", name=f"index of {name}", unique=name == "a")
    yield
    for time in range(TIMES):
        db["a"].rename("swap")
        db["b"].rename("a")
        db["swap"].rename("b")
        db["a"].insert_one({"_id": f"a {time}", "n": 1000 + time})
        db["b"].insert_one({"_id": f"b {time}", "n": 1000 + time})
        db["a"].update_many({}, {"$set": {"in": "a", "time": time}})
        db["c"].rename("d")
        db["d"].rename("e")
        db["e"].insert_one({"_id": f"c {time}"})
        db["e"].rename("c")


@happening()
def drop_database_and_recreate(db: Database) -> Iterator[None]:
    def make(time: int) -> None:
        for name in ("one", "two"):
            fill(db, name, 10 + time)
        db["one"].create_index("word", unique=True)
        db.create_collection("seen", viewOn="one", pipeline=[{"$match": {"n": time}}])
        db.create_collection("series", timeseries={"timeField": "t", "metaField": "m"})

    make(0)
    yield
    for time in range(1, 5):
        db.client.drop_database(db.name)
        make(time)
    db["one"].delete_one({"_id": 0})


@happening()
def convert_to_capped(db: Database) -> Iterator[None]:
    fill(db, "all_fits", 30)
    fill(db, "cut_off", 600)
    db["cut_off"].create_index("n")
    yield
    db.command("convertToCapped", "all_fits", size=65536)
    db.command("convertToCapped", "cut_off", size=4096)
    for name in ("all_fits", "cut_off"):
        db[name].insert_many([{"_id": f"after {n}"} for n in range(10)])
    db.command("convertToCapped", "all_fits", size=4096, max=5)
    db["all_fits"].insert_one({"_id": "last"})


@happening()
def clone_as_capped(db: Database) -> Iterator[None]:
    fill(db, "original", 300)
    yield
    for name, size in (("whole", 1 << 20), ("tail", 4096)):
        db.command(SON([("cloneCollectionAsCapped", "original"), ("toCollection", name), ("size", size)]))
        db[name].insert_many([{"_id": f"after {n}"} for n in range(5)])
    db["original"].delete_many({"n": {"$lt": 100}})


@happening(held=True, since=(6, 0))
def change_every_option(db: Database) -> Iterator[None]:
    """collMod of everything that it takes."""
    fill(db, "options")
    db["options"].create_index("n", name="n")
    db["options"].create_index("word", name="word")
    db["options"].create_index("at", name="at", expireAfterSeconds=1_000_000_000)
    db["options"].create_index("later", name="later")
    db.create_collection("capped", capped=True, size=8192)
    fill(db, "capped")
    db.create_collection("images", changeStreamPreAndPostImages={"enabled": True})
    db.command("create", "clustered", clusteredIndex={"key": {"_id": 1}, "unique": True}, expireAfterSeconds=10**9)
    for name in ("series", "series_off", "series_coarser"):
        db.create_collection(name, timeseries={"timeField": "t", "metaField": "m"}, expireAfterSeconds=10**9)
    db.create_collection("view", viewOn="options", pipeline=[])
    yield

    def mod(name: str, **changes: Any) -> None:
        db.command("collMod", name, **changes)

    mod("options", validator={"n": {"$gte": 5}})
    mod("options", validationLevel="moderate")
    mod("options", validationAction="warn")
    mod("options", validator={"n": {"$gte": -5}}, validationLevel="strict", validationAction="error")
    mod("options", index={"name": "n", "hidden": True})
    mod("options", index={"keyPattern": {"word": 1}, "hidden": True})
    mod("options", index={"name": "word", "hidden": False})
    mod("options", index={"name": "at", "expireAfterSeconds": 1_000_000_001, "hidden": True})
    mod("options", index={"keyPattern": {"at": 1}, "expireAfterSeconds": 1_000_000_002})
    mod("options", index={"name": "later", "expireAfterSeconds": 1_000_000_003})
    mod("options", changeStreamPreAndPostImages={"enabled": True})
    mod("images", changeStreamPreAndPostImages={"enabled": False})
    mod("images", validator={"a": 1}, validationLevel="off")
    mod("images", validator={})
    mod("capped", cappedSize=20000)
    mod("capped", cappedMax=12)
    fill(db, "more")
    db["capped"].insert_many([{"_id": f"more {n}"} for n in range(10)])
    mod("clustered", expireAfterSeconds=10**9 + 1)
    mod("clustered", expireAfterSeconds="off")
    mod("clustered", expireAfterSeconds=10**9 + 2)
    mod("series", expireAfterSeconds=10**9 + 3)
    mod("series_off", expireAfterSeconds="off")
    mod("series_coarser", timeseries={"granularity": "minutes"})
    mod("series_coarser", timeseries={"granularity": "hours"}, expireAfterSeconds=10**9 + 4)
    mod("view", viewOn="capped", pipeline=[{"$match": {"n": 1}}])
    mod("view", viewOn="more", pipeline=[])


# ---- indexes


def every_index() -> list[IndexModel]:
    return [
        IndexModel([("n", ASCENDING)], name="ascending"),
        IndexModel([("n", DESCENDING), ("word", ASCENDING), ("a.b", ASCENDING)], name="compound"),
        IndexModel([("word", TEXT), ("of", TEXT)], weights={"word": 3}, default_language="french", name="text"),
        IndexModel([("place", GEOSPHERE)]),
        IndexModel([("flat", GEO2D)], min=-10, max=10, bits=20),
        IndexModel([("word", HASHED)]),
        IndexModel([("of", HASHED), ("n", ASCENDING)], name="hashed and more"),
        IndexModel([("$**", ASCENDING)], name="wildcard", wildcardProjection={"secret": 0, "a.b": 0}),
        IndexModel([("deep.$**", ASCENDING)]),
        IndexModel([("n", ASCENDING)], name="partial", partialFilterExpression={"n": {"$gt": 5}, "word": {"$exists": True}}),
        IndexModel([("unique", ASCENDING)], unique=True, sparse=True),
        IndexModel([("of", ASCENDING), ("_id", ASCENDING)], unique=True, name="unique, partial", partialFilterExpression={"n": {"$lt": 3}}),
        IndexModel([("word", ASCENDING)], name="collated", collation={"locale": "sv", "strength": 2}),
        IndexModel([("word", DESCENDING)], name="hidden", hidden=True),
        IndexModel([("at", ASCENDING)], name="expiring", expireAfterSeconds=1_000_000_000),
        IndexModel([("x", ASCENDING)], name="engine", storageEngine={"wiredTiger": {"configString": "prefix_compression=false"}}),
        IndexModel([("a.b.c", ASCENDING), ("a.b.d", DESCENDING)], name="a name with spaces, ünïcode and $igns."),
    ]


@happening(held=True)
def build_every_kind_of_index(db: Database) -> Iterator[None]:
    for name in ("before", "after"):
        fill(db, name, place={"type": "Point", "coordinates": [1.5, 2.5]}, flat=[1, 2], deep={"er": [1, {"x": 2}]})
    db["before"].create_indexes(every_index())
    yield
    db["after"].create_indexes(every_index())
    db["empty"].create_indexes(every_index())
    for name in ("before", "after", "empty"):
        db[name].insert_one({"_id": f"later in {name}", "word": "été", "place": [3, 4], "unique": name})


@happening(held=True)
def drop_indexes_by_name_key_and_all(db: Database) -> Iterator[None]:
    for name in ("by_name", "by_key", "by_list", "all", "and_again"):
        fill(db, name)
        db[name].create_indexes(every_index())
    yield
    db["by_name"].drop_index("ascending")
    db["by_name"].drop_index("unique_1")
    db["by_name"].drop_index("expiring")
    db.command("dropIndexes", "by_key", index=SON([("n", -1), ("word", 1), ("a.b", 1)]))
    db.command("dropIndexes", "by_list", index=["text", "place_2dsphere", "expiring", "unique, partial"])
    db.command("dropIndexes", "all", index="*")
    for time in range(3):
        db.command("dropIndexes", "and_again", index="*")
        db["and_again"].create_index("n", name="ascending", unique=time == 1)
        db["and_again"].insert_one({"n": 100 + time})


@happening(since=(6, 0))
def make_an_index_unique(db: Database) -> Iterator[None]:
    """prepareUnique, the duplicates removed, unique."""
    for name in ("in_steps", "prepared", "given_up"):
        fill(db, name)
        db[name].create_index("n", name="n")
        db[name].insert_one({"_id": "double", "n": 3})
    db.command("collMod", "prepared", index={"name": "n", "prepareUnique": True})
    yield
    db.command("collMod", "in_steps", index={"name": "n", "prepareUnique": True})
    for name in ("in_steps", "prepared"):
        db[name].delete_one({"_id": "double"})
        db.command("collMod", name, index={"name": "n", "unique": True})
        db[name].update_one({"_id": 1}, {"$set": {"n": 1000}})
        db[name].update_one({"_id": 2}, {"$set": {"n": 1}})
        db[name].insert_one({"_id": "after", "n": 2})
    db.command("collMod", "given_up", index={"name": "n", "prepareUnique": True})
    db.command("collMod", "given_up", index={"name": "n", "prepareUnique": False})
    db["given_up"].insert_one({"n": 3})
    db["fresh"].create_index("n", name="n", prepareUnique=True)
    db["fresh"].insert_one({"n": 3})
    db.command("collMod", "fresh", index={"name": "n", "unique": True})


@happening()
def build_unique_indexes_between_duplicates(db: Database) -> Iterator[None]:
    """Duplicates come before the index and go before it, come behind it and are refused; a build that fails is aborted."""
    fill(db, "things")
    db["things"].insert_one({"_id": "double", "n": 3})
    yield
    _expect_failure(lambda: db["things"].create_index("n", unique=True))
    db["things"].delete_one({"_id": "double"})
    db["things"].create_index("n", unique=True, name="n")
    _expect_failure(lambda: db["things"].insert_one({"_id": "double", "n": 3}))
    db["things"].drop_index("n")
    db["things"].insert_one({"_id": "double", "n": 3})
    _expect_failure(lambda: db["things"].create_index("n", unique=True))
    db["things"].update_one({"_id": "double"}, {"$set": {"n": -1}})
    db["things"].create_index([("n", 1), ("word", 1)], unique=True)


def _expect_failure(act: Any) -> None:
    try:
        act()
    except OperationFailure:
        return
    raise AssertionError("the server took what it should have refused")


@happening()
def indexes_that_the_documents_of_later_would_refuse(db: Database) -> Iterator[None]:
    """A copy may hold later documents already when it comes to an index of before: one that refuses them."""
    fill(db, "places", place=[1, 2])
    fill(db, "arrays", a=[1], b=1)
    fill(db, "hashes", h=1)
    db["places"].create_index([("place", GEOSPHERE)], name="gone later")
    yield
    db["places"].create_index([("place", GEO2D)], name="place")
    db["arrays"].create_index([("a", 1), ("b", 1)], name="a and b")
    db["hashes"].create_index([("h", HASHED)], name="h")
    for name in ("places", "arrays", "hashes"):
        db[name].drop_indexes()
    db["places"].update_many({}, {"$set": {"place": "nowhere"}})
    db["arrays"].update_many({}, {"$set": {"b": [1, 2]}})
    db["hashes"].update_many({}, {"$set": {"h": [1, 2]}})


# ---- views


@happening()
def views_on_views(db: Database) -> Iterator[None]:
    french = {"locale": "fr", "strength": 1}
    fill(db, "base")
    db.create_collection("one", viewOn="base", pipeline=[{"$match": {"n": {"$gt": 3}}}])
    db.create_collection("two", viewOn="one", pipeline=[{"$project": {"n": 1}}])
    db.create_collection("three", viewOn="two", pipeline=[])
    db.create_collection("collated", viewOn="base", pipeline=[], collation=french)
    db.create_collection("on_collated", viewOn="collated", pipeline=[], collation=french)
    yield
    db.command("collMod", "two", viewOn="one", pipeline=[{"$project": {"z": 1, "a": 1, "n": {"$add": ["$n", 1]}}}])
    db["one"].drop()
    db.create_collection("one", viewOn="elsewhere", pipeline=[{"$sort": {"n": -1}}])
    db["three"].drop()
    db["on_collated"].drop()
    db["collated"].drop()
    db.create_collection("collated", viewOn="base", pipeline=[{"$limit": 3}], collation={"locale": "de"})
    db.create_collection("on_collated", viewOn="collated", pipeline=[{"$limit": 2}], collation={"locale": "de"})
    db.command("collMod", "on_collated", viewOn="collated", pipeline=[{"$limit": 1}])
    db.create_collection("joined", viewOn="base", pipeline=[{"$lookup": {"from": "base", "localField": "n", "foreignField": "n", "as": "same"}}])
    db.create_collection("on_nothing", viewOn="not there", pipeline=[])
    for time in range(TIMES):  # a view, then a collection, then a view
        db.create_collection("either", viewOn="base", pipeline=[{"$match": {"n": time}}])
        db["either"].drop()
        db["either"].insert_one({"_id": time})
        db["either"].drop()


# ---- names


ODD_NAMES = (
    "a.b.c", "a..b", "trailing.", "with space", " ", "ünï cödé ☃", "emoji😀", "UPPER", "upper", "-leading", "quote\"'", "tab\there",
    "new\nline", "back\\slash", "*", "%s{}", "tmp", "tmp.convertToCapped.", "tmpx.renameCollection.y", "oplog", "[0]", "system.js", "x" * 150,
)  # fmt: skip
_NOT_RENAMED = ("system.js", "x" * 150)


@happening()
def names_with_odd_characters(db: Database) -> Iterator[None]:
    """By commands: the driver refuses names that the server takes."""

    def insert(name: str, *ids: Any) -> None:
        db.command("insert", name, documents=[{"_id": one, "n": one} for one in ids])

    for name in ODD_NAMES:
        insert(name, *range(5))
    yield
    for name in ODD_NAMES:
        db.command("createIndexes", name, indexes=[{"key": {"n": 1}, "name": "a.b c$d"}])
        insert(name, "after")
        db.command("update", name, updates=[{"q": {"_id": 1}, "u": {"$set": {"n": 100}}}])
        if name in _NOT_RENAMED:
            continue
        _admin_rename(db, f"{db.name}.{name}", f"{db.name}.{name}.renamed")
        db.command("create", f"view.{name}", viewOn=f"{name}.renamed", pipeline=[])
        insert(f"{name}.renamed", "after the rename")
    db.command("drop", "a.b.c.renamed")


# ---- in transactions


@happening()
def create_in_transactions(db: Database) -> Iterator[None]:
    fill(db, "there")
    yield
    with db.client.start_session() as session:
        for name in ("one", "two"):
            with session.start_transaction():
                db.create_collection(name, session=session)
                db[name].create_index("n", unique=True, session=session)
                db[name].insert_many([{"_id": n, "n": n} for n in range(5)], session=session)
                db["there"].update_one({"_id": 1}, {"$set": {"made": name}}, session=session)
        with session.start_transaction():
            db["implicit"].insert_one({"_id": 1}, session=session)
        session.start_transaction()
        db["never"].insert_one({"_id": 1}, session=session)
        session.abort_transaction()
