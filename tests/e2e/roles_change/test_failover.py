# SPDX-License-Identifier: Apache-2.0
"""The source is gone: the target takes over as a state that the source has had; later the old source follows."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from e2e.roles import survivors, switch_over
from e2e.twin import mongotwin

pytestmark = pytest.mark.since(6, 0)


def _up_to_s(handover) -> int:
    return handover["up_to"]["t"]


def _fail_over(twin, *options) -> dict:
    done = mongotwin("failover", "--config", twin.config_path, *options)
    assert done.returncode == 0, done.stderr
    assert "what it wrote later is lost" in done.stdout
    return twin.wait_for_state("failed_over")


@pytest.mark.parametrize("seed", [1, 2])
def test_everything_older_than_the_reported_moment_is_there(mortal, application, seed):
    mortal.load(1000)
    app = application(mortal)
    twin = mortal.twin().start()
    twin.wait_for_state("replicating")
    app.wait_for(150 + random.Random(seed).randrange(150))
    mortal.source.kill()
    app.stop()
    refused = twin.status()["state"]
    assert refused in ("replicating", "catching_up")
    status = _fail_over(twin)
    app.assert_all_there(mortal.target_client, survivors(app, _up_to_s(status["handover"])))
    assert all(position["applied"]["t"] for position in status["positions"].values())
    twin.stop()


def test_without_a_running_mongotwin_it_is_the_same(mortal, application):
    mortal.load(1000)
    app = application(mortal)
    twin = mortal.twin().start()
    twin.wait_for_state("replicating")
    twin.command("throttle", {"lanes": 0})  # it reads on, and applies nothing
    app.wait_for(200)
    twin.wait_until(lambda s: s["ops"]["read"] > 300, "the journal has it")
    twin.kill()
    mortal.source.kill()
    app.stop()
    done = mongotwin("failover", "--config", twin.config_path)
    assert done.returncode == 0, done.stderr + done.stdout
    document = mortal.target_client.mongotwin.checkpoints.find_one({"_id": "twin"})
    assert document["phase"] == "failed_over"
    app.assert_all_there(mortal.target_client, survivors(app, document["handover"]["up_to"].time))
    again = mongotwin("failover", "--config", twin.config_path)
    assert again.returncode == 0 and "has failed over already" in again.stdout


def test_the_old_source_follows_again_and_what_it_had_beyond_is_in_a_file(mortal, application):
    mortal.load(300)
    customers = mortal.source_client.beyond.customers
    customers.create_index("email", unique=True)
    customers.insert_many([{"_id": n, "email": f"c{n}@x"} for n in range(50)])
    app = application(mortal)
    twin = mortal.twin().start()
    twin.wait_for_state("replicating")
    app.wait_for(50)
    app.stop()
    twin.wait_caught_up(mortal.source_client)
    # What only the old source has: it goes on where mongotwin does not hear it.
    twin.kill()
    customers.update_many({"_id": {"$lt": 5}}, {"$set": {"beyond": True}})
    customers.delete_one({"_id": 9})
    customers.insert_many([{"_id": f"beyond-{n}", "email": f"b{n}@x"} for n in range(7)])
    mortal.source.kill()
    done = mongotwin("failover", "--config", twin.config_path)
    assert done.returncode == 0, done.stderr
    taken_over = mortal.target_client.beyond.customers
    taken_over.update_one({"_id": 0}, {"$set": {"since": "failover"}})
    taken_over.delete_one({"_id": 1})
    taken_over.insert_one({"_id": "since", "email": "b1@x"})
    # A unique value wanders to a document that the old source has changed too.
    taken_over.update_one({"_id": 20}, {"$set": {"email": "other@x"}})
    taken_over.update_one({"_id": 2}, {"$set": {"email": "c20@x"}})
    mortal.source.start()
    twin.start()
    status = twin.wait_for_state("failed_over")
    assert "what it wrote later is lost" in " ".join(status["handover"]["notes"])
    done = mongotwin("rejoin", "--config", twin.config_path)
    assert done.returncode == 0, done.stderr
    assert "that the old source wrote beyond the cut are in" in done.stdout, done.stdout
    files = list(Path(twin.config_path).parent.glob("twin.beyond-the-cut.*.json"))
    assert len(files) == 1
    lines = [line for line in map(json.loads, files[0].read_text().splitlines()) if line["ns"] == "beyond.customers"]
    assert len(lines) == 13  # others expired
    assert {line["_id"] for line in lines if isinstance(line["_id"], str)} == {f"beyond-{n}" for n in range(7)}
    assert sum(1 for line in lines if line["document"] and line["document"].get("beyond")) == 5
    assert [line["last"] for line in lines if line["document"] is None] == ["delete"]
    status = twin.status()
    assert status["roles_swapped"] and status["state"] == "replicating"
    twin.wait_caught_up(mortal.target_client)
    status = switch_over(twin)  # and home again
    assert not status["roles_swapped"]
    twin.finish()
    mortal.assert_identical()


def test_definitions_beyond_the_cut_need_a_new_copy_which_must_be_allowed(mortal):
    mortal.load(500)
    twin = mortal.twin().start()
    twin.wait_for_state("replicating")
    twin.wait_caught_up(mortal.source_client)
    twin.kill()
    mortal.source_client.shop.create_collection("beyond")
    mortal.source_client.shop.beyond.insert_one({"_id": 1})
    mortal.source_client.shop.beyond.rename("beyond_too")
    mortal.source.kill()
    assert mongotwin("failover", "--config", twin.config_path).returncode == 0
    mortal.source.start()
    twin.start()
    twin.wait_for_state("failed_over")
    refused = mongotwin("rejoin", "--config", twin.config_path)
    assert refused.returncode == 1
    directory = Path(twin.config_path).parent
    assert not list(directory.glob("twin.beyond-the-cut.*.json"))
    assert "new copy" in refused.stderr and "beyond" in refused.stderr and "--copy" in refused.stderr, refused.stderr
    assert twin.state == "failed_over"
    done = mongotwin("rejoin", "--copy", "--config", twin.config_path)
    assert done.returncode == 0, done.stderr
    (file,) = directory.glob("twin.beyond-the-cut.*.json")
    assert str(file) in done.stdout and "copied anew" in done.stdout, done.stdout
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert {"create": "beyond"}.items() <= next(line["command"] for line in lines if line["last"] == "command").items()
    assert [line["document"]["_id"] for line in lines if line["ns"] == "shop.beyond_too"] == [{"$numberInt": "1"}]
    twin.wait_caught_up(mortal.target_client)
    assert twin.status()["roles_swapped"]
    twin.finish()
    mortal.assert_identical()


def test_while_the_source_answers_it_is_refused(secured, application):
    secured.load(300)
    app = application(secured)
    twin = secured.twin().start()
    twin.wait_for_state("replicating")
    app.wait_for(20)
    refused = mongotwin("failover", "--config", twin.config_path)
    assert refused.returncode == 1
    assert "the source answers" in refused.stderr and "switchover" in refused.stderr, refused.stderr
    app.wait_for(20)
    app.stop()
    twin.finish()
    secured.assert_identical()
