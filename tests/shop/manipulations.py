# SPDX-License-Identifier: Apache-2.0
"""Every way to change documents, one function each. The first words of a function's name say which update it is."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass
from random import Random
from typing import Any, Callable

from bson import Binary, Decimal128, Int64, ObjectId, Timestamp
from bson.son import SON
from pymongo import DeleteOne, InsertOne, MongoClient, UpdateOne
from pymongo.client_session import ClientSession
from pymongo.database import Database

from . import documents as make
from .load import Size
from .schema import COLLECTIONS


# One for the process: a second load on the same shop must not insert what the first one has inserted.
_NUMBERS = itertools.count(10_000_000)


class Shop:
    """What the live load knows of the shop. Thread-safe."""

    def __init__(self, client: MongoClient, size: Size, sharded: bool, time_series: bool) -> None:
        self.client = client
        self.sharded = sharded
        self.time_series = time_series
        self.customers = size.customers
        self.sizes = {spec.ns: size.of(spec) for spec in COLLECTIONS}
        self.shop: Database = client["shop"]
        self.crm: Database = client["crm"]
        self.logs: Database = client["logs"]
        # 6.0 numbers the oplog entry before it takes the capped collection's lock: of writers at the same time, one may
        # come first in the oplog and second in natural order, on the primary alone. One after the other there is one order.
        self.events_turn = threading.Lock()

    def fresh(self) -> int:
        """A number that no loaded document has."""
        return next(_NUMBERS)

    def order_key(self, rng: Random) -> SON:
        """The document key of an order that was loaded (and may be deleted by now)."""
        n = rng.randrange(self.sizes["shop.orders"])
        return SON([("customer_id", make.customer_of(n, self.customers)), ("_id", Int64(n))])

    def n(self, rng: Random, ns: str) -> int:
        return rng.randrange(self.sizes[ns])


@dataclass(frozen=True)
class Manipulation:
    kind: str
    weight: int
    act: Callable[[Shop, Random], Any]
    replica_set_only: bool = False
    time_series: bool = False

    def fits(self, shop: Shop) -> bool:
        return not (self.replica_set_only and shop.sharded) and (shop.time_series or not self.time_series)


MANIPULATIONS: list[Manipulation] = []


_Act = Callable[[Shop, Random], Any]


def _manipulation(kind: str, weight: int, **limits: bool) -> Callable[[_Act], _Act]:
    def register(act: _Act) -> _Act:
        MANIPULATIONS.append(Manipulation(kind, weight, act, **limits))
        return act

    return register


# ---- inserts


@_manipulation("insert", 12)
def insert_order(shop: Shop, rng: Random) -> None:
    n = shop.fresh()
    shop.shop.orders.insert_one(make.order(n, rng, shop.customers))


@_manipulation("insert many", 3)
def insert_many(shop: Shop, rng: Random) -> None:
    shop.shop.carts.insert_many([make.cart(shop.fresh(), rng) for _ in range(20)], ordered=False)


@_manipulation("insert many", 2)
def insert_many_sharded(shop: Shop, rng: Random) -> None:
    shop.crm.customers.insert_many([make.customer(shop.fresh(), rng) for _ in range(20)], ordered=False)


@_manipulation("insert capped", 6)
def insert_event(shop: Shop, rng: Random) -> None:
    with shop.events_turn:
        shop.logs.events.insert_many([make.event(shop.fresh(), rng) for _ in range(3)])


@_manipulation("insert", 3)
def insert_clustered_and_session(shop: Shop, rng: Random) -> None:
    n = shop.fresh()
    shop.logs.audit.insert_one(make.audit(n, rng))
    shop.logs.sessions.insert_one(make.session(n, rng))


@_manipulation("insert odd", 2)
def insert_odd(shop: Shop, rng: Random) -> None:
    n = shop.fresh()
    binary, decimal = Binary(str(n).encode(), 0), Decimal128(f"{n}.25")
    ids = (n, float(n) + 0.5, str(n), {"n": n}, SON([("b", n), ("a", 1)]), binary, decimal, ObjectId())
    fields = {"do.t": {"$a": 1, "": rng.random()}, "$d": n, "": -0.0, "n": {"1": {"2": 3}}}
    shop.shop.odd.insert_one({"_id": rng.choice(ids), **fields})


@_manipulation("insert metrics", 3, time_series=True)
def insert_metrics(shop: Shop, rng: Random) -> None:
    shop.logs.metrics.insert_many([make.metric(shop.fresh(), rng) for _ in range(5)])


# ---- updates of every kind


@_manipulation("update $set", 10)
def set_fields(shop: Shop, rng: Random) -> None:
    fields = {"state": rng.choice(make.STATES), "ship.city": rng.choice(make.CITIES)}
    shop.shop.orders.update_one(shop.order_key(rng), {"$set": fields})


@_manipulation("update $set new fields", 6)
def set_new_fields(shop: Shop, rng: Random) -> None:
    """Several new fields at once: their order in the document is the server's business, and a copy must keep it."""
    names = rng.sample(["zeta", "alpha", "mid", "note", "a10", "a9", "B"], 3)
    shop.shop.orders.update_one(shop.order_key(rng), {"$set": {name: rng.randrange(9) for name in names}})


@_manipulation("update $unset", 5)
def unset_fields(shop: Shop, rng: Random) -> None:
    shop.shop.orders.update_one(shop.order_key(rng), {"$unset": {rng.choice(["zeta", "alpha", "mid", "ship.notes"]): 1}})


@_manipulation("update $inc", 6)
def inc_fields(shop: Shop, rng: Random) -> None:
    shop.shop.orders.update_one(shop.order_key(rng), {"$inc": {"version": 1, "total": rng.random(), "tax": Decimal128("0.01")}})


@_manipulation("update $push", 5)
def push_lines(shop: Shop, rng: Random) -> None:
    change: dict[str, Any] = {"$each": [make.order_line(rng)], "$position": rng.choice([0, 1, 99]), "$slice": -6}
    shop.shop.orders.update_one(shop.order_key(rng), {"$push": {"lines": change}})


@_manipulation("update $pull", 3)
def pull_lines(shop: Shop, rng: Random) -> None:
    shop.shop.orders.update_one(shop.order_key(rng), {"$pull": {"lines": {"count": rng.randrange(1, 9)}}})


@_manipulation("update $pop", 2)
def pop_tags(shop: Shop, rng: Random) -> None:
    shop.crm.customers.update_one({"_id": shop.n(rng, "crm.customers")}, {"$pop": {"tags": rng.choice([1, -1])}})


@_manipulation("update $addToSet", 2)
def add_tags(shop: Shop, rng: Random) -> None:
    words = {"$each": rng.sample(make.WORDS, 2)}
    shop.crm.customers.update_one({"_id": shop.n(rng, "crm.customers")}, {"$addToSet": {"tags": words}})


@_manipulation("update $rename", 3)
def rename_fields(shop: Shop, rng: Random) -> None:
    old, new = rng.sample(["name", "title", "full name"], 2)
    shop.crm.customers.update_one({"_id": shop.n(rng, "crm.customers")}, {"$rename": {old: new}})


@_manipulation("update numeric names", 3)
def update_numeric_names(shop: Shop, rng: Random) -> None:
    field = f"counts.{rng.randrange(4)}"
    shop.crm.customers.update_one({"_id": shop.n(rng, "crm.customers")}, {"$inc": {field: 1}})


@_manipulation("update array positional", 4)
def set_positional(shop: Shop, rng: Random) -> None:
    key = shop.order_key(rng)
    shop.shop.orders.update_one({**key, "lines.count": {"$gt": 2}}, {"$set": {"lines.$.price": rng.random()}})
    shop.shop.orders.update_one(key, {"$inc": {"lines.$[].count": 1}})
    shop.shop.orders.update_one(key, {"$set": {"lines.$[l].gift": True}}, array_filters=[{"l.count": {"$gt": 5}}])


@_manipulation("update beyond the end", 2)
def set_beyond_the_end(shop: Shop, rng: Random) -> None:
    n = shop.n(rng, "shop.products")
    shop.shop.products.update_one({"_id": n}, {"$set": {f"stock.{rng.randrange(4)}": 1, "grid": [1]}})
    shop.shop.products.update_one({"_id": n}, {"$set": {f"grid.{rng.randrange(6)}": {"x": 1}}})


@_manipulation("update pipeline", 5)
def update_pipeline(shop: Shop, rng: Random) -> None:
    stages: list[dict[str, Any]] = [
        {"$set": {"zz": {"$size": {"$ifNull": ["$lines", []]}}, "aa": "$state"}},
        {"$set": {"ship": {"$mergeObjects": ["$ship", {"by": "air"}]}}},
        {"$unset": rng.choice(["zz", "note", "a9"])},
    ]
    shop.shop.orders.update_one(shop.order_key(rng), stages)


@_manipulation("update pipeline reorders", 3)
def update_pipeline_reorders(shop: Shop, rng: Random) -> None:
    """The new document has its fields in another order, `_id` not first in the pipeline's result."""
    stages = [{"$replaceWith": {"$mergeObjects": [{"zip": "$ship.zip", "last": "$total"}, "$$ROOT"]}}]
    shop.shop.orders.update_one(shop.order_key(rng), stages)


@_manipulation("update dotted names", 3)
def update_dotted_names(shop: Shop, rng: Random) -> None:
    field = rng.choice(["do.t", "$price", "a.b"])
    value = {"$setField": {"field": {"$literal": field}, "input": "$$ROOT", "value": rng.randrange(100)}}
    shop.crm.customers.update_one({"_id": shop.n(rng, "crm.customers")}, [{"$replaceWith": value}])


@_manipulation("update empty timestamp", 1)
def update_empty_timestamp(shop: Shop, rng: Random) -> None:
    stages = [{"$set": {"stamp": {"$literal": Timestamp(0, 0)}}}]
    shop.shop.carts.update_one({"_id": f"cart-{shop.n(rng, 'shop.carts')}"}, stages)


@_manipulation("update types", 3)
def update_types(shop: Shop, rng: Random) -> None:
    """Values that are equal and not the same: 1, 1.0, Int64(1); 0.0 and -0.0; and the change of a field's shape."""
    value = rng.choice([1, 1.0, Int64(1), Decimal128("1"), 0.0, -0.0, float("nan"), None, [], {}, {"0": 1}, [1]])
    shop.crm.customers.update_one({"_id": shop.n(rng, "crm.customers")}, {"$set": {"points": value}})


@_manipulation("update many", 3)
def update_many(shop: Shop, rng: Random) -> None:
    change = {"$inc": {"version": 1}, "$set": {"seen": True}}
    shop.shop.orders.update_many({"customer_id": rng.randrange(shop.customers)}, change)


@_manipulation("update many", 1)
def update_many_broadcast(shop: Shop, rng: Random) -> None:
    first = shop.n(rng, "crm.customers")
    change = {"$push": {"log": {"$each": [first], "$slice": 3}}}
    shop.crm.customers.update_many({"_id": {"$gte": first, "$lt": first + 20}}, change)


@_manipulation("update $min $max $mul $bit $currentDate", 3)
def update_arithmetic(shop: Shop, rng: Random) -> None:
    change = {
        "$min": {"low": rng.randrange(1000)}, "$max": {"high": rng.randrange(1000)}, "$mul": {"price": 1.01},
        "$bit": {"flags": {"xor": rng.randrange(16)}}, "$currentDate": {"touched": True, "stamp": {"$type": "timestamp"}},
    }  # fmt: skip
    shop.shop.products.update_one({"_id": shop.n(rng, "shop.products")}, change)


@_manipulation("replace", 5)
def replace_order(shop: Shop, rng: Random) -> None:
    key = shop.order_key(rng)
    shop.shop.orders.replace_one(key, make.order(key["_id"], rng, shop.customers))


@_manipulation("replace", 2)
def replace_with_other_order(shop: Shop, rng: Random) -> None:
    n = shop.n(rng, "shop.carts")
    fields = list(make.cart(n, rng).items())[1:]
    rng.shuffle(fields)
    shop.shop.carts.replace_one({"_id": f"cart-{n}"}, SON(fields))


@_manipulation("upsert", 3)
def upsert_inventory(shop: Shop, rng: Random) -> None:
    key = {"store": rng.randrange(make.STORES), "sku": f"SKU-{rng.randrange(2 * shop.sizes['shop.products']):05d}"}
    shop.shop.inventory.update_one(key, {"$inc": {"count": 1}, "$setOnInsert": {"first": True}}, upsert=True)


@_manipulation("upsert", 2)
def upsert_label(shop: Shop, rng: Random) -> None:
    shop.crm.labels.replace_one({"_id": f"LABEL {rng.randrange(300)}"}, {"text": make.text(rng, 2)}, upsert=True)


@_manipulation("findAndModify", 4)
def find_and_modify(shop: Shop, rng: Random) -> None:
    key = shop.order_key(rng)
    if rng.random() < 0.8:
        shop.shop.orders.find_one_and_update(key, {"$set": {"picked": rng.random()}, "$inc": {"version": 1}})
    else:
        shop.shop.orders.find_one_and_delete(key)


@_manipulation("large update", 1)
def update_large(shop: Shop, rng: Random) -> None:
    n = shop.n(rng, "crm.attachments")
    if rng.random() < 0.5:
        shop.crm.attachments.update_one({"_id": n}, {"$set": {f"pages.{rng.randrange(30)}": make.text(rng, 40)}})
    else:
        shop.crm.attachments.replace_one({"_id": n}, make.attachment(n, rng), upsert=True)


@_manipulation("bulk", 3)
def bulk_mixed(shop: Shop, rng: Random) -> None:
    key, n = shop.order_key(rng), shop.fresh()
    shop.shop.orders.bulk_write(
        [
            InsertOne(make.order(n, rng, shop.customers)),
            UpdateOne({"customer_id": make.customer_of(n, shop.customers), "_id": Int64(n)}, {"$set": {"b": 1, "a": 2}}),
            UpdateOne(key, {"$inc": {"version": 1}}),
            DeleteOne({"customer_id": make.customer_of(n, shop.customers), "_id": Int64(n)}),
        ]
    )


# ---- deletes


@_manipulation("delete", 4)
def delete_order(shop: Shop, rng: Random) -> None:
    shop.shop.orders.delete_one(shop.order_key(rng))


@_manipulation("delete", 2)
def delete_and_insert_again(shop: Shop, rng: Random) -> None:
    n = shop.n(rng, "shop.carts")
    shop.shop.carts.delete_one({"_id": f"cart-{n}"})
    shop.shop.carts.insert_one(make.cart(n, rng))


@_manipulation("delete many", 1)
def delete_many(shop: Shop, rng: Random) -> None:
    shop.shop.orders.delete_many({"customer_id": rng.randrange(shop.customers), "state": "returned"})


@_manipulation("unique value moves", 3)
def move_unique_value(shop: Shop, rng: Random) -> None:
    """A unique value goes from one document to another at once: a copy that changes their order meets a clash."""
    email = f"user{shop.n(rng, 'crm.contacts')}@example.org"
    gone = shop.crm.contacts.find_one_and_delete({"email": email})
    if gone is not None:
        shop.crm.contacts.insert_one({"email": email, "number": shop.fresh(), "vip": True, "phone": f"+1 {shop.fresh()}"})


@_manipulation("unique value moves", 2)
def swap_unique_values(shop: Shop, rng: Random) -> None:
    one, other = (f"user{shop.n(rng, 'crm.contacts')}@example.org" for _ in range(2))
    parked = f"parked{shop.fresh()}"
    contacts = shop.crm.contacts
    if one == other or not contacts.update_one({"email": one}, {"$set": {"email": parked}}).matched_count:
        return
    contacts.update_one({"email": other}, {"$set": {"email": one}})
    contacts.update_one({"email": parked}, {"$set": {"email": other}})


# ---- transactions


def _in_transaction(shop: Shop, body: Callable[[ClientSession], None]) -> None:
    with shop.client.start_session() as session:
        session.with_transaction(body)


@_manipulation("transaction transfer", 5)
def transfer(shop: Shop, rng: Random) -> None:
    """Moves money between accounts (on two shards, half the time); the total never changes."""
    one, other = rng.sample(range(shop.sizes["shop.accounts"]), 2)
    amount = Int64(rng.randrange(1, 50))

    def body(session: ClientSession) -> None:
        shop.shop.accounts.update_one({"_id": one}, {"$inc": {"balance": -amount, "moves": 1}}, session=session)
        shop.shop.accounts.update_one({"_id": other}, {"$inc": {"balance": amount, "moves": 1}}, session=session)

    _in_transaction(shop, body)


@_manipulation("transaction checkout", 4)
def check_out(shop: Shop, rng: Random) -> None:
    """A cart becomes an order: four collections in two databases."""
    n, row = shop.fresh(), shop.n(rng, "shop.inventory")
    key = {"store": make.store_of(row), "sku": f"SKU-{row // make.STORES:05d}"}

    def body(session: ClientSession) -> None:
        shop.shop.orders.insert_one(make.order(n, rng, shop.customers), session=session)
        shop.shop.carts.delete_one({"_id": f"cart-{shop.n(rng, 'shop.carts')}"}, session=session)
        shop.shop.inventory.update_one(key, {"$inc": {"count": -1}}, session=session)
        shop.crm.customers.update_one({"_id": n % shop.customers}, {"$set": {"last order": Int64(n)}}, session=session)

    _in_transaction(shop, body)


@_manipulation("transaction large", 1)
def transaction_large(shop: Shop, rng: Random) -> None:
    orders = [make.order(shop.fresh(), rng, shop.customers) for _ in range(300)]
    _in_transaction(shop, lambda session: shop.shop.orders.insert_many(orders, session=session) and None)


@_manipulation("transaction aborted", 1)
def transaction_aborted(shop: Shop, rng: Random) -> None:
    with shop.client.start_session() as session:
        session.start_transaction()
        shop.shop.carts.insert_one(make.cart(shop.fresh(), rng), session=session)
        shop.shop.accounts.update_one({"_id": shop.n(rng, "shop.accounts")}, {"$inc": {"balance": 999}}, session=session)
        session.abort_transaction()
