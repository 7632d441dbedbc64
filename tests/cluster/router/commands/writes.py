# SPDX-License-Identifier: Apache-2.0
"""insert, update, delete: every statement to the shards that it concerns, exactly once.

Statements travel as the bytes they came in. An ordered command is sent in runs of
statements that go to the same shard, and stops at the first error; an unordered one goes
to all shards at once. What a shard refuses as stale is routed anew; what took place is
never repeated.
"""

import time

from .. import scan
from ..backend import CONFIG
from ..core import STALE_RETRY_S
from ..errors import STALE_CODES, CommandError, Stale, raise_for
from ..routes import IGNORED_ELEMENT
from ..targeting import equality_on_id, full_key, shards_for
from . import owning_shard

WOULD_CHANGE_OWNING_SHARD = 283


class Outcome:
    """The reply that a write command adds up to."""

    def __init__(self, name):
        self.name = name
        self.n = 0
        self.modified = 0
        self.upserted = []
        self.errors = []
        self.concern_error = None
        self.retried = []
        self.labels = set()

    def reply(self):
        reply = {"n": self.n}
        if self.name == "update":
            reply["nModified"] = self.modified
        if self.upserted:
            reply["upserted"] = sorted(self.upserted, key=lambda row: row["index"])
        if self.errors:
            reply["writeErrors"] = sorted(self.errors, key=lambda row: row["index"])
        if self.concern_error:
            reply["writeConcernError"] = self.concern_error
        if self.retried:
            reply["retriedStmtIds"] = sorted(self.retried)
        if self.labels:
            reply["errorLabels"] = sorted(self.labels)
        return {**reply, "ok": 1.0}

    def error(self, index, code, message):
        self.errors.append({"index": index, "code": code, "errmsg": message})


class Write:
    """One write command under way."""

    def __init__(self, router, request, items_name):
        self.router = router
        self.request = request
        self.items_name = items_name
        self.items = request.items(items_name)
        self.ordered = request.get("ordered", True)
        self.outcome = Outcome(request.name)
        self.content = request.content((items_name, "stmtIds", "stmtId"))
        self.content += router.write_concern(request)
        self.statement_ids = request.get("stmtIds")
        if self.statement_ids is None and request.is_retryable_write:
            first = request.get("stmtId") or 0
            self.statement_ids = list(range(first, first + len(self.items)))
        self.found_stale = False
        self._one_by_one = False
        self._deadline = time.monotonic() + STALE_RETRY_S

    # ---- the loop

    def run(self):
        """The whole reply."""
        ns, pending, pause = self.request.ns, list(range(len(self.items))), 0.0
        while pending and not (self.ordered and self.outcome.errors):
            database = self.router.catalog.need_database(self.request.database, create=True)
            route = self.router.catalog.route(ns) if database.primary != CONFIG else None
            plan, rest = self._plan(pending, database, route)
            try:
                again = self._send(plan, database, route)
                pending = sorted(rest + again)
            except Stale as stale:  # within a transaction: all of it again, if that is possible
                self.request.transaction.restart_statement(stale)
                self.outcome = Outcome(self.request.name)
                self.found_stale, pending = True, list(range(len(self.items)))
            if self.found_stale:
                self.found_stale = False
                self._refresh(ns)
                time.sleep(pause)
                pause = min(0.1, pause * 2 + 0.002)
        return self.outcome.reply()

    def _refresh(self, ns):
        self.router.catalog.forget(ns)
        if time.monotonic() > self._deadline:
            raise CommandError(13388, f"the route of {ns} stays stale")

    # ---- who gets what

    def _plan(self, pending, database, route):
        """({shards (tuple): [index]}, what is left for later)."""
        if self._one_by_one:
            pending, later = pending[:1], pending[1:]
        else:
            later = []
        plan, rest = self._plan_all(pending, database, route)
        return plan, rest + later

    def _plan_all(self, pending, database, route):
        if route is None:
            return {(database.primary,): pending}, []
        plan, last = {}, None
        for position, index in enumerate(pending):
            try:
                shards = self._shards_of(self.items[index], route)
            except CommandError as error:
                if self.ordered and plan:
                    return plan, pending[position:]
                self.outcome.error(index, error.code, str(error))
                if self.ordered:
                    return plan, []
                continue
            if self.ordered and last is not None and (shards != last or len(shards) > 1):
                return plan, pending[position:]
            last = shards
            plan.setdefault(shards, []).append(index)
        return plan, []

    def _shards_of(self, item, route):
        if self.request.name == "insert":
            try:
                return (route.owner_of(route.key.of_document(item)),)
            except ValueError as error:
                raise CommandError(61, f"shard key of the document: {error}") from error
        return self._shards_of_statement(item, route)

    def _shards_of_statement(self, item, route):
        """The shards of an update or a delete statement, as a mongos chooses them."""
        fields = scan.index(item)
        query = _document(item, fields, "q")
        collation = _value(item, fields, "collation")
        is_update = self.request.name == "update"
        multi = _value(item, fields, "multi") if is_update else _value(item, fields, "limit") == 0
        if multi:
            return tuple(shards_for(route, query, collation))
        key = full_key(route, query, collation)
        if key is not None:
            return (route.owner_of(key),)
        if is_update and _value(item, fields, "upsert"):
            raise CommandError(61, "an upsert needs the full shard key in its query")
        shards = tuple(shards_for(route, query, collation))
        if len(shards) == 1 or equality_on_id(query):
            return shards
        if is_update and _is_replacement(item, fields):
            replacement = _document(item, fields, "u")
            if route.key.complete_in(replacement):
                return (route.owner_of(route.key.of_document(replacement)),)
        what = "an update" if is_update else "a delete"
        raise CommandError(
            61, f"{what} of one document needs the shard key or _id by equality in its query"
        )

    # ---- sending

    def _send(self, plan, database, route):
        """Send all of a plan at once; the indexes that remain to be done."""
        parts, meaning = [], []
        for shards, indexes in plan.items():
            # As a mongos does: a statement for several shards can't be repeated on some of
            # them, so it goes without a check of the version.
            broadcast = len(shards) > 1 and not self.request.transaction
            for shard in shards:
                versions = self.router.versions(database, route, shard)
                versions = IGNORED_ELEMENT if broadcast else versions
                parts.append((shard, self._content(indexes, versions), self._sequence(indexes)))
                meaning.append(indexes)
        again = set()
        for indexes, reply in zip(meaning, self._replies(parts)):
            again.update(self._merge(indexes, reply))
        return sorted(again)

    def _content(self, indexes, versions):
        content = self.content + versions
        if self.statement_ids is not None:
            ids = {"stmtIds": [self.statement_ids[i] for i in indexes]}
            content += scan.encode_elements(ids)
        return content

    def _sequence(self, indexes):
        if len(indexes) == len(self.items) and self.request.sequences:
            return self.request.sequences
        return [(self.items_name, b"".join([self.items[i] for i in indexes]))]

    def _replies(self, parts):
        if not parts:
            return []
        return self.router.run_on(self.request, parts)

    def _merge(self, indexes, reply):
        """Add a shard's reply to the outcome; the indexes that remain to be done."""
        try:
            raise_for(reply)
        except Stale:
            if self.request.transaction:
                raise
            self.found_stale = True
            return indexes
        except CommandError as error:
            if error.code != WOULD_CHANGE_OWNING_SHARD:
                raise
            if len(indexes) > 1:  # which one it was is not said
                self._one_by_one = True
                return indexes
            self._move_document(indexes[0], error.reply)
            return []
        decoded = scan.decode(reply)
        outcome, again = self.outcome, []
        outcome.n += decoded.get("n", 0)
        outcome.modified += decoded.get("nModified", 0)
        for row in decoded.get("upserted", ()):
            outcome.upserted.append({**row, "index": indexes[row["index"]]})
        for row in decoded.get("writeErrors", ()):
            again += self._merge_error(indexes, row)
        outcome.concern_error = outcome.concern_error or decoded.get("writeConcernError")
        outcome.retried += decoded.get("retriedStmtIds", ())
        outcome.labels.update(decoded.get("errorLabels", ()))
        return again

    def _merge_error(self, indexes, row):
        """One write error; the indexes that remain to be done because of it."""
        index, code = indexes[row["index"]], row.get("code")
        if code in STALE_CODES:
            if self.request.transaction:
                raise Stale(row)
            self.found_stale = True
            return indexes[row["index"] :] if self.ordered else [index]
        if code == WOULD_CHANGE_OWNING_SHARD:
            self._move_document(index, row)
            return indexes[row["index"] + 1 :] if self.ordered else []
        self.outcome.errors.append({**row, "index": index})
        return []

    # ---- documents that change their shard

    def _move_document(self, index, row):
        """An update gave a document a shard key that another shard owns."""
        if not (self.request.transaction or self.request.is_retryable_write):
            message = "an update that moves a document to another shard needs a transaction"
            self.outcome.error(index, 20, f"{message} or a retryable write")
            return
        try:
            result = owning_shard.move_document(
                self.router, self.request, self.items[index], row
            )
        except CommandError as error:
            if self.request.transaction:
                raise
            self.outcome.error(index, error.code, str(error))
            return
        self.outcome.n += 1
        if result.upserted is not None:
            self.outcome.upserted.append({"index": index, "_id": result.upserted})
        else:
            self.outcome.modified += 1


def _document(item, fields, name):
    found = fields.get(name)
    if found is None or found[0] != scan.DOCUMENT:
        return scan.EMPTY
    return item[found[2] : found[3]]


def _value(item, fields, name):
    found = fields.get(name)
    return scan.decode_value(found[0], item, found[2], found[3]) if found else None


def _is_replacement(item, fields):
    found = fields.get("u")
    if found is None or found[0] != scan.DOCUMENT:
        return False
    return not (item[found[2] + 4] and item[found[2] + 5] == 0x24)


def _writer(items_name):
    def handle(router, request):
        return Write(router, request, items_name).run()

    return handle


HANDLERS = {
    "insert": _writer("documents"),
    "update": _writer("updates"),
    "delete": _writer("deletes"),
}
