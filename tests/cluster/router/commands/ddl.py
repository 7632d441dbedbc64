# SPDX-License-Identifier: Apache-2.0
"""Collections and databases made, changed, renamed and dropped.

The primary shard of the database carries these out on all shards (its DDL coordinators);
the router finds it and reads the routes anew afterwards.
"""

from ..errors import CommandError

_GENERIC = {
    "$db", "lsid", "$clusterTime", "$readPreference", "writeConcern", "readConcern", "maxTimeMS",
    "comment", "txnNumber", "apiVersion", "apiStrict", "apiDeprecationErrors",
}  # fmt: skip


def options_of(request, drop=()):
    """A command's own options, decoded."""
    return {
        name: request.get(name)
        for name in request.fields
        if name != request.name and name not in _GENERIC and name not in drop
    }


def create(router, request):
    return router.to_primary_shard(request, request.ns, create=True)


def convert_to_capped(router, request):
    if router.catalog.route(request.ns):
        raise CommandError(20, "a sharded collection can't be capped")
    return router.to_primary_shard(request, request.ns)


def coll_mod(router, request):
    if router.catalog.database(request.database) is None:
        raise CommandError(26, f"ns does not exist: {request.ns}")
    command = {"_shardsvrCollMod": request.collection, **options_of(request)}
    return _ok(router.on_primary_shard(request.database, command, ns=request.ns))


def drop(router, request):
    if router.catalog.database(request.database) is None:
        raise CommandError(26, "ns not found")
    command = {"_shardsvrDropCollection": request.collection}
    return _ok(router.on_primary_shard(request.database, command, ns=request.ns))


def drop_database(router, request):
    if router.catalog.database(request.database) is None:
        return {"dropped": request.database, "ok": 1.0}
    try:
        router.on_primary_shard(request.database, {"_shardsvrDropDatabase": 1})
    finally:
        router.catalog.forget_database(request.database)
    return {"dropped": request.database, "ok": 1.0}


def rename_collection(router, request):
    source, target = request.get("renameCollection"), request.get("to")
    for ns in (source, target):
        if not isinstance(ns, str) or "." not in ns:
            raise CommandError(73, f"not a namespace: {ns!r}")
    database, _, collection = source.partition(".")
    if router.catalog.database(database) is None:
        raise CommandError(26, f"source namespace {source} does not exist")
    router.catalog.need_database(target.partition(".")[0], create=True)
    command = {"_shardsvrRenameCollection": collection, "to": target}
    for name in ("dropTarget", "stayTemp"):
        if request.has(name):
            command[name] = request.get(name)
    try:
        return _ok(router.on_primary_shard(database, command, ns=source))
    finally:
        router.catalog.forget(target)


def _ok(reply):
    """A shard's reply without what only routers need."""
    return {
        name: value
        for name, value in reply.items()
        if name not in ("$clusterTime", "operationTime", "collectionVersion", "hash")
    }


HANDLERS = {
    "create": create,
    "convertToCapped": convert_to_capped,
    "collMod": coll_mod,
    "drop": drop,
    "dropDatabase": drop_database,
    "renameCollection": rename_collection,
}
