"""Remembers which owned objects other writers change after each apply, so that the writers do not compete endlessly.

Either the answer to an apply already differs (an admission webhook), or the object differs again moments later
(another controller, a second operator). It is applied again after pauses; all other steps continue. In memory only: a
new operator tries a few times without a pause.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from qdrant_operator.domain.cluster.observed import Drift, Observed
from qdrant_operator.domain.common.kinds import Kind, Manifest
from qdrant_operator.domain.common.timing.backoff import Backoff
from qdrant_operator.domain.manifests.diff import differences, fingerprint
from qdrant_operator.domain.manifests.rival_writers import Contested

PAUSES = Backoff(first=5.0, longest=300.0)
"""Before a contested object is applied again."""
CALM = timedelta(minutes=1)
"""A writer that leaves an object unchanged for this long does not contest it."""
TRIES = 3
"""How often in a row a change that a user makes by hand is reverted at once."""

Key = tuple[Kind, str]


@dataclass(slots=True)
class _Try:
    wanted: str
    """Fingerprint of what was applied."""
    at: datetime
    """When it was applied last."""
    count: int = 0
    failures: int = 0
    contested: Contested | None = None
    asked: bool = False
    """Whether the object's managers were looked up."""

    @property
    def until(self) -> datetime:
        """When it may be applied again."""
        return self.at + timedelta(seconds=PAUSES.pause(self.failures))


class ContestMemory:
    """Objects of one cluster that were applied lately."""

    def __init__(self) -> None:
        """Remember nothing."""
        self._tries: dict[Key, _Try] = {}

    def applied(self, drift: Drift, live: Manifest | None, now: datetime) -> None:
        """An object was applied; `live` is the result (None: it was already deleted)."""
        wanted, key = fingerprint(drift.manifest), (drift.kind, drift.name)
        attempt = self._tries.get(key)
        if attempt is None or attempt.wanted != wanted or now - attempt.until > CALM:
            attempt = self._tries[key] = _Try(wanted, now)
        attempt.at, attempt.count = now, attempt.count + 1
        left = differences(drift.manifest, live) if live is not None else ()
        if left or attempt.count > TRIES:
            attempt.failures += 1
            managers = attempt.contested.managers if attempt.contested else ()
            attempt.contested = Contested(drift.kind, drift.name, left or drift.fields, managers)

    def recall(self, observed: Observed, now: datetime) -> Observed:
        """The same observation with the contested objects, paused ones marked."""
        self._tries = {key: attempt for key, attempt in self._tries.items() if now - attempt.until <= CALM}
        contested = [self._with_pause(attempt, now) for attempt in self._tries.values() if attempt.contested]
        return replace(observed, contested=tuple(contested))

    def unnamed(self, drift: Iterable[Drift]) -> tuple[Contested, ...]:
        """Contested objects that differ now and whose managers are unknown; each is returned once."""
        differing = {(difference.kind, difference.name) for difference in drift if difference.fields}
        found: list[Contested] = []
        for key, attempt in self._tries.items():
            if attempt.contested and not attempt.asked and key in differing:
                attempt.asked = True
                found.append(attempt.contested)
        return tuple(found)

    def name(self, contested: Contested, managers: tuple[str, ...]) -> None:
        """Managers of a contested object's fields were looked up."""
        attempt = self._tries.get((contested.kind, contested.name))
        if attempt is not None and attempt.contested is not None:
            attempt.contested = replace(attempt.contested, managers=managers)

    def _with_pause(self, attempt: _Try, now: datetime) -> Contested:
        assert attempt.contested is not None, "only for contested objects"
        return replace(attempt.contested, paused=attempt.wanted if now < attempt.until else "")
