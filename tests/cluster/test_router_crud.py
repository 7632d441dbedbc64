# SPDX-License-Identifier: Apache-2.0
"""The router as an application sees it: reads and writes over two shards."""

import datetime

import pymongo
import pytest
from bson import Int64, MaxKey, encode
from bson.raw_bson import RawBSONDocument
from pymongo import DeleteMany, DeleteOne, InsertOne, ReplaceOne, UpdateMany, UpdateOne
from pymongo.errors import BulkWriteError, CollectionInvalid, CursorNotFound, OperationFailure

from .conftest import direct_counts, make_split, other_shard


@pytest.fixture
def split(cluster, db):
    """1000 documents by k: 0…499 on one shard, 500…999 on the other."""
    collection = make_split(cluster, db, "c")
    collection.insert_many(
        [{"_id": i, "k": i, "v": i % 10, "s": f"{i:04}"} for i in range(1000)], ordered=False
    )
    return collection


def test_documents_are_where_the_chunks_are(cluster, split):
    assert sorted(direct_counts(cluster, split)) == [500, 500]
    assert split.count_documents({}) == 1000
    assert split.estimated_document_count() == 1000


def test_handshake_is_that_of_a_mongos(client):
    hello = client.admin.command("hello")
    assert hello["msg"] == "isdbgrid" and hello["isWritablePrimary"]
    assert "topologyVersion" not in hello and "setName" not in hello
    assert hello["logicalSessionTimeoutMinutes"] == 30
    assert client.is_mongos
    with pytest.raises(OperationFailure) as unknown:
        client.admin.command("noSuchCommand")
    assert unknown.value.code == 59


@pytest.mark.parametrize("batch_size", [0, 1, 7, 101, 10_000])
def test_cursor_over_both_shards_gives_everything_once(split, batch_size):
    found = [d["_id"] for d in split.find({}, batch_size=batch_size)]
    assert len(found) == 1000 and set(found) == set(range(1000))


@pytest.mark.parametrize("batch_size", [0, 7])
def test_sort_merges_the_shards(split, batch_size):
    found = split.find({}, {"v": 1}, batch_size=batch_size).sort([("v", -1), ("_id", 1)])
    documents = list(found)
    wanted = sorted(range(1000), key=lambda i: (-(i % 10), i))
    assert documents == [{"_id": i, "v": i % 10} for i in wanted]


def test_sort_skip_limit(split):
    found = split.find({"k": {"$gte": 400}}).sort("k", 1).skip(90).limit(25)
    assert [d["k"] for d in found] == list(range(490, 515))
    assert len(list(split.find().skip(995))) == 5
    assert len(list(split.find().limit(3))) == 3
    assert len(list(split.find().limit(-60))) == 60
    assert split.find_one(sort=[("k", -1)])["k"] == 999
    assert split.count_documents({}, limit=700) == 700
    assert split.count_documents({}, skip=300, limit=900) == 700


def test_sort_with_collation(split):
    split.insert_many([{"k": 1000, "w": "b"}, {"k": 1, "w": "B"}, {"k": 1001, "w": "a"}])
    found = split.find({"w": {"$exists": True}}, collation={"locale": "en", "strength": 2})
    assert [d["w"].lower() for d in found.sort("w", 1)] == ["a", "b", "b"]


def test_min_max_hint(split):
    found = split.find({}, {"_id": 1}).hint([("k", 1)]).min([("k", 450)]).max([("k", 550)])
    assert sorted(d["_id"] for d in found) == list(range(450, 550))


def test_killed_cursor_is_gone(split):
    cursor = split.find({}, batch_size=2)
    next(cursor)
    number = cursor.cursor_id
    cursor.close()
    with pytest.raises((CursorNotFound, OperationFailure)) as gone:
        split.database.command({"getMore": number, "collection": split.name})
    assert gone.value.code == 43


def test_limits_of_big_documents(cluster, db):
    collection = make_split(cluster, db, "big")
    blob = "x" * (5 * 1024 * 1024)
    for i in range(8):
        collection.insert_one({"_id": i, "k": i * 130, "blob": blob})
    assert sorted(d["_id"] for d in collection.find()) == list(range(8))
    assert [d["_id"] for d in collection.find().sort("_id", -1)] == list(range(7, -1, -1))


def test_insert_errors_have_the_clients_indexes(split):
    documents = [{"_id": i, "k": i} for i in (2000, 5, 2001, 700, 2002)]
    with pytest.raises(BulkWriteError) as unordered:
        split.insert_many(documents, ordered=False)
    errors = unordered.value.details["writeErrors"]
    assert [(e["index"], e["code"]) for e in errors] == [(1, 11000), (3, 11000)]
    assert unordered.value.details["nInserted"] == 3
    split.delete_many({"_id": {"$gte": 2000}})
    with pytest.raises(BulkWriteError) as ordered:
        split.insert_many(documents, ordered=True)
    errors = ordered.value.details["writeErrors"]
    assert [(e["index"], e["code"]) for e in errors] == [(1, 11000)]
    assert ordered.value.details["nInserted"] == 1
    assert split.count_documents({"_id": {"$gte": 2000}}) == 1


def test_ordered_writes_stop_at_the_first_error_wherever_it_is(split):
    with pytest.raises(BulkWriteError) as stopped:
        split.bulk_write(
            [
                InsertOne({"_id": "a", "k": 1}),
                InsertOne({"_id": "b", "k": 900}),
                InsertOne({"_id": 0, "k": 0}),  # there already
                InsertOne({"_id": "c", "k": 901}),
            ]
        )
    assert stopped.value.details["writeErrors"][0]["index"] == 2
    assert split.count_documents({"_id": {"$in": ["a", "b", "c"]}}) == 2


def test_bulk_of_everything(split):
    result = split.bulk_write(
        [
            UpdateOne({"k": 1}, {"$set": {"x": 1}}),
            UpdateOne({"k": 901}, {"$set": {"x": 1}}),
            UpdateMany({"v": 3}, {"$set": {"y": 1}}),
            UpdateOne({"k": 5000, "_id": "new"}, {"$set": {"x": 2}}, upsert=True),
            ReplaceOne({"k": 7}, {"_id": 7, "k": 7, "z": 1}),
            DeleteOne({"k": 2}),
            DeleteMany({"v": 4}),
        ],
        ordered=False,
    )
    assert result.matched_count == 103 and result.modified_count == 103
    assert result.upserted_ids == {3: "new"} and result.deleted_count == 101
    assert split.count_documents({"y": 1}) == 100
    assert split.find_one({"k": 7}) == {"_id": 7, "k": 7, "z": 1}


def test_raw_commands_with_documents_in_the_body(split):
    """mongotwin writes so: raw documents, as an array or a sequence."""
    documents = [RawBSONDocument(encode({"_id": 3000 + i, "k": i})) for i in range(1000)]
    command = {"insert": split.name, "documents": documents, "ordered": False}
    assert split.database.command(command)["n"] == 1000
    update = [{"q": {"_id": 3000 + i, "k": i}, "u": {"$set": {"n": i}}} for i in range(1000)]
    reply = split.database.command({"update": split.name, "updates": update, "ordered": False})
    assert (reply["n"], reply["nModified"]) == (1000, 1000)
    delete = [{"q": {"_id": 3000 + i, "k": i}, "limit": 1} for i in range(1000)]
    assert split.database.command({"delete": split.name, "deletes": delete})["n"] == 1000


def test_by_id_alone_all_shards_are_asked(split):
    assert split.update_one({"_id": 900}, {"$set": {"q": 1}}).modified_count == 1
    assert split.delete_one({"_id": 901}).deleted_count == 1
    assert split.update_one({"_id": "none"}, {"$set": {"q": 1}}).matched_count == 0


def test_refused_as_a_mongos_does(split):
    for write in (
        lambda: split.update_one({"v": 1}, {"$set": {"q": 1}}),
        lambda: split.delete_one({"v": 1}),
        lambda: split.update_one({"v": 1}, {"$set": {"q": 1}}, upsert=True),
        lambda: split.find_one_and_update({"v": 1}, {"$set": {"q": 1}}),
        lambda: split.insert_one({"k": [1]}),
    ):
        with pytest.raises(OperationFailure) as refused:
            write()
        assert refused.value.code == 61
    assert split.count_documents({"q": 1}) == 0


def test_find_and_modify(split):
    after = pymongo.ReturnDocument.AFTER
    assert split.find_one_and_update({"k": 600}, {"$inc": {"v": 5}})["v"] == 0
    changed = split.find_one_and_update({"k": 600}, {"$inc": {"v": 1}}, return_document=after)
    assert changed["v"] == 6
    assert split.find_one_and_delete({"k": 601})["_id"] == 601
    upserted = split.find_one_and_replace(
        {"k": 4000}, {"k": 4000, "z": 1}, upsert=True, return_document=after
    )
    assert upserted["z"] == 1 and split.count_documents({"k": 4000}) == 1


def test_unacknowledged_writes(split):
    unacknowledged = split.with_options(write_concern=pymongo.WriteConcern(w=0))
    for i in range(50):
        unacknowledged.insert_one({"_id": f"w0-{i}", "k": i * 20})
    with split.database.client.start_session() as session:
        from cluster.process import wait_until

        count = {"_id": {"$regex": "^w0-"}}
        wait_until(lambda: split.count_documents(count, session=session) == 50, "all arrive")


def test_aggregate(split):
    group = [{"$group": {"_id": "$v", "n": {"$sum": 1}, "most": {"$max": "$k"}}}, {"$sort": {"_id": 1}}]
    wanted = [{"_id": v, "n": 100, "most": 990 + v} for v in range(10)]
    assert list(split.aggregate(group)) == wanted
    top = [{"$match": {"k": {"$lt": 800}}}, {"$sort": {"k": -1}}, {"$skip": 1}, {"$limit": 3}]
    assert [d["k"] for d in split.aggregate(top)] == [798, 797, 796]
    assert list(split.aggregate([{"$count": "n"}])) == [{"n": 1000}]
    assert len(list(split.aggregate([{"$match": {"v": 2}}, {"$project": {"k": 1}}], batchSize=7))) == 100
    assert len({d["_id"] for d in split.aggregate([{"$sample": {"size": 20}}])}) == 20
    average = [{"$group": {"_id": None, "a": {"$avg": "$k"}}}]
    assert list(split.aggregate(average)) == [{"_id": None, "a": 499.5}]
    assert len(list(split.aggregate([{"$sort": {"s": 1}}], batchSize=50))) == 1000
    counts = split.aggregate([{"$collStats": {"count": {}}}])
    assert sorted(d["count"] for d in counts) == [500, 500]


def test_aggregate_with_other_collections(split):
    db = split.database
    db.names.insert_many([{"_id": v, "name": f"n{v}"} for v in range(10)])
    lookup = {"from": "names", "localField": "v", "foreignField": "_id", "as": "names"}
    rows = list(split.aggregate([{"$lookup": lookup}, {"$match": {"names.name": "n3"}}]))
    assert len(rows) == 100
    back = {"from": split.name, "localField": "_id", "foreignField": "v", "as": "rows"}
    rows = list(db.names.aggregate([{"$lookup": back}, {"$project": {"n": {"$size": "$rows"}}}]))
    assert [row["n"] for row in rows] == [100] * 10
    split.aggregate([{"$match": {"v": 1}}, {"$out": "copy"}])
    assert db.copy.count_documents({}) == 100


def test_distinct_and_explain(split):
    assert sorted(split.distinct("v")) == list(range(10))
    assert split.distinct("v", {"k": 13}) == [3]
    plan = split.find({"k": 600}).explain()
    assert "queryPlanner" in plan


def test_views_over_sharded_and_unsharded(split):
    db = split.database
    db.create_collection("low", viewOn=split.name, pipeline=[{"$match": {"k": {"$lt": 600}}}])
    assert db.low.count_documents({}) == 600
    assert [d["k"] for d in db.low.find({"v": 9}).sort("k", -1).limit(2)] == [599, 589]
    assert sorted(db.low.distinct("v")) == list(range(10))
    db.plain.insert_many([{"_id": i} for i in range(10)])
    db.create_collection("some", viewOn="plain", pipeline=[{"$match": {"_id": {"$gt": 5}}}])
    assert [d["_id"] for d in db.some.find().sort("_id", 1)] == [6, 7, 8, 9]
    assert {c["name"] for c in db.list_collections(filter={"type": "view"})} == {"low", "some"}


def test_special_collections(db):
    db.create_collection("capped", capped=True, size=100_000, max=5)
    db.capped.insert_many([{"_id": i} for i in range(9)])
    assert [d["_id"] for d in db.capped.find()] == [4, 5, 6, 7, 8]
    db.create_collection("series", timeseries={"timeField": "t", "metaField": "m"})
    start = datetime.datetime(2026, 1, 1)
    db.series.insert_many(
        [{"t": start + datetime.timedelta(minutes=i), "m": i % 2, "v": i} for i in range(100)]
    )
    assert db.series.count_documents({"m": 1}) == 50
    tail = db.capped.find(cursor_type=pymongo.CursorType.TAILABLE)
    assert len([next(tail) for _ in range(5)]) == 5
    with pytest.raises(CollectionInvalid):
        db.create_collection("capped")


def test_indexes_on_every_owner(cluster, split):
    assert split.create_index([("v", 1), ("s", -1)], name="vs") == "vs"
    split.create_index("s", unique=False, sparse=True)
    assert set(split.index_information()) == {"_id_", "k_1", "vs", "s_1"}
    for shard in cluster.shards:
        with shard.client() as direct:
            here = direct[split.database.name][split.name].index_information()
            assert set(here) == {"_id_", "k_1", "vs", "s_1"}
    split.drop_index("vs")
    assert "vs" not in split.index_information()
    with pytest.raises(OperationFailure):
        split.create_index("v", unique=True)  # a mongos refuses: not prefixed by the shard key


def test_lists(split):
    db, client = split.database, split.database.client
    db.other.insert_one({})
    assert sorted(db.list_collection_names()) == ["c", "other"]
    assert db.name in client.list_database_names()
    assert {"admin", "config"} <= set(client.list_database_names())
    assert "local" not in client.list_database_names()
    assert client.list_databases(filter={"name": db.name}).next()["name"] == db.name
    assert list(client.none_such.c.find()) == []
    assert client.none_such.list_collection_names() == []
    stats = db.command("collStats", split.name)
    assert stats["sharded"] and stats["count"] == 1000
    assert db.command("dbStats")["objects"] == 1001
    assert db.validate_collection(split.name)["valid"]


def test_config_is_read_through_the_router(client, split):
    entry = client.config.collections.find_one({"_id": f"{split.database.name}.c"})
    chunks = list(client.config.chunks.find({"uuid": entry["uuid"]}))
    assert len(chunks) == 2 and len({chunk["shard"] for chunk in chunks}) == 2
    client.config.settings.update_one(
        {"_id": "chunksize"}, {"$set": {"value": 64}}, upsert=True
    )
    assert client.config.settings.find_one({"_id": "chunksize"})["value"] == 64


def test_hashed_and_compound_hashed(cluster, db):
    for name, key in (("h", {"_id": "hashed"}), ("ch", {"a": 1, "b": "hashed"})):
        cluster.shard_collection(f"{db.name}.{name}", key)
    db.h.insert_many([{"_id": i} for i in range(400)], ordered=False)
    assert sum(direct_counts(cluster, db.h)) == 400 and min(direct_counts(cluster, db.h)) > 100
    for i in range(0, 400, 7):
        assert db.h.find_one({"_id": i}) == {"_id": i}
        assert db.h.update_one({"_id": i}, {"$set": {"x": 1}}).modified_count == 1
    middle, end = {"a": 5, "b": Int64(0)}, {"a": MaxKey(), "b": MaxKey()}
    cluster.split(f"{db.name}.ch", middle)
    other = other_shard(cluster, db.client, db.name)
    cluster.move_chunk(f"{db.name}.ch", to=other, bounds=[middle, end])
    db.ch.insert_many([{"_id": i, "a": 5, "b": i} for i in range(200)], ordered=False)
    assert min(direct_counts(cluster, db.ch)) > 50
    for i in range(0, 200, 9):
        assert db.ch.find_one({"a": 5, "b": i})["_id"] == i


def test_a_document_that_changes_its_shard_moves(cluster, split):
    assert split.update_one({"k": 10}, {"$set": {"k": 800, "moved": True}}).modified_count == 1
    assert split.find_one({"_id": 10})["k"] == 800
    assert split.count_documents({}) == 1000 and sum(direct_counts(cluster, split)) == 1000
    changed = split.find_one_and_update(
        {"k": 900}, {"$set": {"k": 20.5}}, return_document=pymongo.ReturnDocument.AFTER
    )
    assert changed["k"] == 20.5 and split.count_documents({"_id": 900, "k": 20.5}) == 1
    with split.database.client.start_session() as session, session.start_transaction():
        split.update_one({"k": 30}, {"$set": {"k": 830.5}}, session=session)
    assert split.find_one({"_id": 30})["k"] == 830.5
    assert sum(direct_counts(cluster, split)) == 1000
    plain = pymongo.MongoClient(cluster.uri, retryWrites=False)
    with plain, pytest.raises(OperationFailure):
        plain[split.database.name][split.name].update_one({"k": 40}, {"$set": {"k": 840}})
    assert split.find_one({"_id": 40})["k"] == 40


def test_rename_collmod_capped_drop(cluster, split):
    db = split.database
    split.rename("renamed")
    assert db.renamed.count_documents({}) == 1000 and db.c.count_documents({}) == 0
    db.create_collection("target")
    db.renamed.rename("target", dropTarget=True)
    assert db.target.count_documents({}) == 1000
    assert sum(direct_counts(cluster, db.target)) == 1000
    db.command("collMod", "target", validator={"bad": {"$exists": False}})
    with pytest.raises(pymongo.errors.WriteError) as invalid:
        db.target.insert_one({"k": 700, "bad": 1})
    assert invalid.value.code == 121
    db.plain.insert_many([{"_id": i} for i in range(10)])
    db.command("convertToCapped", "plain", size=100_000)
    assert db.plain.options()["capped"] and db.plain.count_documents({}) == 10
    db.target.drop()
    assert "target" not in db.list_collection_names()
    assert sum(direct_counts(cluster, db.target)) == 0
    db.client.drop_database(db.name)
    assert db.name not in db.client.list_database_names()


def test_shard_key_with_id_in_second_place(cluster, db):
    ns, middle = f"{db.name}.pairs", {"c": 500, "_id": 0}
    cluster.shard_collection(ns, {"c": 1, "_id": 1})
    cluster.split(ns, middle)
    cluster.move_chunk(ns, middle, other_shard(cluster, db.client, db.name))
    db.pairs.insert_many([{"_id": 1000 - i, "c": i} for i in range(1000)], ordered=False)
    assert sorted(direct_counts(cluster, db.pairs)) == [500, 500]
    assert db.pairs.find_one({"c": 499, "_id": 501}) and db.pairs.find_one({"c": 500, "_id": 500})
