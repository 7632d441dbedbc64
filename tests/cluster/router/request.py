# SPDX-License-Identifier: Apache-2.0
"""A command of a client: its fields by name, and the body that goes to a shard."""

from . import scan
from .errors import CommandError

_SEQUENCE_OF = {"insert": "documents", "update": "updates", "delete": "deletes"}
# What the router decides itself for every shard.
_OWN = {
    b"$clusterTime", b"$readPreference", b"startTransaction", b"coordinator", b"shardVersion",
    b"databaseVersion", b"$configTime", b"$topologyTime", b"mayBypassWriteBlocking", b"$client",
}  # fmt: skip


class Request:
    """A parsed command. Owned by the thread of its client."""

    def __init__(self, message):
        self.body = message.body
        self.sequences = message.sequences
        self.fields = scan.index(message.body)
        self.name = next(iter(self.fields), "")
        database = self.get("$db")
        self.database = database if isinstance(database, str) else "admin"
        self.transaction = None  # set by the dispatcher when this is a statement of one
        self.bypass = b""

    def get(self, name, default=None):
        """A field, decoded."""
        found = self.fields.get(name)
        if found is None:
            return default
        kind, _, value, end = found
        return scan.decode_value(kind, self.body, value, end)

    def raw_document(self, name):
        """A field that is a document, as bytes; the empty document if it is not there."""
        found = self.fields.get(name)
        if found is None or found[0] == scan.NULL:
            return scan.EMPTY
        if found[0] != scan.DOCUMENT:
            raise CommandError(14, f"{self.name}.{name} must be an object")
        return self.body[found[2] : found[3]]

    def has(self, name):
        return name in self.fields

    @property
    def collection(self):
        """The collection that the command names first; CommandError if it is no name."""
        name = self.get(self.name)
        if not isinstance(name, str) or not name:
            raise CommandError(73, f"{self.name} needs the name of a collection")
        return name

    @property
    def ns(self):
        return f"{self.database}.{self.collection}"

    def items(self, name):
        """The documents of an array field or of the sequence of that name, as bytes."""
        for sequence, documents in self.sequences:
            if sequence == name:
                return scan.sequence_items(documents)
        found = self.fields.get(name)
        if found is None or found[0] != scan.ARRAY:
            raise CommandError(9, f"{self.name} needs an array '{name}'")
        return scan.array_items(self.body, found[2])

    def content(self, drop=()):
        """The body's elements for a shard, minus what the router decides and `drop`."""
        return scan.without(self.body, _OWN | {name.encode() for name in drop}) + self.bypass

    @property
    def is_retryable_write(self):
        return self.has("txnNumber") and not self.has("autocommit")
