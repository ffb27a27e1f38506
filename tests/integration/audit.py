"""The API server's audit log: who wrote what."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

READS = ("get", "list", "watch")
OPERATOR = "system:serviceaccount:qdrant-operator:qdrant-operator"


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


def operator_requests(log: Path) -> Iterator[Request]:
    """Everything that the operator asked for, in any namespace; not what tests ask with kubectl in its name."""
    with log.open("rb") as lines:
        for line in lines:
            event = json.loads(line)
            about = event.get("objectRef")
            by_hand = event.get("userAgent", "").startswith("kubectl")
            if about and event["user"]["username"] == OPERATOR and not by_hand:
                yield _request(event, about)


def refused(log: Path) -> list[Request]:
    """Requests of the operator that its RBAC rules did not allow."""
    return [one for one in operator_requests(log) if one.forbidden]


def _request(event: dict[str, Any], about: dict[str, Any]) -> Request:
    resource = "/".join(filter(None, (about.get("resource"), about.get("subresource"))))
    decision = (event.get("annotations") or {}).get("authorization.k8s.io/decision")
    return Request(
        about.get("apiGroup", ""), resource, event["verb"], decision == "forbid", event["requestURI"]
    )


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
    with log.open("rb") as lines:
        lines.seek(offset)
        for line in lines:
            event = json.loads(line)
            about = event.get("objectRef") or {}
            mine = event["user"]["username"] == OPERATOR and about.get("namespace") == namespace
            if mine and event["verb"] not in READS and about.get("resource") != "leases":
                yield event
