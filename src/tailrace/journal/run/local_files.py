"""Segments as files that DuckDB can open: those of a directory where they are, others fetched once.

Stands alone because whatever DuckDB reads of a journal comes through it.
Rules of this file: what was fetched is deleted with the reader, also with one that nobody closes. A segment
that is gone was replaced since the manifest was read. Blobs are fetched a few at a time.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Final
from weakref import finalize

from tailrace.archives.directory import DirectoryArchive
from tailrace.errors import Unavailable
from tailrace.manifests.core.manifest import TableFile
from tailrace.manifests.run.target import outages
from tailrace.ports import ArchiveStore
from tailrace.runtime.threads import in_thread

AT_ONCE: Final = 8
"""Segments that are fetched side by side."""


class LocalSegments:
    """The segments of an archive on this machine's disk."""

    def __init__(self, archive: ArchiveStore) -> None:
        self._archive = archive
        self._folder: str | None = None
        self._removal: finalize[..., LocalSegments] | None = None
        self._fetched: dict[str, str] = {}
        self._most = asyncio.Semaphore(AT_ONCE)

    async def paths(self, files: Sequence[TableFile]) -> list[str]:
        """Where they are, in their order. Raises: Unavailable, also for one that is gone."""
        if isinstance(self._archive, DirectoryArchive):
            return [str(self._archive.path(file.name)) for file in files]
        return list(await asyncio.gather(*(self._path(file.name) for file in files)))

    async def _path(self, name: str) -> str:
        async with self._most:
            if name in self._fetched:
                return self._fetched[name]
            with outages():
                blob = await self._archive.get(name)
            if blob is None:
                raise Unavailable(
                    f"segment {name} is not there: it was replaced while it was read, or is lost",
                    hint="read again; if it stays so, restore the segment from a backup",
                )
            path = Path(self.scratch) / f"{len(self._fetched)}.parquet"
            self._fetched[name] = str(path)  # before the wait: each name once
            await in_thread(path.write_bytes, blob.data)
            return str(path)

    @property
    def scratch(self) -> str:
        """A folder for what does not fit into memory."""
        if self._folder is None:
            self._folder = mkdtemp(prefix="tailrace-journal-")
            self._removal = finalize(self, rmtree, self._folder, ignore_errors=True)
        return self._folder

    def close(self) -> None:
        """Delete what was fetched. Repeatable."""
        self._folder = None
        self._fetched.clear()
        if self._removal is not None:
            self._removal()
