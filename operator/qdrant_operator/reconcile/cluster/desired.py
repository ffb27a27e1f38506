"""What the objects of a QdrantCluster shall be on this look: the spec, as far as it may be followed now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qdrant_operator.api import ClusterSpec
from qdrant_operator.domain.cluster.desired import DesiredCluster
from qdrant_operator.domain.cluster.formation import first_pod
from qdrant_operator.domain.cluster.membership.scale_out import pods_wanted
from qdrant_operator.domain.cluster.observed import Observed
from qdrant_operator.domain.cluster.pods.disruptions import plan_disruptions
from qdrant_operator.domain.cluster.versions import Hop, Past, highest, next_hop, past
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.plan import Blocked
from qdrant_operator.domain.qdrant.views import View
from qdrant_operator.reconcile.cluster.keys import Keys
from qdrant_operator.reconcile.cluster.records import read_releases
from qdrant_operator.reconcile.context import Context
from qdrant_operator.reconcile.ports import Kind, Manifest


@dataclass(frozen=True, slots=True)
class Wanted:
    """The objects to have, and why they are not yet what the spec says."""

    desired: DesiredCluster
    blocked: tuple[Blocked, ...]
    known: Past

    @property
    def highest_version(self) -> str | None:
        """What status remembers from now on; a downgrade that was allowed lowers it when it has happened."""
        return highest((self.known.running if self.desired.allows_downgrade else None) or self.known.seen)


@dataclass(frozen=True, slots=True)
class _Release:
    """The release to run now."""

    hop: Hop
    known: Past
    digest: str
    allowed: str
    """To which the user allows a downgrade."""


def want(
    context: Context,
    subject: Manifest,
    spec: ClusterSpec,
    keys: Keys,
    observed: Observed,
    views: Mapping[str, View],
) -> Wanted:
    """Follow the spec as far as is safe; `views` are those of all pods, also of one that is going."""
    release = _release(context, subject, spec, observed, views)
    count, held_back = pods_wanted(subject["metadata"]["name"], spec.replicas, observed)
    desired = DesiredCluster(
        name=subject["metadata"]["name"],
        namespace=subject["metadata"]["namespace"],
        uid=subject["metadata"]["uid"],
        spec=spec,
        credentials=keys.credentials,
        members=count,
        version=release.hop.version,
        digest=release.digest,
        first_pod=first_pod(observed.bootstrap),
        operator=context.options.operator_pods,
        disruptions=plan_disruptions(observed),
        allowed_downgrade=release.allowed,
    )
    return Wanted(desired, (*keys.blocked, *release.hop.blocked, *held_back), release.known)


def _release(
    context: Context, subject: Manifest, spec: ClusterSpec, observed: Observed, views: Mapping[str, View]
) -> _Release:
    meta = subject["metadata"]
    allowed = (meta.get("annotations") or {}).get(names.ANNOTATION_ALLOW_DOWNGRADE, "")
    known = past(views, observed.volumes, read_releases(subject))
    present = _present_release(
        context.kubernetes.cached_one(Kind.STATEFUL_SET, meta["namespace"], meta["name"])
    )
    hop = next_hop(spec.version, known, present[0], allowed)
    return _Release(hop, known, _digest(hop.version, spec, present), allowed)


def _present_release(stateful_set: Manifest | None) -> tuple[str | None, str]:
    """Tag and digest of the image in the StatefulSet."""
    if stateful_set is None:
        return None, ""
    image: str = stateful_set["spec"]["template"]["spec"]["containers"][0]["image"]
    tagged, _, digest = image.partition("@")
    return tagged.rsplit(":", 1)[1], digest


def _digest(version: str, spec: ClusterSpec, present: tuple[str | None, str]) -> str:
    """The digest in the spec names the image of spec.version only."""
    if version == spec.version:
        return spec.image.digest or ""
    return present[1] if version == present[0] else ""
