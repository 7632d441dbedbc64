# SPDX-License-Identifier: Apache-2.0
"""What a change of roles can afford to look at: definitions, counts and some ranges, within its time."""

from __future__ import annotations

import json
import subprocess
import time

from e2e import planting
from e2e.twin import BINARY
from e2e.verifying import named

BUDGET_MS = 15_000  # a loaded machine has time for all of it


def _quickly(pair):
    program = BINARY.parent / "tests" / "quick_verify" / "quick_verify"
    began = time.monotonic()
    ran = subprocess.run([program, pair.source.uri, pair.target.uri, str(BUDGET_MS)], capture_output=True, text=True, timeout=60, check=True)
    return json.loads(ran.stdout), time.monotonic() - began


def test_a_pair_at_rest(replica_sets):
    pair = replica_sets
    planting.fill(pair.source_client)
    twin = pair.twin().start()
    twin.finish()
    found, _ = _quickly(pair)
    assert found["verdict"] == "identical" and found["documents_done"] >= planting.FILLER, found
    names = planting.plant_definitions(pair.target_client)
    pair.target_client["plant"]["documents"].delete_one({"_id": 17})
    found, _ = _quickly(pair)
    assert found["verdict"] == "different"
    assert {key.split()[0] for key in named(found)} == names
    assert any("documents on the source" in what for what in named(found).values())
