# SPDX-License-Identifier: Apache-2.0
"""kill -9 in the initial copy: the next run copies the ranges that are left, and no others."""

from __future__ import annotations

import os
from random import Random

import pytest
from e2e.copying import HELD, THROTTLE_OFF

DOCUMENTS = 60_000
KILLS = 20


def _kill_in_copy(twin):
    twin.start()
    twin.wait_until(lambda s: s["state"] == "copying" and s["copy"]["documents_done"] > 0, "the copy is under way")
    twin.kill()


def test_half_a_copy_is_not_taken_for_a_whole_one(replica_sets):
    """What was copied and is gone from the source since then must not survive; documents and collections come anew."""
    replica_sets.load(DOCUMENTS)
    twin = replica_sets.twin(copiers=1)
    _kill_in_copy(twin)
    partial = sum(c.estimated_document_count() for c in _collections(replica_sets.target_client))
    assert 0 < partial < DOCUMENTS, "the kill came too late to prove anything"
    source = replica_sets.source_client["shop"]
    source["orders"].delete_many({"_id": {"$lt": DOCUMENTS // 4}})
    source["products"].drop()
    source["stores"].rename("shops")
    twin.start()
    replica_sets.finish_and_compare(twin)


def _collections(client):
    for database in ("shop", "crm", "logs"):
        for name in client[database].list_collection_names(filter={"type": "collection"}):
            if not name.startswith("system."):
                yield client[database][name]


def _fill(client, documents=16_000):
    """Enough for more than a dozen ranges."""
    pad = os.urandom(8000)
    for first in range(0, documents, 1000):
        client.big.blobs.insert_many([{"_id": n, "n": n, "pad": pad} for n in range(first, first + 1000)])
    client.big.blobs.create_index("n", unique=True)
    client.big.create_collection("capped", capped=True, size=1 << 24)
    client.big.capped.insert_many([{"_id": n * 7919 % 3001, "pad": pad[:1000]} for n in range(3000)])


def _done(status):
    return status["copy"]["ranges_done"] if status["copy"]["ranges_total"] else -1


@pytest.mark.parametrize("pair_name, kills", [("replica_sets", KILLS), ("sharded_clusters", KILLS // 3)])
def test_killed_again_and_again_under_load(request, pair_name, kills):
    pair = request.getfixturevalue(pair_name)
    rng = Random(kills)
    pair.load()
    _fill(pair.source_client)
    writer = pair.write(rate=100)
    twin = pair.twin(copiers=2, throttle={"copy": "0"})
    done = 0
    for kill in range(kills):
        twin.start()
        begun = twin.wait_until(lambda s: _done(s) >= 0 or s["state"] == "catching_up", "the copy goes on")
        twin.command("throttle", {"copy_bytes_per_second": 5_000_000})
        assert begun["state"] == "copying", f"the copy ended before it was killed {kill + 1} times"
        assert _done(begun) >= done, "a range that was whole is copied again"
        # The large ranges come first, and what is left behind them is copied in a moment: some of them are kept for the end.
        of_bytes = begun["copy"]["bytes_done"] / begun["copy"]["bytes_total"]
        documents = begun["copy"]["documents_done"] + rng.randrange(600)
        wanted = done + 1 if of_bytes < 0.8 * kill / kills else done
        seen = twin.wait_until(lambda s: s["copy"]["documents_done"] >= documents or _done(s) > wanted, "some of it is copied")
        seen = twin.wait_until(lambda s: _done(s) >= wanted, "enough of it is copied")
        twin.command("throttle", HELD)
        twin.kill()
        done = _done(seen)
    twin.start()
    twin.wait_until(lambda s: _done(s) >= 0, "the copy goes on")
    twin.command("throttle", THROTTLE_OFF)
    twin.wait_for_state("replicating")
    assert twin.log().count("going on with a copy that was interrupted") == kills
    assert twin.log().count("copying 1") + twin.log().count("copying 2") == 1, "it began again from zero"
    pair.finish_and_compare(twin, writer)


def test_killed_copy_of_sharded_clusters(sharded_clusters):
    sharded_clusters.load(30_000)
    twin = sharded_clusters.twin(copiers=1)
    _kill_in_copy(twin)
    sharded_clusters.source_client["shop"]["orders"].delete_many({"customer_id": {"$lt": 500}})
    twin.start()
    sharded_clusters.finish_and_compare(twin)
