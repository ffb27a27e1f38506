"""An example of every guard, and the page that shows them: small worlds in, entries of status.blocked out.

`python -m tests.domain.guards.examples --write` writes docs/guards.md anew.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml

from qdrant_operator.domain.cluster.planner import plan as plan_cluster
from qdrant_operator.domain.cluster.status import facts
from qdrant_operator.domain.collection import status as collection_status
from qdrant_operator.domain.collection.planner import plan as plan_collection
from qdrant_operator.domain.collection.steps import CollectionGuard
from qdrant_operator.domain.common.guards import ClusterGuard
from qdrant_operator.domain.common.plan import Plan
from tests.domain.clusters import decided
from tests.domain.guards import cluster_worlds as guard_cluster_worlds
from tests.domain.guards import collection_worlds as guard_collection_worlds
from tests.domain.guards import refusals as guard_refusals
from tests.domain.guards.cluster_worlds import ClusterWorld
from tests.domain.guards.collection_worlds import CollectionWorld

PAGE = Path(__file__).parents[3] / "docs" / "guards.md"
HEAD = """# Guards by example

A guard is why a wanted step waits. Each stands in `status.blocked` of the object with the step that it holds back
and a sentence for whoever reads it; the condition `Blocked` (of a QdrantCollection: `Synced`) says it too. Below is a
situation for each guard, and the entry that the operator writes there: peers are pods `vectors-0`, `vectors-1`, … with
ids from 100, the collection is `docs`. What to do about each is in the tables of
[troubleshooting](troubleshooting.md#qdrantcluster-guards).

This page is made by the code that it describes: `python -m tests.domain.guards.examples --write`.
"""
WIDTH = 110


@dataclass(frozen=True, slots=True)
class Example:
    """One world, and what its status says."""

    guard: str
    situation: str
    """One line."""
    entries: tuple[Mapping[str, str], ...]
    """All of status.blocked."""

    @property
    def entry(self) -> Mapping[str, str]:
        """What the guard of this example says; the world may have more that waits."""
        return next(entry for entry in self.entries if entry["guard"] == self.guard)


def of_clusters() -> tuple[Example, ...]:
    """An example of each guard of a QdrantCluster, in the guards' order."""
    return _examples(ClusterGuard, guard_cluster_worlds.WORLDS, status_of_cluster)


def of_collections() -> tuple[Example, ...]:
    """An example of each guard of a QdrantCollection, in the guards' order."""
    return _examples(CollectionGuard, guard_collection_worlds.WORLDS, status_of_collection)


def of_refusals() -> tuple[Example, ...]:
    """An example of each reason for which a whole spec is refused, or waits for its cluster."""
    return tuple(
        Example(one.reason, one.situation, tuple(guard_refusals.blocked(one)))
        for one in guard_refusals.REFUSALS
    )


def _examples(
    guards: type[StrEnum], worlds: Mapping[Any, Any], status_of: Callable[[Any], Mapping[str, Any]]
) -> tuple[Example, ...]:
    made = (guard for guard in guards if guard in worlds)
    return tuple(
        Example(guard, " ".join(worlds[guard].__doc__.split()), tuple(status_of(worlds[guard]())["blocked"]))
        for guard in made
    )


def status_of_cluster(world: ClusterWorld) -> Mapping[str, Any]:
    """What the operator writes into the status of this world's QdrantCluster, conditions aside."""
    planned = plan_cluster(world.desired, world.observed) + Plan(blocked=world.found_by_the_look)
    return facts(decided(world.observed, world.desired, planned)).facts()


def status_of_collection(world: CollectionWorld) -> Mapping[str, Any]:
    """What the operator writes into the status of this world's QdrantCollection, conditions aside."""
    planned = plan_collection(world.desired, world.observed)
    shown = replace(planned, blocked=(*planned.blocked, *world.refused))
    return collection_status.facts(world.desired, world.observed, shown, owned_before=True).facts()


def page() -> str:
    """docs/guards.md as it should be."""
    sections = {
        "QdrantCluster": of_clusters(),
        "QdrantCollection": of_collections(),
        "Specs that cannot be followed": of_refusals(),
    }
    return "\n".join([HEAD, *(text for title, found in sections.items() for text in _section(title, found))])


def word(guard: str) -> str:
    """The guard as status has it."""
    return guard.value if isinstance(guard, StrEnum) else guard


def _section(title: str, examples: Iterable[Example]) -> Iterable[str]:
    yield f"## {title}\n"
    for example in examples:
        entry = yaml.safe_dump(
            [{name: str(value) for name, value in example.entry.items()}],
            sort_keys=False,
            width=WIDTH,
            allow_unicode=True,
        )
        yield f"### {word(example.guard)}\n\n{example.situation}\n\n```yaml\n{entry}```\n"


def main(arguments: list[str]) -> int:
    """Write the page, or tell whether it is as it should be."""
    if arguments == ["--write"]:
        PAGE.write_text(page())
        return 0
    same = PAGE.exists() and PAGE.read_text() == page()
    sys.stdout.write(
        "docs/guards.md is as the code says\n" if same else "docs/guards.md is old: give --write\n"
    )
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
