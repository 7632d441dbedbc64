# SPDX-License-Identifier: Apache-2.0
"""What the parts share."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
import traceback
from pathlib import Path
from types import TracebackType
from typing import Optional, Sequence

REPOSITORY = Path(__file__).resolve().parents[2]


class Failure(Exception):
    """A round failed; the text is all that is known."""


class Story:
    """A round's directory and what happened in it: a Failure that ends the round tells it and keeps the directory."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="mongotwin-soak-"))
        self._happened: list[str] = []
        self._began = time.monotonic()

    def note(self, what: str) -> None:
        self._happened.append(f"{time.monotonic() - self._began:6.1f} s  {what}")

    def __enter__(self) -> "Story":
        return self

    def __exit__(self, _: object, error: Optional[BaseException], trace: Optional[TracebackType]) -> None:
        if error is not None and isinstance(error, Exception):  # whatever it is, it is what the soak is for
            happened = "\n".join(self._happened)
            text = "".join(traceback.format_exception(type(error), error, trace))
            raise Failure(f"{text}\nwhat happened:\n{happened}\nlogs and configuration: {self.directory}") from None
        shutil.rmtree(self.directory, ignore_errors=True)


def run_program(command: Sequence[object], timeout: float) -> str:
    """Its last line of output; raises Failure with all of it if it does not end well."""
    try:
        done = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise Failure(f"{error}\n{error.output or ''}") from None
    if done.returncode != 0:
        raise Failure(f"{done.stdout}\nended with status {done.returncode}: {' '.join(map(str, command))}")
    return done.stdout.strip().splitlines()[-1]
