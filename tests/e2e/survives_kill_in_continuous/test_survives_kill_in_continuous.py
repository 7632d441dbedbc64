# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

KILLS = 4


@pytest.mark.parametrize("pair_name", ["replica_sets", "sharded_clusters"])
def test_nothing_is_lost_or_doubled(request, pair_name):
    """kill -9 again and again while it applies; the load goes on, also while it is down."""
    pair = request.getfixturevalue(pair_name)
    pair.load()
    twin = pair.twin().start()
    twin.wait_for_state("replicating")
    writer = pair.write()
    for _ in range(KILLS):
        twin.wait_for_applied(150)
        twin.kill()
        writer.wait_for(100)
        twin.start()
        twin.wait_for_state("replicating")
    pair.finish_and_compare(twin, writer)


def test_it_goes_on_and_does_not_copy_again(replica_sets):
    """A mark that only the target has stays: a second copy would have removed it, or refused to start."""
    replica_sets.load()
    twin = replica_sets.twin(on_existing_target="drop").start()
    twin.wait_for_state("replicating")
    marked = replica_sets.target_client["shop"]["stores"]
    marked.insert_one({"_id": "mark"})
    twin.kill()
    twin.start()
    twin.wait_for_state("replicating")
    twin.wait_caught_up(replica_sets.source_client)
    assert marked.delete_one({"_id": "mark"}).deleted_count == 1
    replica_sets.finish_and_compare(twin)
