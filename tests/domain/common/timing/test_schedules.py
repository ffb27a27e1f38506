"""When a schedule is due: time zones, daylight saving, missed times, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.domain.common.timing.schedules import due_times, latest_due, next_due, run_name

PARIS = "Europe/Paris"


def utc(*fields: int) -> datetime:
    """A moment in UTC."""
    return datetime(*fields, tzinfo=UTC)  # type: ignore[arg-type,misc]


def between(expression: str, zone: str, after: datetime, until: datetime) -> list[str]:
    """Due times as short text in UTC."""
    return [f"{due:%d %H:%M}" for due in due_times(expression, zone, after, until)]


def test_schedule_follows_its_own_time_zone() -> None:
    """02:00 in Paris is 01:00 UTC in winter and 00:00 UTC in summer."""
    assert next_due("0 2 * * *", PARIS, utc(2026, 1, 10)) == utc(2026, 1, 10, 1)
    assert next_due("0 2 * * *", PARIS, utc(2026, 7, 10)) == utc(2026, 7, 11)


def test_time_that_the_clock_jumps_over_is_due_right_after_the_jump() -> None:
    """On 29 March 2026 Paris has no 02:30: the run is due at 03:00 local time, and only once."""
    due = between("30 2 * * *", PARIS, utc(2026, 3, 28), utc(2026, 3, 31))
    assert due == ["28 01:30", "29 01:00", "30 00:30"]


def test_time_that_comes_twice_is_due_once() -> None:
    """On 25 October 2026 Paris has 02:30 twice: the run is due the first time only."""
    due = between("30 2 * * *", PARIS, utc(2026, 10, 24), utc(2026, 10, 27))
    assert due == ["24 00:30", "25 00:30", "26 01:30"]


@pytest.mark.parametrize("day", [(2026, 3, 29), (2026, 10, 25)])
def test_hourly_schedule_runs_every_real_hour(day: tuple[int, int, int]) -> None:
    """An hourly schedule neither skips nor repeats an hour on the days when the clock changes."""
    start = utc(*day) - timedelta(minutes=30)
    due = list(due_times("0 * * * *", PARIS, start, start + timedelta(hours=8)))
    assert due == [start + timedelta(minutes=30, hours=hour) for hour in range(8)]


def test_two_jumped_over_times_are_one_moment() -> None:
    """02:15 and 02:45 both fall into the gap: one run is due, not two in the same moment."""
    due = between("15,45 2 * * *", PARIS, utc(2026, 3, 28, 12), utc(2026, 3, 29, 12))
    assert due == ["29 01:00"]


def test_at_most_the_latest_missed_time_is_made_up_for() -> None:
    """After three missed nights one run is due, the latest."""
    due = latest_due("0 2 * * *", "Etc/UTC", utc(2026, 5, 1, 3), utc(2026, 5, 4, 9), None)
    assert due == utc(2026, 5, 4, 2)


def test_missed_time_is_found_however_long_ago() -> None:
    """Without a deadline a yearly run that was missed half a year ago is still due."""
    due = latest_due("0 0 1 1 *", "Etc/UTC", utc(2025, 6, 1), utc(2026, 6, 20), None)
    assert due == utc(2026, 1, 1)


def test_missed_time_beyond_its_deadline_is_dropped() -> None:
    """Two hours late with a deadline of one hour: nothing is due."""
    late = latest_due("0 2 * * *", "Etc/UTC", utc(2026, 5, 1), utc(2026, 5, 1, 4), timedelta(hours=1))
    in_time = latest_due("0 2 * * *", "Etc/UTC", utc(2026, 5, 1), utc(2026, 5, 1, 4), timedelta(hours=3))
    assert (late, in_time) == (None, utc(2026, 5, 1, 2))


def test_nothing_is_due_between_two_times() -> None:
    """What was acted on is not due again."""
    assert latest_due("0 2 * * *", "Etc/UTC", utc(2026, 5, 1, 2), utc(2026, 5, 1, 23), None) is None


@pytest.mark.parametrize(
    ("expression", "zone", "word"),
    [
        ("0 2 * *", "Etc/UTC", "five fields"),
        ("0 0 2 * * *", "Etc/UTC", "five fields"),
        ("61 2 * * *", "Etc/UTC", "minute"),
        ("0 0 30 2 *", "Etc/UTC", "day-of-month"),
        ("@reboot", "Etc/UTC", "five fields"),
        ("0 2 * * *", "Mars/Olympus", "Mars/Olympus"),
        ("0 2 * * *", "../etc/passwd", "../etc/passwd"),
    ],
)
def test_impossible_schedule_is_refused_in_words(expression: str, zone: str, word: str) -> None:
    """Each is refused as InvalidSchedule with a sentence that names what is wrong."""
    with pytest.raises(Refused) as refused:
        next_due(expression, zone, utc(2026, 1, 1))
    assert refused.value.reason == "InvalidSchedule"
    assert word in refused.value.message


def test_words_of_cronjob_are_understood() -> None:
    """@daily is midnight in the schedule's zone."""
    assert next_due("@daily", PARIS, utc(2026, 1, 10)) == utc(2026, 1, 10, 23)


def test_name_says_when_in_utc() -> None:
    """The name is in UTC, so that the two hours of an autumn night get two names."""
    first, second = islice(due_times("30 * * * *", PARIS, utc(2026, 10, 25), utc(2026, 10, 25, 2)), 2)
    assert (run_name("nightly", first), run_name("nightly", second)) == (
        "nightly-20261025-0030",
        "nightly-20261025-0130",
    )


EXPRESSIONS = st.sampled_from(
    ["30 2 * * *", "0 * * * *", "*/20 * * * *", "15,45 1-3 * * *", "0 3 * * 0", "*/30 2 * * *"]
)
ZONES = st.sampled_from(["Etc/UTC", PARIS, "America/New_York", "Australia/Lord_Howe"])
MOMENTS = st.sampled_from([utc(2026, 3, 28, 12), utc(2026, 10, 24, 12), utc(2026, 3, 8), utc(2026, 4, 4)])


@given(EXPRESSIONS, ZONES, MOMENTS, st.integers(0, 48 * 60))
def test_looking_at_any_moment_finds_the_same_times(
    expression: str, zone: str, start: datetime, minutes: int
) -> None:
    """Whenever the operator looks, also within a change of the clock, the next time is one of the whole series."""
    now = start + timedelta(minutes=minutes)
    series = due_times(expression, zone, start, start + timedelta(days=14))
    assert next_due(expression, zone, now) == next(due for due in series if due > now)


@given(EXPRESSIONS, ZONES, MOMENTS)
def test_due_times_rise_strictly(expression: str, zone: str, start: datetime) -> None:
    """No time is due twice, and none goes back."""
    times = list(due_times(expression, zone, start, start + timedelta(days=3)))
    assert times == sorted(set(times))
