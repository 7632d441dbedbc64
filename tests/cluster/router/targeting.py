# SPDX-License-Identifier: Apache-2.0
"""Which shards a filter can reach.

Works on the raw filter. It never leaves out a shard that may hold a match: what it does
not understand is taken to match everything.
"""

import itertools

from . import keys, scan
from .keys import MAX_KEY, MIN_KEY, element_at

_POINTS_MAX = 10_000
_COLLATED = {2, 3, 4, 14}


class _Field:
    """What a filter says of one field of the shard key: points, or an interval."""

    def __init__(self):
        self.points = None  # list of raw elements
        self.low, self.high = MIN_KEY, MAX_KEY

    def narrow_points(self, elements):
        if self.points is None or len(elements) < len(self.points):
            self.points = elements


def shards_for(route, query, collation=None):
    """The shards (a sorted list) that a raw filter can reach."""
    simple = collation is None and route.collation is None
    simple = simple or (collation or {}).get("locale") == "simple"
    return sorted(_reach(route, query, simple)) or route.shards[:1]


def full_key(route, query, collation=None):
    """The shard key (tuple of orders) that a filter fixes by equality, or None."""
    simple = collation is None and route.collation is None
    simple = simple or (collation or {}).get("locale") == "simple"
    fields = _analyse(route, query, simple)
    values = []
    for field, hashed in zip(fields, route.key.hashed):
        if field.points is None or len(field.points) != 1:
            return None
        point = field.points[0]
        values.append(keys.hash_order(point) if hashed else keys.order(*point))
    return tuple(values)


def equality_on_id(query):
    """Whether the filter fixes _id by equality (at the top level)."""
    found = scan.find(query, b"_id")
    if found is None:
        return False
    kind, _, value, end = found
    if kind == scan.REGEX:
        return False
    if kind == scan.DOCUMENT and _is_operators(query, value):
        return scan.find(query, b"$eq", value) is not None
    return True


def _reach(route, query, simple):
    everything = set(route.shards)
    reach = _reach_of_fields(route, _analyse(route, query, simple))
    for name, kind, _, value, _ in scan.elements(query):
        if name == b"$or" and kind == scan.ARRAY:
            union = set()
            for clause in scan.array_items(query, value):
                union |= _reach(route, clause, simple)
            reach &= union or everything
    return reach


def _reach_of_fields(route, fields):
    prefix, count = [], 1
    for field, hashed in zip(fields, route.key.hashed):
        if field.points is None or count * len(field.points) > _POINTS_MAX:
            break
        count *= len(field.points)
        prefix.append(
            [keys.hash_order(p) if hashed else keys.order(*p) for p in field.points]
        )
    rest = fields[len(prefix) :]
    if not prefix and (not rest or route.key.hashed[0]):
        return set(route.shards)
    low, high = [], []
    if rest and not route.key.hashed[len(prefix)]:
        low, high = [rest[0].low], [rest[0].high]
    missing = len(fields) - len(prefix)
    low += [MIN_KEY] * (missing - len(low))
    high += [MAX_KEY] * (missing - len(high))
    reach = set()
    for point in itertools.product(*prefix):
        reach |= route.owners_between(point + tuple(low), point + tuple(high))
        if len(reach) == len(route.shards):
            break
    return reach


def _analyse(route, query, simple):
    fields = {name.encode(): _Field() for name in route.key.fields}
    _collect(query, 0, fields, simple)
    return list(fields.values())


def _collect(query, at, fields, simple):
    for name, kind, _, value, end in scan.elements(query, at):
        if name == b"$and" and kind == scan.ARRAY:
            for _, inner_kind, _, inner, _ in scan.elements(query, value):
                if inner_kind == scan.DOCUMENT:
                    _collect(query, inner, fields, simple)
        elif name in fields:
            _constrain(fields[name], kind, query, value, end, simple)
        elif kind == scan.DOCUMENT and not _is_operators(query, value):
            _collect_inside(name, query, value, end, fields, simple)


def _collect_inside(name, query, value, end, fields, simple):
    """{a: {b: 1}} by equality fixes a key field "a.b" too."""
    for path, field in fields.items():
        if path.startswith(name + b"."):
            inside = bytes(query[value:end])
            try:
                found = element_at(inside, path[len(name) + 1 :].split(b"."))
            except ValueError:
                continue
            if found is not None and (simple or found[0] not in _COLLATED):
                field.narrow_points([found])


def _constrain(field, kind, query, value, end, simple):
    if kind == scan.DOCUMENT and _is_operators(query, value):
        for name, inner, _, start, stop in scan.elements(query, value):
            _constrain_by(field, name, inner, query, start, stop, simple)
    else:
        _constrain_by(field, b"$eq", kind, query, value, end, simple)


def _constrain_by(field, operator, kind, query, value, end, simple):
    if operator == b"$in" and kind == scan.ARRAY:
        points = [(k, query, v, e) for _, k, _, v, e in scan.elements(query, value)]
        if all(_is_point(point[0], simple) for point in points):
            field.narrow_points(points)
        return
    if not _is_point(kind, simple):
        return
    if operator == b"$eq":
        field.narrow_points([(kind, query, value, end)])
    elif operator in (b"$gt", b"$gte") and kind != scan.NULL:
        field.low = max(field.low, keys.order(kind, query, value, end))
    elif operator in (b"$lt", b"$lte") and kind != scan.NULL:
        field.high = min(field.high, keys.order(kind, query, value, end))


def _is_point(kind, simple):
    if kind in (scan.REGEX, scan.ARRAY, 6, 255, 127):
        return False
    return simple or kind not in _COLLATED


def _is_operators(query, value):
    """Whether a document's first field starts with "$" (operators, not a value)."""
    return query[value + 4] != 0 and query[value + 5] == 0x24
