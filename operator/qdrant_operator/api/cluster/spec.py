"""QdrantCluster: peers that form one Raft cluster, and everything Kubernetes needs to run them.

No I/O here. The schema and its CEL rules check what the spec alone determines; all other checks are in `domain`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from qdrant_operator.api.base import (
    FREE_FORM,
    Labels,
    LocalRef,
    Model,
    Quantity,
    SecretKeyRef,
    quantity_order,
    requests_within_limits,
    rule,
    rules,
)
from qdrant_operator.api.cluster.network import NetworkPolicy
from qdrant_operator.api.cluster.pods import PodTemplate
from qdrant_operator.api.cluster.shards import Shards

_RELEASE = rules(
    rule(
        "self.matches('^v[0-9]{1,4}[.][0-9]{1,4}[.][0-9]{1,4}$')",
        "spec.version: not a full Qdrant release; set one, for example v1.19.0",
    ),
    rule(
        "!self.matches('^v[0-9]{1,4}[.][0-9]{1,4}[.][0-9]{1,4}$') || "
        "int(self.substring(1).split('.')[0]) > 1 || "
        "(int(self.substring(1).split('.')[0]) == 1 && int(self.split('.')[1]) >= 17)",
        "spec.version: releases before v1.17.0 are not supported; use v1.17.0 or later",
    ),
)
_UNTAGGED = rules(
    rule(
        "!self.contains('@') && !self.matches(':[^/]*$')",
        "spec.image.repository: has a tag or a digest; remove it, the tag is spec.version",
    )
)

_SIZE = rules(
    rule(
        "quantity(string(self)).isGreaterThan(quantity('0'))",
        "spec.persistence.size: must be greater than 0, for example 10Gi",
    ),
    rule(
        quantity_order("self", "oldSelf") + " == 0",
        "spec.persistence.size: cannot be changed while the cluster exists; restore the old size, or create a "
        "QdrantCluster of another name with the size you need",
    ),
)


class Image(Model):
    """Container image of Qdrant; the tag is spec.version."""

    repository: Annotated[str, Field(min_length=1, max_length=512, json_schema_extra=_UNTAGGED)] = (
        "docker.io/qdrant/qdrant"
    )
    """Image without a tag."""
    digest: Annotated[str | None, Field(pattern="^sha256:[0-9a-f]{64}$", max_length=71)] = None
    """Digest that pins the image, for example sha256:…; change it together with spec.version."""
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When the kubelet pulls the image."""
    pull_secrets: Annotated[tuple[LocalRef, ...], Field(max_length=16)] = ()
    """Secrets of type kubernetes.io/dockerconfigjson for a private registry."""


class Resources(Model):
    """CPU and memory of each peer."""

    model_config = ConfigDict(json_schema_extra=rules(requests_within_limits("spec.resources")))

    requests: Annotated[Mapping[str, Quantity], Field(max_length=32)] | None = None
    """Resources that the scheduler reserves, for example cpu: "2" and memory: 8Gi."""
    limits: Annotated[Mapping[str, Quantity], Field(max_length=32)] | None = None
    """Resources that a peer must not exceed. Set memory: Qdrant uses all memory that is available to it."""


class Persistence(Model):
    """The volume of each peer."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.storageClassName) == has(oldSelf.storageClassName) && "
                "(!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)",
                "spec.persistence.storageClassName: cannot be changed while the cluster exists; restore the "
                "old value, or create a QdrantCluster of another name with the class you need; a cluster that never "
                "formed may be deleted and applied again",
            ),
        )
    )

    size: Annotated[Quantity, Field(json_schema_extra=_SIZE)] = "10Gi"
    """Size of each peer's volume. It cannot be changed later."""
    storage_class_name: Annotated[str, Field(max_length=253)] | None = None
    """Storage class of the volumes; absent: the default class of the Kubernetes cluster."""
    when_deleted: Literal["Retain", "Delete"] = "Retain"
    """Whether the volumes are deleted with the QdrantCluster. Deleting the StatefulSet deletes no volume."""
    when_scaled: Literal["Retain", "Delete"] = "Delete"
    """Whether the volume of a peer is deleted after a scale-in has removed the peer. A removed peer can never join
    again: a retained volume blocks a later scale-out until its claim is deleted."""


class KeySource(Model):
    """Source of an API key."""

    secret_ref: SecretKeyRef
    """The Secret and the key in it. An empty value is refused: Qdrant would start without a key."""


class Auth(Model):
    """API keys of the cluster."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!self.disabled || (!has(self.apiKey) && !has(self.readOnlyApiKey))",
                "spec.auth.disabled: excludes apiKey and readOnlyApiKey; remove the keys, or set disabled to "
                "false to use them",
            ),
        )
    )

    api_key: KeySource | None = None
    """Key that may read and write. Absent: one is generated into the Secret <name>-auth."""
    read_only_api_key: KeySource | None = None
    """Key that may only read. Absent: there is none."""
    disabled: bool = False
    """True: every client that reaches the port may read and write."""


class Service(Model):
    """The Service that applications use."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    """How the Service is reachable."""
    annotations: Labels = Field(default_factory=dict)
    """Annotations of the Service, for load balancers and external DNS."""


class ClusterSpec(Model):
    """Desired state of the cluster."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "self.version == oldSelf.version || !has(self.image) || !has(self.image.digest) || "
                "!has(oldSelf.image) || !has(oldSelf.image.digest) || self.image.digest != oldSelf.image.digest",
                "spec.image.digest: is the image of the old version; change it together with spec.version, or "
                "remove it",
                field=".image.digest",
            ),
        )
    )

    version: Annotated[str, Field(max_length=20, json_schema_extra=_RELEASE)]
    """Qdrant release, for example v1.19.0; v1.17 or later."""
    image: Image = Field(default_factory=Image)
    """Container image of Qdrant."""
    replicas: Annotated[int, Field(ge=1, le=100)] = 3
    """Number of peers. Three or more survive the loss of one."""
    resources: Resources = Field(default_factory=Resources)
    """CPU and memory of each peer."""
    persistence: Persistence = Field(default_factory=Persistence)
    """The volume of each peer."""
    auth: Auth = Field(default_factory=Auth)
    """API keys of the cluster."""
    config: Annotated[Mapping[str, Any], Field(max_length=64, json_schema_extra=FREE_FORM)] = Field(
        default_factory=dict
    )
    """Merged over Qdrant's configuration, with Qdrant's own keys, for example storage: {performance: {…}}; at most
    64 KiB."""
    pod_template: PodTemplate = Field(default_factory=PodTemplate)
    """Additions to the template of the peers' pods."""
    service: Service = Field(default_factory=Service)
    """The Service that applications use."""
    network_policy: NetworkPolicy = Field(default_factory=NetworkPolicy)
    """Which clients reach the peers, if the network plugin enforces NetworkPolicies."""
    shards: Shards = Field(default_factory=Shards)
    """Placement and transfers of replicas."""
    paused: bool = False
    """True: the operator observes and reports, and changes nothing."""
