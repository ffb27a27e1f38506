"""Recordings of a real Qdrant 1.19.0, replayed to the simulator under a virtual clock.

A recorded line says what was asked, when, and what came. What the recording script did between the lines
(starting processes, writing points, waiting) is said by hooks that the tests give by line number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from sandbox.qdrant_sim.core.api.answers import Answer
from sandbox.qdrant_sim.core.choices import Choices
from sandbox.qdrant_sim.core.pace import Pace
from sandbox.qdrant_sim.virtual import VirtualCluster

Json = Any
Line = dict[str, Json]
Placement = Sequence[tuple[int, ...]]
STATUS_ONLY = "only the status counts"
DATA = Path(__file__).parents[1] / "data"


def lines(name: str) -> list[Line]:
    """A recording, line by line."""
    return [json.loads(line) for line in (DATA / name).read_text().splitlines()]


class Recorded(Choices):
    """Chance as it fell in the recording: peer ids by address, in order, and placements by collection."""

    def __init__(self, ids: Mapping[str, Sequence[int]], placed: Mapping[str, Sequence[Placement]]) -> None:
        super().__init__(Random(1))
        self.winners: list[int] = []
        """Who wins elections, in order."""
        self.telling = 0
        """The shard that gives a collection's configuration."""
        self._ids = {address: list(some) for address, some in ids.items()}
        self._placed = {name: list(some) for name, some in placed.items()}

    def peer_id(self, address: str) -> int:
        return self._ids[address].pop(0)

    def winner(self, candidates: Sequence[int]) -> int:
        return self.winners.pop(0) if self.winners else super().winner(candidates)

    def telling_shard(self, name: str, shards: Sequence[int]) -> int:
        return self.telling if self.telling in shards else shards[0]

    def place(self, name: str, shards: int, factor: int, peers: Sequence[int]) -> list[tuple[int, ...]]:
        recorded = self._placed.get(name)
        return list(recorded.pop(0)) if recorded else super().place(name, shards, factor, peers)


class Replay(VirtualCluster):
    """A simulated cluster that is asked what the recorded one was asked."""

    def __init__(self, choices: Recorded) -> None:
        super().__init__(choices=choices)
        self.choices = choices
        self.universe.pace = Pace(transfer=0.6, commit=0.045, apply=(0.012, 0.02))
        self._scene, self._base = "", 0.0
        self.renamed: dict[str, str] = {}
        """Recorded names and checksums of snapshots, and the simulator's."""

    def ask(self, line: Line) -> tuple[Answer, float]:
        """Ask what a line asked, when it asked; the answer and how long it took."""
        self.arrive(line)
        path, body = self._translated(line["path"]), self._translated(line["body"])
        began = self.time.now
        answer = self.call(line["peer"], line["method"], path, body)
        self._learn(line, answer)
        return answer, self.time.now - began

    def arrive(self, line: Line) -> None:
        """Let time pass until a line begins."""
        if line["scene"] != self._scene:
            self._scene, self._base = line["scene"], self.time.now
        self.time.advance(max(self.time.now, self._base + line["t"] - line.get("seconds", 0.0)))

    def _translated(self, value: Json) -> Json:
        text = json.dumps(value)
        for recorded, ours in self.renamed.items():
            text = text.replace(recorded, ours)
        return json.loads(text)

    def _learn(self, line: Line, answer: Answer) -> None:
        """Remember what our snapshot is called."""
        if line["method"] == "POST" and "/snapshots" in line["path"] and answer.status == 200:
            theirs, ours = line["answer"]["result"], answer.body["result"]
            self.renamed |= {theirs["name"]: ours["name"], theirs["checksum"]: ours["checksum"]}


# -- what is compared ---------------------------------------------------------------------------------------


def compared(line: Line, answer: Json, renamed: Mapping[str, str]) -> Json:
    """The part of an answer that must be equal; `STATUS_ONLY` where nothing else counts.

    | answers | compared | not compared, and why |
    |---|---|---|
    | any error | the message, word for word | JSON positions: they count bytes of the client's formatting |
    | /, /healthz, /livez, /readyz, 401 texts | whole | |
    | GET /cluster | members, URIs, leader, role, vote, consensus thread | term, commit, times, send failures |
    | GET /cluster/telemetry | who answers, roles, replica states | sizes, terms, commits, votes in motion |
    | GET /telemetry | version, states, local shards, transfers, metadata | machine, requests, segments, sizes |
    | GET /collections/x | configuration, schema, points, status | queue length: a matter of milliseconds |
    | GET /collections/x/cluster | shards, keys, states, transfers, empty or not | points by shard: Qdrant's hash |
    | lists, aliases, keys, metadata, counts | whole | |
    | snapshots | names without date, which fields there are | sizes and sums: the files are our own format |
    | point writes | status of the operation | operation numbers |
    | /metrics | status only | the text is a selection |
    """
    path = line["path"].partition("?")[0]
    if "raw" in answer:
        return STATUS_ONLY if path == "/metrics" else answer["raw"]
    if "status" in answer and isinstance(answer["status"], dict):
        return _message(answer["status"]["error"], renamed)
    if "result" not in answer:
        return answer
    for pattern, project in PROJECTIONS:
        if re.fullmatch(pattern, f"{line['method']} {path}"):
            return project(answer["result"])
    return answer["result"]


def _message(text: str, renamed: Mapping[str, str]) -> Json:
    for recorded, ours in renamed.items():
        text = text.replace(recorded, ours)
    return sorted(re.sub(r"at line 1 column \d+", "at line 1 column N", text).split("\n"))


def _cluster(result: Json) -> Json:
    raft = result["raft_info"]
    return {
        "id": result["peer_id"],
        "peers": result["peers"],
        "raft": {name: raft[name] for name in ("leader", "role", "is_voter", "pending_operations")},
        "thread": result["consensus_thread_status"]["consensus_thread_status"],
    }


def _cluster_telemetry(result: Json) -> Json:
    peers = {
        peer: (about["uri"], about["responsive"], (about["details"] or {}).get("role"))
        for peer, about in result["cluster"]["peers"].items()
    }
    spread = {
        name: {
            shard["id"]: {replica["peer_id"]: replica["state"] for replica in shard["replicas"]}
            for shard in about.get("shards", ())
        }
        for name, about in result["collections"].items()
    }
    return peers, spread


def _telemetry(result: Json) -> Json:
    collections = {
        one["id"]: (
            one["config"]["params"],
            one["transfers"],
            one["resharding"],
            {
                shard["id"]: (
                    shard["key"],
                    shard["replicate_states"],
                    (shard["local"] or {}).get("variant_name"),
                )
                for shard in one["shards"]
            },
        )
        for one in result["collections"]["collections"]
    }
    own = result["cluster"]
    told = {
        name: own[name] for name in ("enabled", "peers", "peer_metadata", "metadata", "resharding_enabled")
    }
    return result["app"]["version"], collections, told


def _info(result: Json) -> Json:
    return {name: value for name, value in result.items() if name != "update_queue"}


def _layout(result: Json) -> Json:
    mine = [
        (s["shard_id"], s.get("shard_key"), s["state"], s["points_count"] > 0) for s in result["local_shards"]
    ]
    others = [(s["shard_id"], s.get("shard_key"), s["peer_id"], s["state"]) for s in result["remote_shards"]]
    return (
        result["peer_id"],
        result["shard_count"],
        sorted(mine, key=str),
        sorted(others, key=str),
        [
            {name: value for name, value in move.items() if name != "comment"}
            for move in result["shard_transfers"]
        ],
    )


def _snapshots(result: Json) -> Json:
    if isinstance(result, list):
        return [_snapshots(one) for one in result]
    return (
        (re.sub(r"\d{4}(-\d\d){5}", "DATE", result["name"]), sorted(result))
        if isinstance(result, dict)
        else result
    )


PROJECTIONS: tuple[tuple[str, Callable[[Json], Json]], ...] = (
    (r"GET /cluster", _cluster),
    (r"GET /cluster/telemetry", _cluster_telemetry),
    (r"GET /telemetry", _telemetry),
    (r"GET /collections/[^/]+", _info),
    (r"GET /collections/[^/]+/cluster", _layout),
    (r"\w+ .*/snapshots(/.*)?", _snapshots),
    (
        r"PUT /collections/[^/]+/(points|index)|DELETE /collections/[^/]+/index/.*",
        lambda result: result["status"],
    ),
)
