# SPDX-License-Identifier: Apache-2.0
"""What is there: databases, collections, indexes and their sizes."""

from .. import scan
from ..backend import CONFIG
from ..errors import CommandError, raise_for
from .reads import empty_cursor

_NOT_SUMMED = {
    "ok", "ns", "scaleFactor", "capped", "max", "maxSize", "avgObjSize", "nindexes", "db",
    "fsUsedSize", "fsTotalSize", "millis", "sharded", "nrecords_estimate", "indexes",
}  # fmt: skip


def list_databases(router, request):
    content = request.content()
    shards = [*router.catalog.shard_names(), CONFIG]
    replies = router.run_on(request, [(s, content, ()) for s in shards], retry=True)
    found, name_only = {}, bool(request.get("nameOnly"))
    for shard, reply in zip(shards, replies):
        raise_for(reply)
        for row in scan.decode(reply)["databases"]:
            name = row["name"]
            if name == "local" or (name in ("admin", "config")) != (shard == CONFIG):
                continue
            known = found.setdefault(name, {"name": name})
            if not name_only:
                known["sizeOnDisk"] = known.get("sizeOnDisk", 0) + row["sizeOnDisk"]
                known["empty"] = known.get("empty", True) and row["empty"]
                if shard != CONFIG:
                    known.setdefault("shards", {})[shard] = row["sizeOnDisk"]
    answer = {"databases": [found[name] for name in sorted(found)], "ok": 1.0}
    if not name_only:
        answer["totalSize"] = sum(row["sizeOnDisk"] for row in found.values())
    return answer


def list_collections(router, request):
    name = request.database

    def attempt(database, _):
        if database is None:
            return empty_cursor(f"{name}.$cmd.listCollections")
        reply = router.forward(request, database.primary, database.element, retry=True)
        return router.cursors.pass_through(database.primary, reply)

    return router.routed(request, f"{name}.", attempt)


def list_indexes(router, request):
    def attempt(database, route):
        if database is None:
            raise CommandError(26, f"ns does not exist: {request.ns}")
        shard = route.shards[0] if route else database.primary
        reply = router.forward(
            request, shard, router.versions(database, route, shard), retry=True
        )
        return router.cursors.pass_through(shard, reply)

    return router.routed(request, request.ns, attempt)


def _on_owners(router, request, ns):
    """(route, {shard: decoded reply}) of a command on every shard that has the collection."""

    def attempt(database, route):
        if database is None:
            return None, {}
        shards = route.shards if route else [database.primary]
        parts = [
            (s, request.content() + router.versions(database, route, s), ()) for s in shards
        ]
        replies = router.run_on(request, parts, retry=True)
        for reply in replies:
            raise_for(reply)
        return route, dict(zip(shards, map(scan.decode, replies)))

    return router.routed(request, ns, attempt)


def _sum(replies):
    total = {}
    for reply in replies:
        for name, value in reply.items():
            countable = isinstance(value, (int, float)) and not isinstance(value, bool)
            if countable and name not in _NOT_SUMMED:
                total[name] = total.get(name, 0) + value
            else:
                total.setdefault(name, value)
    return total


def coll_stats(router, request):
    route, replies = _on_owners(router, request, request.ns)
    if not replies:
        return {"ns": request.ns, "size": 0, "count": 0, "nindexes": 0, "ok": 1.0}
    total = _sum(replies.values())
    if total.get("count"):
        total["avgObjSize"] = total["size"] // total["count"]
    if route:
        sizes = {}
        for reply in replies.values():
            for name, size in reply.get("indexSizes", {}).items():
                sizes[name] = sizes.get(name, 0) + size
        total["indexSizes"] = sizes
    total.pop("wiredTiger", None)
    total.pop("indexDetails", None)
    return {**total, "sharded": route is not None, "shards": replies, "ok": 1.0}


def data_size(router, request):
    ns = request.get("dataSize") or request.get("datasize")
    _, replies = _on_owners(router, request, ns)
    return _sum(replies.values()) or {"size": 0, "numObjects": 0, "ok": 1.0}


def validate(router, request):
    _, replies = _on_owners(router, request, request.ns)
    if not replies:
        raise CommandError(26, f"no collection {request.ns}")
    return {
        "valid": all(reply.get("valid") for reply in replies.values()),
        "raw": replies,
        "ok": 1.0,
    }


def db_stats(router, request):
    shards = router.catalog.shard_names()
    if request.database in ("admin", "config"):
        shards = [CONFIG]
    parts = [(shard, request.content(), ()) for shard in shards]
    replies = router.run_on(request, parts, retry=True)
    for reply in replies:
        raise_for(reply)
    decoded = [scan.decode(reply) for reply in replies]
    total = _sum(decoded)
    # Each shard counts the copies it holds of a sharded collection.
    total["raw"] = dict(zip(shards, decoded))
    if total.get("objects"):
        total["avgObjSize"] = total["dataSize"] / total["objects"]
    return {**total, "ok": 1.0}


HANDLERS = {
    "listDatabases": list_databases,
    "listCollections": list_collections,
    "listIndexes": list_indexes,
    "collStats": coll_stats,
    "collstats": coll_stats,
    "dataSize": data_size,
    "datasize": data_size,
    "validate": validate,
    "dbStats": db_stats,
    "dbstats": db_stats,
}
