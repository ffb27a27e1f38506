"""What must never happen to a backup: that its bytes change, that it goes undecided, that it lacks a point."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from qdrant_operator.domain.backup.storage import MANIFEST
from qdrant_operator.domain.common.kinds import Kind, Manifest
from sandbox.fakes.kubernetes import Write
from sandbox.qdrant_sim.core import snapshots
from sandbox.simulation.clients.writer import Writer
from sandbox.simulation.laws.violations import Violations
from sandbox.simulation.world.bucket import Bucket
from sandbox.simulation.world.names import CLUSTER, NAMESPACE
from sandbox.simulation.world.simulated import SimulatedWorld

Points = dict[tuple[str, int], int]
"""Collection and id → value."""


@dataclass
class Backup:
    """A folder that has its manifest."""

    snapshot: str
    """Uid of its QdrantSnapshot."""
    files: dict[str, bytes] = field(default_factory=dict)


class BackupLaws:
    """Watches the bucket of one simulation."""

    def __init__(self, world: SimulatedWorld, bucket: Bucket, writer: Writer, violations: Violations) -> None:
        """There is no backup yet."""
        self._server, self._log = world.server, world.log
        self._bucket, self._writer, self._violations = bucket, writer, violations
        self._backups: dict[str, Backup] = {}
        """By folder."""
        self._before: dict[str, Points] = {}
        """By folder: acknowledged points when the run began."""
        self._runs: dict[str, str] = {}
        """By folder: uid of the QdrantSnapshot."""
        self._decided: set[str] = set()
        """Uids of QdrantSnapshots whose files may be deleted: a user or retention has decided."""
        bucket.on_change = self._on_change

    def expect(self, folder: str, snapshot: str) -> None:
        """A run begins: what is acknowledged now must be in its files, if it succeeds."""
        self._runs[folder] = snapshot
        self._before.setdefault(folder, dict(self._writer.acknowledged))

    @property
    def kept(self) -> int:
        """Number of backups that must stay."""
        return len(self._kept())

    # -- who may delete -----------------------------------------------------------------------------------

    def before_write(self, write: Write) -> None:
        """The operator deletes a QdrantSnapshot: retention has decided."""
        found = self._server.get(write.kind, write.namespace, write.name)
        if write.kind is not Kind.SNAPSHOT or write.operation != "delete" or found is None:
            return
        uid, kept = found["metadata"]["uid"], self._kept()
        self._decided.add(uid)
        if uid in kept and len(kept) == 1:
            self._violations.add(f"retention deletes {write.name}, the last good backup")

    def user_deletes(self, snapshot: Manifest) -> None:
        """A user deletes a QdrantSnapshot whose deletionPolicy says Delete: its files may go."""
        cluster = self._server.get(Kind.CLUSTER, NAMESPACE, CLUSTER)
        stays = cluster is not None and "deletionTimestamp" not in cluster["metadata"]
        if stays and snapshot["spec"].get("deletionPolicy") == "Delete":
            self._decided.add(snapshot["metadata"]["uid"])

    def _kept(self) -> list[str]:
        return [one.snapshot for one in self._backups.values() if one.snapshot not in self._decided]

    # -- the bytes ----------------------------------------------------------------------------------------

    def _on_change(self, key: str, before: bytes | None, after: bytes | None) -> None:
        folder, _, name = key.rpartition("/")
        folder += "/"
        owner = next((path for path in self._backups if key.startswith(path)), None)
        if owner is not None and before is not None:
            backup = self._backups[owner]
            if backup.snapshot not in self._decided:
                self._violations.add(f"a backup's {key} is {'deleted' if after is None else 'changed'}")
        elif name == MANIFEST and after is not None:
            self._on_seal(folder)

    def _on_seal(self, folder: str) -> None:
        files = {k: content for k, (content, _) in self._bucket.objects.items() if k.startswith(folder)}
        self._backups[folder] = Backup(self._runs.get(folder, ""), files)
        self._log.add(f"a backup is sealed: {folder}")
        missing = sorted(self._must_be_there(folder) - self._stored(folder))
        if missing:
            self._violations.add(
                f"{folder} lacks {len(missing)} points that were there before: {missing[:3]}"
            )

    def _must_be_there(self, folder: str) -> set[tuple[str, int, int]]:
        """Points that were not written since the run began, in collections that the manifest names."""
        named = {
            one["name"] for one in json.loads(self._bucket.objects[f"{folder}{MANIFEST}"][0])["collections"]
        }
        now = self._writer.acknowledged
        then = self._before.get(folder, {})
        return {(*key, value) for key, value in then.items() if now.get(key) == value and key[0] in named}

    def _stored(self, folder: str) -> set[tuple[str, int, int]]:
        found = set()
        manifest = json.loads(self._bucket.objects[f"{folder}{MANIFEST}"][0])
        for collection in manifest["collections"]:
            for shard in collection["shards"]:
                content = self._bucket.objects[f"{folder}{shard['file']}"][0]
                for points in snapshots.read(content).values():
                    rows = ((one.id, (one.payload or {}).get("value", 0)) for one in points.values())
                    found |= {(collection["name"], int(number), value) for number, value in rows}
        return found
