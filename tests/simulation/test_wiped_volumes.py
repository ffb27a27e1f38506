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


def test_a_wiped_disk_is_replaced_after_the_time_that_the_spec_names() -> None:
    """Under the same claim as under a new one: not before five minutes, and by no one's hand."""

    async def script(story: Calm) -> None:
        story.user.declare("docs", 6, 2)
        await story.eventually(lambda: story.is_at_factor(2) and len(story.members()) == 3, 200)
        story.user.edit({"shards": {"replaceLostPeerAfter": "5m"}})
        await story.until(story.clock.seconds() + 30)
        began, disk = story.clock.seconds(), story.node.disk_of("vectors-2")
        assert disk is not None
        story.node.wipe_volume("vectors-2")
        await story.eventually(lambda: bool(story.waits("ConsentNeeded")))
        await story.until(began + 295)
        assert disk.peer in story.members()
        story.user.lets_go(disk.peer)
        await story.eventually(lambda: disk.peer not in story.members(), 120)
        await story.eventually(lambda: len(story.members()) == 3 and story.is_at_factor(2), 300)

    play(script)
