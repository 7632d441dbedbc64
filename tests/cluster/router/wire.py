# SPDX-License-Identifier: Apache-2.0
"""The MongoDB wire protocol: messages as bytes, and a socket that sends and receives them.

A command travels as one BSON body plus optional document sequences. Nothing here decodes
more than it must: bodies and sequences stay bytes.
"""

import itertools
import socket
import struct

import bson
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

OP_REPLY = 1
OP_QUERY = 2004
OP_MSG = 2013

CHECKSUM_PRESENT = 1
MORE_TO_COME = 2

_HEADER = struct.Struct("<iiii")
_INT = struct.Struct("<i")
_request_ids = itertools.count(1)

RAW = CodecOptions(document_class=RawBSONDocument)
MESSAGE_BYTES_MAX = 48_000_000 + 16 * 1024


class ProtocolError(Exception):
    """The peer sent something that is no MongoDB message."""


class Message:
    """A received OP_MSG (or a legacy OP_QUERY command). Immutable by convention."""

    __slots__ = ("request_id", "response_to", "flags", "body", "sequences", "legacy")

    def __init__(self, request_id, response_to, flags, body, sequences, legacy=False):
        self.request_id = request_id
        self.response_to = response_to
        self.flags = flags
        self.body = body
        self.sequences = sequences  # list of (name, bytes of the documents one after another)
        self.legacy = legacy


def parse(header, payload):
    """A Message from the 16 bytes of the header and what follows."""
    _, request_id, response_to, code = _HEADER.unpack(header)
    if code == OP_MSG:
        return _parse_msg(request_id, response_to, payload)
    if code == OP_QUERY:
        end = payload.index(b"\0", 4) + 1 + 8
        size = _INT.unpack_from(payload, end)[0]
        return Message(request_id, response_to, 0, payload[end : end + size], [], legacy=True)
    raise ProtocolError(f"unsupported operation code {code}")


def _parse_msg(request_id, response_to, payload):
    flags = _INT.unpack_from(payload, 0)[0]
    end = len(payload) - (4 if flags & CHECKSUM_PRESENT else 0)
    position, body, sequences = 4, None, []
    while position < end:
        kind = payload[position]
        size = _INT.unpack_from(payload, position + 1)[0]
        start = position + 1
        if size < 5 or start + size > end:
            raise ProtocolError("a section is longer than its message")
        if kind == 0:
            body = payload[start : start + size]
        elif kind == 1:
            name_end = payload.index(b"\0", start + 4)
            name = payload[start + 4 : name_end].decode()
            sequences.append((name, payload[name_end + 1 : start + size]))
        else:
            raise ProtocolError(f"unknown section kind {kind}")
        position = start + size
    if body is None:
        raise ProtocolError("a message without a body")
    return Message(request_id, response_to, flags, body, sequences)


def msg_parts(body, sequences=(), response_to=0, flags=0):
    """The buffers of an OP_MSG, to be sent one after another, and its request id."""
    request_id = next(_request_ids) & 0x7FFFFFFF
    parts = [_INT.pack(flags), b"\0", body]
    for name, documents in sequences:
        encoded = name.encode() + b"\0"
        parts.append(b"\1" + _INT.pack(4 + len(encoded) + len(documents)) + encoded)
        parts.append(documents)
    size = 16 + sum(map(len, parts))
    parts.insert(0, _HEADER.pack(size, request_id, response_to, OP_MSG))
    return parts, request_id


def reply_parts(body, response_to):
    """The buffers of a legacy OP_REPLY with one document."""
    size = 16 + 20 + len(body)
    head = _HEADER.pack(size, next(_request_ids) & 0x7FFFFFFF, response_to, OP_REPLY)
    return [head, struct.pack("<iqii", 8, 0, 0, 1), body]


def receive_exactly(sock, size):
    """`size` bytes; ConnectionError if the peer closes first."""
    buffer = bytearray(size)
    view, got = memoryview(buffer), 0
    while got < size:
        count = sock.recv_into(view[got:], size - got)
        if count == 0:
            raise ConnectionError("connection closed")
        got += count
    return bytes(buffer)


def receive(sock):
    """The next Message on a socket."""
    header = receive_exactly(sock, 16)
    size = _INT.unpack_from(header)[0]
    if not 16 < size <= MESSAGE_BYTES_MAX:
        raise ProtocolError(f"message of {size} bytes")
    return parse(header, receive_exactly(sock, size - 16))


def send(sock, parts):
    """Send buffers as one message."""
    sock.sendall(b"".join(parts))


class Connection:
    """A socket to a server. Owned by one thread at a time."""

    def __init__(self, host, port, connect_timeout=10.0, timeout=None):
        self.sock = socket.create_connection((host, port), connect_timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.settimeout(timeout)

    def send(self, body, sequences=(), flags=0):
        parts, _ = msg_parts(body, sequences, flags=flags)
        send(self.sock, parts)

    def receive(self):
        """The body of the reply, as bytes."""
        return receive(self.sock).body

    def call(self, body, sequences=()):
        self.send(body, sequences)
        return self.receive()

    def command(self, database, command):
        """Send a dict, decode the reply to a dict; does not judge `ok`."""
        return bson.decode(self.call(bson.encode({**command, "$db": database})))

    def close(self):
        try:
            self.sock.close()
        except OSError:
            pass


def ask(port, database, command, timeout=5.0):
    """One command on a fresh connection to 127.0.0.1. OSError if nobody answers."""
    connection = Connection("127.0.0.1", port, timeout, timeout)
    try:
        return connection.command(database, command)
    finally:
        connection.close()
