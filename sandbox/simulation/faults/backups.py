"""Backups in some seeds: a schedule with retention, snapshots made by hand, and everything deleted in the end."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from functools import partial
from random import Random

from qdrant_operator.domain.backup.storage import S3Credentials, S3Place
from qdrant_operator.domain.common.kinds import Kind, Manifest
from sandbox.simulation.clients.user import User
from sandbox.simulation.clients.writer import Writer
from sandbox.simulation.kubernetes.jobs import Jobs
from sandbox.simulation.laws.backup_laws import BackupLaws
from sandbox.simulation.laws.violations import Violations
from sandbox.simulation.world.bucket import Bucket, Door
from sandbox.simulation.world.names import CLUSTER, NAMESPACE
from sandbox.simulation.world.simulated import SimulatedWorld

EVERY, WHICH = 22, 5
"""One in so many seeds has backups: of the seeds that notice a missing guard none has this remainder."""
STORAGE = {"s3": {"bucket": "backups", "region": "eu", "credentials": {"secretRef": {"name": "bucket"}}}}
SCHEDULE = "minutely"
BY_HAND = ("one", "two")
AFTERMATH = 45.0
"""Seconds in which files may still be deleted after the last object is gone."""


class Backups:
    """The bucket, its Jobs, and the user who makes snapshots."""

    def __init__(self, world: SimulatedWorld, user: User, writer: Writer, violations: Violations) -> None:
        """Nothing is made yet. The dice are their own, so that other seeds stay as they are."""
        self.active, self._random = world.seed % EVERY == WHICH, Random(world.seed + 2)
        self._server, self._log, self._scheduler = world.server, world.log, world.scheduler
        self._conditions, self._user = world.conditions, user
        self.bucket = Bucket(world.clock.now)
        self.laws = BackupLaws(world, self.bucket, writer, violations)
        self._jobs = Jobs(world, self.bucket, self._random, self.laws.expect)

    def storage(self, check_alive: Callable[[], None]) -> Callable[[S3Place, S3Credentials | None], Door]:
        """How a process opens the bucket; `check_alive` raises when that process is dead."""
        return lambda _place, _credentials: Door(self._conditions, self.bucket, self._random, check_alive)

    def begin(self) -> None:
        """The user declares what shall be saved."""
        if not self.active:
            return
        self._server.watchers.append(self._jobs.on_change)
        values = {"accessKeyId": "a", "secretAccessKey": "s"}
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        meta = {"name": "bucket", "namespace": NAMESPACE}
        self._server.create({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": data}, "user")
        self._user.create_collection()
        self._scheduler.after(self._random.uniform(1.0, 20.0), self._schedule)
        for _ in range(self._random.randint(2, 6)):
            self._scheduler.after(self._random.uniform(8.0, 90.0), self._by_hand)

    async def end(self, watch: Callable[[float], Awaitable[None]]) -> None:
        """A user deletes the schedule, the cluster or the whole namespace: the backups must stay.

        `watch(seconds)` lets time pass and checks the laws.
        """
        if not self.active:
            return
        how = self._random.choice((self._delete_schedule, self._delete_cluster, self._delete_namespace))
        how()
        await watch(AFTERMATH)
        self._log.add(f"{self.laws.kept} backups are left")

    # -- the user -----------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        spec = {
            "clusterRef": {"name": CLUSTER},
            "storage": STORAGE,
            "schedule": "* * * * *",
            "concurrencyPolicy": self._random.choice(("Forbid", "Allow")),
            "retention": {"keepLast": self._random.randint(1, 2)},
        }
        if self._random.random() < 0.5:
            spec["deletionPolicy"] = self._random.choice(("Retain", "Delete"))
        self._create(Kind.SCHEDULE, SCHEDULE, spec)

    def _by_hand(self) -> None:
        """A snapshot of this name; one that exists is deleted, and another one made under its name."""
        name = self._random.choice(BY_HAND)
        found = self._server.get(Kind.SNAPSHOT, NAMESPACE, name)
        if found is None:
            policy = self._random.choice(("Retain", "Delete"))
            verify = {"mode": self._random.choice(("Checksum", "Checksum", "None"))}
            spec = {
                "clusterRef": {"name": CLUSTER},
                "storage": STORAGE,
                "verify": verify,
                "deletionPolicy": policy,
            }
            self._create(Kind.SNAPSHOT, name, spec)
        elif "deletionTimestamp" not in found["metadata"]:
            self._log.add(f"the user deletes snapshot {name} ({found['spec']['deletionPolicy']})")
            self.laws.user_deletes(found)
            self._server.delete(Kind.SNAPSHOT, NAMESPACE, name)
            self._scheduler.after(self._random.uniform(0.1, 10.0), self._by_hand)

    def _create(self, kind: Kind, name: str, spec: Manifest) -> None:
        if self._server.get(kind, NAMESPACE, name) is not None or self._gone:
            return
        self._log.add(f"the user makes {kind.kind} {name} {spec}")
        meta = {"name": name, "namespace": NAMESPACE}
        self._server.create(
            {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta, "spec": spec}, "user"
        )

    # -- the end ------------------------------------------------------------------------------------------

    @property
    def _gone(self) -> bool:
        """Whether the namespace is being deleted."""
        return bool(self._server.terminating_namespaces)

    def _delete_schedule(self) -> None:
        self._log.add("somebody deletes the schedule")
        self._delete(Kind.SCHEDULE)

    def _delete_cluster(self) -> None:
        self._log.add("somebody deletes the QdrantCluster")
        self._delete(Kind.CLUSTER)

    def _delete_namespace(self) -> None:
        """Its controller deletes one kind after another, in no particular order."""
        self._log.add("somebody deletes the namespace")
        self._server.terminating_namespaces.add(NAMESPACE)
        kinds = [Kind.SNAPSHOT, Kind.SCHEDULE, Kind.CLUSTER, Kind.COLLECTION, Kind.SECRET, Kind.JOB]
        self._random.shuffle(kinds)
        for kind in kinds:
            self._scheduler.after(self._random.uniform(0.0, 5.0), partial(self._delete, kind))

    def _delete(self, kind: Kind) -> None:
        for found in self._server.all(kind, NAMESPACE):
            if "deletionTimestamp" not in found["metadata"]:
                self._server.delete(kind, NAMESPACE, found["metadata"]["name"])
