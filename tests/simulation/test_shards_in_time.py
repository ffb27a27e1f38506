"""What depends on time, with both loops running: the window for balancing, and the wait for a lost peer."""

from __future__ import annotations

from tests.simulation.calm import Calm, play

OPENS, CLOSES = 240.0, 360.0
WINDOW = {"schedule": "4 0 * * *", "duration": "2m", "timeZone": "Etc/UTC"}


async def form(calm: Calm, replicas: int = 3) -> None:
    """Peers, and six shards of factor 2."""
    calm.user.declare("docs", 6, 2)
    await calm.eventually(lambda: calm.is_at_factor(2) and len(calm.peer_ids()) == replicas, 200)


def test_balancing_waits_for_the_window_and_ends_with_it() -> None:
    """A new peer gets nothing before 00:04; then its share; a peer that comes at 00:06 waits for tomorrow."""

    async def script(calm: Calm) -> None:
        await form(calm)
        calm.user.edit({"shards": {"window": WINDOW}})
        calm.user.scale_to(4)
        await calm.eventually(lambda: len(calm.peer_ids()) == 4)
        await calm.eventually(lambda: bool(calm.waits("OutsideWindow")))
        await calm.until(OPENS - 1)
        assert calm.imbalance() == 4, "the new peer has nothing"
        assert all("balancing" in step for step in calm.waits("OutsideWindow"))
        await calm.eventually(lambda: calm.imbalance() <= 1)
        assert OPENS < calm.clock.seconds() < CLOSES
        await calm.eventually(lambda: not calm.status.get("blocked"))
        await calm.until(CLOSES)
        calm.user.scale_to(5)
        await calm.eventually(lambda: len(calm.peer_ids()) == 5)
        before = calm.holders()
        await calm.until(CLOSES + 120)
        assert calm.waits("OutsideWindow")
        assert calm.holders() == before

    play(script)


def test_replication_drain_and_repair_never_wait_for_the_window() -> None:
    """It is closed all the while: replicas are made, a leaving peer is drained, a lost one is made up for."""

    async def script(calm: Calm) -> None:
        await form(calm, 4)
        calm.user.edit({"shards": {"window": {"schedule": "0 12 * * *", "duration": "1m"}}})
        calm.user.set_factor("docs", 3)
        await calm.eventually(lambda: calm.is_at_factor(3))
        calm.user.set_factor("docs", 2)
        await calm.eventually(lambda: calm.is_at_factor(2))
        calm.user.scale_to(3)
        await calm.eventually(lambda: len(calm.peer_ids()) == 3 and calm.is_at_factor(2), 300)
        lost = lose(calm, "vectors-2")
        calm.user.consent(lost)
        await calm.eventually(lambda: lost not in calm.peer_ids(), 300)
        await calm.eventually(lambda: len(calm.peer_ids()) == 3 and calm.is_at_factor(2), 300)

    play(script, replicas=4)


def lose(calm: Calm, pod: str) -> int:
    """The volume of a pod is gone; its peer's id."""
    disk = calm.node.disk_of(pod)
    assert disk is not None
    calm.node.lose_volume(pod)
    return disk.peer


def test_a_lost_peer_is_replaced_after_the_time_that_the_spec_names() -> None:
    """Five minutes: nothing is forced before, and nobody has to name the peer; then its shards are made again."""

    async def script(calm: Calm) -> None:
        await form(calm)
        calm.user.edit({"shards": {"replaceLostPeerAfter": "5m"}})
        await calm.until(calm.clock.seconds() + 30)
        began, lost = calm.clock.seconds(), lose(calm, "vectors-2")
        await calm.eventually(lambda: bool(calm.waits("ConsentNeeded")))
        assert f"remove peer {lost} of vectors-2 by force (its volume is gone)" in calm.waits("ConsentNeeded")
        await calm.until(began + 295)
        assert lost in calm.peer_ids()
        calm.user.allow_replacement(lost)
        await calm.eventually(lambda: lost not in calm.peer_ids(), 60)
        await calm.eventually(lambda: len(calm.peer_ids()) == 3 and calm.is_at_factor(2), 300)
        await calm.eventually(lambda: calm.imbalance() <= 1 and not calm.status.get("blocked"))

    play(script)


def test_without_the_field_a_lost_peer_is_never_replaced_by_itself() -> None:
    """A quarter of an hour later it is a member still, and status still asks."""

    async def script(calm: Calm) -> None:
        await form(calm)
        lost = lose(calm, "vectors-2")
        await calm.until(calm.clock.seconds() + 900)
        assert lost in calm.peer_ids()
        assert calm.waits("ConsentNeeded")

    play(script)
