# SPDX-License-Identifier: Apache-2.0
"""What an administrator does to a sharded cluster: shards, chunks, zones, balancer, keys."""

from bson.max_key import MaxKey
from bson.min_key import MinKey

from .. import keys, scan
from ..errors import CommandError
from .ddl import options_of


def _split_ns(ns):
    if not isinstance(ns, str) or "." not in ns:
        raise CommandError(73, f"not a namespace: {ns!r}")
    return ns.partition(".")[::2]


def _need_route(router, ns):
    router.catalog.forget(ns)
    route = router.catalog.route(ns)
    if route is None:
        raise CommandError(118, f"{ns} is not sharded")
    return route


def _plain(reply):
    return {k: v for k, v in reply.items() if k not in ("$clusterTime", "operationTime")}


def _need_admin(request):
    if request.database != "admin":
        raise CommandError(13, f"{request.name} may only be run against the admin database")


def enable_sharding(router, request):
    name = request.get(request.name)
    known = router.catalog.database(name)
    primary = request.get("primaryShard")
    if known is None or primary:
        router.catalog.create_database(name, primary)
    return {"ok": 1.0}


def shard_collection(router, request):
    _need_admin(request)
    ns = request.get(request.name)
    database, collection = _split_ns(ns)
    if collection.startswith("system.buckets."):
        raise CommandError(5731501, "Sharding a buckets collection is not allowed")
    options = options_of(request, drop=("key",))
    if options.get("timeseries"):
        raise CommandError(115, "the stand-in router does not know sharded time series")
    command = {"_shardsvrCreateCollection": collection, "shardKey": request.get("key"), **options}
    router.on_primary_shard(database, command, ns=ns, create=True)
    router.catalog.forget_database(database)
    return {"collectionsharded": ns, "ok": 1.0}


def refine_shard_key(router, request):
    ns = request.get(request.name)
    database, collection = _split_ns(ns)
    command = {"_shardsvrRefineCollectionShardKey": collection, "newShardKey": request.get("key")}
    return _plain(router.on_primary_shard(database, command, ns=ns))


def reshard_collection(router, request):
    ns = request.get(request.name)
    options = options_of(request)
    options.setdefault("numInitialChunks", max(2, 2 * len(router.catalog.shard_names())))
    command = {"_shardsvrReshardCollection": ns, **options}
    return _plain(router.on_primary_shard(_split_ns(ns)[0], command, "admin", ns))


def abort_reshard(router, request):
    return _plain(router.on_config({"_configsvrAbortReshardCollection": request.get(request.name)}))


def move_primary(router, request):
    name = request.get(request.name)
    command = {"_shardsvrMovePrimary": name, "to": request.get("to")}
    try:
        return _plain(router.on_primary_shard(name, command, "admin"))
    finally:
        router.catalog.forget_database(name)


# ---- chunks


def _chunk(route, request):
    """The position of the chunk that a command means by find, middle, bounds or min."""
    low = request.get("min")
    if request.has("bounds"):
        low = request.get("bounds")[0]
    if low is not None:
        return route.chunk_of(keys.order_of_values(scan.encode(low)))
    if request.has("middle"):
        return route.chunk_of(keys.order_of_values(scan.encode(request.get("middle"))))
    if request.has("find"):
        query = request.raw_document("find")
        if not route.key.complete_in(query):
            raise CommandError(61, "'find' needs the full shard key")
        return route.chunk_of(route.key.of_document(query))
    raise CommandError(72, "which chunk: find, middle, bounds or min")


def split(router, request):
    ns = request.get(request.name)
    route = _need_route(router, ns)
    position = _chunk(route, request)
    low, high = scan.decode(route.bounds[position]), scan.decode(route.ends[position])
    shard = route.owners[position]
    if request.has("middle"):
        points = [request.get("middle")]
    else:
        points = _middle(router, ns, route, low, high, shard)
    command = {
        "splitChunk": ns,
        "keyPattern": route.key.pattern,
        "min": low,
        "max": high,
        "splitKeys": points,
        "from": shard,
        "epoch": route.epoch,
        "timestamp": route.timestamp,
    }
    try:
        router.backend.command(shard, "admin", command)
    finally:
        router.catalog.forget(ns)
    return {"ok": 1.0}


def _middle(router, ns, route, low, high, shard):
    command = {
        "splitVector": ns,
        "keyPattern": route.key.pattern,
        "min": low,
        "max": high,
        "force": True,
    }
    points = router.backend.command(shard, "admin", command)["splitKeys"]
    if not points:
        raise CommandError(125, "the chunk is too small to be split: no middle key")
    return points[:1]


def merge_chunks(router, request):
    ns = request.get(request.name)
    route = _need_route(router, ns)
    shard = route.owners[_chunk(route, request)]
    command = {
        "_shardsvrMergeChunks": ns,
        "bounds": request.get("bounds"),
        "epoch": route.epoch,
        "timestamp": route.timestamp,
    }
    try:
        return _plain(router.backend.command(shard, "admin", command))
    finally:
        router.catalog.forget(ns)


def move_chunk(router, request):
    ns, to = request.get(request.name), request.get("to") or request.get("toShard")
    route = _need_route(router, ns)
    if to not in router.catalog.shard_names():
        raise CommandError(70, f"no shard {to}")
    command = {"_configsvrMoveRange": ns, "toShard": to, "forceJumbo": 0}
    if request.name == "moveRange":
        command.update({n: request.get(n) for n in ("min", "max") if request.has(n)})
    else:
        position = _chunk(route, request)
        command["min"] = scan.decode(route.bounds[position])
        command["max"] = scan.decode(route.ends[position])
        if request.has("bounds"):
            command["min"], command["max"] = request.get("bounds")
    wait = request.get("_waitForDelete", request.get("waitForDelete"))
    command["waitForDelete"] = bool(wait)
    if request.get("forceJumbo"):
        command["forceJumbo"] = 1
    try:
        reply = router.on_config(command)
    finally:
        router.catalog.forget(ns)
    return _plain(reply)


# ---- shards, zones, balancer


def add_shard(router, request):
    command = {"_configsvrAddShard": request.get(request.name)}
    if request.has("name"):
        command["name"] = request.get("name")
    reply = router.on_config(command)
    router.catalog.load_shards()
    return _plain(reply)


def remove_shard(router, request):
    reply = router.on_config({"_configsvrRemoveShard": request.get(request.name)})
    router.catalog.load_shards()
    return _plain(reply)


def list_shards(router, request):
    return {"shards": router.catalog.load_shards(), "ok": 1.0}


def add_shard_to_zone(router, request):
    shard, zone = request.get(request.name), request.get("zone")
    return _plain(router.on_config({"_configsvrAddShardToZone": shard, "zone": zone}))


def remove_shard_from_zone(router, request):
    shard, zone = request.get(request.name), request.get("zone")
    return _plain(router.on_config({"_configsvrRemoveShardFromZone": shard, "zone": zone}))


def update_zone_key_range(router, request):
    ns = request.get(request.name)
    route = router.catalog.route(ns)
    low, high = request.get("min"), request.get("max")
    if route:
        low, high = (_full_bound(route, bound) for bound in (low, high))
    command = {
        "_configsvrUpdateZoneKeyRange": ns,
        "min": low,
        "max": high,
        "zone": request.get("zone"),
    }
    return _plain(router.on_config(command))


def _full_bound(route, bound):
    """A bound with the fields that it leaves out: MinKey, or MaxKey after a MaxKey."""
    edge = MaxKey() if bound and all(isinstance(v, MaxKey) for v in bound.values()) else MinKey()
    return {field: bound.get(field, edge) for field in route.key.fields}


def _balancer(command):
    def handle(router, request):
        limit = {"maxTimeMS": request.get("maxTimeMS")} if request.has("maxTimeMS") else {}
        return _plain(router.backend.command("config", "admin", {command: 1, **limit}))

    return handle


def balancer_collection_status(router, request):
    command = {"_configsvrBalancerCollectionStatus": request.get(request.name)}
    return _plain(router.backend.command("config", "admin", command))


HANDLERS = {
    "enableSharding": enable_sharding,
    "shardCollection": shard_collection,
    "refineCollectionShardKey": refine_shard_key,
    "reshardCollection": reshard_collection,
    "abortReshardCollection": abort_reshard,
    "movePrimary": move_primary,
    "split": split,
    "mergeChunks": merge_chunks,
    "moveChunk": move_chunk,
    "moveRange": move_chunk,
    "addShard": add_shard,
    "removeShard": remove_shard,
    "listShards": list_shards,
    "addShardToZone": add_shard_to_zone,
    "removeShardFromZone": remove_shard_from_zone,
    "updateZoneKeyRange": update_zone_key_range,
    "balancerStart": _balancer("_configsvrBalancerStart"),
    "balancerStop": _balancer("_configsvrBalancerStop"),
    "balancerStatus": _balancer("_configsvrBalancerStatus"),
    "balancerCollectionStatus": balancer_collection_status,
}
