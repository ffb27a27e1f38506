"""Conversion of the records in status: written before the operator acts on them, read by the next pass. Pure."""

from __future__ import annotations

from qdrant_operator.api.cluster import status as api
from qdrant_operator.domain.cluster.observed import (
    Bootstrap,
    BootstrapPhase,
    Leaving,
    LeavingPhase,
    PeerRecord,
)
from qdrant_operator.domain.qdrant.views import PeerId


def write_bootstrap(bootstrap: Bootstrap) -> api.Bootstrap:
    """status.bootstrap."""
    peer = None if bootstrap.peer is None else int(bootstrap.peer)
    return api.Bootstrap(phase=bootstrap.phase.value, pod=bootstrap.pod, peer_id=peer)


def read_bootstrap(record: api.Bootstrap) -> Bootstrap:
    """The recorded decision which pod may start alone."""
    return Bootstrap(BootstrapPhase(record.phase), record.pod or "", _peer(record.peer_id))


def write_peer_record(record: PeerRecord) -> api.Member:
    """One entry of status.members."""
    return api.Member(
        pod=record.pod, peer_id=int(record.peer), claim_uid=record.claim_uid, lost_since=record.lost_since
    )


def read_peer_record(record: api.Member) -> PeerRecord:
    """Which peer runs on which volume."""
    return PeerRecord(record.pod, PeerId(record.peer_id), record.claim_uid, record.lost_since)


def write_leaving(leaving: Leaving) -> api.Leaving:
    """status.leaving."""
    peer = None if leaving.peer is None else int(leaving.peer)
    return api.Leaving(pod=leaving.pod, peer_id=peer, claim_uid=leaving.claim_uid, phase=leaving.phase.value)


def read_leaving(record: api.Leaving) -> Leaving:
    """The peer that is being removed."""
    return Leaving(record.pod, _peer(record.peer_id), record.claim_uid, LeavingPhase(record.phase))


def _peer(number: int | None) -> PeerId | None:
    return None if number is None else PeerId(number)
