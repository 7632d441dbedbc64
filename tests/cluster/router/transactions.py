# SPDX-License-Identifier: Apache-2.0
"""Transactions over shards: who takes part, and how they commit.

The first statement on a shard starts the transaction there; the first shard is the
coordinator. One participant, or at most one that wrote, commits directly; several writers
commit in two phases through the coordinator. A Transaction is used by one thread at a
time (a session does one thing at a time); the registry is thread-safe.
"""

import threading
import time

from bson.timestamp import Timestamp

from . import scan
from .errors import RETRYABLE_CODES, CommandError, Unreachable

IDLE_S_MAX = 1800
TRANSIENT = ["TransientTransactionError"]


class Participant:
    """A shard in a transaction."""

    def __init__(self, statement):
        self.since = statement
        self.read_only = True


class Transaction:
    """See the top of this file."""

    def __init__(self, router, number, read_concern):
        self._router = router
        self.number = number
        self.participants = {}  # in the order in which they joined
        self.coordinator = None
        self.state = "open"
        self.used = time.monotonic()
        self._statement = 0
        self._read_concern = dict(read_concern or {})
        self._snapshot = self._read_concern.get("level") == "snapshot"
        self._choose_time()

    # ---- statements

    def begin_statement(self):
        self._statement += 1
        self.used = time.monotonic()

    def statement(self, shard, content):
        """The content of a request to a shard, as that participant needs it."""
        content = scan.without(scan.frame(content), {b"readConcern"})
        if shard in self.participants:
            return content
        self.participants[shard] = Participant(self._statement)
        extra = {"startTransaction": True}
        if self.coordinator is None:
            self.coordinator = shard
            extra["coordinator"] = True
        if self._read_concern:
            extra["readConcern"] = self._read_concern
        return content + scan.encode_elements(extra)

    def observe(self, shard, reply):
        participant = self.participants.get(shard)
        found = scan.find(reply, b"readOnly")
        if participant and (found is None or not reply[found[2]]):
            participant.read_only = False

    def restart_statement(self, stale):
        """A shard found the route stale. If this statement brought in all the shards that it
        may have touched, they are rolled back and it may run again; else the whole
        transaction has to."""
        fresh = [s for s, p in self.participants.items() if p.since == self._statement]
        if len(fresh) != len(self.participants):
            self._abort(self.participants)
            raise CommandError(
                246 if self._snapshot else 112, f"the route changed: {stale}", TRANSIENT
            )
        self._abort(fresh)
        self.participants.clear()
        self.coordinator = None
        self._choose_time()

    def _choose_time(self):
        if self._snapshot and self._router.clock.time:
            after = self._read_concern.pop("afterClusterTime", None)
            now = self._router.clock.time
            chosen = Timestamp(now >> 32, now & 0xFFFFFFFF)
            self._read_concern["atClusterTime"] = max(chosen, after) if after else chosen

    # ---- the end

    def commit(self, request):
        """The raw reply of the commit."""
        self.state = "committing"
        shards = list(self.participants)
        if not shards:
            return scan.encode({"ok": 1.0})
        writers = [s for s in shards if not self.participants[s].read_only]
        if len(shards) == 1:
            return self._end(request, shards, "commitTransaction")
        if len(writers) > 1:
            return self._coordinate(request, shards)
        readers = [s for s in shards if s not in writers]
        reply = self._end(request, readers, "commitTransaction")
        return self._end(request, writers, "commitTransaction") if writers else reply

    def abort(self, request):
        self.state = "aborted"
        if not self.participants:
            raise CommandError(251, "no known command has been sent in this transaction", TRANSIENT)
        return self._end(request, list(self.participants), "abortTransaction")

    def _coordinate(self, request, shards):
        command = {
            "coordinateCommitTransaction": 1,
            "participants": [{"shardId": shard} for shard in shards],
        }
        return send_end(self._router, request, [self.coordinator], command)

    def _end(self, request, shards, name):
        return send_end(self._router, request, shards, {name: 1})

    def _abort(self, shards):
        number = self.number
        content = scan.encode_elements({"abortTransaction": 1, **number, "$db": "admin"})
        body = scan.frame(content + self._router.clock.element)
        self._router.backend.call_each([(shard, body, ()) for shard in shards])


def send_end(router, request, shards, command):
    """Send a commit or abort to shards; the first failed reply, or the last one."""
    kept = ("writeConcern", "lsid", "txnNumber", "autocommit", "maxTimeMS", "comment")
    whole = {key: request.get(key) for key in kept if request.has(key)}
    content = scan.encode_elements({**command, **whole, "$db": "admin"})
    if not request.has("writeConcern"):
        content += router.catalog.default_write_concern()
    body = scan.frame(content + router.clock.element)
    committing = "abortTransaction" not in command
    try:
        replies = router.backend.call_many([(s, body, ()) for s in shards], retry=True)
    except Unreachable as lost:
        labels = ["UnknownTransactionCommitResult", "RetryableWriteError"] if committing else []
        raise CommandError(lost.code, str(lost), labels) from lost
    for reply in replies:
        decoded = scan.decode(reply)
        if not decoded.get("ok"):
            raise _failed_end(decoded, committing)
    return replies[-1]


def _failed_end(reply, committing):
    error = CommandError.from_reply(reply)
    labels = set(error.reply.get("errorLabels", ()))
    if reply.get("code") in RETRYABLE_CODES:
        labels.add("RetryableWriteError")
    elif reply.get("code") == 251 and committing:
        labels.add(TRANSIENT[0])
    if labels:
        error.reply["errorLabels"] = sorted(labels)
    return error


class TransactionRegistry:
    """The transactions by session."""

    def __init__(self, router):
        self._router = router
        self._lock = threading.Lock()
        self._open = {}

    def of(self, request):
        """The Transaction that a request belongs to (made if it starts one), or None."""
        if request.get("autocommit", True) is not False:
            return None
        session, number = self._identity(request)
        with self._lock:
            known = self._open.get(session)
            if request.get("startTransaction"):
                known = Transaction(self._router, number, request.get("readConcern"))
                self._open[session] = known
                self._sweep()
        if known is None or known.number["txnNumber"] != number["txnNumber"]:
            return None
        known.begin_statement()
        return known

    @staticmethod
    def _identity(request):
        number = {key: request.get(key) for key in ("lsid", "txnNumber", "autocommit")}
        if number["lsid"] is None or number["txnNumber"] is None:
            raise CommandError(72, "a transaction needs lsid and txnNumber")
        return bytes(number["lsid"]["id"]), number

    def _sweep(self):
        limit = time.monotonic() - IDLE_S_MAX
        for session in [s for s, t in self._open.items() if t.used < limit]:
            del self._open[session]
