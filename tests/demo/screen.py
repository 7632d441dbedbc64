# SPDX-License-Identifier: Apache-2.0
"""What the demo shows: lines that stay, and on a terminal a live part below them that is redrawn in place; elsewhere the
live part becomes a plain line every few seconds. Thread-safe."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from typing import Any

_PLAIN_EVERY_S = 5.0
_REDRAW_EVERY_S = 0.1
_BAR_WIDTH = 30
_COLLECTIONS_SHOWN = 8


class Screen:
    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._live_lines = 0
        self._drawn_at = 0.0
        self._lock = threading.Lock()

    def line(self, text: str = "") -> None:
        with self._lock:
            self._erase()
            print(text, flush=True)

    def live(self, lines: list[str], first_of_its_kind: bool = False) -> None:
        """The first line must be able to stand alone: it is all that is shown where there is no terminal."""
        with self._lock:
            now = time.monotonic()
            if first_of_its_kind or now - self._drawn_at >= (_REDRAW_EVERY_S if self._terminal else _PLAIN_EVERY_S):
                self._drawn_at = now
                self._draw(lines)

    def _draw(self, lines: list[str]) -> None:
        if not self._terminal:
            print(lines[0], flush=True)
            return
        self._erase()
        width = shutil.get_terminal_size().columns - 1
        sys.stdout.write("".join(line[:width] + "\n" for line in lines))
        sys.stdout.flush()
        self._live_lines = len(lines)

    def _erase(self) -> None:
        if self._live_lines:
            sys.stdout.write(f"\x1b[{self._live_lines}A\x1b[J")
            self._live_lines = 0


def bar(done: float, total: float) -> str:
    fraction = min(1.0, done / total) if total else 0.0
    full = int(fraction * _BAR_WIDTH)
    return f"[{'#' * full}{'-' * (_BAR_WIDTH - full)}] {fraction * 100:5.1f} %"


def status_lines(status: dict[str, Any], written: int) -> list[str]:
    """The status of mongotwin's API, for people."""
    if status["state"] == "copying":
        return _copy_lines(status["copy"], written)
    ops, lag = status["ops"], status["lag_ms"]
    shown_lag = "unknown" if lag is None else f"{lag / 1000:.1f} s"
    text = f"{status['state']:<12} lag {shown_lag}, {ops['per_second']:,.0f} operations/s, {ops['applied']:,} applied"
    return [f"{text}; {written:,} written to the source", *_kind_lines(ops["by_kind"])]


def _copy_lines(copy: dict[str, Any], written: int) -> list[str]:
    eta = f", {copy['eta_s']} s to go" if copy["eta_s"] is not None else ""
    counts = f"{copy['documents_done']:,} of {copy['documents_total']:,} documents, {copy['bytes_done'] / 1e6:,.0f} MB"
    head = f"copying      {bar(copy['bytes_done'], copy['bytes_total'])}  {counts}{eta}; {written:,} written meanwhile"
    under_way = [c for c in copy["collections"] if not c["done"] and c["documents_done"]]
    under_way.sort(key=lambda c: -c["bytes_total"])
    rows = [f"  {c['ns']:<20} {bar(c['documents_done'], c['documents_total'])}" for c in under_way[:_COLLECTIONS_SHOWN]]
    return [head, *rows]


def _kind_lines(by_kind: dict[str, int]) -> list[str]:
    return ["  " + ", ".join(f"{number:,} {kind}" for kind, number in by_kind.items())] if by_kind else []
