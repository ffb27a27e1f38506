"""Which installation of the operator acts on an object, as its status records it. Pure: no I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from qdrant_operator.domain.common.conditions import Condition
from qdrant_operator.domain.common.kinds import Manifest

RENEWED_EVERY = timedelta(minutes=5)
"""An installation that acts renews its record at this pace: one write for each object."""
GONE = timedelta(minutes=15)
"""An installation whose record does not change for so long acts no more."""


@dataclass(frozen=True, slots=True)
class Acting:
    """The record `status.operator`."""

    name: str
    """Namespace and name of the installation's Lease."""
    renewed: str
    """RFC 3339, by the clock of that installation."""
    rival: str = ""
    """Another installation that watches the object, and does nothing."""
    rival_seen: datetime | None = None

    def is_due(self, now: datetime) -> bool:
        """Whether the record is to be renewed."""
        return not self.renewed or now - datetime.fromisoformat(self.renewed) >= RENEWED_EVERY

    def rival_record(self, now: datetime) -> Manifest:
        """What stays in the record of a rival that is still there."""
        if not self.rival or self.rival_seen is None or now - self.rival_seen >= GONE:
            return {}
        return {"rival": self.rival, "rivalSeenAt": self.rival_seen.strftime("%Y-%m-%dT%H:%M:%SZ")}


def read_acting(subject: Manifest) -> Acting | None:
    """Who acts on the object; None: no installation is recorded."""
    record = (subject.get("status") or {}).get("operator") or {}
    if not record.get("name"):
        return None
    seen = record.get("rivalSeenAt")
    return Acting(
        name=record["name"],
        renewed=record.get("renewedAt") or "",
        rival=record.get("rival") or "",
        rival_seen=datetime.fromisoformat(seen) if seen else None,
    )


def rivalry(subject: Manifest, now: datetime) -> tuple[Condition, ...]:
    """A condition that names the second installation, while there is one."""
    acting = read_acting(subject)
    if acting is None or not acting.rival_record(now):
        return ()
    message = (
        f"installation {acting.name} of the operator acts on this object, and installation {acting.rival} watches it "
        "too and does nothing: let each namespace be served by one installation (watchNamespaces), or uninstall one"
    )
    return (Condition("Exclusive", status=False, reason="SecondInstallation", message=message),)
