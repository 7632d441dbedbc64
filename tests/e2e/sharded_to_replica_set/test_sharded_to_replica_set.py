# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from e2e.pair import copy_and_follow


def test_everything_is_copied_and_followed(sharded_to_set):
    copy_and_follow(sharded_to_set)
