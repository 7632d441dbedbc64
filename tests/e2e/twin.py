# SPDX-License-Identifier: Apache-2.0
"""A running mongotwin: configured, started, asked, told, stopped and killed. Owned by one thread.

Everything that waits here waits for an event told by the status API, and ends at once, with the end of mongotwin's log,
when that event can't come any more.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Callable, Optional

from bson.timestamp import Timestamp
from cluster.process import Process, free_port, wait_until
from pymongo import MongoClient

REPOSITORY = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("MONGOTWIN", REPOSITORY / "build" / "mongotwin"))
_POLL_S = 0.02
_LOG_LINES = 40

Status = dict[str, Any]


class _Program(Process):
    @property
    def exit_status(self) -> Optional[int]:
        return self._popen.poll() if self._popen else None

    def wait(self, timeout: float) -> int:
        return self._popen.wait(timeout)

    def send(self, number: signal.Signals) -> None:
        self._signal(number)


class Twin:
    """Further configuration by keyword: databases=[…], on_existing_target="drop", lanes=2, …"""

    def __init__(self, directory: Path, source: str, target: str, env: Optional[dict[str, str]] = None, **config: Any) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.api = f"127.0.0.1:{self.port}"
        self.config_path = directory / "twin.yaml"
        self.log_path = directory / "mongotwin.log"
        write_config(self.config_path, source=source, target=target, api={"listen": self.api}, **config)
        self._environment = {**os.environ, **(env or {})}
        self._program: Optional[_Program] = None

    def __enter__(self) -> "Twin":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()

    # ---- life

    def start(self) -> "Twin":
        """Returns when the API answers, or the program has ended (see exit_status)."""
        command = [BINARY, "run", "--config", self.config_path]
        self._program = _Program(command, self.log_path, env=self._environment)
        self._program.start()
        wait_until(lambda: not self.is_running() or self._ask() is not None, "mongotwin's API answers", 30, interval=_POLL_S)
        return self

    def stop(self, timeout: float = 60) -> int:
        """SIGTERM; the exit status."""
        assert self._program
        self._program.send(signal.SIGTERM)
        try:
            return self._program.wait(timeout)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"mongotwin did not end within {timeout:g} s of SIGTERM\n{self.log_tail()}") from None

    def kill(self) -> None:
        """SIGKILL, if it runs."""
        if self._program is not None:
            self._program.kill()

    def is_running(self) -> bool:
        return self._program is not None and self._program.is_running()

    @property
    def pid(self) -> Optional[int]:
        return self._program.pid if self._program else None

    @property
    def exit_status(self) -> Optional[int]:
        return self._program.exit_status if self._program else None

    def wait_exit(self, timeout: float = 60) -> int:
        assert self._program
        return self._program.wait(timeout)

    # ---- what it says

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log_tail(self, lines: int = _LOG_LINES) -> str:
        return "mongotwin's log ends:\n" + "\n".join(self.log().splitlines()[-lines:])

    def status(self) -> Status:
        status = self._ask()
        if status is None:
            raise RuntimeError(f"mongotwin's API does not answer\n{self.log_tail()}")
        return status

    @property
    def state(self) -> str:
        return self.status()["state"]

    def _ask(self) -> Optional[Status]:
        try:
            with urllib.request.urlopen(f"http://{self.api}/api/v1/status", timeout=10) as answer:
                return json.load(answer)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return None

    # ---- waiting

    def wait_until(self, reached: Callable[[Status], bool], what: str, timeout: float = 120, interval: float = _POLL_S) -> Status:
        """The first status for which `reached` holds."""
        last: Status = {}

        def look() -> Optional[Status]:
            nonlocal last
            if not self.is_running():
                raise RuntimeError(f"{what}: mongotwin ended with status {self.exit_status}\n{self.log_tail()}")
            last = self._ask() or last
            if last and reached(last):
                return last
            if last.get("state") == "failed":
                raise RuntimeError(f"{what}: mongotwin failed: {last['error']}\n{self.log_tail()}")
            return None

        try:
            return wait_until(look, what, timeout, interval=interval)
        except TimeoutError as error:
            seen = {key: value for key, value in last.items() if key != "copy"}
            raise TimeoutError(f"{error}\nlast status: {json.dumps(seen)}\n{self.log_tail()}") from None

    def wait_for_state(self, *states: str, timeout: float = 120) -> Status:
        return self.wait_until(lambda status: status["state"] in states, f"state {' or '.join(states)}", timeout)

    def wait_for_applied(self, operations: int, timeout: float = 120) -> Status:
        """Until that many more operations have been applied than now."""
        goal = self.status()["ops"]["applied"] + operations
        return self.wait_until(lambda status: status["ops"]["applied"] >= goal, f"{goal} operations applied", timeout)

    def wait_caught_up(self, source: MongoClient, timeout: float = 120) -> Status:
        """Until everything is applied that is on the source now."""
        now = source.admin.command("ping")["operationTime"]
        return self.wait_until(lambda status: _is_applied(status, now), f"applied up to {now}", timeout)

    def wait_for_some_applied(self, source: MongoClient, operations: int, timeout: float = 120) -> Status:
        """Until that many more operations are applied than now, or everything is."""
        now = source.admin.command("ping")["operationTime"]
        goal = self.status()["ops"]["applied"] + operations
        return self.wait_until(lambda status: status["ops"]["applied"] >= goal or _is_applied(status, now), f"{goal} operations applied", timeout)

    def wait_shards_caught_up(self, cluster: Any, timeout: float = 120) -> Status:
        """The same for a sharded source, by each shard's own clock: also what was written past the router."""
        now = {}
        for shard in cluster.shards:
            with shard.client() as client:
                now[shard.name] = client.admin.command("ping")["operationTime"]

        def reached(status: Status) -> bool:
            applied = {name: position["applied"] for name, position in status["positions"].items()}
            return all(name in applied and Timestamp(applied[name]["t"], applied[name]["i"]) >= ts for name, ts in now.items())

        return self.wait_until(reached, f"applied up to {now}", timeout)

    def wait_failure(self, timeout: float = 120) -> str:
        """Until it has failed; what it says then, on its API or in its log."""

        def look() -> Optional[str]:
            if not self.is_running():
                return self.log()
            status = self._ask() or {}
            return " ".join(map(str, status["error"].values())) if status.get("state") == "failed" else None

        return wait_until(look, "mongotwin fails", timeout)

    # ---- commands

    def command(self, name: str, body: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        """POST /api/v1/<name>; raises RuntimeError with the answer if it is refused."""
        request = urllib.request.Request(f"http://{self.api}/api/v1/{name}", json.dumps(body or {}).encode(), {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{name} was refused: {error.read().decode(errors='replace')}") from None

    def pause(self) -> Status:
        self.command("pause")
        return self.wait_for_state("paused")

    def resume(self) -> Status:
        self.command("resume")
        return self.wait_for_state("replicating", "catching_up")

    def finish(self, timeout: float = 180) -> Status:
        """Drains and stops following; returns the last status."""
        self.wait_for_state("replicating", timeout=timeout)
        self.command("finish")
        return self.wait_for_state("finished", timeout=timeout)


def _is_applied(status: Status, up_to: Timestamp) -> bool:
    applied = [position["applied"] for position in status["positions"].values()]
    return bool(applied) and all(Timestamp(position["t"], position["i"]) >= up_to for position in applied)


def write_config(path: Path, **config: Any) -> None:
    """One key a line; JSON values are YAML values."""
    path.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in config.items()))


def mongotwin(*arguments: object, timeout: float = 120, env: Optional[dict[str, str]] = None) -> subprocess.CompletedProcess:
    """Runs the program to its end; what it printed is in .stdout and .stderr."""
    environment = {**os.environ, **(env or {})}
    command = [str(BINARY), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment, stdin=subprocess.DEVNULL)
