# SPDX-License-Identifier: Apache-2.0
"""Paused at any moment, the target is a state that the source has had."""

from __future__ import annotations

import random

import pytest
from e2e.bank import Bank, assert_balanced

CUTS = 14


@pytest.fixture
def bank(sharded_clusters):
    bank = Bank(sharded_clusters.source_client).open(sharded_clusters.source)
    yield bank
    bank.halt()


def test_sum_of_a_bank_at_every_cut(sharded_clusters, bank):
    twin = sharded_clusters.twin().start()
    twin.wait_for_state("replicating")
    bank.start()
    dice = random.Random(1)
    moves = [0]
    for cut in range(CUTS):
        twin.wait_for_applied(dice.randrange(1, 120))
        twin.pause()
        moves.append(assert_balanced(sharded_clusters.target_client, cut))
        assert assert_balanced(sharded_clusters.target_client, cut) == moves[-1], "something moved while it was paused"
        twin.resume()
    assert moves == sorted(set(moves)), "every cut is a later one"
    bank.stop()
    twin.finish()
    sharded_clusters.assert_identical(sharding=True)


def test_chunks_of_the_bank_move_on_both_sides(sharded_clusters, bank):
    pair = sharded_clusters
    twin = pair.twin().start()
    twin.wait_for_state("replicating")
    bank.start()
    for cut in range(6):
        for cluster, ns, key in ((pair.source, "bank.accounts", {"_id": 30}), (pair.target, "bank.accounts", {"_id": 30})):
            cluster.move_chunk(ns, key, to=cluster.shards[cut % 2])
        twin.wait_for_applied(20)
        twin.pause()
        assert_balanced(pair.target_client, cut)
        twin.resume()
    bank.stop()
    twin.finish()
    pair.assert_identical()
