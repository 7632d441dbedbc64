# SPDX-License-Identifier: Apache-2.0
"""bench/run --switchover: how long writes are closed, for a user whose writes never stop."""

import random
import statistics
import threading
import time

from cluster import Auth, ReplicaSet, ShardedCluster
from e2e.application import USER_WRITES_BLOCKED, make_user, uri_of
from e2e.roles import switch_over
from pymongo import InsertOne, MongoClient, UpdateOne, WriteConcern
from pymongo.errors import BulkWriteError

from under_test import PATIENCE_S, Twin, peak_mb

TURNS = 6
BETWEEN_S = 5
BULK = 20
THREADS = 2


class Writers:
    """Bulks of inserts and updates at a rate, to the cluster that takes them. Ends with the block."""

    def __init__(self, clusters, writes_per_s, documents):
        for cluster in clusters:
            make_user(cluster)
        self._uris = [uri_of(cluster) for cluster in clusters]
        self._every_s = BULK * THREADS / writes_per_s
        self._documents = documents
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self.acknowledged = []  # when
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(THREADS)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def between(self, begin, end):
        with self._lock:
            return [at for at in self.acknowledged if begin <= at <= end]

    def _run(self, number):
        dice = random.Random(number)
        orders = [MongoClient(uri).get_database("bench", write_concern=WriteConcern("majority")).orders for uri in self._uris]
        side, count, due = 0, 0, time.monotonic()
        while not self._stopped.is_set():
            bulk = [InsertOne({"_id": f"{number}-{count}-{n}", "at": time.time()}) for n in range(BULK // 2)]
            bulk += [UpdateOne({"_id": dice.randrange(self._documents)}, {"$inc": {"n": 1}}) for _ in range(BULK - len(bulk))]
            count += 1
            try:
                orders[side].bulk_write(bulk, ordered=False)
            except BulkWriteError as error:
                if any(one["code"] != USER_WRITES_BLOCKED for one in error.details["writeErrors"]):
                    raise
                side = 1 - side
                self._stopped.wait(0.002)
                continue
            with self._lock:
                self.acknowledged.append(time.monotonic())
            due = max(due + self._every_s, time.monotonic() - 1)  # what was missed while closed is not caught up with
            self._stopped.wait(max(0, due - time.monotonic()))


def _cluster(args, name, directory, shards):
    auth = Auth("admin", "bench")
    if args.sharded:
        return ShardedCluster(name=name, base_dir=directory / name, shards=shards, auth=auth)
    return ReplicaSet(name=name, base_dir=directory, auth=auth)


def switch_overs(args, directory):
    with _cluster(args, "source", directory, 2) as source, _cluster(args, "target", directory, 3) as target:
        kind = "sharded clusters of 2 and 3 shards" if args.sharded else "replica sets"
        print(f"{kind}, authentication; {args.documents:,} documents, {args.writes:,} writes/s, {TURNS} switch-overs, there and back …", flush=True)
        if args.sharded:
            source.shard_collection("bench.orders", {"_id": "hashed"})
        with source.client() as client:
            for first in range(0, args.documents, 1000):
                client.bench.orders.insert_many([{"_id": n, "n": 0, "pad": "x" * 400} for n in range(first, min(first + 1000, args.documents))])
            client.bench.orders.create_index("n")
            client.bench.sessions.create_index("at", expireAfterSeconds=3600)
        twin = Twin(directory / "twin", source.uri, target.uri).start()
        twin.wait_for_state("replicating", timeout=PATIENCE_S)
        closed = []
        with Writers([source, target], args.writes, args.documents) as writers:
            for turn in range(TURNS):
                begin = time.monotonic()
                time.sleep(BETWEEN_S)
                now = time.monotonic()
                rate = len(writers.between(begin + 1, now)) * BULK / (now - begin - 1)
                status = switch_over(twin)
                written = writers.between(begin, time.monotonic())
                gap = max(later - earlier for earlier, later in zip(written, written[1:]))
                closed.append(status["handover"]["closed_ms"] / 1000)
                print(f"{'there' if turn % 2 == 0 else 'back':6} closed {closed[-1]:5.2f} s, no write acknowledged for {gap:5.2f} s, {rate:,.0f} writes/s before", flush=True)
        print(f"closed: median {statistics.median(closed):.2f} s, at most {max(closed):.2f} s; aim: under 3 s; peak memory {peak_mb(twin):,.0f} MB")
        twin.stop()
