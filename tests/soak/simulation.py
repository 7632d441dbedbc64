# SPDX-License-Identifier: Apache-2.0
"""A block of seeds of tests/sim; the program itself says which one failed, and how to see what happened in it."""

from __future__ import annotations

from .round import REPOSITORY, run_program

_SEEDS_A_ROUND = 3000
_TIMEOUT_S = 1800.0


def run(seed: int) -> str:
    program = REPOSITORY / "build" / "tests" / "sim" / "sim"
    return run_program([program, "--seeds", f"{seed}-{seed + _SEEDS_A_ROUND - 1}"], _TIMEOUT_S)
