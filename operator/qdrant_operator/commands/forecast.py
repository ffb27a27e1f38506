"""Forecast: the steps on shards that follow the current ones, until the layout is as desired.

The loop plans again after every step, so this is what it would do if nothing else changed: the whole plan of the
planner, for a layout in which the peers that are still to be added have joined, empty.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from qdrant_operator.commands.inspect import Inspection
from qdrant_operator.domain.cluster.planner import policy_of
from qdrant_operator.domain.cluster.steps import Step
from qdrant_operator.domain.common import names
from qdrant_operator.domain.placement.forecast import whole_plan
from qdrant_operator.domain.placement.model import Layout, Peer
from qdrant_operator.domain.placement.steps import AbortTransfer, DropReplica, MoveShard, ReplicateShard
from qdrant_operator.domain.qdrant.views import PeerId


@dataclass(frozen=True, slots=True)
class Forecast:
    """Steps on shards until the layout is as desired."""

    when: str
    """Heading: what must happen before."""
    steps: tuple[Step, ...]


def forecast(found: Inspection) -> Forecast:
    """All remaining steps of placement; none while the cluster is paused or its layout is unsettled."""
    desired, observed = found.decision.desired, found.decision.observed
    if desired.spec.paused or found.layout.unsettled:
        return Forecast("", ())
    wanted = [names.pod_name(desired.name, ordinal) for ordinal in range(desired.spec.replicas)]
    layout, joining = with_joining(found.layout, wanted)
    steps = whole_plan(layout, policy_of(desired, observed)).steps
    kept = tuple(
        step for step in steps if isinstance(step, MoveShard | ReplicateShard | DropReplica | AbortTransfer)
    )
    return Forecast(f"AFTER {', '.join(joining)} JOINED" if joining else "ALL REMAINING STEPS", kept)


def with_joining(layout: Layout, wanted: list[str]) -> tuple[Layout, list[str]]:
    """The layout with an empty peer for every desired pod without one, and the names of these pods."""
    present = {peer.pod for peer in layout.peers}
    joining = [pod for pod in wanted if pod not in present]
    peers, highest = list(layout.peers), max((peer.id for peer in layout.peers), default=0)
    for number, pod in enumerate(joining, 1):
        peers.append(Peer(PeerId(highest + number), pod, zone=_emptiest_zone(peers)))
    return replace(layout, peers=tuple(peers)), joining


def _emptiest_zone(peers: list[Peer]) -> str:
    """The zone that a topology spread gives the next pod; empty without zones."""
    counts = Counter(peer.zone for peer in peers)
    return min(sorted(counts), key=lambda zone: counts[zone], default="")
