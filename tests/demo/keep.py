# SPDX-License-Identifier: Apache-2.0
"""--keep: the demo runs in a process of its own that outlives the command and holds the clusters until it is told to stop.
The command waits for the verdict, hands Ctrl-C on, and ends with the verdict's status."""

from __future__ import annotations

import os
import signal
import sys
from typing import Callable

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_detached(run: Callable[[Callable[[int], None]], int]) -> int:
    """`run(release)` calls release(status) when the command may end; returning without that ends the command too."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.setsid()
        _keep_terminal_to_ourselves()
        raise SystemExit(run(lambda status: _release(writing, status)))
    os.close(writing)
    return _wait_for_verdict(child, reading)


def _keep_terminal_to_ourselves() -> None:
    """What we start must not inherit the command's output: a pipe behind it would never end."""
    with open(os.devnull, "r+b") as nothing:
        for stream in ("stdout", "stderr"):
            number = getattr(sys, stream).fileno()
            setattr(sys, stream, os.fdopen(os.dup(number), "w"))  # not inheritable
            os.dup2(nothing.fileno(), number)
        os.dup2(nothing.fileno(), 0)


def _release(writing: int, status: int) -> None:
    os.write(writing, bytes([status]))
    os.close(writing)


def _wait_for_verdict(child: int, reading: int) -> int:
    for number in _SIGNALS:
        signal.signal(number, lambda *_: os.kill(child, signal.SIGTERM))
    verdict = os.read(reading, 1)
    return verdict[0] if verdict else os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def hold() -> None:
    """Lets go of the terminal and waits for SIGTERM or SIGINT (which their handlers turn into the end)."""
    for stream in ("stdout", "stderr"):
        getattr(sys, stream).close()
        setattr(sys, stream, open(os.devnull, "w"))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    while True:
        signal.pause()
