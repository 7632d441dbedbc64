# SPDX-License-Identifier: Apache-2.0
"""A sharded cluster: a true config server, true shards, and a router.

The router is a real mongos where there is one, else the stand-in of cluster/router. All
shards know each other; `start()` returns when the router answers and every shard is added.
As a context manager it removes the data at the end and leaves the logs.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pymongo
from pymongo.errors import OperationFailure

from .auth import make_keyfile
from .binaries import find_mongod, find_mongos
from .process import Process, free_port, wait_until
from .replica_set import ReplicaSet
from .router.wire import ask

_TESTS = Path(__file__).resolve().parents[1]
# Quick where a production cluster is patient; a test's own set_parameters win.
_SHARD_PARAMETERS = {"orphanCleanupDelaySecs": 1, "reshardingMinimumOperationDurationMillis": 1000}

_BALANCER_INTERRUPTED = 194  # moves are refused for a moment after the config server's election
_INTERRUPTED = 11601  # a change of the collection's indexes or options ends a move that is under way


class RouterProcess:
    """The router of a cluster, or a further one. Owned by one thread."""

    def __init__(self, cluster, port=None, name="router"):
        self._cluster = cluster
        self.port = port or free_port()
        self.log_path = cluster.base_dir / f"{cluster.name}-{name}.log"
        self._process = None

    @property
    def pid(self):
        return self._process.pid if self._process else None

    @property
    def uri(self):
        auth = self._cluster.auth
        user, source = (auth.uri_prefix, "?authSource=admin") if auth else ("", "")
        return f"mongodb://{user}127.0.0.1:{self.port}/{source}"

    def client(self, **options):
        return pymongo.MongoClient(self.uri, **options)

    def is_running(self):
        return self._process is not None and self._process.is_running()

    def start(self):
        command, env = self._cluster.router_command(self)
        self._process = Process(command, self.log_path, env)
        self._process.start()
        wait_until(
            self._answers, f"router on {self.port} answers", 60, failed=self._process.failure
        )

    def stop(self):
        if self._process:
            self._process.stop()

    def kill(self):
        if self._process:
            self._process.kill()

    def pause(self):
        self._process.pause()

    def resume(self):
        self._process.resume()

    def _answers(self):
        try:
            return ask(self.port, "admin", {"hello": 1}).get("msg") == "isdbgrid"
        except (OSError, ValueError):
            return False


class ShardedCluster:
    """See the top of this file. Owned by one thread."""

    def __init__(
        self,
        name="rs",
        base_dir=None,
        shards=2,
        members=1,
        port=None,
        auth=None,
        oplog_mb=128,
        cache_gb=0.25,
        set_parameters=None,
        shard_names=None,
        config_members=1,
        proxied=False,
        keep_data=False,
        mongod=None,
        mongos=None,
    ):
        if base_dir is None:
            raise ValueError("base_dir is needed: where the data and logs go")
        self.name = name
        self.base_dir = Path(base_dir)
        self.auth = auth
        self._mongod = mongod or find_mongod()
        self._mongos = mongos or find_mongos(self._mongod)
        self._port = port
        self._members = members
        self._proxied = proxied
        self._keep_data = keep_data
        self._added = set()
        self._keyfile = self.base_dir / f"{name}.key" if auth else None
        self._options = {"oplog_mb": oplog_mb, "cache_gb": cache_gb}
        self._parameters = dict(set_parameters or {})
        self._routers = []
        self.router = RouterProcess(self, self._next_port(1))
        self.config = self._make_set(f"{name}-cfg", config_members, "configsvr")
        names = shard_names or [f"{name}-rs{i}" for i in range(shards)]
        self.shards = [self._make_set(shard, members, "shardsvr") for shard in names]

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_):
        self.stop()
        if not self._keep_data:
            for replica_set in [self.config, *self.shards]:
                replica_set.remove_data()

    @property
    def has_real_mongos(self):
        return self._mongos is not None

    # ---- addresses and clients

    @property
    def uri(self):
        return self.router.uri

    def client(self, **options):
        return self.router.client(**options)

    def shard(self, name):
        """The ReplicaSet of a shard by its name."""
        return next(shard for shard in self.shards if shard.name == name)

    # ---- life

    def start(self):
        self.base_dir.mkdir(parents=True, exist_ok=True)
        if self._keyfile:
            make_keyfile(self._keyfile)
        sets = [self.config, *self.shards]
        with ThreadPoolExecutor(len(sets)) as pool:
            list(pool.map(ReplicaSet.start, sets))
        self.router.start()
        for shard in self.shards:
            self._add(shard)

    def stop(self):
        """Orderly shutdown; the data stays and `start` goes on with it."""
        for router in [self.router, *self._routers]:
            router.stop()
        if self.shards:
            with ThreadPoolExecutor(len(self.shards)) as pool:
                list(pool.map(ReplicaSet.stop, self.shards))
        self.config.stop()  # last: a shard that misses it can take half a minute to end

    def kill(self):
        """SIGKILL to everything at once."""
        for router in [self.router, *self._routers]:
            router.kill()
        for replica_set in [self.config, *self.shards]:
            replica_set.kill()

    def add_router(self):
        """A further router of the same cluster, started."""
        router = RouterProcess(self, name=f"router{len(self._routers) + 1}")
        router.start()
        self._routers.append(router)
        return router

    def router_command(self, router):
        """The command line and environment of a router."""
        place = ["--port", router.port, "--configdb", self.config.seed]
        key = ["--keyFile" if self._mongos else "--keyfile", self._keyfile] if self._keyfile else []
        if self._mongos:
            return [self._mongos, "--bind_ip", "127.0.0.1", "--nounixsocket", *place, *key], None
        path = os.pathsep.join(filter(None, [str(_TESTS), os.environ.get("PYTHONPATH")]))
        return [sys.executable, "-m", "cluster.router", *place, *key], {
            **os.environ,
            "PYTHONPATH": path,
        }

    # ---- what an administrator does

    def admin(self, *command, **options):
        """An admin command through the router; pymongo's exceptions."""
        with self.client() as client:
            return client.admin.command(*command, **options)

    def add_shard(self, name=None, members=None):
        """Start a further shard and add it; returns its ReplicaSet."""
        number = len(self.shards)
        while name is None or any(shard.name == name for shard in self.shards):
            name, number = f"{self.name}-rs{number}", number + 1
        shard = self._make_set(name, members or self._members, "shardsvr")
        shard.start()
        self.shards.append(shard)
        self._add(shard)
        return shard

    def remove_shard(self, shard):
        """One step of draining; returns the reply with its `state`. Once that is
        "completed" the shard may be stopped with `forget_shard`."""
        name = shard if isinstance(shard, str) else shard.name
        return self.admin("removeShard", name)

    def forget_shard(self, shard):
        """Stop the servers of a removed shard."""
        shard.stop()
        shard.remove_data()
        self.shards.remove(shard)
        self._added.discard(shard.name)

    def shard_collection(self, ns, key, **options):
        return self.admin("shardCollection", ns, key=dict(key), **options)

    def split(self, ns, middle):
        return self.admin("split", ns, middle=dict(middle))

    def move_chunk(self, ns, find=None, to=None, bounds=None, wait_for_delete=True):
        """Move the chunk that holds `find` (a full shard key) or has `bounds` to a shard."""
        what = {"find": dict(find)} if find is not None else {"bounds": list(bounds)}
        target = to if isinstance(to, str) else to.name

        def moved():
            try:
                return self.admin("moveChunk", ns, to=target, _waitForDelete=wait_for_delete, **what)
            except OperationFailure as error:
                if error.code not in (_BALANCER_INTERRUPTED, _INTERRUPTED):
                    raise
                return None

        return wait_until(moved, f"a chunk of {ns} is moved", 30)

    def move_primary(self, database, to):
        return self.admin("movePrimary", database, to=to if isinstance(to, str) else to.name)

    def reshard(self, ns, key, **options):
        return self.admin("reshardCollection", ns, key=dict(key), **options)

    def refine_shard_key(self, ns, key):
        return self.admin("refineCollectionShardKey", ns, key=dict(key))

    def start_balancer(self):
        return self.admin("balancerStart")

    def stop_balancer(self):
        return self.admin("balancerStop")

    # ---- details

    def _next_port(self, count):
        if self._port is None:
            return None
        first, self._port = self._port, self._port + count
        return first

    def _make_set(self, name, members, role):
        parameters = {**(_SHARD_PARAMETERS), **self._parameters}
        return ReplicaSet(
            name=name,
            base_dir=self.base_dir,
            members=members,
            port=self._next_port(members),
            auth=self.auth,
            set_parameters=parameters,
            mongod=self._mongod,
            role=role,
            keyfile=self._keyfile,
            proxied=self._proxied,
            **self._options,
        )

    def _add(self, shard):
        if shard.name not in self._added:
            self.admin("addShard", shard.seed, name=shard.name)
            self._added.add(shard.name)
