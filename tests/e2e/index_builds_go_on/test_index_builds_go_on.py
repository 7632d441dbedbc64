# SPDX-License-Identifier: Apache-2.0
"""Index builds of the source that begin at one time and end at another."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import Any, Iterator

import pytest
from e2e.failpoint import failpoint
from pymongo import IndexModel

INDEXES = [IndexModel([("n", 1)], name="n", unique=True), IndexModel([("word", "text")], name="word")]


@contextmanager
def _building(pair: Any, expect_failure: bool = False) -> Iterator[Any]:
    """A build on the source that has begun; it ends with the block."""
    things = pair.source_client["builds"]["things"]
    errors: list[Exception] = []

    def build() -> None:
        try:
            things.create_indexes(INDEXES)
        except Exception as error:
            errors.append(error)

    builder = threading.Thread(target=build)
    with failpoint(pair.source_client, "hangAfterStartingIndexBuild") as begun:
        builder.start()
        try:
            begun.wait_entered()
            yield things
        finally:
            begun.off()
            builder.join()
    assert bool(errors) == expect_failure, errors


def _load(pair: Any) -> Any:
    things = pair.source_client["builds"]["things"]
    things.insert_many([{"_id": n, "n": n, "word": f"word {n}"} for n in range(500)])
    return things


@pytest.mark.parametrize("aborted", [False, True], ids=["committed", "aborted"])
def test_across_a_kill(replica_sets, aborted):
    _load(replica_sets)
    twin = replica_sets.twin().start()
    twin.wait_for_state("replicating")
    with _building(replica_sets, expect_failure=aborted) as things:
        things.insert_one({"_id": "while it builds", "n": 7 if aborted else 1000, "word": "more"})
        things.update_one({"_id": 1}, {"$set": {"n": 2000}})
        twin.wait_caught_up(replica_sets.source_client)
        twin.kill()
        twin.start()
        twin.wait_for_state("replicating")
        things.update_one({"_id": 2}, {"$set": {"n": 1}})
    things.insert_one({"_id": "after", "n": 3000})
    twin.finish()
    replica_sets.assert_identical()


@pytest.mark.parametrize("aborted", [False, True], ids=["committed", "aborted"])
def test_begun_before_the_copy_and_ended_after_it(replica_sets, aborted):
    _load(replica_sets)
    with _building(replica_sets, expect_failure=aborted) as things:
        twin = replica_sets.twin().start()
        twin.wait_for_state("replicating")
        things.insert_one({"_id": "while it builds", "n": 7 if aborted else 1000, "word": "more"})
    twin.finish()
    replica_sets.assert_identical()


def test_ended_during_the_copy(replica_sets):
    things = _load(replica_sets)
    replica_sets.source_client["z_gate"]["gate"].insert_one({"_id": 1})
    twin = replica_sets.twin(copiers=1)
    with failpoint(replica_sets.source_client, "waitInFindBeforeMakingBatch", nss="z_gate.gate") as closed:
        with _building(replica_sets):
            twin.start()
            closed.wait_entered()
            things.delete_one({"_id": 5})
            things.insert_one({"_id": "takes its place", "n": 5})
        closed.off()
    twin.finish()
    replica_sets.assert_identical()
