# SPDX-License-Identifier: Apache-2.0
"""A replica set of real mongods, 1 to 3 members, with or without authentication.

`start()` returns when a primary takes writes (and the first user is there); a set that
was stopped starts again on its data. As a context manager it removes the data at the end
(a member takes some 100 MB at least) and leaves the logs. Members can be killed, paused and stepped down.
"""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pymongo
from pymongo.errors import AutoReconnect, OperationFailure

from .auth import make_keyfile
from .binaries import find_mongod
from .process import Process, free_port, wait_until
from .router.scram import authenticate, keyfile_password
from .router.wire import Connection, ask

ELECTION_TIMEOUT_MS = 3000
_SMALL_JOURNAL = "log=(file_max=32MB,prealloc=false)"  # else 300 MB a member
_NO_SECONDARY_CAUGHT_UP = 262


class Member:
    """One mongod of a replica set. Owned by its ReplicaSet."""

    def __init__(self, replica_set, index, port):
        self._set = replica_set
        self.index = index
        self.port = port  # where mongod listens
        self.public_port = port  # what the set's configuration says: the proxy, if there is one
        self.proxy = None
        self.directory = replica_set.base_dir / f"{replica_set.name}-{index}"
        self._process = None

    def __repr__(self):
        return f"<{self._set.name}[{self.index}] 127.0.0.1:{self.port}>"

    @property
    def address(self):
        return f"127.0.0.1:{self.public_port}"

    @property
    def pid(self):
        return self._process.pid if self._process else None

    @property
    def log_path(self):
        return self.directory / "mongod.log"

    def start(self):
        """Start mongod and wait until it answers."""
        data = self.directory / "data"
        data.mkdir(parents=True, exist_ok=True)
        self._process = Process(self._set.mongod_command(self, data), self.log_path)
        self._process.start()
        wait_until(
            lambda: self.hello() is not None,
            f"{self} answers",
            timeout=90,
            failed=self._process.failure,
        )

    def stop(self):
        """Orderly shutdown (SIGTERM)."""
        if self._process:
            self._process.stop()

    def kill(self):
        """SIGKILL, as a power cut for this process."""
        if self._process:
            self._process.kill()

    def pause(self):
        """SIGSTOP: connections stay open, nothing answers."""
        self._process.pause()

    def resume(self):
        self._process.resume()

    def is_running(self):
        return self._process is not None and self._process.is_running()

    def hello(self):
        """What the member says of itself, or None if it does not answer."""
        try:
            return ask(self.port, "admin", {"hello": 1}, timeout=2.0)
        except (OSError, ValueError):
            return None

    def is_primary(self):
        answer = self.hello() if self.is_running() else None
        return bool(answer and answer.get("isWritablePrimary"))

    def is_healthy(self):
        """Whether the member is primary or secondary (not starting or recovering)."""
        answer = self.hello() or {}
        return bool(answer.get("isWritablePrimary") or answer.get("secondary"))

    def client(self, **options):
        """A client of this member alone (direct connection)."""
        auth = self._set.auth
        if auth:
            options = {"username": auth.user, "password": auth.password, **options}
        return pymongo.MongoClient("127.0.0.1", self.port, directConnection=True, **options)


class ReplicaSet:
    """See the top of this file. Owned by one thread."""

    def __init__(
        self,
        name="rs",
        base_dir=None,
        members=1,
        port=None,
        auth=None,
        oplog_mb=128,
        cache_gb=0.25,
        set_parameters=None,
        mongod=None,
        role=None,
        keyfile=None,
        proxied=False,
        keep_data=False,
        extra_args=(),
    ):
        if not 1 <= members <= 3:
            raise ValueError("a replica set has 1 to 3 members here")
        if base_dir is None:
            raise ValueError("base_dir is needed: where the data and logs go")
        self.name = name
        self.base_dir = Path(base_dir)
        self.auth = auth
        self.role = role  # None, "shardsvr" or "configsvr"
        self.keyfile = keyfile
        self._mongod = mongod or find_mongod()
        self._oplog_mb = oplog_mb
        self._cache_gb = cache_gb
        self._set_parameters = dict(set_parameters or {})
        self._extra_args = list(extra_args)
        self._proxied = proxied
        self._keep_data = keep_data
        self._initiated = False
        ports = [port + i if port else free_port() for i in range(members)]
        self.members = [Member(self, i, p) for i, p in enumerate(ports)]

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_):
        self.stop()
        if not self._keep_data:
            self.remove_data()

    # ---- addresses and clients

    @property
    def hosts(self):
        return ",".join(member.address for member in self.members)

    @property
    def seed(self):
        """As addShard and sharding commands write it: name/host:port,…"""
        return f"{self.name}/{self.hosts}"

    @property
    def uri(self):
        user = self.auth.uri_prefix if self.auth else ""
        source = "&authSource=admin" if self.auth else ""
        return f"mongodb://{user}{self.hosts}/?replicaSet={self.name}{source}"

    def client(self, **options):
        return pymongo.MongoClient(self.uri, **options)

    # ---- life

    def start(self):
        """Start all members; initiate the set and make the first user the first time."""
        self.base_dir.mkdir(parents=True, exist_ok=True)
        if self.auth and not self.keyfile:
            self.keyfile = make_keyfile(self.base_dir / f"{self.name}.key")
        if self._proxied:
            self._start_proxies()
        with ThreadPoolExecutor(len(self.members)) as pool:
            list(pool.map(Member.start, [m for m in self.members if not m.is_running()]))
        if not self._initiated:
            self._initiate()
        self._elect_first()
        wait_until(
            lambda: all(member.is_healthy() for member in self.members if member.is_running()),
            f"all members of {self.name} are primary or secondary",
        )
        if self.auth and not self._initiated:
            self._create_first_user()
        self._initiated = True

    def stop(self):
        """Orderly shutdown of every member. The data stays."""
        running = [member for member in self.members if member.is_running()]
        if running:
            with ThreadPoolExecutor(len(running)) as pool:
                list(pool.map(Member.stop, running))
        self._stop_proxies()

    def kill(self):
        """SIGKILL to every member at once."""
        for member in self.members:
            member.kill()
        self._stop_proxies()

    def remove_data(self):
        """Delete the data of the (stopped) members, not their logs; the next start begins
        anew."""
        for member in self.members:
            shutil.rmtree(member.directory / "data", ignore_errors=True)
        self._initiated = False

    # ---- primary

    def primary(self):
        """The member that is primary now, or None."""
        return next((member for member in self.members if member.is_primary()), None)

    def wait_primary(self, timeout=60, other_than=None):
        """Wait for a primary that takes writes (other than a given member)."""

        def found():
            member = self.primary()
            return member if member is not other_than else None

        return wait_until(found, f"{self.name} has a primary", timeout)

    def kill_primary(self):
        """SIGKILL the primary; returns the member. Does not wait for the next one."""
        member = self.wait_primary()
        member.kill()
        return member

    def step_down(self, seconds=20):
        """Make the primary step down and wait for the next one (with a single member: the
        same one, elected again); returns the new primary. The old one may be elected again
        as soon as there is a new one."""
        old = self.wait_primary()
        alone = len(self.members) == 1
        with old.client() as client:
            wait_until(
                lambda: self._try_step_down(client, seconds, alone), f"{old} steps down", 60
            )
            new = None if alone else self.wait_primary(other_than=old)
            client.admin.command("replSetFreeze", 0)
        return new or self.wait_primary()

    @staticmethod
    def _try_step_down(client, seconds, force):
        command = {"replSetStepDown": seconds, "force": force}
        if not force:
            command["secondaryCatchUpPeriodSecs"] = min(10, seconds - 1)
        try:
            client.admin.command(command)
        except AutoReconnect:
            pass  # servers before 4.2 close every connection
        except OperationFailure as error:
            if error.code != _NO_SECONDARY_CAUGHT_UP:
                raise
            return False
        return True

    # ---- details

    def mongod_command(self, member, data):
        """The command line of a member."""
        parameters = {
            "diagnosticDataCollectionEnabled": "false",
            "shutdownTimeoutMillisForSignaledShutdown": 100,
            **self._set_parameters,
        }
        command = [self._mongod, "--replSet", self.name, "--dbpath", data]
        command += ["--port", member.port, "--bind_ip", "127.0.0.1", "--nounixsocket"]
        command += ["--logpath", member.log_path, "--logappend"]
        command += ["--wiredTigerCacheSizeGB", self._cache_gb, "--oplogSize", self._oplog_mb]
        command += ["--wiredTigerEngineConfigString", _SMALL_JOURNAL]
        if self.role:
            command.append(f"--{self.role}")
        if self.keyfile:
            command += ["--keyFile", self.keyfile]
        for key, value in parameters.items():
            command += ["--setParameter", f"{key}={value}"]
        return command + self._extra_args

    def _initiate(self):
        first = self.members[0]
        config = {
            "_id": self.name,
            "members": [{"_id": m.index, "host": m.address} for m in self.members],
            "settings": {
                "electionTimeoutMillis": ELECTION_TIMEOUT_MS,
                "heartbeatIntervalMillis": 500,
            },
        }
        if self.role == "configsvr":
            config["configsvr"] = True
        answer = ask(first.port, "admin", {"replSetInitiate": config}, timeout=60)
        if not answer.get("ok") and answer.get("codeName") != "AlreadyInitialized":
            raise RuntimeError(f"replSetInitiate of {self.name}: {answer.get('errmsg')}")

    def _elect_first(self):
        """Wait for a primary, and do not sit out the election's time-out: ask for one."""

        def found():
            if self.primary() is None:
                self._ask_as_system({"replSetStepUp": 1})
            return self.primary()

        wait_until(found, f"{self.name} has a primary", interval=0.1)

    def _ask_as_system(self, command):
        """A command on the first member as a member itself would send it; errors don't matter."""
        connection = Connection("127.0.0.1", self.members[0].port, 5.0, 10.0)
        try:
            if self.keyfile:
                authenticate(connection, "__system", keyfile_password(self.keyfile), "local")
            return connection.command("admin", command)
        except (OSError, PermissionError):
            return None
        finally:
            connection.close()

    def _create_first_user(self):
        """Through the localhost exception, which the first user ends."""
        answer = ask(
            self.wait_primary().port,
            "admin",
            {"createUser": self.auth.user, "pwd": self.auth.password, "roles": ["root"]},
            timeout=60,
        )
        if not answer.get("ok") and answer.get("code") not in (51003, 13):  # there already
            raise OperationFailure(f"first user of {self.name}: {answer.get('errmsg')}")

    def _start_proxies(self):
        from .proxy import Proxy

        for member in self.members:
            if member.proxy is None:
                member.public_port = free_port()
                member.proxy = Proxy(member.public_port, member.port)
            member.proxy.start()

    def _stop_proxies(self):
        for member in self.members:
            if member.proxy:
                member.proxy.stop()
