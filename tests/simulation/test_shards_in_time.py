"""What depends on time, with both loops running: the window for balancing, and the wait for a lost peer."""

from __future__ import annotations

from tests.simulation.calm import Calm, play

OPENS, CLOSES = 240.0, 360.0
WINDOW = {"schedule": "4 0 * * *", "duration": "2m", "timeZone": "Etc/UTC"}


async def form(story: Calm, replicas: int = 3) -> None:
    """Peers, and six shards of factor 2."""
    story.user.declare("docs", 6, 2)
    await story.eventually(lambda: story.is_at_factor(2) and len(story.members()) == replicas, 200)


def test_balancing_waits_for_the_window_and_ends_with_it() -> None:
    """A new peer gets nothing before 00:04; then its share; a peer that comes at 00:06 waits for tomorrow."""

    async def script(story: Calm) -> None:
        await form(story)
        story.user.edit({"shards": {"window": WINDOW}})
        story.user.scale_to(4)
        await story.eventually(lambda: len(story.members()) == 4)
        await story.eventually(lambda: bool(story.waits("OutsideWindow")))
        await story.until(OPENS - 1)
        assert story.imbalance() == 4, "the new peer has nothing"
        assert all("balancing" in step for step in story.waits("OutsideWindow"))
        await story.eventually(lambda: story.imbalance() <= 1)
        assert OPENS < story.clock.seconds() < CLOSES
        await story.eventually(lambda: not story.status.get("blocked"))
        await story.until(CLOSES)
        story.user.scale_to(5)
        await story.eventually(lambda: len(story.members()) == 5)
        before = story.holders()
        await story.until(CLOSES + 120)
        assert story.waits("OutsideWindow")
        assert story.holders() == before

    play(script)


def test_replication_drain_and_repair_never_wait_for_the_window() -> None:
    """It is closed all the while: replicas are made, a leaving peer is drained, a lost one is made up for."""

    async def script(story: Calm) -> None:
        await form(story, 4)
        story.user.edit({"shards": {"window": {"schedule": "0 12 * * *", "duration": "1m"}}})
        story.user.set_factor("docs", 3)
        await story.eventually(lambda: story.is_at_factor(3))
        story.user.set_factor("docs", 2)
        await story.eventually(lambda: story.is_at_factor(2))
        story.user.scale_to(3)
        await story.eventually(lambda: len(story.members()) == 3 and story.is_at_factor(2), 300)
        lost = lose(story, "vectors-2")
        story.user.consent(lost)
        await story.eventually(lambda: lost not in story.members(), 300)
        await story.eventually(lambda: len(story.members()) == 3 and story.is_at_factor(2), 300)

    play(script, replicas=4)


def lose(story: Calm, pod: str) -> int:
    """The volume of a pod is gone; its peer's id."""
    disk = story.node.disk_of(pod)
    assert disk is not None
    story.node.lose_volume(pod)
    return disk.peer


def test_a_lost_peer_is_replaced_after_the_time_that_the_spec_names() -> None:
    """Five minutes: nothing is forced before, and nobody has to name the peer; then its shards are made again."""

    async def script(story: Calm) -> None:
        await form(story)
        story.user.edit({"shards": {"replaceLostPeerAfter": "5m"}})
        await story.until(story.clock.seconds() + 30)
        began, lost = story.clock.seconds(), lose(story, "vectors-2")
        await story.eventually(lambda: bool(story.waits("ConsentNeeded")))
        assert f"remove peer {lost} of vectors-2 by force (its volume is gone)" in story.waits(
            "ConsentNeeded"
        )
        await story.until(began + 295)
        assert lost in story.members()
        story.user.lets_go(lost)
        await story.eventually(lambda: lost not in story.members(), 60)
        await story.eventually(lambda: len(story.members()) == 3 and story.is_at_factor(2), 300)
        await story.eventually(lambda: story.imbalance() <= 1 and not story.status.get("blocked"))

    play(script)


def test_without_the_field_a_lost_peer_is_never_replaced_by_itself() -> None:
    """A quarter of an hour later it is a member still, and status still asks."""

    async def script(story: Calm) -> None:
        await form(story)
        lost = lose(story, "vectors-2")
        await story.until(story.clock.seconds() + 900)
        assert lost in story.members()
        assert story.waits("ConsentNeeded")

    play(script)
