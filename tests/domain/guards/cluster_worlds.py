"""For each guard of a QdrantCluster a small world in which it holds something back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from qdrant_operator.domain.cluster.membership.scale_out import pods_wanted
from qdrant_operator.domain.cluster.observed import Bootstrap, BootstrapPhase, Observed, PeerRecord, Volume
from qdrant_operator.domain.cluster.wanted.desired import DesiredCluster
from qdrant_operator.domain.cluster.wanted.keys import key_changed
from qdrant_operator.domain.cluster.wanted.versions import Past, next_hop
from qdrant_operator.domain.common.guards import ClusterGuard
from qdrant_operator.domain.common.kinds import Kind
from qdrant_operator.domain.common.plan import Blocked
from qdrant_operator.domain.manifests.rival_writers import Contested
from qdrant_operator.domain.qdrant.views import PeerId, ReplicaState, ShardId, Transfer, View
from tests.domain.clusters import collection, desired, pod, seen, settled, silence, view

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
NEW = desired(config={"log_level": "DEBUG"})
"""The settled cluster of three with another template: its pods shall restart."""
Placement = Mapping[int, tuple[int, ...]]
LEVEL: Placement = {0: (0, 1), 1: (1, 2), 2: (0, 2)}
"""Three shards of factor 2 on three peers."""


@dataclass(frozen=True, slots=True)
class ClusterWorld:
    """What is wanted, what is there, and what the look itself found to wait."""

    desired: DesiredCluster
    observed: Observed
    found_by_the_look: tuple[Blocked, ...] = ()


WORLDS: dict[ClusterGuard, Callable[[], ClusterWorld]] = {}
"""A world by guard; its docstring is the situation."""


def example(guard: ClusterGuard) -> Callable[[Callable[[], ClusterWorld]], Callable[[], ClusterWorld]]:
    """Say which guard a world is an example of."""

    def register(world: Callable[[], ClusterWorld]) -> Callable[[], ClusterWorld]:
        assert guard not in WORLDS, guard
        WORLDS[guard] = world
        return world

    return register


def peers(count: int, placement: Placement = LEVEL, factor: int = 2, **changes: Any) -> Observed:
    """So many formed peers, with their volumes and records; docs is placed like this."""
    views: dict[str, View] = {
        f"vectors-{n}": view(n, count, collections=(collection(n, placement, factor=factor),))
        for n in range(count)
    }
    known = tuple(PeerRecord(f"vectors-{n}", PeerId(100 + n), f"claim-{n}") for n in range(count))
    claims = {f"storage-vectors-{n}": Volume(f"claim-{n}") for n in range(count)}
    facts: dict[str, Any] = {"stateful_set_replicas": count, "records": known, "volumes": claims, "now": NOW}
    facts["releases"] = ("v1.19.0",)
    return seen(tuple(pod(n) for n in range(count)), views, **{**facts, **changes})


def told(observed: Observed, name: str, **changes: Any) -> Observed:
    """The same look where one peer says something else."""
    views = {**observed.views, name: replace(observed.peers[name], **changes)}
    return seen(observed.pods, views, stateful_set_replicas=observed.stateful_set_replicas, now=observed.now)


def lost(placement: Placement, factor: int) -> Observed:
    """The volume of vectors-2 was replaced by an empty one ten minutes ago, and its peer is silent."""
    observed = silence(peers(3, placement, factor), "vectors-2", reason="connection refused")
    dated = replace(observed.records[2], lost_since=NOW - timedelta(minutes=10))
    claims = {**observed.volumes, "storage-vectors-2": Volume("claim-new")}
    return replace(observed, records=(*observed.records[:2], dated), volumes=claims)


@example(ClusterGuard.ONE_AT_A_TIME)
def another_pod_is_not_ready() -> ClusterWorld:
    """The template changed, and vectors-0, which has the new one, is not ready yet."""
    return ClusterWorld(NEW, replace(settled(), pods=(pod(0, NEW, ready=False), pod(1), pod(2))))


@example(ClusterGuard.PEERS_UNREACHABLE)
def a_peer_is_silent() -> ClusterWorld:
    """The template changed, and vectors-1 runs but does not answer the operator."""
    return ClusterWorld(NEW, silence(settled(), "vectors-1"))


@example(ClusterGuard.CONSENSUS_UNSETTLED)
def nobody_leads() -> ClusterWorld:
    """The peers report different leaders, as during an election."""
    observed = settled()
    for number, name in enumerate(sorted(observed.views)):
        observed = told(observed, name, leader=PeerId(100 + number))
    return ClusterWorld(desired(), observed)


@example(ClusterGuard.TRANSFER_RUNNING)
def a_shard_is_on_its_way() -> ClusterWorld:
    """A shard that is short of a replica is being copied already."""
    running = (Transfer(ShardId(0), PeerId(100), PeerId(101), "snapshot", keeps_source=True),)
    states = {(0, 1): ReplicaState.PARTIAL}
    views = {
        f"vectors-{n}": view(
            n,
            2,
            collections=(
                replace(collection(n, {0: (0, 1)}, states=states, points={(0, 1): 10}), transfers=running),
            ),
        )
        for n in range(2)
    }
    return ClusterWorld(desired(2), seen((pod(0), pod(1)), views, stateful_set_replicas=2, now=NOW))


@example(ClusterGuard.REPLICA_NOT_SOUND)
def a_replica_heals() -> ClusterWorld:
    """A peer was down while applications wrote; it is back, and its replica is behind."""
    states = {(0, 1): ReplicaState.DEAD}
    views = {f"vectors-{n}": view(n, collections=(collection(n, LEVEL, states=states),)) for n in range(3)}
    return ClusterWorld(
        desired(), seen(tuple(pod(n) for n in range(3)), dict(views), stateful_set_replicas=3, now=NOW)
    )


@example(ClusterGuard.QUORUM_AT_RISK)
def too_few_voters() -> ClusterWorld:
    """The template changed, and vectors-1 has joined and is not a voter yet."""
    return ClusterWorld(NEW, told(settled(), "vectors-1", voter=False))


@example(ClusterGuard.BACKUP_RUNNING)
def a_backup_is_being_made() -> ClusterWorld:
    """The template changed while the Job of a QdrantSnapshot copies shards."""
    return ClusterWorld(NEW, replace(settled(), backups=("nightly-20261121-0200",)))


@example(ClusterGuard.STILL_IN_SERVICE)
def the_service_lists_it() -> ClusterWorld:
    """Pod vectors-2 was just taken out of the client Service to be restarted; requests may still reach it."""
    pods = (pod(0), pod(1), pod(2, serving=False))
    return ClusterWorld(NEW, replace(settled(), pods=pods, listed=frozenset({"10.0.0.2"})))


@example(ClusterGuard.PEER_NOT_JOINED)
def a_peer_joins() -> ClusterWorld:
    """The cluster forms, and vectors-2 answers and knows no other peer yet."""
    formed = Bootstrap(BootstrapPhase.FORMED, "vectors-0", PeerId(100))
    alone = told(peers(3, {}), "vectors-2", peers={PeerId(102): ""})
    return ClusterWorld(desired(), replace(alone, bootstrap=formed))


@example(ClusterGuard.OBJECTS_TERMINATING)
def an_earlier_cluster_goes() -> ClusterWorld:
    """A QdrantCluster was deleted and applied again, and its first pods and claims are not deleted yet."""
    remains = ("StatefulSet vectors", "Pod vectors-0", "PersistentVolumeClaim storage-vectors-0")
    return ClusterWorld(desired(), Observed(None, (), {}, remains=remains))


@example(ClusterGuard.NO_PEER_ON_VOLUMES)
def a_claim_of_unknown_worth() -> ClusterWorld:
    """A claim of the cluster's name existed before the QdrantCluster, and no pod finds a peer on its volume."""
    adopted = Bootstrap(BootstrapPhase.ADOPTED, "vectors-0")
    words = "Failed to initialize Consensus: failed to connect to bootstrap peer"
    down = pod(0, ready=False, waiting="CrashLoopBackOff", message=words)
    found = {"storage-vectors-0": Volume("claim-0", created="2026-11-20T09:30:00Z")}
    silent = silence(settled(desired(1)), "vectors-0", reason="connection refused")
    return ClusterWorld(
        desired(1), replace(silent, pods=(down,), bootstrap=adopted, volumes=found, stateful_set_replicas=1)
    )


@example(ClusterGuard.POD_NOT_RUNNING)
def an_image_is_missing() -> ClusterWorld:
    """The image of vectors-2 cannot be pulled."""
    words = 'Back-off pulling image "docker.io/qdrant/qdrant:v1.19.0"'
    down = pod(2, ready=False, waiting="ImagePullBackOff", message=words)
    observed = silence(peers(3), "vectors-2", reason="connection refused")
    return ClusterWorld(desired(), replace(observed, pods=(*observed.pods[:2], down)))


@example(ClusterGuard.VOLUME_LOST)
def the_only_replica_is_lost() -> ClusterWorld:
    """The volume of vectors-2 was deleted, and docs has replication factor 1."""
    return ClusterWorld(desired(), lost({0: (0,), 1: (1,), 2: (2,)}, 1))


@example(ClusterGuard.VIEWS_DISAGREE)
def views_contradict() -> ClusterWorld:
    """Peer vectors-2 does not know yet that a replica of docs/0 was created on it."""
    observed = peers(3, {0: (0, 1, 2)}, 3)
    return ClusterWorld(
        desired(), told(observed, "vectors-2", collections=(collection(2, {0: (0, 1)}, factor=3),))
    )


@example(ClusterGuard.TOO_FEW_PEERS)
def one_peer_for_two_replicas() -> ClusterWorld:
    """A user sets replicas to 1 while docs has replication factor 2."""
    return ClusterWorld(replace(desired(1), pod_count=3), peers(3))


@example(ClusterGuard.NO_SOUND_SOURCE)
def the_only_holder_is_silent() -> ClusterWorld:
    """The replication factor of docs is 1, and vectors-1 is down."""
    placement = {0: (0,), 1: (1,), 2: (2,)}
    return ClusterWorld(desired(), silence(peers(3, placement, 1), "vectors-1", reason="connection refused"))


@example(ClusterGuard.NOT_ENOUGH_DISK)
def the_volumes_are_full() -> ClusterWorld:
    """The replication factor of docs was raised to 2, and no other volume has enough space for its shards."""
    return ClusterWorld(desired(2, persistence={"size": "100Ki"}), peers(2, {0: (0,), 1: (1,)}))


@example(ClusterGuard.TRANSFER_BUDGET)
def all_want_to_move() -> ClusterWorld:
    """The replication factor of docs was raised to 2: its shards are copied one after another."""
    return ClusterWorld(desired(2), peers(2, {0: (0,), 1: (0,)}))


@example(ClusterGuard.MANUAL_PLACEMENT)
def nothing_moves_by_itself() -> ClusterWorld:
    """A shard lacks a replica, and spec.shards.placement is Manual."""
    return ClusterWorld(desired(2, shards={"placement": "Manual"}), peers(2, {0: (0,)}))


@example(ClusterGuard.OUTSIDE_WINDOW)
def levelling_waits_for_the_night() -> ClusterWorld:
    """Peer vectors-2 is new and holds no shards; it is 12:00, and the window opens at 01:00 for four hours."""
    window = {"schedule": "0 1 * * *", "duration": "4h"}
    placement = {0: (0, 1), 1: (0, 1), 2: (0, 1)}
    return ClusterWorld(desired(shards={"window": window}), peers(3, placement))


@example(ClusterGuard.PEER_HOLDS_SHARDS)
def it_is_being_drained() -> ClusterWorld:
    """A cluster is scaled from four peers to three: the last peer is drained first."""
    placement = {0: (0, 1), 1: (1, 2), 2: (2, 3)}
    return ClusterWorld(replace(desired(), pod_count=4), peers(4, placement))


@example(ClusterGuard.CONSENT_NEEDED)
def a_volume_is_lost() -> ClusterWorld:
    """The volume of vectors-2 was deleted; docs has replication factor 2."""
    return ClusterWorld(desired(), lost(LEVEL, 2))


@example(ClusterGuard.ORPHANED_REPLICA)
def a_shard_is_on_nobody() -> ClusterWorld:
    """A collection of factor 1 was created while a peer was replaced, and Qdrant placed a shard on its old id, 109."""
    return ClusterWorld(desired(), peers(3, {0: (0,), 1: (9,), 2: (2,)}, 1))


@example(ClusterGuard.REMOVED_VOLUME_PRESENT)
def an_old_volume_waits() -> ClusterWorld:
    """A cluster is scaled to four peers again, and the volume of the removed peer was retained (whenScaled Retain)."""
    observed = peers(3)
    observed = replace(
        observed, volumes={**observed.volumes, "storage-vectors-3": Volume("claim-of-the-removed")}
    )
    pods, waits = pods_wanted("vectors", 4, observed)
    return ClusterWorld(replace(desired(4), pod_count=pods), observed, waits)


@example(ClusterGuard.LAST_TRANSFER_ABORTED)
def it_failed_a_moment_ago() -> ClusterWorld:
    """A transfer to the only peer that can hold docs/0 was aborted seconds ago."""
    waits = frozenset({(("docs", ShardId(0)), PeerId(101))})
    return ClusterWorld(desired(2), peers(2, {0: (0,)}, waits=waits))


@example(ClusterGuard.KEY_CHANGED)
def the_secret_changed() -> ClusterWorld:
    """Another value was written into the Secret that spec.auth.apiKey names."""
    source = {"secretRef": {"name": "search-key", "key": "key"}}
    wanted = desired(auth={"apiKey": source})
    observed = replace(peers(3), pods=tuple(pod(n, wanted) for n in range(3)))
    return ClusterWorld(wanted, observed, (key_changed("search-key", "vectors-auth"),))


RAN = Past(frozenset({"1.19.0"}), frozenset({"1.19.0"}))
"""Releases of the peers that answer."""


@example(ClusterGuard.VERSION_DOWNGRADE)
def an_older_release() -> ClusterWorld:
    """Peers run 1.19.0, and spec.version is set to v1.18.2."""
    return ClusterWorld(desired(), peers(3), next_hop("v1.18.2", RAN, "v1.19.0").blocked)


@example(ClusterGuard.VERSION_SKIP)
def a_release_too_far() -> ClusterWorld:
    """Peers run 1.19.0, and spec.version is set to v1.21.0."""
    return ClusterWorld(desired(), peers(3), next_hop("v1.21.0", RAN, "v1.19.0").blocked)


@example(ClusterGuard.FIELD_CONTESTED)
def an_image_is_rewritten() -> ClusterWorld:
    """An admission webhook replaces the repository of all images by a mirror, also in the StatefulSet."""
    image = Contested(Kind.STATEFUL_SET, "vectors", ("spec.template.spec.containers[qdrant].image",))
    return ClusterWorld(desired(), replace(settled(), contested=(image,)))
