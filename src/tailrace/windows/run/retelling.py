"""Windows of the past told anew, beside those that are told live, and the border between the two.

Theory of operation: what ended before the border is closed for good in live delivery: nothing changes or
tells it there, so a replay does. What is in windows beyond it is handed to the live windows, where they do
not know it (a handler that was added today knows nothing of yesterday); they ignore what they have, and tell
what is new to them. A window across the border with nothing in it that is still open would be told by nobody:
the replay tells it, and notes that it has, so that a later correction goes on from there.
Rules of this file: a word of a replay has the replay's generation, which is newer than any before it; where
something is known of the window live, the next revision has it too. Decision 87.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

from tailrace.errors import StateConflict
from tailrace.ports import Failure, StateStore
from tailrace.rows.writes import Absent, Equals, Write
from tailrace.windows.core.past import PastWindow
from tailrace.windows.core.rows import Contribution, WindowInvocation, read_told, told_fields, told_key
from tailrace.windows.run.changes import WindowChanges
from tailrace.windows.run.contents import EMPTY, digest_of
from tailrace.windows.run.windowing import Closing

FIRST: Final = 1
"""The revision under which a replay tells each window."""


class Retelling:
    """The windows of one handler, told anew. Shape: `archived_until` gives the time through which the journal
    has every change, in ms since the epoch.
    """

    def __init__(
        self, changes: WindowChanges, state: StateStore, archived_until: Callable[[], Awaitable[int]]
    ) -> None:
        self._changes = changes
        self._windows = changes.windows
        self._state = state
        self._archived_until = archived_until

    async def border_ms(self) -> int:
        """What ended before is closed for good, and the journal has all of it. Units: ms since the epoch.
        Raises: SourceError, StoreError.
        """
        delay_ms = self._windows.plan.delay_ms
        return min(await self._windows.horizon_ms(), await self._archived_until() - delay_ms)

    async def hand_over(self, members: Sequence[Contribution], border_ms: int) -> None:
        """Give what is in windows beyond the border to those who tell them. Raises: StoreError."""
        await self._changes.hand_over(members, border_ms)

    async def tell(
        self, window: PastWindow, generation: int, replay_id: str, *, is_final: bool
    ) -> Failure | None:
        """One attempt to tell a window. Returns: why it failed. Raises: StoreError."""
        span = window.span
        closing = Closing(window.group, span, window.members, FIRST, EMPTY, generation, replay_id)
        answer = await self._windows.tell(closing)
        if answer.failure is not None:
            return answer.failure
        key = told_key(self._windows.owner, window.group, span.start_ms)
        row = await self._state.get(key)
        if row is not None or not is_final:
            digest = digest_of(window.members)
            told = WindowInvocation(*span, FIRST, digest, answer.value, generation=generation)
            guard = Absent() if row is None else Equals("revision", read_told(row.fields).revision)
            with suppress(StateConflict):  # it was told live meanwhile, as it is now
                await self._state.transact([Write(key, told_fields(told), guard)])
        return None
