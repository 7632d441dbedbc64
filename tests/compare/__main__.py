# SPDX-License-Identifier: Apache-2.0
"""python3 -m compare: exit status 0 if identical, 1 if different, 2 for wrong usage or a cluster out of reach."""

from __future__ import annotations

import argparse
import sys

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from . import Selection, compare_clusters


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="compare", description="Compares two MongoDB clusters in full, byte for byte.")
    parser.add_argument("--source", required=True, metavar="URI")
    parser.add_argument("--target", required=True, metavar="URI")
    parser.add_argument("--databases", metavar="A,B", help="only these databases")
    parser.add_argument("--include", action="append", metavar="PATTERN", help="only these namespaces, as in shop.*; repeatable")
    parser.add_argument("--exclude", action="append", default=[], metavar="PATTERN", help="not these namespaces; repeatable")
    parser.add_argument("--sharding", action="store_true", help="another shard key is a difference too")
    parser.add_argument("--quiet", action="store_true", help="only the last line and the differences")
    return parser.parse_args()


def main() -> int:
    options = _arguments()
    selection = Selection(options.databases.split(",") if options.databases else None, options.include, options.exclude)
    try:
        with MongoClient(options.source) as source, MongoClient(options.target) as target:
            result = compare_clusters(source, target, selection=selection, sharding=options.sharding)
    except PyMongoError as error:
        print(f"compare: {error}", file=sys.stderr)
        return 2
    if not options.quiet:
        for note in result.notes:
            print(f"note: {note}")
    print(result)
    return 0 if result.identical else 1


if __name__ == "__main__":
    sys.exit(main())
