"""Folding the changes of a batch into the windows of a handler: what each item contributes, and what was
touched by it.

Rules of this file: some changes in one transaction, each item's row on the condition that it still is as it
was read; a lost condition means that another worker was faster, and everything is read again. What comes
too late for every window is counted and said once. Called by sinks/windowed.py.
"""

import logging
from collections.abc import Sequence
from typing import Final

from tailrace.app.fence import FENCE
from tailrace.app.window import WindowPlan
from tailrace.errors import SettingsError, StateConflict
from tailrace.ports import Clock, StateStore
from tailrace.rows.bounds import SLICE
from tailrace.rows.writes import Write
from tailrace.runtime.attempts import Tally
from tailrace.streams.record import ChangeRecord, image
from tailrace.windows.core.folding import fold, is_closed_for_good
from tailrace.windows.core.rows import Contribution, item_key, read_contribution
from tailrace.windows.run.windowing import Windows

LOG: Final = logging.getLogger("tailrace.windows")
AT_ONCE: Final = SLICE // 7
"""Changes in one transaction: each has up to seven rows."""
TRIES: Final = 8
Failures = dict[int, Exception]


class WindowChanges:
    """The changes of one handler's items. Shape: the tally's `suppressed` counts those that were applied
    before, or overtaken.
    """

    def __init__(self, windows: Windows, state: StateStore, clock: Clock, tally: Tally | None = None) -> None:
        self.windows = windows
        self._state = state
        self._clock = clock
        self._tally = tally or Tally()

    async def apply(self, records: Sequence[ChangeRecord]) -> Failures:
        """Fold these in, in order. Returns: what failed, by index; later changes of such an item are left
        out. Raises: StoreError.
        """
        failures: Failures = {}
        failed: set[bytes] = set()
        contributions: list[Contribution] = []
        for index, record in enumerate(records):
            if record.key in failed:
                continue
            try:
                with FENCE:
                    contributions.append(contribution_of(self.windows.plan, record))
            except Exception as error:  # whatever the user's code raises is this change's failure
                failures[index] = error
                failed.add(record.key)
        horizon_ms = await self.windows.horizon_ms()
        for start in range(0, len(contributions), AT_ONCE):
            await self._commit(contributions[start : start + AT_ONCE], horizon_ms)
        return failures

    async def hand_over(self, contributions: Sequence[Contribution], horizon_ms: int) -> None:
        """Fold in what a replay leaves to these windows, where nothing newer of an item is known: also what
        is closed for good, of which nobody is told. Raises: StoreError.
        """
        for start in range(0, len(contributions), AT_ONCE):
            await self._commit(contributions[start : start + AT_ONCE], horizon_ms, is_late=False)

    async def _commit(
        self, changes: Sequence[Contribution], horizon_ms: int, *, is_late: bool = True
    ) -> None:
        for _ in range(TRIES):
            try:
                await self._try_commit(changes, horizon_ms, is_late=is_late)
            except StateConflict:
                continue
            return
        raise StateConflict(f"{TRIES} times another batch changed the same items first; nothing was written")

    async def _try_commit(self, changes: Sequence[Contribution], horizon_ms: int, *, is_late: bool) -> None:
        """Shape: `is_late`: what is closed for good came too late."""
        windows, now_ms = self.windows, self._clock.now().wall_ms
        known: dict[str, Contribution | None] = {}
        writes: dict[str, Write] = {}
        touched: dict[tuple[int, str], str] = {}
        late = ignored = 0
        for change in changes:
            if change.key not in known:
                row = await self._state.get(item_key(windows.owner, change.key))
                known[change.key] = None if row is None else read_contribution(row.fields)
            is_closed = is_closed_for_good(windows.plan.shape, change.at_ms, horizon_ms)
            if is_late and change.image is not None and is_closed:
                change, late = Contribution(change.key, change.version), late + 1
            folded = fold(windows.owner, windows.plan.shape, known[change.key], change, horizon_ms, now_ms)
            ignored += not folded.writes
            if folded.writes:
                known[change.key] = change
            _merge(writes, folded.writes)
            touched.update(dict.fromkeys(folded.touched, change.version.text))
        if writes:
            await self._state.transact(list(writes.values()))
        if is_late:
            self._tally.suppressed += ignored
        self._tell_late(late)
        for touch, stamp in touched.items():
            windows.touch([touch], stamp)

    def _tell_late(self, late: int) -> None:
        if late and not self.windows.late:
            LOG.warning(
                "%s: a change came after its window was closed for good, and is in no window; how "
                "many there were is in `tailrace status`. "
                "keep= says how long a window is corrected",
                self.windows.owner.mapping_id,
            )
        self.windows.came_late(late)


def contribution_of(plan: WindowPlan, record: ChangeRecord) -> Contribution:
    """What an item contributes from a change on. Raises: what the user's code raises, ItemError, ValueError,
    TypeError; SettingsError for a stream without new images.
    """
    key = record.key.hex()
    if record.event_name == "REMOVE":
        return Contribution(key, record.version)
    new_image = image(record.new)
    if new_image is None:
        raise SettingsError("a window needs the new image: the stream's view type has none")
    group, at_ms = plan.place_of(new_image, record.created_ms)
    return Contribution(key, record.version, group, at_ms, new_image)


def _merge(writes: dict[str, Write], more: Sequence[Write]) -> None:
    """The last write of a row counts, under the first one's condition."""
    for write in more:
        before = writes.get(write.key)
        guard = write.condition if before is None else before.condition
        writes[write.key] = Write(write.key, write.fields, guard)
