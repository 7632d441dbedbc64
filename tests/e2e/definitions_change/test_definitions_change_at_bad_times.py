# SPDX-License-Identifier: Apache-2.0
"""DDL of every kind while mongotwin copies, and while it is killed again and again."""

from __future__ import annotations

import pytest
from e2e.everything import happen_across_kills, happen_during_the_copy
from e2e.definitions import DEFINITIONS


@pytest.mark.parametrize("copied", ["before", "after"])
def test_during_the_copy(replica_sets, copied):
    happen_during_the_copy(replica_sets, DEFINITIONS, copied)


def test_across_kills(replica_sets):
    happen_across_kills(replica_sets, DEFINITIONS)
