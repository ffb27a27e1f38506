"""What the operator asked of the API server, by the server's own audit log."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from tests.integration.support.audit import OPERATOR, READS


def requests(log: Path, offset: int) -> Counter[str]:
    """The operator's requests since this offset of the log by verb; a watch counts when it ends too."""
    counted: Counter[str] = Counter()
    with log.open("rb") as lines:
        lines.seek(offset)
        for line in lines:
            if not line.endswith(b"\n"):
                break  # it is being written
            event = json.loads(line)
            if event["user"]["username"] == OPERATOR:
                counted[event["verb"]] += 1
    return counted


def writes(counted: Counter[str]) -> int:
    """Requests that change something."""
    return sum(count for verb, count in counted.items() if verb not in READS)
