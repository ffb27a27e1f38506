"""Peers come and go, replicas follow: with a writer and a reader that never pause, on a real API server."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from qdrant_operator.domain.common.kinds import Kind, Manifest
from tests.integration.support import manifests
from tests.integration.support.kube import Kube, eventually, is_true
from tests.integration.support.load import Load
from tests.integration.support.operator import Operator
from tests.integration.support.peers import Peers

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
CLUSTER, NAME = Kind.CLUSTER, "vectors"
SETTLE_SECONDS = 150
AGREE_SECONDS = 10


def form(
    kube: Kube, namespace: str, replicas: int = 3, factor: int = 2, shards: int = 6, **spec: Any
) -> Peers:
    """A cluster with one collection."""
    kube.create(manifests.cluster(replicas=replicas, **spec), namespace)
    kube.wait_ready(CLUSTER, namespace, NAME, 90)
    kube.create(manifests.collection(shardNumber=shards, replicationFactor=factor), namespace)
    kube.wait_ready(Kind.COLLECTION, namespace, "docs")
    return Peers(kube, namespace)


def edit(kube: Kube, namespace: str, **spec: Any) -> None:
    """Change the cluster's spec as a user would."""
    kube.patch(CLUSTER, namespace, NAME, {"spec": spec})


def settled(kube: Kube, namespace: str, replicas: int, seconds: float = SETTLE_SECONDS) -> Manifest:
    """Wait until so many peers hold every replica, level, and nothing is left to do; the status."""

    def looks_so() -> Manifest | None:
        found = kube.get(CLUSTER, namespace, NAME)
        if found is None or not is_true(found, "Ready"):
            return None
        status: Manifest = found["status"]
        pods = kube.all(Kind.POD, namespace, f"app.kubernetes.io/instance={NAME}")
        claims = kube.all(Kind.CLAIM, namespace, f"app.kubernetes.io/instance={NAME}")
        quiet = not status.get("plan") and not status.get("blocked") and "leaving" not in status
        level = status["shards"]["imbalance"] <= 1 and status["shards"]["transfers"] == 0
        same = len(status["peers"]) == len(pods) == len(claims) == replicas
        return status if quiet and level and same else None

    return eventually(looks_so, seconds, lambda: kube.tell(CLUSTER, namespace, NAME))


@contextmanager
def under_load(kube: Kube, namespace: str, peers: Peers) -> Iterator[Load]:
    """Write and read all the while; afterwards nothing failed and every acknowledged point is there."""
    with Load(kube, namespace, NAME, "docs", peers.key) as load:
        eventually(lambda: len(load.acknowledged) > 20, 60)
        yield load
        after = len(load.acknowledged)
        eventually(lambda: len(load.acknowledged) > after + 20, 60)
    assert load.writes.failed == []
    assert load.reads.failed == []
    lost = partial(missing, peers, load.acknowledged)
    eventually(lambda: not lost(), AGREE_SECONDS, lambda: f"acknowledged points are lost: {lost()}")


def missing(peers: Peers, wanted: list[int]) -> list[int]:
    """Acknowledged points that cannot be read through some peer."""
    lost: set[int] = set()
    for pod in peers.pods():
        for begin in range(0, len(wanted), 1000):
            ids = wanted[begin : begin + 1000]
            found = peers.ask(pod, "POST", "/collections/docs/points", {"ids": ids, "with_payload": False})
            lost |= set(ids) - {point["id"] for point in found}
    return sorted(lost)


def replicas_of(peers: Peers) -> dict[str, frozenset[tuple[int, int, str]]]:
    """By pod: shard, peer and state of every replica, as its peer says."""
    told: dict[str, frozenset[tuple[int, int, str]]] = {}
    for pod in peers.pods():
        view = peers.ask(pod, "GET", "/collections/docs/cluster")
        here = [(shard["shard_id"], view["peer_id"], shard["state"]) for shard in view["local_shards"]]
        there = [(shard["shard_id"], shard["peer_id"], shard["state"]) for shard in view["remote_shards"]]
        told[pod] = frozenset(here + there)
    return told


def at_factor(peers: Peers, factor: int) -> None:
    """Every peer knows the same members, and the same holders of every shard: `factor` of them, every one Active.

    Not in the first moment: the operator has looked before the last peer heard of the last step.
    """
    eventually(lambda: not wrong(peers, factor), AGREE_SECONDS, lambda: wrong(peers, factor))


def wrong(peers: Peers, factor: int) -> str:
    """The first thing that is not as `at_factor` says; empty when everything is."""
    members = peers.memberships()
    if len(set(members.values())) > 1 or any(len(known) != len(members) for known in members.values()):
        return f"members differ: {members}"
    views = replicas_of(peers)
    if len(set(views.values())) > 1:
        return f"the peers differ: {views}"
    replicas = next(iter(views.values()))
    holders = Counter(shard for shard, _, state in replicas if state == "Active")
    even = holders and set(holders.values()) == {factor} and holders.total() == len(replicas)
    return "" if even else f"not every shard has {factor} replicas, all Active: {sorted(replicas)}"


def test_three_to_five_to_three_under_load(operator: Operator, kube: Kube, namespace: str) -> None:
    """New peers get their share; leaving ones give theirs back; no request fails and no point is lost."""
    peers = form(kube, namespace)
    with under_load(kube, namespace, peers):
        edit(kube, namespace, replicas=5)
        settled(kube, namespace, 5)
        at_factor(peers, 2)
        edit(kube, namespace, replicas=3)
        settled(kube, namespace, 3)
    at_factor(peers, 2)


def test_the_replication_factor_up_and_down_under_load(
    operator: Operator, kube: Kube, namespace: str
) -> None:
    """1 → 3 → 2: each shard has so many replicas afterwards, and nobody waited for them."""
    peers = form(kube, namespace, factor=1)
    with under_load(kube, namespace, peers):
        for factor in (3, 2):
            kube.patch(Kind.COLLECTION, namespace, "docs", {"spec": {"replicationFactor": factor}})
            eventually(lambda: has_factor(peers, factor), SETTLE_SECONDS)  # noqa: B023 (awaited in the loop)
            settled(kube, namespace, 3)
    at_factor(peers, 2)


def has_factor(peers: Peers, factor: int) -> bool:
    """Every shard has exactly so many holders in every view."""
    for pod in peers.pods():
        view = peers.ask(pod, "GET", "/collections/docs/cluster")
        holders = [shard["shard_id"] for shard in (*view["local_shards"], *view["remote_shards"])]
        if {holders.count(shard) for shard in holders} != {factor}:
            return False
    return True


def test_a_changed_mind_is_safe(operator: Operator, kube: Kube, namespace: str) -> None:
    """5 → 3 → 4 → 5 while shards are on their way: whatever was begun, it ends at five level peers."""
    peers = form(kube, namespace, 5)
    with under_load(kube, namespace, peers):
        for replicas in (3, 4, 5):
            edit(kube, namespace, replicas=replicas)
            time.sleep(random.uniform(1.0, 4.0))
        settled(kube, namespace, 5)
    at_factor(peers, 2)


def test_too_few_peers_for_the_factor_is_refused_in_words(
    operator: Operator, kube: Kube, namespace: str
) -> None:
    """A factor of 3 does not fit on 2 peers: nothing moves, and status says what to change."""
    peers = form(kube, namespace, 3, 3)
    before = replicas_of(peers)
    edit(kube, namespace, replicas=2)
    message = kube.wait_reason(CLUSTER, namespace, NAME, "Blocked", "TooFewPeers")
    assert "collection docs has replication factor 3" in message
    assert replicas_of(peers) == before


def lose_volume(kube: Kube, namespace: str, pod: str) -> None:
    """Somebody deletes a claim and its pod, and the StatefulSet makes both anew."""
    claim = kube.get(Kind.CLAIM, namespace, f"storage-{pod}")
    assert claim is not None
    kube.delete(Kind.CLAIM, namespace, f"storage-{pod}")
    kube.delete(Kind.POD, namespace, pod, grace=0)

    def replaced() -> bool:
        found = kube.get(Kind.CLAIM, namespace, f"storage-{pod}")
        return found is not None and found["metadata"]["uid"] != claim["metadata"]["uid"]

    eventually(replaced, 60)


def test_a_lost_volume_waits_for_consent_and_is_rebuilt(
    operator: Operator, kube: Kube, namespace: str
) -> None:
    """Nothing is forced before somebody names the peer; then it joins empty and gets its replicas back."""
    peers = form(kube, namespace)
    with under_load(kube, namespace, peers):
        lost = next(m for m in status(kube, namespace)["members"] if m["pod"] == "vectors-2")["peerId"]
        lose_volume(kube, namespace, "vectors-2")

        def told() -> bool:
            waits = status(kube, namespace).get("blocked") or ()
            return any(w["guard"] == "ConsentNeeded" and str(lost) in w["message"] for w in waits)

        eventually(told, 90, lambda: kube.tell(CLUSTER, namespace, NAME))
        assert str(lost) in peers.ask("vectors-0", "GET", "/cluster")["peers"]
        edit(kube, namespace, shards={"replaceLostPeers": [lost]})
        settled(kube, namespace, 3)
    at_factor(peers, 2)
    assert str(lost) not in peers.ask("vectors-0", "GET", "/cluster")["peers"]


def status(kube: Kube, namespace: str) -> Manifest:
    """The cluster's status now."""
    found = kube.get(CLUSTER, namespace, NAME)
    assert found is not None
    return dict(found["status"])


def test_a_lost_volume_with_an_only_replica_is_listed(operator: Operator, kube: Kube, namespace: str) -> None:
    """Factor 1: consent alone removes nothing; what is lost is named by collection and shard."""
    peers = form(kube, namespace, factor=1)
    lost = next(m for m in status(kube, namespace)["members"] if m["pod"] == "vectors-2")["peerId"]
    gone = sorted(
        s["shard_id"] for s in peers.ask("vectors-2", "GET", "/collections/docs/cluster")["local_shards"]
    )
    edit(kube, namespace, shards={"replaceLostPeers": [lost]})
    lose_volume(kube, namespace, "vectors-2")

    def told() -> str | None:
        waits = status(kube, namespace).get("blocked") or ()
        return next(
            (w["message"] for w in waits if w["guard"] == "VolumeLost" and str(lost) in w["message"]), None
        )

    message = eventually(told, 90, lambda: kube.tell(CLUSTER, namespace, NAME))
    assert ", ".join(f"docs/{shard}" for shard in gone) in message
    assert str(lost) in peers.ask("vectors-0", "GET", "/cluster")["peers"]


def test_a_kept_volume_holds_a_later_scale_out(operator: Operator, kube: Kube, namespace: str) -> None:
    """With whenScaled Retain the claim stays, and no pod is started on it until somebody deletes it."""
    peers = form(kube, namespace, 4, persistence={"size": "1Gi", "whenScaled": "Retain"})
    edit(kube, namespace, replicas=3)
    eventually(lambda: len(peers.pods()) == 3 and "leaving" not in status(kube, namespace), SETTLE_SECONDS)
    assert kube.get(Kind.CLAIM, namespace, "storage-vectors-3") is not None
    edit(kube, namespace, replicas=4)
    message = kube.wait_reason(CLUSTER, namespace, NAME, "Blocked", "RemovedVolumePresent")
    assert "kubectl delete pvc storage-vectors-3" in message
    assert len(peers.pods()) == 3
    kube.delete(Kind.CLAIM, namespace, "storage-vectors-3")
    settled(kube, namespace, 4)
    at_factor(peers, 2)


def test_an_operator_killed_at_random_moments_of_a_drain(
    own_operator: Operator, kube: Kube, namespace: str
) -> None:
    """Twenty kills of operators at work while five peers become three; each goes on where the last one was."""
    own_operator.start()
    peers = form(kube, namespace, 5, shards=24)
    with under_load(kube, namespace, peers):
        edit(kube, namespace, replicas=3)
        for _ in range(20):
            if len(peers.pods()) == 3:
                edit(kube, namespace, replicas=5)
                settled(kube, namespace, 5)
                edit(kube, namespace, replicas=3)
            time.sleep(random.uniform(0.1, 1.5))
            own_operator.kill()
            own_operator.start()
        settled(kube, namespace, 3)
    at_factor(peers, 2)
