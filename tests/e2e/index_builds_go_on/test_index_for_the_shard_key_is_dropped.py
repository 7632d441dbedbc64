# SPDX-License-Identifier: Apache-2.0
"""The source drops an index that serves the target's shard key, while the unique one that is to serve it is held back."""

from __future__ import annotations

from pymongo import IndexModel

DOCUMENTS = 300


def test_before_the_unique_one_is_built(set_to_sharded):
    pair = set_to_sharded
    source = pair.source_client.db.c
    source.insert_many([{"_id": n, "k": n, "u": n} for n in range(DOCUMENTS)])
    source.create_indexes([IndexModel("k", name="plain"), IndexModel([("k", 1), ("u", 1)], name="unique", unique=True)])
    # Its catalog is read before the index is dropped, its documents after.
    twin = pair.twin(sharding={"db.c": {"key": {"k": 1}}}, throttle={"copy": 0}).start()
    twin.wait_until(lambda s: s["copy"]["ranges_total"] > 0, "the copy has begun")
    source.drop_index("plain")
    twin.command("throttle", {"copy_bytes_per_second": None})
    twin.wait_for_state("replicating")
    assert pair.target_client.db.c.index_information().keys() == {"_id_", "unique"}
    assert "stays" not in twin.log()
    source.insert_one({"_id": "later", "k": 7, "u": DOCUMENTS})
    twin.finish()
    pair.assert_identical()
