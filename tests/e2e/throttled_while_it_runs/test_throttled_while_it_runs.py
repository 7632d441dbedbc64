# SPDX-License-Identifier: Apache-2.0
"""How fast and how parallel it works is changed while it works, from the command line and the API."""

from __future__ import annotations

from pathlib import Path

from e2e.twin import mongotwin


def _lanes(twin) -> int:
    names = [(task / "comm").read_text() for task in Path(f"/proc/{twin.pid}/task").iterdir()]
    return sum(name.startswith("lane.") for name in names)


def _throttle(twin, **limits: int) -> None:
    """By the command line; until the status says so too."""
    arguments = [text for name, limit in limits.items() for text in (f"--{name}", limit)]
    ran = mongotwin("throttle", *arguments, "--api", twin.api)
    assert ran.returncode == 0, ran.stderr
    twin.wait_until(lambda s: limits.items() <= s["throttle"].items(), f"the status says {limits}")


def test_lanes_are_taken_away_all_and_given_back_more(replica_sets):
    replica_sets.load()
    twin = replica_sets.twin(lanes=2).start()
    twin.wait_for_state("replicating")
    assert twin.status()["throttle"] == {"copy_bytes_per_second": None, "operations_per_second": None, "copiers": 4, "lanes": 2, "verify_bytes_per_second": None}
    assert _lanes(twin) == 2
    writer = replica_sets.write()
    twin.wait_for_applied(100)

    twin.command("throttle", {"lanes": 0})
    twin.wait_until(lambda s: any("there are 0 lanes" in w for w in s["warnings"]), "the warning is there")
    (shard,) = twin.status()["positions"]
    planned = twin.wait_until(lambda s: s["positions"][shard]["planned"] == s["positions"][shard]["applied"], "what was under way is applied")
    writer.wait_for(300)
    now = replica_sets.source_client.admin.command("ping")["operationTime"]
    later = twin.wait_until(lambda s: (s["positions"][shard]["read"]["t"], s["positions"][shard]["read"]["i"]) >= (now.time, now.inc), "it reads on")
    assert later["ops"]["applied"] == planned["ops"]["applied"], "something was applied with 0 lanes"

    _throttle(twin, lanes=12)
    twin.wait_for_applied(300)
    assert _lanes(twin) == 12
    assert not any("0 lanes" in w for w in twin.status()["warnings"])
    _throttle(twin, lanes=1, copiers=3)
    twin.wait_for_applied(100)
    replica_sets.finish_and_compare(twin, writer)


def test_lanes_change_all_the_time_under_load(set_to_sharded):
    set_to_sharded.load()
    twin = set_to_sharded.twin().start()
    writer = set_to_sharded.write(rate=None)
    twin.wait_for_state("replicating")
    for lanes in (1, 5, 2, 16, 3, 8, 0, 4):
        twin.command("throttle", {"lanes": lanes})
        writer.wait_for(200)
    set_to_sharded.finish_and_compare(twin, writer)


def test_copy_says_how_fast_it_is(replica_sets):
    replica_sets.load()
    twin = replica_sets.twin(throttle={"copy": "500KB"}).start()
    copying = twin.wait_until(lambda s: s["state"] == "copying" and s["copy"]["bytes_per_second"] > 0, "the copy has a speed")["copy"]
    assert copying["documents_per_second"] > 0
    assert copying["documents_done"] <= copying["documents_total"] and copying["bytes_done"] <= copying["bytes_total"]
    twin.wait_until(lambda s: s["copy"]["eta_s"] is not None, "the time left is known")
    table = mongotwin("status", "--api", twin.api).stdout
    assert "documents/s" in table and " left" in table and "throttle    copy 500.0 KB/s" in table, table
    twin.command("throttle", {"copy_bytes_per_second": None})
    done = twin.wait_for_state("replicating")["copy"]
    assert (done["bytes_per_second"], done["documents_per_second"], done["eta_s"]) == (0, 0, None)
    assert done["documents_done"] == done["documents_total"] and all(one["done"] for one in done["collections"])
    replica_sets.finish_and_compare(twin)


def test_copiers_are_taken_away_all_and_given_back_more(replica_sets):
    replica_sets.load()
    twin = replica_sets.twin(copiers=1, throttle={"copy": "1MB"}).start()
    twin.wait_until(lambda s: s["copy"]["documents_done"] > 0, "it is copying")
    twin.command("throttle", {"copiers": 0, "copy_bytes_per_second": None})
    paused = twin.wait_until(lambda s: any("there are 0 copiers" in w for w in s["warnings"]), "the warning is there")
    # One copier has at most one batch in hand, and this is written before the next one is looked for.
    assert paused["copy"]["ranges_done"] < paused["copy"]["ranges_total"]
    writer = replica_sets.write()
    writer.wait_for(300)
    later = twin.status()["copy"]
    assert later["ranges_done"] <= paused["copy"]["ranges_done"] + 1 and twin.state == "copying"
    _throttle(twin, copiers=6)
    twin.wait_for_state("replicating")
    replica_sets.finish_and_compare(twin, writer)


def test_fewer_copiers_in_the_middle_of_their_ranges(replica_sets):
    """Those that are too many end what they have begun: nobody else could."""
    for n in range(0, 16_000, 1000):
        replica_sets.source_client.big.c.insert_many([{"_id": i, "pad": b"\1" * 4000} for i in range(n, n + 1000)])
    twin = replica_sets.twin(copiers=4, throttle={"copy": "20MB"}).start()
    twin.wait_until(lambda s: s["copy"]["documents_done"] > 1500, "all of them are reading")
    twin.command("throttle", {"copiers": 1, "copy_bytes_per_second": None})
    twin.wait_for_state("replicating")
    twin.finish()
    replica_sets.assert_identical()
