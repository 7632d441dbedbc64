# SPDX-License-Identifier: Apache-2.0
"""findAndModify: on the one shard that holds the document."""

from .. import scan
from ..errors import CommandError, raise_for
from ..targeting import full_key, shards_for
from . import owning_shard


def find_and_modify(router, request):
    query, collation = request.raw_document("query"), request.get("collation")

    def attempt(database, route):
        shard = database.primary
        if route:
            key = full_key(route, query, collation)
            shards = [route.owner_of(key)] if key else shards_for(route, query, collation)
            if len(shards) > 1:
                raise CommandError(61, "findAndModify needs the full shard key in its query")
            shard = shards[0]
        content = request.content() + router.versions(database, route, shard)
        content += router.write_concern(request)
        reply = router.run_on(request, [(shard, content, ())])[0]
        raise_for(reply)
        return reply

    try:
        return router.routed(request, request.ns, attempt, create=True)
    except CommandError as error:
        if error.code != 283:
            raise
        return _moved(router, request, error.reply)


def _moved(router, request, info):
    """The document belongs to another shard afterwards."""
    if not (request.transaction or request.is_retryable_write):
        raise CommandError(20, "moving a document to another shard needs a transaction")
    statement = {"q": request.get("query") or {}, "u": request.get("update")}
    for name in ("arrayFilters", "collation", "upsert", "hint"):
        if request.has(name):
            statement[name] = request.get(name)
    moved = owning_shard.move_document(router, request, scan.encode(statement), info)
    before, after = info.get("preImage"), info.get("postImage")
    status = {"n": 1, "updatedExisting": moved.upserted is None}
    if moved.upserted is not None:
        status["upserted"], before = moved.upserted, None
    return {
        "lastErrorObject": status,
        "value": after if request.get("new") else before,
        "ok": 1.0,
    }


HANDLERS = {"findAndModify": find_and_modify, "findandmodify": find_and_modify}
