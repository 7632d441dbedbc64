# SPDX-License-Identifier: Apache-2.0
"""DDL of every kind while mongotwin follows. The names of the cases are those of e2e/definitions.py."""

from __future__ import annotations

import pytest
from e2e.definitions import DEFINITIONS


@pytest.mark.parametrize("happening", DEFINITIONS, ids=lambda happening: happening.name)
def test_while_it_follows(following, happening):
    following.happens(happening)


def test_the_same_once_finished(following):
    """Expiry too, which was held back until now."""
    following.finish()
