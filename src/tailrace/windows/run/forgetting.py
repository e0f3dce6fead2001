"""Forgetting the windows that are closed for good, by the day, in slices.

Theory of operation: whatever is written is noted under the day that it belongs to, in one of 256 slices.
When the last window of a day is closed for good, the day is gone through once: panes with what is in them
and what was told of them, and tombstones of items.
Rules of this file: a row goes only as it was read; what was changed this moment is left to the next hour.
Run by windowing.py.
"""

from contextlib import suppress
from typing import Final

from tailrace.errors import PortError, StateConflict
from tailrace.ports import Clock, StateStore
from tailrace.rows.bounds import slices
from tailrace.rows.writes import StateRow, Write, same_version
from tailrace.streams.version import row_version
from tailrace.windows.core.rows import (
    DAY_MS,
    SLICES,
    WindowOwner,
    all_days,
    before_day,
    day_of,
    day_prefix,
    item_key,
    member_key,
)
from tailrace.windows.core.shapes import Shape
from tailrace.windows.run.contents import WindowContents

EVERY_MS: Final = 3_600_000
LOOK_BACK_DAYS: Final = 400
"""What a worker that was away looks through when it starts: more than the longest `keep`."""


class Forgetting:
    """Takes the rows of one handler's windows away."""

    def __init__(
        self, owner: WindowOwner, shape: Shape, contents: WindowContents, state: StateStore, clock: Clock
    ) -> None:
        self._owner = owner
        self._shape = shape
        self._contents = contents
        self._state = state
        self._clock = clock
        self._next_day: int | None = None

    async def wait(self) -> None:
        """Let an hour pass."""
        await self._clock.sleep_until(self._clock.now().monotonic_ms + EVERY_MS)

    async def forget(self, horizon_ms: int) -> None:
        """Remove what is known of the days whose windows all ended before the horizon."""
        last = (horizon_ms - self._shape.last_end_ms) // DAY_MS
        first = last - LOOK_BACK_DAYS if self._next_day is None else self._next_day
        with suppress(PortError):  # the next hour goes on where this one stopped
            day = max(0, first)
            while (noted := await self._noted_day(day)) is not None and noted < last:
                day = noted
                for number in range(SLICES):
                    for row in await self._state.query(day_prefix(self._owner, day, number)):
                        await self._forget_one(row)
                day += 1
                self._next_day = day
            self._next_day = max(first, last)

    async def _noted_day(self, day: int) -> int | None:
        """The first day from this one on of which anything is noted: most days of those that are looked back
        to have nothing.
        """
        rows = await self._state.query(all_days(self._owner), after=before_day(self._owner, day), limit=1)
        return day_of(self._owner, rows[0].key) if rows else None

    async def _forget_one(self, noted: StateRow) -> None:
        if "key" in noted.fields:
            row = await self._state.get(item_key(self._owner, str(noted.fields["key"])))
            writes = [_removal(row)] if row is not None and row.fields["image"] is None else []
        else:
            writes = await self._rows_of_pane(int(noted.fields["pane"]), str(noted.fields["group"]))
        with suppress(StateConflict):
            for some in slices([*writes, Write(noted.key, None)]):  # what was noted goes last
                await self._state.transact(some)

    async def _rows_of_pane(self, pane: int, group: str) -> list[Write]:
        rows = await self._state.query(member_key(self._owner, group, pane, ""))
        invocations = await self._contents.told_between(group, pane, pane + self._shape.pane_ms)
        writes = [Write(row.key, None) for row in (*rows, *invocations)]
        for row in rows:
            item = await self._state.get(item_key(self._owner, str(row.fields["key"])))
            if item is not None and row_version(item.fields) == row_version(row.fields):
                writes.append(_removal(item))
        return writes


def _removal(row: StateRow) -> Write:
    return Write(row.key, None, same_version(row.fields))
