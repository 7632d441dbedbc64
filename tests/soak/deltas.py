# SPDX-License-Identifier: Apache-2.0
"""The property test of deltas, with another seed and more updates than in the tests."""

from __future__ import annotations

import sys

from .round import REPOSITORY, run_program

_UPDATES_A_ROUND = 40_000
_TIMEOUT_S = 1800.0


def run(seed: int) -> str:
    test = REPOSITORY / "tests" / "delta" / "test_delta_property.py"
    return run_program([sys.executable, test, "--updates", _UPDATES_A_ROUND, "--seed", seed], _TIMEOUT_S)
