"""The leases that a worker holds: one an app and shard, taken with a new epoch at each start, and its own as
long as its heartbeat moves.

Theory of operation: at each renewal a *round*: the worker writes its heartbeat, learns who else lives,
compares the rows of leases with what it holds, and drains what another worker is to have, by the assignment
or since an operator asked for it. Between rounds it takes what it is to have as soon as it may begin there. A
heartbeat that could not be written for as long as others wait before they take over loses every lease at
once: another may have it by now. They are taken again, with new epochs, after the next round that succeeds.
Rules of this file: transitions are leases/lease.py's, who is to have what is leases/fleet.py's, what is asked
of the state store are steps; a lease that another worker has taken is told to the readers of the shard, and
is no longer ours. Made by worker/worker.py.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, Protocol, TypeAlias

from tailrace.errors import LeaseHeld, PortError, StateConflict
from tailrace.leases.checkpoint import CheckpointRow
from tailrace.leases.fleet import Fleet
from tailrace.leases.lease import Lease, lease_key
from tailrace.leases.member import Heartbeat, Identity
from tailrace.ports import Shard, StreamRef
from tailrace.runtime.delivering import MappingShard
from tailrace.runtime.driver import Performer
from tailrace.runtime.fleet import beat, give_lease_back, look, may_take, say_finished, write_each
from tailrace.runtime.parts import Parts
from tailrace.runtime.starting import take_lease
from tailrace.runtime.steps import Steps
from tailrace.telemetry import LEASE_REASONS
from tailrace.worker.forgetting import forget_hand_overs, forget_leases
from tailrace.worker.habits import Habits

LOG: Final = logging.getLogger("tailrace.worker")
TOLD: Final = ("taken over", "handed over", "lost")

Held: TypeAlias = tuple[str, str]
"""A stream's label and a shard's id."""


class Readers(Protocol):
    """Who reads the shards of leases."""

    def lost(self, place: Held) -> None:
        """The lease of a shard is another's by now."""

    def leave(self, place: Held) -> bool:
        """Drain a shard. Returns: whether anything is at work there; then the end of that is told to
        `Leasing.drained`.
        """

    def looked(self) -> None:
        """What is known of leases has changed: something may be begun that could not be before."""


class Leasing:
    """The leases of one worker."""

    def __init__(self, app: str, parts: Parts, habits: Habits, readers: Readers) -> None:
        owner, identity = habits.owner, habits.identity or Identity(habits.owner.name)
        self.held: dict[Held, Lease] = {}
        self.changes = Counter(dict.fromkeys(LEASE_REASONS, 0))
        """How often leases came and went here, by reason."""
        self._told = Counter(self.changes)
        """As of the last line in the log."""
        self._left_by: dict[str, str] = {}
        """The owner before of each lease that is being taken, by key."""
        self.fleet = Fleet(owner, identity.weight, identity.lease_ms)
        self._app = app
        self._state, self._clock = parts.state, parts.clock
        self._habits = habits
        self._readers = readers
        self._heart = Heartbeat(app, identity, counter=parts.clock.now().wall_ms)
        self._sight = asyncio.Event()
        """It has looked since its heartbeat began, or had failed."""
        self._blindings = 0
        """How often its heartbeat has failed."""
        self._taking: set[str] = set()
        """Leases whose rows may name it already: no strays, whatever it is to have by now."""
        self._leaving: set[Held] = set()
        self._unsaid: set[tuple[Held, str]] = set()
        """The mappings that have finished a shard where others have not, and the row may not say so."""
        self._performer = Performer(parts.state, parts.clock, parts.reached)
        self._stamped: dict[str, CheckpointRow] = {}
        """By their keys."""

    # ---- taking --------------------------------------------------------------------------------------------

    def key(self, place: Held) -> str:
        """The key of a shard's lease."""
        return lease_key(self._app, *place)

    def offer(self, places: Iterable[Held]) -> None:
        """These are all shards that any mapping may begin or has not finished."""
        self.fleet.offer(map(self.key, places))
        self._heart.say(self.fleet.view)

    def wants(self, place: Held) -> bool:
        """Whether a shard is to be read here now."""
        if place in self.held:
            return place not in self._leaving
        key = self.key(place)
        return self._sight.is_set() and self.fleet.wants(key) and not self.fleet.is_elsewhere(key)

    @property
    def states(self) -> dict[str, int]:
        """How many leases are held, drained for another worker, and wanted here and not there yet."""
        keys, draining = self._keys(), len(self._leaving)
        return {"held": len(keys) - draining, "draining": draining, "wanted": self.fleet.missing(keys)}

    def is_elsewhere(self, place: Held) -> bool:
        """Whether another worker that lives has the lease of a shard, by its row."""
        return self.fleet.is_elsewhere(self.key(place))

    def finished_by(self, shard: Shard) -> Sequence[str] | None:
        """The mappings that are done with a shard as its lease tells it: a hint, for checkpoints say it.
        None: only they do, for the shard is over, no lease of it was ever taken (its mappings began behind
        it, or a consumer before them had finished it), and this worker is not to have it.
        """
        key = self.key(shard.place)
        lease = self.fleet.leases.get(key)
        if lease is None:
            return None if shard.is_closed and self.fleet.is_for_others(key) else ()
        return lease.finished

    async def of(self, stream: StreamRef, shard: Shard, places: Sequence[MappingShard]) -> Lease:
        """The lease of a shard, taken when it is not held yet and its owner has left it or lives no more;
        then every checkpoint of these places is stamped.

        Raises:  LeaseHeld, LeaseLost, StateConflict, StoreError.
        """
        place = (stream.label, shard.shard_id)
        held = self.held.get(place)
        if held is not None:
            return held
        key = self.key(place)
        if not self._sight.is_set():
            raise LeaseHeld(f"the heartbeat failed before {key} was taken")
        taking = take_lease(key, self._habits.owner.name, places, partial(self._may_take, key))
        blindings = self._blindings
        self._taking.add(key)
        try:
            lease, stamped = await self._performer.perform(taking)
        finally:
            self._taking.discard(key)
        if self._blindings != blindings:
            raise LeaseHeld(f"the heartbeat failed while {key} was taken")
        self.held[place] = lease
        self.changes["taken over" if self._left_by.pop(key, "") else "taken"] += 1
        self._stamped.update(stamped)
        return lease

    def _may_take(self, key: str, fields: Mapping[str, Any]) -> Steps[bool]:
        owner = str(fields.get("owner", ""))
        self._left_by[key] = "" if owner == self._habits.owner.name else owner
        return (yield from may_take(self._app, self.fleet, key, fields))

    def stamped(self, place: MappingShard, epoch: int) -> CheckpointRow | None:
        """The checkpoint that was stamped here when the lease was taken, once; None: it is to be stamped
        now.
        """
        row = self._stamped.pop(place.checkpoint_key, None)
        return row if row is not None and row.epoch == epoch else None

    # ---- losing and giving back ----------------------------------------------------------------------------

    def lose(self, place: Held, epoch: int | None = None, reason: str = "lost") -> None:
        """A lease (of that epoch, if it is said) is another's by now: the readers of the shard are told, and
        it may be taken again when it is left or expired.
        """
        held = self.held.get(place)
        if held is not None and epoch in (None, held.epoch):
            self.changes[reason] += 1
            del self.held[place]
            self._leaving.discard(place)
            self._readers.lost(place)

    async def finished(self, place: Held, mapping_id: str) -> None:
        """A mapping has finished a shard in which others go on: what continues it may begin elsewhere."""
        if place in self.held and not self._habits.owner.is_alone:
            self._unsaid.add((place, mapping_id))
            with suppress(PortError):
                await self._say()

    async def _say(self) -> None:
        for place in {place for place, _ in self._unsaid}:
            lease, unsaid = self.held.get(place), {name for where, name in self._unsaid if where == place}
            if lease is not None:
                with suppress(StateConflict):  # another has it by now, which the next look tells
                    said = await self._performer.perform(say_finished(lease, unsaid))
                    self._heart.changes += 1
                    if self.held.get(place) == lease:
                        self.held[place] = said
            self._unsaid.difference_update((place, name) for name in unsaid)

    async def give_back(self, stream: StreamRef, shard: Shard, mapping_ids: Sequence[str]) -> None:
        """Every mapping has finished a shard. A row that does not say so, since its lease is not held here or
        the store fails, is made to at the next round.
        """
        place = (stream.label, shard.shard_id)
        lease = self.held.pop(place, None)
        self._leaving.discard(place)
        self.note_finished([place], mapping_ids)
        with suppress(PortError):
            if lease is not None:
                self.changes["finished"] += 1
                await self._performer.perform(give_lease_back(lease, mapping_ids=mapping_ids))
                self._heart.changes += 1

    def note_finished(self, places: Iterable[Held], mapping_ids: Sequence[str]) -> None:
        """These shards are over: their rows are made to say so, and to name no worker that is not there."""
        for place in places if not self._habits.owner.is_alone else ():
            self.fleet.note_finished(self.key(place), mapping_ids)

    async def release(self) -> None:
        """Give all of them back, and leave the fleet."""
        for place, lease in list(self.held.items()):
            try:
                await self._performer.perform(give_lease_back(lease))
            except PortError:
                continue  # it is another worker's, or the store is gone: either way it is not ours any more
            del self.held[place]
            self.changes["given back"] += 1
        with suppress(PortError):
            await self._performer.perform(write_each(self._heart.leave()))

    # ---- rounds --------------------------------------------------------------------------------------------

    async def begin(self) -> None:
        """Join the fleet, before anything is taken. Raises: NameInUse, StoreError."""
        if self._habits.owner.is_alone:  # there is nothing to know, and the start is measured
            self.fleet.note_leases([], self._clock.now().monotonic_ms)
            self._sight.set()
            return
        await self._performer.perform(beat(self._heart))
        await self._performer.perform(look(self._app, self.fleet, self._keys()))
        self._sight.set()
        self._see_to_the_heart()  # looking may have taken too long

    def _keys(self) -> set[str]:
        return {lease.key for lease in self.held.values()}

    async def run(self) -> None:
        """A round at each renewal, until cancelled. Raises: NameInUse."""
        while True:
            await self._clock.sleep_until(self._clock.now().monotonic_ms + self._habits.renewal_ms)
            if self.fleet.has_looked:  # or it is still to join
                with suppress(PortError):  # the store is failing: the next round tries again
                    await self._round()

    async def watch(self) -> None:
        """Lose all leases when the heartbeat has failed, also while a round waits for its store. A heartbeat
        that was long on its way may fail right after the worker has looked again, so that is waited for.
        """
        while not self._habits.owner.is_alone:
            await self._sight.wait()
            await self._clock.sleep_until(self._heart.fails_ms)
            self._see_to_the_heart()

    def _see_to_the_heart(self) -> bool:
        """Whether the heartbeat is not known to have failed; if it has, every lease is lost."""
        has_failed = self._heart.has_failed(self._clock.now().monotonic_ms)
        if self._habits.owner.is_alone or not has_failed:
            return True
        self._blindings += self._sight.is_set()
        self._sight.clear()
        if self.held:
            LOG.warning(
                "no heartbeat could be written for %s ms: %d leases are given up until one can be",
                f"{self._heart.identity.lease_ms:,}",
                len(self.held),
            )
        for place in list(self.held):
            self.lose(place, reason="expired")
        return False

    async def _round(self) -> None:
        self._see_to_the_heart()  # a write that succeeds now would hide that it had failed
        await self._performer.perform(beat(self._heart))
        has_read = await self._performer.perform(look(self._app, self.fleet, self._keys()))
        was_blind = not self._sight.is_set()
        self._sight.set()
        if not self._see_to_the_heart():
            return  # it has taken too long
        if has_read:
            await self._compare()
        await self._say()
        spare = self.fleet.spare_members(self._app, self._clock.now().monotonic_ms)
        await self._performer.perform(write_each(spare))
        await self._hand_over()
        if has_read or was_blind:
            self._readers.looked()
        self._tell_changes()

    def _tell_changes(self) -> None:
        """One line for all that came from other workers or went to them since the last one."""
        since = [
            f"{self.changes[name] - self._told[name]} {name}"
            for name in TOLD
            if self.changes[name] > self._told[name]
        ]
        self._told = Counter(self.changes)
        if since:
            LOG.info("leases: %s; %d held now", ", ".join(since), len(self.held))

    async def _compare(self) -> None:
        """Hold what the rows say, and let nothing be stranded that names this worker."""
        places = {lease.key: place for place, lease in self.held.items()}
        for lease in self.fleet.lost(self.held.values()):
            self.lose(places[lease.key], lease.epoch)
        strays = self.fleet.strays(self._keys() | self._taking)
        self._heart.changes += await self._performer.perform(write_each(strays))

    async def _hand_over(self) -> None:
        """Drain leases that others are to have, a few at once, and give them back."""
        for place, lease in list(self.held.items()):
            if len(self._leaving) >= self._habits.hand_overs:
                return
            if place not in self._leaving and self.fleet.successor(lease.key):
                self._leaving.add(place)
                if not self._readers.leave(place):
                    await self._leave(place)

    def holds(self, place: Held, epoch: int) -> bool:
        """Whether this lease is held, and not drained for another worker."""
        lease = self.held.get(place)
        return lease is not None and lease.epoch == epoch and place not in self._leaving

    def is_leaving(self, place: Held) -> bool:
        """Whether a shard is drained for another worker."""
        return place in self._leaving

    async def drained(self, place: Held) -> None:
        """Nothing is at work in a shard now: another worker may be waiting for that."""
        if place in self._leaving:
            await self._leave(place)
            await self._hand_over()

    async def _leave(self, place: Held) -> None:
        lease = self.held.pop(place, None)
        self._leaving.discard(place)
        if lease is not None:
            self.changes["handed over"] += 1
            with suppress(PortError):  # or its row names this worker, and the next look gives it back
                giving = give_lease_back(lease, self.fleet.successor(lease.key))
                await self._performer.perform(giving)
                self._heart.changes += 1

    async def forget(self, present: Sequence[tuple[StreamRef, Sequence[Shard]]]) -> None:
        """Remove leases without a living owner of shards of these streams that have vanished. Raises:
        StoreError.
        """
        known = {
            lease_key(self._app, stream.label, shard.shard_id)
            for stream, shards in present
            for shard in shards
        }
        for stream, _ in present:
            await forget_leases(self._state, lease_key(self._app, stream.label, ""), known, self.fleet.lives)
            await forget_hand_overs(self._state, self._app, stream.label, known)
