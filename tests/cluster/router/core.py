# SPDX-License-Identifier: Apache-2.0
"""The router's heart: requests to shards with the right versions, again if they were stale.

A command handler gets (router, request) and returns its reply as a dict or as raw bytes.
It reaches shards only through `run_on`, which adds the cluster's time and, within a
transaction, what its participants need; and it wraps what depends on routes in
`routed`, which refreshes them when a shard calls them stale. Thread-safe.
"""

import time

from . import scan
from .backend import CONFIG, Backend
from .cursors import CursorRegistry
from .errors import CommandError, Stale, Unreachable, raise_for
from .gossip import ClusterClock
from .routes import UNSHARDED_ELEMENT, Catalog
from .transactions import TransactionRegistry

STALE_RETRY_S = 60.0
MAJORITY = {"w": "majority", "wtimeout": 120_000}


class Router:
    """See the top of this file."""

    def __init__(self, config_seed, keyfile=None):
        self.clock = ClusterClock()
        self.backend = Backend(config_seed, self.clock, keyfile)
        self.catalog = Catalog(self.backend)
        self.cursors = CursorRegistry(self)
        self.transactions = TransactionRegistry(self)

    # ---- routes

    def routed(self, request, ns, attempt, create=False):
        """Call `attempt(database, route)` until no shard finds it stale. `database` is None
        if it does not exist (and is not to be made)."""
        deadline = time.monotonic() + STALE_RETRY_S
        pause = 0.0
        while True:
            name = ns.partition(".")[0]
            if create:
                database = self.catalog.need_database(name, create=True)
            else:
                database = self.catalog.database(name)
            route = self.catalog.route(ns) if database and database.primary != CONFIG else None
            try:
                return attempt(database, route)
            except Stale as stale:
                self.catalog.forget(ns)
                if time.monotonic() > deadline:
                    raise CommandError.from_reply(stale.reply) from stale
                if request.transaction:
                    request.transaction.restart_statement(stale)
            time.sleep(pause)
            pause = min(0.1, pause * 2 + 0.002)

    def versions(self, database, route, shard):
        """The raw elements that say which route a request to a shard was made with."""
        if shard == CONFIG:
            return b""
        if route is None:
            return UNSHARDED_ELEMENT + database.element
        return route.element(shard)

    def write_concern(self, request):
        """The write concern to add to a client's write as a raw element: the cluster's
        default if the client names none."""
        if request.transaction or request.has("writeConcern"):
            return b""
        return self.catalog.default_write_concern()

    # ---- calls

    def run_on(self, request, parts, retry=None, internal=False):
        """Raw replies of (shard, content, sequences), in parallel. Does not judge them."""
        if retry is None:
            retry = request.is_retryable_write
        transaction = request.transaction
        if transaction:
            parts = [(s, transaction.statement(s, content), q) for s, content, q in parts]
            retry = False
        time_element = self.clock.element
        framed = [(s, scan.frame(content + time_element), q) for s, content, q in parts]
        try:
            replies = self.backend.call_many(framed, retry, internal)
        except Unreachable as lost:
            raise self.lost(request, lost) from lost
        if transaction:
            for (shard, _, _), reply in zip(parts, replies):
                transaction.observe(shard, reply)
        return replies

    @staticmethod
    def lost(request, lost):
        """The error of a lost primary with the labels that let the driver repeat."""
        labels = []
        if request.transaction:
            labels = ["TransientTransactionError"]
        elif request.is_retryable_write:
            labels = ["RetryableWriteError"]
        return CommandError(lost.code, str(lost), labels)

    def forward(self, request, shard, extra=b"", retry=None):
        """The whole command to one shard; its raw reply, or what its error means."""
        parts = [(shard, request.content() + extra, request.sequences)]
        reply = self.run_on(request, parts, retry)[0]
        raise_for(reply)
        return reply

    def to_primary_shard(self, request, ns, retry=None, create=False):
        """The whole command to the database's primary shard with its versions."""

        def attempt(database, route):
            if database is None:
                raise CommandError(26, f"database {ns.partition('.')[0]} not found")
            extra = self.versions(database, None, database.primary) if not route else b""
            extra = (extra or database.element) + self.write_concern(request)
            return self.forward(request, database.primary, extra, retry)

        return self.routed(request, ns, attempt, create)

    def on_primary_shard(self, name, command, database_name=None, ns=None, create=False):
        """A command made by the router, on the primary shard of a database, with its
        version; decoded reply."""
        deadline = time.monotonic() + STALE_RETRY_S
        while True:
            database = self.catalog.need_database(name, create)
            full = {**command, "databaseVersion": database.version, "writeConcern": MAJORITY}
            try:
                return self.backend.command(database.primary, database_name or name, full)
            except CommandError as error:
                self.catalog.forget_database(name)
                if error.code not in (249, 13388, 150) or time.monotonic() > deadline:
                    raise
            finally:
                if ns:
                    self.catalog.forget(ns)
            time.sleep(0.02)

    def on_config(self, command):
        """An admin command on the config server with majority; decoded reply."""
        return self.backend.command(CONFIG, "admin", {**command, "writeConcern": MAJORITY})
