"""Forgetting the windows that are closed for good, by the day, in slices.

Theory of operation: whatever is written is noted under the day that it belongs to, in one of 256 slices.
When nothing can come to the last window of a day any more, the day is gone through: panes with what is in
them and what was told of them, and tombstones of items; again for sessions that went on.
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
from tailrace.windows.core.shapes import Session, Shape
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
        """Remove what is known of the days that no window holds any more which may still be told: the last
        window of a day's last pane ended so long ago that nothing can come to it.
        """
        last = (horizon_ms - 2 * self._shape.last_end_ms) // DAY_MS
        first = last - LOOK_BACK_DAYS if self._next_day is None else self._next_day
        with suppress(PortError):  # the next hour goes on where this one stopped
            day, left = max(0, first), last
            while (noted := await self._noted_day(day)) is not None and noted < last:
                day = noted
                for number in range(SLICES):
                    for row in await self._state.query(day_prefix(self._owner, day, number)):
                        if not await self._forget_one(row, horizon_ms):
                            left = min(left, day)
                day += 1
                self._next_day = min(left, day)
            self._next_day = max(first, min(left, last))

    async def _noted_day(self, day: int) -> int | None:
        """The first day from this one on of which anything is noted: most days of those that are looked back
        to have nothing.
        """
        rows = await self._state.query(all_days(self._owner), after=before_day(self._owner, day), limit=1)
        return day_of(self._owner, rows[0].key) if rows else None

    async def _forget_one(self, noted: StateRow, horizon_ms: int) -> bool:
        """Returns: whether it is gone; a session that goes on for days is kept whole."""
        if "key" in noted.fields:
            row = await self._state.get(item_key(self._owner, str(noted.fields["key"])))
            writes = [_removal(row)] if row is not None and row.fields["image"] is None else []
        else:
            pane, group = int(noted.fields["pane"]), str(noted.fields["group"])
            if await self._goes_on(pane, group, horizon_ms):
                return False
            writes = await self._rows_of_pane(pane, group)
        with suppress(StateConflict):
            for some in slices([*writes, Write(noted.key, None)]):  # what was noted goes last
                await self._state.transact(some)
        return True

    async def _goes_on(self, pane: int, group: str, horizon_ms: int) -> bool:
        """Whether a session of a pane can still be told: it is read as a whole."""
        if not isinstance(self._shape, Session):
            return False
        spans = await self._contents.spans(pane, group)
        return any(span.end_ms + self._shape.last_end_ms > horizon_ms for span in spans)

    async def _rows_of_pane(self, pane: int, group: str) -> list[Write]:
        rows = await self._state.query(member_key(self._owner, group, pane, ""))
        first_ms = pane if isinstance(self._shape, Session) else self._shape.spans_of(pane)[0].start_ms
        invocations = await self._contents.told_between(group, first_ms, pane + self._shape.pane_ms)
        writes = [Write(row.key, None) for row in (*rows, *invocations)]
        for row in rows:
            item = await self._state.get(item_key(self._owner, str(row.fields["key"])))
            if item is not None and row_version(item.fields) == row_version(row.fields):
                writes.append(_removal(item))
        return writes


def _removal(row: StateRow) -> Write:
    return Write(row.key, None, same_version(row.fields))
