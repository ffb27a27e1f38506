"""Base of all models: serialization, references, conditions, and helpers for CEL rules.

No I/O, and no imports from other layers. A model describes valid input; it contains no decisions.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel

DNS_NAME = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
"""Names of Kubernetes objects (RFC 1123 subdomain, roughly: the API server knows the rest)."""
QUANTITY = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|"
    r"([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)
"""Kubernetes' own pattern for quantities such as 100m or 8Gi."""


class Model(BaseModel):
    """Frozen; camelCase in manifests, snake_case in Python. Unknown fields of a newer release are ignored."""

    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
        extra="ignore",
        use_attribute_docstrings=True,
    )

    def manifest(self) -> dict[str, Any]:
        """The model as in a manifest: camelCase JSON without absent fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    @classmethod
    def fields(cls) -> frozenset[str]:
        """Names of the fields that this release knows, as in a manifest."""
        return frozenset(field.alias or name for name, field in cls.model_fields.items())

    def words(self) -> dict[str, Any]:
        """The model as in Qdrant's REST API: snake_case JSON without absent fields."""
        return self.model_dump(mode="json", exclude_none=True)


def rule(cel: str, message: str, *, field: str | None = None) -> dict[str, str]:
    """One CEL rule; `message` has field and remedy, `field` (for example `.name`) is the path that kubectl shows."""
    where = {} if field is None else {"fieldPath": field}
    return {"rule": cel, "message": message, **where}


def rules(*several: Mapping[str, str]) -> dict[str, Any]:
    """CEL rules in the form that `json_schema_extra` requires."""
    return {"x-kubernetes-validations": [dict(one) for one in several]}


def list_map(*keys: str) -> dict[str, Any]:
    """Schema keywords for a list whose items are identified by these fields."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


def quantity_order(left: str, right: str) -> str:
    """CEL expression that compares two quantities: negative, 0 or positive."""
    return f"quantity(string({left})).compareTo(quantity(string({right})))"


def requests_within_limits(field: str) -> dict[str, str]:
    """The rule of a model with `requests` and `limits` at the path `field`."""
    return rule(
        "!has(self.requests) || !has(self.limits) || self.requests.all(name, !(name in self.limits) || "
        + quantity_order("self.requests[name]", "self.limits[name]")
        + " <= 0)",
        f"{field}: a request is larger than its limit; raise {field}.limits or lower {field}.requests",
    )


LIST_SET: dict[str, Any] = {"x-kubernetes-list-type": "set"}
"""Schema keywords for a list without duplicates."""
FREE_FORM: dict[str, Any] = {"x-kubernetes-preserve-unknown-fields": True}
"""Schema keywords for an object whose fields Kubernetes or Qdrant defines."""

Quantity = Annotated[
    int | str,
    Field(json_schema_extra={"x-kubernetes-int-or-string": True, "pattern": QUANTITY, "maxLength": 32}),
]
"""A Kubernetes quantity: 2, 500m, 8Gi."""
ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=DNS_NAME)]
"""Name of another Kubernetes object."""
Time = Annotated[
    datetime,
    PlainSerializer(
        lambda time: time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), return_type=str, when_used="json"
    ),
]
"""A point in time, written as Kubernetes writes it: RFC 3339, UTC, to the second."""
Labels = Annotated[Mapping[str, str], Field(max_length=64)]
"""Labels or annotations."""


class LocalRef(Model):
    """An object in the same namespace."""

    name: ObjectName
    """Name of the object."""


class SecretKeyRef(Model):
    """One key of a Secret in the same namespace."""

    name: ObjectName
    """Name of the Secret."""
    key: Annotated[str, Field(min_length=1, max_length=253)] = "api-key"
    """Key in the Secret's data."""


class Condition(Model):
    """One aspect of the object's current state."""

    type: Annotated[str, Field(max_length=316)]
    """Type of the condition, in CamelCase."""
    status: Literal["True", "False", "Unknown"]
    """True, False or Unknown."""
    reason: Annotated[str, Field(min_length=1, max_length=1024)]
    """Reason for the status, as one CamelCase word from a fixed set."""
    message: Annotated[str, Field(max_length=32768)] = ""
    """Details for the user: what was observed, for which object, and what to do."""
    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """The metadata.generation that the condition is based on."""
    last_transition_time: Time | None = None
    """When the status last changed."""


class Blocked(Model):
    """A step that a guard blocks."""

    step: str
    """The blocked step."""
    guard: str
    """The guard that blocks the step, as one CamelCase word."""
    message: str = ""
    """What the guard observed, and what must change before the step is taken."""


Conditions = Annotated[tuple[Condition, ...], Field(json_schema_extra=list_map("type"))]
"""Conditions, one of each type."""


class OperatorRecord(Model):
    """The installation of the operator that acts on the object."""

    name: str
    """Namespace and name of the installation's Lease."""
    renewed_at: Time
    """Time of the last renewal. Another installation takes over a record that was not renewed for 15 minutes."""
    rival: str | None = None
    """Another installation that watches the object and does not act on it."""
    rival_seen_at: Time | None = None
    """When the other installation last observed the object."""


class Status(Model):
    """Status fields of all kinds."""

    operator: OperatorRecord | None = None
    """The installation of the operator that acts on the object. A second installation does nothing."""

    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """The metadata.generation that this status is based on."""
    conditions: Conditions = ()
    """Current state of the object."""

    def facts(self) -> dict[str, Any]:
        """The fields that were set and are not absent, as in a manifest."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)
