"""A recorded state is read back as it was, holds no key, and gives the plan that the cluster gave."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from qdrant_operator.commands import recording
from qdrant_operator.commands.inspect import Inspection, inspect_cluster, replayed
from qdrant_operator.commands.readonly import ReadOnlyKubernetes, ReadOnlyQdrant
from qdrant_operator.commands.recording import RecordedKubernetes, RecordedPeers, Recording
from qdrant_operator.commands.what_if import NOTHING, parse
from qdrant_operator.domain.common.errors import Refused, Retryable
from qdrant_operator.domain.common.kinds import Endpoint, Kind, Manifest
from qdrant_operator.domain.qdrant.views import PeerId, ReplicaState, ShardId, Transfer
from tests.commands.worlds import NOW, recorded, silent, wanting

KEY = "the key that nobody may read"


def with_secret(found: Recording, name: str, values: dict[str, str]) -> Recording:
    """The same with these values in a Secret, which is made where it is missing."""
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    meta = {"name": name, "namespace": "default", "uid": name, "resourceVersion": "3", "managedFields": [KEY]}
    fresh: Manifest = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": data}
    kept = tuple((kind, one) for kind, one in found.objects if one["metadata"]["name"] != name)
    return replace(found, objects=(*kept, (Kind.SECRET, fresh)))


async def recorded_again(found: Recording) -> tuple[Inspection, str]:
    """Look at a state as at a cluster, and save what was read."""
    kubernetes = ReadOnlyKubernetes(RecordedKubernetes(found), NOTHING)
    qdrant = ReadOnlyQdrant(RecordedPeers(found), NOTHING)
    seen = await inspect_cluster(kubernetes, qdrant, "default", "vectors", NOW)
    taken = recording.record("default", "vectors", NOW, kubernetes, qdrant)
    plain = await replayed(taken, NOTHING)
    return seen, recording.rehashed(recording.dump(taken), seen.decision.desired, plain.decision.desired)


def test_a_file_gives_back_what_was_saved() -> None:
    """Objects, views with states, transfers and silence, moment and keys."""
    moving = Transfer(ShardId(0), PeerId(100), PeerId(102), "snapshot", keeps_source=False)
    found = silent(recorded(states={(1, 2): ReplicaState.DEAD}, transfers=(moving,)), 1)
    found = replace(found, keys={"a": {"b": 1}})
    assert recording.load(recording.dump(found), "file") == found


async def test_a_recorded_look_is_repeated() -> None:
    """Recording a recorded state gives a state with the same plan and the same picture of shards."""
    found = wanting(silent(recorded(), 2), replicas=5)
    seen, text = await recorded_again(found)
    again = await replayed(recording.load(text, "file"), NOTHING)
    assert (again.plan, again.layout) == (seen.plan, seen.layout)
    assert replace(again.decision.observed, objects={}) == replace(seen.decision.observed, objects={})
    assert seen.plan.steps or seen.plan.blocked


async def test_a_file_holds_no_key_and_hashes_still_agree() -> None:
    """Given, generated and read-only keys are placeholders; the healthy cluster is still healthy on the file."""
    keys = {
        "apiKey": {"secretRef": {"name": "given", "key": "k"}},
        "readOnlyApiKey": {"secretRef": {"name": "ro", "key": "k"}},
    }
    found = recorded(spec={"auth": keys})
    found = with_secret(with_secret(found, "given", {"k": "secret", "other": KEY}), "ro", {"k": KEY})
    seen, _ = await recorded_again(found)
    settled = carried_out(found, seen)
    seen, text = await recorded_again(settled)
    assert seen.plan.steps == ()
    assert KEY not in text
    assert base64.b64encode(KEY.encode()).decode() not in text
    assert base64.b64encode(b"secret").decode() not in text
    again = await replayed(recording.load(text, "file"), NOTHING)
    assert again.plan == seen.plan
    assert again.decision.desired.credentials != seen.decision.desired.credentials


def carried_out(found: Recording, seen: Inspection) -> Recording:
    """The same after every object was applied and every pod restarted from the new template."""
    wanted = {(d.kind, d.name): d.manifest for d in seen.decision.changes.drift}
    template = wanted[Kind.STATEFUL_SET, "vectors"]["spec"]["template"]["metadata"]["annotations"]

    def done(kind: Kind, one: Manifest) -> Manifest:
        meta = one["metadata"]
        if kind is Kind.POD:
            return {**one, "metadata": {**meta, "annotations": {**meta["annotations"], **template}}}
        applied = wanted.get((kind, meta["name"]), {})
        return {**one, **applied, "metadata": {**meta, **applied.get("metadata", {})}}

    return replace(found, objects=tuple((kind, done(kind, one)) for kind, one in found.objects))


async def test_a_changed_key_is_still_another_one() -> None:
    """Equal values get equal placeholders and different ones different: the guard speaks on the file too."""
    keys = {"apiKey": {"secretRef": {"name": "given", "key": "k"}}}
    seen, text = await recorded_again(with_secret(recorded(spec={"auth": keys}), "given", {"k": "another"}))
    again = await replayed(recording.load(text, "file"), NOTHING)
    assert [wait.guard.value for wait in seen.plan.blocked] == ["KeyChanged"]
    assert again.plan.blocked == seen.plan.blocked


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"formatVersion": "x"}', '{"formatVersion": 1, "objects": []}', "\x00"]
)
def test_other_files_are_refused(text: str) -> None:
    """The sentence names the file and what makes such files."""
    with pytest.raises(Refused, match=r"^notes.json is not a file that --record wrote: ") as refused:
        recording.load(text, "notes.json")
    assert refused.value.reason == "RecordingUnreadable"


def test_a_later_format_is_refused() -> None:
    """Rather than misread."""
    document: dict[str, Any] = json.loads(recording.dump(recorded()))
    with pytest.raises(Refused, match="has format 2, this release reads up to 1"):
        recording.load(json.dumps({**document, "formatVersion": 2}), "file")


async def test_nothing_can_be_written() -> None:
    """Every port's verb that changes something is refused before it is called, also on a live cluster."""
    found = recorded()
    kubernetes = ReadOnlyKubernetes(RecordedKubernetes(found), NOTHING).port()
    qdrant = ReadOnlyQdrant(RecordedPeers(found), NOTHING).port()
    endpoint = Endpoint("http://127.0.0.1:1", "pod-0")
    with pytest.raises(Refused, match="change nothing"):
        await kubernetes.apply({})
    with pytest.raises(Refused, match="change nothing"):
        await kubernetes.delete(Kind.POD, "default", "vectors-0", uid="pod-0")
    with pytest.raises(Refused, match="change nothing"):
        await qdrant.delete_collection(endpoint, "docs")
    with pytest.raises(Refused, match="change nothing"):
        await qdrant.remove_peer(endpoint, PeerId(100), force=True)


async def test_a_spec_that_cannot_be_is_refused_in_words() -> None:
    """What a change would make of the spec goes through the same checks as the spec itself."""
    with pytest.raises(Refused, match=r"^spec.replicas: Input should be less than or equal to 100"):
        await replayed(recorded(), parse(["replicas=1000"]))


async def test_a_peer_that_was_not_asked_is_unknown() -> None:
    """A recorded state never makes up an empty peer."""
    with pytest.raises(Retryable, match="not recorded"):
        await RecordedPeers(recorded()).observe(Endpoint("http://10.0.0.9:6333", "pod-9"))
