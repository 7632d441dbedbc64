# SPDX-License-Identifier: Apache-2.0
"""Everything else a client asks: the ends of transactions and sessions, users, the server."""

import os
import socket
import time
import uuid

from bson.binary import Binary

from .. import scan
from ..backend import CONFIG
from ..errors import CommandError, raise_for
from ..transactions import send_end

_STARTED = time.time()


def _to_config(router, request):
    return router.forward(request, CONFIG, retry=True)


def commit_transaction(router, request):
    transaction = router.transactions.of(request)
    if transaction:
        return transaction.commit(request)
    token = request.get("recoveryToken") or {}
    if not token.get("recoveryShardId"):
        raise CommandError(251, "no such transaction", ["TransientTransactionError"])
    command = {"coordinateCommitTransaction": 1, "participants": []}
    return send_end(router, request, [token["recoveryShardId"]], command)


def abort_transaction(router, request):
    transaction = router.transactions.of(request)
    if transaction is None:
        raise CommandError(251, "no such transaction", ["TransientTransactionError"])
    return transaction.abort(request)


def on_all_shards(router, request):
    """The command on every shard; each reply under its shard's name."""
    shards = router.catalog.shard_names()
    replies = router.run_on(request, [(s, request.content(), ()) for s in shards], retry=True)
    for reply in replies:
        raise_for(reply)
    return {"raw": dict(zip(shards, map(scan.decode, replies))), "ok": 1.0}


def end_sessions(router, request):
    return {"ok": 1.0}


def start_session(router, request):
    return {"id": {"id": Binary(uuid.uuid4().bytes, 4)}, "timeoutMinutes": 30, "ok": 1.0}


def ping(router, request):
    return {"ok": 1.0}


def connection_status(router, request):
    """With authentication the session relays this; without, nobody is logged in."""
    info = {"authenticatedUsers": [], "authenticatedUserRoles": []}
    if request.get("showPrivileges"):
        info["authenticatedUserPrivileges"] = []
    return {"authInfo": info, "ok": 1.0}


def is_dbgrid(router, request):
    return {"isdbgrid": 1, "hostname": socket.gethostname(), "ok": 1.0}


def set_user_write_block_mode(router, request):
    command = {"_configsvrSetUserWriteBlockMode": 1, "global": request.get("global")}
    router.on_config(command)
    return {"ok": 1.0}


def set_fcv(router, request):
    version = request.get(request.name)
    router.on_config({"_configsvrSetFeatureCompatibilityVersion": version})
    return {"ok": 1.0}


def get_parameter(router, request):
    if request.has("featureCompatibilityVersion"):
        raise CommandError(72, "no option found to get")  # a mongos has none
    return _to_config(router, request)


def server_status(router, request):
    build = router.backend.command(CONFIG, "admin", {"buildInfo": 1})
    return {
        "host": socket.gethostname(),
        "version": build["version"],
        "process": "mongos",
        "pid": os.getpid(),
        "uptime": time.time() - _STARTED,
        "sharding": {"configsvrConnectionString": router.backend.target(CONFIG).seed},
        "ok": 1.0,
    }


def conn_pool_stats(router, request):
    names = router.catalog.shard_names()
    idle = {name: sum(map(len, router.backend.target(name).idle.values())) for name in names}
    return {"totalAvailable": sum(idle.values()), "pools": idle, "ok": 1.0}


def current_op(router, request):
    shards = [*router.catalog.shard_names(), CONFIG]
    replies = router.run_on(request, [(s, request.content(), ()) for s in shards], retry=True)
    operations = []
    for shard, reply in zip(shards, replies):
        raise_for(reply)
        operations += [{"shard": shard, **row} for row in scan.decode(reply)["inprog"]]
    return {"inprog": operations, "ok": 1.0}


def flush_router_config(router, request):
    router.catalog.forget_all()
    return {"flushed": True, "ok": 1.0}


def list_commands(router, request):
    raise AssertionError("the dispatcher answers this")


_OF_CONFIG = """
    buildInfo buildinfo hostInfo getCmdLineOpts usersInfo rolesInfo createUser updateUser dropUser
    dropAllUsersFromDatabase grantRolesToUser revokeRolesFromUser createRole updateRole dropRole
    dropAllRolesFromDatabase grantRolesToRole revokeRolesFromRole grantPrivilegesToRole
    revokePrivilegesFromRole invalidateUserCache getDefaultRWConcern setDefaultRWConcern whatsmyuri
    getLog features
""".split()

HANDLERS = {
    **dict.fromkeys(_OF_CONFIG, _to_config),
    "commitTransaction": commit_transaction,
    "abortTransaction": abort_transaction,
    "appendOplogNote": on_all_shards,
    "killSessions": on_all_shards,
    "killAllSessions": on_all_shards,
    "killAllSessionsByPattern": on_all_shards,
    "refreshSessions": end_sessions,
    "endSessions": end_sessions,
    "startSession": start_session,
    "ping": ping,
    "connectionStatus": connection_status,
    "isdbgrid": is_dbgrid,
    "setUserWriteBlockMode": set_user_write_block_mode,
    "setFeatureCompatibilityVersion": set_fcv,
    "getParameter": get_parameter,
    "serverStatus": server_status,
    "connPoolStats": conn_pool_stats,
    "currentOp": current_op,
    "flushRouterConfig": flush_router_config,
    "listCommands": list_commands,
    "logout": ping,
}
