"""`status` and `plan`: inspect, render, print. The exit code is 0, or 2 with one sentence on standard error."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from qdrant_operator.commands import recording
from qdrant_operator.commands.forecast import Forecast, forecast
from qdrant_operator.commands.inspect import Inspection, live, replayed
from qdrant_operator.commands.live import Target
from qdrant_operator.commands.render import Overview, render
from qdrant_operator.commands.text import Ink, plan_document, plan_lines, step_document, step_lines, total
from qdrant_operator.commands.what_if import NOTHING, WhatIf, parse
from qdrant_operator.domain.cluster.conditions import conditions
from qdrant_operator.domain.cluster.status import facts as status_facts
from qdrant_operator.domain.common.errors import Refused, Retryable

WIDTH = 110
"""Columns of output that does not go to a terminal."""
SHOWN = 40
"""Most steps of the forecast that the text lists; JSON has all of them."""

ToText = Callable[[Inspection, WhatIf], str]
"""Renders what a command found."""


def status(options: argparse.Namespace) -> int:
    """Print peers and shards."""
    return _print(options, NOTHING, _status_text)


def plan(options: argparse.Namespace) -> int:
    """Print the steps that the loop would take now, and the blocked ones with their reasons."""
    try:
        what_if = parse(options.what_if)
    except Refused as error:
        return fail(error.message)
    return _print(options, what_if, _plan_json if options.output == "json" else _plan_text)


def fail(sentence: str) -> int:
    """Print an error; returns the exit code."""
    print(f"qdrant-operator: {sentence}", file=sys.stderr)
    return 2


def _print(options: argparse.Namespace, what_if: WhatIf, to_text: ToText) -> int:
    try:
        print(to_text(_inspected(options, what_if), what_if), end="")
    except Refused as error:
        return fail(f"{error.reason}: {error.message}")
    except (Retryable, OSError) as error:
        return fail(str(error))
    return 0


def _inspected(options: argparse.Namespace, what_if: WhatIf) -> Inspection:
    if options.recorded is not None:
        taken = recording.load(options.recorded.read_text(), str(options.recorded))
        return asyncio.run(replayed(taken, what_if))
    target = Target(
        options.name, options.namespace, options.kubeconfig, options.context, options.peers_through
    )
    found, text = asyncio.run(live(target, what_if, datetime.now(UTC), record=options.record is not None))
    if options.record is not None:
        options.record.write_text(text)
    return found


def _status_text(found: Inspection, _what_if: WhatIf) -> str:
    tty = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if tty else WIDTH
    return render(overview(found), width=width, ink=_ink())


def overview(found: Inspection) -> Overview:
    """What `status` shows of an inspection."""
    desired = found.decision.desired
    return Overview(
        namespace=desired.namespace,
        name=desired.name,
        facts=status_facts(found.decision).facts(),
        conditions=conditions(found.decision),
        layout=found.layout,
        plan=found.plan,
        notes=tuple(_notes(found)),
    )


def _notes(found: Inspection) -> list[str]:
    notes = []
    generation = found.subject["metadata"].get("generation")
    reconciled = (found.subject.get("status") or {}).get("observedGeneration")
    if generation != reconciled:
        notes.append(
            "The operator has not reconciled the latest change yet"
            f" (generation {generation}, status.observedGeneration {reconciled})."
        )
    if found.decision.desired.spec.paused:
        notes.append("spec.paused is true: the operator changes nothing.")
    return notes


def _ink() -> Ink:
    return Ink(on=sys.stdout.isatty() and not os.environ.get("NO_COLOR"))


def _plan_text(found: Inspection, what_if: WhatIf) -> str:
    desired, ink = found.decision.desired, _ink()
    changes = f"  if {', '.join(what_if.given)}" if what_if.given else ""
    lines = [f"QdrantCluster {desired.namespace}/{desired.name}{changes}", *_notes(found), ""]
    lines += plan_lines(found.plan, ink, nothing="nothing")
    later = forecast(found)
    if later.steps:
        shown = later.steps[:SHOWN]
        lines += ["", f"{later.when} ({total(later.steps)})", *step_lines(shown)]
        lines += [f"  and {len(later.steps) - SHOWN} more"] if len(later.steps) > SHOWN else []
    return "\n".join(lines) + "\n"


def _plan_json(found: Inspection, what_if: WhatIf) -> str:
    desired, later = found.decision.desired, forecast(found)
    document = {
        "namespace": desired.namespace,
        "cluster": desired.name,
        "whatIf": list(what_if.given),
        "paused": desired.spec.paused,
        **plan_document(found.plan),
        "later": _forecast_document(later),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _forecast_document(later: Forecast) -> dict[str, Any]:
    return {"when": later.when, "steps": [step_document(step) for step in later.steps]}
