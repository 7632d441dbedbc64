# SPDX-License-Identifier: Apache-2.0
"""What goes wrong between a client, the router and the shards, and how clients hear of it."""

from . import scan

STALE_CODES = {13388, 249, 150, 63, 343}  # the route or database version is old, or being read anew
NOT_PRIMARY_CODES = {10107, 13435, 11602, 189, 91, 11600, 10058, 13436, 10054}
HOST_UNREACHABLE = 6

# Codes on which a driver may repeat a retryable write, and a transaction may begin again.
RETRYABLE_CODES = NOT_PRIMARY_CODES | {6, 7, 89, 9001, 262, 133}
NAMES = {
    2: "BadValue", 6: "HostUnreachable", 9: "FailedToParse", 13: "Unauthorized",
    20: "IllegalOperation", 26: "NamespaceNotFound", 43: "CursorNotFound", 59: "CommandNotFound",
    61: "ShardKeyNotFound", 70: "ShardNotFound", 72: "InvalidOptions", 73: "InvalidNamespace",
    81: "NoSuchSession", 125: "CommandFailed", 133: "FailedToSatisfyReadPreference",
    238: "NotImplemented", 251: "NoSuchTransaction", 115: "CommandNotSupported",
    246: "SnapshotUnavailable", 112: "WriteConflict", 225: "TransactionTooOld",
    118: "NamespaceNotSharded", 263: "OperationNotSupportedInTransaction", 18: "AuthenticationFailed",
    48: "NamespaceExists", 66: "ImmutableField", 10334: "BSONObjectTooLarge",
}  # fmt: skip


class CommandError(Exception):
    """An answer with ok: 0. `reply` is the document as a dict."""

    def __init__(self, code, message, labels=(), **extra):
        super().__init__(message)
        self.code = code
        self.reply = {"ok": 0.0, "errmsg": message, "code": code}
        self.reply["codeName"] = NAMES.get(code, f"Location{code}")
        self.reply.update(extra)
        if labels:
            self.reply["errorLabels"] = list(labels)

    @classmethod
    def from_reply(cls, reply):
        """From a shard's answer, decoded."""
        error = cls(reply.get("code", 8), reply.get("errmsg", "unknown error"))
        inner = ("$clusterTime", "operationTime", "$gleStats", "$configServerState")
        error.reply = {k: v for k, v in reply.items() if k not in inner}
        return error


class Stale(Exception):
    """A shard says that the route is old: refresh it and try again."""

    def __init__(self, reply):
        super().__init__(reply.get("errmsg", ""))
        self.reply = reply


class Unreachable(CommandError):
    """A shard's primary is gone or unknown; the operation may have taken place."""

    def __init__(self, shard, why):
        super().__init__(HOST_UNREACHABLE, f"shard {shard}: {why}")
        self.shard = shard


def is_ok(reply):
    """Whether a raw reply says ok: 1."""
    found = scan.find(reply, b"ok")
    if found is None:
        return False
    kind, _, value, end = found
    return scan.decode_value(kind, reply, value, end) == 1


def raise_for(reply):
    """Raise what a failed raw reply means; return if it is fine."""
    if is_ok(reply):
        return
    decoded = scan.decode(reply)
    if decoded.get("code") in STALE_CODES:
        raise Stale(decoded)
    raise CommandError.from_reply(decoded)
