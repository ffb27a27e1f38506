"""QdrantCluster: peers that form one Raft cluster, and everything Kubernetes needs to run them.

No I/O here: what is wrong with a spec by itself is said by the schema and its CEL rules; what needs the
world is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from qdrant_operator.api.base import FREE_FORM, Labels, LocalRef, Model, Quantity, SecretKeyRef
from qdrant_operator.api.pods import PodTemplate


class Image(Model):
    """Where Qdrant's container image comes from; the tag is spec.version."""

    repository: Annotated[str, Field(min_length=1, max_length=512)] = "docker.io/qdrant/qdrant"
    """Image without a tag."""
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When the kubelet pulls the image."""
    pull_secrets: Annotated[tuple[LocalRef, ...], Field(max_length=16)] = ()
    """Secrets of type kubernetes.io/dockerconfigjson for a private registry."""


class Resources(Model):
    """CPU and memory of each peer."""

    requests: Annotated[Mapping[str, Quantity], Field(max_length=32)] | None = None
    """What the scheduler sets aside, for example cpu: "2" and memory: 8Gi."""
    limits: Annotated[Mapping[str, Quantity], Field(max_length=32)] | None = None
    """What a peer may not exceed. Set memory here: Qdrant uses what it finds."""


class Persistence(Model):
    """The volume of each peer."""

    size: Quantity = "10Gi"
    """Size of each peer's volume. It cannot be changed later."""
    storage_class_name: Annotated[str, Field(max_length=253)] | None = None
    """Storage class of the volumes; absent: the default class of the Kubernetes cluster."""
    when_deleted: Literal["Retain", "Delete"] = "Retain"
    """What becomes of the volumes when the QdrantCluster is deleted."""


class KeySource(Model):
    """Where an API key comes from."""

    secret_ref: SecretKeyRef
    """The Secret and the key in it. An empty value is refused: Qdrant would start without a key."""


class Auth(Model):
    """Who may use the cluster."""

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

    version: Annotated[str, Field(max_length=20, pattern=r"^v[0-9]{1,4}\.[0-9]{1,4}\.[0-9]{1,4}$")]
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
    config: Annotated[Mapping[str, Any], Field(json_schema_extra=FREE_FORM)] = Field(default_factory=dict)
    """Merged into Qdrant's own configuration, in its words, for example storage: {performance: {…}}."""
    pod_template: PodTemplate = Field(default_factory=PodTemplate)
    """What is added to the peers' pods."""
    service: Service = Field(default_factory=Service)
    """The Service that applications use."""
    paused: bool = False
    """True: observe and report, change nothing."""
