"""What the peers of a cluster say of themselves, asked one by one from inside the cluster."""

from __future__ import annotations

from e2e.kubectl import NAME, Kubectl, peers_of
from e2e.load import Load

COLLECTION = "docs"


def pods(home: Kubectl) -> dict[str, str]:
    """Names of the peers' pods, and their uids: the same ones mean that none was replaced."""
    return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in home.all("pods", peers_of(NAME))}


def restarts(home: Kubectl) -> dict[str, int]:
    """How often the container of each pod was started anew."""
    return {
        pod["metadata"]["name"]: sum(one["restartCount"] for one in pod["status"]["containerStatuses"])
        for pod in home.all("pods", peers_of(NAME))
    }


def holders(load: Load, pod: str) -> dict[int, set[int]]:
    """Shards and the peers that hold them, as one peer says; every replica must be Active."""
    view = load.ask(pod, f"/collections/{COLLECTION}/cluster")
    here = [(one["shard_id"], view["peer_id"], one["state"]) for one in view["local_shards"]]
    there = [(one["shard_id"], one["peer_id"], one["state"]) for one in view["remote_shards"]]
    assert {state for *_, state in here + there} == {"Active"}, f"{pod}: {here + there}"
    found: dict[int, set[int]] = {}
    for shard, peer, _ in here + there:
        found.setdefault(shard, set()).add(peer)
    return found


def at_factor(home: Kubectl, load: Load, factor: int) -> None:
    """Every peer knows the same members, and the same holders of every shard: exactly `factor` of them."""
    names = list(pods(home))
    views = [holders(load, pod) for pod in names]
    assert all(view == views[0] for view in views), views
    assert {len(peers) for peers in views[0].values()} == {factor}
    members = [frozenset(load.ask(pod, "/cluster")["peers"]) for pod in names]
    assert len(set(members)) == 1, members
    assert len(members[0]) == len(names)
