"""The simulator's shards: writes, replica states, transfers, recovery, snapshots. Under a virtual clock."""

from __future__ import annotations

import hashlib
from random import Random
from typing import Any

import pytest

from sandbox.qdrant_sim.core.api.answers import Answer
from sandbox.qdrant_sim.core.consensus.state import Move
from sandbox.qdrant_sim.virtual import VirtualCluster

VECTORS = {"vectors": {"size": 4, "distance": "Dot"}}


def made(peers: int, **body: Any) -> VirtualCluster:
    """A cluster with one collection, `docs`."""
    cluster = VirtualCluster()
    cluster.form(peers)
    assert cluster.call(0, "PUT", "/collections/docs", {**VECTORS, **body}).status == 200
    cluster.pass_time(1)
    return cluster


def replicas(cluster: VirtualCluster, shard: int = 0, seen_by: int = 0) -> dict[int, str]:
    """State of a shard's replicas by peer, in one peer's view."""
    return dict(cluster.peers[seen_by].disk.state.collections["docs"].shards[shard].replicas)


def transfer(cluster: VirtualCluster, kind: str, source: int, target: int, through: int = 0) -> Answer:
    """Ask for a transfer of shard 0."""
    body = {kind: {"shard_id": 0, "from_peer_id": source, "to_peer_id": target}}
    return cluster.call(through, "POST", "/collections/docs/cluster", body)


def count(cluster: VirtualCluster, number: int) -> int:
    """Exact count as one peer gives it."""
    answer = cluster.call(number, "POST", "/collections/docs/points/count", {"exact": True})
    assert answer.status == 200, answer.body
    return int(answer.body["result"]["count"])


def number_of(cluster: VirtualCluster, peer: int) -> int:
    """The number of a peer id."""
    return next(number for number, one in cluster.peers.items() if one.id == peer)


def outside(cluster: VirtualCluster) -> int:
    """A peer that does not hold shard 0."""
    return next(peer.id for peer in cluster.peers.values() if peer.id not in replicas(cluster))


def test_a_killed_peer_stays_active_until_somebody_writes() -> None:
    """Active proves nothing: only the first failed write makes replicas Dead."""
    cluster = made(3, shard_number=1, replication_factor=3)
    lost = cluster.peers[2].id
    cluster.stop(2)
    cluster.pass_time(600)
    assert replicas(cluster)[lost] == "Active"
    assert cluster.write("docs", range(1)) == 200
    assert replicas(cluster)[lost] == "Dead"


def test_a_peer_that_is_back_recovers_by_itself() -> None:
    """Its replicas become Active again and hold what was written meanwhile."""
    cluster = made(3, shard_number=2, replication_factor=3)
    cluster.write("docs", range(100))
    cluster.stop(2)
    cluster.write("docs", range(100, 200))
    cluster.join(2)
    cluster.until(lambda: cluster.sound("docs"), within=10)
    assert sum(len(local.points) for local in cluster.peers[2].disk.locals.values()) == 200


def test_a_recovered_replica_has_what_a_late_peer_wrote() -> None:
    """Who has not heard that a replica is back writes to the others: it reaches the replica all the same."""
    cluster = made(3, shard_number=1, replication_factor=2)
    holders, late = sorted(number_of(cluster, peer) for peer in replicas(cluster)), outside(cluster)
    cluster.stop(holders[1])
    cluster.write("docs", range(10), through=holders[0])
    cluster.universe.lag[cluster.address(number_of(cluster, late))] = 4.0
    cluster.join(holders[1])
    cluster.until(lambda: cluster.sound("docs", seen_by=holders[0]), within=10)
    cluster.pass_time(2)
    assert not cluster.sound("docs", seen_by=number_of(cluster, late))
    assert cluster.write("docs", range(10, 20), through=number_of(cluster, late)) == 200
    recovered = cluster.peers[holders[1]]
    assert len(_local(cluster, recovered.id, 0)) == 20


def test_a_write_that_too_few_replicas_took_fails_and_stays() -> None:
    """Write consistency 2 of 2 beside a dead peer: 500, no replica Dead, and the point is there."""
    cluster = made(2, shard_number=1, replication_factor=2, write_consistency_factor=2)
    cluster.stop(1)
    assert cluster.write("docs", range(1)) == 500
    assert set(replicas(cluster).values()) == {"Active"}
    assert count(cluster, 0) == 1


def test_moving_onto_a_holder_leaves_one_replica_of_two() -> None:
    """Qdrant does not look whether the destination holds the shard, so neither does the simulator."""
    cluster = made(3, shard_number=1, replication_factor=2)
    cluster.write("docs", range(20))
    one, other = replicas(cluster)
    assert transfer(cluster, "move_shard", one, other).status == 200
    cluster.until(lambda: cluster.settled("docs"))
    assert replicas(cluster) == {other: "Active"}
    assert count(cluster, 0) == 20


@pytest.mark.parametrize(("kind", "left"), [("replicate_shard", "Dead"), ("move_shard", None)])
def test_a_transfer_whose_target_dies_is_aborted(kind: str, left: str | None) -> None:
    """A copy leaves a Dead replica behind, a move leaves none; the source keeps its own."""
    cluster = made(3, shard_number=1, replication_factor=1)
    (source,) = replicas(cluster)
    target = outside(cluster)
    through = number_of(cluster, source)
    assert transfer(cluster, kind, source, target, through).status == 200
    cluster.stop(number_of(cluster, target))
    cluster.until(lambda: cluster.settled("docs", through))
    assert replicas(cluster, seen_by=through).get(target) == left
    assert replicas(cluster, seen_by=through)[source] == "Active"


def test_a_transfer_whose_source_dies_lingers_until_it_is_back() -> None:
    """Nobody aborts it for the source; its restart does."""
    cluster = made(3, shard_number=1, replication_factor=1)
    (source,) = replicas(cluster)
    target = outside(cluster)
    through = number_of(cluster, target)
    assert transfer(cluster, "replicate_shard", source, target, through).status == 200
    cluster.stop(number_of(cluster, source))
    cluster.pass_time(300)
    assert not cluster.settled("docs", through)
    cluster.join(number_of(cluster, source), through)
    cluster.until(lambda: cluster.sound("docs", through), within=20)
    assert replicas(cluster, seen_by=through) == {source: "Active", target: "Active"}


def test_a_removed_peer_forgets_its_shards_even_the_last_replica() -> None:
    """By force, a member goes with the only replica of a shard: nothing asks."""
    cluster = made(3, shard_number=1, replication_factor=1)
    (holder,) = replicas(cluster)
    through = next(n for n in range(3) if cluster.peers[n].id != holder)
    assert cluster.call(through, "DELETE", f"/cluster/peer/{holder}").status == 400
    assert cluster.call(through, "DELETE", f"/cluster/peer/{holder}?force=true").status == 200
    cluster.until(lambda: replicas(cluster, seen_by=through) == {}, within=5)
    assert cluster.disks[number_of(cluster, holder)].locals == {}


def test_a_dummy_shard_is_active_and_empty_to_the_eye() -> None:
    """Consensus says Active; telemetry has no number of points, and the variant names it."""
    cluster = made(3, shard_number=1, replication_factor=3)
    cluster.write("docs", range(10))
    cluster.disks[1].locals["docs", 0].dummy = True
    assert replicas(cluster)[cluster.peers[1].id] == "Active"
    told = cluster.call(1, "GET", "/telemetry?details_level=3").body["result"]
    local = told["collections"]["collections"][0]["shards"][0]["local"]
    assert local["variant_name"] == "dummy shard"
    assert "num_points" not in local
    shown = cluster.call(1, "GET", "/collections/docs/cluster").body["result"]["local_shards"]
    assert shown == [{"shard_id": 0, "points_count": 0, "state": "Active"}]


def test_a_large_snapshot_is_made_as_it_is_read() -> None:
    """A file of 64 MiB comes in small chunks whose sum has the size and checksum that were told."""
    cluster = made(1, shard_number=1)
    cluster.write("docs", range(100))
    cluster.peers[0].ballast = 64 * 2**20
    told = cluster.call(0, "POST", "/collections/docs/shards/0/snapshots?wait=true").body["result"]
    answer = cluster.call(0, "GET", f"/collections/docs/shards/0/snapshots/{told['name']}")
    assert answer.stream is not None
    digest, size, largest = hashlib.sha256(), 0, 0
    for chunk in answer.stream():
        digest.update(chunk)
        size, largest = size + len(chunk), max(largest, len(chunk))
    assert (size, digest.hexdigest()) == (told["size"], told["checksum"])
    assert answer.length == size > 64 * 2**20
    assert largest <= 2**18


def test_a_recovered_shard_counts_and_others_copy_from_it() -> None:
    """Priority snapshot: the restored replica is Active, the other Active one becomes Dead and follows it."""
    cluster = made(2, shard_number=1, replication_factor=2)
    cluster.write("docs", range(50))
    told = cluster.call(0, "POST", "/collections/docs/shards/0/snapshots?wait=true").body["result"]
    cluster.write("docs", range(50, 80))
    location = f"http://{cluster.address(0)}:6333/collections/docs/shards/0/snapshots/{told['name']}"
    body = {"location": location, "priority": "snapshot", "checksum": told["checksum"]}
    assert (
        cluster.call(1, "PUT", "/collections/docs/shards/0/snapshots/recover?wait=true", body).status == 200
    )
    cluster.until(lambda: cluster.sound("docs") and count(cluster, 0) == 50, within=20)
    assert count(cluster, 1) == 50


def life(seed: int) -> tuple[list[str], set[int], VirtualCluster]:
    """Kills, restarts, moves and writes at random: what happened, and which points were acknowledged."""
    chance, cluster = Random(seed), VirtualCluster(seed)
    cluster.form(4)
    cluster.call(0, "PUT", "/collections/docs", {**VECTORS, "shard_number": 3, "replication_factor": 3})
    story: list[str] = []
    acknowledged: set[int] = set()
    down: int | None = None
    for turn in range(40):
        entry = next(n for n in range(4) if n != down)
        if down is not None and chance.random() < 0.4:
            cluster.join(down, through=entry)
            story.append(f"start {down}")
            cluster.until(lambda e=entry: cluster.sound("docs", e), within=30)  # type: ignore[misc]
            down = None
        elif down is None and chance.random() < 0.3:
            down = chance.randrange(4)
            cluster.stop(down)
            story.append(f"kill {down}")
        entry = next(n for n in range(4) if n != down)
        ids = range(turn * 10, turn * 10 + 10)
        status = cluster.write("docs", ids, through=entry)
        acknowledged |= set(ids) if status == 200 else set()
        story.append(f"write {status} {cluster.time.now:.6f}")
        _move_something(cluster, chance, entry, story)
        cluster.pass_time(chance.uniform(0, 1.5))
    if down is not None:
        cluster.join(down, through=(down + 1) % 4)
    cluster.until(lambda: all(_agrees(cluster, number) for number in range(4)), within=60)
    return story, acknowledged, cluster


def _agrees(cluster: VirtualCluster, number: int) -> bool:
    """Whether a peer follows, has caught up, and sees every replica Active: a peer just started does not."""
    peer = cluster.peers[number]
    caught_up = peer.leader is not None and peer.disk.applied == len(peer.group.log)
    return caught_up and cluster.sound("docs", number)


def _move_something(cluster: VirtualCluster, chance: Random, entry: int, story: list[str]) -> None:
    """Move a replica to a peer that does not hold the shard, as a careful operator would."""
    collection = cluster.peers[entry].disk.state.collections["docs"]
    shard = chance.choice(list(collection.shards.values()))
    free = [peer for peer in cluster.peers[entry].disk.state.peers if peer not in shard.replicas]
    if not free or chance.random() < 0.5 or not shard.active():
        return
    move = Move(shard.id, chance.choice(shard.active()), free[0], keep_source=False, method="snapshot")
    body = {"shard_id": move.shard, "from_peer_id": move.source, "to_peer_id": move.target}
    answer = cluster.call(entry, "POST", "/collections/docs/cluster", {"move_shard": body})
    story.append(f"move {move} {answer.status}")


@pytest.mark.parametrize("seed", range(25))
def test_no_acknowledged_point_is_lost(seed: int) -> None:
    """Whatever was answered 200 is there on every replica in the end, after kills and moves at random."""
    story, acknowledged, cluster = life(seed)
    assert len(acknowledged) > 300, story
    for shard in cluster.peers[0].disk.state.collections["docs"].shards.values():
        held = [set(_local(cluster, peer, shard.id)) for peer in shard.replicas]
        assert all(one == held[0] for one in held), story
    everything = {
        point for disk in cluster.disks.values() for one in disk.locals.values() for point in one.points
    }
    assert acknowledged <= everything, story


def _local(cluster: VirtualCluster, peer: int, shard: int) -> dict[int | str, object]:
    disk = next(disk for disk in cluster.disks.values() if disk.peer == peer)
    return dict(disk.locals["docs", shard].points)


def test_the_same_seed_tells_the_same_story() -> None:
    """Chance and time come from outside only."""
    assert life(3)[0] == life(3)[0]
    assert life(3)[0] != life(4)[0]
