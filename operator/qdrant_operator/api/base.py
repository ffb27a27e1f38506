"""What every kind is built of: the model's manners, references, conditions, and the words for CEL rules.

No I/O here and nothing from other rooms: a model says what a user may write, never what to do about it.
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
    """Frozen, camelCase outside and snake_case inside; fields that a newer version added are ignored."""

    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
        extra="ignore",
        use_attribute_docstrings=True,
    )

    def manifest(self) -> dict[str, Any]:
        """As it stands in a manifest: camelCase JSON without absent fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    @classmethod
    def fields(cls) -> frozenset[str]:
        """Names of the fields that this release knows, as they stand in a manifest."""
        return frozenset(field.alias or name for name, field in cls.model_fields.items())

    def words(self) -> dict[str, Any]:
        """As Qdrant's REST API writes it: snake_case JSON without absent fields."""
        return self.model_dump(mode="json", exclude_none=True)


def rule(cel: str, message: str, *, field: str | None = None) -> dict[str, str]:
    """One CEL rule; `message` names field and remedy, `field` (as `.name`) is where kubectl points."""
    where = {} if field is None else {"fieldPath": field}
    return {"rule": cel, "message": message, **where}


def rules(*several: Mapping[str, str]) -> dict[str, Any]:
    """CEL rules in the form that `json_schema_extra` takes."""
    return {"x-kubernetes-validations": [dict(one) for one in several]}


def list_map(*keys: str) -> dict[str, Any]:
    """Schema words for a list whose items are told apart by these fields."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


def quantity_order(left: str, right: str) -> str:
    """CEL that compares two quantities: below, at or above 0."""
    return f"quantity(string({left})).compareTo(quantity(string({right})))"


def requests_within_limits(field: str) -> dict[str, str]:
    """The rule of a model with `requests` and `limits`, which stands at `field`."""
    return rule(
        "!has(self.requests) || !has(self.limits) || self.requests.all(name, !(name in self.limits) || "
        + quantity_order("self.requests[name]", "self.limits[name]")
        + " <= 0)",
        f"{field}: a request is larger than its limit; raise {field}.limits or lower {field}.requests",
    )


LIST_SET: dict[str, Any] = {"x-kubernetes-list-type": "set"}
"""Schema words for a list in which no value stands twice."""
FREE_FORM: dict[str, Any] = {"x-kubernetes-preserve-unknown-fields": True}
"""Schema words for an object whose fields Kubernetes or Qdrant defines."""

Quantity = Annotated[
    int | str,
    Field(json_schema_extra={"x-kubernetes-int-or-string": True, "pattern": QUANTITY, "maxLength": 32}),
]
"""An amount as Kubernetes writes it: 2, 500m, 8Gi."""
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
    """What is true of the object, with a closed reason and a sentence."""

    type: Annotated[str, Field(max_length=316)]
    """What the condition is about, in CamelCase."""
    status: Literal["True", "False", "Unknown"]
    """True, False or Unknown."""
    reason: Annotated[str, Field(min_length=1, max_length=1024)]
    """Why, as one CamelCase word from a closed set."""
    message: Annotated[str, Field(max_length=32768)] = ""
    """Why, as a sentence: what was seen, where, and what to do."""
    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """The metadata.generation that this condition was decided on."""
    last_transition_time: Time | None = None
    """When the status last changed."""


class Blocked(Model):
    """A step that a guard holds back."""

    step: str
    """What would be done."""
    guard: str
    """The guard that forbids it now, as one CamelCase word."""
    message: str = ""
    """What the guard saw, and what has to change."""


Conditions = Annotated[tuple[Condition, ...], Field(json_schema_extra=list_map("type"))]
"""Conditions, one of each type."""


class OperatorRecord(Model):
    """Which installation of the operator acts on the object."""

    name: str
    """Namespace and name of the installation's Lease."""
    renewed_at: Time
    """When it renewed this record; one that stays as it is for 15 minutes is of an installation that is gone."""
    rival: str | None = None
    """Another installation that watches the object, and does nothing."""
    rival_seen_at: Time | None = None
    """When that one looked last."""


class Status(Model):
    """What every kind reports."""

    operator: OperatorRecord | None = None
    """Which installation of the operator acts on the object; a second one does nothing."""

    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """The metadata.generation that this status was made from."""
    conditions: Conditions = ()
    """What is true of the object now."""

    def facts(self) -> dict[str, Any]:
        """The fields that were set and are not absent, as they stand in a manifest."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)
