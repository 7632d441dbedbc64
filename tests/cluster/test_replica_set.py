# SPDX-License-Identifier: Apache-2.0
"""Replica sets: life, death, elections, authentication, and no process left behind."""

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pymongo
import pytest
from pymongo.errors import OperationFailure

from cluster import Auth, ReplicaSet
from cluster.process import wait_until

TESTS = Path(__file__).resolve().parents[1]


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_data_survives_stop_and_start_and_nothing_runs_afterwards(tmp_path):
    replica_set = ReplicaSet(name="life", base_dir=tmp_path)
    with replica_set:
        with replica_set.client() as client:
            client.db.c.insert_one({"_id": 1})
        first = replica_set.members[0].pid
        replica_set.stop()
        assert not replica_set.members[0].is_running()
        replica_set.start()
        assert replica_set.members[0].pid != first
        with replica_set.client() as client:
            assert client.db.c.find_one() == {"_id": 1}
        last = replica_set.members[0].pid
    assert not is_alive(last)


def test_listens_on_loopback_only(tmp_path):
    with ReplicaSet(name="loop", base_dir=tmp_path) as replica_set:
        wanted = f"{replica_set.members[0].port:04X}"
        listening = [
            line.split()[1].split(":")[0]
            for table in ("tcp", "tcp6")
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
            if line.split()[1].endswith(f":{wanted}") and line.split()[3] == "0A"
        ]
    assert listening == ["0100007F"]


def test_acknowledged_writes_survive_kill(tmp_path):
    with ReplicaSet(name="kill", base_dir=tmp_path) as replica_set:
        with replica_set.client(w="majority", journal=True) as client:
            client.db.c.insert_many([{"_id": i} for i in range(100)])
        killed = replica_set.kill_primary()
        assert not killed.is_running() and replica_set.primary() is None
        killed.start()
        replica_set.wait_primary()
        with replica_set.client() as client:
            assert client.db.c.count_documents({}) == 100


def test_three_members_step_down_kill_and_pause(tmp_path):
    with ReplicaSet(name="three", base_dir=tmp_path, members=3) as replica_set:
        with replica_set.client(w="majority") as client:
            client.db.c.insert_one({"_id": "before"})
            old = replica_set.primary()
            new = replica_set.step_down()
            assert new is not old and old.is_running() and not old.is_primary()
            client.db.c.insert_one({"_id": "after step-down"})

            killed = replica_set.kill_primary()
            assert killed is new
            third = replica_set.wait_primary(other_than=killed)
            client.db.c.insert_one({"_id": "after kill"})
            killed.start()

            third.pause()
            assert third.is_running() and third.hello() is None
            assert replica_set.wait_primary(other_than=third) is not third
            third.resume()
            wait_until(lambda: third.hello() is not None, "the paused member answers again")
            client.db.c.insert_one({"_id": "after pause"})
            assert client.db.c.count_documents({}) == 4


def test_single_member_steps_down_and_is_elected_again(tmp_path):
    with ReplicaSet(name="alone", base_dir=tmp_path) as replica_set:
        term = replica_set.primary().hello()["electionId"]
        assert replica_set.step_down() is replica_set.members[0]
        assert replica_set.primary().hello()["electionId"] > term


def test_authentication(tmp_path):
    auth = Auth("admin", "p@ss:w/rd")
    with ReplicaSet(name="auth", base_dir=tmp_path, members=2, auth=auth) as replica_set:
        assert stat.S_IMODE(replica_set.keyfile.stat().st_mode) == 0o600
        with replica_set.client() as client:
            client.db.c.insert_one({"_id": 1})
        with pymongo.MongoClient(replica_set.hosts.split(","), replicaSet="auth") as nobody:
            with pytest.raises(OperationFailure) as refused:
                nobody.db.c.find_one()
            assert refused.value.code == 13
        wrong = replica_set.uri.replace("p%40ss", "wrong")
        with pymongo.MongoClient(wrong) as client, pytest.raises(OperationFailure) as refused:
            client.db.c.find_one()
        assert refused.value.code == 18


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_no_server_outlives_the_process_that_started_it(tmp_path, end):
    script = (
        "import sys, time\n"
        "from cluster import ReplicaSet\n"
        "rs = ReplicaSet(name='orphan', base_dir=sys.argv[1])\n"
        "rs.start()\n"
        "print(rs.members[0].pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    )
    server = int(starter.stdout.readline())
    assert is_alive(server)
    starter.send_signal(end)
    starter.wait()
    wait_until(lambda: not is_alive(server), "the server is gone", timeout=10)


def test_by_hand(tmp_path):
    """python3 -m cluster up: prints a URI that works, ends on Ctrl-C with nothing left."""
    process = subprocess.Popen(
        [sys.executable, "-m", "cluster", "up", "--replica-set", "--auth", "me:secret"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(TESTS), "TMPDIR": str(tmp_path)},
    )
    try:
        lines = iter(process.stdout.readline, "")
        uri = next(line for line in lines if line.startswith("mongodb://")).strip()
        server = int(next(lines).split(" pid ")[1].split()[0])
        with pymongo.MongoClient(uri) as client:
            client.db.c.insert_one({})
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert not is_alive(server) and not list(tmp_path.iterdir())
    finally:
        process.kill()


def test_proxy_slow_silent_and_broken(tmp_path):
    with ReplicaSet(name="proxy", base_dir=tmp_path, proxied=True) as replica_set:
        proxy = replica_set.members[0].proxy
        assert f":{proxy.port}" in replica_set.uri
        with replica_set.client(serverSelectionTimeoutMS=20_000) as client:
            client.db.c.insert_one({"_id": 1})
            assert [host for host in client.nodes] == [("127.0.0.1", proxy.port)]

            proxy.latency_s = 0.15
            start = time.monotonic()
            client.db.c.find_one()
            assert time.monotonic() - start >= 0.3
            proxy.restore()

            proxy.bytes_per_s = 200_000
            start = time.monotonic()
            client.db.c.insert_one({"_id": 2, "x": "x" * 200_000})
            assert time.monotonic() - start >= 0.6
            proxy.restore()

        with replica_set.client(socketTimeoutMS=700, retryReads=False) as client:
            client.db.c.find_one()
            proxy.silence()
            with pytest.raises(pymongo.errors.PyMongoError):
                client.db.c.find_one()
            proxy.speak()

        with replica_set.client() as client:
            client.db.c.find_one()
            opened = proxy.connections_total
            proxy.reset()
            assert client.db.c.count_documents({}) == 2  # a read is repeated by the driver
            assert proxy.connections_total > opened

        with replica_set.client(serverSelectionTimeoutMS=500) as client:
            proxy.refuse()
            with pytest.raises(pymongo.errors.PyMongoError):
                client.db.c.find_one()
            proxy.restore()
        with replica_set.client() as client:
            assert client.db.c.count_documents({}) == 2
