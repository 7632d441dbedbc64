# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import datetime

from e2e.pair import DOCUMENTS, copy_and_follow

import shop

HELD_BACK_S = 2147483647


def test_everything_is_copied_and_followed(replica_sets):
    result = copy_and_follow(replica_sets)
    assert result.documents > DOCUMENTS * 0.9
    assert result.views >= 2


def test_data_at_rest_is_copied(replica_sets):
    replica_sets.load()
    twin = replica_sets.twin().start()
    replica_sets.finish_and_compare(twin)


def test_empty_source_is_followed_from_nothing(replica_sets):
    """Databases and collections that appear only after the copy."""
    twin = replica_sets.twin().start()
    twin.wait_for_state("replicating")
    replica_sets.load()
    replica_sets.finish_and_compare(twin)


def test_backlog_of_unlimited_writes_is_drained(replica_sets):
    replica_sets.load()
    twin = replica_sets.twin().start()
    twin.wait_for_state("replicating")
    writer = replica_sets.write(rate=None, ddl=5)
    writer.wait_for(8000)
    replica_sets.finish_and_compare(twin, writer)


def test_ttl_is_held_back_until_the_end(replica_sets):
    """The source alone expires documents; the target gets its deletions, and its own TTL back at the end."""
    source, target = (client["ttl"]["short"] for client in (replica_sets.source_client, replica_sets.target_client))
    source.create_index("at", name="soon", expireAfterSeconds=3600)
    now = datetime.datetime.now(datetime.timezone.utc)
    source.insert_many([{"_id": n, "at": now} for n in range(100)])
    twin = replica_sets.twin().start()
    twin.wait_for_state("replicating")
    assert target.index_information()["soon"]["expireAfterSeconds"] == HELD_BACK_S
    assert target.count_documents({}) == 100
    twin.finish()
    assert target.index_information()["soon"]["expireAfterSeconds"] == 3600
    replica_sets.assert_identical()


def test_status_tells_what_it_does(replica_sets):
    replica_sets.load()
    twin = replica_sets.twin(link="status").start()
    twin.wait_for_state("replicating")
    writer = replica_sets.write(ddl=0)
    writer.wait_for(300)
    writer.stop()
    status = twin.wait_caught_up(replica_sets.source_client)
    assert (status["link"], status["error"]) == ("status", None)
    assert set(status) >= {"state", "source", "target", "lag_ms", "positions", "copy", "ops", "warnings"}
    copy, ops = status["copy"], status["ops"]
    assert copy["documents_done"] >= DOCUMENTS * 0.9
    assert copy["ranges_done"] == copy["ranges_total"] > 0
    assert ops["read"] > 0 and sum(ops["by_kind"].values()) > 0
    for position in status["positions"].values():
        order = [(position[name]["t"], position[name]["i"]) for name in ("checkpointed", "applied", "planned", "read")]
        assert order == sorted(order)
    assert shop.total_balance(replica_sets.source_client) == shop.total_balance(replica_sets.target_client)
