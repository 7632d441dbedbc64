# SPDX-License-Identifier: Apache-2.0
"""The shop's collections: options, indexes of every kind, views, shard keys. What is in them: documents.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional

from bson.son import SON

DATABASES = ("shop", "crm", "logs", "scratch")
# Options and indexes that older servers don't know, by the version that brought them; there they are left out.
SINCE = {"clusteredIndex": (5, 3), "open orders": (6, 0)}  # the latter has $in in its partialFilterExpression
EVENTS_BYTES = 256 << 10  # small, so that it wraps


@dataclass(frozen=True)
class CollectionSpec:
    ns: str
    share: float  # of all documents
    options: dict[str, Any] = field(default_factory=dict)
    indexes: tuple[dict[str, Any], ...] = ()
    shard_key: Optional[dict[str, Any]] = None
    shard_unique: bool = False

    @property
    def database(self) -> str:
        return self.ns.partition(".")[0]

    @property
    def name(self) -> str:
        return self.ns.partition(".")[2]


def _index(name: str, *key: tuple[str, Any], **options: Any) -> dict[str, Any]:
    return {"key": SON(key), "name": name, **options}


_COUPON_SCHEMA = {
    "$jsonSchema": {
        "bsonType": "object",
        "required": ["code", "percent"],
        "properties": {"code": {"bsonType": "string"}, "percent": {"bsonType": "int", "minimum": 1, "maximum": 90}},
    }
}

COLLECTIONS: tuple[CollectionSpec, ...] = (
    CollectionSpec(
        "shop.orders",
        0.46,
        indexes=(
            _index("customer_id_1__id_1", ("customer_id", 1), ("_id", 1)),
            _index("newest first", ("placed", -1), ("total", 1)),
            _index("open orders", ("state", 1), partialFilterExpression={"state": {"$in": ["new", "paid"]}}),
            _index("lines.sku_1", ("lines.sku", 1)),
        ),
        shard_key={"customer_id": 1, "_id": 1},
    ),
    CollectionSpec(
        "shop.products",
        0.05,
        indexes=(
            _index("price_-1", ("price", -1)),
            _index("attributes.$**_1", ("attributes.$**", 1)),
            _index("hidden_brand", ("brand", 1), hidden=True),
            _index("sku_hashed", ("sku", "hashed")),
        ),
        shard_key={"_id": 1},
    ),
    CollectionSpec(
        "shop.inventory",
        0.06,
        indexes=(_index("store_1_sku_1", ("store", 1), ("sku", 1), unique=True),),
        shard_key={"store": 1, "sku": 1},
        shard_unique=True,
    ),
    CollectionSpec("shop.accounts", 0.005, shard_key={"_id": 1}),
    CollectionSpec("shop.carts", 0.06, indexes=(_index("customer_1_updated_-1", ("customer", 1), ("updated", -1)),)),
    CollectionSpec(
        "shop.reviews",
        0.07,
        indexes=(
            _index("words", ("title", "text"), ("text", "text"), weights={"title": 5, "text": 1}, default_language="english"),
            _index("stars_1", ("stars", 1), sparse=True),
        ),
    ),
    CollectionSpec(
        "shop.stores",
        0.005,
        indexes=(
            _index("place_2dsphere", ("place", "2dsphere")),
            _index("plan_2d", ("plan", "2d"), min=-500.0, max=500.0, bits=24),
        ),
    ),
    CollectionSpec("shop.coupons", 0.005, options={"validator": _COUPON_SCHEMA, "validationAction": "error"}),
    CollectionSpec(
        "crm.customers",
        0.15,
        indexes=(
            _index("city_1_name_1", ("address.city", 1), ("name", 1), collation={"locale": "en", "strength": 2}),
            _index("tags_1", ("tags", 1)),
        ),
        shard_key={"_id": "hashed"},
    ),
    CollectionSpec(
        "crm.contacts",
        0.04,
        indexes=(
            _index("email_1", ("email", 1), unique=True),
            _index("phone_1", ("phone", 1), unique=True, sparse=True),
            _index("vip", ("number", 1), unique=True, partialFilterExpression={"vip": True}),
        ),
    ),
    CollectionSpec("crm.labels", 0.005, options={"collation": {"locale": "de", "strength": 1}}),
    CollectionSpec("crm.attachments", 0.0002),
    CollectionSpec(
        "logs.sessions",
        0.06,
        indexes=(_index("last seen", ("seen", 1), expireAfterSeconds=3650 * 86400),),
    ),
    CollectionSpec("logs.events", 0.02, options={"capped": True, "size": EVENTS_BYTES}),
    CollectionSpec(
        "logs.audit",
        0.02,
        options={"clusteredIndex": {"key": {"_id": 1}, "unique": True, "name": "by time"}},
        indexes=(_index("who_1", ("who", 1)),),
    ),
)
TIME_SERIES = CollectionSpec(
    "logs.metrics", 0.01, options={"timeseries": {"timeField": "at", "metaField": "host", "granularity": "minutes"}}
)
# On a view, then a view on that view. Made last.
VIEWS: tuple[tuple[str, str, str, list[dict[str, Any]]], ...] = (
    ("shop", "paid_orders", "orders", [{"$match": {"state": "paid"}}, {"$project": {"lines": 0}}]),
    ("shop", "big_paid_orders", "paid_orders", [{"$match": {"total": {"$gte": 100}}}]),
)
PRESHARDED_NS, PRESHARDED_KEY = "shop.orders", {"_id": "hashed"}
