# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import signal

import pytest


@pytest.mark.parametrize("pair_name", ["replica_sets", "sharded_clusters"])
def test_sigterm_then_start_again(request, pair_name):
    pair = request.getfixturevalue(pair_name)
    pair.load()
    twin = pair.twin().start()
    twin.wait_for_state("replicating")
    writer = pair.write()
    for _ in range(2):
        twin.wait_for_applied(150)
        assert twin.stop() == 0
        writer.wait_for(200)
        twin.start()
        twin.wait_for_state("replicating")
    pair.finish_and_compare(twin, writer)


def test_sigterm_in_the_copy_then_start_again(replica_sets):
    replica_sets.load(60_000)
    twin = replica_sets.twin(copiers=1).start()
    twin.wait_until(lambda s: s["state"] == "copying" and s["copy"]["documents_done"] > 0, "the copy is under way")
    assert twin.stop() == 0
    replica_sets.source_client["shop"]["orders"].delete_many({"_id": {"$lt": 1000}})
    twin.start()
    replica_sets.finish_and_compare(twin)


def test_finished_stays_finished(replica_sets):
    """After finish it changes nothing any more, also when it is started again."""
    replica_sets.load()
    twin = replica_sets.twin().start()
    replica_sets.finish_and_compare(twin)
    replica_sets.source_client["shop"]["carts"].insert_one({"_id": "after the end"})
    assert twin.stop() == 0
    twin.start()
    try:
        twin.wait_for_state("finished")
    except RuntimeError:
        assert twin.wait_exit() != 0, "it may refuse to go on, it may not follow again in silence"
    assert replica_sets.target_client["shop"]["carts"].count_documents({"_id": "after the end"}) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ends_at_once_when_there_is_nothing_to_do(replica_sets, number):
    replica_sets.load(1000)
    twin = replica_sets.twin().start()
    twin.wait_for_state("replicating")
    twin._program.send(number)
    assert twin.wait_exit(timeout=20) == 0
