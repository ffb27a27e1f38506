"""Fields that another writer changes again and again, and who that is, by the object's managedFields.

An admission webhook leaves no trace there: what it writes counts as written by the sender of the request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from qdrant_operator.domain.common.kinds import Kind, Manifest
from qdrant_operator.domain.common.names import ANNOTATION_HASH, ANNOTATION_TEMPLATE, FIELD_MANAGER
from qdrant_operator.domain.common.text import named


@dataclass(frozen=True, slots=True)
class Contested:
    """An owned object that does not stay as it is applied."""

    kind: Kind
    name: str
    fields: tuple[str, ...]
    """Paths that differ; empty when the object is deleted again and again."""
    managers: tuple[str, ...] = ()
    """Field managers that own these fields beside us; empty: none is known."""
    paused: str = field(default="", repr=False)
    """Fingerprint of the manifest that is not applied again before a pause is over; empty: no pause runs."""

    @property
    def holds_template(self) -> bool:
        """Whether pods would be made from another template than ours."""
        return self.kind is Kind.STATEFUL_SET and (
            not self.fields or any(field.endswith(ANNOTATION_TEMPLATE) for field in self.fields)
        )

    def __str__(self) -> str:
        what = f"{self.kind.kind} {self.name}"
        if not self.fields:
            return f"{what} is deleted after each time it is created: find out by whom, and stop it"
        fields = named([field for field in self.fields if not field.endswith(ANNOTATION_HASH)] or self.fields)
        if self.managers:
            return (
                f"{named(self.managers)} also writes {fields} of {what}: configure it to leave this object alone, "
                "or set the value that it writes in the QdrantCluster"
            )
        return (
            f"{fields} of {what} is changed by a writer that is no field manager of it, such as an admission webhook "
            "or a second installation of this operator: exempt the object, or set that value in the QdrantCluster"
        )


def managers_of(manifest: Manifest, fields: Iterable[str]) -> tuple[str, ...]:
    """Field managers other than ours that own one of these paths."""
    entries = manifest["metadata"].get("managedFields") or ()
    paths = tuple(fields)
    return tuple(
        sorted(
            {
                str(entry.get("manager"))
                for entry in entries
                if entry.get("manager") != FIELD_MANAGER
                and any(_owns(entry.get("fieldsV1") or {}, path) for path in paths)
            }
        )
    )


def _owns(tree: Mapping[str, Any], path: str) -> bool:
    """Whether a FieldsV1 tree contains the path: its keys are `f:<field>` and `k:<JSON of a list item's keys>`."""
    rest = path.removeprefix(".")
    if not rest or not tree:
        return True
    return any(_owns(inner, rest[length:]) for key, inner in tree.items() if (length := _matched(key, rest)))


def _matched(key: str, path: str) -> int:
    """How many characters of the path this key stands for; 0: it stands for something else."""
    kind, _, word = key.partition(":")
    if kind == "k":
        end = path.find("]") + 1
        return end if end and path.startswith("[") and f'"{path[1 : end - 1]}"' in word else 0
    follows = path[len(word) : len(word) + 1]
    return len(word) if kind == "f" and path.startswith(word) and follows in ("", ".", "[") else 0
