"""Why a shard waits: one guard and one sentence each, for people who read them at three in the morning.

Pure. Which steps are safe is decided in `wishes`; this module says what is missing where none is.
"""

from __future__ import annotations

from collections.abc import Iterator

from qdrant_operator.domain.common.guards import ClusterGuard
from qdrant_operator.domain.common.plan import Blocked
from qdrant_operator.domain.common.text import counted, named
from qdrant_operator.domain.placement.classify import Case, Census, fits
from qdrant_operator.domain.placement.next_step import Aim, state_of, why_not_there
from qdrant_operator.domain.placement.target.compute import Target
from qdrant_operator.domain.qdrant.views import PeerId, ReplicaState

LEFT = "; it is left as it is until that is over"
"""What becomes of a shard about which nothing can be decided."""


def waits(case: Case, target: Target, census: Census) -> Iterator[tuple[Aim, Blocked]]:
    """Everything that keeps the shard from its target and is no step of ours, with what it is needed for."""
    label = case.shard.label
    if case.shard.disputed:
        yield (
            Aim.REPAIR,
            Blocked(f"place {label}", ClusterGuard.VIEWS_DISAGREE, f"{label}: {case.shard.disputed}{LEFT}"),
        )
    elif case.running:
        yield from _running(case, census)
    elif not case.sound:
        yield Aim.REPAIR, Blocked(f"repair {label}", ClusterGuard.NO_SOUND_SOURCE, _no_source(case, census))
    else:
        yield from _unsound(case, target, census)
        if case.shard.ref in target.short:
            aim = Aim.DRAIN if case.going else Aim.REPLICATE
            step = f"{'drain' if case.going else 'replicate'} {label}"
            yield aim, Blocked(step, *_too_few(case, target, census))


def _running(case: Case, census: Census) -> Iterator[tuple[Aim, Blocked]]:
    below = len(case.sound) < case.wanted
    for transfer in case.running:
        source, target = census.pod(transfer.source), census.pod(transfer.target)
        if census.may_hold(case.shard, transfer.target):
            leaves = transfer.source in census.peers and not census.may_hold(case.shard, transfer.source)
            aim = Aim.REPAIR if below else Aim.DRAIN if leaves or case.going else Aim.LEVEL
            message = f"{case.shard.label} is on its way from {source} to {target}"
            yield aim, Blocked(f"place {case.shard.label}", ClusterGuard.TRANSFER_RUNNING, message)


def _no_source(case: Case, census: Census) -> str:
    label, states = case.shard.label, []
    for replica in sorted(case.shard.replicas, key=lambda replica: replica.peer):
        known = census.peers.get(replica.peer)
        word = "lost" if known is None or known.lost else state_of(case, replica.peer)
        word = word if word == "lost" or (known and known.answers) else "silent"
        states.append(f"{census.pod(replica.peer)}: {word}")
    held = ", ".join(states) or "nobody holds it"
    return f"{label} has no sound replica ({held}): it is left alone; bring a peer back or restore a snapshot"


def _unsound(case: Case, target: Target, census: Census) -> Iterator[tuple[Aim, Blocked]]:
    label, below, holders = case.shard.label, len(case.sound) < case.wanted, target.holders[case.shard.ref]
    for peer in (*case.coming, *case.void, *(p for p in case.going if p not in case.sound)):
        pod, known = census.pod(peer), census.peers.get(peer)
        if peer in case.coming and known is not None and not known.answers:
            message = f"{pod} does not answer; its replica of {label} is waited for"
            yield Aim.REPAIR, Blocked(f"repair {label}", ClusterGuard.PEERS_UNREACHABLE, message)
        elif peer in case.coming and (below or peer in holders):
            yield (
                Aim.REPAIR,
                Blocked(f"repair {label}", ClusterGuard.REPLICA_NOT_SOUND, _ill(case, peer, pod)),
            )
        elif peer not in case.coming and below:
            why = why_not_there(case, peer, census) if peer in case.going else f"{pod} holds no sound copy"
            message = f"{why}, but only {len(case.sound)} of {case.wanted} replicas of {label} are sound"
            yield Aim.REPAIR, Blocked(f"drop {label} on {pod}", ClusterGuard.REPLICA_NOT_SOUND, message)
    drained = [peer for peer in case.going if peer in case.sound and peer not in holders]
    if drained and len(case.sound) <= case.wanted and holders <= case.shard.holders:
        pods = ", ".join(census.pod(peer) for peer in drained)
        message = (
            f"{label} needs another sound replica first: {len(case.sound) - len(drained)} of {case.wanted}"
        )
        yield Aim.DRAIN, Blocked(f"drain {label} on {pods}", ClusterGuard.REPLICA_NOT_SOUND, message)


def _ill(case: Case, peer: PeerId, pod: str) -> str:
    """Qdrant heals what consensus calls ill; of a replica that it calls Active it knows nothing."""
    label, state = case.shard.label, state_of(case, peer)
    if state != ReplicaState.ACTIVE:
        return f"{label} on {pod} is {state}: Qdrant heals it from a sound replica"
    cause = "it is not loaded (recovery mode, or a failed load), or lacks points"
    return f"{label} on {pod} is Active and not sound: {cause}; see the log of {pod}"


def _too_few(case: Case, target: Target, census: Census) -> tuple[ClusterGuard, str]:
    """The first of these that explains it: members, silence, room, a transfer that just failed."""
    shard, label, wanted = case.shard, case.shard.label, case.wanted
    may = [peer for peer in census.eligible if census.may_hold(shard, peer)]
    if len(may) < wanted:
        where = "may hold it" if shard.allowed is not None else "remains" if len(may) == 1 else "remain"
        there = f"{counted(len(may), 'peer')} {where}"
        return (
            ClusterGuard.TOO_FEW_PEERS,
            f"{label} wants {counted(wanted, 'replica')}, and {there}: add peers",
        )
    others = [peer for peer in may if peer not in target.holders[shard.ref]]
    silent = [peer for peer in others if not census.peers[peer].answers]
    full = [peer for peer in others if not fits(census.peers[peer].free_bytes, shard.bytes)]
    if silent:
        return (
            ClusterGuard.PEERS_UNREACHABLE,
            f"{_pods(silent, census)} could take {label} but cannot be reached",
        )
    if full:
        need = f"more than {shard.bytes * 3 // 2} bytes free, 1.5 times its size"
        return (
            ClusterGuard.NOT_ENOUGH_DISK,
            f"{label} needs {need}; {_pods(full, census)} cannot give them: add peers, or make its collection smaller",
        )
    refused = [peer for peer in others if (shard.ref, peer) in census.waits]
    if refused:
        message = (
            f"the last transfer of {label} to {_pods(refused, census)} was aborted: it is tried again later"
        )
        return ClusterGuard.LAST_TRANSFER_ABORTED, message
    return (
        ClusterGuard.REPLICA_NOT_SOUND,
        f"the peers that could take {label} hold replicas of it that are not sound",
    )


def _pods(peers: list[PeerId], census: Census) -> str:
    return named([census.pod(peer) for peer in peers])
