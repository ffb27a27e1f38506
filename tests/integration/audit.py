"""The API server's audit log: who wrote what."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

READS = ("get", "list", "watch")
OPERATOR = "system:serviceaccount:qdrant-operator:qdrant-operator"


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
