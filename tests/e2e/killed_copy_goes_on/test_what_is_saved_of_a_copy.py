# SPDX-License-Identifier: Apache-2.0
"""What a killed copy goes on from: its plan, indexes that were built before the options changed, the source's history."""

from __future__ import annotations

import os

from bson import SON, MinKey
from e2e.copying import HELD, THROTTLE_OFF, assert_went_on

PAD = os.urandom(4000)


def _fill(collection, documents):
    for first in range(0, documents, 1000):
        collection.insert_many([{"_id": n, "n": n, "pad": PAD} for n in range(first, first + 1000)])


def _kill_in_the_middle(twin):
    twin.wait_until(lambda s: s["copy"]["documents_done"] > 0, "the copy is under way")
    twin.command("throttle", HELD)
    assert twin.status()["copy"]["ranges_done"] == 0
    twin.kill()


def test_a_capped_collection_whose_indexes_came_first_keeps_them(replica_sets):
    """It is copied again from its start; the run that does it would build them behind, and takes them for built."""
    pair = replica_sets
    capped = pair.source_client.db.create_collection("capped", capped=True, size=1 << 25)
    capped.create_index("n")
    _fill(capped, 3000)
    before = pair.twin(indexes="before", throttle={"copy": "400KB"}).start()
    _kill_in_the_middle(before)
    after = pair.twin(indexes="after").start()
    after.finish()
    assert_went_on(after, 1)
    pair.assert_identical()


def test_a_run_was_killed_while_it_planned_to_read_by_id(sharded_to_set):
    """The ranges that it had saved by then must not count beside those of the next run."""
    pair = sharded_to_set
    pair.source.shard_collection("big.c", {"_id": 1})
    pair.source.split("big.c", {"_id": 3000})
    there = pair.source_client.config.chunks.find_one({"min._id": 3000})["shard"]
    pair.source.move_chunk("big.c", find={"_id": MinKey()}, to=there)
    _fill(pair.source_client.big.c, 6000)
    twin = pair.twin(reading="natural", copiers=1, throttle={"copy": "0"}).start()
    ranges, items = pair.target_client.mongotwin.copy_ranges, pair.target_client.mongotwin.copy_items
    twin.wait_until(lambda s: s["copy"]["ranges_total"] > 0 and ranges.find_one({"by": "natural"}) is not None, "the copy is planned")
    twin.kill()
    pair.source.move_chunk("big.c", find={"_id": 3000}, to=next(s.name for s in pair.source.shards if s.name != there))
    saved = ranges.find_one({"by": "natural"})
    stray = {"link": saved["link"], "collection": saved["collection"], "by": "id"}
    ranges.insert_many([{"_id": saved["_id"][:-2] + str(n), "n": n, **stray} for n in (50, 51)])
    twin.start()
    twin.wait_until(lambda s: items.find_one({"by_id": True}) is not None, "it is to be read by _id")
    twin.kill()
    assert ranges.count_documents({"by": "id", "n": {"$in": [50, 51]}}) == 0
    twin.start()
    twin.command("throttle", THROTTLE_OFF)
    status = twin.wait_for_state("replicating")
    assert status["copy"]["documents_done"] == 6000
    twin.finish()
    pair.assert_identical()


def test_the_history_can_not_be_looked_for(replica_sets):
    """No reason to throw away what is copied: only lost history is one."""
    pair = replica_sets
    _fill(pair.source_client.db.c, 3000)
    twin = pair.twin(throttle={"copy": "400KB"}).start()
    _kill_in_the_middle(twin)
    unauthorized = {"failCommands": ["find"], "namespace": "local.oplog.rs", "appName": "mongotwin", "errorCode": 13}
    seen_by_preflight = 2  # the oplog's ends
    pair.source_client.admin.command(SON([("configureFailPoint", "failCommand"), ("mode", {"skip": seen_by_preflight}), ("data", unauthorized)]))
    try:
        twin.start()
        assert "code 13" in twin.wait_failure()
        assert twin.is_running(), "it did not come to look at the history"
    finally:
        pair.source_client.admin.command(SON([("configureFailPoint", "failCommand"), ("mode", "off")]))
    twin.stop()
    twin.start()
    twin.command("throttle", THROTTLE_OFF)
    twin.finish()
    assert_went_on(twin, 1)
    pair.assert_identical()


def test_what_refuses_the_plan_is_named_and_the_copy_goes_on_behind_it(replica_sets):
    """A reply tells it beside ok: 1; taken for a plan that is lost, the copy would be thrown away."""
    pair = replica_sets
    _fill(pair.source_client.db.c, 3000)
    twin = pair.twin(throttle={"copy": "0"}).start()
    twin.wait_until(lambda s: s["copy"]["ranges_total"] > 0 and pair.target_client.mongotwin.copy_ranges.find_one() is not None, "the copy is planned")
    pair.target_client.mongotwin.command("collMod", "copy_ranges", validator={"done": {"$ne": True}})
    try:
        twin.command("throttle", THROTTLE_OFF)
        said = twin.wait_failure()
        assert "the plan of the copy can't be saved in mongotwin.copy_ranges: Document failed validation (code 121)" in said
    finally:
        pair.target_client.mongotwin.command("collMod", "copy_ranges", validator={})
    twin.stop()
    twin.start()
    twin.command("throttle", THROTTLE_OFF)
    twin.finish()
    assert_went_on(twin, 1)
    pair.assert_identical()
