"""What the peers of a cluster say of themselves, asked one by one from inside the cluster."""

from __future__ import annotations

from e2e.environment.kubectl import NAME, Kubectl, peers_of
from e2e.load import SETTLES_WITHIN, Load
from e2e.shell import eventually

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


def at_factor(home: Kubectl, load: Load, factor: int) -> None:
    """Every peer knows the same members, and the same holders of every shard: `factor` of them, every one Active.

    Not in the first moment: a request that did not reach a peer before may fail as late as `RETURN_SECONDS` after it is
    back, and calls its replica Dead, which Qdrant then heals.
    """
    eventually(lambda: not _wrong(home, load, factor), SETTLES_WITHIN, lambda: _wrong(home, load, factor))


def _wrong(home: Kubectl, load: Load, factor: int) -> str:
    """The first thing that is not as `at_factor` says; empty when everything is."""
    names = list(pods(home))
    views = {pod: _replicas(load, pod) for pod in names}
    members = {pod: frozenset(load.ask(pod, "/cluster")["peers"]) for pod in names}
    if len(set(members.values())) > 1 or any(len(known) != len(names) for known in members.values()):
        return f"members differ: {members}"
    ill = {pod: [one for one in view if one[2] != "Active"] for pod, view in views.items()}
    if any(ill.values()):
        return f"not every replica is Active: {ill}"
    if len(set(views.values())) > 1:
        return f"the peers differ: {views}"
    shards = [shard for shard, *_ in views[names[0]]]
    odd = {shard for shard in shards if shards.count(shard) != factor}
    return f"shards {odd} do not have {factor} replicas: {views[names[0]]}" if odd or not shards else ""


def _replicas(load: Load, pod: str) -> frozenset[tuple[int, int, str]]:
    """Shard, peer and state of every replica, as one peer says."""
    view = load.ask(pod, f"/collections/{COLLECTION}/cluster")
    here = [(one["shard_id"], view["peer_id"], one["state"]) for one in view["local_shards"]]
    there = [(one["shard_id"], one["peer_id"], one["state"]) for one in view["remote_shards"]]
    return frozenset(here + there)
