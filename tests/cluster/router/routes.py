# SPDX-License-Identifier: Apache-2.0
"""Which shard owns what: databases, sharded collections and their chunks.

Read from the config server when first needed and again after a shard has called a
version stale (`forget`). Route and Database are immutable; Catalog is thread-safe.
"""

import bisect
import threading
import time

from bson import ObjectId
from bson.timestamp import Timestamp

from . import keys, scan
from .backend import CONFIG
from .errors import CommandError

SHARDS_AGE_S_MAX = 1.0
DEFAULT_CONCERN_AGE_S_MAX = 10.0
UNSHARDED = {"t": Timestamp(0, 0), "e": ObjectId("0" * 24), "v": Timestamp(0, 0)}
IGNORED = {
    "t": Timestamp(2**32 - 1, 2**32 - 1),
    "e": ObjectId("00000000ffffffffffffffff"),
    "v": Timestamp(0, 0),
}
UNSHARDED_ELEMENT = scan.encode_elements({"shardVersion": UNSHARDED})
IGNORED_ELEMENT = scan.encode_elements({"shardVersion": IGNORED})


class Database:
    """A database's primary shard and version."""

    def __init__(self, name, primary, version):
        self.name = name
        self.primary = primary
        self.version = version
        self.element = scan.encode_elements({"databaseVersion": version}) if version else b""


class Route:
    """A sharded collection: its key and who owns which range."""

    def __init__(self, entry, chunks):
        self.ns = entry["_id"]
        self.uuid = entry["uuid"]
        self.timestamp = entry["timestamp"]
        self.epoch = entry["lastmodEpoch"]
        self.key = keys.ShardKey(entry["key"])
        self.unique = entry.get("unique", False)
        self.collation = entry.get("defaultCollation")
        self.bounds = [chunk["min"] for chunk in chunks]  # raw documents
        self.ends = [chunk["max"] for chunk in chunks]
        self.mins = [keys.order_of_values(bound) for bound in self.bounds]
        self.owners = [chunk["shard"] for chunk in chunks]
        self._versions = {}
        for chunk in chunks:
            shard, version = chunk["shard"], chunk["lastmod"]
            if shard not in self._versions or version > self._versions[shard]:
                self._versions[shard] = version
        self._elements = {shard: self._version_element(shard) for shard in self._versions}

    @property
    def shards(self):
        """The shards that own chunks, sorted."""
        return sorted(self._versions)

    def version(self, shard):
        """What a request to this shard carries as its shardVersion."""
        last = self._versions.get(shard, Timestamp(0, 0))
        return {"t": self.timestamp, "e": self.epoch, "v": last}

    def element(self, shard):
        """`shardVersion` for this shard as a raw element."""
        return self._elements.get(shard) or self._version_element(shard)

    def chunk_of(self, key):
        """The position of the chunk that holds a key (a tuple of orders)."""
        return bisect.bisect_right(self.mins, key) - 1

    def owner_of(self, key):
        return self.owners[bisect.bisect_right(self.mins, key) - 1]

    def owners_between(self, low, high):
        """The shards that own any key from `low` to `high`, both included."""
        first = max(0, bisect.bisect_right(self.mins, low) - 1)
        last = bisect.bisect_right(self.mins, high)
        return set(self.owners[first:last])

    def _version_element(self, shard):
        return scan.encode_elements({"shardVersion": self.version(shard)})


class Catalog:
    """See the top of this file."""

    def __init__(self, backend):
        self._backend = backend
        self._lock = threading.Lock()
        self._databases = {}
        self._routes = {}
        self._shards_loaded = float("-inf")
        self._default, self._default_expires = b"", float("-inf")

    # ---- reading

    def database(self, name):
        """The Database, or None if it does not exist."""
        if name in ("admin", "config"):
            return Database(name, CONFIG, None)
        known = self._databases.get(name)
        if known is None:
            found = self._find("databases", {"_id": name})
            if not found:
                return None
            known = Database(name, found[0]["primary"], found[0]["version"])
            if known.primary not in self._backend.shard_names():
                self.load_shards()
            self._databases[name] = known
        return known

    def need_database(self, name, create=False):
        """The Database; made if `create`, else CommandError NamespaceNotFound."""
        database = self.database(name)
        if database is None:
            if not create:
                raise CommandError(26, f"database {name} not found")
            self.create_database(name)
            database = self.database(name)
        return database

    def create_database(self, name, primary=None):
        command = {"_configsvrCreateDatabase": name, "writeConcern": {"w": "majority"}}
        if primary:
            command["primaryShardId"] = primary
        reply = self._backend.command(CONFIG, "admin", command)
        self.forget_database(name)
        return reply

    def route(self, ns):
        """The Route of a sharded collection, or None if it is not sharded."""
        if ns in self._routes:
            return self._routes[ns]
        route = self._load(ns)
        with self._lock:
            self._routes[ns] = route
        return route

    def sharded_namespaces(self, database):
        """The names of a database's sharded collections as of now."""
        pattern = f"^{database.replace('.', '[.]')}[.]"
        found = self._find("collections", {"_id": {"$regex": pattern}})
        return {entry["_id"] for entry in found if not entry.get("dropped")}

    def load_shards(self):
        """The rows of config.shards; the backend learns them too."""
        rows = self._find("shards", {})
        self._backend.set_shards({row["_id"]: row["host"] for row in rows})
        self._shards_loaded = time.monotonic()
        return rows

    def shard_names(self):
        """The names of all shards, as of a second ago at most."""
        if time.monotonic() - self._shards_loaded > SHARDS_AGE_S_MAX:
            self.load_shards()
        return self._backend.shard_names()

    def default_write_concern(self):
        """The cluster's default as a raw element. Shards do not apply it themselves: a
        write that names none would not be journaled when it is acknowledged."""
        if time.monotonic() > self._default_expires:
            reply = self._backend.command(CONFIG, "admin", {"getDefaultRWConcern": 1})
            concern = reply.get("defaultWriteConcern") or {"w": 1}
            self._default = scan.encode_elements({"writeConcern": concern})
            self._default_expires = time.monotonic() + DEFAULT_CONCERN_AGE_S_MAX
        return self._default

    # ---- forgetting

    def forget(self, ns):
        """Read a collection's route and its database anew when next needed."""
        with self._lock:
            self._routes.pop(ns, None)
            self._databases.pop(ns.partition(".")[0], None)

    def forget_database(self, name):
        with self._lock:
            self._databases.pop(name, None)
            for ns in [ns for ns in self._routes if ns.startswith(name + ".")]:
                del self._routes[ns]

    def forget_all(self):
        with self._lock:
            self._databases.clear()
            self._routes.clear()

    # ---- details

    def _load(self, ns):
        for _ in range(10):
            entries = self._find("collections", {"_id": ns})
            if not entries or entries[0].get("dropped"):
                return None
            chunks = self._chunks(entries[0])
            again = self._find("collections", {"_id": ns})
            if chunks and again and again[0]["uuid"] == entries[0]["uuid"]:
                unknown = {chunk["shard"] for chunk in chunks} - set(self._backend.shard_names())
                if unknown:
                    self.load_shards()
                return Route(again[0], chunks)
        raise CommandError(6, f"the routes of {ns} change all the time")

    def _chunks(self, entry):
        rows = self._find("chunks", {"uuid": entry["uuid"]}, sort={"min": 1})
        for row in rows:
            row["min"], row["max"] = scan.encode(row["min"]), scan.encode(row["max"])
        return rows

    def _find(self, collection, query, **options):
        concern = {"level": "majority"}
        time = self._backend.clock.time
        if time:
            concern["afterClusterTime"] = Timestamp(time >> 32, time & 0xFFFFFFFF)
        command = {"find": collection, "filter": query, "readConcern": concern, **options}
        command["batchSize"] = 100_000
        return self._backend.find_all(CONFIG, "config", command)
