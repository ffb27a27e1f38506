"""Why a shard waits: one guard and one sentence for each cause, as status.blocked shows it.

Pure. Which steps are safe is decided in `next_step`; this module names what is missing where there is no step.
"""

from __future__ import annotations

from collections.abc import Iterator

from qdrant_operator.domain.common.guards import ClusterGuard
from qdrant_operator.domain.common.plan import Blocked
from qdrant_operator.domain.common.text import counted, named
from qdrant_operator.domain.placement.classify import Classification, ShardReplicas, fits
from qdrant_operator.domain.placement.model import Replica, RunningTransfer
from qdrant_operator.domain.placement.next_step import Priority, state_of, why_not_there
from qdrant_operator.domain.placement.target.compute import Target
from qdrant_operator.domain.qdrant.views import PeerId, ReplicaState

Waiting = tuple[Priority, Blocked]
"""A blocked step, and how urgent it is."""


def waits(replicas: ShardReplicas, target: Target, classification: Classification) -> Iterator[Waiting]:
    """Everything that keeps the shard from its target and that no step of the operator can end now."""
    label = replicas.shard.label
    if replicas.shard.disputed:
        message = f"{label}: {replicas.shard.disputed}; no step is planned for it until this is over"
        yield Priority.REPAIR, Blocked(f"place {label}", ClusterGuard.VIEWS_DISAGREE, message)
    elif replicas.running:
        yield from _running(replicas, classification)
    elif not replicas.sound:
        message = _no_source(replicas, classification)
        yield Priority.REPAIR, Blocked(f"repair {label}", ClusterGuard.NO_SOUND_SOURCE, message)
    else:
        yield from _unsound(replicas, target, classification)
        yield from _undrained(replicas, target, classification)
        yield from _short(replicas, target, classification)


def _running(replicas: ShardReplicas, classification: Classification) -> Iterator[Waiting]:
    label = replicas.shard.label
    for transfer in replicas.running:
        source, target = classification.pod(transfer.source), classification.pod(transfer.target)
        if classification.may_hold(replicas.shard, transfer.target):
            message = f"transfer of {label} from {source} to {target} is running"
            blocked = Blocked(f"place {label}", ClusterGuard.TRANSFER_RUNNING, message)
            yield _priority_of(transfer, replicas, classification), blocked


def _priority_of(
    transfer: RunningTransfer, replicas: ShardReplicas, classification: Classification
) -> Priority:
    if len(replicas.sound) < replicas.wanted:
        return Priority.REPAIR
    known = transfer.source in classification.peers
    leaves = known and not classification.may_hold(replicas.shard, transfer.source)
    return Priority.DRAIN if leaves or replicas.to_remove else Priority.BALANCE


def _no_source(replicas: ShardReplicas, classification: Classification) -> str:
    label = replicas.shard.label
    ordered = sorted(replicas.shard.replicas, key=lambda replica: replica.peer)
    states = ", ".join(_state(replica, classification) for replica in ordered) or "no peer holds it"
    return f"{label} has no sound replica ({states}): bring a peer back, or restore a snapshot"


def _state(replica: Replica, classification: Classification) -> str:
    """A replica's state; where its peer cannot give one, the peer's."""
    pod, known = classification.pod(replica.peer), classification.peers.get(replica.peer)
    if known is None or known.lost:
        return f"{pod}: lost"
    return f"{pod}: {replica.state}" if known.answers else f"{pod}: does not answer"


def _unsound(replicas: ShardReplicas, target: Target, classification: Classification) -> Iterator[Waiting]:
    """Replicas that are not sound: one waits for each that recovers, or that may not be dropped yet."""
    holders = target.holders[replicas.shard.ref]
    to_remove = [peer for peer in replicas.to_remove if peer not in replicas.sound]
    below = len(replicas.sound) < replicas.wanted
    for peer in replicas.recovering:
        if not _answers(peer, classification):
            yield Priority.REPAIR, _silent(peer, replicas, classification)
        elif below or peer in holders:
            yield Priority.REPAIR, _ill(peer, replicas, classification)
    for peer in (*replicas.discarded, *to_remove) if below else ():
        yield Priority.REPAIR, _not_dropped(peer, replicas, classification)


def _answers(peer: PeerId, classification: Classification) -> bool:
    known = classification.peers.get(peer)
    return known is None or known.answers


def _silent(peer: PeerId, replicas: ShardReplicas, classification: Classification) -> Blocked:
    label = replicas.shard.label
    message = f"{classification.pod(peer)} does not answer; waiting for its replica of {label}"
    return Blocked(f"repair {label}", ClusterGuard.PEERS_UNREACHABLE, message)


def _ill(peer: PeerId, replicas: ShardReplicas, classification: Classification) -> Blocked:
    """Qdrant heals a replica that consensus does not call Active; of one that it calls Active it knows nothing."""
    label, pod, state = replicas.shard.label, classification.pod(peer), state_of(replicas, peer)
    message = f"{label} on {pod} is {state}: Qdrant heals it from a sound replica"
    if state == ReplicaState.ACTIVE:
        cause = "it is not loaded (recovery mode, or a failed load), or lacks points"
        message = f"{label} on {pod} is Active and not sound: {cause}; see the log of {pod}"
    return Blocked(f"repair {label}", ClusterGuard.REPLICA_NOT_SOUND, message)


def _not_dropped(peer: PeerId, replicas: ShardReplicas, classification: Classification) -> Blocked:
    label, pod = replicas.shard.label, classification.pod(peer)
    why = f"the replica on {pod} is not sound"
    if peer in replicas.to_remove:
        why = why_not_there(replicas, peer, classification)
    message = f"{why}, but only {len(replicas.sound)} of {replicas.wanted} replicas of {label} are sound"
    return Blocked(f"drop {label} on {pod}", ClusterGuard.REPLICA_NOT_SOUND, message)


def _undrained(replicas: ShardReplicas, target: Target, classification: Classification) -> Iterator[Waiting]:
    """Sound replicas on leaving peers that stay until a replica elsewhere is sound."""
    label, holders = replicas.shard.label, target.holders[replicas.shard.ref]
    drained = [peer for peer in replicas.to_remove if peer in replicas.sound and peer not in holders]
    if drained and len(replicas.sound) <= replicas.wanted and holders <= replicas.shard.holders:
        pods = ", ".join(classification.pod(peer) for peer in drained)
        left = f"{len(replicas.sound) - len(drained)} of {replicas.wanted}"
        message = f"waiting for another sound replica of {label}: it has {left} without {pods}"
        yield Priority.DRAIN, Blocked(f"drain {label} on {pods}", ClusterGuard.REPLICA_NOT_SOUND, message)


def _short(replicas: ShardReplicas, target: Target, classification: Classification) -> Iterator[Waiting]:
    """A shard for which the target finds too few peers."""
    if replicas.shard.ref in target.short:
        drains = bool(replicas.to_remove)
        step = f"{'drain' if drains else 'replicate'} {replicas.shard.label}"
        blocked = Blocked(step, *_too_few(replicas, target, classification))
        yield Priority.DRAIN if drains else Priority.REPLICATE, blocked


def _too_few(
    replicas: ShardReplicas, target: Target, classification: Classification
) -> tuple[ClusterGuard, str]:
    """The first cause that explains it: too few peers, no answer, no room, a transfer aborted recently."""
    shard, label, peers = replicas.shard, replicas.shard.label, classification.peers
    may = [peer for peer in classification.eligible if classification.may_hold(shard, peer)]
    if len(may) < replicas.wanted:
        return ClusterGuard.TOO_FEW_PEERS, _too_few_peers(replicas, len(may))
    others = [peer for peer in may if peer not in target.holders[shard.ref]]
    if silent := [peer for peer in others if not peers[peer].answers]:
        message = f"{_pods(silent, classification)} could hold {label} but cannot be reached: waiting"
        return ClusterGuard.PEERS_UNREACHABLE, message
    if full := [peer for peer in others if not fits(peers[peer].free_bytes, shard.bytes)]:
        return ClusterGuard.NOT_ENOUGH_DISK, _no_room(replicas, _pods(full, classification))
    if refused := [peer for peer in others if (shard.ref, peer) in classification.waits]:
        pods = _pods(refused, classification)
        message = f"the last transfer of {label} to {pods} was aborted: waiting before it is retried"
        return ClusterGuard.LAST_TRANSFER_ABORTED, message
    message = f"every peer that could hold {label} has a replica of it that is not sound"
    return ClusterGuard.REPLICA_NOT_SOUND, message


def _too_few_peers(replicas: ShardReplicas, peers: int) -> str:
    where = "may hold it" if replicas.shard.allowed is not None else "remains" if peers == 1 else "remain"
    needs = f"{replicas.shard.label} needs {counted(replicas.wanted, 'replica')}"
    return f"{needs}, but only {counted(peers, 'peer')} {where}: add peers"


def _no_room(replicas: ShardReplicas, pods: str) -> str:
    needs = (
        f"{replicas.shard.label} needs more than {replicas.shard.bytes * 3 // 2} bytes, 1.5 times its size"
    )
    return f"too little free disk on {pods}: {needs}; add peers, or reduce its collection"


def _pods(peers: list[PeerId], classification: Classification) -> str:
    return named([classification.pod(peer) for peer in peers])
