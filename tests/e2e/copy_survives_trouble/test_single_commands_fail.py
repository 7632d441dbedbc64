# SPDX-License-Identifier: Apache-2.0
"""One kind of command fails for a while in the initial copy: it is told, and tried again."""

from __future__ import annotations

import pytest
from bson import Timestamp
from e2e.failpoint import failpoint

FAILED = "failCommand"  # in what the server says
SHUTTING_DOWN, INTERRUPTED = 91, 11601


def _store_literally(collection, document):
    """An insert would put the time in the place of Timestamp(0, 0)."""
    collection.update_one({"_id": document["_id"]}, [{"$replaceWith": {"$literal": document}}], upsert=True)


@pytest.mark.parametrize("options", [{}, {"capped": True, "size": 1 << 20}], ids=["plain", "capped"])
def test_documents_that_only_an_update_can_write(replica_sets, options):
    """What the one command of the target must not fail for good, nor make wait what comes in order."""
    pair = replica_sets
    odd = pair.source_client.db.create_collection("odd", **options)
    for n in range(6):
        odd.insert_one({"_id": 10 - n, "n": n})
        _store_literally(odd, {"_id": 20 - n, "at": Timestamp(0, 0)})
    with failpoint(pair.target_client, "failCommand", failCommands=["update"], errorCode=SHUTTING_DOWN, namespace="db.odd"):
        twin = pair.twin().start()
        twin.wait_until(lambda s: FAILED in str(s["warnings"]), "its status tells of it")
    twin.finish()
    pair.assert_identical()
    if options:
        order = [[d["_id"] for d in client.db.odd.find().sort("$natural", 1)] for client in (pair.source_client, pair.target_client)]
        assert order[0] == order[1]


def test_an_operator_kills_a_read_that_takes_long(replica_sets):
    pair = replica_sets
    pair.source_client.db.c.insert_many([{"_id": n, "pad": "x" * 10_000} for n in range(3000)])
    twin = pair.twin(throttle={"copy": "0"}).start()
    twin.wait_until(lambda s: s["copy"]["ranges_total"] > 0, "the copy is planned")
    with failpoint(pair.source_client, "failCommand", failCommands=["getMore"], errorCode=INTERRUPTED, namespace="db.c"):
        twin.command("throttle", {"copy_bytes_per_second": None})
        twin.wait_until(lambda s: FAILED in str(s["warnings"]), "its status tells of it")
    twin.finish()
    pair.assert_identical()
