# SPDX-License-Identifier: Apache-2.0
"""bench/run: what mongotwin reaches of what the target's server can take. Ratios of one run on one machine.

(a) the raw limit: the documents inserted into the target from memory by a plain program
(b) the copy of the same documents from one replica set to another
(c) the limit for operations: the fixed mix written straight to the target as unordered bulks
(d) draining a backlog of the same operations
"""

import argparse
import json
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from cluster import ReplicaSet

ROOT = Path(__file__).resolve().parent.parent
TOOL = ROOT / "build/bench/bench_tool"
TWIN = ROOT / "build/mongotwin"


def tool(*arguments):
    out = subprocess.run([TOOL, *map(str, arguments)], check=True, capture_output=True, text=True)
    result = json.loads(out.stdout)
    return result["count"] / result["seconds"]


class Twin:
    """A running mongotwin; polled through its status."""

    def __init__(self, directory, source, target):
        config = directory / "twin.yaml"
        port_file = directory / "log"
        config.write_text(
            f"source: {source.uri}\ntarget: {target.uri}\ndatabases: [bench]\n"
            f"api: {{listen: '127.0.0.1:{free_port()}'}}\n"
        )
        self.api = config.read_text().rsplit("'", 2)[1]
        self.log = open(port_file, "w")
        self.process = subprocess.Popen([TWIN, "run", "--config", config], stdout=self.log, stderr=self.log)

    def status(self):
        if self.process.poll() is not None:
            raise SystemExit(f"mongotwin ended with status {self.process.returncode}; see {self.log.name}")
        try:
            with urllib.request.urlopen(f"http://{self.api}/api/v1/status", timeout=5) as answer:
                return json.load(answer)
        except (urllib.error.URLError, ConnectionError):
            return None

    def post(self, command):
        urllib.request.urlopen(urllib.request.Request(f"http://{self.api}/api/v1/{command}", method="POST"), timeout=5)

    def wait(self, what, condition):
        while True:
            status = self.status()
            if status and status["state"] == "failed":
                raise SystemExit(f"{what}: mongotwin failed: {status['error']}")
            if status and condition(status):
                return status
            time.sleep(0.05)

    def peak_mb(self):
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


def free_port():
    import socket

    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def main():
    parser = argparse.ArgumentParser(prog="bench/run")
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--operations", type=int, default=300_000)
    parser.add_argument("--threads", type=int, default=4, help="of the plain program")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mongotwin-bench-") as name:
        directory = Path(name)
        big = dict(oplog_mb=2000, cache_gb=1.5)
        with ReplicaSet(name="source", base_dir=directory, **big) as source, ReplicaSet(name="target", base_dir=directory, **big) as target:
            print(f"loading {args.documents:,} documents into the source …", flush=True)
            tool("load", source.uri, "bench.orders", args.documents, args.threads)

            raw = tool("load", target.uri, "raw.orders", args.documents, args.threads)
            print(f"(a) raw limit of inserts       {raw:10,.0f} documents/s", flush=True)
            ops_limit = tool("ops", target.uri, "raw.orders", args.documents, args.operations, args.threads)
            print(f"(c) raw limit of operations    {ops_limit:10,.0f} operations/s", flush=True)
            target.client().drop_database("raw")

            twin = Twin(directory, source, target)
            twin.wait("copy", lambda s: s["state"] == "copying" and s["copy"]["documents_done"] > 0)
            begin = time.monotonic()
            before = twin.status()["copy"]["documents_done"]
            done = twin.wait("copy", lambda s: s["state"] not in ("starting", "copying"))
            copy = (done["copy"]["documents_done"] - before) / (time.monotonic() - begin)
            copy_mb = twin.peak_mb()
            print(f"(b) copy                       {copy:10,.0f} documents/s   b/a = {copy / raw:.2f}", flush=True)

            twin.wait("catch-up", lambda s: s["state"] == "replicating")
            twin.post("pause")
            twin.wait("pause", lambda s: s["state"] == "paused")
            applied = twin.status()["ops"]["applied"]
            tool("ops", source.uri, "bench.orders", args.documents, args.operations, args.threads)
            begin = time.monotonic()
            twin.post("resume")
            twin.wait("backlog", lambda s: s["ops"]["applied"] >= applied + args.operations)
            drain = args.operations / (time.monotonic() - begin)
            print(f"(d) draining the backlog       {drain:10,.0f} operations/s  d/c = {drain / ops_limit:.2f}", flush=True)
            print(f"peak resident memory           {copy_mb:10,.0f} MB after the copy, {twin.peak_mb():,.0f} MB at the end")
            twin.stop()


if __name__ == "__main__":
    main()
