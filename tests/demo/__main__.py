# SPDX-License-Identifier: Apache-2.0
"""python3 -m demo: see scripts/demo, which calls this."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Callable, Optional

from compare import Result
from pymongo.errors import PyMongoError

from .bed import NoRoom, check_room, servers_of
from .keep import hold, run_detached
from .run import Demo, Plan

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _plan() -> Plan:
    parser = argparse.ArgumentParser(prog="scripts/demo", description="Two MongoDB clusters, kept identical by mongotwin.")
    parser.add_argument("--replica-sets", action="store_true", help="two replica sets instead of two sharded clusters")
    parser.add_argument("--documents", type=_positive, default=200_000, metavar="N", help="size of the shop (200000)")
    parser.add_argument("--seconds", type=_positive, default=20, metavar="N", help="of live replication after the copy (20)")
    parser.add_argument("--rate", type=_positive, default=400, metavar="N", help="live writes a second (400)")
    parser.add_argument("--keep", action="store_true", help="leave everything running at the end")
    return Plan(**vars(parser.parse_args()))


def _end_on_signals() -> None:
    def end(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    for number in _SIGNALS:
        signal.signal(number, end)


def _ignore_signals() -> None:
    """While cleaning up: an impatient second Ctrl-C must not leave servers behind."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _run(plan: Plan, release: Optional[Callable[[int], None]] = None) -> int:
    _end_on_signals()
    with ExitStack() as stack:
        directory = Path(tempfile.mkdtemp(prefix="mongotwin-demo-"))
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        inner = stack.enter_context(ExitStack())
        stack.callback(_ignore_signals)
        try:
            check_room(directory, servers_of(plan.replica_sets), plan.documents)
            demo = Demo(plan, directory, inner)
            result = demo.run()
            return _verdict(result, demo, directory, release)
        except (NoRoom, PyMongoError, RuntimeError, TimeoutError, OSError) as error:
            sys.stdout.flush()
            print(f"demo: {error}", file=sys.stderr)
            return 1


def _verdict(result: Result, demo: Demo, directory: Path, release: Optional[Callable[[int], None]]) -> int:
    status = 0 if result.identical else 1
    for note in result.notes:
        print(f"  note: {note}")
    if release is not None:
        print(f"all is left running:\n  source {demo.source.uri}\n  target {demo.target.uri}")
        print(f"  mongotwin http://{demo.twin.api}/api/v1/status\n  data and logs {directory}")
        print(f"  stop and remove all with: kill {os.getpid()}")
    print(result, flush=True)
    if release is not None:
        release(status)
        hold()
    return status


def main() -> int:
    plan = _plan()
    if not plan.keep:
        return _run(plan)
    return run_detached(lambda release: _run(plan, release))


if __name__ == "__main__":
    sys.exit(main())
