"""The part of a pod template that users may set: scheduling, identity and environment of the peers' pods.

No I/O here. Fields have the names and meanings of Kubernetes' API.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from qdrant_operator.api.base import FREE_FORM, Labels, Model, list_map, rule, rules

_OWN_LABELS = rules(
    rule(
        "self.all(key, !key.startsWith('qdrantoperator.dev/') && !(key in ['app.kubernetes.io/name', "
        "'app.kubernetes.io/instance', 'app.kubernetes.io/component', 'app.kubernetes.io/managed-by']))",
        "spec.podTemplate.metadata.labels: app.kubernetes.io/name, instance, component and managed-by and all "
        "of qdrantoperator.dev/ belong to the operator; choose other labels",
    )
)


class Toleration(Model):
    """Allows pods on nodes with a matching taint."""

    key: Annotated[str, Field(max_length=316)] | None = None
    """Taint key; absent with operator Exists: every taint."""
    operator: Literal["Exists", "Equal"] | None = None
    """How the value is compared; absent: Equal."""
    value: Annotated[str, Field(max_length=63)] | None = None
    """Taint value."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Taint effect; absent: every effect."""
    toleration_seconds: int | None = None
    """How long a NoExecute taint is tolerated, in seconds; absent: without a limit."""


class SelectorRequirement(Model):
    """One requirement on a label."""

    key: Annotated[str, Field(max_length=316)]
    """Label key."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """How the label is compared with the values."""
    values: Annotated[tuple[str, ...], Field(max_length=64)] | None = None
    """Values for In and NotIn."""


class LabelSelector(Model):
    """Selects pods by their labels."""

    match_labels: Labels | None = None
    """Labels that must all match."""
    match_expressions: Annotated[tuple[SelectorRequirement, ...], Field(max_length=16)] | None = None
    """Requirements that must all match."""


class TopologySpread(Model):
    """Spreads pods across zones or nodes."""

    max_skew: Annotated[int, Field(ge=1)]
    """Largest difference in pods between two domains."""
    topology_key: Annotated[str, Field(max_length=316)]
    """Node label that names the domain, for example topology.kubernetes.io/zone."""
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"]
    """What to do with a pod that does not satisfy the constraint."""
    label_selector: LabelSelector | None = None
    """Pods that count; absent: the peers of this cluster."""
    match_label_keys: tuple[str, ...] | None = None
    """Labels whose values must be the same as those of the pod."""
    min_domains: Annotated[int, Field(ge=1)] | None = None
    """Minimum number of domains."""
    node_affinity_policy: Literal["Honor", "Ignore"] | None = None
    """Whether nodes outside the pod's affinity count."""
    node_taints_policy: Literal["Honor", "Ignore"] | None = None
    """Whether nodes with taints count."""


class EnvVar(Model):
    """One environment variable."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!self.name.upperAscii().startsWith('QDRANT__')",
                "spec.podTemplate.spec.env: variables that begin with QDRANT__, in any case, would override the "
                "operator's settings; put the setting into spec.config",
                field=".name",
            ),
            rule(
                "!(self.name.upperAscii() in ['POD_NAME', 'POD_IPS', 'QDRANT_PEER_URI', 'QDRANT_FIRST_POD', "
                "'QDRANT_INIT_FILE_PATH'])",
                "spec.podTemplate.spec.env: the variables of the start script belong to the operator; choose another "
                "name",
                field=".name",
            ),
        )
    )

    name: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z][-._a-zA-Z0-9]*$")]
    """Name of the variable."""
    value: Annotated[str, Field(max_length=32768)] = ""
    """Value of the variable."""


class PodMetadata(Model):
    """Labels and annotations that are added to the peers' pods."""

    labels: Annotated[Labels, Field(json_schema_extra=_OWN_LABELS)] = Field(default_factory=dict)
    """Labels that are added."""
    annotations: Labels = Field(default_factory=dict)
    """Annotations that are added."""


class PodSpec(Model):
    """Scheduling, identity and environment of the peers' pods."""

    node_selector: Labels | None = None
    """Labels that a node must have."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=64)] | None = None
    """Taints that are tolerated."""
    affinity: Annotated[Mapping[str, Any], Field(json_schema_extra=FREE_FORM)] | None = None
    """Affinity, as in any pod. Absent: peers prefer different nodes."""
    topology_spread_constraints: (
        Annotated[
            tuple[TopologySpread, ...],
            Field(max_length=16, json_schema_extra=list_map("topologyKey", "whenUnsatisfiable")),
        ]
        | None
    ) = None
    """How peers are spread across zones or nodes."""
    priority_class_name: Annotated[str, Field(max_length=253)] | None = None
    """Priority class of the pods."""
    service_account_name: Annotated[str, Field(max_length=253)] | None = None
    """An existing ServiceAccount; absent: one is created for the cluster."""
    env: Annotated[tuple[EnvVar, ...], Field(max_length=64, json_schema_extra=list_map("name"))] = ()
    """Environment variables that are added. Qdrant's settings belong in spec.config."""


class PodTemplate(Model):
    """Additions to the template of the peers' pods."""

    metadata: PodMetadata = Field(default_factory=PodMetadata)
    """Labels and annotations."""
    spec: PodSpec = Field(default_factory=PodSpec)
    """Scheduling, identity and environment."""
