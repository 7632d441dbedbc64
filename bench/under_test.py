# SPDX-License-Identifier: Apache-2.0
"""What the benchmark starts and measures: the plain program, the delaying proxy, and mongotwin's copy."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from e2e.twin import BINARY, REPOSITORY, Twin

TOOLS = REPOSITORY / "build" / "bench"
PATIENCE_S = 3600


def tool(*arguments):
    """What bench_tool did, per second."""
    out = subprocess.run([TOOLS / "bench_tool", *map(str, arguments)], check=True, stdout=subprocess.PIPE, text=True)
    result = json.loads(out.stdout)
    return result["count"] / result["seconds"]


class DelayProxy:
    """In front of one server. Owned by one thread; ends with the block."""

    def __init__(self, listen_port, target_port):
        self._process = subprocess.Popen([TOOLS / "delay_proxy", str(listen_port), str(target_port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self._process.stdout.readline() != "listening\n":
            raise SystemExit(f"delay_proxy does not listen on {listen_port}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.communicate()

    def set_rtt_ms(self, rtt_ms):
        self._process.stdin.write(f"{rtt_ms}\n")
        self._process.stdin.flush()


@dataclass
class Copy:
    documents_per_s: float  # from the first document seen to the last range
    index_s: float  # from then to the end of the copy
    peak_mb: float


def measure_copy(twin):
    """Of a twin that is not started yet."""
    twin.start()
    first = twin.wait_until(lambda s: s["copy"]["documents_done"] > 0, "the copy begins", PATIENCE_S)
    begin = time.monotonic()
    whole = twin.wait_until(lambda s: 0 < s["copy"]["ranges_total"] == s["copy"]["ranges_done"], "all ranges are copied", PATIENCE_S)
    copied = time.monotonic()
    twin.wait_until(lambda s: s["state"] not in ("starting", "copying"), "the copy ends", PATIENCE_S)
    indexed = time.monotonic()
    documents = whole["copy"]["documents_done"] - first["copy"]["documents_done"]
    return Copy(documents / (copied - begin), indexed - copied, peak_mb(twin))


def peak_mb(twin):
    for line in Path(f"/proc/{twin.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"no VmHWM of {BINARY}")
