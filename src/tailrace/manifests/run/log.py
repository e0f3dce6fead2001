"""The manifest of a table in an archive: deltas under their numbers, now and then a whole manifest.

Theory of operation: the next delta is put if absent, so of two writers one wins the number; the other reads
the winner's and judges its own commits again. Commits that wait while a delta is written go into the next one
together. Every `FULL_EVERY` deltas the whole manifest is written, and the head says its number, from which
readers go on, delta by delta, until there is none: nothing is listed to know what there is, only to see that
none is lost (`check_whole`). A head that is behind costs reading, no more. Deltas below a whole manifest are
deleted when that has been there for an hour: so a writer that was asleep that long could win a number that no
reader looks at any more. Therefore whoever took long looks at the head once more after it has written, and
counts only what is above it.
Rules of this file: after an error it is not known what was written: the manifest is read again before
anything else. A plan is pure and may be asked many times; one whose commit is there already answers None.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from msgspec import Struct

from tailrace.errors import ArchiveError, InternalError
from tailrace.manifests.core.manifest import (
    EMPTY,
    KEEP_MS,
    DeltaPart,
    ManifestDelta,
    TableManifest,
    folded,
    read_kept,
    void_reason,
    with_part,
    write_kept,
)
from tailrace.manifests.core.names import is_own, number_in
from tailrace.ports import ArchiveStore, Clock

FULL_EVERY: Final = 100
AT_ONCE: Final = 16
"""Deltas that are asked for at once where more than one has come."""
LONG_MS: Final = KEEP_MS // 6
MOST_TURNS: Final = 8

Plan: TypeAlias = Callable[[TableManifest], DeltaPart | None]
"""What a commit does, judged by the manifest that it would follow; None: it is there already. What it raises
its caller gets.
"""


class ManifestHead(Struct, frozen=True):
    """Which whole manifest readers begin with. Units: at_ms, when it was written, by the writer's clock."""

    full: int
    at_ms: int


class _Waiting:
    """A commit that waits for its delta."""

    __slots__ = ("manifest", "plan", "refusal")

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.manifest: TableManifest | None = None
        self.refusal: Exception | None = None

    @property
    def is_done(self) -> bool:
        return self.manifest is not None or self.refusal is not None


class ManifestLog:
    """One table's manifest. Shape: `folder` is where it is in the archive."""

    def __init__(self, archive: ArchiveStore, folder: str, clock: Clock) -> None:
        self._archive = archive
        self._folder = folder
        self._clock = clock
        self._lock = asyncio.Lock()
        self._manifest = EMPTY
        self._known_ms: int | None = None
        self._waiting: list[_Waiting] = []

    async def current(self) -> TableManifest:
        """The manifest as it is now. Raises: ArchiveError, SettingsError."""
        async with self._lock:
            await self._refresh()
            return self._manifest

    async def check_whole(self) -> None:
        """Look whether deltas are there behind the last one that is read. Raises: ArchiveError where one
        between is gone: what comes after it is in no answer; where all of it is gone, and files are there.
        """
        while True:
            number = (await self.current()).number + 1
            name = self._delta_name(number)
            if not await self._has(f"{self._folder}/delta/", lambda one: number_in(one) is not None, name):
                if number == 1 and await self._has_files() and not (await self.current()).number:
                    raise ArchiveError(
                        f"{self._folder}: no manifest can be read there, and files are of one",
                        hint="restore it from a backup, or copy all of the folder",
                    )
                return
            if await self._archive.get(name) is None:
                raise ArchiveError(
                    f"{name} is not there, and later ones are: what came after it is not known",
                    hint="restore it from a backup",
                )

    async def _has_files(self) -> bool:
        """Whether a table's files are there, or whole manifests. A writer's first delta comes before them."""
        folder = self._folder.rpartition("/")[0]
        return await self._has(f"{folder}/", lambda name: is_own(name) or number_in(name) is not None)

    async def _has(self, prefix: str, is_wanted: Callable[[str], bool], after: str = "") -> bool:
        """Whether such a file is there; those of others are passed over."""
        while names := await self._archive.list(prefix, after=after, limit=1):
            if is_wanted(names[0]):
                return True
            after = names[0]
        return False

    async def commit(self, plan: Plan) -> TableManifest:
        """Do what a plan says, under the next number. Returns: a manifest that has it.

        Raises:  what the plan raises: nothing was done then; ArchiveError: it is there or it is not, and may
                 be repeated.
        """
        waiting = _Waiting(plan)
        self._waiting.append(waiting)
        async with self._lock:
            if not waiting.is_done:
                await self._write_waiting()
        if waiting.refusal is not None:
            raise waiting.refusal
        assert waiting.manifest is not None
        return waiting.manifest

    async def superseded(self, now_ms: int) -> Sequence[str]:
        """The names of deltas and whole manifests that the one with which readers begin has folded, once it
        has been that for so long that nobody reads them any more. Shape: never those behind the head, however
        old: a head that could not be written names an older one. Raises: ArchiveError.
        """
        head = await self._head()
        if head is None or head[0].at_ms + KEEP_MS > now_ms:
            return ()
        number = head[0].full
        deltas = await self._archive.list(f"{self._folder}/delta/")
        fulls = await self._archive.list(f"{self._folder}/full/")
        return [
            *(name for name in deltas if (own := number_in(name)) is not None and own <= number),
            *(name for name in fulls if (own := number_in(name)) is not None and own < number),
        ]

    # ---- with the lock -------------------------------------------------------------------------------------

    async def _write_waiting(self) -> None:
        taken, self._waiting = self._waiting, []
        try:
            await self._write(taken)
        except BaseException as error:  # also a cancelled one: it is not known what was written
            self._known_ms = None
            if not isinstance(error, Exception):
                # One that was cancelled takes nobody with it: the others' plans know whether they are done.
                self._waiting += taken
                raise
            for waiting in taken:
                waiting.refusal = error

    async def _write(self, taken: Sequence[_Waiting]) -> None:
        """Judge commits, and write what they do. What they say that do nothing counts when the manifest that
        they were asked about was the last one: a delta after it was written, or none was there.
        """
        is_fresh = False
        while True:
            if self._known_ms is None or self._age() > LONG_MS:
                await self._refresh()
                is_fresh = True
            known_ms, now_ms = self._known_ms, self._now()
            manifest, parts = self._manifest, []
            refusals: list[Exception | None] = []
            for waiting in taken:
                try:
                    part = waiting.plan(manifest)
                except Exception as error:  # the caller's own: the others go on without it
                    refusals.append(error)
                    continue
                refusals.append(None)
                if part is not None:
                    if reason := void_reason(manifest, part):
                        raise InternalError(f"{self._folder}: a commit that readers do not count: {reason}")
                    manifest = with_part(manifest, part, now_ms)
                    parts.append(part)
            if parts:
                delta = ManifestDelta(self._manifest.number + 1, now_ms, tuple(parts))
                if not await self._put(delta, known_ms):
                    continue
            elif not is_fresh:
                await self._refresh()
                is_fresh = True
                continue
            for waiting, refusal in zip(taken, refusals, strict=True):
                waiting.refusal = refusal
                waiting.manifest = self._manifest
            return

    async def _put(self, delta: ManifestDelta, known_ms: int | None) -> bool:
        """Write a delta. Returns: whether it is there under its number, for every reader."""
        name = self._delta_name(delta.number)
        if await self._archive.put_if_absent(name, write_kept(delta)) is None:
            await self._refresh()
            return False
        if known_ms is None or self._now() - known_ms > LONG_MS:
            head = await self._head()
            if head is not None and head[0].full >= delta.number:
                self._known_ms = None
                return False
        self._manifest = folded(self._manifest, delta)
        self._known_ms = self._now()
        if delta.number % FULL_EVERY == 0:
            await self._write_full()
        return True

    async def _write_full(self) -> None:
        """Write the whole manifest, and that readers begin with it. What fails is done by the next one."""
        manifest = self._manifest
        try:
            await self._archive.put_if_absent(self._full_name(manifest.number), write_kept(manifest))
            data = write_kept(ManifestHead(manifest.number, self._now()))
            head = await self._head()
            if head is None:
                await self._archive.put_if_absent(self._head_name, data)
            elif head[0].full < manifest.number:
                await self._archive.compare_and_put(self._head_name, data, head[1])
        except ArchiveError:
            return

    async def _refresh(self) -> None:
        if self._known_ms is None or self._age() > LONG_MS:
            await self._begin()
        begun_ms = self._now()
        at_once = 1
        while True:
            first = self._manifest.number + 1
            numbers = range(first, first + at_once)
            blobs = await asyncio.gather(*(self._archive.get(self._delta_name(number)) for number in numbers))
            for number, blob in zip(numbers, blobs, strict=True):
                if blob is None:
                    self._known_ms = begun_ms
                    return
                delta = read_kept(self._delta_name(number), blob.data, ManifestDelta)
                self._manifest = folded(self._manifest, delta)
            at_once = AT_ONCE

    async def _begin(self) -> None:
        """Go back to the whole manifest that the head names, if it is newer than what is known."""
        for _ in range(MOST_TURNS):
            head = await self._head()
            if head is None or head[0].full <= self._manifest.number:
                return
            name = self._full_name(head[0].full)
            blob = await self._archive.get(name)
            if blob is not None:
                self._manifest = read_kept(name, blob.data, TableManifest)
                return
        raise ArchiveError(
            f"{self._folder}: head.json names the manifest {head[0].full if head else 0}, which is not there",
            hint="restore the table's _manifest folder from a backup",
        )

    async def _head(self) -> tuple[ManifestHead, str] | None:
        blob = await self._archive.get(self._head_name)
        if blob is None:
            return None
        return read_kept(self._head_name, blob.data, ManifestHead), blob.tag or ""

    def _age(self) -> int:
        return self._now() - (self._known_ms or 0)

    def _now(self) -> int:
        return self._clock.now().wall_ms

    @property
    def _head_name(self) -> str:
        return f"{self._folder}/head.json"

    def _full_name(self, number: int) -> str:
        return f"{self._folder}/full/{number:020d}.json"

    def _delta_name(self, number: int) -> str:
        return f"{self._folder}/delta/{number:020d}.json"
