"""What would follow until everything is placed, beyond the steps of this moment.

The loop decides anew after every step, so this is what it would do if nothing else happened: the planner's own
whole plan, on a layout in which the peers that are only wanted have joined already, empty.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from qdrant_operator.commands.inspect import Seen
from qdrant_operator.domain.cluster.planner import policy_of
from qdrant_operator.domain.cluster.steps import Step
from qdrant_operator.domain.common import names
from qdrant_operator.domain.placement.forecast import whole_plan
from qdrant_operator.domain.placement.model import Layout, Peer
from qdrant_operator.domain.placement.steps import AbortTransfer, DropReplica, MoveShard, ReplicateShard
from qdrant_operator.domain.qdrant.views import PeerId


@dataclass(frozen=True, slots=True)
class Forecast:
    """Steps on shards until the layout is as wanted."""

    when: str
    """Heading: what must have happened before."""
    steps: tuple[Step, ...]


def forecast(seen: Seen) -> Forecast:
    """Everything that placement would still do; no steps where nothing would follow, or while it is paused."""
    desired, observed = seen.decision.desired, seen.decision.observed
    if desired.spec.paused or seen.layout.unsettled:
        return Forecast("", ())
    wanted = [names.pod_name(desired.name, ordinal) for ordinal in range(desired.spec.replicas)]
    layout, joining = with_joining(seen.layout, wanted)
    steps = whole_plan(layout, policy_of(desired, observed)).steps
    kept = tuple(
        one for one in steps if isinstance(one, MoveShard | ReplicateShard | DropReplica | AbortTransfer)
    )
    return Forecast(f"WHEN {', '.join(joining)} HAVE JOINED" if joining else "UNTIL ALL IS PLACED", kept)


def with_joining(layout: Layout, wanted: list[str]) -> tuple[Layout, list[str]]:
    """The layout with an empty peer for every wanted pod that is no member yet, and the names of these."""
    present = {peer.pod for peer in layout.peers}
    joining = [pod for pod in wanted if pod not in present]
    peers, highest = list(layout.peers), max((peer.id for peer in layout.peers), default=0)
    for number, pod in enumerate(joining, 1):
        peers.append(Peer(PeerId(highest + number), pod, zone=_emptiest_zone(peers)))
    return replace(layout, peers=tuple(peers)), joining


def _emptiest_zone(peers: list[Peer]) -> str:
    """Where a spread over zones would put the next pod; empty where zones are not looked at."""
    counts = Counter(peer.zone for peer in peers)
    return min(sorted(counts), key=lambda zone: counts[zone], default="")
