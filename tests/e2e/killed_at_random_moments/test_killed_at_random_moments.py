# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import random
import time

from e2e.bank import Bank, assert_balanced
from e2e.hot import HotDocuments

KILLS = 12
SEED = 11


def test_killed_again_and_again_under_everything(sharded_clusters):
    """Documents, transactions, DDL and moving chunks go on, also while mongotwin is down; a bank stays balanced."""
    pair = sharded_clusters
    pair.load(3000)
    bank = Bank(pair.source_client, threads=1).open(pair.source)
    hot = HotDocuments(pair.source_client, threads=1)
    hot.shard(pair.source)
    twin = pair.twin().start()
    twin.wait_for_state("replicating")
    writer = pair.write(rate=150, ddl=3)
    bank.start()
    hot.start()
    dice = random.Random(SEED)
    try:
        for n in range(KILLS):
            moment = time.monotonic() + dice.uniform(0, 2.5)
            if n % 3 == 0:
                pair.source.move_chunk("hot.documents", {"group": 0, "_id": 0}, to=pair.source.shards[(n // 3 + 1) % 2])
            twin.wait_until(lambda _, moment=moment: time.monotonic() >= moment, "the moment of the kill")
            twin.kill()
            twin.start()
        bank.stop()
        hot.stop()
    finally:
        bank.halt()
        hot.halt()
    pair.finish_and_compare(twin, writer)
    assert_balanced(pair.target_client)


def test_primaries_of_both_sides_are_killed_under_load(sharded_clusters):
    """The server is killed and comes back; everybody waits for it and goes on."""
    pair = sharded_clusters
    pair.load(2000)
    bank = Bank(pair.source_client, threads=2).open(pair.source)
    twin = pair.twin().start()
    twin.wait_for_state("replicating")
    bank.start()
    try:
        for shard in (pair.target.shards[0], pair.source.shards[1], pair.target.shards[1]):
            twin.wait_for_applied(40)
            (member,) = shard.members
            member.kill()
            member.start()
            shard.wait_primary()
        twin.wait_for_applied(40)
        twin.pause()
        assert_balanced(pair.target_client)
        twin.resume()
        bank.stop()
    finally:
        bank.halt()
    twin.finish()
    pair.assert_identical()
