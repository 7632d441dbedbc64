# SPDX-License-Identifier: Apache-2.0
"""What the parts share."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Sequence

REPOSITORY = Path(__file__).resolve().parents[2]


class Failure(Exception):
    """A round failed; the text is all that is known."""


def run_program(command: Sequence[object], timeout: float) -> str:
    """Its last line of output; raises Failure with all of it if it does not end well."""
    try:
        done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise Failure(f"{error}\n{error.output or ''}") from None
    if done.returncode != 0:
        raise Failure(f"{done.stdout}\nended with status {done.returncode}: {' '.join(map(str, command))}")
    return done.stdout.strip().splitlines()[-1]
