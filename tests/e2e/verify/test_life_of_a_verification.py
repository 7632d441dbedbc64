# SPDX-License-Identifier: Apache-2.0
"""Killed, cancelled, paused, throttled, asked for at the wrong time, continuous; and the command with its exit statuses."""

from __future__ import annotations

import json

import pytest
from e2e.copying import THROTTLE_OFF
from e2e.hot import HotDocuments
from e2e.twin import mongotwin
from e2e.verifying import assert_identical, named, result, start, verify, wait_end, wait_verification

DOCUMENTS = 60_000  # six ranges


def _filled(pair, **config):
    collection = pair.source_client["life"]["documents"]
    for first in range(0, DOCUMENTS, 20_000):
        collection.insert_many([{"_id": n, "pad": "x" * 20} for n in range(first, first + 20_000)])
    twin = pair.twin(**config).start()
    twin.wait_for_state("replicating")
    return twin


def _slow(twin):
    """So that a range takes seconds."""
    twin.command("throttle", {"verify_bytes_per_second": 200_000})


def _wait_under_way(twin, number):
    return wait_verification(twin, lambda v: v["number"] == number and v["ranges_done"] >= 2, "two ranges are compared")


def test_goes_on_after_a_kill(replica_sets):
    pair = replica_sets
    twin = _filled(pair)
    pair.target_client["life"]["documents"].delete_one({"_id": 7})
    pair.target_client["life"]["documents"].delete_one({"_id": DOCUMENTS - 7})
    _slow(twin)
    number = start(twin)
    wait_verification(twin, lambda v: v["number"] == number and v["differences"] == 1, "the first difference counts")
    saved = pair.target_client["mongotwin"]["verifications"]
    twin.wait_until(lambda _: saved.count_documents({"shown.differences": 1, "after": {"$exists": True}}) == 1, "it is saved")
    twin.kill()
    twin.start()
    twin.wait_for_state("replicating")
    found = wait_end(twin, number)
    assert f"verification {number} goes on" in twin.log()
    assert named(found) == {f"life.documents {n}": "is missing on the target" for n in (7, DOCUMENTS - 7)}
    assert found["documents_done"] >= DOCUMENTS - 2
    assert twin.log().count("life.documents _id 7:") == 1, "what was compared before the kill was compared again"


def test_cancelled_paused_and_finished(replica_sets):
    pair = replica_sets
    twin = _filled(pair)
    _slow(twin)
    number = start(twin)
    with pytest.raises(RuntimeError, match="under way"):
        start(twin)
    _wait_under_way(twin, number)
    twin.command("verify/cancel")
    assert wait_end(twin, number)["verdict"] == "cancelled"

    number = start(twin)
    twin.pause()
    twin.command("throttle", {"verify_bytes_per_second": None})
    assert_identical(wait_end(twin, number))
    twin.resume()

    _slow(twin)
    number = start(twin)
    _wait_under_way(twin, number)
    twin.finish()
    assert wait_end(twin, number)["verdict"] == "cancelled"
    assert twin.status()["verification"]["verdict"] == "cancelled"


def test_refused_while_copying(replica_sets):
    pair = replica_sets
    pair.source_client["life"]["documents"].insert_one({"_id": 1})
    twin = pair.twin(throttle={"copy": 0}).start()
    twin.wait_for_state("copying")
    with pytest.raises(RuntimeError, match="can't verify while copying"):
        start(twin)
    ran = mongotwin("verify", "--config", twin.config_path)
    assert ran.returncode == 1 and "can't verify while copying" in ran.stderr
    twin.command("throttle", THROTTLE_OFF)
    twin.wait_for_state("replicating")
    assert_identical(verify(twin))


def test_continuously(replica_sets):
    pair = replica_sets
    pair.source_client["life"]["documents"].insert_many([{"_id": n} for n in range(100)])
    twin = pair.twin(verify={"continuous": "1s", "mode": "bytes"}).start()
    first = wait_verification(twin, lambda v: v["verdict"] == "identical", "the first one ends")
    assert first["mode"] == "bytes"
    pair.target_client["life"]["documents"].update_one({"_id": 5}, {"$set": {"a": 1}})
    found = wait_verification(twin, lambda v: v["verdict"] == "different", "the difference is found")
    assert found["number"] > first["number"] and named(found) == {"life.documents 5": "field a is only on the target"}
    twin.wait_until(lambda s: s["verification"]["differences"] == 1, "the status shows it")
    twin.wait_until(lambda _: pair.target_client["mongotwin"]["verifications"].count_documents({}) >= 2, "results are kept")


def test_the_command(replica_sets):
    pair = replica_sets
    hot = HotDocuments(pair.source_client)
    hot.fill()
    twin = pair.twin().start()
    twin.wait_for_state("replicating")
    twin.wait_caught_up(pair.source_client)
    ran = mongotwin("verify", "--api", twin.api)
    assert ran.returncode == 0 and "identical up to" in ran.stdout, ran
    twin.wait_until(lambda s: s["verification"]["verdict"] == "identical", "the status shows it")
    assert "verify      last: identical up to" in mongotwin("status", "--api", twin.api).stdout

    pair.target_client["hot"]["documents"].delete_one({"_id": 3})
    ran = mongotwin("verify", "--config", twin.config_path, "--namespace", "hot.*")
    assert ran.returncode == 3, ran
    assert "hot.documents _id 3: is missing on the target" in ran.stdout and "1 difference as of" in ran.stdout
    assert json.loads(mongotwin("verify", "--api", twin.api, "--json").stdout)["differences"] == 1

    assert twin.stop() == 0
    ran = mongotwin("verify", "--config", twin.config_path)
    assert ran.returncode == 3 and "replication was not running" in ran.stdout, ran
    assert "hot.documents _id 3: is missing on the target" in ran.stdout
    ran = mongotwin("verify", "--config", twin.config_path, "--repair")
    assert ran.returncode == 1 and "in order with the replication" in ran.stderr, ran

    twin.start()
    twin.wait_for_state("replicating")
    ran = mongotwin("verify", "--config", twin.config_path, "--repair")
    assert ran.returncode == 3 and "REPAIRED" in ran.stdout, ran
    assert mongotwin("verify", "--config", twin.config_path).returncode == 0
    twin.finish()
    assert twin.stop() == 0
    ran = mongotwin("verify", "--config", twin.config_path, "--mode", "bytes")
    assert ran.returncode == 0 and "identical up to" in ran.stdout, ran
    assert mongotwin("verify", "--api", twin.api).returncode == 1


def test_with_authentication_and_users(secured_sets):
    pair = secured_sets
    pair.source_client.admin.command("createUser", "twin", pwd="twin", roles=["backup", "clusterMonitor"])
    pair.target_client.admin.command("createUser", "twin", pwd="twin", roles=["readWriteAnyDatabase", "restore", "backup", "clusterMonitor"])
    try:
        pair.source_client["shop"].command("createUser", "ann", pwd="pw", roles=["read"])
        pair.source_client["shop"]["things"].insert_many([{"_id": n} for n in range(50)])
        uris = {side: f"mongodb://twin:twin@{getattr(pair, side).uri.partition('@')[2]}" for side in ("source", "target")}
        twin = pair.twin(**uris, copy_users={"exclude": ["admin.admin"]}).start()
        twin.wait_for_state("replicating")
        assert_identical(verify(twin))
        pair.target_client["shop"]["things"].delete_one({"_id": 3})
        found = verify(twin, repair=True)
        assert found["repaired"] == 1 and named(found) == {"shop.things 3": "is missing on the target"}
        assert_identical(verify(twin, mode="bytes"))
        assert result(twin)["number"] == 3
        pair.target_client["shop"].command("updateUser", "ann", roles=["readWrite"])
        found = verify(twin)
        assert found["verdict"] == "different" and "shop.ann" in str(named(found)), named(found)
        assert pair.target_client["shop"].command("usersInfo", "ann")["users"][0]["roles"][0]["role"] == "readWrite", "named, and not mended"
    finally:
        pair.source_client["shop"].command("dropAllUsersFromDatabase")
        pair.target_client["shop"].command("dropAllUsersFromDatabase")
        for client in (pair.source_client, pair.target_client):
            client.admin.command("dropUser", "twin")
