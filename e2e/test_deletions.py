"""What a user deletes by mistake comes back, and what need not stop for it goes on."""

from __future__ import annotations

import time

import pytest

from e2e.environment.kubectl import NAME, Kubectl, peers_of
from e2e.load import under_load
from e2e.scenario.faults import Holdings, cluster_status, containers, holdings, uid_of, uids
from e2e.scenario.forming import Form, cluster, collection
from e2e.sheet import Sheet
from e2e.shell import eventually
from qdrant_operator.domain.common.kinds import Manifest

BACK_SECONDS = 30.0
"""Until a deleted object is there again: a look of the operator; a busy machine is slower."""
SAME_AGAIN_SECONDS = 180.0
"""Until pods that were deleted are there again and their replicas recovered."""
GONE_SECONDS = 120.0
"""A namespace is gone within this, whatever is in it."""
AROUND = (
    ("serviceaccount", NAME),
    ("configmap", f"{NAME}-config"),
    ("poddisruptionbudget", NAME),
    ("secret", f"{NAME}-auth"),
    ("secret", f"{NAME}-peer-auth"),
    ("service", f"{NAME}-peers"),
)
"""Owned objects that neither running pods nor applications need at the moment."""
ESSENTIAL = ("spec", "data", "type", "automountServiceAccountToken")
"""Where objects keep what somebody wrote into them."""

pytestmark = pytest.mark.usefixtures("chart")


def test_objects_around_the_pods(home: Kubectl, form: Form, sheet: Sheet) -> None:
    """Each object that running pods do not need comes back as it was: no restart, no failed request."""
    form(home)
    before, objects = containers(home), {one: _essence(home, *one) for one in (*AROUND, *_policies(home))}
    with under_load(home) as load:
        slowest = max(_deleted(home, *one) for one in objects)
        home.settled(replicas=3)
    load.no_failed()
    assert containers(home) == before
    assert {one: _essence(home, *one) for one in objects} == objects
    kinds = ", ".join(sorted({kind for kind, _ in objects}))
    sheet.row(f"deleted one after another: {kinds} (the slowest to be there again)", slowest, load)


def test_client_service(home: Kubectl, form: Form, sheet: Sheet) -> None:
    """The client Service comes back; it has a new address, so requests fail until names are asked for again."""
    form(home)
    before = containers(home)
    with under_load(home) as load:
        began = time.monotonic()
        _deleted(home, "service", NAME)
        load.alive()
        took = time.monotonic() - began
        home.settled(replicas=3)
    assert containers(home) == before
    sheet.row("client Service deleted (until requests are answered again)", took, load)


def test_stateful_set_alone(home: Kubectl, form: Form, sheet: Sheet) -> None:
    """A StatefulSet that is deleted without its pods comes back and takes them over as they run."""
    form(home)
    before = containers(home)
    with under_load(home) as load:
        took = _deleted(home, "statefulset", NAME, "--cascade=orphan")
        home.settled(replicas=3)
        owner = uid_of(home, "statefulset", NAME)
        eventually(lambda: {_owner(pod) for pod in home.all("pod", peers_of())} == {owner}, BACK_SECONDS)
    load.no_failed()
    assert containers(home) == before
    sheet.row("StatefulSet deleted, its pods left", took, load)


def test_stateful_set_with_its_pods(home: Kubectl, form: Form, sheet: Sheet) -> None:
    """A StatefulSet that is deleted with its pods comes back with the same peers on the same volumes."""
    form(home)
    with under_load(home) as load:
        before, pods, began = holdings(home), uids(home, "pod"), time.monotonic()
        home("delete", "statefulset", NAME, "--wait=false")
        took = _same_again(home, before, pods, began)
    sheet.row("StatefulSet deleted with its pods", took, load)


def test_all_pods(home: Kubectl, form: Form, sheet: Sheet) -> None:
    """All pods deleted at once are one cluster again: the same peers on the same volumes."""
    form(home)
    with under_load(home) as load:
        before, pods, began = holdings(home), uids(home, "pod"), time.monotonic()
        home("delete", "pod", f"--selector={peers_of()}", "--wait=false")
        took = _same_again(home, before, pods, began)
    sheet.row("all pods deleted at once", took, load)


def test_claim_with_its_pod(home: Kubectl, form: Form, sheet: Sheet) -> None:
    """A peer whose volume is gone waits for consent, named in status; with consent a new one takes its place."""
    form(home)
    pod, claim = f"{NAME}-1", f"storage-{NAME}-1"
    with under_load(home) as load:
        before = holdings(home)
        home("delete", "persistentvolumeclaim", claim, "--wait=false")
        home("delete", "pod", pod, "--wait=false")
        wait = eventually(lambda: _wait(home, "ConsentNeeded"), SAME_AGAIN_SECONDS, lambda: _told(home))
        lost = before.peers[pod]
        assert str(lost) in wait["message"], wait
        assert claim in wait["message"], wait
        assert holdings(home).peers == before.peers, "a peer was replaced before anybody consented"
        assert uid_of(home, "persistentvolumeclaim", claim) not in ("", before.claims[claim])
        began = time.monotonic()
        home.patch("qdrantcluster", NAME, shards={"replaceLostPeers": [lost]})
        eventually(
            lambda: holdings(home).peers.get(pod, lost) != lost, SAME_AGAIN_SECONDS, lambda: _told(home)
        )
        home.settled(replicas=3)
        took = time.monotonic() - began
    after = holdings(home).peers
    assert {name: peer for name, peer in after.items() if name != pod} == {
        name: peer for name, peer in before.peers.items() if name != pod
    }
    sheet.row("volume deleted with its pod: healthy after consent", took, load)


def test_namespace(kubectl: Kubectl, home: Kubectl, sheet: Sheet) -> None:
    """A namespace with a cluster, its collection, a schedule and running applications is gone within 120 s."""
    owned = collection(factor=2, shards=6)
    owned["spec"]["deletionPolicy"] = "Delete"
    home.apply(cluster(3), owned, _schedule())
    home.settled(replicas=3)
    home.ready("qdrantcollection", "docs", 60)
    with under_load(home) as load:
        load.alive()
    began = time.monotonic()
    kubectl("delete", "namespace", home.namespace, "--wait=false")
    eventually(
        lambda: kubectl.get("namespace", home.namespace) is None,
        GONE_SECONDS,
        lambda: kubectl("get", "namespace", home.namespace, "--output=jsonpath={.status}"),
    )
    sheet.row("namespace deleted with all that is in it: gone", time.monotonic() - began, load)


def _deleted(home: Kubectl, kind: str, name: str, *how: str) -> float:
    """Delete an object; the seconds until another one of its name is there."""
    uid, began = uid_of(home, kind, name), time.monotonic()
    assert uid, f"there is no {kind} {name}"
    home("delete", kind, name, "--wait=false", *how)
    eventually(lambda: uid_of(home, kind, name) not in ("", uid), BACK_SECONDS, lambda: f"no {kind} {name}")
    return time.monotonic() - began


def _same_again(home: Kubectl, before: Holdings, pods: dict[str, str], began: float) -> float:
    """Wait until new pods run the same peers on the same claims; the seconds that it took."""
    eventually(lambda: not set(uids(home, "pod").values()) & set(pods.values()), SAME_AGAIN_SECONDS)
    home.settled(replicas=len(pods), seconds=SAME_AGAIN_SECONDS)
    took = time.monotonic() - began
    assert holdings(home) == before
    return took


def _wait(home: Kubectl, guard: str) -> Manifest | None:
    """What status says of a guard that holds a step back."""
    return next((one for one in cluster_status(home).get("blocked") or () if one["guard"] == guard), None)


def _told(home: Kubectl) -> str:
    return home.tell("qdrantcluster", NAME)


def _essence(home: Kubectl, kind: str, name: str) -> Manifest:
    """What somebody wrote into an object; uid, version and times are Kubernetes' own."""
    found = home.get(kind, name) or {}
    own = {part: found["metadata"].get(part) for part in ("labels", "ownerReferences")}
    return own | {part: found[part] for part in ESSENTIAL if part in found}


def _policies(home: Kubectl) -> list[tuple[str, str]]:
    """NetworkPolicies that belong to the cluster."""
    found = home.all("networkpolicy")
    return [
        ("networkpolicy", one["metadata"]["name"]) for one in found if _owner_kind(one) == "QdrantCluster"
    ]


def _owner(found: Manifest) -> str:
    return next((str(one["uid"]) for one in found["metadata"].get("ownerReferences") or ()), "")


def _owner_kind(found: Manifest) -> str:
    return next((str(one["kind"]) for one in found["metadata"].get("ownerReferences") or ()), "")


def _schedule() -> Manifest:
    """A schedule that does not run during the test."""
    s3 = {"bucket": "none", "endpoint": "http://nowhere.invalid:9000"}
    return {
        "apiVersion": "qdrantoperator.dev/v1alpha1",
        "kind": "QdrantSnapshotSchedule",
        "metadata": {"name": "nightly"},
        "spec": {
            "clusterRef": {"name": NAME},
            "schedule": "0 3 1 1 *",
            "suspend": True,
            "storage": {"s3": s3},
        },
    }
