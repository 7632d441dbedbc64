# SPDX-License-Identifier: Apache-2.0
"""`python3 -m cluster up …`: a cluster to work with by hand, until Ctrl-C."""

import argparse
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from . import Auth, ReplicaSet, ShardedCluster


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(prog="python3 -m cluster", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start a cluster, print its URI, stay until Ctrl-C")
    kind = up.add_mutually_exclusive_group(required=True)
    kind.add_argument("--replica-set", action="store_true", help="one replica set")
    kind.add_argument("--sharded", type=int, metavar="N", help="config server, N shards, router")
    up.add_argument("--members", type=int, default=1, choices=(1, 2, 3), help="of each set")
    up.add_argument("--port", type=int, help="first port; the others follow (default: free ones)")
    up.add_argument("--name", default="rs", help="of the set, and prefix of the shards' names")
    up.add_argument("--auth", type=Auth.parse, metavar="USER:PASSWORD")
    up.add_argument("--dir", type=Path, help="data and logs, kept; to start on them again give the same --port (default: temporary)")
    return parser.parse_args(arguments)


def make_cluster(options, base_dir):
    common = {
        "name": options.name,
        "base_dir": base_dir,
        "members": options.members,
        "port": options.port,
        "auth": options.auth,
        "keep_data": options.dir is not None,
    }
    if options.replica_set:
        return ReplicaSet(**common)
    return ShardedCluster(shards=options.sharded, **common)


def describe(cluster):
    """Lines that say what is where."""
    if isinstance(cluster, ReplicaSet):
        return [f"  {member!r} pid {member.pid} log {member.log_path}" for member in cluster.members]
    lines = [f"  router 127.0.0.1:{cluster.router.port} pid {cluster.router.pid}"]
    for replica_set in [cluster.config, *cluster.shards]:
        lines += describe(replica_set)
    return lines


def main(arguments=None):
    options = parse_arguments(arguments)
    temporary = options.dir is None
    base_dir = Path(tempfile.mkdtemp(prefix="cluster-")) if temporary else options.dir
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's "&" leaves SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    try:
        print("starting …", flush=True)
        with make_cluster(options, base_dir) as cluster:
            print(cluster.uri)
            print("\n".join(describe(cluster)), flush=True)
            print("Ctrl-C stops it", flush=True)
            while True:
                signal.pause()
    except KeyboardInterrupt:
        print("stopped", flush=True)
        return 0
    finally:
        if temporary:
            shutil.rmtree(base_dir, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
