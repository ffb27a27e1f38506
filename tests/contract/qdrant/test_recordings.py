"""The simulator answers what a real Qdrant 1.19.0 answered: same status codes, and the same where it matters."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from sandbox.qdrant_sim.core.api.answers import Answer
from tests.contract.qdrant.recordings import (
    STATUS_ONLY,
    Json,
    Line,
    Placement,
    Recorded,
    Replay,
    compared,
    lines,
)

Hook = Callable[[Replay], None]
LIFE = "qdrant-1.19.0.jsonl"
FAULTS = "qdrant-1.19.0-faults.jsonl"
A, B, C, D, E = 8162269287948802, 4492186111732377, 4870310864117088, 1586567074913635, 3796518639947778
METRICS = 3
"""Answers of /metrics in the recording: compared by status only."""
KEYS = {
    "QDRANT__SERVICE__API_KEY": "main",
    "QDRANT__SERVICE__ALT_API_KEY": "next",
    "QDRANT__SERVICE__READ_ONLY_API_KEY": "read",
}


def said(answer: Answer) -> Json:
    """An answer as the recordings write it down."""
    if answer.dropped:
        return {"error": "Remote end closed connection without response"}
    return {"raw": answer.text} if answer.text is not None else answer.body


def replay(story: list[tuple[int, Line]], cluster: Replay, hooks: Mapping[int, Hook]) -> int:
    """Ask everything, and compare; how many answers were compared by more than their status."""
    by_body = 0
    for number, line in story:
        cluster.arrive({**line, "seconds": line.get("seconds", 0.0)})
        if number in hooks:
            hooks[number](cluster)
        if "path" not in line:
            continue
        answer, took = cluster.ask(line)
        where = f"line {number + 1}: {line['method']} {line['path']} of peer {line['peer']}"
        assert answer.status == line["status"], f"{where}: {said(answer)}"
        wanted = compared(line, line["answer"], cluster.renamed)
        assert compared(line, said(answer), {}) == wanted, where
        by_body += wanted != STATUS_ONLY
        if line["seconds"] >= 3:
            assert took == pytest.approx(line["seconds"], rel=0.2), f"{where} took another time"
    return by_body


def key(value: str | None) -> Hook:
    """From here on, send this key."""

    def hook(cluster: Replay) -> None:
        cluster.key = value

    return hook


def then(*steps: Hook) -> Hook:
    """Several hooks in a row."""

    def hook(cluster: Replay) -> None:
        for step in steps:
            step(cluster)

    return hook


def restart_two(cluster: Replay) -> None:
    """Peers 1 and 2 come back to a survivor without quorum, and are waited for."""
    cluster.launch(1, "--bootstrap", "http://127.0.1.1:6335")
    cluster.launch(2, "--bootstrap", "http://127.0.1.1:6335")
    for number in range(3):
        cluster.until(lambda number=number: cluster.ready(number))  # type: ignore[misc]


def one_alone_with_keys(cluster: Replay) -> None:
    """Everything is killed and wiped; one peer starts with keys."""
    for number in (1, 2):
        cluster.stop(number)
    cluster.start(0, env=KEYS, wipe=True)


def test_the_recorded_life_of_a_cluster() -> None:
    """Bootstrap, bad input, moves, removal, kills, lost volume, lost quorum, snapshots, keys: all as recorded."""
    ids = {"127.0.1.1": [A, 4679147545060602], "127.0.1.2": [B], "127.0.1.3": [C, E], "127.0.1.4": [D]}
    placed: dict[str, list[Placement]] = {
        "docs": [[(A, B), (B, C), (A, C), (A, B)]],
        "copy": [[(E,), (A,), (B,), (E,)]],
        "keyed": [[(A, B), (A, B)], [(A, B)]],
    }
    cluster = Replay(Recorded(ids, placed))
    cluster.choices.winners = [B]
    story = list(enumerate(lines(LIFE)))
    hooks = {**_between_the_lines(), _first(story, "/collections/docs", "GET"): _bulk}
    assert replay(story, cluster, hooks) == sum("path" in line for _, line in story) - METRICS


def _between_the_lines() -> dict[int, Hook]:
    """What the recording script did before each of these lines of the life."""
    return {
        0: lambda c: c.form(3),
        45: _tell_by(1),
        46: _tell_by(0),
        54: lambda c: _joined(c, 3, 1),
        63: lambda c: c.until(lambda: c.settled("docs")),
        73: lambda c: c.until(lambda: c.settled("docs")),
        78: lambda c: c.until(lambda: c.settled("docs")),
        81: lambda c: c.until(lambda: c.settled("docs")),
        86: lambda c: c.stop(3, 15),
        87: lambda c: _still_running(c, 3),
        90: lambda c: c.stop(3, 15),
        91: lambda c: c.stop(2),
        92: lambda c: _all_dead(c, C),
        99: lambda c: _back(c, 2),
        101: lambda c: c.until(lambda: c.sound("docs")),
        102: lambda c: _counts(c, 20100),
        103: lambda c: c.stop(2),
        104: lambda c: _cannot_join(c, 2),
        110: lambda c: _joined(c, 2, 0, wipe=True),
        113: lambda c: c.until(lambda: c.settled("docs")),
        114: lambda c: c.until(lambda: c.settled("docs")),
        115: lambda c: c.stop(1),
        116: lambda c: c.stop(2),
        121: _write_without_quorum,
        124: restart_two,
        127: lambda c: c.until(lambda: c.sound("docs")),
        157: lambda c: c.stop(0, 15),
        158: lambda c: c.until(lambda: c.peers[1].leader not in (A, None), within=3.5),
        161: one_alone_with_keys,
        163: key(None),
        168: key("main"),
        172: key("next"),
        176: key("read"),
        181: key("wrong"),
    }


def _tell_by(shard: int) -> Hook:
    """From here on this shard gives the configuration: right after a change a remote one gave the old one."""

    def hook(cluster: Replay) -> None:
        cluster.choices.telling = shard

    return hook


def _first(story: list[tuple[int, Line]], path: str, method: str) -> int:
    return next(n for n, line in story if line.get("path") == path and line["method"] == method)


def _bulk(cluster: Replay) -> None:
    assert cluster.write("docs", range(20000), size=64) == 200


def _joined(cluster: Replay, number: int, through: int, *, wipe: bool = False) -> None:
    """A peer joins; everybody knows it before it knows the collections."""
    peer = cluster.join(number, through, wipe=wipe)
    cluster.until(lambda: all(peer.id in one.disk.state.peers for one in cluster.universe.peers.values()))


def _still_running(cluster: Replay, number: int) -> None:
    """A removed peer starts again on its old volume, and stays outside."""
    peer = cluster.join(number, 1)
    cluster.pass_time(6)
    assert peer.running


def _all_dead(cluster: Replay, peer: int) -> None:
    """One batch of writes, and every replica of the killed peer is Dead within the recorded time."""
    began = cluster.time.now
    assert cluster.write("docs", range(100000, 100100), size=64) == 200
    assert cluster.time.now - began < 0.6
    shards = cluster.peers[0].disk.state.collections["docs"].shards.values()
    assert {shard.replicas[peer] for shard in shards if peer in shard.replicas} == {"Dead"}


def _back(cluster: Replay, number: int) -> None:
    """A killed peer comes back and is ready once its replicas are sound, without help."""
    peer = cluster.join(number)
    cluster.until(peer.look_ready, within=6.0)


def _counts(cluster: Replay, points: int) -> None:
    """Every peer counts the same."""
    for number in range(3):
        answer = cluster.call(number, "POST", "/collections/docs/points/count", {"exact": True})
        assert answer.body["result"]["count"] == points


def _cannot_join(cluster: Replay, number: int) -> None:
    """An empty volume under an old URI: exit 101, and it says why."""
    peer = cluster.join(number, wipe=True)
    assert peer.exit_code == 101
    assert "still has shards, remove its shards first or use a different URI" in peer.log[-1]


def _write_without_quorum(cluster: Replay) -> None:
    """Failed replicas cannot be marked Dead: the write ends after 30 s, as an error."""
    began = cluster.time.now
    assert cluster.write("docs", range(900000, 900010), size=64) == 500
    assert cluster.time.now - began == pytest.approx(30, rel=0.05)


def scene(beginning: str) -> list[tuple[int, Line]]:
    """The lines of one scene of the faults."""
    return [(n, line) for n, line in enumerate(lines(FAULTS)) if line["scene"].startswith(beginning)]


def test_the_last_replica_is_lost_then_restored() -> None:
    """A shard without any replica: what fails and how, and that a recovery over HTTP brings it back."""
    a, b, c, d = 3066231504010274, 8123203657406515, 5032094585892798, 3462475683439621
    ids = {"127.0.1.1": [a], "127.0.1.2": [b], "127.0.1.3": [c, d]}
    cluster = Replay(Recorded(ids, {"solo": [[(a,), (b,), (c,)]]}))
    story = scene("the last replica")
    kept: list[bytes] = []

    def keep_and_kill(cluster: Replay) -> None:
        kept.extend(_file(cluster, 2))
        cluster.stop(2)

    cluster.universe.fetch = lambda url, key, tell: tell(b"".join(kept))
    hooks: dict[int, Hook] = {
        82: lambda c: c.form(3),
        83: lambda c: _filled(c, "solo"),
        85: keep_and_kill,
        91: lambda c: _joined(c, 2, 0, wipe=True),
        92: lambda c: c.until(lambda: "solo" in c.peers[2].disk.state.collections, within=1.0),
    }
    assert replay(story, cluster, hooks) == sum("path" in line for _, line in story)


def _filled(cluster: Replay, name: str) -> None:
    assert cluster.write(name, range(9000), size=64) == 200


def _file(cluster: Replay, number: int) -> list[bytes]:
    (files,) = cluster.disks[number].snapshots.values()
    (file,) = files.values()
    return list(file.chunks())


def test_two_of_three_volumes_are_lost_for_ever() -> None:
    """Nothing can be removed without quorum; --reinit makes the survivor a cluster that others can join."""
    a, b, c = 5161197998903929, 61061896083534, 8788361650094093
    ids = {"127.0.1.1": [a], "127.0.1.2": [b, 3610879352637636], "127.0.1.3": [c, 5137183671763875]}
    cluster = Replay(Recorded(ids, {"docs": [[(a, b, c)] * 3]}))
    story = [(n, line) for n, line in scene("two of three") if n >= 38]
    hooks: dict[int, Hook] = {
        38: lambda c: c.form(3),
        39: then(lambda c: _filled(c, "docs"), lambda c: c.stop(1)),
        40: lambda c: c.stop(2),
        42: lambda c: c.stop(0, 15),
        43: _reinit,
        47: lambda c: _rejoins(c, 1),
        52: lambda c: _joined(c, 2, 0, wipe=True),
    }
    assert replay(story, cluster, hooks) == sum("path" in line for _, line in story)


def _reinit(cluster: Replay) -> None:
    assert cluster.start(0, "--reinit").running


def _rejoins(cluster: Replay, number: int) -> None:
    assert cluster.join(number, wipe=True).running


def test_keys_are_rotated_in_three_rolls() -> None:
    """After each restart every key is accepted exactly where it was, and every write succeeds."""
    ids = {"127.0.1.1": [7491172732328661], "127.0.1.2": [6112084593078170], "127.0.1.3": [7867014019491483]}
    a, b, c = (some[0] for some in ids.values())
    cluster = Replay(Recorded(ids, {"docs": [[(a, c), (a, b), (c, b)]]}))
    cluster.key = "old"
    story = [(n, line) for n, line in scene("api key rotation") if n >= 58]
    rolls = (("old", "new"), ("new", "old"), ("new", None))
    hooks: dict[int, Hook] = {58: lambda c: c.form(3, env=_keys("old", None))}
    for number, line in story:
        if line.get("event") == "rolled":
            hooks[number] = _rolled(line, *rolls[line["roll"] - 1])
    assert replay(story, cluster, hooks) == sum("path" in line for _, line in story)


def _keys(main: str, alternate: str | None) -> dict[str, str]:
    also = {"QDRANT__SERVICE__ALT_API_KEY": alternate} if alternate else {}
    return {"QDRANT__SERVICE__API_KEY": main, **also}


def _rolled(line: Line, main: str, alternate: str | None) -> Hook:
    def hook(cluster: Replay) -> None:
        number = line["peer"]
        cluster.stop(number, 15)
        peer = cluster.join(number, (number + 1) % 3, env=_keys(main, alternate))
        cluster.until(peer.look_ready, within=6.0)
        for asked, status in line["answers"].items():
            _, which, _, cluster.key = asked.split()
            assert cluster.call(int(which), "GET", "/cluster").status == status, asked
        cluster.key = main
        points = [{"id": i, "vector": [1, 0, 0, i]} for i in range(30)]
        path = "/collections/docs/points?wait=true"
        assert cluster.call(number, "PUT", path, {"points": points}).status == line["write"][0]

    return hook
