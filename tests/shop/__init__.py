# SPDX-License-Identifier: Apache-2.0
"""A realistic shop to replicate: data with everything that a copy can get wrong, and a live load on top of it.

    shop.load(client, documents=200_000, sharded=True)     # deterministic by seed
    with shop.Writer(client, operations_per_second=500, ddl_per_second=2) as writer: …
    shop.preshard(target_client)                           # orders get another shard key on the target
"""

from .load import load, preshard, total_balance
from .schema import DATABASES
from .writer import Writer

__all__ = ["DATABASES", "Writer", "load", "preshard", "total_balance"]
