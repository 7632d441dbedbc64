# SPDX-License-Identifier: Apache-2.0
"""Changing the roles of a pair, and who is who afterwards."""

from __future__ import annotations

from e2e.failpoint import failpoint


def switch_over(twin) -> dict:
    """Asks for it and waits until the other direction is replicating; returns the status."""
    twin.wait_until(lambda s: s["lag_ms"] is not None and s["lag_ms"] < 5_000, "it is near enough")
    twin.command("switchover")
    status = twin.wait_until(lambda s: s["handover"] and s["handover"]["succeeded"] is not None and s["state"] == "replicating", "the roles have changed")
    assert status["handover"]["succeeded"], status["handover"]
    return status


def sides(pair, status):
    """Clients of the source and the target as they are now."""
    return (pair.target_client, pair.source_client) if status["roles_swapped"] else (pair.source_client, pair.target_client)


def finish_with_nothing_lost(pair, twin, app):
    """Every acknowledged write is on both sides once, and after `finish` both are the same."""
    source, target = sides(pair, twin.status())
    twin.wait_caught_up(source)
    for client in (source, target):
        app.assert_all_there(client)
    twin.finish()
    pair.assert_identical()


def expiry_of_sessions(client) -> int:
    """In seconds, as the index of the application has it there: its own, or the far value while it is held."""
    return next(i for i in client.app.sessions.list_indexes() if i["name"] == "at_1")["expireAfterSeconds"]


def survivors(app, up_to_s, new_side=1):
    """The writes of the old source that were acknowledged before the reported moment of a failover, and all of the new one."""
    return [a for a in app.acknowledged if a.side == new_side or a.wall + (a.acked - a.sent) < up_to_s]


def kill_in(twin, client, what, step, command, passing=0):
    """kill -9 in a step of a change of roles; `command`: in which the server lets mongotwin wait there, after so many that pass."""
    hang = {**command, "blockConnection": True, "blockTimeMS": 5_000, "appName": "mongotwin"}
    with failpoint(client, "failCommand", mode={"skip": passing}, **hang):
        twin.command(what)
        twin.wait_until(lambda s: s["handover"] and s["handover"]["step"] == step, f"step {step}")
        twin.kill()
