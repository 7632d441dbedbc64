# SPDX-License-Identifier: Apache-2.0
"""Random documents and random updates of every kind, from one seeded generator.

`Maker(random.Random(seed))` gives the same sequence for a seed. An update may be one that
the server refuses (a `$push` to a number, a conflict): callers ignore refusals.
"""

import copy
import datetime
import math

from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.raw_bson import RawBSONDocument

PLAIN = ["a", "b", "c", "d", "e", "aa", "ab", "B", "é", "_x", "ss", "u1"]
DIGITS = ["0", "1", "2", "9", "10", "-1"]
# Never in a path; "00" because paths to "0" and "00" of an array in one update abort mongod 6.0.5.
WEIRD = ["x.y", ".", "", "$q", "$", "a.", "$set", "$v", "diff", "x y", "a$", "00"]
# What the driver can't write: {w: undefined}, {w: symbol}, {w: DBPointer}. Not one name twice: a pipeline update that
# changes something in such an object aborts mongod 6.0.5.
RAW = [
    RawBSONDocument(len(fields + b"    \0").to_bytes(4, "little") + fields + b"\0")
    for fields in [
        b"\x06w\0",
        b"\x0ew\0\x03\0\0\0ab\0",
        b"\x0cw\0\x03\0\0\0ns\0" + bytes(12),
    ]
]


class Maker:
    """Owned by one thread."""

    def __init__(self, rng):
        self.rng = rng

    # ---- values

    def name(self, weird=0.12):
        r = self.rng.random()
        if r < weird:
            return self.rng.choice(WEIRD)
        return self.rng.choice(DIGITS if r < weird + 0.12 else PLAIN)

    def scalar(self):
        rng = self.rng
        return rng.choice(
            [
                lambda: rng.randint(-3, 30),
                lambda: Int64(rng.choice([0, 1, 1 << 40, -5])),
                lambda: rng.choice([0.0, -0.0, 1.0, 1.5, math.nan, math.inf, -math.inf, 1e300]),
                lambda: Decimal128(rng.choice(["1", "1.0", "-0", "NaN", "Infinity", "0E+3", "12.5"])),
                lambda: "s" * rng.randint(0, 12) + rng.choice(["", "é", "$x", "a.b", "\0"]),
                lambda: None,
                lambda: rng.random() < 0.5,
                lambda: datetime.datetime(2020, 1, 1) + datetime.timedelta(rng.randint(-30000, 30000)),
                lambda: ObjectId(bytes(rng.randrange(256) for _ in range(12))),
                lambda: Binary(bytes(rng.randrange(256) for _ in range(rng.randint(0, 9))), rng.choice([0, 2, 5, 128])),
                lambda: Regex(rng.choice(["", "a.*", "^x"]), rng.choice(["", "i", "im"])),
                lambda: Timestamp(*rng.choice([(0, 0), (0, 0), (0, 1), (5, 6)])),
                lambda: rng.choice([MinKey(), MaxKey()]),
                lambda: Code("f", rng.choice([None, {}, {"x": 1}])),
                lambda: "p" * rng.randint(30, 400),
                lambda: rng.choice(RAW),
            ]
        )()

    def value(self, depth=0, weird=0.12):
        r = self.rng.random()
        if depth > 4 or r < 0.55:
            return self.scalar()
        if r < 0.8:
            return self.object(depth + 1, weird)
        if r < 0.81:
            return DBRef("c", self.rng.randint(0, 3))
        if r < 0.83:
            return self.deep()
        return [self.value(depth + 1, weird) for _ in range(self.rng.choice([0, 1, 2, 3, 3, 5, 12]))]

    def object(self, depth=0, weird=0.12):
        return {self.name(weird): self.value(depth, weird) for _ in range(self.rng.choice([0, 1, 2, 3, 4, 6]))}

    def deep(self):
        inner = self.scalar()
        for _ in range(self.rng.randint(5, 60)):
            inner = {"d": inner} if self.rng.random() < 0.7 else [inner]
        return inner

    def document(self, _id):
        """A document with enough ballast, at the top or below, that the server logs a delta."""
        out = {"_id": _id, **self.object(0, 0.05)}
        for name in self.rng.sample(PLAIN, 4):
            out[name] = self.value(1, 0.05)
        for name in self.rng.sample(["p1", "p2", "p3"], 2):
            ballast = "." * self.rng.randint(300, 1500)
            out[name] = self.rng.choice([ballast, {"t": ballast, "n": 1}, [1, ballast, {"x": 1}]])
        rest = list(out.items())[1:]
        self.rng.shuffle(rest)
        return {"_id": _id, **dict(rest)}

    # ---- paths

    def path(self, document, want=None):
        """A dotted path: mostly to something that exists (of type `want`), else invented."""
        known = []
        self._walk(document, "", known, 0)
        if want:
            known = [entry for entry in known if isinstance(entry[1], want) and not isinstance(entry[1], bool)]
        if known and self.rng.random() < 0.75:
            path = self.rng.choice(known)[0]
            if self.rng.random() < 0.3:
                path += "." + self.rng.choice(PLAIN + DIGITS)
            return path
        return ".".join(self.rng.choice(PLAIN + DIGITS) for _ in range(self.rng.choice([1, 1, 2, 3])))

    def _walk(self, value, prefix, known, depth):
        if depth > 8:
            return
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            key = str(key)
            if (depth == 0 and key == "_id") or key in WEIRD:
                continue
            known.append((prefix + key, inner))
            if isinstance(inner, (dict, list)):
                self._walk(inner, prefix + key + ".", known, depth + 1)

    # ---- updates

    def update(self, document):
        """(update, array_filters, kind)"""
        kinds = [
            (self.operators, 10),
            (self.array_operators, 6),
            (self.reshaping, 8),
            (self.pipeline, 4),
            (self.replacement, 1),
        ]
        kind = self.rng.choices([k for k, _ in kinds], [w for _, w in kinds])[0]
        return kind(document)

    def operators(self, document):
        rng, update = self.rng, {}
        for _ in range(rng.choice([1, 1, 2, 3, 5])):
            op = rng.choice(["$set", "$set", "$set", "$unset", "$unset", "$inc", "$mul", "$min", "$max", "$rename", "$currentDate", "$bit"])
            fields = update.setdefault(op, {})
            number = (int, float, Decimal128)
            if op == "$set":
                fields[self.path(document)] = self.value(2)
            elif op == "$unset":
                fields[self.path(document)] = ""
            elif op in ("$inc", "$mul"):
                fields[self.path(document, number)] = rng.choice([0, 1, 1.5, -1, Int64(2), Decimal128("0.1")])
            elif op in ("$min", "$max"):
                fields[self.path(document)] = self.scalar()
            elif op == "$rename":
                fields[self.path(document)] = self.path(document)
            elif op == "$currentDate":
                fields[self.path(document)] = rng.choice([True, {"$type": "timestamp"}])
            else:
                fields[self.path(document, int)] = {rng.choice(["and", "or", "xor"]): rng.randint(0, 15)}
        return update, None, "operators"

    def array_operators(self, document):
        rng = self.rng
        path = self.path(document, list)
        op = rng.choice(["push", "push", "each", "addToSet", "pop", "pull", "pullAll", "all", "filter", "index", "cut"])
        filters = None
        if op == "push":
            update = {"$push": {path: self.value(2)}}
        elif op == "each":
            spec = {"$each": [self.value(3) for _ in range(rng.randint(0, 3))]}
            if rng.random() < 0.5:
                spec["$slice"] = rng.choice([0, 1, 2, -2, 5])
            if rng.random() < 0.4:
                spec["$position"] = rng.choice([0, 1, -1, 40])
            if rng.random() < 0.3:
                spec["$sort"] = rng.choice([1, -1])
            update = {"$push": {path: spec}}
        elif op == "addToSet":
            update = {"$addToSet": {path: {"$each": [self.scalar(), self.scalar()]}}}
        elif op == "pop":
            update = {"$pop": {path: rng.choice([1, -1])}}
        elif op == "pull":
            update = {"$pull": {path: rng.choice([{"$gte": rng.randint(0, 20)}, {"$type": "string"}, {"$type": "object"}, None])}}
        elif op == "pullAll":
            update = {"$pullAll": {path: [self.scalar(), rng.randint(0, 20), None]}}
        elif op == "all":
            update = {"$set": {path + ".$[]" + rng.choice(["", ".a", ".0"]): self.scalar()}}
        elif op == "filter":
            update = {rng.choice(["$set", "$unset"]): {path + ".$[e]": self.scalar()}}
            filters = [{"e": {"$gte": rng.randint(0, 10)}}]
        elif op == "index":
            update = {"$set": {f"{path}.{rng.choice([0, 1, 3, 8, 11])}": self.value(2), f"{path}.{rng.choice([2, 10])}": 1}}
        else:
            update = {"$push": {path: {"$each": [], "$slice": rng.randint(0, 4)}}}
        if rng.random() < 0.3 and op not in ("filter", "all"):
            update.setdefault("$set", {})[self.path(document)] = self.scalar()
        return update, filters, "array"

    def reshaping(self, document):
        """Any other shape of the document, by a pipeline: the server computes the delta."""
        changed = self.mutate(copy.deepcopy(document), 0)
        changed["_id"] = document["_id"]
        if self.rng.random() < 0.9:
            changed = {"_id": changed.pop("_id"), **changed}
        return [{"$replaceWith": {"$literal": changed}}], None, "reshaping"

    def mutate(self, value, depth):
        rng = self.rng
        for _ in range(rng.choice([1, 1, 2, 4])):
            if isinstance(value, dict):
                value = self._mutate_object(value, depth)
            elif isinstance(value, list):
                self._mutate_array(value, depth)
        return value

    def _mutate_object(self, value, depth):
        rng, keys = self.rng, list(value)
        what = rng.choice(["add", "add", "remove", "change", "below", "below", "below", "move", "shuffle", "readd"])
        key = rng.choice(keys) if keys else None
        if what == "add" or key is None:
            value[self.name(0.15)] = self.value(depth + 1)
        elif what == "remove":
            del value[key]
        elif what == "change":
            value[key] = self.value(depth + 1)
        elif what == "move":
            value[key] = value.pop(key)
        elif what == "readd":
            del value[key]
            value[key] = self.value(depth + 1)
        elif what == "shuffle" and rng.random() < 0.3:
            items = list(value.items())
            rng.shuffle(items)
            value = dict(items)
        else:
            below = [k for k in keys if isinstance(value[k], (dict, list))]
            if below and depth < 12:
                key = rng.choice(below)
                value[key] = self.mutate(value[key], depth + 1)
        return value

    def _mutate_array(self, value, depth):
        rng = self.rng
        what = rng.choice(["append", "append", "cut", "change", "below", "below", "insert", "remove"])
        at = rng.randrange(len(value)) if value else None
        if what == "append" or at is None:
            value.extend(self.value(depth + 1) for _ in range(rng.choice([1, 1, 3, 12])))
        elif what == "cut":
            del value[at:]
        elif what == "change":
            value[at] = self.value(depth + 1)
        elif what == "insert":
            value.insert(at, self.value(depth + 1))
        elif what == "remove":
            del value[at]
        else:
            below = [i for i, v in enumerate(value) if isinstance(v, (dict, list))]
            if below and depth < 12:
                at = rng.choice(below)
                value[at] = self.mutate(value[at], depth + 1)

    def pipeline(self, document):
        rng = self.rng
        stages = []
        for _ in range(rng.choice([1, 1, 2])):
            what = rng.choice(["set", "set", "unset", "setField", "copy", "merge", "project"])
            path = self.path(document)
            if what == "set":
                stages.append({"$set": {path: {"$literal": self.value(2)}, self.path(document): {"$literal": self.scalar()}}})
            elif what == "unset":
                stages.append({"$unset": [path]})
            elif what == "setField":
                field = rng.choice(WEIRD + DIGITS)
                value = rng.choice(["$$REMOVE", {"$literal": self.value(2)}])
                stages.append({"$replaceWith": {"$setField": {"field": {"$literal": field}, "input": "$$ROOT", "value": value}}})
            elif what == "copy":
                stages.append({"$set": {path: "$" + rng.choice(PLAIN)}})
            elif what == "merge":
                stages.append({"$replaceWith": {"$mergeObjects": [{"$literal": self.object(1)}, "$$ROOT", {"$literal": self.object(1)}]}})
            else:
                stages.append({"$project": {rng.choice(PLAIN): 0, rng.choice(["d.a", "e.0", "b.c"]): 0}})
        return stages, None, "pipeline"

    def replacement(self, document):
        return self.document(document["_id"]), None, "replacement"
