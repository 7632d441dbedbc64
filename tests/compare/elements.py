# SPDX-License-Identifier: Apache-2.0
"""Raw BSON, element by element: what decoding would blur (types, field order, -0.0, NaN payloads) stays visible."""

from __future__ import annotations

import struct
from typing import Any, Iterator, NamedTuple, Optional

import bson
from bson.codec_options import CodecOptions, DatetimeConversion

_TYPE_NAMES = {
    0x01: "double", 0x02: "string", 0x03: "document", 0x04: "array", 0x05: "binary", 0x06: "undefined",
    0x07: "objectId", 0x08: "bool", 0x09: "date", 0x0A: "null", 0x0B: "regex", 0x0C: "dbPointer",
    0x0D: "code", 0x0E: "symbol", 0x0F: "codeWithScope", 0x10: "int", 0x11: "timestamp", 0x12: "long",
    0x13: "decimal", 0x7F: "maxKey", 0xFF: "minKey",
}  # fmt: skip
_FIXED_SIZES = {0x01: 8, 0x06: 0, 0x07: 12, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x11: 8, 0x12: 8, 0x13: 16, 0x7F: 0, 0xFF: 0}
_NESTED = (0x03, 0x04)
_SHOWN_MAX = 80
_int32 = struct.Struct("<i")
_codec: CodecOptions = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_AUTO)


class Element(NamedTuple):
    name: str
    type: int
    value: bytes  # without type byte and name

    def show(self) -> str:
        decoded = bson.decode(element_document(self.type, self.value), _codec)["v"]
        text = repr(decoded)
        return f"{_TYPE_NAMES[self.type]} {text if len(text) <= _SHOWN_MAX else text[:_SHOWN_MAX] + '…'}"


def element_document(type_: int, value: bytes, name: str = "v") -> bytes:
    body = bytes([type_]) + name.encode() + b"\0" + value
    return _int32.pack(len(body) + 5) + body + b"\0"


def _value_size(type_: int, raw: bytes, at: int) -> int:
    fixed = _FIXED_SIZES.get(type_)
    if fixed is not None:
        return fixed
    if type_ in (0x02, 0x0D, 0x0E):
        return 4 + _int32.unpack_from(raw, at)[0]
    if type_ in (0x03, 0x04, 0x0F):
        return _int32.unpack_from(raw, at)[0]
    if type_ == 0x05:
        return 5 + _int32.unpack_from(raw, at)[0]
    if type_ == 0x0C:
        return 4 + _int32.unpack_from(raw, at)[0] + 12
    if type_ == 0x0B:
        return raw.index(b"\0", raw.index(b"\0", at) + 1) + 1 - at
    raise ValueError(f"BSON type 0x{type_:02x} at byte {at} is unknown")


def elements(raw: bytes) -> Iterator[Element]:
    at = 4
    while raw[at]:
        type_ = raw[at]
        name_end = raw.index(b"\0", at + 1)
        start = name_end + 1
        size = _value_size(type_, raw, start)
        yield Element(raw[at + 1 : name_end].decode("utf-8", "surrogateescape"), type_, raw[start : start + size])
        at = start + size


def fields(raw: bytes) -> dict[str, Element]:
    return {element.name: element for element in elements(raw)}


def find(raw: bytes, name: str) -> Optional[Element]:
    return next((element for element in elements(raw) if element.name == name), None)


def id_of(raw: bytes) -> Element:
    found = find(raw, "_id")
    return found if found is not None else Element("_id", 0x06, b"")


def id_value(element: Element) -> Any:
    return bson.decode(element_document(element.type, element.value), _codec)["v"]


def describe(source: bytes, target: bytes, path: str = "") -> str:
    """The first thing in which two documents differ, in words; '' if they are the same."""
    if source == target:
        return ""
    source_elements, target_elements = list(elements(source)), list(elements(target))
    source_names, target_names = [e.name for e in source_elements], [e.name for e in target_elements]
    where = path or "the document"
    if source_names != target_names:
        for name in source_names:
            if name not in target_names:
                return f"field {path + name!r} is missing in the target"
        for name in target_names:
            if name not in source_names:
                return f"field {path + name!r} is only in the target"
        return f"order of fields in {where}: {source_names} in the source, {target_names} in the target"
    for ours, theirs in zip(source_elements, target_elements):
        if ours == theirs:
            continue
        if ours.type == theirs.type and ours.type in _NESTED:
            return describe(ours.value, theirs.value, f"{path}{ours.name}.")
        return f"field {path + ours.name!r}: {ours.show()} in the source, {theirs.show()} in the target{_bytes(ours, theirs)}"
    return f"bytes of {where} differ outside its fields"


def _bytes(ours: Element, theirs: Element) -> str:
    if ours.show() != theirs.show():
        return ""
    return f" (bytes {ours.value[:24].hex()} and {theirs.value[:24].hex()})"
