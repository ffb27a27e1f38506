"""A formed cluster, object storage and an API server in memory, and a Job controller that runs the real data path."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from qdrant_operator.domain.backup.job_spec import JOB_SPEC, JobSpec
from qdrant_operator.domain.backup.journal import Result, dump_result
from qdrant_operator.domain.backup.owner import Owner, dump_owner
from qdrant_operator.domain.backup.storage import S3Credentials, S3Place
from qdrant_operator.domain.common import names
from qdrant_operator.domain.common.kinds import Endpoint, Kind, Manifest
from qdrant_operator.jobs.backup.run import Run
from qdrant_operator.reconcile.backup.schedule.loop import ScheduleReconciler
from qdrant_operator.reconcile.backup.snapshot.loop import SnapshotReconciler
from qdrant_operator.reconcile.context import Context, Options, Reconciler, Requeue
from qdrant_operator.reconcile.ports import ObjectStorage, Qdrant
from sandbox.fakes.apiserver import FakeApiServer
from sandbox.fakes.kubernetes import FakeKubernetes
from tests.fakes.object_storage import FakeStorage
from tests.fakes.shard_peers import FakePeers

NAMESPACE, CLUSTER = "default", "vectors"
USER = "kubectl"
S3 = {"s3": {"bucket": "backups", "prefix": "prod", "credentials": {"secretRef": {"name": "keys"}}}}
PLACEMENT = {0: (0, 1), 1: (1, 2), 2: (0, 2)}


class Clock:
    """Time moves when a test says so."""

    def __init__(self) -> None:
        """Noon."""
        self.moment = datetime(2026, 11, 21, 12, tzinfo=UTC)

    def now(self) -> datetime:
        """The moment."""
        return self.moment

    async def sleep(self, seconds: float) -> None:
        """Move on."""
        self.moment += timedelta(seconds=seconds)

    def pass_by(self, **amount: float) -> None:
        """Let time go by."""
        self.moment += timedelta(**amount)


@dataclass
class Recorder:
    """Keeps what the loop told."""

    events: list[tuple[str, str]] = field(default_factory=list)

    async def event(self, about: Manifest, *, kind: str, reason: str, message: str) -> None:
        """One Event; a Warning must say something."""
        assert message
        self.events.append((kind, reason))

    def step(self, kind: str, step: str, outcome: str) -> None:
        """Steps are counted elsewhere."""

    def blocked(self, kind: str, namespace: str, name: str, guards: tuple[str, ...]) -> None:
        """Nothing of this is ever blocked."""


class Collections:
    """The only question that the loop asks Qdrant here."""

    def __init__(self) -> None:
        """One collection."""
        self.names: tuple[str, ...] = ("docs",)

    async def collections(self, endpoint: Endpoint) -> tuple[str, ...]:
        """Names of all collections."""
        return self.names


class SnapshotWorld:
    """Everything around the two loops."""

    def __init__(self) -> None:
        """A formed cluster of three pods, its key, the keys of the bucket, and an empty bucket."""
        self.clock = Clock()
        self.server = FakeApiServer(self.clock.now)
        self.kubernetes = FakeKubernetes(self.server, now=self.clock.now)
        self.storage = FakeStorage()
        self.peers = FakePeers(PLACEMENT)
        self.collections = Collections()
        self.recorder = Recorder()
        self.add_cluster()
        self.add_secret("vectors-peer-auth", {"api-key": "k"}, names.MANAGED)
        self.add_secret("keys", {"accessKeyId": "a", "secretAccessKey": "s"})

    @property
    def world(self) -> Context:
        """As the reconcilers are given it."""
        return Context(
            kubernetes=self.kubernetes,
            qdrant=cast("Qdrant", self.collections),
            clock=self.clock,
            reporter=self.recorder,
            options=Options(operator_image="operator:1"),
            storage=self._open,
        )

    def _open(self, place: S3Place, credentials: S3Credentials) -> ObjectStorage:
        assert credentials is not None, "the operator has no identity of its own to give away"
        return self.storage

    def add_cluster(self) -> None:
        """A formed cluster and its pods."""
        self.add_bare_cluster()
        for ordinal in range(3):
            name = names.pod_name(CLUSTER, ordinal)
            labels = {**names.cluster_labels(CLUSTER), **names.peer_selector(CLUSTER)}
            self._create(Kind.POD, name, labels=labels, spec={})
            status = {"phase": "Running", "podIP": f"10.0.0.{ordinal}"}
            self.server.put_status(Kind.POD, NAMESPACE, name, status)

    def add_bare_cluster(self) -> None:
        """The QdrantCluster alone."""
        cluster = self._create(Kind.CLUSTER, CLUSTER, spec={"version": "v1.19.0", "replicas": 3})
        self.server.put_status(
            Kind.CLUSTER, NAMESPACE, CLUSTER, {"bootstrap": {"phase": "Complete"}}, _version(cluster)
        )

    def add_secret(self, name: str, values: dict[str, str], labels: Any = None) -> None:
        """A Secret."""
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        self._create(Kind.SECRET, name, labels=labels, data=data)

    def remove(self, kind: Kind, name: str) -> None:
        """Delete an object as a user would."""
        self.server.delete(kind, NAMESPACE, name)

    def add_snapshot(self, name: str = "one", **spec: Any) -> None:
        """A QdrantSnapshot made by hand."""
        self._create(Kind.SNAPSHOT, name, spec={"clusterRef": {"name": CLUSTER}, "storage": S3, **spec})

    def add_schedule(self, name: str = "nightly", **spec: Any) -> None:
        """A QdrantSnapshotSchedule."""
        defaults = {"clusterRef": {"name": CLUSTER}, "storage": S3, "schedule": "0 2 * * *"}
        self._create(Kind.SCHEDULE, name, spec={**defaults, **spec})

    def change(self, kind: Kind, name: str, **spec: Any) -> None:
        """Edit a spec as a user would."""
        self.server.patch(kind, NAMESPACE, name, {"spec": spec}, USER)

    def get(self, kind: Kind, name: str) -> Manifest | None:
        """An object."""
        return self.server.get(kind, NAMESPACE, name)

    def status(self, name: str = "one", kind: Kind = Kind.SNAPSHOT) -> Manifest:
        """Its status."""
        found = self.get(kind, name)
        assert found is not None
        return found.get("status") or {}

    def condition(self, type_: str, name: str = "one", kind: Kind = Kind.SNAPSHOT) -> tuple[str, str]:
        """Status and reason of a condition."""
        found = next(one for one in self.status(name, kind)["conditions"] if one["type"] == type_)
        return found["status"], found["reason"]

    def folder(self, name: str = "one") -> str:
        """Its folder in the bucket."""
        found = self.get(Kind.SNAPSHOT, name)
        assert found is not None
        return f"prod/{NAMESPACE}/{CLUSTER}/{name}/{found['metadata']['uid']}/"

    def put_fragment(self, name: str = "one") -> None:
        """What a run of it has stored when it is killed."""
        owner = Owner(self.folder(name).split("/")[-2], "cluster-uid", "killed")
        self.storage.put(f"{self.folder(name)}owner.json", dump_owner(owner))
        self.storage.put(f"{self.folder(name)}docs/shard-0.snapshot", b"half")

    def jobs(self) -> list[Manifest]:
        """All Jobs."""
        return self.server.all(Kind.JOB)

    def snapshots(self) -> list[str]:
        """Names of all QdrantSnapshots that are not being deleted."""
        found = (one["metadata"] for one in self.server.all(Kind.SNAPSHOT))
        return [meta["name"] for meta in found if "deletionTimestamp" not in meta]

    async def look(self, name: str = "one", kind: Kind = Kind.SNAPSHOT) -> Requeue | None:
        """One pass of a loop that has just been started; None when the object is gone."""
        subject = self.kubernetes.cached_one(kind, NAMESPACE, name)
        if subject is None:
            return None
        loops: dict[Kind, Reconciler] = {
            Kind.SNAPSHOT: SnapshotReconciler(self.world),
            Kind.SCHEDULE: ScheduleReconciler(self.world),
        }
        return await loops[kind].reconcile(subject)

    async def start(self, name: str = "one") -> Manifest:
        """Passes until the Job is there."""
        for _ in range(4):
            await self.look(name)
        made = [one for one in self.jobs() if one["metadata"]["labels"][names.LABEL_SNAPSHOT] == name]
        assert made, self.status(name)
        return made[-1]

    async def run(self, job: Manifest) -> Result:
        """The Job controller and the pod: the real data path on the peers and the storage in memory."""
        environment = job["spec"]["template"]["spec"]["containers"][0]["env"]
        text = next(one["value"] for one in environment if one["name"] == JOB_SPEC)
        result = await Run(JobSpec.load(text), self.peers, self.storage, "k").make()
        self.end(job, "Complete" if result.good else "Failed", dump_result(result))
        return result

    def end(self, job: Manifest, condition: str, message: str | None, *, exit_code: int = 1) -> None:
        """The Job is over; its pod's last words are `message`."""
        terminated = {"exitCode": exit_code, "reason": "Error", "message": message}
        self.show_pod(job, own={"terminated": terminated})
        self.end_job(job, condition)

    def show_pod(
        self, job: Manifest, *, own: Manifest, beside: Manifest | None = None, **status: Any
    ) -> None:
        """The kubelet reports the Job's pod: its own container, and one that somebody put beside it."""
        pod = f"{job['metadata']['name']}-abcde"
        if self.get(Kind.POD, pod) is None:
            owner = {"kind": "Job", "name": job["metadata"]["name"], "uid": job["metadata"]["uid"]}
            labels = job["spec"]["template"]["metadata"]["labels"]
            self._create(Kind.POD, pod, labels=labels, owners=[owner], spec={})
        states = {**({"istio-proxy": beside} if beside else {}), "snapshot": own}
        containers = [{"name": name, "state": state} for name, state in sorted(states.items())]
        self.server.put_status(Kind.POD, NAMESPACE, pod, {"containerStatuses": containers, **status})

    def tell(self, about: Manifest, reason: str, note: str) -> None:
        """A controller writes a warning about an object."""
        regarding = {"kind": about["kind"], "uid": about["metadata"]["uid"]}
        said = {"reason": reason, "note": note, "type": "Warning", "regarding": regarding}
        name = f"{about['metadata']['name']}.{len(self.server.all(Kind.EVENT))}"
        self._create(Kind.EVENT, name, reportingController="job-controller", **said)

    def end_job(self, job: Manifest, condition: str, reason: str = "BackoffLimitExceeded") -> None:
        """Only the Job's own word."""
        said = "Job has reached the specified backoff limit"
        told = {"type": condition, "status": "True", "reason": reason, "message": said}
        self.server.put_status(Kind.JOB, NAMESPACE, job["metadata"]["name"], {"conditions": [told]})

    def finish(self, name: str, phase: str) -> None:
        """A snapshot of the cluster that is there ends, as its own loop would say."""
        done = self.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        cluster = self.get(Kind.CLUSTER, CLUSTER)
        of = {"clusterUid": cluster["metadata"]["uid"]} if cluster and phase != "Failed" else {}
        status = {**self.status(name), **of, "phase": phase, "completedAt": done, "job": f"job-{name}"}
        self.server.put_status(Kind.SNAPSHOT, NAMESPACE, name, status)

    async def leave(self, name: str) -> None:
        """Somebody deletes a snapshot, and its loop has the time that it takes before it touches files."""
        self.remove(Kind.SNAPSHOT, name)
        await self.look(name)
        self.clock.pass_by(seconds=11)
        await self.look(name)

    async def make(self, name: str = "one") -> None:
        """A whole snapshot."""
        await self.run(await self.start(name))
        await self.look(name)

    def _create(
        self, kind: Kind, name: str, *, labels: Any = None, owners: Any = None, **fields: Any
    ) -> Manifest:
        meta = {"name": name, "namespace": NAMESPACE, "labels": dict(labels or {})}
        if owners:
            meta["ownerReferences"] = owners
        manifest = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta, **fields}
        return self.server.create(manifest, USER)


def _version(manifest: Manifest) -> str:
    return str(manifest["metadata"]["resourceVersion"])
