"""Zones on a real API server: the label that spec.shards.zoneKey names decides where replicas go."""

from __future__ import annotations

import pytest

from qdrant_operator.domain.common.kinds import Kind, Manifest
from tests.integration.support import manifests
from tests.integration.support.kube import Kube, eventually
from tests.integration.support.operator import Operator
from tests.integration.support.peers import Peers
from tests.integration.test_scale import at_factor, edit, form, settled, status, under_load

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]
ZONE = "topology.kubernetes.io/zone"
NORTH, SOUTH = ("vectors-0", "vectors-1"), ("vectors-2", "vectors-3")


def put_into_zones(kube: Kube, namespace: str) -> None:
    """Label the pods, as Kubernetes 1.35 does from their nodes."""
    for zone, pods in (("north", NORTH), ("south", SOUTH)):
        for pod in pods:
            kube.patch(Kind.POD, namespace, pod, {"metadata": {"labels": {ZONE: zone}}})


def zones(kube: Kube, namespace: str) -> dict[int, str]:
    """Peer id → zone, as status says."""
    return {peer["id"]: peer.get("zone", "") for peer in status(kube, namespace)["peers"] if "id" in peer}


def spread(peers: Peers, where: dict[int, str], collection: str = "docs") -> dict[int, list[str]]:
    """Shard → zones of its replicas, as the first peer says."""
    view = peers.ask("vectors-0", "GET", f"/collections/{collection}/cluster")
    found = [(s["shard_id"], view["peer_id"]) for s in view["local_shards"]]
    found += [(s["shard_id"], s["peer_id"]) for s in view["remote_shards"]]
    told: dict[int, list[str]] = {}
    for shard, peer in found:
        told.setdefault(shard, []).append(where[peer])
    return {shard: sorted(held) for shard, held in sorted(told.items())}


def is_spread(kube: Kube, namespace: str, peers: Peers) -> bool:
    """Every shard has one replica in each zone."""
    return set(map(tuple, spread(peers, zones(kube, namespace)).values())) == {("north", "south")}


def test_replicas_of_every_shard_are_spread_over_the_zones(
    operator: Operator, kube: Kube, namespace: str
) -> None:
    """Piled up in one zone; zones become known: moved under load until the loss of a zone loses no shard."""
    peers = form(kube, namespace, 2)
    edit(kube, namespace, replicas=4, shards={"zoneKey": ZONE, "placement": "DrainOnly"})
    eventually(
        lambda: len(zones(kube, namespace)) == 4, 90, lambda: kube.tell(Kind.CLUSTER, namespace, "vectors")
    )
    with under_load(kube, namespace, peers):
        put_into_zones(kube, namespace)
        eventually(lambda: sorted(zones(kube, namespace).values()) == ["north"] * 2 + ["south"] * 2, 30)
        assert set(map(tuple, spread(peers, zones(kube, namespace)).values())) == {("north", "north")}
        edit(kube, namespace, shards={"placement": "Auto"})
        eventually(
            lambda: is_spread(kube, namespace, peers),
            120,
            lambda: kube.tell(Kind.CLUSTER, namespace, "vectors"),
        )
        settled(kube, namespace, 4)
    at_factor(peers, 2)
    assert is_spread(kube, namespace, peers)


def test_a_shard_key_lives_in_its_zone_and_follows_it(operator: Operator, kube: Kube, namespace: str) -> None:
    """A key of zone north has its replicas there; the spec says south, and they move there."""
    kube.create(manifests.cluster(replicas=4, shards={"zoneKey": ZONE}), namespace)
    kube.wait_ready(Kind.CLUSTER, namespace, "vectors", 90)
    put_into_zones(kube, namespace)
    peers = Peers(kube, namespace)
    eventually(lambda: "" not in zones(kube, namespace).values(), 30)
    kube.create(manifests.collection(shardNumber=1, sharding=keyed("north")), namespace)
    kube.wait_ready(Kind.COLLECTION, namespace, "docs")
    assert list(spread(peers, zones(kube, namespace)).values()) == [["north"] * 2] * 2
    kube.patch(Kind.COLLECTION, namespace, "docs", {"spec": {"sharding": keyed("south")}})
    eventually(
        lambda: list(spread(peers, zones(kube, namespace)).values()) == [["south"] * 2] * 2,
        120,
        lambda: kube.tell(Kind.CLUSTER, namespace, "vectors"),
    )
    kube.wait_ready(Kind.COLLECTION, namespace, "docs")


def keyed(zone: str) -> Manifest:
    """One shard key of two shards in a zone."""
    return {"method": "Custom", "keys": [{"key": "eu", "shards": 2, "peers": {"zone": zone}}]}
