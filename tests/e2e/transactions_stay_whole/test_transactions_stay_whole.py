# SPDX-License-Identifier: Apache-2.0
"""Transactions of every size and shape, open at every moment that could hurt: they arrive whole, or not at all."""

from __future__ import annotations

import random

import pytest
from bson import Int64, MinKey
from e2e.prepared import Prepared, delete, insert, update

KILO, MEGA = 1 << 10, 1 << 20
ROWS = 200  # in bank.rows: those below 100 are on the first shard, the others on the second


@pytest.fixture
def rows(sharded_clusters):
    """A pair with bank.rows on both shards of the source, half and half."""
    pair = sharded_clusters
    first, second = pair.source.shards
    pair.source.admin("enableSharding", "bank", primaryShard=first.name)
    pair.source.shard_collection("bank.rows", {"_id": 1})
    pair.source.split("bank.rows", {"_id": 100})
    pair.source.move_chunk("bank.rows", {"_id": 100}, to=second)
    pair.source.move_chunk("bank.rows", {"_id": MinKey()}, to=first)
    pair.source_client.bank.rows.insert_many([{"_id": n, "n": 0} for n in range(ROWS)])
    return pair


@pytest.fixture
def prepared(rows):
    """prepared(shards, n): a prepared transaction that has touched row n of the first shard, 100+n of the second."""
    held = []

    def make(n: int, shards=None, prepare: bool = True) -> Prepared:
        transaction = Prepared(*(shards or rows.source.shards))
        held.append(transaction)
        for shard in transaction.shards:
            row = n + 100 * rows.source.shards.index(shard)
            transaction.write(shard, "bank", update("rows", {"_id": row}, {"$inc": {"n": 1}, "$set": {"z": n, "a": n}}))
            transaction.write(shard, "bank", insert("rows", {"_id": row + 0.5, "by": n}))
            transaction.write(shard, "bank", delete("rows", {"_id": row + 50}))
        return transaction.prepare() if prepare else transaction

    yield make
    for transaction in held:
        transaction.close()


def _touched(client, n):
    """By how many of its six writes a transaction of `prepared` shows."""
    seen = client.bank.rows.count_documents({"_id": {"$in": [n + 0.5, 100.5 + n]}})
    seen += client.bank.rows.count_documents({"_id": {"$in": [n, 100 + n]}, "z": n})
    return seen + 2 - client.bank.rows.count_documents({"_id": {"$in": [n + 50, n + 150]}})


def _following(pair, **config):
    twin = pair.twin(**config).start()
    twin.wait_for_state("replicating")
    return twin


def _finish(pair, twin):
    twin.finish()
    return pair.assert_identical()


# ---- size


@pytest.mark.since(6, 0)  # 5.0 refuses a transaction that large with a cache as small as here
def test_chain_over_16_mb_on_one_server(replica_sets):
    client = replica_sets.source_client
    client.bank.rows.insert_many([{"_id": n} for n in range(50)])
    twin = _following(replica_sets)

    def body(session):  # not much more: the test bed's servers have a small cache
        for n in range(18):
            client.bank.rows.insert_one({"_id": 1000 + n, "text": chr(97 + n) * MEGA}, session=session)
            client.bank.rows.update_one({"_id": n}, {"$set": {"text": "u" * KILO, "b": 1, "a": 2}}, session=session)
        client.bank.rows.delete_many({"_id": {"$gte": 40, "$lt": 50}}, session=session)

    with client.start_session() as session:
        session.with_transaction(body)
    assert _entries_of_last_transaction(client) > 1
    _finish(replica_sets, twin)


def test_chain_over_16_mb_on_two_shards(rows):
    client = rows.source_client
    twin = _following(rows)

    def body(session):
        for n in range(36):
            low = n % 2 * 100
            client.bank.rows.insert_one({"_id": low + n + 0.25, "text": "x" * MEGA}, session=session)
            client.bank.rows.update_one({"_id": low + n}, {"$inc": {"n": 1}}, session=session)

    with client.start_session() as session:
        session.with_transaction(body)
    for shard in rows.source.shards:
        with shard.client() as direct:
            assert _entries_of_last_transaction(direct) > 1
    _finish(rows, twin)


def _entries_of_last_transaction(client):
    """The length of the longest chain of applyOps in the oplog."""
    pipeline = [{"$match": {"op": "c", "o.applyOps": {"$exists": True}}}, {"$group": {"_id": ["$lsid", "$txnNumber"], "n": {"$sum": 1}}}]
    return max(row["n"] for row in client.local["oplog.rs"].aggregate(pipeline))


def test_hundreds_at_once(rows, prepared):
    """Opened in one order, ended in another, a third of them aborted, with a kill among them."""
    dice = random.Random(7)
    twin = _following(rows)
    open_ones = [_one_row_each(rows, n) for n in range(ROWS // 2)] + [_insert_each(rows, n) for n in range(100)]
    dice.shuffle(open_ones)
    for count, transaction in enumerate(open_ones):
        if count == len(open_ones) // 2:
            twin.wait_shards_caught_up(rows.source)
            twin.kill()
            twin.start()
        order = dice.sample(transaction.shards, 2)
        end = transaction.abort if count % 3 == 0 else transaction.commit
        end(order[0])
        end(order[1])
        transaction.close()
    _finish(rows, twin)
    assert rows.target_client.bank.rows.count_documents({}) > ROWS


def _one_row_each(pair, n):
    transaction = Prepared(*pair.source.shards)
    for shard, row in zip(transaction.shards, (n, 100 + n)):
        transaction.write(shard, "bank", update("rows", {"_id": row}, {"$inc": {"n": 1}}))
    return transaction.prepare()


def _insert_each(pair, n):
    transaction = Prepared(*pair.source.shards)
    for shard, row in zip(transaction.shards, (n, 100 + n)):
        transaction.write(shard, "bank", insert("rows", {"_id": row + 0.75, "n": Int64(n)}))
    return transaction.prepare()


# ---- held open


@pytest.mark.parametrize("count", [1, 2], ids=["one shard", "two shards"])
def test_prepared_shows_with_its_commit_only(rows, prepared, count):
    twin = _following(rows)
    transaction = prepared(1, rows.source.shards[-count:])
    aborted = prepared(2, rows.source.shards[-count:])
    rows.source_client.bank.rows.update_many({"_id": {"$in": [20, 120]}}, {"$inc": {"n": 5}})
    twin.wait_shards_caught_up(rows.source)
    assert _touched(rows.target_client, 1) == 0, "what is only prepared is not on the target"
    assert rows.target_client.bank.rows.find_one({"_id": 120})["n"] == 5, "others do not wait for it"
    transaction.commit()
    aborted.abort()
    twin.wait_shards_caught_up(rows.source)
    assert _touched(rows.target_client, 1) == 3 * count
    assert _touched(rows.target_client, 2) == 0
    _finish(rows, twin)


def test_committed_on_one_shard_it_shows_whole(rows, prepared):
    """The second shard's commit entry comes later, here after a kill: nothing is applied a second time."""
    twin = _following(rows)
    first, second = rows.source.shards
    transaction = prepared(1)
    transaction.commit(first)
    twin.wait_until(lambda _: _touched(rows.target_client, 1) == 6, "the whole transaction on the target")
    twin.wait_shards_caught_up(rows.source)
    assert twin.stop() == 0
    twin.start()
    twin.wait_for_state("replicating")
    transaction.commit(second)
    rows.source_client.bank.rows.update_one({"_id": 101}, {"$inc": {"n": 10}})
    twin.wait_shards_caught_up(rows.source)
    twin.kill()
    twin.start()
    _finish(rows, twin)
    assert rows.target_client.bank.rows.find_one({"_id": 101})["n"] == 11


@pytest.mark.parametrize("prepare", [True, False], ids=["prepared", "not yet prepared"])
@pytest.mark.parametrize("end", ["committed after the copy", "committed during the copy", "committed on one shard before the copy", "aborted"])
def test_open_at_the_start(rows, prepared, end, prepare):
    rows.source_client.bank.filler.insert_many([{"_id": n, "text": "f" * KILO} for n in range(4000)])
    transaction = prepared(1, prepare=prepare)
    twin = rows.twin(copiers=1)
    if end == "committed on one shard before the copy":
        if not prepare:
            transaction.prepare()
        transaction.commit(rows.source.shards[0])
        twin.start()
        twin.wait_for_state("catching_up")
        transaction.commit(rows.source.shards[1])
        _finish(rows, twin)
        return
    twin.start()
    if end == "committed during the copy":
        twin.wait_for_state("copying", "catching_up", "replicating")
    else:
        # For all that it knows, the copy may have the prepared one in part: it does not claim to be a state of the source.
        twin.wait_for_state("catching_up" if prepare else "replicating")
        twin.wait_shards_caught_up(rows.source)
        assert twin.state == ("catching_up" if prepare else "replicating")
        assert _touched(rows.target_client, 1) == 0
    if not prepare:
        transaction.prepare()
    transaction.abort() if end == "aborted" else transaction.commit()
    _finish(rows, twin)
    assert _touched(rows.target_client, 1) == (0 if end == "aborted" else 6)


@pytest.mark.parametrize("how", ["stop", "kill"])
@pytest.mark.parametrize("count", [1, 2], ids=["one shard", "two shards"])
def test_open_across_a_restart(rows, prepared, how, count):
    """One is committed while mongotwin is down, one after it; both were prepared long before the newest checkpoint."""
    twin = _following(rows)
    shards = rows.source.shards[:count]
    early, late, never = prepared(1, shards), prepared(2, shards), prepared(3, shards)
    for n in range(3):  # checkpoints pass over them
        rows.source_client.bank.rows.update_many({"_id": {"$in": [20, 120]}}, {"$inc": {"n": 1}})
        applied = min(_at(p["applied"]) for p in twin.wait_shards_caught_up(rows.source)["positions"].values())
        twin.wait_until(lambda status: _checkpointed(status) >= applied, "a checkpoint behind the prepared ones")
    getattr(twin, how)()
    early.commit()
    twin.start()
    twin.wait_for_state("replicating")
    twin.wait_shards_caught_up(rows.source)
    assert _touched(rows.target_client, 1) == 3 * count
    assert _touched(rows.target_client, 2) == 0
    getattr(twin, how)()
    twin.start()
    late.commit()
    never.abort()
    _finish(rows, twin)
    assert [_touched(rows.target_client, n) for n in (1, 2, 3)] == [3 * count, 3 * count, 0]


def _checkpointed(status):
    return min(_at(p["checkpointed"]) for p in status["positions"].values())


def _at(position):
    return position["t"], position["i"]
