"""The leases that a worker holds: one an app and shard, taken with a new epoch at each start, renewed while
it lives.

Rules of this file: transitions are leases/lease.py's, what is asked of the state store are steps; a lease
that another worker has taken is told to the readers of the shard, and is no longer ours. Made by
worker/worker.py.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeAlias

from tailrace.errors import PortError, StateConflict
from tailrace.leases.checkpoint import CheckpointRow
from tailrace.leases.lease import (
    LEASE_DURATION_MS,
    Lease,
    Owner,
    Sighting,
    is_left_by,
    lease_key,
    release,
    renew,
    sight,
)
from tailrace.ports import Clock, Shard, StateStore, StreamRef
from tailrace.runtime.delivering import MappingShard
from tailrace.runtime.driver import Performer
from tailrace.runtime.starting import take_lease
from tailrace.runtime.steps import Steps, Transact
from tailrace.telemetry import PointReached
from tailrace.worker.forgetting import forget_leases

Held: TypeAlias = tuple[str, str]
"""A stream's label and a shard's id."""


def renew_lease(lease: Lease) -> Steps[Lease | None]:
    """Say that its owner lives. Returns: the lease as it is now; None: another worker has taken it. Raises:
    StoreError.
    """
    renewed, write = renew(lease)
    try:
        yield Transact((write,))
    except StateConflict:
        return None
    return renewed


def give_lease_back(lease: Lease) -> Steps[None]:
    """Leave the shard to any worker. Raises: StateConflict when another has it already; StoreError."""
    yield Transact((release(lease),))


class Leasing:
    """The leases of one worker. Shape: `lost` is told the shard whose lease another worker has taken."""

    def __init__(
        self,
        app: str,
        state: StateStore,
        clock: Clock,
        owner: Owner,
        renewal_ms: int,
        lost: Callable[[Held], None],
        reached: PointReached,
    ) -> None:
        self.held: dict[Held, Lease] = {}
        self._app = app
        self._state = state
        self._clock = clock
        self._owner = owner
        self._renewal_ms = renewal_ms
        self._duration_ms = max(LEASE_DURATION_MS, 3 * renewal_ms)
        self._sighted: dict[Held, Sighting] = {}
        """The leases of others, as they were seen last."""
        self._lost = lost
        self._performer = Performer(state, clock, reached)
        self._stamped: dict[str, CheckpointRow] = {}
        """By their keys."""

    async def of(self, stream: StreamRef, shard: Shard, places: Sequence[MappingShard]) -> Lease:
        """The lease of a shard, taken when it is not held yet and its owner has left it or lives no more;
        then every checkpoint of these places is stamped.

        Raises:  LeaseHeld, LeaseLost, StateConflict, StoreError.
        """
        place = (stream.label, shard.shard_id)
        held = self.held.get(place)
        if held is not None:
            return held
        key = lease_key(self._app, stream.label, shard.shard_id)
        may_take = partial(self._may_take, place)
        lease, stamped = await self._performer.perform(take_lease(key, self._owner.name, places, may_take))
        self.held[place] = lease
        self._sighted.pop(place, None)
        self._stamped.update(stamped)
        return lease

    def _may_take(self, place: Held, fields: Mapping[str, Any]) -> bool:
        """Whether the owner of a lease has left it, or has not renewed it for so long by this worker's own
        clock.
        """
        if is_left_by(fields, self._owner):
            return True
        now_ms = self._clock.now().monotonic_ms
        sighted = self._sighted[place] = sight(self._sighted.get(place), fields, now_ms)
        return sighted.has_expired(now_ms, self._duration_ms)

    def lose(self, place: Held, epoch: int | None = None) -> None:
        """A lease (of that epoch, if it is said) is another's by now: the readers of the shard are told, and
        it may be taken again when it is left or expired.
        """
        held = self.held.get(place)
        if held is not None and epoch in (None, held.epoch):
            del self.held[place]
            self._lost(place)

    def stamped(self, place: MappingShard, epoch: int) -> CheckpointRow | None:
        """The checkpoint that was stamped here when the lease was taken, once; None: it is to be stamped
        now.
        """
        row = self._stamped.pop(place.checkpoint_key, None)
        return row if row is not None and row.epoch == epoch else None

    async def give_back(self, stream: StreamRef, shard: Shard) -> None:
        """No driver reads the shard any more: or its lease would be renewed for ever."""
        lease = self.held.pop((stream.label, shard.shard_id), None)
        if lease is not None:
            with suppress(PortError):
                await self._performer.perform(give_lease_back(lease))

    async def renew(self) -> None:
        """Renew all of them now and then, until cancelled."""
        while True:
            await self._clock.sleep_until(self._clock.now().monotonic_ms + self._renewal_ms)
            for place in list(self.held):
                lease = self.held.get(place)
                if lease is not None:
                    await self._renew_one(place, lease)

    async def _renew_one(self, place: Held, lease: Lease) -> None:
        try:
            renewed = await self._performer.perform(renew_lease(lease))
        except PortError:
            return  # the store is failing: checkpoints say so, and the next round tries again
        if place not in self.held:
            # its shard was finished meanwhile, and the lease given back: there is nothing to keep or to lose
            return
        if renewed is None:
            self.lose(place, lease.epoch)
        else:
            self.held[place] = renewed

    async def release(self) -> None:
        """Give all of them back."""
        for place, lease in list(self.held.items()):
            try:
                await self._performer.perform(give_lease_back(lease))
            except PortError:
                continue  # it is another worker's, or the store is gone: either way it is not ours any more
            del self.held[place]

    async def forget(self, present: Sequence[tuple[StreamRef, Sequence[Shard]]]) -> None:
        """Remove leases of shards of these streams that have vanished, and that have no owner. Raises:
        StoreError.
        """
        known = {
            lease_key(self._app, stream.label, shard.shard_id)
            for stream, shards in present
            for shard in shards
        }
        for stream, _ in present:
            await forget_leases(self._state, lease_key(self._app, stream.label, ""), known)
