# SPDX-License-Identifier: Apache-2.0
"""Routes that change while applications write: chunk moves, movePrimary, resharding, more
than one router, shards that come and go. Every acknowledged write must be there, once."""

import threading

import pytest
from pymongo import UpdateOne
from pymongo.errors import OperationFailure, PyMongoError

from cluster.process import wait_until

from .conftest import direct_counts, make_split, other_shard


class Writers:
    """Threads that insert, increment and delete, and remember what was acknowledged."""

    def __init__(self, uri_client, collection, threads=3):
        self.client = uri_client
        self.collection = collection
        self.expected = [{} for _ in range(threads)]
        self.rounds = [0] * threads
        self.errors = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(i,)) for i in range(threads)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number):
        expected, i = self.expected[number], 0
        try:
            while not self._stop.is_set():
                # k runs through the whole key range in no order.
                batch = [(f"{number}-{i + j}", (i + j) * 37 % 1000) for j in range(10)]
                self.collection.insert_many([{"_id": n, "k": k, "n": 0} for n, k in batch], ordered=False)
                expected.update((n, 0) for n, _ in batch)
                result = self.collection.bulk_write(
                    [UpdateOne({"_id": n, "k": k}, {"$inc": {"n": 1}}) for n, k in batch], ordered=False
                )
                assert result.modified_count == 10
                expected.update((n, 1) for n, _ in batch)
                name, k = batch[3]
                assert self.collection.delete_one({"_id": name, "k": k}).deleted_count == 1
                del expected[name]
                name, k = batch[4]
                assert self.collection.find_one({"_id": name, "k": k})["n"] == 1
                self.collection.update_one({"_id": name}, {"$inc": {"n": 1}})
                expected[name] = 2
                i += 10
                self.rounds[number] += 1
        except Exception as error:
            self.errors.append(error)

    def wait_rounds(self, more=3):
        """Until every writer has got on by some rounds."""
        goal = [count + more for count in self.rounds]
        wait_until(
            lambda: self.errors or all(a >= b for a, b in zip(self.rounds, goal)),
            "the writers get on",
        )

    def check(self):
        """What is there is exactly what was acknowledged."""
        assert not self.errors, [(str(error)[:200], getattr(error, "code", 0)) for error in self.errors]
        wanted = {name: n for each in self.expected for name, n in each.items()}
        found = [(d["_id"], d["n"]) for d in self.collection.find()]
        assert len(found) == len(set(found)), "doubled"
        assert dict(found) == wanted
        assert self.collection.count_documents({}) == len(wanted)


def test_chunk_moves_under_load(cluster, client, db):
    collection = make_split(cluster, db, "moving")
    ns = collection.full_name
    for at in (250, 750):
        cluster.split(ns, {"k": at})
    names = [shard.name for shard in cluster.shards]
    with Writers(client, collection) as writers:
        for turn in range(8):
            writers.wait_rounds(2)
            for k in (0, 300, 600, 900):
                cluster.move_chunk(ns, {"k": k}, names[(turn + k // 300) % 2])
    writers.check()
    assert sum(writers.rounds) > 30
    moved = client.config.changelog.count_documents({"ns": ns, "what": "moveChunk.commit"})
    assert moved >= 16
    # Nothing is left of ranges that have gone: the moves waited for their deletion.
    assert sum(direct_counts(cluster, collection)) == collection.count_documents({})


def test_cursor_open_while_its_chunks_move(cluster, db):
    collection = make_split(cluster, db, "read")
    collection.insert_many([{"_id": i, "k": i} for i in range(1000)], ordered=False)
    cursor = collection.find({}, batch_size=50)
    found = [next(cursor)["_id"] for _ in range(60)]
    names = [shard.name for shard in cluster.shards]
    first = other_shard(cluster, db.client, db.name).name
    second = next(name for name in names if name != first)
    cluster.move_chunk(collection.full_name, {"k": 0}, first, wait_for_delete=False)
    cluster.move_chunk(collection.full_name, {"k": 999}, second, wait_for_delete=False)
    found += [document["_id"] for document in cursor]
    assert sorted(found) == list(range(1000))


def test_transactions_while_chunks_move(cluster, client, db):
    """Transfers over the whole key range; the sum never changes."""
    bank = make_split(cluster, db, "bank")
    bank.insert_many([{"_id": i, "k": i * 100, "n": 100} for i in range(10)])
    done, errors, stop = [0], [], threading.Event()

    def transfer(session, i):
        bank.update_one({"k": i % 10 * 100}, {"$inc": {"n": -1}}, session=session)
        bank.update_one({"k": (i * 7 + 3) % 10 * 100}, {"$inc": {"n": 1}}, session=session)

    def run():
        i = 0
        try:
            with client.start_session() as session:
                while not stop.is_set():
                    session.with_transaction(lambda s, i=i: transfer(s, i))
                    i += 1
                    done[0] += 1
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    names = [shard.name for shard in cluster.shards]
    try:
        for turn in range(6):
            before = done[0]
            wait_until(lambda: errors or done[0] > before + 3, "transfers get on")
            cluster.move_chunk(bank.full_name, {"k": 0}, names[turn % 2])
            with client.start_session() as session:
                total = session.with_transaction(
                    lambda s: sum(account["n"] for account in bank.find(session=s))
                )
            assert total == 1000
    finally:
        stop.set()
        thread.join()
    assert not errors and done[0] > 20
    assert sum(account["n"] for account in bank.find()) == 1000


def test_move_primary_under_load(cluster, client, db):
    """Writes that fall into the move are refused; those acknowledged are there."""
    collection, expected, stop, errors = db.plain, [], threading.Event(), []
    collection.insert_one({"_id": -1})

    def run():
        i = 0
        while not stop.is_set():
            try:
                collection.insert_one({"_id": i})
                expected.append(i)
            except OperationFailure as error:
                if "movePrimary" not in str(error):
                    errors.append(error)
            i += 1

    thread = threading.Thread(target=run)
    thread.start()
    try:
        for _ in range(3):
            before = len(expected)
            wait_until(lambda: len(expected) > before + 20, "inserts get on")
            target = other_shard(cluster, client, db.name)
            cluster.move_primary(db.name, target)
            assert client.config.databases.find_one({"_id": db.name})["primary"] == target.name
    finally:
        stop.set()
        thread.join()
    assert not errors
    assert set(expected) <= {d["_id"] for d in collection.find()}
    with target.client() as direct:
        assert direct[db.name].plain.count_documents({}) >= len(expected)


def test_reshard_under_load(cluster, client, db):
    collection = make_split(cluster, db, "again")
    with Writers(client, collection, threads=2) as writers:
        writers.wait_rounds(5)
        cluster.reshard(collection.full_name, {"_id": "hashed"})
        writers.wait_rounds(5)
    writers.check()
    entry = client.config.collections.find_one({"_id": collection.full_name})
    assert entry["key"] == {"_id": "hashed"}
    assert min(direct_counts(cluster, collection)) > 0


def test_refine_shard_key(cluster, client, db):
    collection = make_split(cluster, db, "fine")
    collection.insert_many([{"k": i, "l": i} for i in range(0, 1000, 10)], ordered=False)
    collection.create_index([("k", 1), ("l", 1)])
    cluster.refine_shard_key(collection.full_name, {"k": 1, "l": 1})
    collection.insert_many([{"k": i, "l": 1} for i in range(5, 1000, 10)], ordered=False)
    assert collection.count_documents({}) == 200
    assert collection.update_one({"k": 905, "l": 1}, {"$set": {"x": 1}}).modified_count == 1


def test_shard_collection_with_data_and_zones(cluster, client, db):
    collection = db.zoned
    collection.insert_many([{"_id": i, "k": i} for i in range(100)])
    collection.create_index("k")
    ns, names = collection.full_name, [shard.name for shard in cluster.shards]
    cluster.shard_collection(ns, {"k": 1})
    cluster.admin("addShardToZone", names[1], zone="east")
    cluster.admin("updateZoneKeyRange", ns, min={"k": 50}, max={"k": 60}, zone="east")
    assert client.config.tags.count_documents({"ns": ns, "tag": "east"}) == 1
    cluster.admin("updateZoneKeyRange", ns, min={"k": 50}, max={"k": 60}, zone=None)
    cluster.admin("removeShardFromZone", names[1], zone="east")
    cluster.admin("split", ns, find={"k": 7})  # at the median
    assert collection.count_documents({}) == 100
    cluster.shard_collection(f"{db.name}.unique", {"u": 1}, unique=True)
    db.unique.insert_one({"u": 1})
    with pytest.raises(PyMongoError):
        db.unique.insert_one({"u": 1})


def test_balancer_evens_out(cluster, client, db):
    ns = f"{db.name}.heavy"
    cluster.shard_collection(ns, {"_id": 1})
    db.heavy.insert_many([{"_id": i, "x": "x" * 20_000} for i in range(300)], ordered=False)
    client.config.settings.update_one({"_id": "chunksize"}, {"$set": {"value": 1}}, upsert=True)
    try:
        cluster.start_balancer()
        assert client.admin.command("balancerStatus")["mode"] == "full"
        wait_until(lambda: min(direct_counts(cluster, db.heavy)) > 50, "the balancer moves", 60)
    finally:
        cluster.stop_balancer()
        client.config.settings.delete_one({"_id": "chunksize"})
    assert client.admin.command("balancerStatus")["mode"] == "off"
    assert db.heavy.count_documents({}) == 300


def test_second_router_follows_the_first(cluster, db):
    collection = make_split(cluster, db, "both")
    second = cluster.add_router()
    with second.client() as client:
        there = client[db.name].both
        there.insert_many([{"_id": i, "k": i} for i in range(1000)], ordered=False)
        assert collection.count_documents({}) == 1000
        target = other_shard(cluster, db.client, db.name)
        cluster.move_chunk(collection.full_name, {"k": 0}, target)
        assert there.count_documents({"k": {"$lt": 500}}) == 500
        there.insert_one({"_id": "new", "k": 1})
        with target.client() as direct:
            assert direct[db.name].both.count_documents({"_id": "new"}) == 1
        collection.drop()
        assert there.count_documents({}) == 0
        there.insert_one({"_id": 1})  # made anew, unsharded, by the router that saw no drop
        assert collection.find_one() == {"_id": 1}
        there.rename("other")
        assert db.other.find_one() == {"_id": 1} and collection.find_one() is None
        cluster.shard_collection(f"{db.name}.other", {"_id": 1})
        assert there.database.other.find_one() == {"_id": 1}
        db.client.drop_database(db.name)
        assert there.database.other.find_one() is None
    second.stop()


def test_add_and_remove_a_shard(cluster, client, db):
    collection = make_split(cluster, db, "spread")
    with Writers(client, collection, threads=2) as writers:
        third = cluster.add_shard()
        assert third.name == "bed-rs2"
        writers.wait_rounds()
        cluster.move_chunk(collection.full_name, {"k": 0}, third)
        writers.wait_rounds()
        with third.client() as direct:
            assert direct[db.name].spread.count_documents({}) > 0
        assert cluster.remove_shard(third)["state"] == "started"
        assert cluster.remove_shard(third)["state"] == "ongoing"
        cluster.move_chunk(collection.full_name, {"k": 0}, cluster.shards[0])
        wait_until(
            lambda: cluster.remove_shard(third)["state"] == "completed", "the shard is drained"
        )
        writers.wait_rounds()
        cluster.forget_shard(third)
        writers.wait_rounds()
    writers.check()
    assert [s["_id"] for s in client.admin.command("listShards")["shards"]] == ["bed-rs0", "bed-rs1"]
