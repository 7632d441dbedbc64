# SPDX-License-Identifier: Apache-2.0
"""Special data while mongotwin follows. The names of the cases are those of e2e/special_data.py."""

from __future__ import annotations

import pytest
from e2e.special_data import SPECIAL_DATA


@pytest.mark.parametrize("happening", SPECIAL_DATA, ids=lambda happening: happening.name)
def test_while_it_follows(following, happening):
    following.happens(happening)
