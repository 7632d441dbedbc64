# SPDX-License-Identifier: Apache-2.0
"""kill -9 in each step of a failover and of a rejoin: asked for again, it ends as if nothing had happened."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pymongo import MongoClient

from e2e.application import uri_of
from e2e.failpoint import Failpoint
from e2e.roles import expiry_of_sessions, kill_in, survivors
from e2e.twin import mongotwin

pytestmark = pytest.mark.since(6, 0)


def _assert_taken_over(pair, app):
    """Failed over, with every write that it should have, and open."""
    document = pair.target_client.mongotwin.checkpoints.find_one({"_id": "twin"})
    assert document["phase"] == "failed_over"
    app.assert_all_there(pair.target_client, survivors(app, document["handover"]["up_to"].time))
    with MongoClient(uri_of(pair.target)) as as_user:
        as_user.app.log.insert_one({"_id": "after the failover"})


_FAILOVER = {
    "closing the target": ({"failCommands": ["setUserWriteBlockMode"]}, 0),
    "applying what was read": ({"failCommands": ["insert", "update", "delete"]}, 0),
    "restoring": ({"failCommands": ["collMod"]}, 0),
    "deciding": ({"failCommands": ["listCollections"]}, 0),
    "opening": ({"failCommands": ["setUserWriteBlockMode"]}, 1),
}


@pytest.mark.parametrize("step", _FAILOVER)
def test_a_failover_is_killed(mortal_sets, application, step):
    pair = mortal_sets
    pair.load(300)
    app = application(pair)
    twin = pair.twin().start()
    twin.wait_for_state("replicating")
    twin.command("throttle", {"lanes": 0})  # it reads on, and applies nothing
    read = twin.status()["ops"]["read"]
    app.wait_for(50)
    twin.wait_until(lambda s: s["ops"]["read"] > read + 50, "the journal has it")
    pair.source.kill()
    app.stop()
    command, passing = _FAILOVER[step]
    kill_in(twin, pair.target_client, "failover", step, command, passing)
    done = mongotwin("failover", "--config", twin.config_path)
    assert done.returncode == 0, done.stderr
    assert "what it wrote later is lost" in done.stdout or "has failed over already" in done.stdout
    held = expiry_of_sessions(pair.target_client)
    assert held == 3600, "what was held is given back"
    _assert_taken_over(pair, app)


def test_the_source_dies_in_the_middle_of_a_switch_over(mortal_sets, application):
    """It can't be put back without it, and says what helps."""
    pair = mortal_sets
    pair.load(300)
    app = application(pair)
    twin = pair.twin(switchover={"closed_max": 5}).start()
    twin.wait_for_state("replicating")
    app.wait_for(50)
    hang = {"failCommands": ["appendOplogNote"], "blockConnection": True, "blockTimeMS": 60_000, "appName": "mongotwin"}
    Failpoint(pair.source_client, "failCommand", hang)  # ends with the source
    twin.command("switchover")
    twin.wait_until(lambda s: s["handover"] and s["handover"]["step"] == "draining", "both are closed")
    pair.source.kill()
    app.stop()
    twin.wait_until(lambda s: s["handover"]["step"] == "putting back", "it tries to put everything back")
    refused = mongotwin("failover", "--api", twin.api)
    assert refused.returncode == 1
    assert "a switchover is under way: putting back" in refused.stderr and "mongotwin failover --config" in refused.stderr, refused.stderr
    assert twin.stop() == 0
    done = mongotwin("failover", "--config", twin.config_path)
    assert done.returncode == 0, done.stderr
    _assert_taken_over(pair, app)


_CUSTOMERS = "beyond.customers"
_REJOIN = {
    "closing the old source": ({"failCommands": ["setUserWriteBlockMode"]}, 0),
    "looking for what it wrote beyond the cut": ({"failCommands": ["find"], "namespace": "local.oplog.rs"}, 0),
    "saving what it wrote beyond the cut": ({"failCommands": ["find"], "namespace": _CUSTOMERS}, 0),
    "bringing back what it wrote beyond the cut": ({"failCommands": ["delete"], "namespace": _CUSTOMERS}, 1),
    "changing the roles": ({"failCommands": ["update"], "namespace": "mongotwin.checkpoints"}, 0),
}


@pytest.mark.parametrize("step", _REJOIN)
def test_a_rejoin_is_killed(mortal_sets, step):
    pair = mortal_sets
    pair.load(300)
    customers = pair.source_client.beyond.customers
    customers.create_index("email", unique=True)
    customers.insert_many([{"_id": n, "email": f"c{n}@x"} for n in range(50)])
    twin = pair.twin().start()
    twin.wait_for_state("replicating")
    twin.wait_caught_up(pair.source_client)
    twin.kill()
    customers.update_many({"_id": {"$lt": 5}}, {"$set": {"beyond": True}})
    customers.delete_one({"_id": 9})
    customers.insert_one({"_id": "beyond", "email": "b@x"})
    pair.source.kill()
    assert mongotwin("failover", "--config", twin.config_path).returncode == 0
    pair.target_client.beyond.customers.update_one({"_id": 0}, {"$set": {"since": "failover"}})
    pair.target_client.beyond.customers.delete_one({"_id": 1})
    pair.source.start()
    twin.start()
    twin.wait_for_state("failed_over")
    command, passing = _REJOIN[step]
    kill_in(twin, pair.source_client, "rejoin", step, command, passing)
    twin.start()
    # What was decided before the kill is decided.
    if twin.wait_for_state("failed_over", "replicating")["state"] == "failed_over":
        done = mongotwin("rejoin", "--config", twin.config_path)
        assert done.returncode == 0, done.stderr
    files = sorted(Path(twin.config_path).parent.glob("twin.beyond-the-cut.*.json"))
    by_file = [[json.loads(line) for line in file.read_text().splitlines()] for file in files]
    saved = {str(line["_id"]): line["document"] for lines in reversed(by_file) for line in lines if line["ns"] == _CUSTOMERS}
    assert len(saved) == 7 and saved["beyond"]["email"] == "b@x", saved
    assert sum(1 for document in saved.values() if document and document.get("beyond")) == 5, "the first file has them as they were"
    twin.wait_for_state("replicating")
    assert twin.status()["roles_swapped"]
    twin.wait_caught_up(pair.target_client)
    twin.finish()
    pair.assert_identical()
