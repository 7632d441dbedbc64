# SPDX-License-Identifier: Apache-2.0
"""Connections to the shards and the config server: pools, primaries, calls in parallel.

`Backend.call_many` sends to all shards first and then reads the answers, so that they
work at the same time. A connection that fails is thrown away with all idle ones of its
shard; the primary is looked for again on the next call. Thread-safe.
"""

import threading
import time

from . import scan
from .errors import NOT_PRIMARY_CODES, CommandError, Unreachable
from .scram import authenticate, keyfile_password
from .wire import Connection, ProtocolError, ask

CONFIG = "config"  # the config server under the name of a shard
IDLE_MAX = 64
FIND_PRIMARY_S = 20.0
RETRIES = 4


class Target:
    """One shard: its members, its primary as far as known, and idle connections."""

    def __init__(self, name, seed):
        self.name = name
        self.lock = threading.Lock()
        self.set_seed(seed)
        self.primary = None
        self.idle = {False: [], True: []}  # by whether the connection is internal
        self.generation = 0

    def set_seed(self, seed):
        self.seed = seed
        hosts = seed.partition("/")[2] or seed
        self.hosts = [(h.rpartition(":")[0], int(h.rpartition(":")[2])) for h in hosts.split(",")]


class Backend:
    """See the top of this file."""

    def __init__(self, config_seed, clock, keyfile=None):
        self.clock = clock
        self._password = keyfile_password(keyfile) if keyfile else None
        self._targets = {CONFIG: Target(CONFIG, config_seed)}
        self._lock = threading.Lock()
        self.max_wire_version = 17

    @property
    def has_auth(self):
        return self._password is not None

    def set_shards(self, shards):
        """The shards by name and seed as config.shards says."""
        with self._lock:
            for name, seed in shards.items():
                known = self._targets.get(name)
                if known is None:
                    self._targets[name] = Target(name, seed)
                elif known.seed != seed:
                    known.set_seed(seed)
            for name in set(self._targets) - set(shards) - {CONFIG}:
                self._drop_idle(self._targets.pop(name))

    def shard_names(self):
        return sorted(set(self._targets) - {CONFIG})

    # ---- one connection

    def connect(self, name, internal=False):
        """A new, logged in connection to a shard's primary. An internal one says that a
        server speaks: only then is a shard a router itself for what an aggregate reads; it
        must then always name its read and write concern."""
        target = self.target(name)
        host, port = self.primary_of(target)
        try:
            connection = Connection(host, port)
            if self._password:
                authenticate(connection, "__system", self._password, "local")
            if internal:
                wire = {"minWireVersion": self.max_wire_version, "maxWireVersion": self.max_wire_version}
                connection.command("admin", {"hello": 1, "internalClient": wire})
        except (OSError, ProtocolError) as error:
            self.lost_primary(name)
            raise Unreachable(name, error) from error
        connection.generation, connection.internal = target.generation, internal
        return connection

    def take(self, name, internal=False):
        """An idle or new connection; give it back with `give` or close it."""
        target = self.target(name)
        with target.lock:
            if target.idle[internal]:
                return target.idle[internal].pop()
        return self.connect(name, internal)

    def give(self, name, connection):
        target = self._targets.get(name)
        if target is not None:
            with target.lock:
                idle = target.idle[connection.internal]
                if connection.generation == target.generation and len(idle) < IDLE_MAX:
                    idle.append(connection)
                    return
        connection.close()

    def target(self, name):
        target = self._targets.get(name)
        if target is None:
            raise CommandError(70, f"no shard {name}")
        return target

    # ---- primaries

    def primary_of(self, target):
        """Host and port of the primary; waits for one to be elected."""
        if target.primary:
            return target.primary
        deadline = time.monotonic() + FIND_PRIMARY_S
        while True:
            for host in self._candidates(target):
                answer = self._hello(host)
                if answer and answer.get("isWritablePrimary"):
                    target.primary = host
                    self.max_wire_version = answer["maxWireVersion"]
                    return host
            if time.monotonic() > deadline:
                raise CommandError(133, f"shard {target.name} has no primary")
            time.sleep(0.05)

    @staticmethod
    def _candidates(target):
        return list(target.hosts)

    @staticmethod
    def _hello(host):
        try:
            return ask(host[1], "admin", {"hello": 1}, timeout=2.0)
        except (OSError, ProtocolError):
            return None

    def lost_primary(self, name):
        """Forget the primary and all idle connections of a shard."""
        target = self._targets.get(name)
        if target is not None:
            target.primary = None
            self._drop_idle(target)

    @staticmethod
    def _drop_idle(target):
        with target.lock:
            target.generation += 1
            idle, target.idle = target.idle, {False: [], True: []}
        for connection in idle[False] + idle[True]:
            connection.close()

    # ---- calls

    def call(self, name, body, sequences=(), retry=False, internal=False):
        """The raw reply of one shard. With `retry` (reads, retryable writes) a lost
        connection or primary is survived; else Unreachable."""
        return self.call_many([(name, body, sequences)], retry, internal)[0]

    def call_many(self, requests, retry=False, internal=False):
        """The raw replies to (shard, body, sequences), in order, all under way at once."""
        replies = self._attempt(requests, internal)
        for attempt in range(RETRIES):
            lost = [i for i, reply in enumerate(replies) if isinstance(reply, Unreachable)]
            if not lost or not retry:
                break
            time.sleep(0.05 * attempt)
            for i, reply in zip(lost, self._attempt([requests[i] for i in lost], internal)):
                replies[i] = reply
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return replies

    def call_each(self, requests):
        """As call_many, but an Unreachable stands in the list in place of its reply."""
        return self._attempt(requests)

    def command(self, name, database, command, retry=True):
        """A dict in, the decoded reply out; CommandError if it failed."""
        content = scan.encode_elements({**command, "$db": database}) + self.clock.element
        reply = scan.decode(self.call(name, scan.frame(content), retry=retry))
        if not reply.get("ok"):
            raise CommandError.from_reply(reply)
        return reply

    def find_all(self, name, database, command):
        """All documents of a find or aggregate command, decoded."""
        cursor = self.command(name, database, command)["cursor"]
        documents = list(cursor["firstBatch"])
        collection = cursor["ns"].partition(".")[2]
        while cursor["id"]:
            more = {"getMore": cursor["id"], "collection": collection}
            cursor = self.command(name, database, more)["cursor"]
            documents += cursor["nextBatch"]
        return documents

    def _attempt(self, requests, internal=False):
        taken = []
        for name, body, sequences in requests:
            taken.append(self._send(name, body, sequences, internal))
        return [
            self._receive(name, connection) if not isinstance(connection, Exception) else connection
            for (name, _, _), connection in zip(requests, taken)
        ]

    def _send(self, name, body, sequences, internal):
        try:
            connection = self.take(name, internal)
        except CommandError as error:
            return error
        try:
            connection.send(body, sequences)
            return connection
        except OSError as error:
            connection.close()
            self.lost_primary(name)
            return Unreachable(name, error)

    def _receive(self, name, connection):
        try:
            reply = connection.receive()
        except (OSError, ProtocolError) as error:
            connection.close()
            self.lost_primary(name)
            return Unreachable(name, error)
        self.clock.observe(reply)
        if self._lost_by(reply):
            connection.close()
            self.lost_primary(name)
            return Unreachable(name, scan.decode(reply).get("errmsg", "not primary"))
        self.give(name, connection)
        return reply

    @staticmethod
    def _lost_by(reply):
        """Whether a failed reply says that this member is no primary (any more)."""
        code = scan.find(reply, b"code")
        if code is None:
            return False
        value = scan.decode_value(code[0], reply, code[2], code[3])
        return value in NOT_PRIMARY_CODES
