"""The simulator's consensus: who is a member, who leads, what a majority decides. Under a virtual clock."""

from __future__ import annotations

import pytest

from sandbox.qdrant_sim.core.api.answers import Answer
from sandbox.qdrant_sim.core.universe import PANIC
from sandbox.qdrant_sim.virtual import VirtualCluster

BODY = {"vectors": {"size": 4, "distance": "Dot"}, "shard_number": 2, "replication_factor": 3}


@pytest.fixture
def cluster() -> VirtualCluster:
    """Three peers that agree."""
    made = VirtualCluster()
    made.form(3)
    return made


def raft(answer: Answer) -> dict[str, object]:
    """`raft_info` of an answer to GET /cluster."""
    info: dict[str, object] = answer.body["result"]["raft_info"]
    return info


def test_a_joiner_whose_bootstrap_peer_does_not_answer_panics() -> None:
    """Exit code 101 at once: the restart policy carries it."""
    cluster = VirtualCluster()
    assert cluster.join(1).exit_code == PANIC
    assert "bootstrap" in cluster.peers[1].log[-1]


def test_a_peer_without_bootstrap_forms_its_own_cluster(cluster: VirtualCluster) -> None:
    """A wiped first peer that is started alone becomes a second cluster under its old address."""
    old = cluster.peers[0].id
    cluster.stop(0)
    lonely = cluster.start(0, wipe=True)
    assert list(lonely.disk.state.peers) == [lonely.id]
    assert cluster.call(0, "GET", "/readyz").status == 200
    assert old in cluster.peers[1].disk.state.peers


def test_a_restarted_peer_keeps_its_id_and_ignores_bootstrap(cluster: VirtualCluster) -> None:
    """Raft state on the volume counts, not the flags."""
    before = cluster.peers[2].id
    cluster.stop(2)
    assert cluster.join(2, through=0).id == before
    assert len(cluster.peers[0].disk.state.peers) == 3


def test_an_empty_old_member_is_replaced_by_a_joiner_of_its_uri(cluster: VirtualCluster) -> None:
    """A lost volume that held no shard: the old id goes, the new one comes."""
    old = cluster.peers[2].id
    cluster.stop(2)
    new = cluster.join(2, wipe=True)
    cluster.until(lambda: new.id in cluster.peers[0].disk.state.voters)
    assert old not in cluster.peers[0].disk.state.peers
    assert len(cluster.peers[0].disk.state.peers) == 3


def test_a_joiner_that_was_killed_joins_again_with_its_id(cluster: VirtualCluster) -> None:
    """Consensus may know it already and have placed shards on it; only another id is refused (raft_api.rs)."""
    joiner = cluster.launch(3, "--bootstrap", "http://127.0.1.1:6335")
    cluster.until(lambda: joiner.disk.peer != 0)
    cluster.stop(3)
    cluster.until(lambda: joiner.disk.peer in cluster.peers[0].disk.state.peers)
    cluster.call(0, "PUT", "/collections/docs", {**BODY, "replication_factor": 4})
    assert cluster.peers[0].disk.state.holds_shards(joiner.disk.peer)
    again = cluster.join(3)
    cluster.until(lambda: again.id in cluster.peers[0].disk.state.voters)
    assert again.id == joiner.disk.peer


def test_all_peers_restarted_at_once_are_the_same_cluster(cluster: VirtualCluster) -> None:
    """Everybody is killed and started again: the same ids, one leader, and writes go on."""
    cluster.call(0, "PUT", "/collections/docs", BODY)
    cluster.write("docs", range(50))
    ids = {peer.id for peer in cluster.peers.values()}
    for number in range(3):
        cluster.stop(number)
    for number in range(3):
        cluster.launch(number, "--bootstrap", f"http://{cluster.address((number + 1) % 3)}:6335")
    cluster.until(lambda: all(cluster.peers[n].running and cluster.peers[n].leader for n in range(3)))
    assert {peer.id for peer in cluster.peers.values()} == ids
    assert len({peer.leader for peer in cluster.peers.values()}) == 1
    assert cluster.write("docs", range(50, 60)) == 200
    count = cluster.call(1, "POST", "/collections/docs/points/count", {"exact": True})
    assert count.body["result"]["count"] == 60


def test_a_follower_without_quorum_becomes_a_candidate(cluster: VirtualCluster) -> None:
    """The leader and another peer die: the survivor knows no leader, and calls end after their time."""
    leader = next(n for n in range(3) if cluster.peers[n].role == "Leader")
    survivor = (leader + 1) % 3
    for number in {0, 1, 2} - {survivor}:
        cluster.stop(number)
    cluster.pass_time(10)
    info = raft(cluster.call(survivor, "GET", "/cluster"))
    assert (info["role"], info["leader"]) == ("Candidate", None)
    began = cluster.time.now
    failed = cluster.call(survivor, "PUT", "/collections/docs?timeout=4", BODY)
    assert failed.status == 500
    assert "leader is not established" in failed.body["status"]["error"]
    assert cluster.time.now - began == pytest.approx(4)


def test_a_partitioned_leader_goes_on_saying_so_until_it_hears_of_a_newer_term(
    cluster: VirtualCluster,
) -> None:
    """The majority elects another; after the partition the old leader follows, and knows what was decided."""
    old = next(n for n in range(3) if cluster.peers[n].role == "Leader")
    others = [n for n in range(3) if n != old]
    cluster.universe.partition({cluster.address(old)}, {cluster.address(n) for n in others})
    cluster.pass_time(5)
    assert raft(cluster.call(old, "GET", "/cluster"))["role"] == "Leader"
    new = next(n for n in others if cluster.peers[n].role == "Leader")
    assert cluster.call(new, "PUT", "/cluster/metadata/keys/k?wait=true", "v").status == 200
    assert cluster.call(old, "GET", "/cluster/metadata/keys/k").body["result"] is None
    cluster.universe.heal()
    cluster.pass_time(1)
    info = raft(cluster.call(old, "GET", "/cluster"))
    assert (info["role"], info["leader"]) == ("Follower", cluster.peers[new].id)
    assert cluster.call(old, "GET", "/cluster/metadata/keys/k").body["result"] == "v"


def test_a_call_that_ran_out_of_time_may_still_be_carried_out(cluster: VirtualCluster) -> None:
    """The leader without quorum answers 500; when the others are back, the collection appears."""
    leader = next(n for n in range(3) if cluster.peers[n].role == "Leader")
    others = [n for n in range(3) if n != leader]
    for number in others:
        cluster.stop(number)
    late = cluster.call(leader, "PUT", "/collections/docs?timeout=2", BODY)
    assert (late.status, "Timeout set at: 2 seconds" in late.body["status"]["error"]) == (500, True)
    for number in others:
        cluster.join(number, through=leader)
    cluster.until(lambda: all("docs" in cluster.peers[n].disk.state.collections for n in range(3)))


def test_a_paused_peer_is_not_responsive_and_costs_time(cluster: VirtualCluster) -> None:
    """SIGSTOP: /cluster/telemetry says so after seconds, where a dead peer is noticed at once."""
    cluster.universe.pause(cluster.peers[2], paused=True)
    began = cluster.time.now
    answer = cluster.call(0, "GET", "/cluster/telemetry")
    hung = answer.body["result"]["cluster"]["peers"][str(cluster.peers[2].id)]
    assert not hung["responsive"]
    assert cluster.time.now - began > 5
    cluster.universe.pause(cluster.peers[2], paused=False)
    cluster.pass_time(1)
    back = cluster.call(0, "GET", "/cluster/telemetry").body["result"]["cluster"]["peers"]
    assert all(peer["responsive"] for peer in back.values())


def test_a_removed_leader_leaves_a_cluster_that_elects(cluster: VirtualCluster) -> None:
    """The leader is removed through a follower: it stops for good, the others go on."""
    leader = next(n for n in range(3) if cluster.peers[n].role == "Leader")
    other = (leader + 1) % 3
    gone = cluster.peers[leader].id
    assert cluster.call(other, "DELETE", f"/cluster/peer/{gone}").status == 200
    cluster.until(lambda: cluster.peers[other].leader not in (gone, None))
    assert gone not in cluster.peers[other].disk.state.peers
    told = cluster.call(leader, "GET", "/cluster").body["result"]
    assert told["consensus_thread_status"] == {"consensus_thread_status": "stopped"}
    assert list(told["peers"]) == [str(gone)]


def test_a_new_uri_is_told_to_the_others_or_the_start_fails(cluster: VirtualCluster) -> None:
    """One peer may change its URI while another answers; nobody there to tell means exit 101."""
    cluster.stop(2)
    moved = cluster.start(2, "--uri", "http://elsewhere.example:6335")
    cluster.until(
        lambda: cluster.peers[0].disk.state.peers[moved.id] == "http://elsewhere.example:6335", within=5
    )
    for number in range(3):
        cluster.stop(number)
    assert cluster.start(1, "--uri", "http://again.example:6335").exit_code == PANIC


def test_a_hundred_idle_clusters_have_nothing_due() -> None:
    """300 peers that agree and are left alone cost no event at all."""
    cluster = VirtualCluster()
    for first in range(0, 300, 3):
        cluster.start(first)
        cluster.join(first + 1, through=first)
        cluster.join(first + 2, through=first)
    cluster.pass_time(120)
    assert all(len(peer.disk.state.voters) == 3 for peer in cluster.peers.values())
    assert cluster.time.next_due() is None
