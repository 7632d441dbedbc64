# SPDX-License-Identifier: Apache-2.0
"""Verifications of pairs with authentication, before, during and after a change of roles."""

from __future__ import annotations

import pytest

from e2e import verifying
from e2e.roles import finish_with_nothing_lost, switch_over
from e2e.verifying import assert_identical, named, verify

pytestmark = pytest.mark.since(6, 0)


def test_a_change_of_roles_ends_a_verification_and_the_next_one_looks_the_other_way(secured_pair, application):
    pair = secured_pair
    pair.load(800)
    app = application(pair)
    twin = pair.twin().start()
    twin.wait_for_state("replicating")
    assert_identical(verify(twin))
    pair.target_client.shop.products.delete_one({"_id": pair.target_client.shop.products.find_one()["_id"]})
    found = verify(twin, mode="bytes", repair=True)
    assert found["differences"] == found["repaired"] == 1 and list(named(found).values()) == ["is missing on the target"]
    assert_identical(verify(twin))

    twin.command("throttle", {"verify_bytes_per_second": 1000})
    verifying.start(twin, mode="bytes")
    app.wait_for(20)
    status = switch_over(twin)
    assert status["roles_swapped"]
    assert "cancelled, 0 differences found before" in twin.log()
    app.wait_for(20, side=1)
    twin.command("throttle", {"verify_bytes_per_second": None})
    assert_identical(verify(twin))
    pair.source_client.app.log.delete_one({"_id": "begin"})
    found = verify(twin, repair=True)
    assert named(found) == {'app.log "begin"': "is missing on the target"} and found["repaired"] == 1, found
    app.stop()
    finish_with_nothing_lost(pair, twin, app)
