"""One installation of the operator acts on an object; a second one that watches it too does nothing and says so.

The Lease of an installation keeps its own replicas apart; it says nothing to an installation in another namespace,
which has the same field manager and memories of its own. So each object's status names the installation that acts on
it (docs/design/0009). A record that does not change for long is one of an installation that is gone.
"""

from __future__ import annotations

from datetime import datetime

from qdrant_operator.api.base import OperatorRecord, Status
from qdrant_operator.domain.common.installations import GONE, RENEWED_EVERY, Acting, read_acting
from qdrant_operator.reconcile.backup.snapshot.subject import phase_of
from qdrant_operator.reconcile.context import Context, Reconciler, Requeue
from qdrant_operator.reconcile.ports import Kind, Manifest
from qdrant_operator.reconcile.reporting.status import amend_status

GUARD = "ManagedByAnother"
LOOKS_EVERY = 60.0
"""Seconds between two looks of an installation that only watches."""


class OneInstallation:
    """A reconciler that acts only on objects of this installation."""

    def __init__(self, context: Context, kind: Kind, inner: Reconciler) -> None:
        """Guard `inner`."""
        self._context, self._kind, self._inner = context, kind, inner
        self._seen: dict[str, tuple[str, datetime]] = {}

    async def reconcile(self, subject: Manifest) -> Requeue:
        """One pass of the guarded loop, or of nothing. A snapshot that is over is only kept: that needs no record."""
        name, acting = self._context.options.installation, read_acting(subject)
        if not name or (self._kind is Kind.SNAPSHOT and phase_of(subject).over):
            return await self._inner.reconcile(subject)
        if acting is None or acting.name == name:
            return await self._inner.reconcile(await self._renewed(subject, acting))
        if self._is_gone(subject["metadata"]["uid"], acting):
            taken = await self._write(subject, OperatorRecord(name=name, renewed_at=self._now()))
            text = f"installation {acting.name} did not renew its record for {GONE}: {name} acts from now on"
            await self._context.reporter.event(taken, kind="Normal", reason="TakenOver", message=text)
            return await self._inner.reconcile(taken)
        await self._stand_by(subject, acting)
        return Requeue(LOOKS_EVERY)

    async def _renewed(self, subject: Manifest, acting: Acting | None) -> Manifest:
        """The record is written before anything else is done, and on exactly the version that was read."""
        if acting is not None and not acting.is_due(self._now()):
            return subject
        rival = acting if acting and acting.rival_record(self._now()) else None
        record = OperatorRecord(
            name=self._context.options.installation,
            renewed_at=self._now(),
            rival=rival.rival if rival else None,
            rival_seen_at=rival.rival_seen if rival else None,
        )
        return await self._write(subject, record)

    def _is_gone(self, uid: str, acting: Acting) -> bool:
        """By our own clock: whether the record stayed as it is for long."""
        now = self._now()
        self._seen = {other: seen for other, seen in self._seen.items() if now - seen[1] < 2 * GONE}
        renewed, since = self._seen.get(uid, ("", now))
        if renewed != acting.renewed:
            since = now
        self._seen[uid] = (acting.renewed, since)
        return now - since >= GONE

    async def _stand_by(self, subject: Manifest, acting: Acting) -> None:
        """Report the rival to the installation that acts, which writes the conditions, and in Events and metrics."""
        meta, name = subject["metadata"], self._context.options.installation
        self._context.reporter.blocked(self._kind.kind, meta["namespace"], meta["name"], (GUARD,))
        now = self._now()
        if acting.rival == name and acting.rival_seen and now - acting.rival_seen < RENEWED_EVERY:
            return
        renewed = datetime.fromisoformat(acting.renewed)
        record = OperatorRecord(name=acting.name, renewed_at=renewed, rival=name, rival_seen_at=now)
        await self._write(subject, record)
        if acting.rival == name:
            return
        text = (
            f"installation {acting.name} of the operator acts on this object, so {name} does nothing: let each "
            "namespace be served by one installation (watchNamespaces), or uninstall one of the two"
        )
        await self._context.reporter.event(subject, kind="Warning", reason=GUARD, message=text)

    async def _write(self, subject: Manifest, record: OperatorRecord) -> Manifest:
        return await amend_status(self._context, self._kind, subject, Status(operator=record))

    def _now(self) -> datetime:
        return self._context.clock.now()
