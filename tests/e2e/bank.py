# SPDX-License-Identifier: Apache-2.0
"""A bank over all shards: money moves in transactions, so every state that leaves transactions whole has one sum.

Each transfer writes both accounts and a line of history for each of them, numbered by the account: a cut that has an
account at its n-th move has lines 1 to n of it, no more and no less. Owned by one thread; the transfers run in others.
"""

from __future__ import annotations

import random
import threading
from typing import Any, Optional

from bson import MinKey
from pymongo import MongoClient
from pymongo.errors import OperationFailure

ACCOUNTS = 60
START = 1000


class Bank:
    def __init__(self, client: MongoClient, threads: int = 3) -> None:
        self.transfers = 0
        self._client = client
        self._stopped = threading.Event()
        self._error: Optional[BaseException] = None
        self._threads = [threading.Thread(target=self._run, args=(random.Random(n),), daemon=True) for n in range(threads)]

    def open(self, cluster: Any) -> "Bank":
        """Accounts and history spread over the shards."""
        for ns in ("bank.accounts", "bank.history"):
            cluster.shard_collection(ns, {"_id": 1} if ns == "bank.accounts" else {"account": 1, "n": 1})
            field = "_id" if ns == "bank.accounts" else "account"
            rest = {} if field == "_id" else {"n": MinKey()}
            for count, shard in enumerate(cluster.shards[1:], 1):
                point = {field: ACCOUNTS * count // len(cluster.shards), **rest}
                cluster.split(ns, point)
                cluster.move_chunk(ns, point, to=shard)
        self._client.bank.accounts.insert_many([{"_id": n, "balance": START, "moves": 0} for n in range(ACCOUNTS)])
        return self

    def start(self) -> "Bank":
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        """Raises what stopped it before."""
        self.halt()
        if self._error is not None:
            raise self._error

    def halt(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _run(self, dice: random.Random) -> None:
        try:
            while not self._stopped.is_set():
                self._transfer(dice)
        except BaseException as error:  # noqa: BLE001 - raised by stop()
            self._error = error

    def _transfer(self, dice: random.Random) -> None:
        one, other = dice.sample(range(ACCOUNTS), 2)
        amount = dice.randrange(1, 50)
        bank = self._client.bank

        def body(session: Any) -> None:
            for account, change in ((one, -amount), (other, amount)):
                after = bank.accounts.find_one_and_update(
                    {"_id": account}, {"$inc": {"balance": change, "moves": 1}}, return_document=True, session=session
                )
                line = {"account": account, "n": after["moves"], "change": change, "balance": after["balance"]}
                bank.history.insert_one(line, session=session)

        with self._client.start_session() as session:
            try:
                session.with_transaction(body)
                self.transfers += 1
            except OperationFailure as error:
                if not error.has_error_label("TransientTransactionError"):
                    raise


def assert_balanced(client: MongoClient, cut: object = "") -> int:
    """The sum is right and every account's history is whole; the number of moves."""
    accounts = {row["_id"]: row for row in client.bank.accounts.find()}
    assert len(accounts) == ACCOUNTS, f"{cut}: {len(accounts)} accounts"
    total = sum(row["balance"] for row in accounts.values())
    assert total == ACCOUNTS * START, f"{cut}: half a transfer: the sum is {total}"
    lines: dict[int, list] = {n: [] for n in accounts}
    for line in client.bank.history.find().sort([("account", 1), ("n", 1)]):
        lines[line["account"]].append(line)
    for n, row in accounts.items():
        assert [line["n"] for line in lines[n]] == list(range(1, row["moves"] + 1)), f"{cut}: history of account {n}"
        assert START + sum(line["change"] for line in lines[n]) == row["balance"], f"{cut}: account {n}"
    return sum(row["moves"] for row in accounts.values())
