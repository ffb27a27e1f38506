"""`status`: peers and shards as text. Pure: one `Overview` in, lines out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from qdrant_operator.commands.text import BOLD, DIM, GREEN, RED, YELLOW, Ink, plan_lines, size, table
from qdrant_operator.domain.cluster.steps import ClusterPlan
from qdrant_operator.domain.common.conditions import Condition
from qdrant_operator.domain.placement.model import Layout, Peer, Replica, RunningTransfer, Shard
from qdrant_operator.domain.placement.steps import label
from qdrant_operator.domain.qdrant.soundness import ShardRef
from qdrant_operator.domain.qdrant.views import PeerId, ReplicaState

LETTERS: Mapping[ReplicaState, str] = {
    ReplicaState.ACTIVE: "a",
    ReplicaState.DEAD: "D",
    ReplicaState.PARTIAL: "P",
    ReplicaState.INITIALIZING: "I",
    ReplicaState.LISTENER: "L",
    ReplicaState.PARTIAL_SNAPSHOT: "S",
    ReplicaState.RECOVERY: "R",
    ReplicaState.RESHARDING: "H",
    ReplicaState.RESHARDING_SCALE_DOWN: "h",
    ReplicaState.ACTIVE_READ: "r",
    ReplicaState.MANUAL_RECOVERY: "M",
    ReplicaState.UNKNOWN: "?",
}
SOUND = "A"
LEGEND = {
    SOUND: "sound",
    "a": "Active, not sound",
    **{letter: state.value for state, letter in LETTERS.items() if letter != "a"},
    ">": "source of a transfer",
    "<": "target of a transfer",
}
FIRST_COLUMNS = 34
"""Width of shard, key and size, left of the columns of the peers."""
CELL = 4


@dataclass(frozen=True, slots=True)
class Overview:
    """What is shown."""

    namespace: str
    name: str
    facts: Mapping[str, Any]
    """Status without conditions, as the loop would write it now."""
    conditions: Sequence[Condition]
    layout: Layout
    plan: ClusterPlan
    notes: tuple[str, ...] = ()
    """Sentences below the title: the cluster is paused, or the operator has not reconciled the latest change."""


def render(overview: Overview, *, width: int, ink: Ink) -> str:
    """The text of `status`."""
    sections = [
        _head(overview, ink),
        _peers(overview, ink),
        *_collections(overview.layout, width, ink),
        _transfers(overview.layout, ink),
        _conditions(overview.conditions, ink),
        list(plan_lines(overview.plan, ink, nothing="nothing")),
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def _head(overview: Overview, ink: Ink) -> list[str]:
    facts = overview.facts
    parts = (
        str(facts.get("version") or "several or unknown versions"),
        str(facts["phase"]),
        f"{facts['peersReady']} peers ready",
        f"{facts['shardsSound']} replicas sound",
    )
    title = ink(f"QdrantCluster {overview.namespace}/{overview.name}", BOLD)
    return [f"{title}  {'  '.join(parts)}", *(ink(note, YELLOW) for note in overview.notes)]


def _peers(overview: Overview, ink: Ink) -> list[str]:
    status = {peer["pod"]: peer for peer in overview.facts["peers"]}
    known = {peer.pod for peer in overview.layout.peers}
    rows = [("#", "POD", "PEER", "ZONE", "STATE", "REPLICAS", "POINTS", "SIZE", "")]
    for number, peer in columns(overview.layout).items():
        rows.append(_peer_row(number, status.get(peer.pod, {}), peer, overview.facts))
    for pod, facts in status.items():
        if pod not in known:
            rows.append(("", pod, "", "", str(facts["state"]), "", "", "", "no peer"))
    lines = table([[str(cell) for cell in row] for row in rows], right=frozenset({0, 5, 6, 7}))
    return [ink(lines[0], BOLD), *(_peer_ink(line, ink) for line in lines[1:])]


def _peer_row(
    number: str, status: Mapping[str, Any], peer: Peer, facts: Mapping[str, Any]
) -> tuple[str, str, str, str, str, str, str, str, str]:
    roles = {
        "leader": facts.get("leader") == peer.pod,
        "leaving": peer.leaving,
        "lost": peer.lost,
        "does not answer": not peer.answers,
    }
    copied = status.get("bytes")
    return (
        number,
        peer.pod,
        str(peer.id),
        peer.zone or "-",
        str(status.get("state", "no pod")),
        str(status.get("shards", "-")),
        f"{status['points']:,}" if "points" in status else "-",
        size(copied) if copied is not None else "-",
        ", ".join(role for role, holds in roles.items() if holds),
    )


def _peer_ink(line: str, ink: Ink) -> str:
    bad = any(word in line for word in ("lost", "does not answer", "no peer", "Down", "Unreachable"))
    return ink(line, RED) if bad else line


def columns(layout: Layout) -> dict[str, Peer]:
    """A short name for every peer: the ordinal of its pod, or x1, x2, … where no pod is known."""
    named, nameless = {}, 0
    for peer in sorted(layout.peers, key=_by_pod):
        ordinal = peer.pod.rpartition("-")[2]
        if ordinal.isdigit() and ordinal not in named:
            named[ordinal] = peer
        else:
            nameless += 1
            named[f"x{nameless}"] = peer
    return named


def _by_pod(peer: Peer) -> tuple[bool, int, int]:
    ordinal = peer.pod.rpartition("-")[2]
    return not ordinal.isdigit(), int(ordinal) if ordinal.isdigit() else 0, peer.id


def _collections(layout: Layout, width: int, ink: Ink) -> Iterator[list[str]]:
    """One grid for each collection; peers that do not fit into the width follow in a second grid."""
    moving = _ends(layout.transfers)
    wide = max((width - FIRST_COLUMNS) // CELL, 4)
    used: set[str] = set()
    for name, found in groupby(layout.shards, key=lambda shard: shard.collection):
        shards = list(found)
        lines = [f"{ink(name, BOLD)}  {_factors(shards)}"]
        peers = list(columns(layout).items())
        for start in range(0, len(peers), wide):
            lines += _grid(shards, dict(peers[start : start + wide]), moving, used, ink)
        lines += [f"  {shard.label}: {shard.disputed}" for shard in shards if shard.disputed]
        yield lines
    if used:
        yield [ink("  ".join(f"{mark} {word}" for mark, word in LEGEND.items() if mark in used), DIM)]


def _factors(shards: Sequence[Shard]) -> str:
    factors = sorted({shard.factor for shard in shards})
    return f"replication factor {', '.join(map(str, factors))}"


def _ends(transfers: Sequence[RunningTransfer]) -> Mapping[tuple[ShardRef, PeerId], str]:
    sources = {(transfer.ref, transfer.source): ">" for transfer in transfers}
    targets = {(transfer.ref, transfer.target): "<" for transfer in transfers}
    return {**sources, **targets}


def _grid(
    shards: Sequence[Shard],
    peers: Mapping[str, Peer],
    moving: Mapping[tuple[ShardRef, PeerId], str],
    used: set[str],
    ink: Ink,
) -> list[str]:
    keyed = any(shard.key is not None for shard in shards)
    heads = ("shard", "key", "size") if keyed else ("shard", "size")
    rows = [_shard_row(shard, keyed=keyed) for shard in shards]
    first = table([heads, *rows], right=frozenset({0, len(heads) - 1}))
    room = max(map(len, first))
    lines = [f"  {first[0].ljust(room)}  {''.join(name.rjust(CELL) for name in peers)}"]
    for shard, beginning in zip(shards, first[1:], strict=True):
        cells = (_cell(shard, peer.id, moving, used, ink) for peer in peers.values())
        lines.append(f"  {beginning.ljust(room)}  {''.join(cells)}".rstrip())
    return [ink(lines[0], DIM), *lines[1:]]


def _shard_row(shard: Shard, *, keyed: bool) -> tuple[str, ...]:
    number, copied = str(shard.ref[1]), size(shard.bytes)
    return (number, str(shard.key), copied) if keyed else (number, copied)


def _cell(
    shard: Shard,
    peer: PeerId,
    moving: Mapping[tuple[ShardRef, PeerId], str],
    used: set[str],
    ink: Ink,
) -> str:
    replica = next((replica for replica in shard.replicas if replica.peer == peer), None)
    mark = _letter(replica) if replica else "."
    way = moving.get((shard.ref, peer), "")
    used.update((mark, way))
    code = {SOUND: GREEN, ".": DIM, "D": RED, "a": RED}.get(mark, YELLOW)
    text = mark + way
    return " " * (CELL - len(text)) + ink(text, code)


def _letter(replica: Replica) -> str:
    return SOUND if replica.sound else LETTERS[replica.state]


def _transfers(layout: Layout, ink: Ink) -> list[str]:
    pods = {peer.id: peer.pod for peer in layout.peers}
    rows = [
        (
            label(transfer.ref),
            pods.get(transfer.source, str(transfer.source)),
            "->",
            pods.get(transfer.target, str(transfer.target)),
            "copies" if transfer.keeps_source else "moves",
        )
        for transfer in layout.transfers
    ]
    return [ink("TRANSFERS", BOLD), *(f"  {line}" for line in table(rows))] if rows else []


def _conditions(conditions: Sequence[Condition], ink: Ink) -> list[str]:
    rows = [(found.type, _truth(found.status), found.reason, found.message) for found in conditions]
    return [ink("CONDITIONS", BOLD), *(f"  {line}" for line in table(rows))] if rows else []


def _truth(status: bool | None) -> str:
    return "Unknown" if status is None else str(status)
