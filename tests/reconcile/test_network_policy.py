"""The NetworkPolicy comes, follows the spec, and goes: ours only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest_asyncio

from qdrant_operator.domain.desired import OperatorPods
from qdrant_operator.domain.wire import Kind, Manifest
from qdrant_operator.reconcile.cluster import ClusterReconciler
from qdrant_operator.reconcile.world import Options, World
from sandbox.fakes.kubernetes import FakeKubernetes
from tests.reconcile.collection_world import (
    CLUSTER,
    NAMESPACE,
    USER,
    FaultyRest,
    ManualClock,
    Recorder,
    manifest,
)

NAME = f"{CLUSTER}-peers"


@dataclass
class Place:
    """One QdrantCluster whose peers are not there yet, and its loop."""

    kubernetes: FakeKubernetes
    told: Recorder
    loop: ClusterReconciler

    @property
    def policy(self) -> Manifest | None:
        """The NetworkPolicy now."""
        return self.kubernetes.server.get(Kind.NETWORK_POLICY, NAMESPACE, NAME)

    async def wants(self, **policy: object) -> None:
        """Change spec.networkPolicy and take some passes."""
        self.kubernetes.server.patch(
            Kind.CLUSTER, NAMESPACE, CLUSTER, {"spec": {"networkPolicy": policy}}, USER
        )
        for _ in range(4):
            subject = self.kubernetes.cached_one(Kind.CLUSTER, NAMESPACE, CLUSTER)
            assert subject is not None
            await self.loop.reconcile(subject)


@pytest_asyncio.fixture
async def place() -> AsyncIterator[Place]:
    """A new cluster, whose operator runs in a pod."""
    clock, qdrant, told = ManualClock(), FaultyRest(), Recorder()
    kubernetes = FakeKubernetes(now=clock.now)
    kubernetes.server.create(manifest(Kind.CLUSTER, CLUSTER, {"version": "v1.19.0", "replicas": 1}), USER)
    options = Options("operator:test", operator_pods=OperatorPods("ops", {"app": "operator"}))
    yield Place(kubernetes, told, ClusterReconciler(World(kubernetes, qdrant, clock, told, options)))
    await qdrant.close()


async def test_it_is_there_without_being_asked_for(place: Place) -> None:
    """A cluster whose spec says nothing of it has one, which it owns."""
    await place.wants()
    assert place.policy is not None
    subject = place.kubernetes.cached_one(Kind.CLUSTER, NAMESPACE, CLUSTER)
    assert subject is not None
    assert [one["uid"] for one in place.policy["metadata"]["ownerReferences"]] == [subject["metadata"]["uid"]]


async def test_the_operator_lets_itself_in(place: Place) -> None:
    """With a list of clients its own pods are in the policy, by their namespace and labels."""
    await place.wants(clients=[])
    assert place.policy is not None
    own = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ops"}},
        "podSelector": {"matchLabels": {"app": "operator"}},
    }
    assert own in place.policy["spec"]["ingress"][0]["from"]


async def test_it_goes_when_it_is_disabled_and_comes_back(place: Place) -> None:
    """Deleted once, and told; made anew when it is enabled again."""
    await place.wants()
    await place.wants(enabled=False)
    assert place.policy is None
    said = [message for _, reason, message in place.told.events if reason == "ObjectDeleted"]
    assert said == [f"delete NetworkPolicy {NAME} (spec.networkPolicy.enabled is false)"]
    await place.wants(enabled=True)
    assert place.policy is not None


async def test_somebody_elses_stays(place: Place) -> None:
    """A policy of that name that the QdrantCluster does not own is not deleted, even with our label."""
    labels = {"app.kubernetes.io/managed-by": "qdrant-operator"}
    place.kubernetes.server.create(manifest(Kind.NETWORK_POLICY, NAME, {}, labels), USER)
    await place.wants(enabled=False)
    assert place.policy is not None
    assert place.told.events == [one for one in place.told.events if one[1] != "ObjectDeleted"]
