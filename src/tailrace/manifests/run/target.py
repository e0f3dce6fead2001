"""A table of files as a target that owns the checkpoint: the positions of shards, and the numbers of sources.

Theory of operation: both stand in the manifest, so a position moves in the very delta that names the files,
and what was read before it is judged again by the manifest that the delta follows.
Rules of this file: plans are pure. An archive that does not answer is an outage.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import msgspec
from msgspec.structs import replace

from tailrace.errors import ArchiveError, LeaseLost, Unavailable
from tailrace.leases.generation import check_kept
from tailrace.manifests.core.manifest import DeltaPart, TableFile, TableManifest, place_name, place_parts
from tailrace.manifests.run.log import ManifestLog, Plan
from tailrace.ports import TargetPosition
from tailrace.runtime.owned_positions import held, is_committed

SOURCES: Final = "sources"
"""The note with the numbers of sources."""


class NameTaken(Exception):
    """A file's name is retired: write it under another one."""


class FilesForgotten(Exception):
    """Names were forgotten since the files were written: look whether they are there."""


class ManifestTarget:
    """One table. Shape: `name` says to people which. `place_of` says what a shard of a mapping is called in
    the manifest.
    """

    def __init__(
        self, log: ManifestLog, name: str, place_of: Callable[[str, str, str], str] = place_name
    ) -> None:
        self.log = log
        self.name = name
        self.place_of = place_of
        self.latest: TableManifest | None = None

    async def manifest(self) -> TableManifest:
        """As it is now. Raises: Unavailable, SettingsError."""
        with outages():
            self.latest = await self.log.current()
        return self.latest

    async def commit_plan(self, plan: Plan) -> TableManifest:
        """Do what a plan says. Returns: a manifest that has it. Raises: what it raises; Unavailable."""
        with outages():
            self.latest = await self.log.commit(plan)
        return self.latest

    # ---- positions -----------------------------------------------------------------------------------------

    async def positions(self, mapping_id: str) -> Sequence[TargetPosition]:
        """What the table has of a mapping. Raises: Unavailable."""
        manifest = await self.manifest()
        places = ((place, place_parts(place), position) for place, position in manifest.positions.items())
        return [
            TargetPosition(stream, shard, position.epoch, position.through)
            for place, (_, stream, shard), position in places
            if place == self.place_of(mapping_id, stream, shard)
        ]

    async def stamp(self, mapping_id: str, stream: str, shard_id: str, epoch: int) -> TargetPosition:
        """Take a shard. Raises: LeaseLost, Unavailable."""
        place = self.place_of(mapping_id, stream, shard_id)

        def plan(manifest: TableManifest) -> DeltaPart | None:
            there = manifest.positions.get(place)
            if there is None:
                return DeltaPart(place, epoch)
            if there.epoch > epoch:
                raise LeaseLost(f"{shard_id} was taken under epoch {there.epoch}, this is {epoch}")
            return None if there.epoch == epoch else DeltaPart(place, epoch, there.through, there.through)

        manifest = await self.commit_plan(plan)
        # A higher epoch may have come in the same delta: then nothing is committed under this one.
        return TargetPosition(stream, shard_id, epoch, manifest.positions[place].through)

    def step(self, mapping_id: str, position: TargetPosition, manifest: TableManifest) -> DeltaPart | None:
        """What moves a shard to a position, before its files; None: it was done before. Raises: LeaseLost."""
        place = self.place_of(mapping_id, position.stream, position.shard_id)
        there = position_of(manifest, place, position)
        if is_committed(there, position):
            return None
        return DeltaPart(place, position.epoch, held(there, position).watermark, position.watermark)

    async def put_position(self, mapping_id: str, position: TargetPosition) -> None:
        """Let the table have the shard through that watermark. Raises: LeaseLost, Unavailable."""
        place = self.place_of(mapping_id, position.stream, position.shard_id)

        def plan(manifest: TableManifest) -> DeltaPart | None:
            after = held(position_of(manifest, place, position), position).watermark
            if after == position.watermark:
                return None
            return DeltaPart(place, position.epoch, after, position.watermark, is_put=True)

        await self.commit_plan(plan)

    # ---- sources -------------------------------------------------------------------------------------------

    async def sources(self) -> Mapping[str, int]:
        """Which generation each source is. Raises: Unavailable."""
        return sources_of(await self.manifest())

    async def keep_sources(self, sources: Mapping[str, int]) -> None:
        """Keep these too. Raises: SettingsError, Unavailable."""

        def plan(manifest: TableManifest) -> DeltaPart | None:
            there = sources_of(manifest)
            check_kept(self.name, there, sources)
            if sources.items() <= there.items():
                return None
            return DeltaPart(notes={SOURCES: msgspec.json.encode({**there, **sources}).decode()})

        await self.commit_plan(plan)


def with_files(
    part: DeltaPart, files: Sequence[TableFile], number: int, manifest: TableManifest
) -> DeltaPart:
    """A part that names files too, which were written since the manifest with that number. Raises: NameTaken,
    FilesForgotten.
    """
    if any(file.name in manifest.retired for file in files):
        raise NameTaken
    added = tuple(file for file in files if file.name not in manifest.files)
    if added and manifest.forgot > number:
        raise FilesForgotten
    return replace(part, added=added)


def position_of(manifest: TableManifest, place: str, position: TargetPosition) -> TargetPosition | None:
    """What a table has of the shard of this position; None: it was never taken."""
    there = manifest.positions.get(place)
    if there is None:
        return None
    return TargetPosition(position.stream, position.shard_id, there.epoch, there.through)


def sources_of(manifest: TableManifest) -> dict[str, int]:
    """The sources that a manifest notes."""
    return msgspec.json.decode(manifest.notes.get(SOURCES, "{}"), type=dict[str, int])


@contextmanager
def outages() -> Iterator[None]:
    """What an archive raises as sinks say it."""
    try:
        yield
    except ArchiveError as error:
        raise Unavailable(
            str(error.args[0]), hint=error.hint, retry_after=error.retry_after_ms / 1_000
        ) from error
