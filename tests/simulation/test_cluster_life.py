"""A cluster's life under faults, seed by seed: never a second cluster, never two pods down by our hand."""

from __future__ import annotations

import os

import pytest

from sandbox.simulation.clock import run
from sandbox.simulation.story import Story

SEEDS = int(os.environ.get("SEEDS", "20"))
FIRST = int(os.environ.get("FIRST", "1"))


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
def test_the_laws_hold_and_the_cluster_settles(seed: int) -> None:
    """Crashes at writes, lost calls, killed peers, edits, lost first volumes; then Ready as its spec says."""
    run(Story(seed, replicas=(1, 3, 3, 5)[seed % 4]).live())


def test_a_seed_tells_the_same_story_twice() -> None:
    """A failing seed can be replayed."""
    stories = [Story(7), Story(7)]
    for story in stories:
        run(story.live())
    assert stories[0].told == stories[1].told
