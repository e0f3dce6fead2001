"""Fills a build from the journal of its table, and lets delivery go on with it at an exact position.

Theory of operation: all keys are gone over once, from where the last worker was; who begins in the middle
goes over those before it afterwards, for the journal has grown since. Then only segments that are new are
read, until the journal has all that was written; then the build joins (core/journaled.py), and the last ones
are read. What a segment that was merged has twice is ignored. A journal that does not know everything fills
builds with history alone, which say what is lacking; others are filled from the table instead, as are those
whose journal is behind for long.
Rules of this file: everything may be cut off anywhere, and is done again; how far it is is saved with the
build. Called by projector.py.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from tailrace.app.fence import told
from tailrace.app.projection import Projection
from tailrace.errors import Unavailable
from tailrace.projections.core.builds import TABLE, Build
from tailrace.projections.core.folding import ItemChange
from tailrace.projections.core.journaled import (
    CALM_MS,
    JOIN_MS,
    HistoryChange,
    history_steps,
    newest_step,
)
from tailrace.projections.run.applying import apply_calmly
from tailrace.projections.run.builds import Builds, Claim
from tailrace.projections.run.journals import HistoryView, JournalOfTable, TableHistory
from tailrace.runtime.threads import in_thread

STEPS: Final = 500
"""Of one saved page, about."""
LOOK_MS: Final = 200
"""How often one looks whether the journal has what was written."""
NO_JOURNAL: Final = "there is no journal of it yet"
ANOTHER: Final = "the table was deleted and made anew meanwhile: build it anew"
_log = logging.getLogger("tailrace.projections")


class FromTable(Exception):
    """The build is filled from the table's items instead, beginning with the next claim."""


class NotYet(Exception):
    """The journal does not know enough yet."""


class _Failing(Exception):
    """More items failed than are named."""


class _Reading(Struct):
    """One filling on its way. Shape: `done` are segments that were read whole, `failed` items (hex) whose
    later changes are left out.
    """

    history: TableHistory
    view: HistoryView
    done: frozenset[str] = frozenset()
    failed: set[str] = field(default_factory=set)


class JournalFilling:
    """Fills the builds of one app's projections out of journals."""

    def __init__(self, builds: Builds) -> None:
        self._builds = builds
        self._clock = builds.clock

    async def fill(self, projection: Projection, claim: Claim, journal: JournalOfTable) -> None:
        """Fill a build; when this returns, changes are applied to it by delivery. Raises: FromTable, NotYet,
        ClaimLost, StoreError, SourceError, Unavailable.
        """
        async with AsyncExitStack() as ends:
            try:
                history = await ends.enter_async_context(journal.opened())
                present = await history.view()
            except Unavailable as error:
                if projection.history:
                    raise NotYet(str(error)) from error
                raise await self._from_table(projection, claim, str(error)) from error
            view = await self._known(projection, claim, present)
            if projection.history and claim.build.after is None:
                # Rows of a base are as of its reading: changes before that which came later would be too old.
                await self._caught_up(projection, claim, journal)
                view = await self._known(projection, claim, await history.view())
            reading = _Reading(history, view, failed={key for key, _ in claim.build.failed})
            with suppress(_Failing):
                await self._read_all(projection, claim, reading)
                while True:
                    await self._caught_up(projection, claim, journal)
                    await self._read_new(projection, claim, reading)
                    if projection.history and claim.build.failures:
                        break
                    if await self._joined(projection, claim, journal, reading):
                        return
            # What is delivered must not overtake changes that failed: it stays as it is, until they do not.
            await claim.save(replace(claim.build, is_filled=True, after=None))

    async def _read_all(self, projection: Projection, claim: Claim, reading: _Reading) -> None:
        """Fold what the journal has, from where the last worker was."""
        if not claim.build.total:
            total = await reading.view.total(is_newest=not projection.history)
            await claim.save(replace(claim.build, total=total))
        _log.info(
            "projection %s: build %s is filled from the journal of table %s",
            projection.id, claim.build.name, projection.table.name,
        )  # fmt: skip
        first = _cursor(claim.build)
        await self._read(projection, claim, reading, first)
        if first:
            await self._read(projection, claim, reading, b"", first)
        reading.done = reading.view.files

    async def _known(self, projection: Projection, claim: Claim, view: HistoryView | None) -> HistoryView:
        """The journal's view, with what it lacks in the build. Raises: FromTable, NotYet."""
        is_another = view is not None and claim.build.incarnation not in ("", view.incarnation)
        if view is not None and (projection.history or is_another or not view.lacking):
            lacking = (ANOTHER,) if is_another else view.lacking
            if lacking != claim.build.lacking or not claim.build.incarnation:
                incarnation = claim.build.incarnation or view.incarnation
                await claim.save(replace(claim.build, lacking=lacking, incarnation=incarnation))
            return view
        why = view.lacking[0] if view is not None else NO_JOURNAL
        if projection.history:
            raise NotYet(why)
        raise await self._from_table(projection, claim, why)

    async def _from_table(self, projection: Projection, claim: Claim, why: str) -> FromTable:
        build = claim.build
        if build.total:
            # What was read may have gone meanwhile, and no page says so: another build begins with nothing.
            known = await self._builds.look(projection)
            build = await self._builds.begin(projection, TABLE)
            if known.served == claim.build.name:
                await self._builds.serve(projection, await self._builds.look(projection), build.name)
        else:
            is_timed = not await self._builds.tells_positions(projection)
            await claim.hand_over(projection, replace(build, source=TABLE, is_timed=is_timed))
        _log.info(
            "projection %s: build %s is filled from the items of table %s: its journal does not do: %s",
            projection.id, build.name, projection.table.name, why,
        )  # fmt: skip
        return FromTable(why)

    # ---- reading -------------------------------------------------------------------------------------------

    async def _read(
        self,
        projection: Projection,
        claim: Claim,
        reading: _Reading,
        first: bytes,
        end: bytes | None = None,
    ) -> None:
        """Fold the changes of a range of keys, of the segments that were not read whole. Raises: _Failing."""
        _check_named(projection, claim.build)
        changes = reading.view.changes(
            is_newest=not projection.history, first=first, end=end, without=reading.done
        )
        is_first_pass = not reading.done
        async for some in _pages(changes):
            now_ms = self._clock.now().wall_ms
            steps = await in_thread(_steps, projection, some, now_ms)
            steps = [step for step in steps if step.key not in reading.failed]
            applied = await apply_calmly(
                self._builds.store(projection, claim.build.name), projection, steps, self._clock
            )
            failed = [(steps[index].key, told(error)[:500]) for index, error in applied.failures.items()]
            reading.failed |= {key for key, _ in failed}
            count = len(some) if projection.history else len({change.key for change in some})
            cursor = {"key": some[-1].key.hex()} if is_first_pass and end is None else claim.build.after
            await claim.save(claim.build.with_part(cursor, count, failed))
            _check_named(projection, claim.build)

    async def _read_new(self, projection: Projection, claim: Claim, reading: _Reading) -> None:
        """Fold what the journal has got since. Raises: NotYet, Unavailable."""
        view = await reading.history.view()
        if view is None:
            raise NotYet(NO_JOURNAL)
        lacking = view.lacking if view.incarnation == claim.build.incarnation else (ANOTHER,)
        reading.view = view
        await self._read(projection, claim, reading, b"")
        reading.done |= view.files
        if lacking != claim.build.lacking:
            await claim.save(replace(claim.build, lacking=lacking))

    # ---- handing over --------------------------------------------------------------------------------------

    async def _caught_up(self, projection: Projection, claim: Claim, journal: JournalOfTable) -> None:
        """Wait until the journal has everything that was written by now. Raises: FromTable."""
        begun_ms, is_told = self._clock.now().monotonic_ms, False
        while not await self._passed(journal, self._clock.now().monotonic_ms + JOIN_MS):
            waited_ms = self._clock.now().monotonic_ms - begun_ms
            why = f"the journal is more than {waited_ms // 1_000} s behind"
            if waited_ms >= CALM_MS and not projection.history:
                raise await self._from_table(projection, claim, why)
            if not is_told:
                is_told = True
                _log.warning("projection %s: build %s waits: %s", projection.id, claim.build.name, why)

    async def _passed(self, journal: JournalOfTable, until_ms: int) -> bool:
        """Whether the journal gets everything that was written by now, within a time."""
        mark = await journal.marks.mark()
        while not await journal.marks.has_passed(mark):
            now_ms = self._clock.now().monotonic_ms
            if now_ms >= until_ms:
                return False
            await self._clock.sleep_until(min(until_ms, now_ms + LOOK_MS))
        return True

    async def _joined(
        self, projection: Projection, claim: Claim, journal: JournalOfTable, reading: _Reading
    ) -> bool:
        """Let delivery wait, fold the rest, let delivery go on with the build; False: it took too long."""
        until_ms = self._clock.now().monotonic_ms + JOIN_MS
        await self._builds.join(projection, claim.build)
        try:
            if await self._passed(journal, until_ms):
                await self._read_new(projection, claim, reading)
                if not (projection.history and claim.build.failures):
                    filled = replace(claim.build, is_filled=True, after=None)
                    if await claim.hand_over(projection, filled, from_join=True):
                        return True
        finally:
            if not claim.build.is_filled:
                await self._builds.let_go(projection, claim.build.name)
        return False


def _check_named(projection: Projection, build: Build) -> None:
    """Require that all items that failed are named: who goes on has to leave their later changes out. Raises:
    _Failing.
    """
    if projection.history and build.failures > len(build.failed):
        raise _Failing


def _steps(projection: Projection, changes: Sequence[HistoryChange], now_ms: int) -> list[ItemChange]:
    """The steps of a page, without those of other entities."""
    steps: list[ItemChange] = []
    for some in _by_key(changes):
        made = list(history_steps(some, now_ms)) if projection.history else [newest_step(some[-1], now_ms)]
        image = next((step.image for step in made if step.image is not None), None)
        if image is None or projection.is_of(projection.keys_of(image)):
            steps += made
    return steps


def _by_key(changes: Sequence[HistoryChange]) -> list[list[HistoryChange]]:
    groups: list[list[HistoryChange]] = []
    for change in changes:
        if not groups or groups[-1][-1].key != change.key:
            groups.append([])
        groups[-1].append(change)
    return groups


async def _pages(changes: AsyncIterator[HistoryChange]) -> AsyncIterator[list[HistoryChange]]:
    """Changes in pages that hold whole items, where an item has not more of them than two pages."""
    page: list[HistoryChange] = []
    async for change in changes:
        is_other = bool(page) and page[-1].key != change.key
        if (is_other and len(page) >= STEPS) or len(page) >= 2 * STEPS:
            yield page
            page = []
            await asyncio.sleep(0)
        page.append(change)
    if page:
        yield page


def _cursor(build: Build) -> bytes:
    """The key from which on the first going over all of them is not done."""
    return b"" if build.after is None else bytes.fromhex(str(build.after["key"]))
