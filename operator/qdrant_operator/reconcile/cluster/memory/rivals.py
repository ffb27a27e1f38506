"""Remembers which owned objects do not stay as they are applied, so that two writers do not chase each other.

Either the answer to an apply differs already (an admission webhook), or the object differs again moments later
(another controller, a second operator). It is applied again after pauses; all other steps go on meanwhile. In memory
only: a new operator tries a few times without a pause.
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
"""Who left an object alone for so long does not contest it."""
TRIES = 3
"""Users who change an object by hand see it put back at once, so often in a row."""

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
        """An object was applied, and `live` is what it became (None: it is gone already)."""
        wanted, key = fingerprint(drift.manifest), (drift.kind, drift.name)
        one = self._tries.get(key)
        if one is None or one.wanted != wanted or now - one.until > CALM:
            one = self._tries[key] = _Try(wanted, now)
        one.at, one.count = now, one.count + 1
        left = differences(drift.manifest, live) if live is not None else ()
        if left or one.count > TRIES:
            one.failures += 1
            managers = one.contested.managers if one.contested else ()
            one.contested = Contested(drift.kind, drift.name, left or drift.fields, managers)

    def recall(self, observed: Observed, now: datetime) -> Observed:
        """The same look, with the objects that are contested and those of them that pause."""
        self._tries = {key: one for key, one in self._tries.items() if now - one.until <= CALM}
        contested = [self._with_pause(one, now) for one in self._tries.values() if one.contested]
        return replace(observed, contested=tuple(contested))

    def unnamed(self, drift: Iterable[Drift]) -> tuple[Contested, ...]:
        """What differs now and whose managers were not looked up; each is returned once."""
        differing = {(one.kind, one.name) for one in drift if one.fields}
        found = [
            one for key, one in self._tries.items() if one.contested and not one.asked and key in differing
        ]
        for one in found:
            one.asked = True
        return tuple(one.contested for one in found if one.contested)

    def name(self, contested: Contested, managers: tuple[str, ...]) -> None:
        """Managers of a contested object's fields were looked up."""
        one = self._tries.get((contested.kind, contested.name))
        if one is not None and one.contested is not None:
            one.contested = replace(one.contested, managers=managers)

    def _with_pause(self, one: _Try, now: datetime) -> Contested:
        assert one.contested is not None, "only contested objects are asked for"
        return replace(one.contested, paused=one.wanted if now < one.until else "")
