"""QdrantCluster: peers that form one Raft cluster, and everything Kubernetes needs to run them.

No I/O here: what is wrong with a spec by itself is said by the schema and its CEL rules; what needs the
world is decided elsewhere.
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
        "spec.version: write a Qdrant release in full, for example v1.19.0",
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
        "spec.image.repository: leave tag and digest out; the tag is spec.version",
    )
)

_SIZE = rules(
    rule(
        "quantity(string(self)).isGreaterThan(quantity('0'))",
        "spec.persistence.size: must be greater than 0, for example 10Gi",
    ),
    rule(
        quantity_order("self", "oldSelf") + " == 0",
        "spec.persistence.size: cannot be changed while the cluster exists; put the old size back, or make a "
        "QdrantCluster of another name with the size you need",
    ),
)


class Image(Model):
    """Where Qdrant's container image comes from; the tag is spec.version."""

    repository: Annotated[str, Field(min_length=1, max_length=512, json_schema_extra=_UNTAGGED)] = (
        "docker.io/qdrant/qdrant"
    )
    """Image without a tag."""
    digest: Annotated[str | None, Field(pattern="^sha256:[0-9a-f]{64}$", max_length=71)] = None
    """Pins the image, for example sha256:…; it belongs to spec.version and is changed together with it."""
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When the kubelet pulls the image."""
    pull_secrets: Annotated[tuple[LocalRef, ...], Field(max_length=16)] = ()
    """Secrets of type kubernetes.io/dockerconfigjson for a private registry."""


class Resources(Model):
    """CPU and memory of each peer."""

    model_config = ConfigDict(json_schema_extra=rules(requests_within_limits("spec.resources")))

    requests: Annotated[Mapping[str, Quantity], Field(max_length=32)] | None = None
    """What the scheduler sets aside, for example cpu: "2" and memory: 8Gi."""
    limits: Annotated[Mapping[str, Quantity], Field(max_length=32)] | None = None
    """What a peer may not exceed. Set memory here: Qdrant uses what it finds."""


class Persistence(Model):
    """The volume of each peer."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.storageClassName) == has(oldSelf.storageClassName) && "
                "(!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName)",
                "spec.persistence.storageClassName: cannot be changed while the cluster exists; put the old "
                "value back, or make a QdrantCluster of another name with the class you need; one that never formed "
                "may be deleted and applied again",
            ),
        )
    )

    size: Annotated[Quantity, Field(json_schema_extra=_SIZE)] = "10Gi"
    """Size of each peer's volume. It cannot be changed later."""
    storage_class_name: Annotated[str, Field(max_length=253)] | None = None
    """Storage class of the volumes; absent: the default class of the Kubernetes cluster."""
    when_deleted: Literal["Retain", "Delete"] = "Retain"
    """What becomes of the volumes when the QdrantCluster is deleted. Deleting its StatefulSet deletes no volume."""
    when_scaled: Literal["Retain", "Delete"] = "Delete"
    """What becomes of the volume of a peer that was drained and removed. It can never join again: a volume that
    is kept holds a later scale-out back until somebody deletes it."""


class KeySource(Model):
    """Where an API key comes from."""

    secret_ref: SecretKeyRef
    """The Secret and the key in it. An empty value is refused: Qdrant would start without a key."""


class Auth(Model):
    """Who may use the cluster."""

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
    """True: everybody who reaches the port may read and write."""


class Service(Model):
    """The Service that applications use."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    """How the Service is reachable."""
    annotations: Labels = Field(default_factory=dict)
    """Annotations of the Service, for load balancers and external DNS."""


class ClusterSpec(Model):
    """What the cluster shall be."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "self.version == oldSelf.version || !has(self.image) || !has(self.image.digest) || "
                "!has(oldSelf.image) || !has(oldSelf.image.digest) || self.image.digest != oldSelf.image.digest",
                "spec.image.digest: names the image of the old version; change it together with spec.version, or "
                "remove it",
                field=".image.digest",
            ),
        )
    )

    version: Annotated[str, Field(max_length=20, json_schema_extra=_RELEASE)]
    """Qdrant release, for example v1.19.0; v1.17 or later."""
    image: Image = Field(default_factory=Image)
    """Where Qdrant's container image comes from."""
    replicas: Annotated[int, Field(ge=1, le=100)] = 3
    """Number of peers. Three or more survive the loss of one."""
    resources: Resources = Field(default_factory=Resources)
    """CPU and memory of each peer."""
    persistence: Persistence = Field(default_factory=Persistence)
    """The volume of each peer."""
    auth: Auth = Field(default_factory=Auth)
    """Who may use the cluster."""
    config: Annotated[Mapping[str, Any], Field(max_length=64, json_schema_extra=FREE_FORM)] = Field(
        default_factory=dict
    )
    """Merged into Qdrant's own configuration, in its words, for example storage: {performance: {…}}; at most 64 KiB."""
    pod_template: PodTemplate = Field(default_factory=PodTemplate)
    """What is added to the peers' pods."""
    service: Service = Field(default_factory=Service)
    """The Service that applications use."""
    network_policy: NetworkPolicy = Field(default_factory=NetworkPolicy)
    """Who may reach the peers, where the network plugin enforces NetworkPolicies."""
    shards: Shards = Field(default_factory=Shards)
    """How replicas are placed and moved."""
    paused: bool = False
    """True: observe and report, change nothing."""
