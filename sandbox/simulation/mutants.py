"""Each guard of the product, and how it is taken away: the real code with some functions of it replaced.

A guard that another one implies is taken away together with that one: the row names both, and says which law must
notice, so that it is not the other guard's law that does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

from qdrant_operator.adapters.qdrant.rest import QdrantRest
from qdrant_operator.domain.cluster import formation as bootstrap
from qdrant_operator.domain.cluster import layout, planner
from qdrant_operator.domain.cluster.membership import identity, lost_volumes, removal_check, scale_out
from qdrant_operator.domain.cluster.membership import orphaned_replicas as stray_replicas
from qdrant_operator.domain.cluster.membership import scale_in as membership
from qdrant_operator.domain.cluster.observed import Bootstrap, BootstrapPhase, LeavingPhase, Observed, Volume
from qdrant_operator.domain.cluster.pods import returns, rollout
from qdrant_operator.domain.cluster.steps import ClusterPlan, RecordBootstrap
from qdrant_operator.domain.cluster.wanted import versions
from qdrant_operator.domain.common.guards import ClusterGuard
from qdrant_operator.domain.common.plan import Plan
from qdrant_operator.domain.placement import next_step as wishes
from qdrant_operator.domain.placement import planner as placement
from qdrant_operator.domain.placement import preflight as recheck
from qdrant_operator.domain.placement.model import Mode
from qdrant_operator.domain.placement.schedule import budgets
from qdrant_operator.domain.qdrant import soundness
from qdrant_operator.domain.qdrant.soundness import ShardHealth
from qdrant_operator.domain.qdrant.views import PeerId
from qdrant_operator.reconcile.cluster import act as cluster_act
from qdrant_operator.reconcile.cluster import observe as cluster_observe
from qdrant_operator.reconcile.cluster import removals
from qdrant_operator.reconcile.cluster import shards as cluster_shards
from qdrant_operator.reconcile.cluster.memory.changes import ChangeMemory
from qdrant_operator.reconcile.cluster.memory.repeats import RepeatMemory
from qdrant_operator.reconcile.cluster.memory.rivals import ContestMemory
from qdrant_operator.reconcile.cluster.memory.transfers import TransferMemory
from qdrant_operator.reconcile.collection import act as collection_act
from qdrant_operator.reconcile.in_flight import InFlightCreations
from sandbox.simulation.laws.shard_laws import ShardLaws
from sandbox.simulation.world.remembered import Place, everywhere

Places = Callable[[], list[Place]]


@dataclass(frozen=True, slots=True)
class Mutant:
    """A guard, and how it is taken away."""

    guard: str
    places: Places
    expected: str = ""
    """Words of the law that must notice; empty: any."""


def mutants() -> list[Mutant]:
    """Every guard of the domain that a simulated fault can reach."""
    return [*_rollout(), *_bootstrap(), *_membership(), *_lost(), *_placement(), *_around()]


def _rollout() -> list[Mutant]:
    alone = (ClusterGuard.PEERS_UNREACHABLE, ClusterGuard.CONSENSUS_UNSETTLED, ClusterGuard.REPLICA_NOT_SOUND)
    quorum = (
        ClusterGuard.QUORUM_AT_RISK,
        ClusterGuard.ONE_AT_A_TIME,
        ClusterGuard.PEERS_UNREACHABLE,
        ClusterGuard.REPLICA_NOT_SOUND,
    )
    transfers = (ClusterGuard.TRANSFER_RUNNING, ClusterGuard.REPLICA_NOT_SOUND)
    return [
        Mutant("rollout: OneAtATime", _without_gate(rollout._one_at_a_time)),
        *(Mutant(f"rollout: {guard}", _without_gates(guard)) for guard in alone),
        Mutant(
            "rollout: TransferRunning + ReplicaNotSound + shards before pods",
            _all(_without_gates(*transfers), _instead(planner._urgent, lambda roll, _observed: roll)),
            "though: transfer",
        ),
        Mutant(
            "rollout: QuorumAtRisk + OneAtATime + PeersUnreachable + ReplicaNotSound",
            _without_gates(*quorum),
            "no majority of the voters stays",
        ),
        Mutant("rollout: OneAtATime, nobody has just come back", _without_gate(rollout._none_just_back)),
        Mutant(
            "shards: nothing relies on a peer that has just come back",
            _instead(returns.after_returns, _all_steps),
        ),
        Mutant("rollout: ReplicaNotSound, of other holders", _instead(rollout._may_lose, _own_is_no_loss)),
        Mutant("rollout: StillInService", _instead(cluster_observe.service_addresses, _nobody_listed)),
        Mutant("rollout: a stopping pod is let be", _instead(rollout._next, _next_of_all)),
        Mutant(
            "protect: strangers are kept from clients",
            _instead(identity.detached_pods, lambda _observed: ()),
            "is alone in a cluster of its own",
        ),
        Mutant(
            "protect: nothing grows beside a stranger",
            _instead(scale_out.pods_wanted, _blind_to_strangers),
            "grows beside",
        ),
        Mutant(
            "objects: a StatefulSet is changed as it was read", _instead(cluster_act._as_seen, _as_wanted)
        ),
    ]


def _bootstrap() -> list[Mutant]:
    return [
        Mutant("bootstrap: volumes are adopted", _instead(bootstrap.plan_decision, _always_anew)),
        Mutant("bootstrap: the permission is taken away", _instead(bootstrap.first_pod, _keeps_permission)),
        Mutant("bootstrap: one peer first", _instead(bootstrap.pods_for_phase, _all_at_once)),
        Mutant("bootstrap: read live before deciding", _instead(cluster_observe.live_claims, _no_claims)),
        Mutant(
            "bootstrap: every peer has joined",
            _instead(bootstrap._joined, lambda *_: True),
            "is called formed",
        ),
    ]


def _membership() -> list[Mutant]:
    removal = membership._Removal
    return [
        Mutant(
            "membership: PeerHoldsShards", _instead(recheck.held, lambda *_: ()), "and its removal begins"
        ),
        Mutant("membership: TooFewPeers", _instead(membership._too_few, lambda *_: ""), "that cannot go"),
        Mutant("membership: StillInService", lambda: [*_always_unlisted(removal)]),
        Mutant("membership: PeerNotJoined", lambda: [(removal, "_never_joined", _joined_never)]),
        Mutant("membership: a successor is a member", lambda: [(removal, "_has_successor", False)]),
        Mutant(
            "membership: ConsensusUnsettled, a successor would be known",
            lambda: [(removal, "_may_have_successor", False)],
        ),
        Mutant(
            "membership: the peers are asked once more before a pod is taken away",
            _instead(removals._expect_no_peer_joined, _expects_nothing),
            "and its peer",
        ),
        Mutant(
            "membership: consensus carries out what came before a removal",
            _instead(cluster_shards._write_barrier, _expects_nothing),
            "is removed and holds shards",
        ),
        *_removal_itself(),
        Mutant("membership: nothing grows during a removal", _instead(scale_out.pods_wanted, _grows_always)),
    ]


def _removal_itself() -> list[Mutant]:
    unchecked = _all(
        lambda: [(QdrantRest, "remove_peer", _by_force)],
        _instead(cluster_shards._unfinished, lambda _fresh: "", removal_check.why_not_remove, lambda *_: ""),
    )
    return [
        Mutant(
            "membership: hindrances to a removal",
            lambda: [(membership, "REMOVAL_GUARDS", ())],
            "and its removal begins",
        ),
        Mutant(
            "membership: fresh look before a removal + hindrances + Qdrant's refusal",
            _all(unchecked, lambda: [(membership, "REMOVAL_GUARDS", ())]),
            "is removed and holds shards",
        ),
        Mutant(
            "membership: nothing is created meanwhile, on both sides + entries under way",
            _all(
                lambda: [(InFlightCreations, "any_for", lambda *_: False)],
                _instead(
                    collection_act._check_no_removal,
                    lambda *_: None,
                    cluster_shards._unfinished,
                    lambda _fresh: "",
                ),
            ),
            "is removed and holds shards",
        ),
        Mutant(
            "membership: who never hears of its removal is gone",
            _instead(identity._unaware, lambda *_: False),
        ),
        Mutant(
            "membership: a removed volume stays off",
            _instead(scale_out.pods_wanted, _any_volume),
            "the volume of a peer that was removed",
        ),
    ]


def _lost() -> list[Mutant]:
    return [
        Mutant("lost volume: ConsentNeeded", _instead(lost_volumes._may_replace, lambda *_: True)),
        Mutant(
            "lost volume: VolumeLost",
            _instead(recheck.lost_with, lambda *_: ()),
            "held the only replica",
        ),
        Mutant(
            "stray peer: a sound replica is elsewhere",
            _instead(stray_replicas._hindrance, lambda *_: None),
            "is good nowhere else",
        ),
        Mutant(
            "stray peer: no view calls it a member + everybody answers",
            _instead(stray_replicas.orphaned_ids, _silent_ids, stray_replicas._hindrance, lambda *_: None),
            "is removed and holds shards",
        ),
    ]


def _placement() -> list[Mutant]:
    refusal = budgets.Budget
    drops = _all(_instead(wishes._may_drop, lambda *_: True), _instead(recheck._why_not_drop, lambda *_: ""))
    return [
        Mutant(
            "placement: fresh look before each step, planned on old looks + LastTransferAborted",
            _all(_instead(recheck.why_not, lambda *_: ""), _on_old_looks()),
            "a second replica on one peer",
        ),
        Mutant("placement: ConsensusUnsettled", _instead(layout.unsettled, lambda _observed: "")),
        Mutant(
            "placement: ConsensusUnsettled, the leader shows the last step",
            lambda: [(ChangeMemory, "just_changed", lambda *_: False)],
        ),
        Mutant(
            "placement: ViewsDisagree + sound in every view",
            _instead(layout._disputed, lambda *_: "", soundness._is_sound, _sound_in_some_view),
            "and one is dropped",
        ),
        Mutant("placement: enough sound replicas remain, planned and before the step", drops),
        Mutant("placement: Active is not sound", _instead(soundness._is_sound, _active_is_sound)),
        Mutant(
            "placement: TransferRunning, planned and before the step",
            _all(
                _instead(wishes.next_action, _whatever_runs),
                _instead(recheck._why_not_drop, _whatever_is_listed),
            ),
        ),
        Mutant("placement: TransferBudget", lambda: [(refusal, "_refusal", lambda *_: None)]),
        Mutant(
            "placement: ManualPlacement",
            _instead(placement.plan_placement, _never_manual),
            "placement is Manual",
        ),
        Mutant(
            "placement: a leaving peer gets nothing",
            _instead(membership.roles, _nobody_leaves),
            "a peer that shall go is filled",
        ),
    ]


def _around() -> list[Mutant]:
    """What some stories are about: releases and rivals."""
    return [
        Mutant(
            "version: VersionDowngrade + VersionSkip",
            _instead(versions._objections, lambda *_: ()),
            "the StatefulSet wants",
        ),
        Mutant(
            "objects: FieldContested",
            lambda: [
                (ContestMemory, "_with_pause", lambda _self, attempt, _now: attempt.contested),
                (RepeatMemory, "pause", 0.0),
            ],
            "writes in 20 s",
        ),
    ]


# -- how guards are taken away ----------------------------------------------------------------------------


def _instead(*pairs: Any) -> Places:
    """Functions and what stands for them, by turns."""
    given = list(zip(pairs[::2], pairs[1::2], strict=True))
    return lambda: [place for function, broken in given for place in everywhere(function, broken)]


def _all(*several: Places) -> Places:
    return lambda: [place for one in several for place in one()]


def _without_gates(*guards: ClusterGuard) -> Places:
    rest = tuple((name, gate) for name, gate in rollout.GATES if name not in guards)
    return lambda: [(rollout, "GATES", rest)]


def _without_gate(gone: rollout.Gate) -> Places:
    rest = tuple((name, gate) for name, gate in rollout.GATES if gate is not gone)
    return lambda: [(rollout, "GATES", rest)]


def _always_unlisted(removal: type) -> list[Place]:
    return [
        (removal, "_out_of_service", lambda _: None),
        *everywhere(cluster_observe.service_addresses, _nobody_listed),
    ]


def _on_old_looks() -> Places:
    """Plans are made on what the peers said three looks before: older than our own last write."""
    read = cluster_observe.read_views
    said: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()

    async def late(world: Any, pods: Any, endpoints: Any) -> Any:
        views = await read(world, pods, endpoints)
        looks = said.setdefault(world.kubernetes, deque(maxlen=4))
        looks.append(views)
        return {name: looks[0].get(name, view) for name, view in views.items()}

    unlimited: Place = (
        ShardLaws,
        "_check_budget",
        lambda *_: None,
    )  # old plans exceed budgets first: not this law
    forgetful: Place = (TransferMemory, "waits", lambda *_: frozenset())
    return lambda: [(cluster_observe, "read_views", late), unlimited, forgetful]


async def _nobody_listed(*_: object) -> frozenset[str]:
    return frozenset()


async def _expects_nothing(*_: object) -> None:
    pass


async def _no_claims(*_: object) -> dict[str, Volume]:
    return {}


def _next_of_all(outdated: Any, observed: Observed) -> Any:
    leader = observed.pod_of(observed.leader)
    return replace(min(outdated, key=lambda pod: (pod.name == leader, -pod.ordinal)), terminating=False)


def _own_is_no_loss(shard: ShardHealth, own: PeerId | None) -> bool:
    """As if what else its holders are did not matter."""
    return own in shard.holders or (bool(shard.sound) and shard.sound == shard.holders)


def _always_anew(cluster: str, observed: Observed) -> ClusterPlan:
    if observed.bootstrap is not None:
        return Plan()
    return Plan((RecordBootstrap(Bootstrap(BootstrapPhase.STARTED, f"{cluster}-0")),))


def _keeps_permission(found: Bootstrap | None) -> str:
    return found.pod if found is not None and found.phase is not BootstrapPhase.ADOPTED else ""


def _all_at_once(_found: object, replicas: int, present: int | None, *_: object) -> int:
    return max(replicas, present or 0)


def _active_is_sound(peer: Any, told: Any) -> bool:
    states = [view.states.get(peer) for view in told.values() if view]
    return bool(states) and all(state == "Active" for state in states)


def _sound_in_some_view(peer: Any, told: Any) -> bool:
    active = any(view and view.states.get(peer) == "Active" for view in told.values())
    points = soundness._points(told.get(peer))
    return active and points is not None and soundness._plausible(points, soundness._best(told))


_plan_placement = placement.plan_placement
_next_action = wishes.next_action
_why_not_drop = recheck._why_not_drop
_roles = membership.roles
_pods_wanted = scale_out.pods_wanted
_remove_peer = QdrantRest.remove_peer


async def _by_force(self: QdrantRest, endpoint: Any, peer: Any, *, force: bool) -> None:
    del force
    await _remove_peer(self, endpoint, peer, force=True)


def _joined_never(self: Any) -> Any:
    return self._record(LeavingPhase.REMOVED)


def _never_manual(seen: Any, policy: Any) -> ClusterPlan:
    return _plan_placement(seen, replace(policy, mode=Mode.AUTO))


def _whatever_runs(replicas: Any, target: Any, classification: Any) -> Any:
    return _next_action(replace(replicas, running=()), target, classification)


def _whatever_is_listed(step: Any, shard: Any, seen: Any) -> str:
    return _why_not_drop(step, shard, replace(seen, transfers=()))


def _nobody_leaves(desired: Any, observed: Any) -> Any:
    return replace(_roles(desired, observed), leaving=frozenset())


def _blind_to_strangers(cluster: str, replicas: int, observed: Observed) -> Any:
    hidden = identity.detached(observed.views, observed.records)
    views = {pod: view for pod, view in observed.views.items() if pod not in hidden}
    return _pods_wanted(cluster, replicas, replace(observed, views=views))


def _silent_ids(observed: Observed) -> frozenset[Any]:
    """Every id that shards are placed on and that does not answer."""
    views = observed.peers.values()
    shards = (shard for view in views for collection in view.collections for shard in collection.shards)
    return frozenset(peer for shard in shards for peer in shard.states) - {view.peer for view in views}


def _any_volume(cluster: str, replicas: int, observed: Observed) -> Any:
    count, held = _pods_wanted(cluster, replicas, observed)
    return (max(replicas, count), ()) if held else (count, held)


def _grows_always(cluster: str, replicas: int, observed: Observed) -> Any:
    return _pods_wanted(cluster, replicas, replace(observed, leaving=None))


def _all_steps(plan: ClusterPlan, _observed: Observed) -> ClusterPlan:
    return plan


def _as_wanted(drift: Any) -> Any:
    return drift.manifest
