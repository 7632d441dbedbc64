# SPDX-License-Identifier: Apache-2.0
"""Writes through the router while primaries of a shard change."""

import threading

from cluster import ShardedCluster
from cluster.process import wait_until

from .conftest import make_split


def test_retryable_writes_survive_elections(tmp_path):
    with ShardedCluster(name="vote", base_dir=tmp_path, shards=1) as cluster:
        shard = cluster.add_shard(members=3)
        with cluster.client() as client:
            client.admin.command("enableSharding", "db", primaryShard="vote-rs0")
            collection = make_split(cluster, client.db, "c")
            written, errors, stop = [], [], threading.Event()

            def run():
                i = 0
                while not stop.is_set():
                    try:
                        collection.insert_one({"_id": i, "k": i * 37 % 1000})
                        written.append(i)
                    except Exception as error:
                        errors.append(error)
                        return
                    i += 1

            thread = threading.Thread(target=run)
            thread.start()
            try:
                for change in (shard.step_down, shard.kill_primary):
                    before = len(written)
                    wait_until(lambda: errors or len(written) > before + 100, "writes get on")
                    change()
                    shard.wait_primary()
                before = len(written)
                wait_until(lambda: errors or len(written) > before + 100, "writes get on")
            finally:
                stop.set()
                thread.join()
            assert not errors, errors
            found = [d["_id"] for d in collection.find({}, {"_id": 1})]
            assert sorted(found) == written
