# SPDX-License-Identifier: Apache-2.0
"""The shop's documents. Document n of a collection depends on the seed and n alone, so that a load is repeatable and the
live load knows the shard keys of what is there without reading."""

from __future__ import annotations

import datetime
from random import Random
from typing import Any, Callable

from bson import Binary, Decimal128, Int64, ObjectId, Timestamp

START = datetime.datetime(2024, 3, 1, tzinfo=datetime.timezone.utc)
STATES = ("new", "paid", "packed", "sent", "returned")
CITIES = ("Köln", "Zürich", "São Paulo", "東京", "Łódź", "New York", "Reykjavík", "Paris")
WORDS = "quick solid light green cheap sturdy carrot celery lamp chair desk broke arrived late perfect again never".split()
STORES = 40
ACCOUNT_BALANCE = 1000


def seconds_after_start(seconds: float) -> datetime.datetime:
    return START + datetime.timedelta(milliseconds=int(seconds * 1000))


def text(rng: Random, words: int) -> str:
    return " ".join(rng.choices(WORDS, k=words))


def customer_of(order: int, customers: int) -> int:
    return order * 7919 % customers


def store_of(row: int) -> int:
    return row % STORES


def order_line(rng: Random) -> dict[str, Any]:
    return {"sku": f"SKU-{rng.randrange(10000):05d}", "count": rng.randrange(1, 9), "price": rng.randrange(100, 90000) / 100}


def order(n: int, rng: Random, customers: int) -> dict[str, Any]:
    lines = [order_line(rng) for _ in range(rng.randrange(1, 5))]
    return {
        "_id": Int64(n),
        "customer_id": customer_of(n, customers),
        "placed": seconds_after_start(n * 13.7),
        "state": STATES[n % 5],
        "lines": lines,
        "total": sum(line["count"] * line["price"] for line in lines),
        "tax": Decimal128(f"{rng.randrange(1, 99999) / 100:.2f}"),
        "ship": {"city": CITIES[n % 8], "zip": f"{rng.randrange(99999):05d}", "notes": text(rng, 6)},
        "version": 0,
    }


def product(n: int, rng: Random) -> dict[str, Any]:
    return {
        "_id": n,
        "sku": f"SKU-{n:05d}",
        "name": text(rng, 3),
        "brand": rng.choice(WORDS),
        "price": rng.randrange(100, 90000) / 100,
        "attributes": {rng.choice(WORDS): rng.choice([1, "x", None, 2.5, [1, [2, [3]]]]) for _ in range(4)},
        "image": Binary(rng.randbytes(60), 0),
    }


def inventory(n: int, rng: Random) -> dict[str, Any]:
    return {"_id": ObjectId(f"{n:024x}"), "store": store_of(n), "sku": f"SKU-{n // STORES:05d}", "count": rng.randrange(1000)}


def account(n: int, rng: Random) -> dict[str, Any]:
    return {"_id": n, "balance": Int64(ACCOUNT_BALANCE), "moves": 0}


def cart(n: int, rng: Random) -> dict[str, Any]:
    items = [order_line(rng) for _ in range(rng.randrange(0, 4))]
    return {"_id": f"cart-{n}", "customer": n, "updated": seconds_after_start(n), "items": items}


def review(n: int, rng: Random) -> dict[str, Any]:
    document = {"_id": ObjectId(f"{n + 1:024x}"), "title": text(rng, 3), "text": text(rng, 25)}
    return {**document, "stars": rng.randrange(1, 6)} if n % 3 else document


def store(n: int, rng: Random) -> dict[str, Any]:
    point = {"type": "Point", "coordinates": [rng.uniform(-179, 179), rng.uniform(-85, 85)]}
    return {"_id": n, "place": point, "plan": [rng.uniform(-400, 400), rng.uniform(-400, 400)], "name": text(rng, 2)}


def coupon(n: int, rng: Random) -> dict[str, Any]:
    """Some are older than the validator and do not satisfy it."""
    return {"_id": n, "code": f"C{n}", "percent": 120 if n % 17 == 0 else 1 + n % 90}


def customer(n: int, rng: Random) -> dict[str, Any]:
    return {
        "_id": n,
        "name": f"{rng.choice(WORDS).title()} {rng.choice(WORDS).title()}",
        "address": {"city": CITIES[rng.randrange(8)], "street": text(rng, 2), "geo": [rng.random(), -0.0, rng.random()]},
        "tags": rng.sample(WORDS, 3),
        "since": seconds_after_start(-n * 3600),
        "points": rng.choice([n, float(n), Int64(n), Decimal128(str(n))]),
        "counts": {"1": 0, "2": 1},
    }


def contact(n: int, rng: Random) -> dict[str, Any]:
    document: dict[str, Any] = {"_id": ObjectId(f"{n + 7:024x}"), "email": f"user{n}@example.org", "number": n, "vip": n % 10 == 0}
    if n % 2:
        document["phone"] = f"+49 {n:07d}"
    return document


def label(n: int, rng: Random) -> dict[str, Any]:
    return {"_id": f"Étiquette {n}" if n % 2 else n, "text": text(rng, 2)}


def attachment(n: int, rng: Random) -> dict[str, Any]:
    return {"_id": n, "data": Binary(rng.randbytes(90_000), 0), "name": text(rng, 4), "pages": [text(rng, 50) for _ in range(30)]}


def session(n: int, rng: Random) -> dict[str, Any]:
    return {"_id": Binary(rng.randbytes(12) + n.to_bytes(4, "big"), 4), "seen": seconds_after_start(n), "agent": text(rng, 5)}


def event(n: int, rng: Random) -> dict[str, Any]:
    return {"_id": ObjectId(f"{n + 11:024x}"), "what": rng.choice(WORDS), "n": n, "at": Timestamp(1_700_000_000 + n, 1)}


def audit(n: int, rng: Random) -> dict[str, Any]:
    return {"_id": seconds_after_start(n * 3), "who": rng.choice(WORDS), "what": text(rng, 4)}


def metric(n: int, rng: Random) -> dict[str, Any]:
    return {"at": seconds_after_start(n * 20), "host": f"host{n % 5}", "load": rng.random(), "_id": ObjectId(f"{n + 13:024x}")}


MAKERS: dict[str, Callable[[int, Random], dict[str, Any]]] = {
    "shop.products": product,
    "shop.inventory": inventory,
    "shop.accounts": account,
    "shop.carts": cart,
    "shop.reviews": review,
    "shop.stores": store,
    "shop.coupons": coupon,
    "crm.customers": customer,
    "crm.contacts": contact,
    "crm.labels": label,
    "crm.attachments": attachment,
    "logs.sessions": session,
    "logs.events": event,
    "logs.audit": audit,
    "logs.metrics": metric,
}
