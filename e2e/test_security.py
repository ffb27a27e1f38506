"""What the product may do and what is kept from it: its pods, its network, and what users take away meanwhile."""

from __future__ import annotations

import json
import time

import pytest

from e2e.conftest import Form, Sheet, Storage
from e2e.environment import namespaces
from e2e.environment.installing import RELEASE
from e2e.environment.kubectl import NAME, Kubectl, peers_of
from e2e.load import POD as LOAD
from e2e.load import under_load
from e2e.scenario.forming import COLLECTION
from e2e.scenario.probes import ENFORCED_SECONDS, elsewhere, enforces, reach, sleeper
from e2e.shell import eventually
from qdrant_operator.api.kinds import GROUP
from qdrant_operator.domain.common.kinds import Manifest

pytestmark = pytest.mark.usefixtures("chart")
CLIENT = {"app": "shop"}
SNAPSHOT_SECONDS = 180.0
MODES = ("enforce", "audit", "warn")


@pytest.fixture
def enforced(home: Kubectl, chart: None) -> None:
    """Skip where nothing could be shown."""
    if not enforces(home):
        pytest.skip("the network plugin of this cluster enforces no NetworkPolicies")


@pytest.fixture
def strict(home: Kubectl) -> Kubectl:
    """A namespace of the restricted standard that also warns and writes violations into the audit log."""
    labels = [f"pod-security.kubernetes.io/{mode}=restricted" for mode in MODES]
    home("label", "--overwrite", "namespace", home.namespace, *labels)
    home("label", "--overwrite", "namespace", namespaces.OPERATOR, *labels)
    return home


def test_pods_are_restricted_without_a_warning(strict: Kubectl, form: Form, storage: Storage) -> None:
    """Peers, the snapshot Job and the operator run where only the restricted standard may, and nothing warns."""
    form(strict)
    strict.apply(storage.secret(), _snapshot(storage, strict, "restricted"))
    strict.ready("qdrantsnapshot", "restricted", SNAPSHOT_SECONDS)
    pods = {"peer": strict.all("pods", peers_of()), "snapshot": strict.all("pods", _component("snapshot"))}
    pods["operator"] = strict.within(namespaces.OPERATOR).all("pods", f"app.kubernetes.io/name={RELEASE}")
    assert {kind: len(found) for kind, found in pods.items()} == {"peer": 3, "snapshot": 1, "operator": 2}
    for found in pods.values():
        again = json.dumps(_anew(found[0], "again"))
        strict("create", "--dry-run=server", "--warnings-as-errors", "-f", "-", stdin=again)
    for template in (
        *strict.all("statefulsets,jobs"),
        *strict.within(namespaces.OPERATOR).all("deployments"),
    ):
        again = json.dumps(
            _anew({**template["spec"]["template"], "apiVersion": "v1", "kind": "Pod"}, "template")
        )
        strict("create", "--dry-run=server", "--warnings-as-errors", "-f", "-", stdin=again)


def test_a_warning_would_be_seen(strict: Kubectl) -> None:
    """A pod that runs as root is refused here, and one is warned of where it is not refused."""
    root = sleeper("root")
    root["spec"].pop("securityContext")
    assert "violates PodSecurity" in strict.refused("apply", "-f", "-", stdin=json.dumps(root))
    strict(
        "label", "--overwrite", "namespace", strict.namespace, "pod-security.kubernetes.io/enforce=privileged"
    )
    dry = ("create", "--dry-run=server", "--warnings-as-errors", "-f", "-")
    assert "violate PodSecurity" in strict.refused(*dry, stdin=json.dumps(root))


def test_the_peer_port_is_closed_and_the_api_open(home: Kubectl, form: Form, enforced: None) -> None:
    """Where no clients are named: any pod reaches the API, none the peer port, and the peers reach each other."""
    form(home)
    home.apply(sleeper("stranger"), sleeper("disguised", {"app.kubernetes.io/name": "qdrant"}))
    with elsewhere(home) as other:
        other.apply(sleeper("abroad", _peer_labels(home)))
        pods = {"stranger": home, "disguised": home, "abroad": other}
        for pod, place in pods.items():
            place.ready("pod", pod, 60)
            assert reach(place, pod, home) == {6333, 6334}, pod
    _replicate(home)


def test_only_named_clients_reach_the_api(
    home: Kubectl, form: Form, storage: Storage, enforced: None, sheet: Sheet
) -> None:
    """Clients go on without a failed request while all others are shut out; operator, Jobs and peers go on too."""
    form(home)
    home.apply(storage.secret(), sleeper("stranger"), sleeper("client", CLIENT))
    home.ready("pod", "stranger", 60)
    home.ready("pod", "client", 60)
    with elsewhere(home) as other, under_load(home) as load:
        other.apply(sleeper("abroad", CLIENT))
        other.ready("pod", "abroad", 60)
        home("label", "pod", LOAD, *(f"{key}={value}" for key, value in CLIENT.items()))
        began = time.monotonic()
        home.patch(
            "qdrantcluster", NAME, networkPolicy={"clients": [{"podSelector": {"matchLabels": CLIENT}}]}
        )
        eventually(lambda: not reach(home, "stranger", home), ENFORCED_SECONDS)
        took = time.monotonic() - began
        assert reach(home, "client", home) == {6333, 6334}
        assert reach(other, "abroad", home) == set()
        _replicate(home)
        home.apply(_snapshot(storage, home, "let-in"))
        home.ready("qdrantsnapshot", "let-in", SNAPSHOT_SECONDS)
    load.no_failed()
    sheet.row("clients named in the NetworkPolicy: all others are shut out", took, load)


def test_an_empty_list_keeps_everybody_out_but_ours(home: Kubectl, form: Form, enforced: None) -> None:
    """Nobody reaches the peers, and the cluster is Ready and does what its spec says; without the policy all may."""
    form(home, networkPolicy={"clients": []})
    home.apply(sleeper("client", CLIENT))
    home.ready("pod", "client", 60)
    eventually(lambda: not reach(home, "client", home), ENFORCED_SECONDS)
    _replicate(home)
    home.patch("qdrantcluster", NAME, networkPolicy={"enabled": False, "clients": None})
    eventually(lambda: home.get("networkpolicy", f"{NAME}-peers") is None, 30)
    eventually(lambda: reach(home, "client", home) == {6333, 6334, 6335}, ENFORCED_SECONDS)
    home.settled(replicas=3)


def test_what_a_user_takes_away_meanwhile(home: Kubectl, form: Form, storage: Storage) -> None:
    """A snapshot is deleted while it runs, another one's Job, and a collection with its points: nothing hangs.

    A budget that is edited twice is put back twice, and told in one Event.
    """
    form(home, shards=12)
    for _ in range(2):
        home.patch("poddisruptionbudget", NAME, maxUnavailable=3)
        eventually(lambda: _spec(home, "poddisruptionbudget")["maxUnavailable"] == 1, 60)
    home.apply(storage.secret())
    home.patch("qdrantcollection", COLLECTION, deletionPolicy="Delete")
    home.apply(_snapshot(storage, home, "orphan"))
    job = eventually(lambda: _job(home, "orphan"), 60)
    home("delete", "job", job, "--cascade=foreground", "--wait=false")
    eventually(lambda: _phase(home, "orphan") in ("Failed", "Verified"), 120, lambda: _phase(home, "orphan"))
    home.apply(_snapshot(storage, home, "doomed", deletionPolicy="Delete"))
    eventually(lambda: _job(home, "doomed"), 60)
    home("delete", "qdrantsnapshot", "doomed", "--timeout=120s", timeout=130)
    home("delete", "qdrantcollection", COLLECTION, "--timeout=60s", timeout=70)
    home.settled(replicas=3)


def test_a_schedule_makes_and_prunes(home: Kubectl, form: Form, storage: Storage) -> None:
    """Due every minute, keeping one: the second snapshot comes and the first one goes."""
    form(home, replicas=1, factor=1, shards=1)
    place = storage.place(f"{home.namespace}/")
    spec = {
        "clusterRef": {"name": NAME},
        "schedule": "* * * * *",
        "storage": place,
        "retention": {"keepLast": 1},
    }
    unknown = {"clusterRef": {"name": "unknown"}, "vectors": {"size": 4, "distance": "Dot"}}
    home.apply(
        storage.secret(),
        _custom("QdrantSnapshotSchedule", "often", spec),
        _custom("QdrantCollection", "lost", unknown),
    )
    first = eventually(lambda: _made(home), 150)[0]
    eventually(lambda: _made(home) and first not in _made(home), 200, lambda: str(_made(home)))
    assert home.get("qdrantcollection", "lost")["status"]["phase"] == "Blocked"  # type: ignore[index]


def _replicate(home: Kubectl) -> None:
    """The operator asks for one more replica of every shard, which peers send to each other."""
    home.patch("qdrantcollection", COLLECTION, replicationFactor=3)
    home.ready("qdrantcollection", COLLECTION, 180)
    home.settled(replicas=3)


def _peer_labels(home: Kubectl) -> dict[str, str]:
    """Those by which a peer's pod is told, which anybody may write elsewhere."""
    labels: dict[str, str] = home.all("pods", peers_of())[0]["metadata"]["labels"]
    return {key: labels[key] for key in labels if key.startswith("app.kubernetes.io/") or GROUP in key}


def _anew(pod: Manifest, name: str) -> Manifest:
    """A pod of the same kind, as somebody would create it."""
    spec = {key: value for key, value in pod["spec"].items() if key not in ("nodeName", "serviceAccountName")}
    labels = {"app": name}
    return {**pod, "metadata": {"name": name, "labels": labels}, "spec": _untouched(spec), "status": {}}


def _untouched(spec: Manifest) -> Manifest:
    """Without what the API server or its controllers added: tokens, and volumes of a StatefulSet."""
    added = {one["name"] for one in spec.get("volumes", ()) if one["name"].startswith("kube-api-access")}
    containers = [
        {
            **one,
            "volumeMounts": [mount for mount in one.get("volumeMounts", ()) if mount["name"] not in added],
        }
        for one in spec["containers"]
    ]
    volumes = [one for one in spec.get("volumes", ()) if one["name"] not in added]
    named = {one["name"] for one in volumes}
    mounted = {mount["name"] for one in containers for mount in one["volumeMounts"]}
    claims = [{"name": one, "emptyDir": {}} for one in sorted(mounted - named)]
    return {**spec, "serviceAccount": None, "containers": containers, "volumes": [*volumes, *claims]}


def _snapshot(storage: Storage, home: Kubectl, name: str, **more: object) -> Manifest:
    spec = {"clusterRef": {"name": NAME}, "storage": storage.place(f"{home.namespace}/"), **more}
    return _custom("QdrantSnapshot", name, spec)


def _custom(kind: str, name: str, spec: Manifest) -> Manifest:
    return {"apiVersion": f"{GROUP}/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def _component(name: str) -> str:
    return f"app.kubernetes.io/component={name}"


def _job(home: Kubectl, snapshot: str) -> str:
    """The Job of a snapshot that is called Running; empty before."""
    status = (home.get("qdrantsnapshot", snapshot) or {}).get("status") or {}
    return str(status.get("job") or "") if status.get("phase") == "Running" else ""


def _spec(home: Kubectl, kind: str) -> Manifest:
    """The spec of an object with the cluster's name."""
    return dict((home.get(kind, NAME) or {}).get("spec") or {})


def _phase(home: Kubectl, snapshot: str) -> str:
    return str(((home.get("qdrantsnapshot", snapshot) or {}).get("status") or {}).get("phase") or "")


def _made(home: Kubectl) -> list[str]:
    """Snapshots that the schedule made and that are good."""
    found = home.all("qdrantsnapshots", f"{GROUP}/schedule=often")
    return [one["metadata"]["name"] for one in found if (one.get("status") or {}).get("phase") == "Verified"]
