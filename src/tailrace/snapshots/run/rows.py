"""The rows of one mapping's snapshot, as one worker reads and writes them; and the claim that it has.

Rules of this file: whatever is written is conditional, and one whose condition fails knows too little. Called
by run/snapshotter.py.
Stands alone because what a snapshot does is told by the runner, and how it is kept by this.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from msgspec.structs import replace

from tailrace.errors import PortError, StateConflict
from tailrace.leases.lease import Owner, Sighting, sighted
from tailrace.ports import Clock, StateStore
from tailrace.rows.writes import Write
from tailrace.snapshots.core.snapshot import (
    CLAIM_MS,
    Snapshot,
    WantedSnapshot,
    claimed,
    read_snapshot,
    read_wanted,
    saved,
    snapshot_key,
    wanted_key,
)


class SnapshotClaimLost(Exception):
    """Another worker has taken the snapshot over, or another one is wanted."""


class SnapshotRows:
    """The two rows of a mapping."""

    def __init__(self, app: str, mapping_id: str, state: StateStore, clock: Clock, owner: Owner) -> None:
        self._app = app
        self._mapping_id = mapping_id
        self.state = state
        self.clock = clock
        self._owner = owner
        self._seen: Sighting | None = None

    async def wanted(self) -> WantedSnapshot | None:
        """What is wanted now. Raises: StoreError."""
        row = await self.state.get(wanted_key(self._app, self._mapping_id))
        return read_wanted(self._app, self._mapping_id, row)

    async def snapshot(self) -> Snapshot | None:
        """How far it is. Raises: StoreError."""
        row = await self.state.get(snapshot_key(self._app, self._mapping_id))
        return read_snapshot(self._app, self._mapping_id, row)

    async def want(self, wanted: WantedSnapshot) -> bool:
        """Write what is wanted. Returns: whether it was as it was read. Raises: StoreError."""
        try:
            await self.state.transact([wanted.write()])
        except StateConflict:
            return False
        return True

    async def claim(self, before: Snapshot | None, snapshot: Snapshot) -> "SnapshotClaim | None":
        """Take it, as it is or at its beginning; None: another living worker has it, or was faster. Raises:
        StoreError.
        """
        if before is not None and self._is_taken(before):
            return None
        taken = claimed(snapshot, self._owner.name, self._owner.claim_ms)
        written, write = saved(before, taken)
        try:
            await self.state.transact([write])
        except StateConflict:
            return None
        return SnapshotClaim(self, written)

    def _is_taken(self, snapshot: Snapshot) -> bool:
        """Whether another worker that lives is at it, by this observer's own clock."""
        if snapshot.claimed_by in ("", self._owner.name) or self._owner.is_gone(snapshot.claimed_by):
            return False
        now_ms = self.clock.now().monotonic_ms
        self._seen = sighted(self._seen, snapshot.stamp, now_ms)
        return not self._seen.has_expired(now_ms, snapshot.claim_ms or CLAIM_MS)


class SnapshotClaim:
    """The snapshot that is this worker's until it has to learn that it is not. Shape: `snapshot` is how far
    it is, as its row says it.
    """

    def __init__(self, rows: SnapshotRows, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._rows = rows
        self._writing = asyncio.Lock()
        self._kept_ms = rows.clock.now().monotonic_ms

    async def save(self, step: Callable[[Snapshot], Snapshot], beside: Sequence[Write] = ()) -> Snapshot:
        """Keep what a step makes of it, with what is to be written in the same moment. Shape: `step` is given
        it as it is kept. Returns: how it is kept now.

        Raises: SnapshotClaimLost; StateConflict when what is `beside` is not as expected; StoreError.
        """
        async with self._writing:
            now = self._rows.clock.now()
            after = self.snapshot.timed(step(self.snapshot), now.wall_ms, now.monotonic_ms - self._kept_ms)
            kept = await self._write(after, beside)
            self._kept_ms = now.monotonic_ms
            return kept

    async def _write(self, after: Snapshot, beside: Sequence[Write]) -> Snapshot:
        while True:
            written, write = saved(self.snapshot, after)
            try:
                await self._rows.state.transact([write, *beside])
            except StateConflict as error:
                if error.index:
                    raise
                present = await self._rows.snapshot()
                if (
                    present is None
                    or present.claim != self.snapshot.claim
                    or present.number != self.snapshot.number
                ):
                    raise SnapshotClaimLost(self.snapshot.mapping_id) from None
                if present == written:
                    self.snapshot = present
                    return present  # written by a try before this one, whose answer was lost
                self.snapshot = present
                continue
            self.snapshot = written
            return written

    async def renew(self) -> None:
        """Say that one is still at it, until cancelled: a page may take long."""
        while True:
            clock = self._rows.clock
            wait_ms = (self.snapshot.claim_ms or CLAIM_MS) // 3
            await clock.sleep_until(clock.now().monotonic_ms + wait_ms)
            with suppress(PortError, SnapshotClaimLost):  # saving the page says what there is to say
                if not self.snapshot.is_over:
                    await self.save(lambda snapshot: snapshot)

    async def leave(self) -> None:
        """Let any worker have it. Raises: SnapshotClaimLost, StoreError."""
        await self.save(lambda snapshot: replace(snapshot, claimed_by=""))
