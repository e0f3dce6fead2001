"""Fills a build from the items of its table, page by page.

Theory of operation: an item that is read from the table while the last sequence number is P holds every
change up to P and none after, so it is applied as a change with the number P; what is delivered is older and
ignored, or newer and applied. So a build begins with all that the table has, however little the stream still
holds, and reading and delivering need not know of each other. Where no position is told, core/timed.py says
why that holds.
Rules of this file: everything may be cut off anywhere and is done again; how far it is is saved with the
build. Called by projector.py.
"""

import asyncio
import logging
from typing import Final

from tailrace.app.fence import told
from tailrace.app.projection import Projection
from tailrace.errors import SourceError
from tailrace.leases.generation import read_generations, sources_key
from tailrace.ports import ItemsPage, TableItems
from tailrace.projections.core.builds import Build
from tailrace.projections.core.folding import ItemChange
from tailrace.projections.core.timed import page_version
from tailrace.projections.run.applying import apply_calmly
from tailrace.projections.run.builds import Builds, Claim
from tailrace.runtime.agreeing import Besides, adopt
from tailrace.runtime.parts import Parts
from tailrace.streams.version import Version

PAGE: Final = 100
_log = logging.getLogger("tailrace.projections")


class TableFilling:
    """Fills the builds of one app's projections from the items of their tables."""

    def __init__(self, app: str, builds: Builds, items: TableItems, parts: Parts, besides: Besides) -> None:
        self._app = app
        self._builds = builds
        self._items = items
        self._state, self._clock = parts.state, parts.clock
        self._besides = besides
        self._untold: set[str] = set()

    async def fill(self, projection: Projection, claim: Claim) -> None:
        """Fill a build. Raises: ClaimLost, StoreError, SourceError, Unavailable."""
        while not claim.build.is_filled:
            await self._fill_page(projection, claim)
            await asyncio.sleep(0)

    async def _fill_page(self, projection: Projection, claim: Claim) -> None:
        store, build = self._builds.store(projection, claim.build.name), claim.build
        # Asked for first: what comes of a stream that begins after this is newer than the page, whatever its
        # numbers are.
        generation = 0 if build.is_timed else await self._generation(projection)
        asked_ms = self._clock.now().wall_ms
        page = await self._items.page(projection.table.name, build.after, PAGE)
        position = asked_ms * 1_000 if build.is_timed else self._told_position(projection, build, page)
        version = page_version(position) if build.is_timed else Version(generation, position)
        now_ms = self._clock.now().wall_ms
        steps = [
            ItemChange(key, version, image, now_ms)
            for key, keys, image in page.items
            if projection.is_of(keys)
        ]
        applied = await apply_calmly(store, projection, steps, self._clock)
        failed = [(steps[index].key, told(error)[:500]) for index, error in applied.failures.items()]
        await claim.save(build.with_page(position, page.after, len(steps) - len(failed), failed))

    def _told_position(self, projection: Projection, build: Build, page: ItemsPage) -> int:
        if page.position is not None:
            return page.position
        words = (
            f"projection {projection.id}: build {build.name} was begun where pages tell their positions, and "
            f"table {projection.table.name!r} tells none any more: let it be served as before, or raise the "
            "version of the projection"
        )
        if projection.mapping_id not in self._untold:
            self._untold.add(projection.mapping_id)
            _log.warning("%s", words)
        raise SourceError(words)

    async def _generation(self, projection: Projection) -> int:
        """The newest one of the table's changes; before they are numbered, of what is kept beside rows.
        Raises: what a place raises that does not tell.
        """
        app, table = self._app, projection.table.name
        row = await self._state.get(sources_key(app, table))
        numbers = read_generations(app, table, None if row is None else row.fields)
        if row is None:
            numbers, away = await adopt(numbers, self._besides(table))
            for error in away.values():
                raise error  # soon there are numbers, whether it answers or not
        return numbers.newest
