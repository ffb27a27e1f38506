"""What scenarios of faults share: whom to hurt, what must stay as it was, and who of the operators acted.

Knows Kubernetes only. That every acknowledged point is there afterwards is the load's word.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from e2e.environment.kind import Nodes
from e2e.environment.kubectl import NAME, Kubectl, peers_of
from e2e.load import ALIVE, Load, Tally
from e2e.shell import POLL_SECONDS, eventually, run
from qdrant_operator.domain.common.kinds import Manifest

CONFIG = f"{NAME}-config"
OPERATOR = "qdrant-operator"
"""Namespace, release, Lease and service account of the operator."""
ACCOUNT = f"system:serviceaccount:{OPERATOR}:{OPERATOR}"
READS = ("get", "list", "watch")
POD_NAME = "authentication.kubernetes.io/pod-name"
"""In the audit log: the pod whose token made the request."""
TAKING_AWAY = frozenset({"ReplicaDropped", "PeerRemoved", "ScaledIn", "VolumeDeleted", "PodRestarted"})
"""Events of steps that take something away."""
OPERATORS_SECONDS = 180.0
"""Until both operators are ready again: a container that ended a few times waits longer before each start."""
HANDOVER_SECONDS = 30.0
"""From the end of one operator to the first deed of the next: 15 s of a silent Lease, a try each 2 s, the caches."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """What no fault may cost: each pod's peer, and each volume claim."""

    peers: Mapping[str, int]
    claims: Mapping[str, str]


def holdings(home: Kubectl) -> Holdings:
    """The peers by their ids and the claims by their uids, as they are now."""
    members = cluster_status(home).get("members") or ()
    return Holdings(
        {member["pod"]: member["peerId"] for member in members}, uids(home, "persistentvolumeclaim")
    )


def uids(home: Kubectl, kind: str) -> dict[str, str]:
    """The cluster's pods or claims by name."""
    return {one["metadata"]["name"]: one["metadata"]["uid"] for one in home.all(kind, peers_of())}


def cluster_status(home: Kubectl) -> Manifest:
    """The status of the QdrantCluster; empty while there is none."""
    return (home.get("qdrantcluster", NAME) or {}).get("status") or {}


def condition(status: Manifest, kind: str) -> Manifest:
    """A condition in an object's status; empty where it is not said."""
    return next((one for one in status.get("conditions") or () if one["type"] == kind), {})


def is_ready(pod: Manifest | None) -> bool:
    """Whether Kubernetes calls a pod ready."""
    return condition((pod or {}).get("status") or {}, "Ready").get("status") == "True"


def containers(home: Kubectl) -> dict[str, str]:
    """Each peer's pod and the container that runs in it: another one means that it was restarted."""
    found = {}
    for pod in home.all("pod", peers_of()):
        running = (pod.get("status") or {}).get("containerStatuses") or [{}]
        found[pod["metadata"]["name"]] = f"{pod['metadata']['uid']} {running[0].get('containerID')}"
    return found


def peer_to_hurt(home: Kubectl) -> tuple[str, str]:
    """A peer's pod and its worker, where no other peer is: the leader of consensus, if possible."""
    where = {pod["metadata"]["name"]: pod["spec"]["nodeName"] for pod in home.all("pod", peers_of())}
    alone = {pod: node for pod, node in where.items() if list(where.values()).count(node) == 1}
    assert alone, f"no worker has one peer only: {where}"
    leader = str(cluster_status(home).get("leader"))
    pod = leader if leader in alone else min(alone)
    return pod, alone[pod]


def untruths(home: Kubectl, pod: str) -> str:
    """What is wrong with what status says of a peer that is gone; empty when all of it is true."""
    status = cluster_status(home)
    ready, degraded = condition(status, "Ready"), condition(status, "Degraded")
    seen = {peer["pod"]: peer["state"] for peer in status.get("peers") or ()}
    wrong = {
        f"Ready is {ready}": ready.get("status") != "False",
        f"Degraded is {degraded}": degraded.get("status") != "True" or pod not in degraded["message"],
        f"{pod} is called {seen.get(pod)}": seen.get(pod) == "Active",
        f"the column shows {status.get('peersReady')}": status.get("peersReady")
        != f"{len(seen) - 1}/{len(seen)}",
    }
    return "; ".join(text for text, holds in wrong.items() if holds)


def taken_away(home: Kubectl) -> list[str]:
    """What the operator said it took away in this namespace."""
    events = home.all("event")
    return [one["message"] for one in events if one["reason"] in TAKING_AWAY]


def repairs(home: Kubectl, within: float = HANDOVER_SECONDS) -> float:
    """Delete what no pod needs at once; the seconds until the operator has put it back."""
    began = time.monotonic()
    uid = uid_of(home, "configmap", CONFIG)
    home("delete", "configmap", CONFIG, "--wait=false")
    eventually(
        lambda: uid_of(home, "configmap", CONFIG) not in ("", uid),
        within,
        lambda: f"nobody put the ConfigMap back; the Lease is held by {holder(home)!r}",
    )
    return time.monotonic() - began


def uid_of(home: Kubectl, kind: str, name: str) -> str:
    """Uid of an object; empty where it is not."""
    found = home.get(kind, name)
    return str(found["metadata"]["uid"]) if found else ""


def holder(any_namespace: Kubectl) -> str:
    """The pod that holds the operators' Lease, by its word: the first part of an identity is the pod's name."""
    lease = any_namespace.within(OPERATOR).get("lease", OPERATOR) or {}
    return str((lease.get("spec") or {}).get("holderIdentity") or "").partition("_")[0]


def operator_pods(any_namespace: Kubectl) -> dict[str, Manifest]:
    """The operators' pods by name."""
    found = any_namespace.within(OPERATOR).all("pod", f"app.kubernetes.io/name={OPERATOR}")
    return {pod["metadata"]["name"]: pod for pod in found}


def both_ready(any_namespace: Kubectl) -> str:
    """The holder, once two operators are ready and one of them holds the Lease; else empty."""
    pods = operator_pods(any_namespace)
    who = holder(any_namespace)
    return who if len(pods) == 2 and who in pods and all(is_ready(pod) for pod in pods.values()) else ""


def signal_operator(pod: Manifest, name: str) -> None:
    """Send a signal to an operator's process from its node, as the kernel or the machine's owner would."""
    uid, node = pod["metadata"]["uid"], pod["spec"]["nodeName"]
    mine = f"grep -qE '{uid}|{uid.replace('-', '_')}' $one/cgroup && grep -q {OPERATOR} $one/cmdline"
    find = f"for one in /proc/[0-9]*; do if {mine}; then echo ${{one#/proc/}}; fi; done 2>/dev/null"
    found = run("docker", "exec", node, "sh", "-c", find).split()
    assert found, f"no process of {pod['metadata']['name']} on {node}"
    run("docker", "exec", node, "kill", f"-{name}", *found)


def hold(seconds: float) -> None:
    """A fault lasts so long: nothing is waited for here."""
    time.sleep(seconds)


def goes_on(load: Load, within: float, steadily: float = 15.0) -> None:
    """Wait until many reads and many writes succeed in some seconds on end, and none of either fails in them."""
    deadline = time.monotonic() + within + steadily
    while not _is_steady(load, steadily):
        assert time.monotonic() < deadline, (
            f"requests are not answered as they should be: {_told(load.tally)}"
        )


def _is_steady(load: Load, seconds: float) -> bool:
    """Look for so long, or until a request fails."""
    began, end = load.tally, time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(POLL_SECONDS)
        if load.tally.failures > began.failures:
            return False
    now = load.tally
    return min(now.writes.done - began.writes.done, now.reads.done - began.reads.done) > ALIVE


def _told(tally: Tally) -> str:
    failed = "\n".join((*tally.writes.failed[-5:], *tally.reads.failed[-5:]))
    return (
        f"{tally.writes.done} writes and {tally.reads.done} reads were answered; the last failures:\n{failed}"
    )


def true_within(seconds: float, look: Callable[[], bool]) -> bool:
    """Whether something comes true in this time; faults that repeat go on otherwise."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if look():
            return True
        time.sleep(0.5)
    return False


@dataclass(frozen=True, slots=True)
class Deed:
    """One write by an operator that the API server carried out."""

    pod: str
    verb: str
    resource: str
    namespace: str
    uri: str

    def __str__(self) -> str:
        return f"{self.pod}: {self.verb} {self.uri}"


@dataclass(frozen=True, slots=True)
class Record:
    """What operators wrote from a moment on, by the API server's audit log."""

    nodes: Nodes
    offset: int

    @classmethod
    def begin(cls, nodes: Nodes) -> Record:
        """Everything from now on."""
        return cls(nodes, nodes.audit_log().stat().st_size)

    def deeds(self) -> list[Deed]:
        """What the API server carried out, in the order in which it received it."""
        done = [event for event in self._events() if _is_deed(event)]
        return [
            _deed(event) for event in sorted(done, key=lambda event: str(event["requestReceivedTimestamp"]))
        ]

    def out_of_turn(self) -> list[str]:
        """Writes by an operator after another one had written itself into the Lease."""
        last, wrong = "", []
        for deed in self.deeds():
            if deed.resource == "leases":
                last = deed.pod
            elif last and deed.pod != last:
                wrong.append(f"{deed}, while {last} held the Lease")
        return wrong

    def deleted(self, namespace: str) -> list[str]:
        """What operators deleted in a namespace."""
        return [str(deed) for deed in self.deeds() if deed.namespace == namespace and "delete" in deed.verb]

    def _events(self) -> Iterator[Manifest]:
        with self.nodes.audit_log().open("rb") as lines:
            lines.seek(self.offset)
            yield from (json.loads(line) for line in lines if line.endswith(b"\n"))


def _is_deed(event: Manifest) -> bool:
    own = event["user"].get("username") == ACCOUNT and event["stage"] == "ResponseComplete"
    done = (event.get("responseStatus") or {}).get("code", 500) < 300
    return own and done and event["verb"] not in READS and "objectRef" in event


def _deed(event: Manifest) -> Deed:
    about = event["objectRef"]
    who = (event["user"].get("extra") or {}).get(POD_NAME) or [""]
    resource = "/".join(filter(None, (about["resource"], about.get("subresource"))))
    return Deed(who[0], event["verb"], resource, about.get("namespace", ""), event["requestURI"])
