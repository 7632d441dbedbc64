# SPDX-License-Identifier: Apache-2.0
"""Shard keys: the server's order of BSON values, its hash, and a document's key.

`order(type, buffer, value, end)` turns a raw value into a tuple; tuples compare as the
server compares the values, over all types. `hash_value` is the hash of hashed indexes.
Both work on bytes, so nothing is lost by decoding.
"""

import hashlib
import math
import struct
from decimal import ROUND_HALF_EVEN, Decimal

from bson.decimal128 import Decimal128

from . import scan

_INT = struct.Struct("<i")
_UINT = struct.Struct("<I")
_LONG = struct.Struct("<q")
_ULONG = struct.Struct("<Q")
_DOUBLE = struct.Struct("<d")

CANONICAL = {
    255: -1, 6: 0, 10: 5, 1: 10, 16: 10, 18: 10, 19: 10, 2: 15, 14: 15, 3: 20, 4: 25, 5: 30,
    7: 35, 8: 40, 9: 45, 17: 47, 11: 50, 12: 55, 13: 60, 15: 65, 127: 127,
}  # fmt: skip

MIN_KEY = (-1,)
MAX_KEY = (127,)
NULL_ORDER = (5,)
NULL_ELEMENT = (scan.NULL, b"", 0, 0)

_LONG_MIN, _LONG_MAX = -(2**63), 2**63 - 1


def number(kind, buffer, value):
    """A numeric value as int, float or Decimal."""
    if kind == 16:
        return _INT.unpack_from(buffer, value)[0]
    if kind == 18:
        return _LONG.unpack_from(buffer, value)[0]
    if kind == 1:
        return _DOUBLE.unpack_from(buffer, value)[0]
    return Decimal128.from_bid(bytes(buffer[value : value + 16])).to_decimal()


def order(kind, buffer, value, end):
    """A tuple that compares as the server compares the value."""
    canonical = CANONICAL[kind]
    if canonical == 10:
        plain = number(kind, buffer, value)
        is_nan = plain.is_nan() if isinstance(plain, Decimal) else plain != plain
        return (10, 0, 0) if is_nan else (10, 1, plain)
    if kind in (2, 14, 13):
        return (canonical, bytes(buffer[value + 4 : end - 1]))
    if kind == 7:
        return (35, bytes(buffer[value:end]))
    if kind in (3, 4):
        return (canonical, order_document(buffer, value))
    if kind == 5:
        return (30, end - value - 5, bytes(buffer[value + 4 : end]))
    if kind == 8:
        return (40, buffer[value])
    if kind == 9:
        return (45, _LONG.unpack_from(buffer, value)[0])
    if kind == 17:
        return (47, _ULONG.unpack_from(buffer, value)[0])
    if kind == 11:
        pattern, flags, _ = bytes(buffer[value:end]).split(b"\0")
        return (50, pattern, flags)
    if kind == 12:
        return (55, end - value, bytes(buffer[value:end]))
    if kind == 15:
        code_end = value + 8 + _INT.unpack_from(buffer, value + 4)[0]
        return (65, bytes(buffer[value + 8 : code_end - 1]), order_document(buffer, code_end))
    return (canonical,)


def order_document(buffer, at=0):
    """A document's order: element by element, by type, then name, then value."""
    ordered = []
    for name, kind, _, value, end in scan.elements(buffer, at):
        compared = order(kind, buffer, value, end)
        ordered.append((compared[0], name, compared[1:]))
    return tuple(ordered)


def order_of_values(document):
    """The orders of a document's values, names left out: a chunk's bound as a key."""
    return tuple(
        order(kind, document, value, end) for _, kind, _, value, end in scan.elements(document)
    )


def hash_value(kind, buffer, value, end):
    """The 64-bit hash of a value in a hashed index."""
    digest = hashlib.md5(b"\0\0\0\0")
    _hash_into(digest, kind, buffer, value, end)
    return _LONG.unpack(digest.digest()[:8])[0]


def hash_order(element):
    """The order of the hash (a long) of a raw element (type, buffer, value, end)."""
    return (10, 1, hash_value(*element))


def _hash_into(digest, kind, buffer, value, end, name=None):
    digest.update(_INT.pack(CANONICAL[kind]))
    if name is not None:
        digest.update(name + b"\0")
    if kind in (3, 4):
        _hash_document(digest, buffer, value)
    elif kind == 15:
        code_end = value + 8 + _INT.unpack_from(buffer, value + 4)[0]
        digest.update(buffer[value + 8 : code_end])
        _hash_document(digest, buffer, code_end)
    elif CANONICAL[kind] == 10:
        digest.update(_LONG.pack(_as_long(kind, number(kind, buffer, value))))
    else:
        digest.update(buffer[value:end])


def _hash_document(digest, buffer, at):
    for name, kind, _, value, end in scan.elements(buffer, at):
        _hash_into(digest, kind, buffer, value, end, name)
    digest.update(b"\0\0\0\0")  # the end of a document counts as an element without a name


def _as_long(kind, plain):
    """A number squashed to 64 bits as hashed indexes do (whole, kept in range)."""
    if isinstance(plain, int):
        return plain
    if plain != plain:
        return 0
    if isinstance(plain, float):
        if plain > 2.0**63:
            return _LONG_MAX
        return _LONG_MIN if plain == 2.0**63 or plain < -(2.0**63) or math.isinf(plain) else int(plain)
    if plain.is_infinite():
        return _LONG_MAX if plain > 0 else _LONG_MIN
    whole = int(plain.to_integral_value(ROUND_HALF_EVEN))  # a double is cut, a decimal rounded
    return max(_LONG_MIN, min(_LONG_MAX, whole))


class ShardKey:
    """A shard key pattern: which fields, which of them hashed. Immutable."""

    def __init__(self, pattern):
        self.pattern = dict(pattern)
        self.fields = list(self.pattern)
        self.paths = [field.encode().split(b".") for field in self.fields]
        self.hashed = [direction == "hashed" for direction in self.pattern.values()]
        self._simple = len(self.paths) == 1 and len(self.paths[0]) == 1
        self._prefix = self.paths[0][0] + b"\0"

    def of_document(self, document):
        """The key of a raw document as a tuple of orders; a missing field counts as null.
        ValueError if an array stands on the way."""
        if self._simple and document.startswith(self._prefix, 5):
            # The usual case: the key is the first field.
            value = 5 + len(self._prefix)
            kind = document[4]
            if kind == scan.ARRAY:
                raise ValueError("an array in the shard key")
            end = scan.value_end(kind, document, value)
            if self.hashed[0]:
                return ((10, 1, hash_value(kind, document, value, end)),)
            return (order(kind, document, value, end),)
        return tuple(
            hash_order(element) if hashed else order(*element)
            for element, hashed in zip(self.raw_values(document), self.hashed)
        )

    def raw_values(self, document):
        """The raw elements (type, buffer, value, end) of the key's fields."""
        return [element_at(document, path) or NULL_ELEMENT for path in self.paths]

    def raw_document(self, document):
        """The key of a document as a document (unhashed values)."""
        parts = []
        for field, (kind, buffer, value, end) in zip(self.fields, self.raw_values(document)):
            parts.append(bytes([kind]) + field.encode() + b"\0" + buffer[value:end])
        return scan.frame(b"".join(parts))

    def complete_in(self, document):
        """Whether every field of the key is there."""
        return all(element_at(document, path) is not None for path in self.paths)


def element_at(document, path):
    """The raw element (type, buffer, value, end) at a dotted path, or None; ValueError if
    it is an array or lies in one."""
    at = 0
    for depth, name in enumerate(path):
        found = scan.find(document, name, at)
        if found is None:
            return None
        kind, _, value, end = found
        if kind == scan.ARRAY:
            raise ValueError("an array in the shard key")
        if depth == len(path) - 1:
            return kind, document, value, end
        if kind != scan.DOCUMENT:
            return None
        at = value
    return None
