# SPDX-License-Identifier: Apache-2.0
"""Server processes: start, stop, kill, pause, and never leave one behind.

A reaper process (one for each Python process that uses this module) holds the reading
end of a pipe on which every start and end of a child is told. When the Python process
dies, in whatever way, the pipe closes and the reaper kills what is left. PR_SET_PDEATHSIG
would not do: it fires when the *thread* that started the child ends.
"""

import atexit
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

_REAPER = r"""
import os, signal, sys
def started(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[19]
    except OSError:
        return None
alive = {}
for line in sys.stdin:
    pid = int(line[1:])
    if line[0] == "+":
        alive[pid] = started(pid)
    else:
        alive.pop(pid, None)
for pid, since in alive.items():
    if since is not None and started(pid) == since:
        os.kill(pid, signal.SIGKILL)
"""


class _Reaper:
    """Tells the reaper process about children. Thread-safe."""

    def __init__(self):
        self._lock = threading.Lock()
        self._process = None
        self._owner = None

    def tell(self, sign, pid):
        with self._lock:
            if self._process is None or self._owner != os.getpid():
                self._start()
            self._process.stdin.write(f"{sign}{pid}\n")
            self._process.stdin.flush()

    def _start(self):
        self._owner = os.getpid()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _REAPER],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        atexit.register(self._close, self._process)

    @staticmethod
    def _close(process):
        process.stdin.close()
        process.wait()


_reaper = _Reaper()
_handed_out = set()
_ports_lock = threading.Lock()


def free_port():
    """A port on loopback that nobody listens on, below the kernel's ephemeral range and
    never handed out twice by this process."""
    with _ports_lock:
        for _ in range(1000):
            port = random.randrange(20000, 31000)
            if port in _handed_out or not _can_bind(port):
                continue
            _handed_out.add(port)
            return port
    raise RuntimeError("no free port between 20000 and 31000")


def _can_bind(port):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def wait_until(condition, what, timeout=60.0, interval=0.05, failed=None):
    """Wait for `condition()` to be true and return its value; TimeoutError names `what`.
    `failed()` may return a sentence that ends the waiting at once."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        trouble = failed() if failed else None
        if trouble:
            raise RuntimeError(f"{what}: {trouble}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout:g} s")
        time.sleep(interval)


class Process:
    """One server process with its log. Owned by one thread at a time."""

    def __init__(self, command, log_path, env=None):
        self._command = [str(part) for part in command]
        self.log_path = Path(log_path)
        self._env = env
        self._popen = None

    @property
    def pid(self):
        return self._popen.pid if self._popen else None

    def is_running(self):
        return self._popen is not None and self._popen.poll() is None

    def start(self):
        if self.is_running():
            raise RuntimeError(f"already running as {self.pid}: {self._command[0]}")
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log_path, "ab") as log:
            self._popen = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._env,
                start_new_session=True,  # Ctrl-C reaches us only, and we stop it in order
            )
        _reaper.tell("+", self.pid)

    def kill(self):
        """SIGKILL and wait."""
        self._end(signal.SIGKILL, timeout=30)

    def stop(self, timeout=60):
        """SIGTERM and wait; SIGKILL if that takes longer than `timeout`."""
        self.resume()
        try:
            self._end(signal.SIGTERM, timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def pause(self):
        self._signal(signal.SIGSTOP)

    def resume(self):
        self._signal(signal.SIGCONT)

    def log_tail(self, lines=15):
        try:
            with open(self.log_path, errors="replace") as log:
                return "".join(log.readlines()[-lines:])
        except OSError as error:
            return str(error)

    def failure(self):
        """A sentence if the process has ended, else None."""
        if self._popen is None or self._popen.poll() is None:
            return None
        return f"ended with status {self._popen.returncode}; its log ends:\n{self.log_tail()}"

    def _signal(self, number):
        if self.is_running():
            self._popen.send_signal(number)

    def _end(self, number, timeout):
        if self._popen is None:
            return
        self._signal(number)
        self._popen.wait(timeout)
        _reaper.tell("-", self.pid)
