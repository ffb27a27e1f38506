"""What a QdrantCluster's own status remembers, and the volumes it speaks of, as values."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from qdrant_operator.domain import names
from qdrant_operator.domain.observed import (
    Bootstrap,
    BootstrapPhase,
    Leaving,
    LeavingPhase,
    Member,
    Volume,
)
from qdrant_operator.domain.values import PeerId
from qdrant_operator.reconcile.ports import Manifest


def read_bootstrap(subject: Manifest) -> Bootstrap | None:
    """The recorded decision, if there is one."""
    recorded = (subject.get("status") or {}).get("bootstrap")
    if not recorded:
        return None
    peer = recorded.get("peerId")
    phase = BootstrapPhase(recorded["phase"])
    return Bootstrap(phase, recorded.get("pod") or "", PeerId(peer) if peer is not None else None)


def read_members(subject: Manifest) -> tuple[Member, ...]:
    """status.members."""
    recorded = (subject.get("status") or {}).get("members") or ()
    return tuple(
        Member(one["pod"], PeerId(one["peerId"]), one["claimUid"], _moment(one.get("lostSince")))
        for one in recorded
    )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def read_leaving(subject: Manifest) -> Leaving | None:
    """status.leaving."""
    recorded = (subject.get("status") or {}).get("leaving")
    if not recorded:
        return None
    peer = recorded.get("peerId")
    return Leaving(
        recorded["pod"],
        PeerId(peer) if peer is not None else None,
        recorded.get("claimUid") or "",
        LeavingPhase(recorded["phase"]),
    )


def read_volumes(cluster: str, claims: Iterable[Manifest]) -> dict[str, Volume]:
    """The claims among these that pods of the cluster take, by name."""
    prefix = names.claim_name(cluster, 0)[:-1]
    found = ((str(claim["metadata"]["name"]), claim["metadata"]) for claim in claims)
    return {
        name: Volume(meta["uid"], meta.get("creationTimestamp") or "", "deletionTimestamp" in meta)
        for name, meta in found
        if name.startswith(prefix) and name[len(prefix) :].isdigit()
    }
