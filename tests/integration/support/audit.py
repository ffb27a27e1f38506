"""The API server's audit log: who asked for what, and who wrote what."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from qdrant_operator.api.rbac import EVERYWHERE, GROUP, WORK, lease_rules

READS = ("get", "list", "watch")
OPERATOR = "system:serviceaccount:qdrant-operator:qdrant-operator"


Right = tuple[str, str, str]
"""Group, resource (with its subresource) and verb, as an RBAC rule names them."""
UNSEEN: Mapping[Right, str] = {
    right: why
    for kind in ("qdrantclusters", "qdrantcollections", "qdrantsnapshots", "qdrantsnapshotschedules")
    for right, why in {
        (GROUP, f"{kind}/finalizers", "update"): "asked for by an admission plugin, in no request of its own",
        (GROUP, kind, "get"): "sent when a status is written and somebody else wrote in the same moment",
    }.items()
} | {
    ("", "persistentvolumeclaims", "get"): "sent when a claim changes in the moment in which it is deleted",
}
"""Rights that a run need not use, and why they are granted."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request of the operator, in the words of an RBAC rule."""

    group: str
    resource: str
    """With its subresource, as a rule names it."""
    verb: str
    forbidden: bool
    """RBAC did not allow it; a namespace that is being deleted refuses in another way."""
    uri: str
    created: bool = False
    """It made the object: a patch then needed the right to create, too."""

    @property
    def rights(self) -> Iterator[Right]:
        """What RBAC was asked for."""
        yield self.group, self.resource, self.verb
        if self.created:
            yield self.group, self.resource, "create"


def events(log: Path, offset: int = 0) -> Iterator[dict[str, Any]]:
    """Every event of the log from this offset on; a line that is being written is left out."""
    with log.open("rb") as lines:
        lines.seek(offset)
        for line in lines:
            if line.endswith(b"\n"):
                yield json.loads(line)


def operator_requests(log: Path) -> Iterator[Request]:
    """Everything that the operator asked for, in any namespace; not what tests ask with kubectl in its name."""
    for event in events(log):
        about = event.get("objectRef")
        by_hand = event.get("userAgent", "").startswith("kubectl")
        if about and event["user"].get("username") == OPERATOR and not by_hand:
            yield _request(event, about)


def granted(lease: str) -> set[Right]:
    """Every single right of an operator that serves all namespaces and holds this Lease."""
    rules = (*WORK, *EVERYWHERE, *lease_rules(lease))
    return {(rule.group, one, verb) for rule in rules for one in rule.resources for verb in rule.verbs}


def used(log: Path) -> set[Right]:
    """Every right that the operator made use of."""
    return {right for one in operator_requests(log) if not one.forbidden for right in one.rights}


def refused(log: Path) -> list[Request]:
    """Requests of the operator that its RBAC rules did not allow."""
    return [one for one in operator_requests(log) if one.forbidden]


def _request(event: dict[str, Any], about: dict[str, Any]) -> Request:
    resource = "/".join(filter(None, (about.get("resource"), about.get("subresource"))))
    decision = (event.get("annotations") or {}).get("authorization.k8s.io/decision")
    created = (event.get("responseStatus") or {}).get("code") == 201
    group, verb = about.get("apiGroup", ""), event["verb"]
    return Request(group, resource, verb, decision == "forbid", event["requestURI"], created)


def operator_writes(log: Path, namespace: str, offset: int = 0) -> list[str]:
    """Writes by the operator in one namespace since this offset of the log, Leases aside."""
    return [f"{e['verb']} {e['requestURI']}" for e in _writes(log, namespace, offset)]


def recent_operator_writes(log: Path, namespace: str, seconds: float) -> list[str]:
    """Writes by the operator in one namespace within the last seconds."""
    since = datetime.now(UTC) - timedelta(seconds=seconds)
    return [
        f"{event['verb']} {event['requestURI']}"
        for event in _writes(log, namespace, 0)
        if datetime.fromisoformat(event["requestReceivedTimestamp"]) > since
    ]


def _writes(log: Path, namespace: str, offset: int) -> Iterator[dict[str, Any]]:
    for event in events(log, offset):
        about = event.get("objectRef") or {}
        mine = event["user"].get("username") == OPERATOR and about.get("namespace") == namespace
        if mine and event["verb"] not in READS and about.get("resource") != "leases":
            yield event
