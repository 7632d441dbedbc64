# SPDX-License-Identifier: Apache-2.0
"""A server takes no two databases whose names differ by case only; so a target may be unable to take one of the source's."""

from __future__ import annotations


def test_refused_before_anything_is_changed(replica_sets):
    replica_sets.source_client["shop"]["things"].insert_one({"_id": 1})
    replica_sets.target_client["SHOP"]["own"].insert_one({"_id": 1})
    twin = replica_sets.twin(databases=["shop"]).start()
    said = twin.wait_failure()
    assert "shop" in said and "SHOP" in said and "only by case" in said
    assert "mongotwin" not in replica_sets.target_client.list_database_names()


def test_stops_by_name_when_it_appears_later(replica_sets):
    """Once the other one is away it goes on where it stopped."""
    replica_sets.source_client["crm"]["things"].insert_one({"_id": 1})
    replica_sets.target_client["SHOP"]["own"].insert_one({"_id": 1})
    twin = replica_sets.twin(databases=["shop", "crm"]).start()
    twin.wait_for_state("replicating")
    replica_sets.source_client["shop"]["things"].insert_one({"_id": 1})
    said = twin.wait_failure()
    assert "shop" in said and "SHOP" in said and "case" in said
    twin.stop()
    replica_sets.target_client.drop_database("SHOP")
    twin.start()
    twin.finish()
    replica_sets.assert_identical()
