"""The maintenance window: when it is open, and what waits for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdrant_operator.api.cluster.shards import Window
from qdrant_operator.domain.cluster.planner import is_open, plan
from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.domain.common.guards import ClusterGuard
from qdrant_operator.domain.common.timing.durations import duration
from qdrant_operator.domain.placement.steps import MoveShard, ReplicateShard
from tests.domain.clusters import desired
from tests.domain.guards.cluster_worlds import peers

PARIS = "Europe/Paris"
NIGHT = {"schedule": "0 1 * * *", "duration": "4h"}
PILED = {0: (0, 1), 1: (0, 1), 2: (0, 1)}
"""Everything on two of three peers."""
SECOND = timedelta(seconds=1)


def window(schedule: str, lasts: str, zone: str = "Etc/UTC") -> Window:
    """spec.shards.window."""
    return Window.model_validate({"schedule": schedule, "duration": lasts, "timeZone": zone})


def utc(*parts: int) -> datetime:
    """A moment in UTC."""
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]


def test_it_opens_on_time_and_closes_after_its_duration() -> None:
    """From 01:00:00 until 04:59:59 it is open; at 05:00:00 it is not."""
    night = window("0 1 * * *", "4h")
    opens = utc(2026, 11, 21, 1)
    assert not is_open(night, opens - SECOND)
    assert is_open(night, opens)
    assert is_open(night, opens + timedelta(hours=4) - SECOND)
    assert not is_open(night, opens + timedelta(hours=4))


def test_it_may_reach_over_midnight_and_only_on_its_days() -> None:
    """From Saturday 22:00 for eight hours: Sunday 05:59 is inside, Monday's is not."""
    weekend = window("0 22 * * SAT", "8h")
    assert is_open(weekend, utc(2026, 11, 22, 5, 59))
    assert not is_open(weekend, utc(2026, 11, 23, 5, 59))


def test_a_window_longer_than_its_period_is_always_open() -> None:
    """Every hour for 90 minutes."""
    assert all(is_open(window("0 * * * *", "1h30m"), utc(2026, 11, 21, 7, m)) for m in range(60))


def test_the_hours_are_those_of_its_time_zone() -> None:
    """01:00 in Paris is midnight UTC in winter and 23:00 UTC in summer."""
    night = window("0 1 * * *", "1h", PARIS)
    assert is_open(night, utc(2026, 1, 10, 0, 30))
    assert not is_open(night, utc(2026, 1, 10, 1, 30))
    assert is_open(night, utc(2026, 7, 10, 23, 30))
    assert not is_open(night, utc(2026, 7, 10, 0, 30))


def test_a_night_that_lacks_its_hour_has_a_window_all_the_same() -> None:
    """On 29 March 2026 Paris has no 02:30: it opens at 03:00 local time, 01:00 UTC, for its full hour."""
    night = window("30 2 * * *", "1h", PARIS)
    assert [is_open(night, utc(2026, 3, 29, 0, 59)), is_open(night, utc(2026, 3, 29, 1, 0))] == [False, True]
    assert [is_open(night, utc(2026, 3, 29, 1, 59)), is_open(night, utc(2026, 3, 29, 2, 0))] == [True, False]


def test_a_night_that_has_its_hour_twice_has_one_window() -> None:
    """On 25 October 2026 Paris has 02:30 at 00:30 and at 01:30 UTC: it is open for one hour after the first."""
    night = window("30 2 * * *", "1h", PARIS)
    opened = [is_open(night, utc(2026, 10, 25) + timedelta(minutes=m)) for m in range(180)]
    assert opened == [False] * 30 + [True] * 60 + [False] * 90


def test_a_duration_is_real_time_also_when_the_clock_jumps() -> None:
    """Four hours from 01:00 end at 06:00 local time in spring's night and at 04:00 in autumn's."""
    night, paris = window("0 1 * * *", "4h", PARIS), ZoneInfo(PARIS)
    for day, last in ((datetime(2026, 3, 29, tzinfo=paris), 6), (datetime(2026, 10, 25, tzinfo=paris), 4)):
        end = day.replace(hour=last).astimezone(UTC)
        assert is_open(night, end - SECOND)
        assert not is_open(night, end)


@given(
    st.integers(0, 365 * 24 - 1),
    st.sampled_from(["Etc/UTC", PARIS, "America/New_York", "Australia/Lord_Howe"]),
    st.sampled_from(["30m", "1h", "4h"]),
)
def test_within_a_day_it_opens_once_and_for_its_duration(hour: int, zone: str, lasts: str) -> None:
    """Whatever the clocks do: in 23 hours after any moment outside there is at most one window, a whole one."""
    daily, step = window("30 2 * * *", lasts, zone), timedelta(minutes=15)
    start = utc(2026, 1, 1) + timedelta(hours=hour)
    if is_open(daily, start):
        start += duration(lasts)
    opened = [is_open(daily, start + n * step) for n in range(23 * 4)]
    changes = sum(before != after for before, after in pairwise(opened))
    assert changes <= 2
    assert sum(opened) <= duration(lasts) / step
    if changes == 2:
        assert sum(opened) == duration(lasts) / step


def test_without_a_moment_it_is_closed() -> None:
    """A recording that has no time moves nothing only to level."""
    assert not is_open(window("* * * * *", "1h"), None)


def test_an_unreadable_schedule_is_refused_in_words() -> None:
    """The 31st of February never comes."""
    with pytest.raises(Refused, match="name a day and a time that exist"):
        is_open(window("0 0 31 2 *", "1h"), utc(2026, 11, 21))


@pytest.mark.parametrize(("hour", "inside"), [(0, False), (1, True), (4, True), (5, False), (12, False)])
def test_balancing_is_for_the_window(hour: int, inside: bool) -> None:
    """Inside the shards move to the empty peer; outside the same moves are in status.blocked."""
    result = plan(desired(shards={"window": NIGHT}), peers(3, PILED, now=utc(2026, 11, 21, hour)))
    assert bool([step for step in result.steps if isinstance(step, MoveShard)]) is inside
    assert (ClusterGuard.OUTSIDE_WINDOW in {wait.guard for wait in result.blocked}) is not inside


@pytest.mark.parametrize("hour", [2, 12])
def test_repair_drain_and_replication_are_for_any_time(hour: int) -> None:
    """A missing replica is made and a leaving peer is drained, inside the window and outside."""
    wanted, now = desired(shards={"window": NIGHT}), utc(2026, 11, 21, hour)
    short = plan(wanted, peers(3, {0: (0,), 1: (1,), 2: (2,)}, 2, now=now))
    assert [step for step in short.steps if isinstance(step, ReplicateShard)]
    drained = plan(wanted, peers(4, {0: (0, 3), 1: (1, 2)}, now=now))
    assert [step for step in drained.steps if isinstance(step, MoveShard) and "leaving" in step.why]
    for result in (short, drained):
        assert ClusterGuard.OUTSIDE_WINDOW not in {wait.guard for wait in result.blocked}
