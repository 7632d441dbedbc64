# SPDX-License-Identifier: Apache-2.0
"""Deltas against a real mongod: random updates of every kind on random documents, then

1. apply_delta(the document before, the entry) is the document the server stored;
2. as_update() of every entry (else the whole document) keeps a second collection
   identical to the first, byte for byte;
3. replaying a document's entries from any earlier one onto its newest state gives that
   state again: in memory, and through as_update() on the server;
4. an entry applied to a document it was not made for (the past of a catch-up) gives what
   the server's own applier gives.

`TWIN_DELTA_UPDATES=100000 TWIN_SEED=7 pytest tests/delta`, or by hand
`python tests/delta/test_delta_property.py --updates 100000 --seed 7`.
"""

import argparse
import collections
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import bson
import bson.json_util
import pytest
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import UpdateOne, ReplaceOne
from pymongo.errors import BulkWriteError, OperationFailure

_ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(_ROOT / "tests"))

from cluster import ReplicaSet  # noqa: E402
from delta.random_updates import Maker  # noqa: E402

RAW = CodecOptions(document_class=RawBSONDocument)
DOCUMENTS = 200  # alive at a time
ROUNDS = 12  # updates in a document's life


def find_tool():
    named = os.environ.get("TWIN_DELTA_TOOL")
    built = [Path(named)] if named else list(_ROOT.glob("build*/tests/delta/delta_tool"))
    if not built:
        raise FileNotFoundError("delta_tool is not built: run scripts/build")
    return max(built, key=lambda path: path.stat().st_mtime)


class Tool:
    """The C++ side. Owned by one thread."""

    def __init__(self, path):
        self._process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, questions):
        self._process.stdin.write(bson.encode({"q": questions}))
        self._process.stdin.flush()
        head = self._process.stdout.read(4)
        body = self._process.stdout.read(int.from_bytes(head, "little") - 4)
        return RawBSONDocument(head + body)["r"]

    def entries(self, pairs):
        return self.ask([{"c": "entry", "d": before, "o": o} for before, o in pairs])

    def close(self):
        self._process.stdin.close()
        self._process.wait(timeout=30)


def literal(document):
    return [{"$replaceWith": {"$literal": document}}]


def as_command_value(answer):
    """What to send to make a target's document into `after`."""
    if answer["form"] != "none":
        return answer["update"]
    return literal(answer["after"]) if answer["needs_literal"] else answer["after"]


def show(raw):
    text = bson.json_util.dumps(bson.decode(raw.raw if isinstance(raw, RawBSONDocument) else raw))
    return re.sub(r"\.{20,}|p{20,}", "…", text)


class Session:
    """One run. Owned by one thread."""

    def __init__(self, client, tool, seed):
        self.rng = random.Random(seed)
        self.make = Maker(self.rng)
        self.client, self.tool, self.seed = client, tool, seed
        self.db = client.get_database("delta", codec_options=RAW)
        self.oplog = client.local.get_collection("oplog.rs", codec_options=RAW)
        self.next_id = 0
        self.seen = collections.Counter()

    # ---- server access

    def write(self, collection, updates):
        """An update command with raw documents; returns the write errors."""
        out = []
        for start in range(0, len(updates), 500):
            command = {"update": collection, "updates": updates[start : start + 500], "ordered": False}
            answer = self.client.delta.command(command, bypassDocumentValidation=True)
            out += [{**e, "index": e["index"] + start} for e in answer.get("writeErrors", [])]
        return out

    def put(self, collection, documents):
        """Stores the documents as they are, whatever is in them."""
        updates = [{"q": {"_id": d["_id"]}, "u": literal(d), "upsert": True} for d in documents]
        assert self.write(collection, updates) == []

    def all(self, collection):
        return {d["_id"]: d for d in self.db[collection].find()}

    def entries_since(self, ts):
        query = {"ts": {"$gt": ts}, "ns": "delta.source", "op": "u"}
        return list(self.oplog.find(query).sort("$natural", 1))

    def last_ts(self):
        return next(self.oplog.find().sort("$natural", -1).limit(1))["ts"]

    # ---- a cohort of documents, from birth to replay

    def cohort(self):
        for name in ("source", "copy", "again", "past"):
            self.db[name].drop()
        made = [self.make.document(self.next_id + i) for i in range(DOCUMENTS)]
        self.next_id += DOCUMENTS
        self.put("source", [RawBSONDocument(bson.encode(d)) for d in made])
        before = self.all("source")
        self.put("copy", before.values())
        history = {_id: [] for _id in before}
        deltas = []
        for _ in range(ROUNDS):
            before = self.round(before, history, deltas)
        self.check_replay(before, history)
        self.check_replay_on_server(before, history)
        self.check_past(list(before.values()), deltas)

    def round(self, before, history, deltas):
        ts = self.last_ts()
        self.update_all(before)
        after = self.all("source")
        entries = self.entries_since(ts)
        assert len({e["o2"]["_id"] for e in entries}) == len(entries), "one entry a document"
        answers = self.tool.entries([(before[e["o2"]["_id"]], e["o"]) for e in entries])
        sent = []
        for entry, answer in zip(entries, answers):
            _id = entry["o2"]["_id"]
            self.check_entry(before[_id], entry["o"], answer, after[_id])
            history[_id].append(entry["o"])
            if answer["kind"] == 1 and not any("_id" in part for part in entry["o"]["diff"].values()):
                deltas.append(entry["o"])
            self.seen["entries"] += 1
            self.seen[("replacement", "delta", "v1")[answer["kind"]]] += 1
            if answer["kind"] == 1:
                self.seen[answer["form"]] += 1
            sent.append({"q": {"_id": _id}, "u": as_command_value(answer)})
        errors = self.write("copy", sent)
        for error in errors:
            self.fail("as_update refused", error["errmsg"], entries[error["index"]]["o"], before[sent[error["index"]]["q"]["_id"]])
        self.check_same("as_update", self.all("copy"), after, before, {e["o2"]["_id"]: e["o"] for e in entries})
        for _id in [i for i in after if i not in before]:  # upserts
            history[_id] = []
            self.put("copy", [after[_id]])
        return after

    def update_all(self, before):
        bulk, single = [], []
        for _id, raw in before.items():
            update, filters, kind = self.make.update(bson.decode(raw.raw))
            self.seen["tried"] += 1
            if self.rng.random() < 0.03:
                single.append((_id, update, filters))
            elif kind == "replacement":
                bulk.append(ReplaceOne({"_id": _id}, update))
            else:
                bulk.append(UpdateOne({"_id": _id}, update, array_filters=filters))
        if self.rng.random() < 0.5:
            bulk.append(UpdateOne({"_id": self.next_id}, {"$set": {"up": 1, "a.b": 2}}, upsert=True))
            self.next_id += 1
        try:
            self.client.delta.source.bulk_write(bulk, ordered=False)
        except BulkWriteError as error:
            self.seen["refused"] += len(error.details["writeErrors"])
        for _id, update, filters in single:
            try:
                options = {"arrayFilters": filters} if filters else {}
                self.client.delta.command("findAndModify", "source", query={"_id": _id}, update=update, **options)
            except OperationFailure:
                self.seen["refused"] += 1

    # ---- checks

    def check_entry(self, before, o, answer, after):
        if "error" in answer:
            self.fail("not understood", answer["error"], o, before)
        if answer["after"].raw != after.raw:
            self.fail("apply_delta differs", show(answer["after"]), o, before, after)

    def check_same(self, what, got, want, before, entries):
        for _id, document in got.items():
            if document.raw != want[_id].raw:
                self.fail(what + " differs", show(document), entries.get(_id), before[_id], want[_id])

    def check_replay(self, newest, history):
        answers = self.tool.ask([{"c": "replay", "d": newest[_id], "o": os} for _id, os in history.items()])
        for (_id, os), answer in zip(history.items(), answers):
            if answer.get("error") or answer["bad"] >= 0:
                self.fail("replay differs", f"{show(answer)}\n{[show(o) for o in os]}", os[-1], newest[_id])
            self.seen["replays"] += len(os)

    def check_replay_on_server(self, newest, history):
        """As a catch-up does it: as_update() first; whole documents where it is empty or refused."""
        self.put("again", newest.values())
        left = {_id: os[self.rng.randrange(len(os)) :] for _id, os in history.items() if os}
        while left:
            now = self.all("again")
            ids = list(left)
            answers = dict(zip(ids, self.tool.entries([(now[i], left[i][0]) for i in ids])))
            errors = self.write("again", [{"q": {"_id": i}, "u": as_command_value(answers[i])} for i in ids])
            self.seen["refused in replay"] += len(errors)
            self.put("again", [answers[ids[e["index"]]]["after"] for e in errors])
            left = {i: left[i][1:] for i in ids if len(left[i]) > 1}
        last = {i: os[-1] for i, os in history.items() if os}
        self.check_same("replay by as_update", self.all("again"), newest, newest, last)

    def check_past(self, documents, deltas):
        """Entries on documents they were not made for, by the server's own applier (applyOps)."""
        pairs = [(self.rng.choice(documents), self.rng.choice(deltas)) for _ in range(2 * DOCUMENTS)]
        befores = []
        for i, (document, _) in enumerate(pairs):
            befores.append(RawBSONDocument(bson.encode({**bson.decode(document.raw), "_id": i})))
        self.put("past", befores)
        operations = [{"op": "u", "ns": "delta.past", "o2": {"_id": i}, "o": o} for i, (_, o) in enumerate(pairs)]
        self.client.admin.command({"applyOps": operations})
        after = self.all("past")
        answers = self.tool.entries([(before, o) for before, (_, o) in zip(befores, pairs)])
        for i, answer in enumerate(answers):
            self.check_entry(befores[i], pairs[i][1], answer, after[i])
            self.seen["past"] += 1

    def fail(self, what, got, o, before, want=None):
        lines = [f"{what} (TWIN_SEED={self.seed})", f"before: {show(before)}", f"o: {show(o) if o else None}"]
        pytest.fail("\n".join(lines + [f"want: {show(want) if want else None}", f"got: {got}"]))


def run(updates, seed, base_dir):
    tool = Tool(find_tool())
    replica_set = ReplicaSet(name="delta", base_dir=base_dir, oplog_mb=512)
    with replica_set, replica_set.client() as client:
        session = Session(client, tool, seed)
        started = time.monotonic()
        while session.seen["entries"] < updates:
            session.cohort()
        print(f"{dict(session.seen)} in {time.monotonic() - started:.1f} s, TWIN_SEED={seed}")
        tool.close()
        return session.seen


def seed_from_environment():
    return int(os.environ.get("TWIN_SEED") or random.SystemRandom().randrange(1 << 31))


def test_deltas_are_exact(tmp_path):
    seed = seed_from_environment()
    print(f"TWIN_SEED={seed}")
    seen = run(int(os.environ.get("TWIN_DELTA_UPDATES", "20000")), seed, tmp_path)
    for what in ("delta", "replacement", "operators", "pipeline", "none", "past", "replays"):
        assert seen[what] > 0, what


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--updates", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=seed_from_environment())
    options = parser.parse_args()
    print(f"TWIN_SEED={options.seed}")
    with tempfile.TemporaryDirectory() as directory:
        run(options.updates, options.seed, Path(directory))
