"""Parking keys durably: the lease's fence, the key's head and the changes that wait, in one transaction.

Rules of this file: a head that has changed since it was read (the redriver puts changes of it back) is read again; a fence that does not
hold means that the lease is lost. Durable before the checkpoint that passes the records. Called by runtime/driver.py.
Source: architecture §5.3.
"""

from tailrace.deadletters.head import Head, head_key, parked, read_head
from tailrace.errors import LeaseLost, StateConflict
from tailrace.leases.lease import Lease
from tailrace.mapping.commands import Park
from tailrace.ports import Clock, StateStore
from tailrace.runtime.settle import Place, letter_of
from tailrace.telemetry import PointReached, pass_by


class Parker:
    """Parks the keys of one mapping in one shard, under one lease."""

    def __init__(
        self, state: StateStore, place: Place, lease: Lease, clock: Clock, code_version: str = "",
        reached: PointReached = pass_by,
    ) -> None:  # fmt: skip
        self._state = state
        self._place = place
        self._lease = lease
        self._clock = clock
        self._code_version = code_version
        self._reached = reached

    async def park(self, command: Park) -> bool:
        """Make it durable. Returns: whether the key is free instead, because it was unparked meanwhile.

        Raises:  LeaseLost, StoreError.
        """
        place = self._place
        letters = [letter_of(place, entry, self._code_version) for entry in command.entries]
        self._reached("park.begun")
        while True:
            head = await self._head(command.key)
            if head is None and letters[0].is_waiting:
                return True
            writes = parked(place.app, place.mapping_id, head, letters, self._clock.now().wall_ms)
            if not writes:
                return False
            try:
                await self._state.transact([self._lease.fence, *writes])
            except StateConflict as error:
                if error.index == 0:
                    raise LeaseLost(f"another worker has taken {self._lease.key}") from error
                continue  # the redriver was faster: look again
            self._reached("park.done")
            return False

    async def _head(self, key: bytes) -> Head | None:
        place = self._place
        row = await self._state.get(head_key(place.app, place.mapping_id, key))
        return None if row is None else read_head(place.app, place.mapping_id, row.fields)
