# SPDX-License-Identifier: Apache-2.0
"""Special data while mongotwin copies, and while it is killed again and again."""

from __future__ import annotations

import pytest
from e2e.everything import happen_across_kills, happen_during_the_copy
from e2e.special_data import SPECIAL_DATA


@pytest.mark.parametrize("copied", ["before", "after"])
def test_during_the_copy(replica_sets, copied):
    happen_during_the_copy(replica_sets, SPECIAL_DATA, copied)


def test_across_kills(replica_sets):
    happen_across_kills(replica_sets, SPECIAL_DATA)
