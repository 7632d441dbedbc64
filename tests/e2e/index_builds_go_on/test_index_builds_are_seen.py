# SPDX-License-Identifier: Apache-2.0
"""How far the builds of indexes on the target are: in the status while they run, and nowhere after."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from cluster import Auth, ReplicaSet
from e2e.failpoint import failpoint
from e2e.twin import mongotwin
from pymongo import IndexModel

DOCUMENTS = 500
BEGUN, SCANNED = "hangAfterSettingUpIndexBuild", "hangAfterStartingIndexBuild"


def _load(collection, *indexes):
    collection.insert_many([{"_id": n, "k": n, "n": n} for n in range(DOCUMENTS)])
    collection.create_indexes(list(indexes))


def _wait_seen(twin, *done):
    """Until the one build is one of those documents far."""
    status = twin.wait_until(lambda s: any(b["done"] in done for b in s["index_builds"]), "how far the build is")
    assert len(status["index_builds"]) == 1, status["index_builds"]
    return status, status["index_builds"][0]


@pytest.mark.parametrize("point, done", [(BEGUN, 0), (SCANNED, DOCUMENTS)])
def test_in_the_copy(replica_sets, point, done):
    _load(replica_sets.source_client.db.c, IndexModel("n", name="by n"), IndexModel([("k", 1), ("n", -1)], name="both"))
    twin = replica_sets.twin()
    with failpoint(replica_sets.target_client, point) as hang:
        twin.start()
        hang.wait_entered()
        status, build = _wait_seen(twin, done)
        assert status["state"] == "copying" and status["copy"]["indexes_done"] == 0
        assert build == {"ns": "db.c", "indexes": ["by n", "both"], "phase": "scanning the collection", "done": done, "total": DOCUMENTS}
        shown = mongotwin("status", "--api", twin.api).stdout
        assert f"building by n, both: scanning the collection, {done} of {DOCUMENTS}" in shown
    twin.finish()
    assert twin.status()["index_builds"] == []
    replica_sets.assert_identical()


def test_of_unique_indexes_at_the_first_exact_cut(replica_sets):
    _load(replica_sets.source_client.db.c, IndexModel("n", name="unique n", unique=True))
    twin = replica_sets.twin()
    with failpoint(replica_sets.target_client, BEGUN) as hang:
        twin.start()
        hang.wait_entered()
        status, build = _wait_seen(twin, 0)
        assert status["state"] == "catching_up"
        assert (build["ns"], build["indexes"], build["total"]) == ("db.c", ["unique n"], DOCUMENTS)
    twin.finish()
    replica_sets.assert_identical()


def test_on_several_shards(set_to_sharded):
    """One after the other they end; those that have yet to are summed up."""
    pair = set_to_sharded
    _load(pair.source_client.db.c, IndexModel("n", name="by n"))
    twin = pair.twin(sharding={"db.c": {"key": {"k": "hashed"}}})
    with ExitStack() as stack:
        clients = [stack.enter_context(shard.client()) for shard in pair.target.shards]
        hangs = [stack.enter_context(failpoint(client, SCANNED)) for client in clients]
        twin.start()
        for hang in hangs:
            hang.wait_entered()
        _, build = _wait_seen(twin, DOCUMENTS)
        assert (build["indexes"], build["total"]) == (["by n"], DOCUMENTS)
        hangs[0].off()
        _wait_seen(twin, DOCUMENTS - clients[0].db.c.count_documents({}))
    twin.finish()
    pair.assert_identical()


def test_not_without_the_right_to_look(make_pair, source_set, tmp_path):
    """Then it is counted, and nothing else is missing."""
    parameters = {"enableTestCommands": "1"}
    with ReplicaSet(name="guarded", base_dir=tmp_path, auth=Auth("admin", "s3cret"), set_parameters=parameters) as target:
        pair = make_pair(source_set, target)
        with target.client() as admin:
            may = ["replSetGetConfig", "replSetGetStatus", "getParameter", "listDatabases"]
            admin.admin.command("createRole", "almostMonitor", privileges=[{"resource": {"cluster": True}, "actions": may}], roles=[])
            admin.admin.command("createUser", "twin", pwd="twin", roles=["readWriteAnyDatabase", "restore", "almostMonitor"])
        _load(pair.source_client.db.c, IndexModel("n", name="by n"))
        twin = pair.twin(target=f"mongodb://twin:twin@{target.hosts}/?replicaSet={target.name}&authSource=admin")
        with failpoint(pair.target_client, SCANNED) as hang:
            twin.start()
            hang.wait_entered()
            status = twin.wait_until(lambda s: s["index_builds"] and 'lacks the right "inprog"' in twin.log(), "it says what it lacks")
            assert status["index_builds"] == [{"ns": "db.c", "indexes": ["by n"], "phase": "", "done": None, "total": None}]
        twin.finish()
        pair.assert_identical()
        pair.close()
