# SPDX-License-Identifier: Apache-2.0
"""Changes of definition under load: collections, indexes, options, views and a whole database come, change and go."""

from __future__ import annotations

from random import Random
from typing import Any, Callable

from bson.son import SON
from pymongo.database import Database

from .manipulations import Shop

_Act = Callable[[], Any]
SCRATCH_DATABASE = "scratch"
_LIVE_INDEX = "placed_state_live"


class Definitions:
    """Deals the changes out in a random order. Owned by one thread."""

    def __init__(self, shop: Shop, rng: Random, without: frozenset[str] = frozenset()) -> None:
        self._shop = shop
        self._db: Database = shop.shop
        self._scratch: Database = shop.client[SCRATCH_DATABASE]
        self._rng = rng
        self._collections: list[str] = []  # made here and not dropped yet
        self._views: list[str] = []
        kinds: dict[str, _Act] = {
            "ddl create": self.create_collection,
            "ddl drop": self.drop_collection,
            "ddl rename": self.rename_collection,
            "ddl rename over": self.rename_over_another,
            "ddl create index": self.create_index,
            "ddl drop index": self.drop_index,
            "ddl index on a live collection": self.index_live_collection,
            "ddl collMod index": self.change_index,
            "ddl collMod validator": self.change_validator,
            "ddl create view": self.create_view,
            "ddl change view": self.change_view,
            "ddl drop view": self.drop_view,
            "ddl drop database": self.drop_database,
            "ddl drop and create again": self.drop_and_create_again,
        }
        if not shop.sharded:
            kinds["ddl convert to capped"] = self.convert_to_capped
            kinds["ddl clone as capped"] = self.clone_as_capped
        self._kinds = {kind: act for kind, act in kinds.items() if kind not in without}
        self._hand: list[str] = []

    def next(self) -> tuple[str, _Act]:
        """Each kind once before any comes again."""
        if not self._hand:
            self._hand = list(self._kinds)
            self._rng.shuffle(self._hand)
        kind = self._hand.pop()
        return kind, self._kinds[kind]

    def create_collection(self) -> None:
        name = f"tmp_{self._shop.fresh()}"
        options: dict[str, Any] = self._rng.choice(
            [{}, {"capped": True, "size": 65536}, {"collation": {"locale": "fr"}}, {"validator": {"n": {"$gte": 0}}}]
        )
        self._db.command(SON([("create", name), *options.items()]))
        self._collections.append(name)
        self._db[name].insert_many([{"_id": n, "n": n, "word": str(n)} for n in range(50)])

    def drop_collection(self) -> None:
        if len(self._collections) > 2:
            self._db.drop_collection(self._collections.pop(0))

    def rename_collection(self) -> None:
        if self._collections:
            new = f"tmp_{self._shop.fresh()}_renamed"
            self._db[self._collections[0]].rename(new)
            self._collections[0] = new
            self._db[new].insert_one({"_id": f"after the rename {self._shop.fresh()}", "n": 1})

    def rename_over_another(self) -> None:
        if len(self._collections) > 1:
            old = self._collections.pop(0)
            self._db[old].rename(self._collections[0], dropTarget=True)
            self._db[self._collections[0]].insert_one({"_id": f"after the rename over {self._shop.fresh()}", "n": 1})

    def create_index(self) -> None:
        if self._collections:
            keys: list[list[tuple[str, Any]]] = [[("n", 1)], [("n", -1), ("word", 1)], [("word", "hashed")]]
            name = self._rng.choice(self._collections)
            self._db[name].create_index(self._rng.choice(keys), sparse=self._rng.random() < 0.5)

    def drop_index(self) -> None:
        if self._collections:
            self._db[self._rng.choice(self._collections)].drop_indexes()

    def index_live_collection(self) -> None:
        """Built while other threads write to the collection; there, then gone, in turn."""
        orders = self._db["orders"]
        if _LIVE_INDEX in orders.index_information():
            orders.drop_index(_LIVE_INDEX)
        else:
            orders.create_index([("state", 1), ("placed", 1)], name=_LIVE_INDEX)

    def change_index(self) -> None:
        rng = self._rng
        seconds = rng.randrange(1000, 9000) * 86400
        self._shop.logs.command("collMod", "sessions", index={"name": "last seen", "expireAfterSeconds": seconds})
        self._db.command("collMod", "products", index={"name": "hidden_brand", "hidden": rng.random() < 0.5})

    def change_validator(self) -> None:
        validator = {"percent": {"$gte": self._rng.randrange(-5, 0)}}
        level = self._rng.choice(["moderate", "strict"])
        self._db.command("collMod", "coupons", validator=validator, validationLevel=level)

    def create_view(self) -> None:
        name = f"view_{self._shop.fresh()}"
        self._db.create_collection(name, viewOn="orders", pipeline=[{"$match": {"version": self._rng.randrange(9)}}])
        self._views.append(name)

    def change_view(self) -> None:
        if self._views:
            pipeline = [{"$match": {"version": self._rng.randrange(9)}}, {"$project": {"z": 1, "a": 1}}]
            self._db.command("collMod", self._rng.choice(self._views), viewOn="carts", pipeline=pipeline)

    def drop_view(self) -> None:
        if len(self._views) > 2:
            self._db.drop_collection(self._views.pop(0))

    def drop_database(self) -> None:
        """The database is filled again after each drop, under the same names."""
        self._shop.client.drop_database(SCRATCH_DATABASE)
        for name in ("one", "two"):
            self._scratch[name].insert_many([{"_id": n, "x": self._rng.random()} for n in range(30)])
        self._scratch["one"].create_index("x")
        self._scratch.create_collection("view", viewOn="one", pipeline=[])

    def drop_and_create_again(self) -> None:
        """The same name, another collection: an operation of the old one must not land in the new one."""
        again = self._db["again"]
        again.insert_many([{"old": n} for n in range(20)])
        again.drop()
        again.insert_many([{"_id": n, "new": self._shop.fresh()} for n in range(self._rng.randrange(1, 20))])

    def convert_to_capped(self) -> None:
        name = f"tmp_{self._shop.fresh()}_capped"
        self._db[name].insert_many([{"_id": n, "pad": "x" * 50} for n in range(400)])
        self._db.command("convertToCapped", name, size=16384)
        self._collections.append(name)
        self._db[name].insert_one({"_id": "after"})

    def clone_as_capped(self) -> None:
        """The newest stores that fit, and what comes after them."""
        name = f"tmp_{self._shop.fresh()}_clone"
        self._db.command("cloneCollectionAsCapped", "stores", toCollection=name, size=16384)
        self._collections.append(name)
        self._db[name].insert_one({"_id": "after"})
