# SPDX-License-Identifier: Apache-2.0
"""A client's connection: who it is, and the conversation that proves it.

SCRAM is relayed to the config server over a connection of the client's own (SCRAM does
not bind to the channel), where the cluster's users live. Owned by the client's thread.
"""

import datetime

from . import scan
from .backend import CONFIG
from .errors import CommandError
from .wire import Connection

_BEFORE_LOGIN = {
    "hello", "ismaster", "isMaster", "saslStart", "saslContinue", "authenticate", "logout",
    "buildInfo", "buildinfo", "ping", "connectionStatus", "getnonce", "whatsmyuri", "endSessions",
}  # fmt: skip
_RELAYED = {"saslStart", "saslContinue", "authenticate", "logout", "connectionStatus"}


class Session:
    """See the top of this file."""

    _numbers = iter(range(1, 2**31))

    def __init__(self, router):
        self._router = router
        self._own = None
        self._logged_in = False
        self._bypass = None
        self.number = next(self._numbers)

    def check(self, request):
        """Refuse what needs a log-in; add what shards must know of this user."""
        if not self._router.backend.has_auth:
            return
        if not self._logged_in and request.name not in _BEFORE_LOGIN:
            raise CommandError(13, f"command {request.name} requires authentication")
        if self._logged_in:
            request.bypass = self._bypass_element()

    def relay(self, request):
        """The reply of the config server, asked as this client's user."""
        reply = self._ask(request.content())
        if request.name in ("saslContinue", "saslStart", "authenticate"):
            decoded = scan.decode(reply)
            if decoded.get("ok") and decoded.get("done", request.name == "authenticate"):
                self._logged_in, self._bypass = True, None
        elif request.name == "logout":
            self._logged_in, self._bypass = False, None
        return reply

    @staticmethod
    def relays(name):
        return name in _RELAYED

    def hello(self, request):
        """What a mongos says of itself."""
        reply = {
            "isWritablePrimary": True,
            "msg": "isdbgrid",
            "maxBsonObjectSize": 16 * 1024 * 1024,
            "maxMessageSizeBytes": 48_000_000,
            "maxWriteBatchSize": 100_000,
            "localTime": datetime.datetime.now(datetime.timezone.utc),
            "logicalSessionTimeoutMinutes": 30,
            "connectionId": self.number,
            "maxWireVersion": self._router.backend.max_wire_version,
            "minWireVersion": 0,
            "ok": 1.0,
        }
        if request.name.lower() == "ismaster":
            reply["ismaster"] = reply.pop("isWritablePrimary")
        if request.get("helloOk"):
            reply["helloOk"] = True
        asked = {k: request.get(k) for k in ("saslSupportedMechs", "speculativeAuthenticate")}
        asked = {k: v for k, v in asked.items() if v is not None}
        if asked and self._router.backend.has_auth:
            content = scan.encode_elements({"hello": 1, **asked, "$db": "admin"})
            told = scan.decode(self._ask(content))
            reply.update({k: told[k] for k in asked if k in told})
        return reply

    def close(self):
        if self._own:
            self._own.close()

    def _ask(self, content):
        backend = self._router.backend
        try:
            if self._own is None:
                self._own = Connection(*backend.primary_of(backend.target(CONFIG)))
            reply = self._own.call(scan.frame(content))
        except OSError as error:
            self._own, self._logged_in = None, False
            backend.lost_primary(CONFIG)
            raise CommandError(6, f"config server: {error}") from error
        self._router.clock.observe(reply)
        return reply

    def _bypass_element(self):
        """Shards take the router's word for whether the user may write while writes of
        users are blocked; a mongos gives it in the same way."""
        if self._bypass is None:
            content = {"connectionStatus": 1, "showPrivileges": True, "$db": "admin"}
            told = scan.decode(self._ask(scan.encode_elements(content)))
            rights = told.get("authInfo", {}).get("authenticatedUserPrivileges", [])
            may = any("bypassWriteBlockingMode" in right.get("actions", ()) for right in rights)
            self._bypass = scan.encode_elements({"mayBypassWriteBlocking": may})
        return self._bypass
