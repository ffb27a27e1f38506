"""Text that both commands print: sizes, tables, plans. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from qdrant_operator.domain.cluster.steps import ClusterPlan, Step
from qdrant_operator.domain.common.plan import Blocked

BOLD, DIM, RED, GREEN, YELLOW = "1", "2", "31", "32", "33"


class Ink:
    """Colours on a terminal, plain text elsewhere."""

    def __init__(self, *, on: bool) -> None:
        """Colour only where `on`."""
        self._on = on

    def __call__(self, text: str, code: str) -> str:
        """The text in this colour (an ANSI code)."""
        return f"\033[{code}m{text}\033[0m" if self._on and text.strip() else text


def size(count: int) -> str:
    """A number of bytes for readers: 1.2 GiB."""
    if count < 1024:
        return f"{count} B"
    amount, units = count / 1024, iter(("KiB", "MiB", "GiB", "TiB", "PiB"))
    unit = next(units)
    while amount >= 1023.95:
        amount, unit = amount / 1024, next(units)
    return f"{amount:.1f} {unit}"


def table(rows: Sequence[Sequence[str]], right: frozenset[int] = frozenset()) -> list[str]:
    """Rows of one length as lines; the columns named in `right` are aligned right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def bytes_of(step: Step) -> int | None:
    """Bytes that a step copies; None for a step that copies nothing."""
    copied: int | None = getattr(step, "bytes", None)
    return copied


def plan_lines(plan: ClusterPlan, ink: Ink, *, nothing: str) -> Iterator[str]:
    """The steps to take now, and the blocked ones with their guard and reason."""
    yield ink("NOW", BOLD)
    yield from step_lines(plan.steps) if plan.steps else [f"  {nothing}"]
    if not plan.blocked:
        return
    yield ""
    yield ink("BLOCKED", BOLD)
    for blocked in plan.blocked:
        yield f"  {blocked.step}"
        yield f"     {ink(blocked.guard.value, YELLOW)}: {blocked.message}"


def step_lines(steps: Sequence[Step]) -> Iterator[str]:
    """Numbered steps, with the size that they copy."""
    rows = [(f"{number}.", str(step), _copied(step)) for number, step in enumerate(steps, 1)]
    yield from (f"  {line}" for line in table(rows, right=frozenset({0, 2})))


def _copied(step: Step) -> str:
    copied = bytes_of(step)
    return "" if copied is None else size(copied)


def total(steps: Iterable[Step]) -> str:
    """Number of transfers, and the size that they copy."""
    copied = [found for step in steps if (found := bytes_of(step)) is not None]
    return f"{len(copied)} transfers, {size(sum(copied))}"


def plan_document(plan: ClusterPlan) -> dict[str, Any]:
    """A plan as JSON: texts for readers, numbers for programs."""
    return {
        "steps": [step_document(step) for step in plan.steps],
        "blocked": [_blocked_document(blocked) for blocked in plan.blocked],
    }


def _blocked_document(blocked: Blocked) -> dict[str, str]:
    return {"step": blocked.step, "guard": blocked.guard.value, "message": blocked.message}


def step_document(step: Step) -> dict[str, Any]:
    """One step."""
    copied = bytes_of(step)
    return {"step": type(step).__name__, "text": str(step)} | ({} if copied is None else {"bytes": copied})
