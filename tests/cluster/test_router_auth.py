# SPDX-License-Identifier: Apache-2.0
"""A sharded cluster with authentication, three-member shards and failing servers."""

import pymongo
import pytest
from pymongo.errors import OperationFailure, PyMongoError

from cluster import Auth, ShardedCluster
from cluster.router.wire import ask

from .conftest import make_split, other_shard


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    auth = Auth("root@", "s:ec/ret")
    base = tmp_path_factory.mktemp("auth")
    with ShardedCluster(name="sec", base_dir=base, shards=2, auth=auth) as made:
        yield made


@pytest.fixture
def client(secured):
    with secured.client() as made:
        yield made


def as_user(secured, user, password):
    return pymongo.MongoClient(
        "127.0.0.1", secured.router.port, username=user, password=password, authSource="admin"
    )


def test_nothing_without_log_in(secured, client):
    client.db.c.insert_one({"_id": 1})
    port = secured.router.port
    assert ask(port, "admin", {"hello": 1})["ok"] == 1
    for command in ({"find": "c"}, {"insert": "c", "documents": [{}]}, {"listDatabases": 1}):
        assert ask(port, "db", command)["code"] == 13
    for shard in secured.shards:
        assert ask(shard.members[0].port, "db", {"find": "c"})["code"] == 13
    with as_user(secured, "root@", "wrong") as wrong, pytest.raises(OperationFailure) as refused:
        wrong.db.c.find_one()
    assert refused.value.code == 18


def test_one_user_for_router_and_shards(secured, client):
    status = client.admin.command("connectionStatus", showPrivileges=True)["authInfo"]
    assert status["authenticatedUsers"] == [{"user": "root@", "db": "admin"}]
    assert status["authenticatedUserPrivileges"]
    assert client.admin.command("usersInfo", "root@")["users"][0]["user"] == "root@"
    for shard in [secured.config, *secured.shards]:
        with shard.client() as direct:
            assert direct.admin.command("ping")["ok"] == 1
            direct.local["oplog.rs"].find_one()
    with pytest.raises(OperationFailure):
        pymongo.MongoClient(secured.uri.replace("s%3Aec", "no")).db.c.find_one()


def test_work_over_two_shards(secured, client):
    collection = make_split(secured, client.work, "c")
    collection.insert_many([{"_id": i, "k": i} for i in range(1000)], ordered=False)
    assert len(list(collection.find(batch_size=100))) == 1000
    with client.start_session() as session, session.start_transaction():
        collection.update_one({"k": 1}, {"$set": {"x": 1}}, session=session)
        collection.update_one({"k": 999}, {"$set": {"x": 1}}, session=session)
    group = [{"$group": {"_id": "$x", "n": {"$sum": 1}}}, {"$sort": {"_id": 1}}]
    assert list(collection.aggregate(group)) == [{"_id": None, "n": 998}, {"_id": 1, "n": 2}]
    assert "$clusterTime" in client.admin.command("ping")
    client.drop_database("work")


def test_users_made_through_the_router(secured, client):
    client.admin.command("createUser", "app", pwd="app", roles=["readWriteAnyDatabase"])
    with as_user(secured, "app", "app") as app:
        app.db.of_app.insert_one({"_id": 1})
        users = app.admin.command("connectionStatus")["authInfo"]["authenticatedUsers"]
        assert users == [{"user": "app", "db": "admin"}]
    for shard in secured.shards:
        with shard.client() as direct:
            assert not direct.admin.command("usersInfo", "app")["users"]
    client.admin.command("dropUser", "app")


def test_write_block_stops_applications_but_not_root(secured, client):
    client.admin.command("createUser", "shop", pwd="shop", roles=["readWriteAnyDatabase"])
    client.blocked.c.insert_one({"_id": 0})
    with as_user(secured, "shop", "shop") as shop:
        shop.blocked.c.insert_one({"_id": 1})
        client.admin.command("setUserWriteBlockMode", **{"global": True})
        try:
            with pytest.raises(OperationFailure) as blocked:
                shop.blocked.c.insert_one({"_id": 2})
            assert blocked.value.code == 371
            assert shop.blocked.c.count_documents({}) == 2
            client.blocked.c.insert_one({"_id": 3})
        finally:
            client.admin.command("setUserWriteBlockMode", **{"global": False})
        shop.blocked.c.insert_one({"_id": 4})
    client.admin.command("dropUser", "shop")
    client.drop_database("blocked")


def test_stop_and_start_keeps_everything(secured):
    with secured.client() as client:
        make_split(secured, client.kept, "c").insert_many([{"k": 1}, {"k": 999}])
    secured.stop()
    assert not secured.router.is_running()
    secured.start()
    with secured.client() as client:
        assert client.kept.c.count_documents({}) == 2
        client.drop_database("kept")


def test_router_killed_and_started_again(secured):
    with secured.client() as client:
        client.db.r.insert_one({"_id": 1})
        secured.router.kill()
        with pytest.raises(PyMongoError):
            secured.client(serverSelectionTimeoutMS=200).db.r.find_one()
        secured.router.start()
        assert client.db.r.find_one() == {"_id": 1}
        client.db.r.drop()


def test_shard_killed_and_started_again(secured):
    """The driver's own retry of reads and writes gets over a lost shard."""
    with secured.client() as client:
        collection = make_split(secured, client.lost, "c")
        collection.insert_many([{"_id": k, "k": k} for k in (1, 999)])
        shard = other_shard(secured, client, "lost")
        killed = shard.kill_primary()
        assert collection.find_one({"k": 1}) is not None  # the other shard works on
        killed.start()
        assert collection.find_one({"k": 999}) is not None
        collection.update_one({"k": 999}, {"$inc": {"n": 1}})
        assert collection.find_one({"k": 999})["n"] == 1
        shard.step_down()
        collection.update_one({"k": 999}, {"$inc": {"n": 1}})
        assert collection.find_one({"k": 999})["n"] == 2
        client.drop_database("lost")
