"""Backups in some stories: a schedule with retention, snapshots made by hand, and everything deleted in the end."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from qdrant_operator.domain.backup.storage import S3Credentials, S3Place
from qdrant_operator.domain.common.kinds import Kind, Manifest
from sandbox.simulation.laws.backup_laws import BackupLaws
from sandbox.simulation.world.bucket import Bucket, Door
from sandbox.simulation.world.jobs import Jobs
from sandbox.simulation.world.user import CLUSTER, NAMESPACE

if TYPE_CHECKING:
    from sandbox.simulation.story import Story

EVERY, WHICH = 22, 5
"""Every so many stories have backups: of the seeds that notice a missing guard none has this remainder."""
STORAGE = {"s3": {"bucket": "backups", "region": "eu", "credentials": {"secretRef": {"name": "bucket"}}}}
SCHEDULE = "minutely"
BY_HAND = ("one", "two")
AFTERMATH = 45.0
"""Seconds in which files may still be deleted after the last object is gone."""


class Backups:
    """The bucket, its Jobs, and the user who makes snapshots."""

    def __init__(self, story: Story) -> None:
        """Nothing is made yet. The dice are their own, so that other stories stay as they are."""
        self._story, self.active = story, story.seed % EVERY == WHICH
        self._random = Random(story.seed + 2)
        self.bucket = Bucket(story.clock.now)
        self.laws = BackupLaws(story, self.bucket)
        self._jobs = Jobs(story, self._random)

    def storage(self, may_go_on: Callable[[], None]) -> Callable[[S3Place, S3Credentials | None], Door]:
        """How a process opens the bucket."""
        return lambda _place, _credentials: Door(self._story, self.bucket, self._random, may_go_on)

    def begin(self) -> None:
        """The user declares what shall be saved."""
        if not self.active:
            return
        self._story.server.watchers.append(self._jobs.on_change)
        values = {"accessKeyId": "a", "secretAccessKey": "s"}
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        meta = {"name": "bucket", "namespace": NAMESPACE}
        self._story.server.create(
            {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": data}, "user"
        )
        self._story.user.create_collection()
        self._story.after(self._random.uniform(1.0, 20.0), self._schedule)
        for _ in range(self._random.randint(2, 6)):
            self._story.after(self._random.uniform(8.0, 90.0), self._by_hand)

    async def end(self) -> None:
        """Somebody deletes the schedule, the cluster or the whole namespace: the backups are why that is no loss."""
        if not self.active:
            return
        how = self._random.choice((self._delete_schedule, self._delete_cluster, self._delete_namespace))
        how()
        await self._story.look_on(AFTERMATH)
        self._story.tell(f"{self.laws.kept} backups are left")

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
        found = self._story.server.get(Kind.SNAPSHOT, NAMESPACE, name)
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
            self._story.tell(f"the user deletes snapshot {name} ({found['spec']['deletionPolicy']})")
            self.laws.user_deletes(found)
            self._story.server.delete(Kind.SNAPSHOT, NAMESPACE, name)
            self._story.after(self._random.uniform(0.1, 10.0), self._by_hand)

    def _create(self, kind: Kind, name: str, spec: Manifest) -> None:
        if self._story.server.get(kind, NAMESPACE, name) is not None or self._gone:
            return
        self._story.tell(f"the user makes {kind.kind} {name} {spec}")
        meta = {"name": name, "namespace": NAMESPACE}
        self._story.server.create(
            {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta, "spec": spec}, "user"
        )

    # -- the end ------------------------------------------------------------------------------------------

    @property
    def _gone(self) -> bool:
        return bool(self._story.server.terminating_namespaces)

    def _delete_schedule(self) -> None:
        self._story.tell("somebody deletes the schedule")
        self._delete(Kind.SCHEDULE)

    def _delete_cluster(self) -> None:
        self._story.tell("somebody deletes the QdrantCluster")
        self._delete(Kind.CLUSTER)

    def _delete_namespace(self) -> None:
        """Its controller deletes one kind after another, in an order that nobody knows."""
        self._story.tell("somebody deletes the namespace")
        self._story.server.terminating_namespaces.add(NAMESPACE)
        kinds = [Kind.SNAPSHOT, Kind.SCHEDULE, Kind.CLUSTER, Kind.COLLECTION, Kind.SECRET, Kind.JOB]
        self._random.shuffle(kinds)
        for kind in kinds:
            self._story.after(self._random.uniform(0.0, 5.0), partial(self._delete, kind))

    def _delete(self, kind: Kind) -> None:
        for found in self._story.server.all(kind, NAMESPACE):
            if "deletionTimestamp" not in found["metadata"]:
                self._story.server.delete(kind, NAMESPACE, found["metadata"]["name"])
