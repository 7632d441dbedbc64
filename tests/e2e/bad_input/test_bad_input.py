# SPDX-License-Identifier: Apache-2.0
"""What bad input gets: a sentence that says what, where and what to do, exit status 1 (2 for wrong usage), both clusters
unchanged, and no password in any output. `check` and `run` must agree."""

from __future__ import annotations

import pytest
from cluster import ReplicaSet, find_mongod
from cluster.process import Process, free_port, wait_until
from e2e.forgetting import forget_history
from e2e.twin import mongotwin, write_config
from pymongo import MongoClient

PASSWORD = "s3cr3t-pa55word"
COMMANDS = ("check", "run")


def _fingerprint(client):
    """Every database with the digest of all its documents and the definition of all its collections."""
    found = {}
    for name in sorted(set(client.list_database_names()) - {"local", "config", "admin"}):
        catalog = sorted(str(row) for row in client[name].list_collections())
        found[name] = (client[name].command("dbHash")["md5"], catalog)
    return found


def refused(command, tmp_path, config, expected, *clients, env=None):
    """Runs it and checks everything that must hold for a refusal; `expected` must all be in the message."""
    before = [_fingerprint(client) for client in clients]
    path = tmp_path / "twin.yaml"
    write_config(path, **{"api": {"listen": f"127.0.0.1:{free_port()}"}, **config})
    ran = mongotwin(command, "--config", path, env=env)
    output = ran.stdout + ran.stderr
    assert ran.returncode == 1, output
    for text in expected:
        assert text.lower() in output.lower(), f"{text!r} is missing in: {output}"
    assert PASSWORD not in output
    assert [_fingerprint(client) for client in clients] == before
    return output


@pytest.fixture
def pair(replica_sets):
    replica_sets.source_client["shop"]["things"].insert_many([{"_id": n} for n in range(10)])
    return replica_sets


@pytest.fixture
def clients(pair):
    return pair.source_client, pair.target_client


def _uris(pair, **other):
    return {"source": pair.source.uri, "target": pair.target.uri, **other}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("side", ["source", "target"])
def test_nobody_at_the_address(tmp_path, pair, clients, command, side):
    port = free_port()
    uri = f"mongodb://admin:{PASSWORD}@127.0.0.1:{port}/?serverSelectionTimeoutMS=2000"
    refused(command, tmp_path, _uris(pair, **{side: uri}), [f"127.0.0.1:{port}", side], *clients)


@pytest.mark.parametrize("command", COMMANDS)
def test_host_name_that_does_not_exist(tmp_path, pair, clients, command):
    uri = "mongodb://no-such-host.invalid:27017/?serverSelectionTimeoutMS=2000"
    refused(command, tmp_path, _uris(pair, source=uri), ["no-such-host.invalid"], *clients)


@pytest.mark.parametrize("command", COMMANDS)
def test_wrong_replica_set_name(tmp_path, pair, clients, command):
    uri = pair.source.uri.replace("replicaSet=source", "replicaSet=other")
    assert uri != pair.source.uri
    uri += "&serverSelectionTimeoutMS=2000"
    refused(command, tmp_path, _uris(pair, source=uri), [str(pair.source.members[0].port)], *clients)


@pytest.mark.parametrize("command", COMMANDS)
def test_wrong_password(tmp_path, secured_sets, command):
    address = secured_sets.source.uri.partition("@")[2]
    config = _uris(secured_sets, source=f"mongodb://admin:{PASSWORD}@{address}")
    clients = secured_sets.source_client, secured_sets.target_client
    refused(command, tmp_path, config, ["authentication", str(secured_sets.source.members[0].port)], *clients)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("side", ["source", "target"])
def test_missing_right(tmp_path, secured_sets, command, side):
    """A user who may read the shop and nothing else: no oplog on the source, no writing on the target."""
    secured_sets.source_client["shop"]["things"].insert_one({"_id": 1})
    client = getattr(secured_sets, f"{side}_client")
    client.admin.command("createUser", "reader", pwd=PASSWORD, roles=[{"role": "read", "db": "shop"}])
    try:
        address = getattr(secured_sets, side).uri.partition("@")[2]
        config = _uris(secured_sets, **{side: f"mongodb://reader:{PASSWORD}@{address}"})
        clients = secured_sets.source_client, secured_sets.target_client
        refused(command, tmp_path, config, [side, "right"], *clients)
    finally:
        client.admin.command("dropUser", "reader")


@pytest.fixture(scope="module")
def standalone(tmp_path_factory):
    """A server that is in no replica set and so has no oplog."""
    directory, port = tmp_path_factory.mktemp("standalone"), free_port()
    command = [find_mongod(), "--dbpath", directory, "--port", port, "--bind_ip", "127.0.0.1", "--nounixsocket"]
    server = Process([*command, "--wiredTigerCacheSizeGB", 0.25], directory / "log")
    server.start()
    with MongoClient("127.0.0.1", port, serverSelectionTimeoutMS=30000) as client:
        wait_until(lambda: client.admin.command("ping"), "the standalone server answers", failed=server.failure)
        yield port, client
    server.stop()


@pytest.mark.parametrize("command", COMMANDS)
def test_standalone_source(tmp_path, pair, standalone, command):
    port, client = standalone
    config = _uris(pair, source=f"mongodb://127.0.0.1:{port}/")
    refused(command, tmp_path, config, ["standalone", str(port), "replica set"], client, pair.target_client)


@pytest.mark.parametrize("command", COMMANDS)
def test_same_cluster_on_both_sides(tmp_path, pair, clients, command):
    """Also under another spelling of its address."""
    other = pair.source.uri.replace("127.0.0.1", "localhost")
    refused(command, tmp_path, _uris(pair, target=other), ["same cluster"], *clients)


def test_same_cluster_in_the_same_words(tmp_path, pair, clients):
    refused("run", tmp_path, _uris(pair, target=pair.source.uri), ["source and target"], *clients)


@pytest.mark.parametrize("command", COMMANDS)
def test_target_that_is_not_empty(tmp_path, pair, clients, command):
    pair.target_client["shop"]["things"].insert_one({"_id": "mine"})
    refused(command, tmp_path, _uris(pair), ["shop.things", "on_existing_target"], *clients)


@pytest.mark.parametrize("command", COMMANDS)
def test_database_name_that_the_target_cannot_take(tmp_path, pair, clients, command):
    """Names that differ in case only can't stand side by side in one cluster."""
    pair.target_client["SHOP"]["other"].insert_one({"_id": 1})
    refused(command, tmp_path, _uris(pair), ["shop", "SHOP"], *clients)


def test_port_of_the_api_is_taken(tmp_path, pair, clients):
    taken = pair.source.members[0].port
    refused("run", tmp_path, _uris(pair, api={"listen": f"127.0.0.1:{taken}"}), [f"127.0.0.1:{taken}"], *clients)


@pytest.mark.parametrize(
    "wrong, expected",
    [
        ({"sourse": 1}, ["twin.yaml:", "sourse", "source"]),
        ({"lanes": "many"}, ["twin.yaml:", "lanes", "64"]),
        ({"lanes": 0}, ["lanes", "64"]),
        ({"on_existing_target": "overwrite"}, ["on_existing_target", "refuse", "drop"]),
        ({"databases": ["shop"], "namespaces": {"include": ["shop.*"]}}, ["namespaces", "databases"]),
        ({"databases": ["local"]}, ["local", "never replicated"]),
        ({"source": f"mongodb://admin:{PASSWORD}@"}, ["source"]),
        ({"source": f"admin:{PASSWORD}@host"}, ["source", "mongodb://"]),
        ({"source": f"mongodb://admin:{PASSWORD}:@/@host"}, ["percent-encoded"]),
        ({"source": "${TWIN_TEST_NOT_SET}"}, ["TWIN_TEST_NOT_SET"]),
    ],
)
def test_configuration(tmp_path, pair, clients, wrong, expected):
    refused("run", tmp_path, _uris(pair, **wrong), expected, *clients)


def test_configuration_that_is_not_there(tmp_path):
    ran = mongotwin("run", "--config", tmp_path / "none.yaml")
    assert ran.returncode == 1
    assert "none.yaml" in ran.stderr


@pytest.mark.parametrize("arguments", [[], ["run"], ["fly"], ["run", "--fast"], ["status", "--json", "--colour"]])
def test_wrong_usage(arguments):
    ran = mongotwin(*arguments)
    assert ran.returncode == 2, ran.stdout + ran.stderr
    assert "--help" in ran.stdout + ran.stderr


def test_lost_oplog_history_stops_it(tmp_path, make_pair, target_set):
    """While it was down the source's oplog lost what comes after its position: going on would skip changes in silence."""
    with ReplicaSet(name="forgetful", base_dir=tmp_path) as source:
        pair = make_pair(source, target_set)
        pair.source_client["shop"]["things"].insert_one({"_id": 1})
        twin = pair.twin().start()
        twin.wait_for_state("replicating")
        assert twin.stop() == 0
        pair.source_client["shop"]["things"].insert_many([{"_id": n} for n in range(2, 50)])
        assert forget_history(source) > 40
        pair.source_client["shop"]["things"].insert_one({"_id": "later"})
        before = _fingerprint(pair.target_client)
        twin.start()
        said = twin.wait_failure().lower()
        assert "oplog" in said and "forgetful" in said
        if twin.is_running():
            twin.stop()
        assert twin.exit_status == 1
        assert _fingerprint(pair.target_client)["shop"] == before["shop"]
        pair.close()


@pytest.mark.parametrize("command", COMMANDS)
def test_journal_that_cannot_be_there(tmp_path, pair, clients, command):
    (tmp_path / "file").write_text("")
    config = _uris(pair, journal={"path": str(tmp_path / "file" / "journal")})
    refused(command, tmp_path, config, ["journal", "is no directory", "journal.path"], *clients)
