# SPDX-License-Identifier: Apache-2.0
"""createIndexes and dropIndexes: on every shard that owns chunks."""

from .. import scan
from ..errors import Stale, CommandError, raise_for


def _on_every_owner(router, request, create):
    done = {}

    def attempt(database, route):
        if database is None:
            raise CommandError(26, f"database {request.database} not found")
        shards = route.shards if route else [database.primary]
        left = [shard for shard in shards if shard not in done]
        content = request.content() + router.write_concern(request)
        parts = [(s, content + router.versions(database, route, s), ()) for s in left]
        stale = None
        for shard, reply in zip(left, router.run_on(request, parts, retry=create)):
            try:
                raise_for(reply)
                done[shard] = reply
            except Stale as error:
                stale = error
            except CommandError as error:
                error.reply["errmsg"] = f"shard {shard}: {error.reply['errmsg']}"
                raise
        if stale:
            raise stale
        if route is None:
            return done[database.primary]
        raw = {shard: _plain(reply) for shard, reply in done.items()}
        return {"raw": raw, "ok": 1.0}

    return router.routed(request, request.ns, attempt, create)


def _plain(reply):
    inner = ("$clusterTime", "operationTime", "$configServerState", "$gleStats")
    return {k: v for k, v in scan.decode(reply).items() if k not in inner}


def create_indexes(router, request):
    return _on_every_owner(router, request, create=True)


def drop_indexes(router, request):
    return _on_every_owner(router, request, create=False)


HANDLERS = {
    "createIndexes": create_indexes,
    "dropIndexes": drop_indexes,
    "deleteIndexes": drop_indexes,
}
