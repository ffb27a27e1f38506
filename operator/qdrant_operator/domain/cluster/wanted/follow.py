"""How far the spec may be followed now: release, number of pods, API key, permission to start alone, disruptions.

Pure. What is not followed yet is blocked with a reason; the rest of the plan is built on `DesiredCluster`.
"""

from __future__ import annotations

from dataclasses import dataclass

from qdrant_operator.api import ClusterSpec
from qdrant_operator.domain.cluster.formation import first_pod
from qdrant_operator.domain.cluster.membership.scale_out import pods_wanted
from qdrant_operator.domain.cluster.observed import Observed
from qdrant_operator.domain.cluster.pods.disruptions import plan_disruptions
from qdrant_operator.domain.cluster.wanted.desired import DesiredCluster
from qdrant_operator.domain.cluster.wanted.keys import keys_in_force
from qdrant_operator.domain.cluster.wanted.request import ClusterRequest
from qdrant_operator.domain.cluster.wanted.versions import Past, highest, next_hop, past
from qdrant_operator.domain.common.kinds import Kind, Manifest
from qdrant_operator.domain.common.plan import Blocked


@dataclass(frozen=True, slots=True)
class Followed:
    """What the objects are built from now, and what of the spec is not followed yet."""

    desired: DesiredCluster
    blocked: tuple[Blocked, ...]
    highest_version: str | None
    """The value for status; an allowed downgrade lowers it after it has happened."""


def follow(request: ClusterRequest, observed: Observed) -> Followed:
    """Follow the spec as far as is safe.

    Raises:
        Refused: `VersionDowngrade` or `VersionSkip`, where there is no StatefulSet: no pod is started.
    """
    known = past(observed.all_views, observed.volumes, observed.releases)
    present, present_digest = _present_image(observed.objects.get((Kind.STATEFUL_SET, request.name)))
    hop = next_hop(request.spec.version, known, present, request.allowed_downgrade)
    credentials, key_blocked = keys_in_force(request, observed)
    pods, growth_blocked = pods_wanted(request.name, request.spec.replicas, observed)
    desired = DesiredCluster(
        name=request.name,
        namespace=request.namespace,
        uid=request.uid,
        spec=request.spec,
        credentials=credentials,
        pod_count=pods,
        version=hop.version,
        digest=_digest(hop.version, request.spec, present, present_digest),
        first_pod=first_pod(observed.bootstrap),
        operator=request.operator,
        disruptions=plan_disruptions(observed),
        allowed_downgrade=request.allowed_downgrade,
    )
    blocked = (*key_blocked, *hop.blocked, *growth_blocked)
    return Followed(desired, blocked, _highest(known, desired))


def _highest(known: Past, desired: DesiredCluster) -> str | None:
    return highest((known.running if desired.allows_downgrade else None) or known.seen)


def _present_image(stateful_set: Manifest | None) -> tuple[str | None, str]:
    """Tag and digest of the image in the StatefulSet; None: there is no StatefulSet."""
    if stateful_set is None:
        return None, ""
    image: str = stateful_set["spec"]["template"]["spec"]["containers"][0]["image"]
    tagged, _, digest = image.partition("@")
    return tagged.rsplit(":", 1)[1], digest


def _digest(version: str, spec: ClusterSpec, present: str | None, present_digest: str) -> str:
    """The digest in the spec names the image of spec.version only."""
    if version == spec.version:
        return spec.image.digest or ""
    return present_digest if version == present else ""
