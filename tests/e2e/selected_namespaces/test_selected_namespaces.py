# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from e2e.pair import databases


def _follow(pair, **config):
    pair.load()
    writer = pair.write()
    twin = pair.twin(**config).start()
    twin.wait_for_state("replicating")
    writer.wait_for(500)
    writer.stop()
    twin.finish()


def test_only_the_databases_asked_for(replica_sets):
    _follow(replica_sets, databases=["crm", "logs"])
    replica_sets.assert_identical(databases=["crm", "logs"])
    assert set(databases(replica_sets.target_client)) == {"crm", "logs", "mongotwin"}


def test_only_the_namespaces_asked_for(replica_sets):
    """Transactions that touch both kinds are cut to what is wanted."""
    _follow(replica_sets, namespaces={"include": ["shop.*"], "exclude": ["shop.tmp_*", "shop.view_*", "shop.carts"]})
    rules = {"include": ["shop.*"], "exclude": ["shop.tmp_*", "shop.view_*", "shop.carts"]}
    replica_sets.assert_identical(**rules)
    assert set(databases(replica_sets.target_client)) == {"shop", "mongotwin"}
    assert not [name for name in replica_sets.target_client["shop"].list_collection_names() if name.startswith("tmp_")]
    assert "carts" not in replica_sets.target_client["shop"].list_collection_names()


def test_what_is_not_asked_for_is_left_alone_on_the_target(replica_sets):
    replica_sets.target_client["crm"]["own"].insert_one({"_id": 1, "of": "the target"})
    _follow(replica_sets, databases=["shop"])
    replica_sets.assert_identical(databases=["shop"])
    assert replica_sets.target_client["crm"]["own"].find_one() == {"_id": 1, "of": "the target"}


def test_existing_collections_are_replaced_on_request(replica_sets):
    replica_sets.target_client["crm"]["labels"].insert_one({"_id": "old"})
    _follow(replica_sets, on_existing_target="drop")
    replica_sets.assert_identical()
