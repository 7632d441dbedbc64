# SPDX-License-Identifier: Apache-2.0
"""How the initial copy reads: ranges of _id or natural order, which members, without orphans, while chunks move."""

from __future__ import annotations

import datetime
import os
import uuid

import pytest
from bson import Binary, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from cluster import ReplicaSet

from e2e.failpoint import failpoint

PAD = os.urandom(4000)
SCATTERED = 20_000  # documents: 80 MB, five ranges
NATURAL = "read in natural order"


def scatter(collection, documents=SCATTERED):
    """Random _ids, so that neighbours by _id lie far from each other in the files."""
    for first in range(0, documents, 1000):
        collection.insert_many([{"_id": uuid.uuid4().hex, "n": n, "pad": PAD} for n in range(first, first + 1000)])


def ordered(collection, first, last):
    for n in range(first, last, 1000):
        collection.insert_many([{"_id": n, "pad": PAD} for n in range(n, min(n + 1000, last))])


def test_scattered_ids_are_read_as_they_are_stored(replica_sets):
    """Killed in the middle of its only range, it goes on where it was."""
    client = replica_sets.source_client
    scatter(client.big.random)
    ordered(client.big.ordered, 0, SCATTERED)
    twin = replica_sets.twin(throttle={"copy": "60MB"}).start()
    ranges = replica_sets.target_client.mongotwin.copy_ranges
    twin.wait_until(lambda s: ranges.find_one({"by": "natural", "tokens": {"$exists": True}}) is not None, "its place is saved")
    twin.kill()
    assert f"big.random: neighbours by _id lie far from each other: it is {NATURAL}" in twin.log()
    assert twin.log().count(NATURAL) == 1, "one collection of the two is scattered"
    ranges_by = [r["by"] for r in ranges.find()]
    assert ranges_by.count("natural") == 1 and ranges_by.count("id") > 4
    natural = ranges.find_one({"by": "natural"})
    copied = natural["documents"]
    assert copied > SCATTERED // 2
    assert natural["position_version"] is not None and "version" not in natural, "a place that is saved late would undo what the range ended with"
    # Of the part that is copied: read from its start again, they would not be counted.
    client.big.random.delete_many({"n": {"$lt": 3000}})
    twin.start()
    twin.command("throttle", {"copy_bytes_per_second": None})
    status = twin.wait_for_state("replicating")
    done = {c["ns"]: c["documents_done"] for c in status["copy"]["collections"]}
    assert done["big.random"] == SCATTERED, "it was read from its start again"
    twin.finish()
    replica_sets.assert_identical()


@pytest.mark.parametrize("reading", ["natural", "id"])
def test_order_of_reading_is_as_configured(replica_sets, reading):
    scatter(replica_sets.source_client.big.random, 12_000)
    twin = replica_sets.twin(reading=reading, throttle={"copy": "0"}).start()
    ranges = replica_sets.target_client.mongotwin.copy_ranges
    twin.wait_until(lambda s: s["copy"]["ranges_total"] > 0 and ranges.count_documents({}) > 0, "the copy is planned")
    assert {r["by"] for r in ranges.find()} == {reading}
    twin.command("throttle", {"copy_bytes_per_second": None})
    twin.finish()
    replica_sets.assert_identical()


@pytest.mark.parametrize("reading", ["natural", "id"])
def test_source_that_inserts_faster_than_it_is_copied(replica_sets, reading):
    """What comes after a collection's reading has begun is left to the oplog, or a slow copy would never end."""
    client = replica_sets.source_client
    ordered(client.big.growing, 0, 6000)
    twin = replica_sets.twin(copiers=1, reading=reading, throttle={"copy": "4MB"}).start()
    twin.wait_until(lambda s: s["copy"]["documents_done"] > 0, "the copy is under way")
    twin.command("throttle", {"copy_bytes_per_second": 0})
    ordered(client.big.growing, 6000, 16_000)
    twin.command("throttle", {"copy_bytes_per_second": None, "operations_per_second": 0})
    status = twin.wait_until(lambda s: s["state"] == "catching_up", "the copy has ended")
    assert 6000 <= status["copy"]["documents_done"] < 7000, "up to the batch in which the end was"
    twin.command("throttle", {"operations_per_second": None})
    twin.finish()
    replica_sets.assert_identical()


def test_secondaries_are_read(make_pair, tmp_path, target_set):
    """Also one that is behind: it is waited for, since the oplog is only replayed from the start position on."""
    with ReplicaSet(name="three", base_dir=tmp_path, members=3, set_parameters={"enableTestCommands": "1"}) as source:
        pair = make_pair(source, target_set)
        pair.load(8000)
        late, other = (m for m in source.members if m != source.primary())

        def returned(member):
            with member.client() as direct:
                return direct.admin.command("serverStatus")["metrics"]["document"]["returned"]

        with late.client() as direct, failpoint(direct, "rsSyncApplyStop") as stopped:
            stopped.wait_entered()
            pair.source_client.shop.orders.update_many({}, {"$set": {"late": 1}})
            before = {m: returned(m) for m in source.members}
            twin = pair.twin(read_preference="secondary", copiers=2).start()
            # It may read the other one meanwhile, but must not take what the late one has.
            twin.wait_until(lambda s: s["copy"]["ranges_total"] > 0, "it is copying")
        twin.wait_for_state("replicating")
        documents = twin.status()["copy"]["documents_done"]
        read = {m: returned(m) - before[m] for m in source.members}
        assert read[late] + read[other] >= documents and read[late] > 0, "both secondaries are read"
        assert read[source.primary()] < documents, "the primary was read"
        pair.finish_and_compare(twin)


VALUES = [
    None, 1, 2.5, Int64(2**40), Decimal128("7.5"), Decimal128("1E+20"), 2.0**63, -7.9, "text", "a\0b", "", {"a": 1}, {"b": {"c": [1, 2]}}, {}, Binary(b"abc"),
    Binary(b"0123456789abcdef", 4), ObjectId(), True, False, datetime.datetime(2026, 1, 1), Timestamp(5, 1), MinKey(), MaxKey(), float("nan"), float("-inf"),
]  # fmt: skip


@pytest.mark.parametrize("key", [{"k": "hashed"}, {"k": 1}, {"region": 1, "k": "hashed"}, {"sub.k": "hashed"}], ids=lambda key: "_".join(f"{f}_{d}" for f, d in key.items()))
@pytest.mark.parametrize("reading", ["id", "natural"])
def test_orphans_of_every_type_are_left_out(sharded_to_set, key, reading):
    """Every shard has every document; each is owned by one of them only."""
    pair = sharded_to_set
    pair.source.shard_collection("db.c", key)
    documents = [{"_id": n, "k": value, "sub": {"k": value}, "region": n % 3, "seen": True} for n, value in enumerate(VALUES + [f"v{n}" for n in range(200)])]
    documents += [{"_id": len(documents), "region": 1}]  # without the key: it counts as null
    if key == {"k": 1}:
        documents = [d for d in documents if d.get("k") != MaxKey()]  # lies in no chunk
    if "hashed" not in list(key.values())[:1]:
        bound, top = {field: {"k": "v1", "region": 1}.get(field, MinKey()) for field in key}, {field: MaxKey() for field in key}
        if "region" in key:
            bound["k"] = Int64(0)
        there = pair.source_client.config.chunks.find_one({"min": {field: MinKey() for field in key}})["shard"]
        pair.source.split("db.c", bound)
        pair.source.move_chunk("db.c", bounds=[bound, top], to=next(s.name for s in pair.source.shards if s.name != there))
    pair.source_client.db.c.insert_many(documents)
    owned = {}
    for shard in pair.source.shards:
        with shard.client() as direct:
            owned[shard.name] = {d["_id"] for d in direct.db.c.find()}
    assert sum(map(len, owned.values())) == len(documents) and all(owned.values())
    for shard in pair.source.shards:
        with shard.client() as direct:
            direct.db.c.insert_many([{**d, "seen": False} for d in documents if d["_id"] not in owned[shard.name]])
    twin = pair.twin(reading=reading).start()
    twin.finish()
    pair.assert_identical()
    assert pair.target_client.db.c.count_documents({"seen": False}) == 0


@pytest.mark.parametrize("reading, said", [("natural", "documents changed their shard while it was read in natural order"), ("id", "documents changed their shard while a range was read")])
def test_chunks_move_while_it_is_read(sharded_to_set, reading, said):
    """By hand, since the balancer is held: what has moved behind the reader's back is read again."""
    pair = sharded_to_set
    names = [shard.name for shard in pair.source.shards]
    pair.source.shard_collection("big.c", {"_id": 1})
    ordered(pair.source_client.big.c, 0, 12_000)
    for bound in (3000, 6000, 9000):
        pair.source.split("big.c", {"_id": bound})
    pair.source.move_chunk("big.c", find={"_id": 9000}, to=next(name for name in names if name != pair.source_client.config.chunks.find_one({"min._id": 3000})["shard"]))
    twin = pair.twin(reading=reading, copiers=1, throttle={"copy": "4MB"}, log={"level": "debug"}).start()
    twin.wait_until(lambda s: s["copy"]["documents_done"] > 500, "it is being read")
    twin.command("throttle", {"copy_bytes_per_second": 0})
    for find in (0, 3000, 6000, 9000):
        there = pair.source_client.config.chunks.find_one({"min._id": find} if find else {"min._id": MinKey()})["shard"]
        pair.source.move_chunk("big.c", find={"_id": find}, to=next(name for name in names if name != there))
    twin.command("throttle", {"copy_bytes_per_second": None})
    twin.wait_for_state("replicating")
    assert said in twin.log()
    twin.finish()
    pair.assert_identical()


@pytest.mark.parametrize("reading", ["auto", "id", "natural"])
@pytest.mark.parametrize("pair_name", ["sharded_clusters", "sharded_to_set"])
def test_documents_of_one_id_on_two_shards(request, pair_name, reading):
    """A twin can't tell them apart; on a sharded target no index would notice. They are read in different replies."""
    pair = request.getfixturevalue(pair_name)
    pair.source.shard_collection("db.c", {"k": 1})
    pair.source.split("db.c", {"k": 500})
    there = pair.source_client.config.chunks.find_one({"min.k": 500})["shard"]
    pair.source.move_chunk("db.c", find={"k": 500}, to=next(s.name for s in pair.source.shards if s.name != there))
    pair.source_client.db.c.insert_many([{"_id": n, "k": n, "pad": PAD} for n in range(1000)])
    pair.source_client.db.c.insert_one({"_id": Int64(7), "k": 700})
    said = pair.twin(reading=reading).start().wait_failure()
    assert "db.c has two documents with _id 7 on different shards" in said and "remove one of them" in said


def test_what_the_target_refuses_is_named(set_to_sharded):
    """A key that can't be one there: the target's key is not the source's."""
    pair = set_to_sharded
    pair.target.shard_collection("db.c", {"k": 1})
    pair.source_client.db.c.insert_many([{"_id": n, "k": n} for n in range(100)] + [{"_id": "odd one", "k": [1, 2]}])
    said = pair.twin().start().wait_failure()
    assert "db.c" in said and '"odd one"' in said and "k is an array" in said


def test_documents_without_the_targets_key_are_named(set_to_sharded):
    pair = set_to_sharded
    pair.target.shard_collection("db.c", {"k": 1})
    pair.source_client.db.c.insert_many([{"_id": n, "k": n} for n in range(100)] + [{"_id": "odd one"}])
    twin = pair.twin().start()
    twin.finish()
    assert 'db.c: the document with _id "odd one" has no k' in twin.log()
    pair.assert_identical()


def test_largest_documents(replica_sets):
    """16 MB to the byte: what a server takes from a client, another one takes from mongotwin."""
    limit = replica_sets.source_client.admin.command("hello")["maxBsonObjectSize"]
    overhead = 5 + 1 + 4 + 4 + 1 + 4 + 1 + 4 + 1 + 1 + 1  # of {_id: <int>, pad: <binary>}
    for n in range(6):
        replica_sets.source_client.db.large.insert_one({"_id": n, "pad": b"\0" * (limit - overhead - n)})
    assert replica_sets.source_client.db.large.aggregate([{"$group": {"_id": None, "max": {"$max": {"$bsonSize": "$$ROOT"}}}}]).next()["max"] >= limit - 4
    twin = replica_sets.twin().start()
    twin.finish()
    replica_sets.assert_identical()


def test_member_that_was_killed_may_have_other_record_numbers(make_pair, tmp_path, target_set):
    """What it inserts again from its oplog gets numbers anew. How much that is, nobody is told: here next to nothing, after a
    checkpoint, so that all the numbers are still there to be gone on from."""
    with ReplicaSet(name="killed", base_dir=tmp_path) as source:
        pair = make_pair(source, target_set)
        scatter(pair.source_client.big.random)
        pair.source_client.admin.command("fsync")
        twin = pair.twin(reading="natural", throttle={"copy": "60MB"}).start()
        ranges = pair.target_client.mongotwin.copy_ranges
        twin.wait_until(lambda s: ranges.find_one({"by": "natural", "tokens": {"$exists": True}}) is not None, "its place is saved")
        twin.kill()
        source.members[0].kill()
        source.members[0].start()
        source.wait_primary()
        pair.source_client.big.random.delete_many({"n": {"$lt": 3000}})  # of the part that is copied
        twin.start()
        twin.command("throttle", {"copy_bytes_per_second": None})
        status = twin.wait_for_state("replicating")
        assert "starting again from zero" not in twin.log()
        assert status["copy"]["documents_done"] == SCATTERED - 3000, "it was not read from its start again"
        twin.finish()
        pair.assert_identical()
        pair.close()


def test_collection_that_is_refilled_while_it_is_read(set_to_sharded):
    """Of a document that was deleted and came again, a target with another shard key would keep both."""
    pair = set_to_sharded
    refilled = pair.source_client.big.refilled

    def fill(sign):
        for first in range(0, 10_000, 1000):
            refilled.insert_many([{"_id": n, "k": sign * (n + 1), "pad": PAD} for n in range(first, first + 1000)])

    pair.target.shard_collection("big.refilled", {"k": 1})
    pair.target.split("big.refilled", {"k": 0})
    pair.target.move_chunk("big.refilled", {"k": -1}, to=pair.target.shards[0])
    pair.target.move_chunk("big.refilled", {"k": 1}, to=pair.target.shards[1])
    fill(-1)
    twin = pair.twin(reading="natural", copiers=1, throttle={"copy": "4MB"}).start()
    twin.wait_until(lambda s: s["copy"]["documents_done"] > 500, "it is being read")
    twin.command("throttle", {"copy_bytes_per_second": 0})
    refilled.delete_many({})
    fill(1)
    twin.command("throttle", {"copy_bytes_per_second": None})
    status = twin.wait_for_state("replicating")
    assert status["copy"]["documents_done"] < 10_000, "it copied what came after its beginning"
    twin.finish()
    pair.assert_identical()
