"""Every object name, label, annotation and port: one place.

Lengths: a StatefulSet's pods carry a `controller-revision-hash` label, so cluster names are bounded to 40
characters (CRD schema), which keeps every derived name within the 63 of a DNS label.
"""

from __future__ import annotations

from collections.abc import Mapping

GROUP = "qdrantoperator.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
FIELD_MANAGER = "qdrant-operator"
FINALIZER = f"{GROUP}/finalizer"

REST_PORT = 6333
GRPC_PORT = 6334
P2P_PORT = 6335

LABEL_NAME = "app.kubernetes.io/name"
LABEL_INSTANCE = "app.kubernetes.io/instance"
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
LABEL_COMPONENT = "app.kubernetes.io/component"
LABEL_CLUSTER = f"{GROUP}/cluster"
LABEL_SNAPSHOT = f"{GROUP}/snapshot"
LABEL_SCHEDULE = f"{GROUP}/schedule"
LABEL_POD_NAME = "statefulset.kubernetes.io/pod-name"
"""On pods of a StatefulSet: their own name."""
LABEL_SERVING = f"{GROUP}/serving"
"""On peers' pods: "true" while the client Service may send requests to the pod."""

ANNOTATION_HASH = f"{GROUP}/desired-hash"
"""On owned objects: hash of what we applied, so that a field we stopped setting is noticed."""
ANNOTATION_TEMPLATE = f"{GROUP}/template-hash"
"""On peers' pods: hash of the pod template, without what may change and needs no restart."""
ANNOTATION_REMINDED = f"{GROUP}/reminded"
"""On a StatefulSet: when its controller was last made to look again."""
ANNOTATION_RECORDED = f"{GROUP}/removal-recorded"
"""On a StatefulSet: version of the QdrantCluster when a removal was recorded last; earlier writes are refused."""
ANNOTATION_KEY_REVISION = f"{GROUP}/key-revision"
"""On the Secrets with the API key: how often it was exchanged before the cluster was complete."""
ANNOTATION_OPERATOR = f"{GROUP}/operator-pods"
"""On a NetworkPolicy that must let the operator in: which pods it is, for clients such as the command line."""
ANNOTATION_SCHEDULE = f"{GROUP}/schedule-uid"
"""On a QdrantSnapshot that a schedule made: that schedule's uid."""
ANNOTATION_SCHEDULED_AT = f"{GROUP}/scheduled-at"
"""On the same: the time it was due. Shows a pass after a crash what was done already."""

ANNOTATION_RELEASE = f"{GROUP}/highest-release"
"""On volume claims: the highest Qdrant release that ran on the volume."""
ANNOTATION_UNFORMED = f"{GROUP}/unformed"
"""On the first pod's volume claim, "true" until its peer has formed the cluster: no other volume existed."""
ANNOTATION_ALLOW_DOWNGRADE = f"{GROUP}/allow-downgrade-to"
"""On a QdrantCluster, by its user: a release below the one that ran, which may run all the same."""

MANAGED: Mapping[str, str] = {LABEL_MANAGED_BY: FIELD_MANAGER}


def cluster_labels(cluster: str) -> dict[str, str]:
    """Labels of every object that belongs to a cluster."""
    return {
        LABEL_NAME: "qdrant",
        LABEL_INSTANCE: cluster,
        LABEL_MANAGED_BY: FIELD_MANAGER,
        LABEL_CLUSTER: cluster,
    }


def peer_selector(cluster: str) -> dict[str, str]:
    """Labels that select a cluster's peers (immutable in a StatefulSet)."""
    return {LABEL_NAME: "qdrant", LABEL_INSTANCE: cluster, LABEL_COMPONENT: "peer"}


def snapshot_selector(cluster: str) -> dict[str, str]:
    """Labels that select the pods of a cluster's snapshot Jobs."""
    return {LABEL_COMPONENT: "snapshot", LABEL_CLUSTER: cluster}


def network_policy(cluster: str) -> str:
    """NetworkPolicy of the peers. Not the cluster's name: users' own policies are often called so."""
    return f"{cluster}-peers"


def headless_service(cluster: str) -> str:
    """Service that gives each peer its DNS name."""
    return f"{cluster}-peers"


def pod_name(cluster: str, ordinal: int) -> str:
    """Name of the pod with this ordinal."""
    return f"{cluster}-{ordinal}"


def claim_of(pod: str) -> str:
    """Name of the volume claim of this pod."""
    return f"storage-{pod}"


def claim_name(cluster: str, ordinal: int) -> str:
    """Name of the volume claim of the pod with this ordinal."""
    return claim_of(pod_name(cluster, ordinal))


def cluster_of_claim(claim: str) -> str | None:
    """Cluster whose pods would take a volume claim of this name; None for other names."""
    prefix, cluster = claim_name("", 0)[: -len("-0")], claim.rpartition("-")[0]
    fits = claim.rpartition("-")[2].isdigit() and cluster.startswith(prefix) and cluster != prefix
    return cluster.removeprefix(prefix) if fits else None


def config_map(cluster: str) -> str:
    """ConfigMap with Qdrant's configuration and the start script."""
    return f"{cluster}-config"


def auth_secret(cluster: str) -> str:
    """Secret for applications: key, host, ports and URLs; holds the generated API key."""
    return f"{cluster}-auth"


def peer_host(cluster: str, namespace: str, pod: str) -> str:
    """Stable DNS name of one peer."""
    return f"{pod}.{headless_service(cluster)}.{namespace}.svc"


def rest_url(host: str) -> str:
    """URL of the REST API at a name or an address; an IPv6 address is put in brackets."""
    return f"http://{f'[{host}]' if ':' in host else host}:{REST_PORT}"


def peer_uri(cluster: str, namespace: str, pod: str) -> str:
    """URI that a peer announces to the others."""
    return f"http://{peer_host(cluster, namespace, pod)}:{P2P_PORT}"


def service_host(cluster: str, namespace: str) -> str:
    """DNS name of the client Service."""
    return f"{cluster}.{namespace}.svc"


def peer_auth_secret(cluster: str) -> str:
    """Secret from which the peers and the operator take the API key that is in force."""
    return f"{cluster}-peer-auth"
