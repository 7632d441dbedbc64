# SPDX-License-Identifier: Apache-2.0
"""All happenings of a list at one go, at the times that are most dangerous."""

from __future__ import annotations

from random import Random

from .failpoint import failpoint
from .happenings import Happenings
from .pair import Pair


def happen_during_the_copy(pair: Pair, happenings: Happenings, copied: str) -> None:
    """`copied`: "before" or "after" everything happened; a gate in the copy's way sees to it."""
    gate = f"{'z' if copied == 'before' else 'a'}_gate"
    pair.source_client[gate]["gate"].insert_one({"_id": 1})
    begun = [happening.begin(pair.source_client, "copied") for happening in happenings if happening.fits(pair.source_client)]
    twin = pair.twin(copiers=1)
    with failpoint(pair.source_client, "waitInFindBeforeMakingBatch", nss=f"{gate}.gate") as closed:
        twin.start()
        closed.wait_entered()
        for running in begun:
            running.happen()
        assert twin.state == "copying"
    twin.finish()
    pair.assert_identical()


def happen_across_kills(pair: Pair, happenings: Happenings, seed: int = 1) -> None:
    """kill -9 in the middle of each happening, after a few of its operations have been applied."""
    rng = Random(seed)
    begun = [happening.begin(pair.source_client, "killed") for happening in happenings if happening.fits(pair.source_client)]
    twin = pair.twin().start()
    for running in begun:
        twin.wait_for_state("replicating")
        twin.wait_caught_up(pair.source_client)
        twin.pause()
        running.happen()
        twin.command("resume")
        twin.wait_for_some_applied(pair.source_client, rng.randrange(1, 25))
        twin.kill()
        twin.start()
    twin.finish()
    pair.assert_identical()
