# SPDX-License-Identifier: Apache-2.0
"""See scripts/soak, which is how to start this."""

from __future__ import annotations

import argparse
import random
import signal
import sys
import time
from typing import Optional

from . import deltas, kills, roles, simulation
from .round import Failure

PARTS = {"sim": simulation.run, "delta": deltas.run, "kills": kills.run, "roles": roles.run}
_SEEDS = 1 << 31


def _parts(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in PARTS:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(PARTS)}")
    return names


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/soak")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--only", type=_parts, default=list(PARTS))
    parser.add_argument("--seed", type=int)
    return parser.parse_args()


def _soak(names: list[str], minutes: float, seed: Optional[int]) -> str:
    """The part that has had the least time is next, so that each has its share however long its rounds are."""
    deadline = time.monotonic() + minutes * 60
    spent = {name: 0.0 for name in names}
    rounds = {name: 0 for name in names}
    while True:
        name = min(names, key=lambda one: spent[one])
        if seed is not None and rounds[name]:
            break
        began = time.monotonic()
        if seed is None and began >= deadline:
            break
        number = random.SystemRandom().randrange(1, _SEEDS) if seed is None else seed
        print(f"{time.strftime('%H:%M:%S')} {name}, seed {number}", flush=True)
        try:
            result = PARTS[name](number)
        except Failure as failure:
            again = f"again: scripts/soak --only {name} --seed {number}"
            raise SystemExit(f"FAILED: {name}, seed {number}\n{failure}\n{again}") from None
        spent[name] += time.monotonic() - began
        rounds[name] += 1
        print(f"  {result}", flush=True)
    return ", ".join(f"{rounds[name]} of {name} in {spent[name] / 60:.1f} min" for name in names)


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that servers are stopped and data removed
    options = _arguments()
    try:
        print(f"SOUND: {_soak(options.only, options.minutes, options.seed)}")
    except KeyboardInterrupt:
        sys.exit("stopped")


main()
