"""When a schedule is due: cron expressions in a time zone, as pure functions of the time given.

Five fields as in CronJob, or one of the words @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually.

Daylight saving, for expressions that name their hours: a time that the clock jumps over (02:30 in spring)
is due at the first moment after the jump, and a time that comes twice (02:30 in autumn) is due once, the first
time. Kubernetes' CronJob would skip the first and run the second twice; a backup must do neither. Expressions
with `*` as minute or hour go by elapsed time: every real hour once.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from qdrant_operator.domain.common.errors import Refused

MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
LOOK_BACK = (timedelta(hours=1), timedelta(days=1), timedelta(days=31), timedelta(days=366))
"""The search for missed times tries ever longer spans, so that a frequent schedule costs little."""


def next_due(expression: str, zone: str, after: datetime) -> datetime:
    """The first due time later than `after`, in UTC.

    Raises:
        Refused: `InvalidSchedule`.
    """
    return next(_due_after(expression, zone, after))


def due_times(expression: str, zone: str, after: datetime, until: datetime) -> Iterator[datetime]:
    """Due times later than `after` and not later than `until`, in UTC, oldest first.

    Raises:
        Refused: `InvalidSchedule`.
    """
    for due in _due_after(expression, zone, after):
        if due > until:
            return
        yield due


def latest_due(
    expression: str, zone: str, after: datetime, until: datetime, deadline: timedelta | None
) -> datetime | None:
    """The one due time to run now: the latest in the interval, unless it is later than its deadline.

    However many times were missed, one backup now says all that they would have said.

    Raises:
        Refused: `InvalidSchedule`.
    """
    start = after if deadline is None else max(after, until - deadline)
    for span in (*LOOK_BACK, until - start):
        since = max(start, until - span)
        latest = _last(due_times(expression, zone, since, until))
        if latest or since == start:
            return latest
    return None


def _last(times: Iterator[datetime]) -> datetime | None:
    latest = None
    for latest in times:  # noqa: B007 (the last one is wanted)
        pass
    return latest


def run_name(schedule: str, due: datetime) -> str:
    """Name of the snapshot for a due time: in UTC, so that no two times of a year share one."""
    return f"{schedule}-{due.astimezone(UTC):%Y%m%d-%H%M}"


def _due_after(expression: str, zone: str, after: datetime) -> Iterator[datetime]:
    """Every due time after a moment. Strictly rising, also where a jump moves two times to one moment."""
    local = after.astimezone(_zone(zone))
    last = after
    for due in _cron(expression, local):
        moment = due.astimezone(UTC)
        if moment > last:
            last = moment
            yield moment
    raise Refused("InvalidSchedule", f"schedule {expression!r} is never due: name a day that exists")


def _cron(expression: str, start: datetime) -> CronSim:
    fields = MACROS.get(expression.strip().lower(), expression)
    if len(fields.split()) != 5:
        raise Refused(
            "InvalidSchedule",
            f"schedule {expression!r} must have five fields: minute, hour, day of month, month, day of week",
        )
    try:
        return CronSim(fields, start)
    except CronSimError as error:
        raise Refused(
            "InvalidSchedule",
            f"schedule {expression!r}: {str(error).lower()}; name a day and a time that exist, for example"
            ' "0 2 * * *" for every night at two',
        ) from error


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise Refused(
            "InvalidSchedule",
            f"timeZone {name!r} is not in the time zone database: use a name like Europe/Paris or Etc/UTC",
        ) from error
