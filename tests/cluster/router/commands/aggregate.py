# SPDX-License-Identifier: Apache-2.0
"""aggregate: on one shard as a whole, or the first stages on each and the rest where merged.

Stages that look at one document at a time run on the shards. From the first other stage on,
the pipeline is handed to the database's primary shard as a $unionWith on a collection that does
not exist: shards are routers themselves for $unionWith. Plain counting is summed up here. Views are resolved by the
shard that owns them, and their pipeline runs again from here.
"""

from .. import scan
from ..backend import CONFIG
from ..cursors import ClusterCursor
from ..errors import CommandError, raise_for
from ..targeting import shards_for
from .reads import answer_with, empty_cursor, open_cursors, snapshot_concern

_ONE_BY_ONE = {
    "$match", "$project", "$addFields", "$set", "$unset", "$unwind", "$replaceRoot",
    "$replaceWith", "$redact",
}  # fmt: skip
_PER_SHARD_SOURCE = {"$collStats", "$indexStats", "$planCacheStats", "$listLocalSessions", "$currentOp"}
_NEEDS_PRIMARY = {"$lookup", "$graphLookup", "$unionWith", "$out", "$merge", "$facet"}
_NO_COLLECTION = "router.empty"  # stands for a source without documents


def aggregate(router, request):
    if isinstance(request.get("aggregate"), str):
        return _run(router, request, request.ns, _pipeline(request))
    return _on_database(router, request)


def _pipeline(request):
    pipeline = request.get("pipeline")
    if not isinstance(pipeline, list):
        raise CommandError(14, "'pipeline' must be an array")
    return pipeline


def _name(stage):
    return next(iter(stage), "")


def _run(router, request, ns, pipeline):
    if pipeline and _name(pipeline[0]) == "$changeStream":
        raise CommandError(115, "the stand-in router has no change streams")

    def attempt(database, route):
        if database is None:
            return empty_cursor(ns)
        if route is None:
            return _whole(router, request, ns, pipeline, database, None, database.primary)
        shards = shards_for(route, _first_match(pipeline), request.get("collation"))
        if pipeline and _name(pipeline[0]) in _PER_SHARD_SOURCE:
            shards = route.shards
        tied = any(_name(stage) in _NEEDS_PRIMARY for stage in pipeline)
        if len(shards) == 1 and not (tied and shards[0] != database.primary):
            return _whole(router, request, ns, pipeline, database, route, shards[0])
        return _on_several(router, request, ns, pipeline, database, route, shards)

    try:
        return router.routed(request, ns, attempt, create=_writes(pipeline))
    except CommandError as error:
        view = error.reply.get("resolvedView")
        if not view:
            raise
        return _run(router, request, view["ns"], [*view["pipeline"], *pipeline])


def _writes(pipeline):
    return bool(pipeline) and _name(pipeline[-1]) in ("$out", "$merge")


def _first_match(pipeline):
    if pipeline and _name(pipeline[0]) == "$match":
        return scan.encode(pipeline[0]["$match"])
    return scan.EMPTY


def _whole(router, request, ns, pipeline, database, route, shard):
    """All of it on one shard."""
    content = _content(request, ns, pipeline, drop=("pipeline",))
    content += router.versions(database, route, shard)
    tied = request.transaction is None and any(_name(stage) in _NEEDS_PRIMARY for stage in pipeline)
    if tied:
        content += _concerns(router, request)
    retry = not _writes(pipeline)
    reply = router.run_on(request, [(shard, content, ())], retry, internal=tied)[0]
    raise_for(reply)
    return router.cursors.pass_through(shard, reply)


def _content(request, ns, pipeline, drop, **extra):
    collection = ns.partition(".")[2]
    head = scan.encode_elements({"aggregate": collection})
    rest = request.content((request.name, *drop))
    return head + rest + scan.encode_elements({"pipeline": pipeline, **extra})


def _on_several(router, request, ns, pipeline, database, route, shards):
    if _only_counts(pipeline):
        return _summed(router, request, ns, pipeline, database, route, shards)
    cut = 1 if pipeline and _name(pipeline[0]) in _PER_SHARD_SOURCE else 0
    while cut < len(pipeline) and _name(pipeline[cut]) in _ONE_BY_ONE:
        cut += 1
    if cut < len(pipeline) and request.transaction is None:
        return _through_union(router, request, ns, pipeline, database)
    concern, at_time = snapshot_concern(router, request)
    batch_size = (request.get("cursor") or {}).get("batchSize")
    first = {} if batch_size is None else {"batchSize": batch_size}
    drop = ("pipeline", "cursor", *(("readConcern",) if concern else ()))
    content = _content(request, ns, pipeline[:cut], drop, cursor=first) + concern
    parts = [(s, content + router.versions(database, route, s), ()) for s in shards]
    cursors = open_cursors(router, request, parts)
    if cut < len(pipeline):
        return _merge_here(router, request, ns, pipeline[cut:], database, cursors)
    cursor = ClusterCursor(router, ns, cursors, prefetch=request.transaction is None)
    return answer_with(router, cursor, batch_size, at_time)


def _through_union(router, request, ns, pipeline, database):
    """All of it by the primary shard, which is a router itself for what a $unionWith reads."""
    written = [pipeline[-1]] if _writes(pipeline) else []
    inside = pipeline[: len(pipeline) - len(written)]
    union = {"$unionWith": {"coll": ns.partition(".")[2], "pipeline": inside}}
    none = f"{database.name}.{_NO_COLLECTION}"
    content = _content(request, none, [union, *written], ("pipeline", "hint"))
    content += router.versions(database, None, database.primary) + _concerns(router, request)
    reply = router.run_on(request, [(database.primary, content, ())], internal=True)[0]
    raise_for(reply)
    return router.cursors.pass_through(database.primary, reply)


def _concerns(router, request):
    """What an internal connection must name and the client left out."""
    missing = {}
    if not request.has("readConcern"):
        missing["readConcern"] = {"level": "local"}
    if not request.has("writeConcern"):
        return scan.encode_elements(missing) + router.catalog.default_write_concern()
    return scan.encode_elements(missing)


def _merge_here(router, request, ns, merged, database, cursors):
    """Within a transaction: read all that the shards send, and let the server work on it as
    literal documents. At most 16 MB."""
    reader = ClusterCursor(router, ns, cursors, prefetch=False)
    documents = []
    while not reader.is_done:
        documents += reader.take(request)
    literal = {"$documents": {"$literal": [scan.decode(d) for d in documents]}}
    command = {"aggregate": 1, "pipeline": [literal, *merged], "cursor": {"batchSize": 2**31 - 1}}
    for name in ("let", "collation", "allowDiskUse"):
        if request.has(name):
            command[name] = request.get(name)
    cursor = router.backend.command(database.primary, request.database, command)["cursor"]
    if cursor["id"]:
        raise CommandError(20, "an aggregate over shards in a transaction returns too much")
    return {"cursor": {**cursor, "ns": ns}, "ok": 1.0}


# ---- counting


def _only_counts(pipeline):
    """[$match…, {$group: {_id: constant, n: {$sum: number}}}], as count_documents sends it."""
    if not pipeline or any(_name(stage) != "$match" for stage in pipeline[:-1]):
        return False
    last = pipeline[-1]
    if _name(last) == "$count":
        return True
    group = last.get("$group")
    if not isinstance(group, dict) or not isinstance(group.get("_id"), (int, type(None))):
        return False
    sums = [value for name, value in group.items() if name != "_id"]
    return all(isinstance(v, dict) and isinstance(v.get("$sum"), int) for v in sums)


def _summed(router, request, ns, pipeline, database, route, shards):
    content = _content(request, ns, pipeline, ("pipeline",))
    parts = [(s, content + router.versions(database, route, s), ()) for s in shards]
    total = {}
    for reply in router.run_on(request, parts, retry=True):
        raise_for(reply)
        for row in scan.decode(reply)["cursor"]["firstBatch"]:
            for name, value in row.items():
                total[name] = value if name == "_id" else total.get(name, 0) + value
    return {"cursor": {"firstBatch": [total] if total else [], "id": 0, "ns": ns}, "ok": 1.0}


# ---- whole databases, and views


def _on_database(router, request):
    """{aggregate: 1}: no collection."""
    pipeline = _pipeline(request)
    name = request.database
    source = _name(pipeline[0]) if pipeline else ""
    if source == "$changeStream":
        raise CommandError(115, "the stand-in router has no change streams")
    if source in _PER_SHARD_SOURCE:
        if any(_name(stage) not in _ONE_BY_ONE for stage in pipeline[1:]):
            raise CommandError(115, f"after {source} only stages on single documents")
        shards = [*router.catalog.shard_names(), CONFIG]
        content = request.content()
        cursors = open_cursors(router, request, [(s, content, ()) for s in shards])
        cursor = ClusterCursor(router, f"{name}.$cmd.aggregate", cursors)
        return answer_with(router, cursor, (request.get("cursor") or {}).get("batchSize"))

    def attempt(database, _):
        shard = database.primary if database else router.catalog.shard_names()[0]
        reply = router.forward(request, shard, database.element if database else b"")
        return router.cursors.pass_through(shard, reply)

    return router.routed(request, f"{name}.", attempt)


def _view_pipeline(request):
    pipeline = []
    query = request.get("filter") or request.get("query")
    if query:
        pipeline.append({"$match": query})
    if request.get("sort"):
        pipeline.append({"$sort": request.get("sort")})
    if request.get("skip"):
        pipeline.append({"$skip": request.get("skip")})
    if request.get("limit"):
        pipeline.append({"$limit": abs(request.get("limit"))})
    if request.get("projection"):
        pipeline.append({"$project": request.get("projection")})
    return pipeline


def _as_aggregate(router, request, view, pipeline, cursor):
    from ..request import Request
    from ..wire import Message

    kept = ("readConcern", "collation", "let", "maxTimeMS", "hint", "allowDiskUse", "lsid",
            "txnNumber", "autocommit", "comment")  # fmt: skip
    command = {"aggregate": view["ns"].partition(".")[2], "pipeline": pipeline, "cursor": cursor}
    command.update({name: request.get(name) for name in kept if request.has(name)})
    command["$db"] = request.database
    made = Request(Message(0, 0, 0, scan.encode(command), []))
    made.transaction, made.bypass = request.transaction, request.bypass
    return _run(router, made, view["ns"], pipeline)


def find_on_view(router, request, view):
    pipeline = [*view["pipeline"], *_view_pipeline(request)]
    batch_size = request.get("batchSize")
    cursor = {} if batch_size is None else {"batchSize": batch_size}
    return _as_aggregate(router, request, view, pipeline, cursor)


def _only_row(reply):
    batch = (reply if isinstance(reply, dict) else scan.decode(reply))["cursor"]["firstBatch"]
    return batch[0] if batch else None


def count_on_view(router, request, view):
    pipeline = [*view["pipeline"], *_view_pipeline(request), {"$count": "n"}]
    row = _only_row(_as_aggregate(router, request, view, pipeline, {}))
    return {"n": row["n"] if row else 0, "ok": 1.0}


def distinct_on_view(router, request, view):
    key = request.get("key")
    pipeline = [*view["pipeline"], *_view_pipeline(request)]
    pipeline += [{"$unwind": f"${key}"}, {"$group": {"_id": None, "v": {"$addToSet": f"${key}"}}}]
    row = _only_row(_as_aggregate(router, request, view, pipeline, {}))
    return {"values": row["v"] if row else [], "ok": 1.0}


HANDLERS = {"aggregate": aggregate}
