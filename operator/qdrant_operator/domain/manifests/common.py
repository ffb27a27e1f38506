"""Parts that every owned object shares."""

from __future__ import annotations

from qdrant_operator.domain.cluster.wanted.desired import DesiredCluster
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.kinds import Kind, Manifest


def owned(kind: Kind, cluster: DesiredCluster, name: str, **fields: object) -> Manifest:
    """An object of the cluster: named, labelled, and removed by Kubernetes when the QdrantCluster goes."""
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {
            "name": name,
            "namespace": cluster.namespace,
            "labels": names.cluster_labels(cluster.name),
            "ownerReferences": [owner_reference(Kind.CLUSTER, cluster.name, cluster.uid)],
        },
        **fields,
    }


def owner_reference(kind: Kind, name: str, uid: str) -> Manifest:
    """Reference of a child to the object that controls it."""
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "name": name,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
