"""`python -m sandbox.simulation.mutants`: break each guard in turn, and see which seed notices.

The real code runs, with one function of it replaced in this process: no file is changed. A guard that no seed
misses is either needless, or the faults are too tame.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import Any

from qdrant_operator.domain import bootstrap, lost_volumes, membership, rollout, soundness
from qdrant_operator.domain.observed import Bootstrap, BootstrapPhase, Observed
from qdrant_operator.domain.placement import budgets, layout, recheck, wishes
from qdrant_operator.domain.placement import planner as placement
from qdrant_operator.domain.placement.model import Mode
from qdrant_operator.domain.steps import Plan, RecordBootstrap
from qdrant_operator.reconcile import cluster_observe
from sandbox.simulation.remembered import Place, everywhere, patched
from sandbox.simulation.runs import PROCESSES, run_seed

SHOWN = 90


@dataclass(frozen=True, slots=True)
class Mutant:
    """A guard, and how it is taken away."""

    guard: str
    places: Callable[[], list[Place]]


def mutants() -> list[Mutant]:
    """Every guard of the domain that a simulated fault can reach."""
    return [*_rollout(), *_bootstrap(), *_membership(), *_placement()]


def _rollout() -> list[Mutant]:
    gates = [Mutant(f"rollout: {guard}", _without_gate(guard)) for guard, _ in rollout.GATES]
    return [
        *gates,
        Mutant("rollout: StillInService", _instead(cluster_observe.service_addresses, _nobody_listed)),
        Mutant("rollout: a stopping pod is let be", _instead(rollout._next, _next_of_all)),
        Mutant("protect: strangers are kept from clients", _instead(rollout.strangers, lambda _observed: ())),
    ]


def _bootstrap() -> list[Mutant]:
    return [
        Mutant("bootstrap: volumes are adopted", _instead(bootstrap.plan_decision, _always_anew)),
        Mutant("bootstrap: the permission is taken away", _instead(bootstrap.first_pod, _keeps_permission)),
        Mutant("bootstrap: one peer first", _instead(bootstrap.members_wanted, _all_at_once)),
        Mutant("bootstrap: read live before deciding", _instead(cluster_observe.live_claims, _no_claims)),
        Mutant("bootstrap: every peer has joined", _instead(bootstrap._joined, lambda *_: True)),
    ]


def _membership() -> list[Mutant]:
    removal = membership._Removal
    return [
        Mutant("membership: PeerHoldsShards", _instead(recheck.held, lambda *_: ())),
        Mutant("membership: TooFewPeers", _instead(membership._too_few, lambda *_: "")),
        Mutant("membership: StillInService", lambda: [*_always_unlisted(removal)]),
        Mutant("membership: a successor is a member", lambda: [(removal, "_has_successor", False)]),
        Mutant("membership: hindrances to a removal", lambda: [(removal, "_hindrance", lambda _: None)]),
        Mutant("membership: fresh look before a removal", _instead(recheck.why_not_remove, lambda *_: "")),
        Mutant("lost volume: ConsentNeeded", _instead(lost_volumes._may_replace, lambda *_: True)),
        Mutant("lost volume: VolumeLost", _instead(recheck.lost_with, lambda *_: ())),
    ]


def _placement() -> list[Mutant]:
    refusal = budgets.Budget
    return [
        Mutant("placement: fresh look before each step", _instead(recheck.why_not, lambda *_: "")),
        Mutant("placement: ConsensusUnsettled", _instead(layout.unsettled, lambda _observed: "")),
        Mutant("placement: ViewsDisagree", _instead(layout._disputed, lambda *_: "")),
        Mutant("placement: enough sound replicas remain", _both(_may_always_drop, _never_refuse_drop)),
        Mutant("placement: Active is not sound", _instead(soundness._is_sound, _active_is_sound)),
        Mutant("placement: TransferBudget", lambda: [(refusal, "_refusal", lambda *_: None)]),
        Mutant("placement: ManualPlacement", _instead(placement.plan_placement, _never_manual)),
        Mutant(
            "placement: a leaving peer gets nothing",
            _instead(membership.roles, _nobody_leaves),
        ),
    ]


# -- how guards are taken away ----------------------------------------------------------------------------


def _instead(function: Any, broken: Any) -> Callable[[], list[Place]]:
    return lambda: everywhere(function, broken)


def _both(*several: Callable[[], list[Place]]) -> Callable[[], list[Place]]:
    return lambda: [place for one in several for place in one()]


def _without_gate(guard: object) -> Callable[[], list[Place]]:
    rest = tuple((name, gate) for name, gate in rollout.GATES if name is not guard)
    return lambda: [(rollout, "GATES", rest)]


def _always_unlisted(removal: type) -> list[Place]:
    return [
        (removal, "_out_of_service", lambda _: None),
        *everywhere(cluster_observe.service_addresses, _nobody_listed),
    ]


async def _nobody_listed(*_: object) -> frozenset[str]:
    return frozenset()


async def _no_claims(*_: object) -> tuple[str, ...]:
    return ()


def _next_of_all(outdated: Any, observed: Observed) -> Any:
    leader = observed.pod_of(observed.leader)
    return replace(min(outdated, key=lambda pod: (pod.name == leader, -pod.ordinal)), terminating=False)


def _always_anew(cluster: str, observed: Observed) -> Plan:
    if observed.bootstrap is not None:
        return Plan()
    return Plan((RecordBootstrap(Bootstrap(BootstrapPhase.STARTED, f"{cluster}-0")),))


def _keeps_permission(found: Bootstrap | None) -> str:
    return found.pod if found is not None and found.phase is not BootstrapPhase.ADOPTED else ""


def _all_at_once(_found: object, replicas: int, present: int | None, *_: object) -> int:
    return max(replicas, present or 0)


def _may_always_drop() -> list[Place]:
    return everywhere(wishes._may_drop, lambda *_: True)


def _never_refuse_drop() -> list[Place]:
    return everywhere(recheck._why_not_drop, lambda *_: "")


def _active_is_sound(peer: Any, told: Any) -> bool:
    states = [view.states.get(peer) for view in told.values() if view]
    return bool(states) and all(state == "Active" for state in states)


_plan_placement = placement.plan_placement
_roles = membership.roles


def _never_manual(seen: Any, policy: Any) -> Plan:
    return _plan_placement(seen, replace(policy, mode=Mode.AUTO))


def _nobody_leaves(desired: Any, observed: Any) -> Any:
    return replace(_roles(desired, observed), leaving=frozenset())


# -- the hunt ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Caught:
    """Which seed noticed that a guard is missing."""

    guard: str
    seed: int | None
    how: str
    tried: int


def hunt(guard: str, seeds: int, first: int) -> Caught:
    """Try seeds until one breaks a law that holds with the guard."""
    mutant = next(one for one in mutants() if one.guard == guard)
    for seed in range(first, first + seeds):
        with patched(mutant.places()):
            run = run_seed(seed)
        if run.violation and not run_seed(seed).violation:
            return Caught(guard, seed, run.violation, seed - first + 1)
    return Caught(guard, None, "", seeds)


def table(seeds: int, first: int, processes: int, only: str = "") -> list[Caught]:
    """Hunt every mutant, a process each; printed as they are caught."""
    guards = [mutant.guard for mutant in mutants() if only in mutant.guard]
    found: list[Caught] = []
    with ProcessPoolExecutor(processes, mp_context=get_context("fork"), max_tasks_per_child=None) as pool:
        for caught in pool.map(hunt, guards, [seeds] * len(guards), [first] * len(guards)):
            found.append(caught)
            where = f"seed {caught.seed}" if caught.seed is not None else f"NOT CAUGHT in {seeds} seeds"
            print(f"{caught.guard:46} {where:24} {caught.how[:SHOWN]}", flush=True)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 1 when a guard's absence was not noticed."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.simulation.mutants", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2000, help="tried for each guard (default: %(default)s)")
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--processes", type=int, default=PROCESSES)
    parser.add_argument("--only", default="", help="guards whose name contains this")
    options = parser.parse_args(arguments)
    found: list[Caught] = []
    with suppress(KeyboardInterrupt):
        found = table(options.seeds, options.first, options.processes, options.only)
    missed = [caught.guard for caught in found if caught.seed is None]
    print(f"\n{len(found) - len(missed)} of {len(found)} guards are held by the simulation")
    return 1 if missed or not found else 0


if __name__ == "__main__":
    sys.exit(main())
