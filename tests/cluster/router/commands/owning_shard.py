# SPDX-License-Identifier: Apache-2.0
"""An update that gives a document a shard key of another shard: delete there, insert here.

The shard that held the document refuses with WouldChangeOwningShard and says the document
before and after. Within a client's transaction the delete and the insert join it; a
retryable write runs as a transaction of the router's own.
"""

import dataclasses
import uuid

from bson.binary import Binary
from bson.int64 import Int64

from .. import scan
from ..errors import CommandError, Stale, raise_for
from ..transactions import Transaction, send_end

_ATTEMPTS = 10
WOULD_CHANGE_OWNING_SHARD = 283


@dataclasses.dataclass(frozen=True)
class Moved:
    """What happened: the _id that was upserted, if one was."""

    upserted: object = None


class InnerRequest:
    """As much of a Request as calls to shards within a transaction need."""

    is_retryable_write = False

    def __init__(self, database, fields, bypass=b""):
        self.database = database
        self.name = "move"
        self._fields = {**fields, "$db": database}
        self.transaction = None
        self.bypass = bypass

    def get(self, name, default=None):
        return self._fields.get(name, default)

    def has(self, name):
        return name in self._fields

    def content(self, command):
        return scan.encode_elements({**command, **self._fields}) + self.bypass


def move_document(router, request, item, info):
    """Carry out the move; CommandError if it could not be done."""
    if request.transaction:
        names = ("lsid", "txnNumber", "autocommit")
        inner = InnerRequest(
            request.database, {n: request.get(n) for n in names}, request.bypass
        )
        inner.transaction = request.transaction
        # The shard that refused has rolled nothing back: its transaction goes on.
        return _replace(router, inner, request.collection, info)
    for _ in range(_ATTEMPTS):
        try:
            return _in_own_transaction(router, request, item, info)
        except CommandError as error:
            if "TransientTransactionError" not in error.reply.get("errorLabels", ()):
                raise
        except Stale:
            pass
    raise CommandError(112, "moving a document to its new shard met conflicts all the time")


def _in_own_transaction(router, request, item, info):
    number = {
        "lsid": {"id": Binary(uuid.uuid4().bytes, 4)},
        "txnNumber": Int64(1),
        "autocommit": False,
    }
    concern = {"level": "snapshot"}
    inner = InnerRequest(request.database, number, request.bypass)
    inner.transaction = Transaction(router, number, concern)
    inner.transaction.begin_statement()
    try:
        moved = _run_again(router, inner, request, item)
        commit = InnerRequest("admin", {**number, "writeConcern": {"w": "majority"}})
        inner.transaction.commit(commit)
        return moved
    except (CommandError, Stale):
        router.catalog.forget(request.ns)
        _abort(router, inner, number)
        raise


def _run_again(router, inner, request, item):
    """The same statement within the transaction, where the shard says anew what changes."""
    ns = request.ns
    database = router.catalog.need_database(request.database)
    route = router.catalog.route(ns)
    if route is None:
        raise CommandError(112, "the collection changed", ["TransientTransactionError"])
    reply, shard = None, None
    for shard in route.shards:
        content = inner.content({"update": request.collection})
        content += router.versions(database, route, shard)
        reply = router.run_on(inner, [(shard, content, [("updates", item)])])[0]
        try:
            raise_for(reply)
        except CommandError as error:
            if error.code != WOULD_CHANGE_OWNING_SHARD:
                raise
            return _replace(router, inner, request.collection, error.reply)
        decoded = scan.decode(reply)
        errors = decoded.get("writeErrors", ())
        if errors:
            raise CommandError(errors[0]["code"], errors[0].get("errmsg", ""))
        if decoded.get("n"):
            return Moved()
    raise CommandError(112, "the document changed", ["TransientTransactionError"])


def _replace(router, inner, collection, info):
    info = info.get("errInfo") or info
    before, after = info.get("preImage"), info.get("postImage")
    if after is None:
        raise CommandError(20, "the shard does not say what the document becomes")
    ns = f"{inner.database}.{collection}"
    database = router.catalog.need_database(inner.database)
    route = router.catalog.route(ns)
    upsert = bool(info.get("shouldUpsert"))
    if not upsert:
        query = {"_id": before["_id"]}
        for field in route.key.fields:
            query[field] = _dotted(before, field)
        shard = route.owner_of(route.key.of_document(scan.encode(before)))
        statement = [("deletes", scan.encode({"q": query, "limit": 1}))]
        content = inner.content({"delete": collection})
        reply = _run(router, inner, shard, content, statement, database, route)
        if reply.get("n") != 1:
            raise CommandError(112, "the document changed", ["TransientTransactionError"])
    document = scan.encode(after)
    shard = route.owner_of(route.key.of_document(document))
    content = inner.content({"insert": collection})
    _run(router, inner, shard, content, [("documents", document)], database, route)
    return Moved(after["_id"] if upsert else None)


def _run(router, inner, shard, content, sequences, database, route):
    content += router.versions(database, route, shard)
    reply = router.run_on(inner, [(shard, content, sequences)])[0]
    raise_for(reply)
    decoded = scan.decode(reply)
    for row in decoded.get("writeErrors", ()):
        raise CommandError(row["code"], row.get("errmsg", ""))
    return decoded


def _dotted(document, path):
    for name in path.split("."):
        document = document.get(name) if isinstance(document, dict) else None
    return document


def _abort(router, inner, number):
    shards = list(inner.transaction.participants)
    if shards:
        try:
            send_end(router, InnerRequest("admin", number), shards, {"abortTransaction": 1})
        except CommandError:
            pass
