# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from e2e.pair import copy_and_follow

import shop


def test_everything_is_copied_and_followed(set_to_sharded):
    copy_and_follow(set_to_sharded)


def test_presharded_collection_is_filled(set_to_sharded):
    shop.preshard(set_to_sharded.target_client)
    copy_and_follow(set_to_sharded)
    row = set_to_sharded.target_client["config"]["collections"].find_one({"_id": "shop.orders"})
    assert row["key"] == {"_id": "hashed"}
