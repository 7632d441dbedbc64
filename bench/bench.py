# SPDX-License-Identifier: Apache-2.0
"""bench/run: what mongotwin reaches of what the target's server can take. Ratios of one run on one machine; README.md
says what each line is."""

import argparse
import tempfile
import time
from pathlib import Path

from cluster import ReplicaSet, ShardedCluster
from cluster.process import free_port
from pymongo import HASHED, IndexModel

from switch_over import switch_overs
from under_test import PATIENCE_S, DelayProxy, Twin, measure_copy, peak_mb, tool

LARGE = dict(oplog_mb=2000, cache_gb=1.5)
INDEXES = [
    IndexModel([("customer", 1)]),
    IndexModel([("state", 1), ("placed", -1)]),
    IndexModel([("address.city", 1), ("address.street", 1)]),
    IndexModel([("lines.sku", 1)]),
]


def show(what, figure, unit="documents/s", ratio="", note=""):
    print(f"{what:34}{figure:10,.0f} {unit:14}{ratio:14}{note}".rstrip(), flush=True)


def direct(member):
    return f"mongodb://127.0.0.1:{member.port}/?directConnection=true"


def load(uri, documents, threads, ns="bench.orders"):
    return tool("load", uri, ns, documents, threads)


def replica_sets(args, directory):
    with ReplicaSet(name="source", base_dir=directory, **LARGE) as source, ReplicaSet(name="target", base_dir=directory, **LARGE) as target:
        print(f"replica sets; loading {args.documents:,} documents into the source …", flush=True)
        load(source.uri, args.documents, args.threads)
        raw = load(target.uri, args.documents, args.threads, "raw.orders")
        show("(a) raw limit of inserts", raw)
        operations = tool("ops", target.uri, "raw.orders", args.documents, args.operations, args.threads)
        show("(c) raw limit of operations", operations, "operations/s")
        target.client().drop_database("raw")

        twin = Twin(directory / "twin", source.uri, target.uri, databases=["bench"])
        copy = measure_copy(twin)
        show("(b) copy", copy.documents_per_s, ratio=f"b/a = {copy.documents_per_s / raw:.2f}", note=f"peak memory {copy.peak_mb:,.0f} MB")
        drain = measure_drain(twin, source, args)
        show("(d) draining the backlog", drain, "operations/s", f"d/c = {drain / operations:.2f}", f"peak memory {peak_mb(twin):,.0f} MB")
        twin.stop()
        measure_indexes(source, target, args, directory)


def measure_drain(twin, source, args):
    twin.wait_for_state("replicating", timeout=PATIENCE_S)
    twin.pause()
    applied = twin.status()["ops"]["applied"]
    tool("ops", source.uri, "bench.orders", args.documents, args.operations, args.threads)
    begin = time.monotonic()
    twin.command("resume")
    twin.wait_until(lambda s: s["ops"]["applied"] >= applied + args.operations, "the backlog is applied", PATIENCE_S)
    return args.operations / (time.monotonic() - begin)


def measure_indexes(source, target, args, directory):
    """The same indexes built by mongotwin and, on the same documents, by a plain command."""
    load(source.uri, args.index_documents, args.threads, "indexed.orders")
    source.client()["indexed"]["orders"].create_indexes(INDEXES)
    twin = Twin(directory / "indexed", source.uri, target.uri, databases=["indexed"], link="indexed")
    copy = measure_copy(twin)
    twin.stop()
    show("(e) copy of a collection to index", copy.documents_per_s, note=f"peak memory {copy.peak_mb:,.0f} MB")
    orders = target.client()["indexed"]["orders"]
    orders.drop_indexes()
    begin = time.monotonic()
    orders.create_indexes(INDEXES)
    plain_s = time.monotonic() - begin
    show("(f) plain build of its indexes", args.index_documents / plain_s, note=f"{plain_s:.1f} s for {len(INDEXES)}")
    built = args.index_documents / max(copy.index_s, 1e-9)
    show("(g) the index phase", built, ratio=f"g/f = {built / (args.index_documents / plain_s):.2f}", note=f"{copy.index_s:.1f} s")


def sharded(args, directory):
    with ShardedCluster(name="source", base_dir=directory / "s", **LARGE) as source, ShardedCluster(name="target", base_dir=directory / "t", **LARGE) as target:
        router = "mongos" if target.has_real_mongos else "the test bed's stand-in router"
        print(f"two sharded clusters of two shards, {router}; loading {args.documents:,} documents into the source …", flush=True)
        source.shard_collection("bench.orders", {"_id": HASHED})
        load(source.uri, args.documents, args.threads)
        shard = target.shards[0]
        straight = load(shard.uri, args.documents, args.threads, "straight.orders")
        shard.client().drop_database("straight")
        show("(a1) raw inserts into one shard", straight)
        target.shard_collection("raw.orders", {"_id": HASHED})
        raw = load(target.uri, args.documents, args.threads, "raw.orders")
        target.client().drop_database("raw")
        show("(a2) raw inserts by the router", raw, ratio=f"a2/a1 = {raw / straight:.2f}")
        twin = Twin(directory / "twin", source.uri, target.uri, databases=["bench"])
        copy = measure_copy(twin)
        rate = copy.documents_per_s
        show("(b) copy", rate, ratio=f"b/a2 = {rate / raw:.2f}", note=f"b/a1 = {rate / straight:.2f}, peak memory {copy.peak_mb:,.0f} MB")
        twin.stop()


def distant(args, directory):
    source = ReplicaSet(name="source", base_dir=directory, **LARGE)
    member = source.members[0]
    member.public_port = free_port()  # the set calls its member by the proxy's address
    with DelayProxy(member.public_port, member.port) as proxy, source, ReplicaSet(name="target", base_dir=directory, **LARGE) as target:
        print(f"replica sets, a proxy in front of the source; loading {args.documents:,} documents into it …", flush=True)
        load(direct(member), args.documents, args.threads)
        raw = load(target.uri, args.documents, args.threads, "raw.orders")
        target.client().drop_database("raw")
        show("(a) raw limit of inserts", raw)
        rates = {}
        for rtt_ms in (0, args.rtt):
            proxy.set_rtt_ms(rtt_ms)
            link = f"rtt{rtt_ms}"
            twin = Twin(directory / link, source.uri, target.uri, databases=["bench"], link=link)
            copy = measure_copy(twin)
            twin.stop()
            target.client().drop_database("bench")
            rates[rtt_ms] = rate = copy.documents_per_s
            against = f"{rate / rates[0]:.2f} of that at 0 ms, " if rtt_ms else ""
            show(f"(b) copy at {rtt_ms} ms round trip", rate, ratio=f"b/a = {rate / raw:.2f}", note=f"{against}peak memory {copy.peak_mb:,.0f} MB")


def main():
    parser = argparse.ArgumentParser(prog="bench/run")
    parser.add_argument("--documents", type=int, help="default: 1,000,000, sharded 400,000, --switchover 100,000")
    parser.add_argument("--operations", type=int, default=300_000)
    parser.add_argument("--index-documents", type=int, default=300_000)
    parser.add_argument("--threads", type=int, default=4, help="of the plain program")
    parser.add_argument("--writes", type=int, default=2000, help="a second, with --switchover")
    parser.add_argument("--sharded", action="store_true", help="two sharded clusters in place of replica sets")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--rtt", type=int, metavar="MS", help="the source at that distance, and at none")
    what.add_argument("--switchover", action="store_true", help="how long writes are closed")
    args = parser.parse_args()
    if args.sharded and args.rtt:
        parser.error("--rtt is for replica sets")
    if args.rtt is not None and args.rtt <= 0:
        parser.error("--rtt takes a distance in ms; the copy at 0 ms is measured with it")
    args.documents = args.documents or (100_000 if args.switchover else 400_000 if args.sharded else 1_000_000)
    run = switch_overs if args.switchover else sharded if args.sharded else distant if args.rtt else replica_sets
    with tempfile.TemporaryDirectory(prefix="mongotwin-bench-") as name:
        run(args, Path(name))


if __name__ == "__main__":
    main()
