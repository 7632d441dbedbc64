# SPDX-License-Identifier: Apache-2.0
"""The shop itself: repeatable, with every kind of write, and money that neither comes nor goes."""

from __future__ import annotations

import pytest
from cluster import ReplicaSet
from compare import compare_clusters

import shop
from shop.documents import ACCOUNT_BALANCE
from shop.load import Size
from shop.manipulations import MANIPULATIONS
from shop.schema import COLLECTIONS

DOCUMENTS = 2000


@pytest.fixture(scope="module")
def clients(tmp_path_factory):
    base = tmp_path_factory.mktemp("shop")
    with ReplicaSet(name="one", base_dir=base) as one, ReplicaSet(name="other", base_dir=base) as other:
        with one.client() as first, other.client() as second:
            yield first, second


@pytest.fixture(autouse=True)
def empty(clients):
    for client in clients:
        for database in shop.DATABASES:
            client.drop_database(database)


def test_same_seed_makes_the_same_shop(clients):
    for client in clients:
        assert shop.load(client, DOCUMENTS) >= DOCUMENTS
    result = compare_clusters(*clients)
    assert result.identical, str(result)
    assert result.documents >= DOCUMENTS


def test_another_seed_makes_another_shop(clients):
    for seed, client in enumerate(clients):
        shop.load(client, DOCUMENTS, seed=seed)
    assert not compare_clusters(*clients).identical


def test_live_load_does_every_kind_and_keeps_the_money(clients):
    client = clients[0]
    shop.load(client, DOCUMENTS, time_series=True)
    with shop.Writer(client, documents=DOCUMENTS, ddl_per_second=20, time_series=True) as writer:
        kinds = {manipulation.kind for manipulation in MANIPULATIONS}
        writer.wait_until_done(kinds, timeout_s=60)
    assert writer.retries == 0
    accounts = Size(DOCUMENTS).of(next(spec for spec in COLLECTIONS if spec.ns == "shop.accounts"))
    assert shop.total_balance(client) == accounts * ACCOUNT_BALANCE
