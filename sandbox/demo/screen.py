"""The demo's one screen: the parts it got, the steps it takes, the objects as they are.

On a terminal it is redrawn in place; elsewhere (a build server's log) each finished step is one line.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.padding import Padding
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from sandbox.demo.objects import Seen

_GOOD = ("Ready", "Running", "Verified", "Complete", "Succeeded")


@dataclass(slots=True)
class Step:
    """One step of the story."""

    title: str
    began: float = 0.0
    took: float | None = None
    detail: str = ""
    failed: bool = False
    spinner: Spinner = field(default_factory=lambda: Spinner("dots"))


class Screen:
    """What the reader sees."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self._parts: list[str] = []
        self._steps: list[Step] = []
        self._objects: list[Seen] = []
        self._lock = threading.Lock()
        self._live = Live(
            get_renderable=self._render, console=self._console, refresh_per_second=6, transient=False
        )
        self._redrawn = self._console.is_terminal

    def __enter__(self) -> Self:
        if self._redrawn:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._redrawn:
            self._live.stop()

    def part(self, text: str) -> None:
        """Say which part was got, and why it is this one."""
        self._parts.append(text)
        if not self._redrawn:
            self._print(f"  {text}")

    def show(self, objects: list[Seen]) -> None:
        """Show the objects as they are."""
        self._objects = objects

    def progress(self, what: str, done: float | None) -> None:
        """Show how far the current step is."""
        self.detail(what if done is None else f"{what} {done:.0%}")

    def detail(self, text: str) -> None:
        """Say more about the current step."""
        if self._steps:
            self._steps[-1].detail = text

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Show a step while it is taken, and how long it took."""
        step = Step(title, time.monotonic())
        self._steps.append(step)
        try:
            yield
        except BaseException:
            step.failed = True
            raise
        finally:
            step.took = time.monotonic() - step.began
            if not self._redrawn:
                sign = "failed" if step.failed else "ok"
                self._print(f"{sign:>6} {step.took:5.1f} s  {title}  {step.detail}")

    def say(self, text: str) -> None:
        """Print below the screen."""
        self._print(text)

    def _print(self, text: str) -> None:
        with self._lock:
            self._console.print(text, markup=False, soft_wrap=True)

    def _render(self) -> RenderableType:
        parts = [Text(part, style="dim", overflow="ellipsis", no_wrap=True) for part in self._parts]
        return Group(
            Text("Qdrant operator: three manifests become a running, backed-up cluster", style="bold"),
            *(Padding(part, (0, 2)) for part in parts),
            self._step_table(),
            self._object_table() if self._objects else Text(""),
        )

    def _step_table(self) -> Table:
        table = Table.grid(padding=(0, 1))
        table.add_column(width=2)
        table.add_column(justify="right", width=7)
        table.add_column(no_wrap=True)
        table.add_column(style="dim", overflow="ellipsis", no_wrap=True)
        for step in self._steps:
            sign: RenderableType = step.spinner
            if step.took is not None:
                sign = Text("✗", style="red") if step.failed else Text("✓", style="green")
            seconds = time.monotonic() - step.began if step.took is None else step.took
            table.add_row(sign, f"{seconds:.1f} s", escape(step.title), escape(step.detail))
        return table

    def _object_table(self) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
        for title in ("KIND", "NAME", "STATUS", ""):
            table.add_column(title, no_wrap=True, overflow="ellipsis")
        for one in self._objects:
            status, facts = describe(one)
            style = "green" if status in _GOOD else "yellow"
            table.add_row(one.kind, one.name, Text(status, style=style), escape(facts))
        return table


def describe(one: Seen) -> tuple[str, str]:
    """One object in a word, and in what counts of it."""
    if one.kind == "Pod":
        return _describe_pod(one)
    status = one.status
    facts = {
        "QdrantCluster": f"{status.get('peersReady', '')} peers, {status.get('shardsSound', '')} shards sound",
        "QdrantCollection": f"{status.get('points', 0)} points, {status.get('shardsSound', '')} shards sound",
        "QdrantSnapshotSchedule": f"next {status.get('nextScheduleTime', '')}",
        "QdrantSnapshot": status.get("progress") or status.get("message") or "",
    }[one.kind]
    if one.kind == "QdrantSnapshotSchedule":
        return ("Ready" if one.is_true("Ready") else "Pending"), facts
    return str(status.get("phase") or "Pending"), facts


def _describe_pod(one: Seen) -> tuple[str, str]:
    restarts = sum(item["restartCount"] for item in one.status.get("containerStatuses") or ())
    facts = str(one.status.get("podIP", "")) + (f", {restarts} restarts" if restarts else "")
    phase = str(one.status.get("phase") or "Pending")
    return ("NotReady" if phase == "Running" and not one.is_true("Ready") else phase), facts
