"""`status` and `plan`: see, word, print. Ends with 0, or with 2 and a sentence on standard error."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sys
from datetime import UTC, datetime
from typing import Any

from qdrant_operator.commands import recording
from qdrant_operator.commands.forecast import Forecast, forecast
from qdrant_operator.commands.inspect import Seen, live, replayed
from qdrant_operator.commands.live import Target
from qdrant_operator.commands.render import Picture, draw
from qdrant_operator.commands.text import Ink, plan_document, plan_lines, step_document, step_lines, total
from qdrant_operator.commands.what_if import NOTHING, WhatIf, parse
from qdrant_operator.domain.cluster.conditions import conditions
from qdrant_operator.domain.cluster.status import facts as status_facts
from qdrant_operator.domain.common.errors import Refused, Retryable

WIDTH = 110
"""Columns where the output is no terminal."""
SHOWN = 40
"""Steps of the forecast that are listed; JSON has them all."""


def status(options: argparse.Namespace) -> int:
    """Draw peers and shards."""
    return _told(options, NOTHING, _status_text)


def plan(options: argparse.Namespace) -> int:
    """Say what the loop would do now, and why not."""
    try:
        what_if = parse(options.what_if)
    except Refused as error:
        return complain(error.message)
    return _told(options, what_if, _plan_json if options.output == "json" else _plan_text)


def complain(sentence: str) -> int:
    """Tell of a failure; the exit code."""
    print(f"qdrant-operator: {sentence}", file=sys.stderr)
    return 2


def _told(options: argparse.Namespace, what_if: WhatIf, words: Any) -> int:
    try:
        print(words(_seen(options, what_if), what_if), end="")
    except Refused as error:
        return complain(f"{error.reason}: {error.message}")
    except (Retryable, OSError) as error:
        return complain(str(error))
    return 0


def _seen(options: argparse.Namespace, what_if: WhatIf) -> Seen:
    if options.recorded is not None:
        taken = recording.load(options.recorded.read_text(), str(options.recorded))
        return asyncio.run(replayed(taken, what_if))
    target = Target(
        options.name, options.namespace, options.kubeconfig, options.context, options.peers_through
    )
    seen, text = asyncio.run(live(target, what_if, datetime.now(UTC), record=options.record is not None))
    if options.record is not None:
        options.record.write_text(text)
    return seen


def _status_text(seen: Seen, _what_if: WhatIf) -> str:
    tty = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if tty else WIDTH
    return draw(picture(seen), width=width, ink=_ink())


def picture(seen: Seen) -> Picture:
    """What `status` draws of a look."""
    desired = seen.decision.desired
    return Picture(
        namespace=desired.namespace,
        name=desired.name,
        facts=status_facts(seen.decision).facts(),
        conditions=conditions(seen.decision),
        layout=seen.layout,
        plan=seen.plan,
        notes=tuple(_notes(seen)),
    )


def _notes(seen: Seen) -> list[str]:
    notes = []
    generation = seen.subject["metadata"].get("generation")
    told = (seen.subject.get("status") or {}).get("observedGeneration")
    if generation != told:
        notes.append(
            f"The operator has not answered the latest change yet (generation {generation}, answered: {told})."
        )
    if seen.decision.desired.spec.paused:
        notes.append("spec.paused is true: the operator only observes.")
    return notes


def _ink() -> Ink:
    return Ink(on=sys.stdout.isatty() and not os.environ.get("NO_COLOR"))


def _plan_text(seen: Seen, what_if: WhatIf) -> str:
    desired, ink = seen.decision.desired, _ink()
    changes = f"  if {', '.join(what_if.told)}" if what_if.told else ""
    lines = [f"QdrantCluster {desired.namespace}/{desired.name}{changes}", *_notes(seen), ""]
    lines += plan_lines(seen.plan, ink, nothing="nothing")
    later = forecast(seen)
    if later.steps:
        shown = later.steps[:SHOWN]
        lines += ["", f"{later.when} ({total(later.steps)})", *step_lines(shown)]
        lines += [f"  and {len(later.steps) - SHOWN} more"] if len(later.steps) > SHOWN else []
    return "\n".join(lines) + "\n"


def _plan_json(seen: Seen, what_if: WhatIf) -> str:
    desired, later = seen.decision.desired, forecast(seen)
    document = {
        "namespace": desired.namespace,
        "cluster": desired.name,
        "whatIf": list(what_if.told),
        "paused": desired.spec.paused,
        **plan_document(seen.plan),
        "later": _later(later),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _later(later: Forecast) -> dict[str, Any]:
    return {"when": later.when, "steps": [step_document(step) for step in later.steps]}
