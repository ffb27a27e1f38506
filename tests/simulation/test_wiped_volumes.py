"""A disk that is wiped under a running pod: the claim and the pod stay, the data does not."""

from __future__ import annotations

from tests.simulation.calm import Calm, play


async def first_pod_is_wiped(story: Calm) -> None:
    """Its template named it as the pod that may start alone, and it has not been restarted since."""
    await story.eventually(lambda: len(story.members()) == 3 and story.status.get("phase") == "Ready")
    before = story.members()
    story.node.wipe_volume("vectors-0")
    end = story.clock.seconds() + 60.0
    while story.clock.seconds() < end:
        await story.until(story.clock.seconds() + 1.0)
        started = story.node.peer_of("vectors-0")
        if started is not None and not started.disk.fresh:
            assert set(started.disk.state.peers) & before, "it is in no cluster of its own"


def test_a_wiped_first_pod_forms_no_second_cluster() -> None:
    """It would be empty, and in the client Service."""
    play(first_pod_is_wiped)
