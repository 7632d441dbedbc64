# SPDX-License-Identifier: Apache-2.0
"""Cursors: of one shard (passed through) and over several (concatenated or merged by sort).

Documents stay bytes. While the client works on a batch, the next getMore of each shard is
already under way (not in transactions, which do one thing at a time). A registered cursor
is used by one thread at a time; the registry is thread-safe.
"""

import random
import select
import struct
import threading
import time

from bson.int64 import Int64

from . import keys, scan
from .errors import CommandError, raise_for

FIRST_BATCH = 101
BATCH_BYTES_MAX = 16 * 1024 * 1024 - 64 * 1024
IDLE_S_MAX = 600
_LONG = struct.Struct("<q")
_SORT_KEY = b"$sortKey\0"


class ShardCursor:
    """The part of a cursor that lives on one shard."""

    def __init__(self, router, shard, reply, context, batch_name=b"firstBatch"):
        self._router = router
        self._context = context  # elements every getMore carries: $db, lsid, …
        self.shard = shard
        self.connection = None  # with a getMore under way
        self.id, self.documents = 0, []
        self.collection = None
        self.position = 0
        self._take(reply, batch_name)

    def _take(self, reply, batch_name):
        cursor = scan.find(reply, b"cursor")
        at = cursor[2]
        for name, _, _, value, end in scan.elements(reply, at):
            if name == b"id":
                self.id = scan.long_at(reply, value)
            elif name == b"ns" and self.collection is None:
                self.collection = reply[value + 4 : end - 1].decode().partition(".")[2]
            elif name == batch_name:
                self.documents = scan.array_items(reply, value)
        self.position = 0

    @property
    def has_documents(self):
        return self.position < len(self.documents)

    @property
    def is_done(self):
        return self.id == 0 and not self.has_documents

    def more_content(self, batch_size=None):
        command = {"getMore": Int64(self.id), "collection": self.collection}
        if batch_size:
            command["batchSize"] = batch_size
        return scan.encode_elements(command) + self._context

    def begin_more(self, batch_size=None):
        """Send a getMore; `finish_more` takes the answer."""
        connection = self._router.backend.take(self.shard)
        body = scan.frame(self.more_content(batch_size) + self._router.clock.element)
        try:
            connection.send(body)
        except OSError as error:
            connection.close()
            raise CommandError(6, f"shard {self.shard}: {error}") from error
        self.connection = connection

    def finish_more(self):
        connection, self.connection = self.connection, None
        try:
            reply = connection.receive()
        except OSError as error:
            connection.close()
            self._router.backend.lost_primary(self.shard)
            self.id = 0
            raise CommandError(6, f"shard {self.shard}: {error}") from error
        self._router.backend.give(self.shard, connection)
        self.take_more(reply)

    def take_more(self, reply):
        self._router.clock.observe(reply)
        raise_for(reply)
        self._take(reply, b"nextBatch")

    def kill(self):
        """Free the cursor on the shard; errors do not matter."""
        try:
            if self.connection:
                self.finish_more()
            if self.id:
                command = {"killCursors": self.collection, "cursors": [Int64(self.id)]}
                content = scan.encode_elements(command) + self._context
                self._router.backend.call(self.shard, scan.frame(content))
        except Exception:  # whatever it was, the shard's own time-out frees the cursor
            pass
        self.id = 0


class ClusterCursor:
    """A cursor over several shards; merged if there is a sort."""

    def __init__(self, router, ns, parts, directions=None, skip=0, limit=0, prefetch=True):
        self._router = router
        self.ns = ns
        self._parts = parts
        self._directions = directions
        self._skip = skip
        self._left = limit or None
        self._prefetch = prefetch
        self.lock = threading.Lock()
        self.used = time.monotonic()
        self._heads = {}

    def first_batch(self, batch_size):
        if batch_size == 0:
            return []
        return self._collect(FIRST_BATCH if batch_size is None else batch_size, None)

    def take(self, request):
        """Some more documents (none at the end), for a transaction's request or None."""
        return self._collect(None, request)

    def next_reply(self, request):
        """The raw reply to a getMore."""
        batch_size = request.get("batchSize")
        documents = self._collect(batch_size, request)
        return self.reply(documents, b"nextBatch")

    def reply(self, documents, batch_name, extra=b""):
        cursor_id = 0 if self.is_done else self.id
        content = b"\4" + batch_name + b"\0" + scan.make_array(documents)
        content += b"\x12id\0" + _LONG.pack(cursor_id) + scan.encode_elements({"ns": self.ns})
        cursor = b"\3cursor\0" + scan.frame(content + extra)
        return scan.frame(cursor + scan.encode_elements({"ok": 1.0}))

    id = 0

    @property
    def is_done(self):
        return self._left == 0 or all(part.is_done for part in self._parts)

    def kill(self):
        for part in self._parts:
            part.kill()

    def drop(self):
        """Nothing more is wanted: at its end from here on."""
        self._left = 0

    # ---- collecting

    def _collect(self, batch_size, request):
        documents, size = [], 0
        peek = self._peek_sorted if self._directions else self._peek_any
        while self._left != 0 and (batch_size is None or len(documents) < batch_size):
            if batch_size is None and documents and self._would_wait():
                break
            part, document = peek(batch_size, request)
            if part is None:
                break
            size += len(document) + 8
            if documents and size > BATCH_BYTES_MAX:
                break
            self._advance(part, batch_size)
            if self._skip:
                self._skip -= 1
                continue
            documents.append(document)
            if self._left:
                self._left -= 1
        if self._left == 0:
            self.kill()
        return documents

    def _would_wait(self):
        """Whether the next document would need an answer that is not there yet."""
        if self._directions:
            return any(part.id and not part.has_documents for part in self._parts)
        return not any(part.has_documents for part in self._parts)

    def _advance(self, part, batch_size):
        """The part's next document has been taken."""
        self._heads.pop(part, None)
        part.position += 1
        if not part.has_documents:
            part.documents, part.position = [], 0
            if part.id and self._prefetch and self._left != 1:
                part.begin_more(batch_size)

    def _peek_any(self, batch_size, request):
        while True:
            for part in self._parts:
                if part.has_documents:
                    return part, part.documents[part.position]
            if not self._wait_for_any(batch_size, request):
                return None, None

    def _peek_sorted(self, batch_size, request):
        for part in self._parts:
            if part not in self._heads:
                while not part.has_documents and part.id:
                    self._fetch(part, batch_size, request)
                if part.has_documents:
                    document = part.documents[part.position]
                    self._heads[part] = _split_sort_key(document, self._directions)
        if not self._heads:
            return None, None
        part = min(self._heads, key=lambda p: self._heads[p][0])
        return part, self._heads[part][1]

    def _wait_for_any(self, batch_size, request):
        """Fetch from some part that is not done; False if there is none."""
        waiting = [part for part in self._parts if part.id]
        if not waiting:
            return False
        if not self._prefetch:
            self._fetch(waiting[0], batch_size, request)
            return True
        for part in waiting:
            if part.connection is None:
                part.begin_more(batch_size)
        sockets = {part.connection.sock: part for part in waiting}
        ready, _, _ = select.select(list(sockets), [], [])
        for sock in ready:
            sockets[sock].finish_more()
        return True

    def _fetch(self, part, batch_size, request):
        if self._prefetch:
            if part.connection is None:
                part.begin_more(batch_size)
            part.finish_more()
            return
        content = part.more_content(batch_size)
        if request is not None and request.transaction is not None:
            reply = self._router.run_on(request, [(part.shard, content, ())])[0]
        else:
            body = scan.frame(content + self._router.clock.element)
            reply = self._router.backend.call(part.shard, body)
        part.take_more(reply)


class PassThroughCursor:
    """A cursor of one shard: its batches reach the client unread."""

    def __init__(self, router, shard, remote_id, ns):
        self._router = router
        self._shard = shard
        self._remote_id = remote_id
        self.ns = ns
        self.lock = threading.Lock()
        self.used = time.monotonic()
        self.id = 0
        self.is_done = False

    def next_reply(self, request):
        collection = self.ns.partition(".")[2]
        content = scan.encode_elements(
            {"getMore": Int64(self._remote_id), "collection": collection}
        ) + request.content(drop=("getMore", "collection"))
        reply = self._router.run_on(request, [(self._shard, content, ())])[0]
        raise_for(reply)
        reply = bytearray(reply)
        self.is_done = patch_cursor_id(reply, self.id) == 0
        return bytes(reply)

    def kill(self):
        command = {"killCursors": self.ns.partition(".")[2], "cursors": [Int64(self._remote_id)]}
        try:
            self._router.backend.command(self._shard, self.ns.partition(".")[0], command)
        except CommandError:
            pass


def cursor_id_of(reply):
    """(offset, id, ns) of the cursor in a raw reply."""
    cursor = scan.find(reply, b"cursor")
    if cursor is None:
        return None, 0, ""
    identity = scan.find(reply, b"id", cursor[2])
    ns = scan.find(reply, b"ns", cursor[2])
    name = reply[ns[2] + 4 : ns[3] - 1].decode() if ns else ""
    return identity[2], scan.long_at(reply, identity[2]), name


def patch_cursor_id(reply, new_id):
    """Put the router's cursor id into a reply (bytearray) unless the cursor is at its end;
    returns the shard's id."""
    offset, remote, _ = cursor_id_of(reply)
    if remote:
        _LONG.pack_into(reply, offset, new_id)
    return remote


class CursorRegistry:
    """The open cursors by the ids that clients know."""

    def __init__(self, router):
        self._router = router
        self._lock = threading.Lock()
        self._cursors = {}

    def register(self, cursor):
        cursor.id = random.randrange(1, 2**63)
        with self._lock:
            self._cursors[cursor.id] = cursor
            limit = time.monotonic() - IDLE_S_MAX
            old = [c for c in self._cursors.values() if c.used < limit]
            for idle in old:
                del self._cursors[idle.id]
        for idle in old:
            idle.kill()
        return cursor.id

    def pass_through(self, shard, reply):
        """The reply of one shard to a command that opens a cursor, for the client."""
        _, remote, ns = cursor_id_of(reply)
        if not remote:
            return reply
        reply = bytearray(reply)
        cursor = PassThroughCursor(self._router, shard, remote, ns)
        patch_cursor_id(reply, self.register(cursor))
        return bytes(reply)

    def get_more(self, request):
        cursor_id = request.get("getMore")
        cursor = self._cursors.get(cursor_id)
        if cursor is None:
            raise CommandError(43, f"cursor id {cursor_id} not found")
        with cursor.lock:
            cursor.used = time.monotonic()
            try:
                reply = cursor.next_reply(request)
            except CommandError:
                self._forget(cursor_id)
                cursor.kill()
                raise
        if cursor.is_done:
            self._forget(cursor_id)
        return reply

    def kill(self, ids):
        """(killed, not found)"""
        killed, missing = [], []
        for cursor_id in ids:
            cursor = self._forget(cursor_id)
            if cursor is None:
                missing.append(cursor_id)
            else:
                with cursor.lock:
                    cursor.kill()
                killed.append(cursor_id)
        return killed, missing

    def _forget(self, cursor_id):
        with self._lock:
            return self._cursors.pop(cursor_id, None)


class _Reversed:
    """A sort value in descending order."""

    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value

    def __lt__(self, other):
        return other.value < self.value

    def __eq__(self, other):
        return other.value == self.value


def _split_sort_key(document, directions):
    """(comparable key, the document without its last field $sortKey)."""
    at = document.rindex(_SORT_KEY) - 1
    array = at + 1 + len(_SORT_KEY)
    values = keys.order_of_values(document[array:-1])
    key = tuple(
        _Reversed(value) if direction < 0 else value
        for value, direction in zip(values, directions)
    )
    return key, scan.frame(document[4:at])
