# SPDX-License-Identifier: Apache-2.0
"""BSON as bytes: find, drop and append elements without decoding documents.

All functions take a bytes-like document (or a buffer and an offset) and trust its
structure; a server or a driver wrote it. An element is (type, start, value, end): the
offsets of its type byte, of its value and of what follows it.
"""

import struct

import bson
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.raw_bson import RawBSONDocument

_INT = struct.Struct("<i")
_LONG = struct.Struct("<q")
_FIXED = {1: 8, 6: 0, 7: 12, 8: 1, 9: 8, 10: 0, 16: 4, 17: 8, 18: 8, 19: 16, 255: 0, 127: 0}

DOUBLE, STRING, DOCUMENT, ARRAY, BINARY, OBJECT_ID = 1, 2, 3, 4, 5, 7
BOOL, NULL, REGEX, INT32, TIMESTAMP, INT64 = 8, 10, 11, 16, 17, 18

CODEC = CodecOptions(tz_aware=False, datetime_conversion=DatetimeConversion.DATETIME_MS)
EMPTY = b"\5\0\0\0\0"


def value_end(kind, buffer, at):
    """The offset after a value of a type that begins at `at`."""
    fixed = _FIXED.get(kind)
    if fixed is not None:
        return at + fixed
    if kind in (3, 4, 15):
        return at + _INT.unpack_from(buffer, at)[0]
    if kind in (2, 13, 14):
        return at + 4 + _INT.unpack_from(buffer, at)[0]
    if kind == 5:
        return at + 5 + _INT.unpack_from(buffer, at)[0]
    if kind == 11:
        return buffer.index(b"\0", buffer.index(b"\0", at) + 1) + 1
    if kind == 12:
        return at + 4 + _INT.unpack_from(buffer, at)[0] + 12
    raise ValueError(f"unknown BSON type {kind}")


def elements(buffer, at=0):
    """Yield (name, type, start, value, end) of a document's elements; name as bytes."""
    at += 4
    while True:
        kind = buffer[at]
        if kind == 0:
            return
        name_end = buffer.index(b"\0", at + 1)
        end = value_end(kind, buffer, name_end + 1)
        yield bytes(buffer[at + 1 : name_end]), kind, at, name_end + 1, end
        at = end


def find(buffer, name, at=0):
    """(type, start, value, end) of the element of that name (bytes), or None."""
    for found, kind, start, value, end in elements(buffer, at):
        if found == name:
            return kind, start, value, end
    return None


def index(buffer):
    """All elements of a document by name (str)."""
    return {
        name.decode(): (kind, start, value, end)
        for name, kind, start, value, end in elements(buffer)
    }


def decode_value(kind, buffer, value, end):
    """The Python value of one element."""
    body = bytes([kind]) + b"\0" + buffer[value:end]
    return bson.decode(_INT.pack(len(body) + 5) + body + b"\0", CODEC)[""]


def decode(document):
    return bson.decode(document, CODEC)


def encode(document):
    # As a field of another document: on its own, bson.encode() moves _id to the front, which
    # makes another key of the bounds of {customer_id: 1, _id: 1}.
    return bson.encode({"": document}, codec_options=CODEC)[6:-1]


def encode_elements(document):
    """The elements of a dict as bytes, without the document's frame."""
    return encode(document)[4:-1]


def frame(content):
    """A document out of the bytes of its elements."""
    return _INT.pack(len(content) + 5) + content + b"\0"


def without(document, names):
    """The elements of a document, minus those named (bytes), as bytes."""
    parts, keep_from = [], 4
    for name, _, start, _, end in elements(document):
        if name in names:
            parts.append(document[keep_from:start])
            keep_from = end
    parts.append(document[keep_from:-1])
    return b"".join(parts)


def array_items(buffer, at=0):
    """The values of an array of documents, each as bytes."""
    items, at = [], at + 4
    while buffer[at]:
        start = buffer.index(b"\0", at + 1) + 1
        at = start + _INT.unpack_from(buffer, start)[0]
        items.append(buffer[start:at])
    return items


def sequence_items(buffer):
    """The documents of a document sequence, each as bytes."""
    items, at, size = [], 0, len(buffer)
    while at < size:
        end = at + _INT.unpack_from(buffer, at)[0]
        items.append(buffer[at:end])
        at = end
    return items


_INDEX_NAMES = [b"\3" + str(i).encode() + b"\0" for i in range(20000)]


def make_array(items):
    """A BSON array of documents given as bytes."""
    if len(items) <= len(_INDEX_NAMES):
        content = b"".join([part for pair in zip(_INDEX_NAMES, items) for part in pair])
    else:
        content = b"".join(b"\3%d\0%b" % pair for pair in enumerate(items))
    return frame(content)


def raw(document):
    return RawBSONDocument(document, CodecOptions(document_class=RawBSONDocument))


def long_at(buffer, at):
    return _LONG.unpack_from(buffer, at)[0]


def timestamp_at(buffer, at):
    """A timestamp as one comparable integer (seconds << 32 | increment)."""
    return _LONG.unpack_from(buffer, at)[0] & 0xFFFFFFFFFFFFFFFF
