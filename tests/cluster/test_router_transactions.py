# SPDX-License-Identifier: Apache-2.0
"""Transactions over two shards, retryable writes, and the cluster's time."""

import uuid

import pytest
from bson import Binary, Int64, Timestamp
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern

from cluster.router.wire import ask

from .conftest import direct_counts, make_split, oplog


@pytest.fixture
def bank(cluster, db):
    """Accounts k = 0 and 999 on two shards, 100 each."""
    accounts = make_split(cluster, db, "bank")
    accounts.insert_many([{"_id": k, "k": k, "n": 100} for k in (0, 1, 999)])
    return accounts


def transaction_entries(shard, ns):
    """A shard's oplog entries on the transactions that wrote to a namespace."""
    prepared = oplog(shard, {"o.applyOps.ns": ns})
    numbers = [(entry["lsid"]["id"], entry["txnNumber"]) for entry in prepared if "lsid" in entry]
    ends = [
        entry
        for entry in oplog(shard, {"$or": [{"o.commitTransaction": 1}, {"o.abortTransaction": 1}]})
        if (entry["lsid"]["id"], entry["txnNumber"]) in numbers
    ]
    return prepared, ends


def test_two_shards_commit_in_two_phases(cluster, client, bank):
    with client.start_session() as session, session.start_transaction():
        bank.update_one({"k": 0}, {"$inc": {"n": -30}}, session=session)
        bank.update_one({"k": 999}, {"$inc": {"n": 30}}, session=session)
        assert bank.find_one({"k": 0}, session=session)["n"] == 70
        assert bank.find_one({"k": 0})["n"] == 100  # nobody else sees it yet
    assert [a["n"] for a in bank.find().sort("k", 1)] == [70, 100, 130]

    ends = []
    for shard in cluster.shards:
        prepared, end = transaction_entries(shard, bank.full_name)
        assert len(prepared) == 1 and prepared[0]["o"]["prepare"] is True
        assert len(end) == 1 and end[0]["o"]["commitTransaction"] == 1
        assert prepared[0]["ts"] <= end[0]["o"]["commitTimestamp"] < end[0]["ts"]
        ends.append(end[0])
    assert ends[0]["o"]["commitTimestamp"] == ends[1]["o"]["commitTimestamp"]


def test_abort_leaves_nothing(cluster, client, bank):
    with client.start_session() as session:
        session.start_transaction()
        bank.insert_many([{"_id": "a", "k": 5}, {"_id": "b", "k": 995}], session=session)
        assert bank.count_documents({"_id": {"$in": ["a", "b"]}}, session=session) == 2
        session.abort_transaction()
    assert bank.count_documents({}) == 3 and sum(direct_counts(cluster, bank)) == 3


def test_an_error_in_a_transaction_undoes_all_shards(client, bank):
    with client.start_session() as session:
        with pytest.raises(PyMongoError), session.start_transaction():
            bank.update_one({"k": 999}, {"$inc": {"n": 1}}, session=session)
            bank.insert_one({"_id": 0, "k": 0}, session=session)  # there already
    assert bank.find_one({"k": 999})["n"] == 100


def test_one_shard_commits_without_preparing(cluster, client, bank):
    with client.start_session() as session, session.start_transaction():
        bank.update_one({"k": 0}, {"$inc": {"n": -5}}, session=session)
        bank.update_one({"k": 1}, {"$inc": {"n": 5}}, session=session)
        bank.find_one({"k": 999}, session=session)  # reads another shard
    entries = [e for s in cluster.shards for e in oplog(s, {"o.applyOps.ns": bank.full_name})]
    assert len(entries) == 1 and "prepare" not in entries[0]["o"]


def test_conflict_is_transient_and_with_transaction_gets_through(client, bank):
    with client.start_session() as first, client.start_session() as second:
        first.start_transaction()
        bank.update_one({"k": 0}, {"$inc": {"n": 1}}, session=first)
        second.start_transaction()
        with pytest.raises(OperationFailure) as conflict:
            bank.update_one({"k": 0}, {"$inc": {"n": 1}}, session=second)
        assert conflict.value.has_error_label("TransientTransactionError")
        second.abort_transaction()
        first.commit_transaction()
        second.with_transaction(
            lambda session: (
                bank.update_one({"k": 0}, {"$inc": {"n": 1}}, session=session),
                bank.update_one({"k": 999}, {"$inc": {"n": -2}}, session=session),
            )
        )
    assert [a["n"] for a in bank.find().sort("k", 1)] == [102, 100, 98]


def test_commit_may_be_repeated(client, bank):
    with client.start_session() as session:
        session.start_transaction()
        bank.update_one({"k": 0}, {"$inc": {"n": 1}}, session=session)
        bank.update_one({"k": 999}, {"$inc": {"n": 1}}, session=session)
        session.commit_transaction()
        session.commit_transaction()
    assert sum(a["n"] for a in bank.find()) == 302


def test_a_transaction_reads_one_snapshot_of_both_shards(client, bank):
    with client.start_session() as session:
        session.start_transaction(read_concern=ReadConcern("snapshot"))
        assert bank.find_one({"k": 0}, session=session)["n"] == 100
        bank.update_many({}, {"$inc": {"n": 1}})
        # This shard is first touched now, and yet seen as of the start.
        assert bank.find_one({"k": 999}, session=session)["n"] == 100
        assert sum(a["n"] for a in bank.find(session=session)) == 300
        session.commit_transaction()
    assert sum(a["n"] for a in bank.find()) == 303


def test_snapshot_read_outside_of_transactions(client, bank):
    with client.start_session(snapshot=True) as session:
        assert sum(a["n"] for a in bank.find(session=session)) == 300
        bank.update_many({}, {"$inc": {"n": 1}})
        assert sum(a["n"] for a in bank.find(session=session)) == 300


def test_cursor_and_aggregate_in_a_transaction(client, bank):
    bank.insert_many([{"k": k, "n": 1} for k in range(300, 700)])
    with client.start_session() as session, session.start_transaction():
        bank.update_one({"k": 300}, {"$set": {"n": 2}}, session=session)
        found = bank.find({"n": {"$lt": 50}}, session=session, batch_size=11).sort("k", 1)
        assert [d["k"] for d in found] == list(range(300, 700))
        group = [{"$group": {"_id": "$n", "c": {"$sum": 1}}}, {"$sort": {"_id": 1}}]
        rows = list(bank.aggregate(group, session=session))
        assert rows == [{"_id": 1, "c": 399}, {"_id": 2, "c": 1}, {"_id": 100, "c": 3}]


def test_retried_statements_take_place_once(cluster, bank):
    """The same lsid and txnNumber again, as a driver does after a lost connection."""
    command = {
        "update": bank.name,
        "updates": [{"q": {"k": k}, "u": {"$inc": {"n": 1}}} for k in (0, 999, 1)],
        "lsid": {"id": Binary.from_uuid(uuid.uuid4())},
        "txnNumber": Int64(7),
        "ordered": False,
        "$db": bank.database.name,
    }
    for _ in range(3):
        assert ask(cluster.router.port, bank.database.name, command)["n"] == 3
    assert [a["n"] for a in bank.find().sort("k", 1)] == [101, 101, 101]


def test_operation_time_never_goes_back_over_shards(client, bank):
    """Without gossip each shard would tell its own time."""
    last = Timestamp(0, 1)
    for i in range(60):
        k = (0, 999)[i % 2]
        reply = bank.database.command(
            {"update": bank.name, "updates": [{"q": {"k": k}, "u": {"$inc": {"n": 1}}}]}
        )
        assert reply["operationTime"] > last
        assert reply["$clusterTime"]["clusterTime"] >= reply["operationTime"]
        last = reply["operationTime"]


def test_causal_order_is_the_order_of_oplog_times(cluster, client, bank):
    """What happened later by any client has a later time, on whichever shard."""
    for i in range(20):
        bank.update_one({"k": (0, 999)[i % 2]}, {"$set": {"step": i}})
    entries = [
        entry
        for shard in cluster.shards
        for entry in oplog(shard, {"ns": bank.full_name, "o.diff.i.step": {"$exists": True}})
        + oplog(shard, {"ns": bank.full_name, "o.diff.u.step": {"$exists": True}})
    ]
    entries.sort(key=lambda entry: entry["ts"])
    steps = [list(entry["o"]["diff"].values())[-1]["step"] for entry in entries]
    assert steps == list(range(20))
