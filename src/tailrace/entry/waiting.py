"""Keeps the items of dead letters from batches before they are put back: on Lambda no machine can be told to
hold a key, for it is in another process.

Theory of operation. A process learns of a key from its head, which it reads as a batch begins. So of a dead
letter a head is written first, of which nobody has put anything back yet: what comes of its item from then on
is parked behind it. A batch that began before that may still be at work with the item, but no longer than its
function's time-out, so the dead letter waits that long, and then is put back under this head as everywhere,
what was parked behind it after it. Of several dead letters of an item each waits for itself, unless something
is parked behind the first. What the head of a dead letter that is no more was left for is freed.
Rules of this file: it writes heads and nothing else, and delivers nothing. Called by redriving.py.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from tailrace.deadletters.core.entry import deadletter_key, read_deadletter
from tailrace.deadletters.core.head import Head, claimed_free, freed, head_key, head_prefix, read_head
from tailrace.deadletters.core.passed import passed_key, read_passed
from tailrace.deadletters.core.requests import RedrivePlan, RedriveRequest
from tailrace.errors import StateConflict
from tailrace.ports import Clock, StateStore
from tailrace.runtime.pages import rows
from tailrace.streams.version import Version

MARGIN_MS: Final = 5_000
"""By so much the clocks of two processes may differ, and a time-out may come late."""


class HeldLetters:
    """The dead letters of an app that are not to be put back yet."""

    def __init__(self, app: str, state: StateStore, clock: Clock) -> None:
        self._app = app
        self._state = state
        self._clock = clock
        self._waiting: set[tuple[str, Version]] = set()

    def is_waiting(self, handler: str, version: Version) -> bool:
        """Whether a batch that knows nothing of its head may still be under way, as of the last look."""
        return (handler, version) in self._waiting

    async def look(self, request: RedriveRequest, plan: RedrivePlan, longest_ms: int) -> int:
        """Write the heads that are missing, and learn which letters of a request have waited long enough.
        Returns: how many have not. Units: `longest_ms` is the time-out of who handles batches. Raises:
        StoreError.
        """
        handler = request.handler
        self._waiting = {place for place in self._waiting if place[0] != handler}
        if request.drop:
            return 0  # nothing is handed to the handler
        for key, versions in plan.items.items():
            waiting = await self._waiting_of(request, key, versions, longest_ms + MARGIN_MS)
            self._waiting.update((handler, version) for version in waiting)
        return sum(place[0] == handler for place in self._waiting)

    async def _waiting_of(
        self, request: RedriveRequest, key: bytes, versions: Sequence[Version], waits_ms: int
    ) -> Sequence[Version]:
        head = await self._head(request.handler, key)
        if head is None:
            await self._write(request, key, versions)
            return versions
        if head.count and head.first not in versions:
            return ()  # it is parked, and what waits there comes first
        is_over = self._clock.now().wall_ms - head.parked_ms >= waits_ms
        return [version for version in versions if version != head.first or not is_over]

    async def _write(self, request: RedriveRequest, key: bytes, versions: Sequence[Version]) -> None:
        """Write the head of an item's first letter that is not overtaken."""
        row = await self._state.get(passed_key(self._app, request.handler, key))
        passed = read_passed(None if row is None else row.fields)
        for version in versions:
            if passed > version and not request.even_if_overtaken:
                continue
            letter = await self._state.get(deadletter_key(self._app, request.handler, version))
            if letter is not None:
                now_ms = self._clock.now().wall_ms
                _, write = claimed_free(read_deadletter(letter.fields), self._app, "", now_ms)
                with suppress(StateConflict):  # a batch has parked the item meanwhile
                    await self._state.transact([write])
                return

    async def free(self, handler: str) -> None:
        """Remove heads whose letters are no more, and behind which nothing waits. Raises: StoreError."""
        async for row in rows(self._state, head_prefix(self._app, handler)):
            head = read_head(self._app, handler, row.fields)
            if head.count or head.claimed_by:
                continue
            if await self._state.get(deadletter_key(self._app, handler, head.first)) is None:
                with suppress(StateConflict):  # something was parked behind it meanwhile
                    await self._state.transact([freed(head)])

    async def _head(self, handler: str, key: bytes) -> Head | None:
        row = await self._state.get(head_key(self._app, handler, key))
        return None if row is None else read_head(self._app, handler, row.fields)
