# SPDX-License-Identifier: Apache-2.0
"""The commands by name, and what is common to all: log-in, transactions, clear refusals."""

from ..errors import CommandError
from . import admin, aggregate, catalog, ddl, indexes, modify, reads, sharding, writes

_MODULES = (admin, aggregate, catalog, ddl, indexes, modify, reads, sharding, writes)
HANDLERS = {name: handler for module in _MODULES for name, handler in module.HANDLERS.items()}
_BY_LOWER_CASE = {name.lower(): name for name in HANDLERS}
_ENDS = ("commitTransaction", "abortTransaction")


def dispatch(router, session, request):
    """The reply of a command, as a dict or raw bytes."""
    if request.name in ("hello", "isMaster", "ismaster"):
        return session.hello(request)
    if session.relays(request.name) and router.backend.has_auth:
        return session.relay(request)
    session.check(request)
    handler = HANDLERS.get(request.name) or HANDLERS.get(
        _BY_LOWER_CASE.get(request.name.lower(), "")
    )
    if handler is None:
        raise CommandError(59, f"no such command: '{request.name}' (stand-in router)")
    if request.has("autocommit") and request.name not in _ENDS:
        request.transaction = router.transactions.of(request)
        if request.transaction is None:
            number = request.get("txnNumber")
            raise CommandError(
                251, f"no transaction {number} in this session", ["TransientTransactionError"]
            )
    if request.name == "listCommands":
        return {"commands": {name: {} for name in sorted(HANDLERS)}, "ok": 1.0}
    return handler(router, request)
