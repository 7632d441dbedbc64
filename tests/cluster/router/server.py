# SPDX-License-Identifier: Apache-2.0
"""The router's network side: a thread per client, handshakes, replies.

Every reply of a cluster with known time carries `$clusterTime` and `operationTime`.
"""

import logging
import socket
import struct
import threading


from . import scan, wire
from .commands import dispatch
from .errors import CommandError, Stale
from .request import Request
from .session import Session

log = logging.getLogger("router")
# Shards tell routers these; clients get the router's own.
_INNER = {
    b"$clusterTime", b"operationTime", b"$configServerState", b"$gleStats", b"lastCommittedOpTime",
    b"$configTime", b"$topologyTime", b"readOnly", b"electionId", b"opTime", b"$replData",
}  # fmt: skip
_CLUSTER_TIME = struct.Struct("<Q")


class Server:
    """Accepts clients until its process ends."""

    def __init__(self, router, host, port):
        self._router = router
        self._listener = socket.create_server((host, port), backlog=512)

    def serve(self):
        while True:
            client, _ = self._listener.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve_client, args=(client,), daemon=True).start()

    def _serve_client(self, client):
        session = Session(self._router)
        try:
            while True:
                message = wire.receive(client)
                reply = self._answer(session, message)
                if message.legacy:
                    wire.send(client, wire.reply_parts(reply, message.request_id))
                elif not message.flags & wire.MORE_TO_COME:
                    parts, _ = wire.msg_parts(reply, response_to=message.request_id)
                    wire.send(client, parts)
        except (ConnectionError, OSError):
            pass  # the client has gone
        except wire.ProtocolError as error:
            log.warning("closing a client: %s", error)
        finally:
            session.close()
            client.close()

    def _answer(self, session, message):
        clock = self._router.clock
        clock.begin_operation()
        try:
            request = Request(message)
            self._learn_time(request)
            reply = dispatch(self._router, session, request)
        except CommandError as error:
            reply = error.reply
        except Stale as stale:
            reply = CommandError.from_reply(stale.reply).reply
        except Exception as error:  # a bug of the router: the client hears of it, others go on
            log.exception("internal error")
            reply = {"ok": 0.0, "errmsg": f"router: {error!r}", "code": 1, "codeName": "InternalError"}
        return self._finish(reply if isinstance(reply, bytes) else scan.encode(reply))

    def _learn_time(self, request):
        found = request.fields.get("$clusterTime")
        if found and found[0] == scan.DOCUMENT:
            _, start, value, end = found
            self._router.clock.observe_element(request.body[start:end], request.body, value)

    def _finish(self, reply):
        clock = self._router.clock
        content = scan.without(reply, _INNER)
        time = clock.operation_time()
        if time:
            content += b"\x11operationTime\0" + _CLUSTER_TIME.pack(time) + clock.element
        return scan.frame(content)
