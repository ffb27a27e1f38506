"""A disk that is wiped under a running pod: the claim and the pod stay, the data does not."""

from __future__ import annotations

from tests.simulation.calm import Calm, play


async def first_pod_is_wiped(calm: Calm) -> None:
    """Its template named it as the pod that may start alone, and it has not been restarted since."""
    await calm.eventually(lambda: len(calm.peer_ids()) == 3 and calm.status.get("phase") == "Ready")
    before = calm.peer_ids()
    calm.node.wipe_volume("vectors-0")
    end = calm.clock.seconds() + 60.0
    while calm.clock.seconds() < end:
        await calm.until(calm.clock.seconds() + 1.0)
        started = calm.node.peer_of("vectors-0")
        if started is not None and not started.disk.fresh:
            assert set(started.disk.state.peers) & before, "it is in no cluster of its own"


def test_a_wiped_first_pod_forms_no_second_cluster() -> None:
    """It would be empty, and in the client Service."""
    play(first_pod_is_wiped)


def test_a_wiped_disk_is_replaced_after_the_time_that_the_spec_names() -> None:
    """Under the same claim as under a new one: not before five minutes, and by no one's hand."""

    async def script(calm: Calm) -> None:
        calm.user.declare("docs", 6, 2)
        await calm.eventually(lambda: calm.is_at_factor(2) and len(calm.peer_ids()) == 3, 200)
        calm.user.edit({"shards": {"replaceLostPeerAfter": "5m"}})
        await calm.until(calm.clock.seconds() + 30)
        began, disk = calm.clock.seconds(), calm.node.disk_of("vectors-2")
        assert disk is not None
        calm.node.wipe_volume("vectors-2")
        await calm.eventually(lambda: bool(calm.waits("ConsentNeeded")))
        await calm.until(began + 295)
        assert disk.peer in calm.peer_ids()
        calm.user.allow_replacement(disk.peer)
        await calm.eventually(lambda: disk.peer not in calm.peer_ids(), 120)
        await calm.eventually(lambda: len(calm.peer_ids()) == 3 and calm.is_at_factor(2), 300)

    play(script)
