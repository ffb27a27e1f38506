"""The folder of one run: claimed before anything is stored, sealed by the manifest, cleared when there is no backup.

Only what this run owns is ever deleted, and a manifest is written only while the folder is still its own.
"""

from __future__ import annotations

from uuid import uuid4

from qdrant_operator.domain.backup.job_spec import JobSpec
from qdrant_operator.domain.backup.manifest import BackupManifest, dump_manifest
from qdrant_operator.domain.backup.owner import OWNER, Owner, deletion_order, dump_owner, load_owner
from qdrant_operator.domain.backup.storage import MANIFEST
from qdrant_operator.domain.common.errors import Refused
from qdrant_operator.jobs.backup.ports import Storage


class Folder:
    """Where one run stores its backup."""

    def __init__(self, storage: Storage, job_spec: JobSpec) -> None:
        """Nothing is written before the claim."""
        self._storage = storage
        self._place = job_spec.place
        self.path = job_spec.folder
        """With a slash at its end."""
        self.claimed = False
        """The claim succeeded; before that nothing of this run exists outside this process."""
        self.owner = Owner(job_spec.run, job_spec.cluster_uid, uuid4().hex)

    async def claim(self) -> None:
        """Make the folder this run's own.

        Raises:
            Refused: `LocationOccupied`: another run has it, and nothing of that run is touched.
        """
        if not await self._created(OWNER, dump_owner(self.owner)):
            raise self._occupied()
        self.claimed = True

    async def seal(self, manifest: BackupManifest) -> None:
        """Write the manifest, which makes a backup of the folder.

        Raises:
            Refused: `LocationOccupied`: the folder is no longer this run's.
        """
        if not await self._is_ours() or not await self._created(MANIFEST, dump_manifest(manifest)):
            raise self._occupied()

    async def clear(self) -> None:
        """Delete what this run stored; a folder with a manifest is a backup and stays, like one of another run."""
        if not await self._is_ours():
            return
        keys = [stored.key for stored in await self._storage.list(self.path)]
        if f"{self.path}{MANIFEST}" not in keys:
            for several in deletion_order(self.path, keys):
                await self._storage.delete(several)

    async def keep_only(self, manifest: BackupManifest) -> None:
        """Delete files of this run that the manifest does not list."""
        listed = {
            f"{self.path}{shard.file}" for collection in manifest.collections for shard in collection.shards
        }
        keys = [stored.key for stored in await self._storage.list(self.path)]
        if await self._is_ours():
            await self._storage.delete([key for key in keys if key not in listed | {f"{self.path}{OWNER}"}])

    async def _is_ours(self) -> bool:
        return load_owner(await self._storage.read(f"{self.path}{OWNER}")) == self.owner

    async def _created(self, name: str, content: bytes) -> bool:
        """Create an object; False when another run did.

        A request whose answer was lost is repeated by the storage's client and then meets its own object.
        """
        try:
            await self._storage.write_new(f"{self.path}{name}", content)
        except Refused as error:
            if error.reason != "AlreadyExists":
                raise
            return await self._storage.read(f"{self.path}{name}") == content
        return True

    def _occupied(self) -> Refused:
        return Refused(
            "LocationOccupied",
            f"{self._place.url(self.path)} belongs to another run, which is not touched: make another"
            " QdrantSnapshot",
        )
