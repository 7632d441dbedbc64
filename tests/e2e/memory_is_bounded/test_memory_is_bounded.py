# SPDX-License-Identifier: Apache-2.0
"""What mongotwin takes of the machine stays below memory_limit, however large the documents are and whoever is faster."""

from __future__ import annotations

import random

import pytest
from cluster import ReplicaSet

IDS = 20
WRITES = 60
DOCUMENT_BYTES_MAX = 16 * 1024 * 1024


def _peak_bytes(twin) -> int:
    with open(f"/proc/{twin.pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))


@pytest.fixture
def roomy(make_pair, base_dir):
    """In the small cache of the shared sets a server does not get on with documents of this size by itself."""
    with ReplicaSet(name="large", base_dir=base_dir / "large", cache_gb=1, oplog_mb=512) as source, ReplicaSet(name="copy", base_dir=base_dir / "copy", cache_gb=1) as target:
        pair = make_pair(source, target)
        yield pair
        pair.close()


def _write_large(docs, seed: int) -> None:
    """Inserts, replacements, removes and small changes of documents that are as large as documents may be."""
    there = {doc["_id"] for doc in docs.find({}, {"_id": 1})}
    noise = random.Random(seed)
    pool = noise.randbytes(DOCUMENT_BYTES_MAX)
    for n in range(WRITES):
        key = n % IDS
        document = {"_id": key, "n": n, "bytes": pool[: DOCUMENT_BYTES_MAX - 300 - noise.randrange(1_000_000)]}
        if key in there and n % 7 == 0:
            docs.delete_one({"_id": key})
            there.remove(key)
        else:
            docs.replace_one({"_id": key}, document, upsert=True)
            there.add(key)
        docs.update_many({"_id": {"$lt": 5}}, {"$inc": {"touched": 1}})


@pytest.mark.parametrize("limit, bytes_max", [("512MB", 512_000_000), ("320MB", 320_000_000)])
def test_following_the_largest_documents(roomy, limit, bytes_max):
    roomy.load(500)
    twin = roomy.twin(memory_limit=limit).start()
    twin.wait_for_state("replicating")
    docs = roomy.source_client.large.docs
    twin.command("throttle", {"operations_per_second": 0})
    _write_large(docs, seed=1)  # what waits for the target is on the disk
    twin.command("throttle", {"operations_per_second": None})
    twin.wait_caught_up(roomy.source_client, timeout=300)
    behind = _peak_bytes(twin)
    _write_large(docs, seed=2)
    twin.wait_caught_up(roomy.source_client, timeout=300)
    peak = _peak_bytes(twin)
    print(f"peak {behind / 1e6:.0f} MB, then {peak / 1e6:.0f} MB, of {limit}")
    assert peak < bytes_max, f"{behind / 1e6:.0f} MB when it was behind, then {peak / 1e6:.0f} MB"
    roomy.finish_and_compare(twin)


@pytest.mark.parametrize("reading, copiers, limit, bytes_max", [("id", 4, "512MB", 512_000_000), ("natural", 16, "320MB", 320_000_000)])
def test_copying_the_largest_documents(roomy, reading, copiers, limit, bytes_max):
    pool = random.Random(3).randbytes(DOCUMENT_BYTES_MAX)
    for n in range(40):
        roomy.source_client.large.docs.insert_one({"_id": n, "bytes": pool[: DOCUMENT_BYTES_MAX - 300 - n]})
    twin = roomy.twin(memory_limit=limit, reading=reading, copiers=copiers).start()
    twin.wait_for_state("replicating", timeout=300)
    peak = _peak_bytes(twin)
    print(f"peak {peak / 1e6:.0f} MB of {limit}")
    assert peak < bytes_max
    twin.finish()
    roomy.assert_identical()


def test_a_transaction_larger_than_its_share(make_pair, base_dir):
    """A transaction is held until it commits; beyond its share of memory it waits on the disk, and is applied part by part."""
    # The source's cache holds the transaction and its entries far below the share of dirty pages at which a slow disk makes it roll back.
    with ReplicaSet(name="large", base_dir=base_dir / "large", cache_gb=4, oplog_mb=2048) as source, ReplicaSet(name="copy", base_dir=base_dir / "copy", cache_gb=1) as target:
        pair = make_pair(source, target)
        pair.load(500)
        twin = pair.twin(memory_limit="128MB").start()
        twin.wait_for_state("replicating")
        docs = pair.source_client.large.docs
        pair.source_client.large.create_collection("docs")
        before = _peak_bytes(twin)
        pool = random.Random(5).randbytes(1_100_000)
        with pair.source_client.start_session() as session, session.start_transaction():
            for n in range(180):
                docs.insert_one({"_id": n, "bytes": pool[n : n + 1_000_000]}, session=session)
        twin.wait_caught_up(pair.source_client, timeout=300)
        peak = _peak_bytes(twin)
        # Its parts are entries of 16 MB, of which some are in work at a time.
        print(f"peak {before / 1e6:.0f} MB before, {peak / 1e6:.0f} MB with a transaction of 180 MB")
        assert peak - before < 150_000_000
        pair.finish_and_compare(twin)
        pair.close()
