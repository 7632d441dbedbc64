# SPDX-License-Identifier: Apache-2.0
"""find, getMore, killCursors, count, distinct, explain."""

from bson.timestamp import Timestamp

from .. import keys, scan
from ..cursors import ClusterCursor, ShardCursor
from ..errors import CommandError, Stale, raise_for
from ..targeting import shards_for

_SESSION_FIELDS = ("$db", "lsid", "txnNumber", "autocommit")
_MULTI_DROP = {"limit", "skip", "singleBatch", "projection"}


def cursor_context(request):
    """The raw elements that every getMore of a request's cursors carries."""
    found = {name: request.get(name) for name in _SESSION_FIELDS if request.has(name)}
    return scan.encode_elements(found)


def open_cursors(router, request, parts):
    """Run a cursor command on shards; ShardCursors. If one fails the others are killed."""
    replies = router.run_on(request, parts, retry=True)
    context, cursors, trouble = cursor_context(request), [], None
    for (shard, _, _), reply in zip(parts, replies):
        try:
            raise_for(reply)
            cursors.append(ShardCursor(router, shard, reply, context))
        except (CommandError, Stale) as error:
            trouble = trouble or error
    if trouble:
        for cursor in cursors:
            cursor.kill()
        raise trouble
    return cursors


def answer_with(router, cursor, batch_size, extra=b""):
    """The first reply of a ClusterCursor, registered if it goes on."""
    documents = cursor.first_batch(batch_size)
    if not cursor.is_done:
        router.cursors.register(cursor)
    return cursor.reply(documents, b"firstBatch", extra)


def empty_cursor(ns):
    return {"cursor": {"firstBatch": [], "id": 0, "ns": ns}, "ok": 1.0}


def snapshot_concern(router, request):
    """For a snapshot read outside of transactions: (raw readConcern, raw atClusterTime),
    the time chosen here so that all shards read at the same one; else (b"", b"")."""
    concern = request.get("readConcern") or {}
    if request.transaction or concern.get("level") != "snapshot":
        return b"", b""
    if "atClusterTime" not in concern:
        time = router.clock.time
        after = concern.pop("afterClusterTime", None)
        chosen = Timestamp(time >> 32, time & 0xFFFFFFFF)
        concern["atClusterTime"] = max(after, chosen) if after else chosen
    at = {"atClusterTime": concern["atClusterTime"]}
    return scan.encode_elements({"readConcern": concern}), scan.encode_elements(at)


def find(router, request):
    ns = request.ns

    def attempt(database, route):
        if database is None:
            return empty_cursor(ns)
        shards = [database.primary]
        if route:
            shards = shards_for(route, request.raw_document("filter"), request.get("collation"))
        if len(shards) == 1:
            versions = router.versions(database, route, shards[0])
            reply = router.forward(request, shards[0], versions, retry=True)
            return router.cursors.pass_through(shards[0], reply)
        return _find_on_several(router, request, ns, database, route, shards)

    try:
        return router.routed(request, ns, attempt)
    except CommandError as error:
        if "resolvedView" in error.reply:
            from .aggregate import find_on_view

            return find_on_view(router, request, error.reply["resolvedView"])
        raise


def _find_on_several(router, request, ns, database, route, shards):
    if request.get("tailable"):
        raise CommandError(72, "a tailable cursor over several shards is not possible")
    sort = request.get("sort") or {}
    limit, skip = abs(request.get("limit") or 0), request.get("skip") or 0
    batch_size = request.get("batchSize")
    concern, at_time = snapshot_concern(router, request)
    drop = set(_MULTI_DROP) | ({"readConcern"} if concern else set())
    extra = {"limit": limit + skip} if limit else {}
    projection = request.get("projection") or {}
    directions = None
    if sort and "$natural" not in sort:
        directions = [1 if isinstance(d, dict) or d > 0 else -1 for d in sort.values()]
        projection = {**projection, "$sortKey": {"$meta": "sortKey"}}
    if projection:
        extra["projection"] = projection
    content = request.content(drop) + scan.encode_elements(extra) + concern
    parts = [(s, content + router.versions(database, route, s), ()) for s in shards]
    cursors = open_cursors(router, request, parts)
    cursor = ClusterCursor(
        router, ns, cursors, directions, skip, limit, prefetch=request.transaction is None
    )
    if request.get("singleBatch"):
        documents = cursor.first_batch(batch_size or limit or None)
        cursor.kill()
        cursor.drop()
        return cursor.reply(documents, b"firstBatch")
    return answer_with(router, cursor, batch_size, at_time)


def get_more(router, request):
    return router.cursors.get_more(request)


def kill_cursors(router, request):
    killed, missing = router.cursors.kill(request.get("cursors") or [])
    return {
        "cursorsKilled": killed,
        "cursorsNotFound": missing,
        "cursorsAlive": [],
        "cursorsUnknown": [],
        "ok": 1.0,
    }


def on_owners(router, request, ns, query, content, collation=None):
    """Run a read on every shard that a filter can reach; (shards, raw replies), or None if
    the database does not exist."""

    def attempt(database, route):
        if database is None:
            return None
        shards = shards_for(route, query, collation) if route else [database.primary]
        body = content(len(shards))
        parts = [(s, body + router.versions(database, route, s), ()) for s in shards]
        replies = router.run_on(request, parts, retry=True)
        for reply in replies:
            raise_for(reply)
        return shards, replies

    return router.routed(request, ns, attempt)


def count(router, request):
    limit, skip = abs(request.get("limit") or 0), request.get("skip") or 0

    def content(shards):
        if shards == 1:
            return request.content()
        extra = {"limit": limit + skip} if limit else {}
        return request.content(("limit", "skip")) + scan.encode_elements(extra)

    query, collation = request.raw_document("query"), request.get("collation")
    try:
        found = on_owners(router, request, request.ns, query, content, collation)
    except CommandError as error:
        if "resolvedView" in error.reply:
            from .aggregate import count_on_view

            return count_on_view(router, request, error.reply["resolvedView"])
        raise
    if found is None:
        return {"n": 0, "ok": 1.0}
    total = sum(scan.decode(reply)["n"] for reply in found[1])
    if len(found[0]) > 1:
        total = max(0, total - skip)
        total = min(total, limit) if limit else total
    return {"n": total, "ok": 1.0}


def distinct(router, request):
    query, collation = request.raw_document("query"), request.get("collation")
    try:
        found = on_owners(
            router, request, request.ns, query, lambda _: request.content(), collation
        )
    except CommandError as error:
        if "resolvedView" in error.reply:
            from .aggregate import distinct_on_view

            return distinct_on_view(router, request, error.reply["resolvedView"])
        raise
    if found is None:
        return {"values": [], "ok": 1.0}
    if len(found[0]) == 1:
        return found[1][0]
    values = {}
    for reply in found[1]:
        at = scan.find(reply, b"values")[2]
        for _, kind, _, value, end in scan.elements(reply, at):
            key = keys.order(kind, reply, value, end)
            values.setdefault(key, (kind, reply[value:end]))
    content = b"".join(
        bytes([kind]) + str(i).encode() + b"\0" + value
        for i, (kind, value) in enumerate(values[key] for key in sorted(values))
    )
    return scan.frame(b"\4values\0" + scan.frame(content) + scan.encode_elements({"ok": 1.0}))


def explain(router, request):
    """The shards' own explanations, one beside the other."""
    inner = scan.decode(request.raw_document("explain"))
    name = next(iter(inner))
    ns = f"{request.database}.{inner[name]}"
    query = inner.get("filter") or inner.get("query") or {}
    found = on_owners(
        router, request, ns, scan.encode(query), lambda _: request.content(), inner.get("collation")
    )
    if found is None:
        raise CommandError(26, f"no database {request.database}")
    if len(found[0]) == 1:
        return found[1][0]
    parts = [{"shardName": s, **scan.decode(r)} for s, r in zip(*found)]
    return {"queryPlanner": {"winningPlan": {"stage": "SHARD_MERGE", "shards": parts}}, "ok": 1.0}




HANDLERS = {
    "find": find,
    "getMore": get_more,
    "killCursors": kill_cursors,
    "count": count,
    "distinct": distinct,
    "explain": explain,
}
