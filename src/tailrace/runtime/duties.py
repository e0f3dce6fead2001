"""Work of an app that one of its workers does at a time, taken, kept and given back over a state store.

Theory of operation: `hold` is asked before each piece of the work. It takes what is free or left by a worker
that is gone, and moves the stamp of what is its own when that is due; in between it asks nothing. What is
written beside the work has `fence` in its transaction; where that does not hold, `doubt` makes the next
`hold` look.
Rules of this file: what is judged is in leases/duty.py; nothing is waited for here; a conflict means that
another worker has it. Made where workers are joined.
"""

import asyncio
from contextlib import suppress
from typing import Final

from tailrace.errors import PortError, StateConflict
from tailrace.leases.duty import DUTY_MS, HeldDuty, moved_duty, read_duty, taken_duty
from tailrace.leases.lease import Owner, Sighting, sighted
from tailrace.ports import Clock, StateStore
from tailrace.rows.writes import Check, Write

RENEWAL_MS: Final = DUTY_MS // 3


class Duty:
    """One piece of work, as one worker knows it. Shape: `key` is its row's."""

    def __init__(self, key: str, state: StateStore, clock: Clock, owner: Owner) -> None:
        self._key = key
        self._state = state
        self._clock = clock
        self._owner = owner
        self._held: HeldDuty | None = None
        self._last = HeldDuty(key)
        self._moved_ms = 0
        self._asking = asyncio.Lock()
        self._seen: Sighting | None = None
        self.taken = 0
        """How often it was taken here."""

    @property
    def is_held(self) -> bool:
        """Whether it is this worker's, as far as it knows without asking."""
        is_fresh = self._clock.now().monotonic_ms - self._moved_ms < DUTY_MS
        return self._held is not None and is_fresh

    @property
    def fence(self) -> Check:
        """What holds as long as no other worker has taken it since it was held here last."""
        return self._last.fence

    def doubt(self) -> None:
        """Something that was written beside it was refused: the next `hold` looks."""
        self._moved_ms = self._clock.now().monotonic_ms - RENEWAL_MS

    async def hold(self) -> bool:
        """Whether it is this worker's now: taken, or moved where that is due. Raises: StoreError; whether it
        is held is then looked at by the next call.
        """
        async with self._asking:
            return await self._hold()

    async def may(self) -> bool:
        """The same; a store that does not answer says no."""
        try:
            return await self.hold()
        except PortError:
            return False

    async def _hold(self) -> bool:
        began_ms = self._clock.now().monotonic_ms
        if self._held is not None and began_ms - self._moved_ms < RENEWAL_MS:
            return True
        row = await self._state.get(self._key)
        there = read_duty(self._key, None if row is None else row.fields)
        is_mine = self._held is not None and there.owner == self._owner.name
        if is_mine and self._held is not None and there.epoch == self._held.epoch:
            return await self._write(*moved_duty(there), began_ms)
        self._held = None
        if not self._may_take(there):
            return False
        is_taken = await self._write(*taken_duty(there, self._owner.name), began_ms)
        self.taken += is_taken
        return is_taken

    async def leave(self) -> None:
        """Give it back, so that another worker takes it at once; where that fails, it waits."""
        if self._held is not None:
            held, self._held = self._held, None
            with suppress(PortError):
                await self._state.transact([moved_duty(held, owner="")[1]])

    def _may_take(self, there: HeldDuty) -> bool:
        owner, now_ms = there.owner, self._clock.now().monotonic_ms
        if not owner or owner == self._owner.name or self._owner.is_gone(owner):
            return True
        self._seen = sighted(self._seen, there.stamp, now_ms)
        return self._seen.has_expired(now_ms, DUTY_MS)

    async def _write(self, after: HeldDuty, write: Write, began_ms: int) -> bool:
        try:
            await self._state.transact([write])
        except StateConflict:
            self._held = None
            return False
        self._held = self._last = after
        self._moved_ms, self._seen = began_ms, None
        return True


class Duties:
    """The work of one worker of several, by the keys of its rows."""

    def __init__(self, state: StateStore, clock: Clock, owner: Owner) -> None:
        self._parts = state, clock, owner
        self._duties: dict[str, Duty] = {}

    def of(self, key: str) -> Duty:
        """Always the same one for a key."""
        return self._duties.setdefault(key, Duty(key, *self._parts))

    async def leave(self) -> None:
        """Give back all that is held."""
        for duty in self._duties.values():
            await duty.leave()
