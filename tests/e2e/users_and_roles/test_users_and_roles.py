# SPDX-License-Identifier: Apache-2.0
"""copy_users: users with their credentials, and roles, as they are on the source: copied and followed."""

from __future__ import annotations

import pymongo
import pytest
from bson import encode
from cluster.process import wait_until

PASSWORD = "fr0m-the.source"
CLERK = {"role": "clerk", "db": "admin"}
OWN = {"admin.admin", "admin.twin"}  # root of either cluster, and mongotwin's own


def _comparable(doc):
    """A server keeps what a role inherits and allows in an order of its own."""
    return encode({key: sorted(value, key=str) if key in ("roles", "privileges") and "user" not in doc else value for key, value in doc.items()})


def _of(client, collection):
    return {f"{collection}: {doc['_id']}": _comparable(doc) for doc in client.admin[collection].find() if doc["_id"] not in OWN}


def _state(client):
    return _of(client, "system.users"), _of(client, "system.roles")


def _wait_alike(pair, besides=frozenset()):
    def different():
        sides = (_state(pair.source_client), _state(pair.target_client))
        of_source, of_target = ({name: doc for part in side for name, doc in part.items() if name not in besides} for side in sides)
        return {name: (of_source.get(name), of_target.get(name)) for name in {*of_source, *of_target} if of_source.get(name) != of_target.get(name)}

    try:
        wait_until(lambda: not different(), "users and roles are the source's", 30)
    except TimeoutError:
        assert not different()


def _find(*databases):
    return [{"resource": {"db": name, "collection": ""}, "actions": ["find"]} for name in databases]


def _populate(client):
    client.admin.command("createRole", "reader", privileges=_find("shop"), roles=[])
    client.admin.command("createRole", "above", privileges=[], roles=["reader"])  # first by name, last by need
    client.admin.command("createRole", "clerk", privileges=[], roles=["reader", {"role": "readWrite", "db": "shop"}])
    client.shop.command("createUser", "ann", pwd=PASSWORD, roles=[CLERK], customData={"n": 1.0, "a": None})
    client.shop.command("createUser", "bob", pwd=PASSWORD, roles=[], mechanisms=["SCRAM-SHA-256"])
    client["$external"].command("createUser", "CN=ann,O=Shop", roles=[{"role": "read", "db": "shop"}])
    client.admin.command("createUser", "carl", pwd=PASSWORD, roles=[{"role": "reader", "db": "admin"}])


def _change(client):
    client.shop.command("updateUser", "ann", pwd=PASSWORD + "2", customData={})
    client.shop.command("dropUser", "bob")
    client.shop.command("createUser", "bob", pwd="another", roles=["read"])  # at once, and not the same
    client.admin.command("dropUser", "carl")
    client.admin.command("createRole", "reader2", privileges=_find("crm"), roles=[])
    client.admin.command("dropRole", "reader")  # and with it what clerk and carl had of it
    client.admin.command("grantRolesToRole", "clerk", roles=["above"])
    client.admin.command("grantRolesToRole", "clerk", roles=[{"role": "reader2", "db": "admin"}])
    client.admin.command(
        "updateRole", "clerk", privileges=_find("shop"), authenticationRestrictions=[{"clientSource": ["127.0.0.1"]}]
    )
    client.shop.command("createUser", "dora", pwd=PASSWORD, roles=[CLERK])


def _forget(pair):
    for client in (pair.source_client, pair.target_client):
        users, roles = _state(client)
        for name in [*users, *roles]:
            collection, _, name = name.partition(": ")
            database, _, name = name.partition(".")
            client[database].command("dropUser" if collection == "system.users" else "dropRole", name)


@pytest.fixture(params=["secured_sets", "sharded_clusters"])
def pair(request):
    made = request.getfixturevalue(request.param)
    yield made
    for twin in made.twins:
        twin.kill()
    _forget(made)


def _as_own_users(pair):
    """URIs of users that have the documented roles and no more, where authentication is on."""
    if pair.source.auth is None:
        return {}
    uris = {}
    for side, cluster, client, roles in (
        ("source", pair.source, pair.source_client, ["backup", "clusterMonitor"]),
        ("target", pair.target, pair.target_client, ["readWriteAnyDatabase", "restore", "backup", "clusterMonitor"]),
    ):
        client.admin.command("createUser", "twin", pwd=side, roles=roles)
        uris[side] = cluster.uri.replace(cluster.auth.uri_prefix, f"twin:{side}@")
    return uris


@pytest.fixture
def config(pair):
    uris = _as_own_users(pair)
    yield {**uris, "copy_users": {"exclude": ["admin.admin"]} if uris else True}
    if uris:
        for client in (pair.source_client, pair.target_client):
            client.admin.command("dropUser", "twin")


def test_copied_followed_and_logged_in_with(pair, config):
    pair.load(documents=500)
    _populate(pair.source_client)
    pair.target_client.admin.command("createUser", "theirs", pwd="own", roles=[])
    twin = pair.twin(**config).start()
    twin.wait_for_state("replicating")
    theirs = frozenset({"system.users: admin.theirs"})
    _wait_alike(pair, theirs)
    _change(pair.source_client)
    _wait_alike(pair, theirs)
    twin.kill()
    pair.source_client.shop.command("dropUser", "dora")
    pair.source_client.shop.command("createUser", "emil", pwd=PASSWORD, roles=[CLERK])
    twin.start()
    twin.wait_for_state("replicating")
    _wait_alike(pair, theirs)
    pair.source_client.shop.command("createUser", "last", pwd=PASSWORD, roles=["read"])
    pair.finish_and_compare(twin)
    _wait_alike(pair, theirs)
    assert "system.users: admin.theirs" in _state(pair.target_client)[0], "a user of the target's own is gone"
    if pair.target.auth is not None:
        uri = pair.target.uri.replace(pair.target.auth.uri_prefix, f"ann:{PASSWORD}2@").replace("authSource=admin", "authSource=shop")
        with pymongo.MongoClient(uri) as ann:
            assert ann.shop.products.find_one() is not None
    assert "storedKey" not in twin.log() and PASSWORD not in twin.log()


def test_users_that_differ_stop_the_start(pair, config):
    pair.load(documents=500)
    _populate(pair.source_client)
    pair.target_client.shop.command("createUser", "ann", pwd="other", roles=[])
    before = _state(pair.target_client)
    twin = pair.twin(**config).start()
    assert twin.wait_exit() == 1
    assert "not what it is on the source: user shop.ann" in twin.log()
    assert _state(pair.target_client) == before
    twin = pair.twin(**config, on_existing_target="drop").start()
    twin.wait_for_state("replicating")
    _wait_alike(pair)


def test_without_the_option_none_are_copied(replica_sets):
    replica_sets.load(documents=500)
    replica_sets.source_client.shop.command("createUser", "ann", pwd=PASSWORD, roles=["read"])
    try:
        replica_sets.finish_and_compare(replica_sets.twin().start())
        assert not _state(replica_sets.target_client)[0]
    finally:
        replica_sets.source_client.shop.command("dropUser", "ann")
