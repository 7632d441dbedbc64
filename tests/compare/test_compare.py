# SPDX-License-Identifier: Apache-2.0
"""The compare must find every kind of difference: each is planted alone in an otherwise identical copy."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
from typing import Callable

import bson
import pytest
from bson import Decimal128, Int64, ObjectId
from bson.son import SON
from cluster import ReplicaSet
from pymongo import ASCENDING, MongoClient
from pymongo.collation import Collation
from pymongo.database import Database

from compare import Selection, compare_clusters
from compare.catalog import logical_ns
from compare.elements import describe
from compare.naive_copy import copy_cluster

DATABASE = "compare_test"


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    base = tmp_path_factory.mktemp("compare")
    with ReplicaSet(name="src", base_dir=base) as source, ReplicaSet(name="dst", base_dir=base) as target:
        yield source, target


@pytest.fixture
def pair(sets):
    """A source with a bit of everything, and an identical copy."""
    with sets[0].client() as source, sets[1].client() as target:
        for client in (source, target):
            client.drop_database(DATABASE)
        fill(source[DATABASE])
        copy_cluster(source, target)
        yield source, target


def fill(db: Database) -> None:
    db.items.insert_many([{"_id": i, "a": 1, "b": {"c": [1, 2, 3]}, "x": 0.0} for i in range(500)])
    db.items.create_index("a", name="plain")
    db.items.create_index([("a", 1), ("b.c", -1)], name="options", sparse=True)
    odd_ids = [1.5, Int64(7), float("nan"), "1", {"a": 1}, {"a": 1.5}, None, b"x", ObjectId(), True, Decimal128("2.5"), "A", "a"]
    db.odd.insert_many([{"_id": i, "v": n} for n, i in enumerate(odd_ids)])
    db.create_collection("capped", capped=True, size=1 << 20)
    db.capped.insert_many([{"_id": i} for i in (3, 1, 2)])
    db.create_collection("folded", collation=Collation("en", strength=2))
    db.folded.insert_many([{"_id": i} for i in ("b", "A", "c", 1)])
    db.create_collection("clustered", clusteredIndex={"key": {"_id": 1}, "unique": True})
    db.clustered.insert_many([{"_id": i} for i in range(20)])
    db.create_collection("checked", validator={"a": {"$gt": 0}})
    db.create_collection("view", viewOn="items", pipeline=[{"$match": {"a": 1}}])
    db.create_collection("series", timeseries={"timeField": "t", "metaField": "m"})
    db.series.insert_many([{"t": datetime.datetime(2024, 1, 1, n), "m": n % 3, "v": n} for n in range(20)])


def test_identical_clusters_are_identical_and_counted(pair):
    result = compare_clusters(*pair)
    assert result.identical, str(result)
    buckets = pair[0][DATABASE]["system.buckets.series"].count_documents({})
    assert buckets > 0
    assert result.documents == 500 + 13 + 3 + 4 + 20 + buckets
    assert (result.collections, result.views) == (7, 1)
    assert str(result).startswith("IDENTICAL: ")


def replace(db: Database, name: str, old: dict, new: dict) -> None:
    """In place: `_id` first, the other fields exactly as given."""
    assert db[name].replace_one({"_id": old["_id"]}, new).matched_count == 1


def recreate_capped(db: Database) -> None:
    db.capped.drop()
    db.create_collection("capped", capped=True, size=1 << 20)
    db.capped.insert_many([{"_id": i} for i in (1, 2, 3)])


def recreate_index(db: Database, **options) -> None:
    db.items.drop_index("options")
    key = SON(options.pop("keys", [("a", 1), ("b.c", -1)]))
    if "collation" in options:
        options["collation"] = options["collation"].document
    db.command("createIndexes", "items", indexes=[{"key": key, "name": "options", **options}])


def recreate_view(db: Database, **options) -> None:
    db.view.drop()
    db.create_collection("view", **{"viewOn": "items", "pipeline": [{"$match": {"a": 1}}], **options})


def retype_id(db: Database) -> None:
    db.items.delete_one({"_id": 499})
    db.items.insert_one({"_id": 499.0, "a": 1, "b": {"c": [1, 2, 3]}, "x": 0.0})


BASE = {"_id": 9, "a": 1, "b": {"c": [1, 2, 3]}, "x": 0.0}
PLANTED: dict[str, tuple[Callable[[Database], object], str]] = {
    "one bit": (lambda db: db.items.update_one({"_id": 9}, {"$set": {"b.c.1": 3}}), "'b.c.1': int 2 in the source, int 3"),
    "int to long": (lambda db: db.items.update_one({"_id": 9}, {"$set": {"a": Int64(1)}}), "'a': int 1 in the source, long 1"),
    "int to double": (lambda db: db.items.update_one({"_id": 9}, [{"$set": {"a": {"$toDouble": "$a"}}}]), "double 1.0"),
    "negative zero": (lambda db: replace(db, "items", BASE, {**BASE, "x": -0.0}), "double 0.0 in the source, double -0.0"),
    "field order": (lambda db: replace(db, "items", BASE, {"_id": 9, "b": BASE["b"], "a": 1, "x": 0.0}), "order of fields"),
    "missing field": (lambda db: db.items.update_one({"_id": 9}, {"$unset": {"b.c": 1}}), "'b.c' is missing"),
    "extra field": (lambda db: db.items.update_one({"_id": 9}, {"$set": {"b.d": 1}}), "'b.d' is only in the target"),
    "missing document": (lambda db: db.items.delete_one({"_id": 250}), "_id int 250: missing in the target"),
    "extra document": (lambda db: db.items.insert_one({"_id": -1}), "_id int -1: only in the target"),
    "NaN document": (lambda db: db.odd.delete_one({"_id": float("nan")}), "double nan: missing in the target"),
    "folded id": (lambda db: db.folded.delete_one({"_id": "a"}), "string 'A': missing in the target"),
    "clustered": (lambda db: db.clustered.delete_one({"_id": 11}), "_id int 11: missing"),
    "bucket": (lambda db: db["system.buckets.series"].delete_many({"meta": 1}), "missing in the target"),
    "series option": (lambda db: db.command("collMod", "series", timeseries={"granularity": "hours"}), "'timeseries'"),
    "capped order": (recreate_capped, "another natural order"),
    "capped size": (lambda db: db.command("collMod", "capped", cappedSize=2 << 20), "option 'size'"),
    "missing collection": (lambda db: db.folded.drop(), "collection missing in the target"),
    "extra collection": (lambda db: db.create_collection("more"), "collection only in the target"),
    "collection instead of view": (lambda db: (db.view.drop(), db.create_collection("view")), "view in the source, collection"),
    "missing view": (lambda db: db.view.drop(), "view missing in the target"),
    "view pipeline": (lambda db: recreate_view(db, pipeline=[{"$match": {"a": 2}}]), "option 'pipeline'"),
    "view source": (lambda db: recreate_view(db, viewOn="odd"), "option 'viewOn'"),
    "validator": (lambda db: db.command("collMod", "checked", validator={"a": {"$gte": 0}}), "option 'validator'"),
    "validation level": (lambda db: db.command("collMod", "checked", validationLevel="moderate"), "'validationLevel'"),
    "missing index": (lambda db: db.items.drop_index("plain"), "index 'plain': missing in the target"),
    "extra index": (lambda db: db.items.create_index("more"), "index 'more_1': only in the target"),
    "index option": (lambda db: recreate_index(db), "option 'sparse': bool True in the source, absent in the target"),
    "index hidden": (lambda db: recreate_index(db, sparse=True, hidden=True), "option 'hidden'"),
    "index key order": (lambda db: recreate_index(db, sparse=True, keys=[("b.c", -1), ("a", 1)]), "option 'key'"),
    "index key type": (lambda db: recreate_index(db, sparse=True, keys=[("a", 1), ("b.c", -1.0)]), "option 'key'"),
    "index collation": (
        lambda db: recreate_index(db, sparse=True, collation=Collation("en", strength=2)),
        "option 'collation'",
    ),
    "collection collation": (
        lambda db: (db.folded.drop(), db.create_collection("folded"), db.folded.insert_many([{"_id": i} for i in ("b", "A", "c", 1)])),
        "option 'collation'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", PLANTED)
def test_planted_difference_is_found(pair, kind):
    plant, expected = PLANTED[kind]
    plant(pair[1][DATABASE])
    result = compare_clusters(*pair)
    assert not result.identical
    assert expected in str(result)
    touched = {logical_ns(difference.ns) for difference in result.differences}
    assert len(touched) == 1, f"{kind} was planted in one collection: {result}"


def test_id_of_another_number_type_is_named(pair):
    retype_id(pair[1][DATABASE])
    assert "_id int 499: missing in the target; the target has _id double 499.0" in str(compare_clusters(*pair))


def test_many_differences_are_counted_and_fifty_are_shown(pair):
    pair[1][DATABASE].items.update_many({}, {"$set": {"a": 2}})
    result = compare_clusters(*pair)
    assert result.differences_total == 500
    assert len(result.differences) == 50
    assert "… and 450 more" in str(result)


def test_shift_by_one_document_is_one_difference(pair):
    pair[1][DATABASE].items.delete_one({"_id": 0})
    assert compare_clusters(*pair).differences_total == 1


def test_order_of_listing_means_nothing(pair):
    items = pair[1][DATABASE].items
    items.drop_index("plain")
    items.create_index([("a", ASCENDING)], name="plain")
    assert compare_clusters(*pair).identical


def test_selection_leaves_out_what_is_not_wanted(pair):
    pair[1][DATABASE].items.delete_one({"_id": 0})
    assert compare_clusters(*pair, selection=Selection(exclude=[f"{DATABASE}.items", f"{DATABASE}.view"])).identical
    assert compare_clusters(*pair, selection=Selection(databases=["elsewhere"])).identical
    assert not compare_clusters(*pair, selection=Selection(include=[f"{DATABASE}.it*"])).identical


def test_time_series_goes_by_its_own_name_in_a_selection(pair):
    pair[1][DATABASE]["system.buckets.series"].delete_many({"meta": 1})
    assert not compare_clusters(*pair, selection=Selection(include=[f"{DATABASE}.series"])).identical


def command_line(source, target, *options):
    command = [sys.executable, "-m", "compare", "--source", source.uri, "--target", target.uri, *options]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def test_command_ends_in_one_line_and_a_status(pair, sets):
    same = command_line(*sets, "--databases", DATABASE)
    assert same.returncode == 0, same.stderr
    assert same.stdout.splitlines()[-1].startswith("IDENTICAL: ")
    pair[1][DATABASE].items.delete_one({"_id": 0})
    other = command_line(*sets, "--databases", DATABASE)
    assert other.returncode == 1
    assert other.stdout.splitlines()[-1].startswith("DIFFERENT: 1 differences")


def test_nan_with_another_payload_is_told_by_its_bytes():
    one = b"\x10\x00\x00\x00\x01x\x00" + bytes.fromhex("000000000000f87f") + b"\x00"
    other = b"\x10\x00\x00\x00\x01x\x00" + bytes.fromhex("010000000000f87f") + b"\x00"
    assert "bytes 000000000000f87f and 010000000000f87f" in describe(one, other)


def test_order_of_fields_in_a_nested_document_is_told():
    one = bson.encode({"_id": 1, "a": SON([("x", 1), ("y", 2)])})
    other = bson.encode({"_id": 1, "a": SON([("y", 2), ("x", 1)])})
    assert describe(one, other).startswith("order of fields in a.")
