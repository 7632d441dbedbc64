# SPDX-License-Identifier: Apache-2.0
"""Indexes of the initial copy: before the documents or after them, as many collections at once as configured."""

from __future__ import annotations

import os

import pytest
from pymongo import IndexModel

PAD = os.urandom(4000)
COLLECTIONS = 5


def _load(pair):
    for n in range(COLLECTIONS):
        c = pair.source_client.db[f"c{n}"]
        c.insert_many([{"_id": i, "n": i, "word": f"word {i}", "pad": PAD} for i in range(1000)])
        c.create_indexes([IndexModel("n", name="n", unique=True), IndexModel("word", name="word"), IndexModel([("word", "text")], name="text")])


def test_before(replica_sets):
    _load(replica_sets)
    twin = replica_sets.twin(indexes="before", throttle={"copy": "0"}).start()
    # A unique index has to wait all the same, since documents of different moments may clash in it.
    twin.wait_until(lambda s: s["copy"]["indexes_total"] > 0 and s["copy"]["indexes_done"] == s["copy"]["indexes_total"], "the indexes are there")
    for n in range(COLLECTIONS):
        assert replica_sets.target_client.db[f"c{n}"].index_information().keys() == {"_id_", "word", "text"}
    assert twin.status()["copy"]["documents_done"] == 0
    twin.kill()
    twin.start()
    twin.command("throttle", {"copy_bytes_per_second": None})
    twin.finish()
    replica_sets.assert_identical()


@pytest.mark.parametrize("builds", [1, 8])
def test_after(replica_sets, builds):
    _load(replica_sets)
    twin = replica_sets.twin(index_builds=builds, copiers=1, throttle={"copy": "3MB"}).start()
    early = twin.wait_until(lambda s: s["copy"]["indexes_done"] > 0, "the first indexes are built")
    assert early["copy"]["ranges_done"] < early["copy"]["ranges_total"], "a collection's indexes wait for nothing but its own documents"
    twin.command("throttle", {"copy_bytes_per_second": None})
    twin.finish()
    replica_sets.assert_identical()
