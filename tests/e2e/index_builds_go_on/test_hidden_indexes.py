# SPDX-License-Identifier: Apache-2.0
"""Hidden indexes are visible on the target until it is finished, listed in the status, and hidden then."""

from __future__ import annotations


def _hidden(client):
    return {name for name, index in client.db.c.index_information().items() if index.get("hidden")}


def _listed(status):
    return {w.split()[6] for w in status["warnings"] if w.startswith("held back until finish: that index")}


def test_until_it_is_finished(replica_sets):
    c = replica_sets.source_client.db.c
    c.insert_many([{"_id": n, "a": n} for n in range(100)])
    for name in ("copied", "shown later", "dropped"):
        c.create_index([("a", 1), (name, 1)], name=name, hidden=True)
    c.create_index("late", name="late", expireAfterSeconds=10**8)
    twin = replica_sets.twin().start()
    twin.wait_for_state("replicating")
    assert not _hidden(replica_sets.target_client)
    c.create_index("live", name="live", hidden=True, unique=True, sparse=True)
    c.database.command("collMod", "c", index={"name": "late", "hidden": True, "expireAfterSeconds": 10**8 + 1})
    c.database.command("collMod", "c", index={"name": "shown later", "hidden": False})
    c.drop_index("dropped")
    twin.wait_caught_up(replica_sets.source_client)
    assert not _hidden(replica_sets.target_client)
    twin.kill()
    twin.start()
    assert _listed(twin.wait_for_state("replicating")) == {"copied", "late", "live"}
    twin.finish()
    assert _hidden(replica_sets.target_client) == {"copied", "late", "live"} == _hidden(replica_sets.source_client)
    replica_sets.assert_identical()
