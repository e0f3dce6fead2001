"""What one worker knows of its fleet: who lives, which leases there are, and which of them are to be its own.

Theory of operation. A worker lives while its heartbeat moves, judged by the clock of the one who looks: from
when it *heard* of a counter until it *asks* again and hears the same one, so that the time on the way never
makes a heartbeat look older than it is. Every worker computes the same assignment of leases to workers
(balance.py). A worker that is new is believed in after one lease time, so that one which comes and goes at
once moves nothing; one that has left or died is out at once, for what it held is free. A newcomer believes in
all that it sees when it first looks, and in itself: it takes what is free and its own to be, and waits for
the rest, which others hand over when they believe in it.
A lease may be taken that is free, that this worker holds by its row (a take whose answer was lost), or whose
owner lives no more; one that was handed over is its successor's for one lease time.
What an operator asked to be another worker's is that worker's while it lives, whatever the assignment says:
so only what was asked for moves.
Rules of this file: pure; nothing is written here, and no clock of another machine is read. What was read last
is all that is known: it may be old, and every write says what it relies on. Called by runtime/fleet.py,
worker/leasing.py and whatever plays a worker. Source: growth §3.2.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from tailrace.leases.adopting import Adoptions, view_of
from tailrace.leases.balance import FleetMember, assign
from tailrace.leases.hand_over import HandOver
from tailrace.leases.lease import LEASE_DURATION_MS, Lease, Owner, Sighting, read_lease, release, sighted
from tailrace.leases.member import MemberRow, member_key
from tailrace.rows.writes import Equals, StateRow, Write

READ_EVERY_MS: Final = 30_000
"""So often the rows of leases are read when nothing says that they have changed."""
REMOVED_AFTER_MS: Final = 3_600_000
"""The row of a worker whose heartbeat stands still for so long is removed."""


class Fleet:
    """The fleet as one worker knows it.

    Shape:   `leases` are the rows of leases by their keys, as they were read last; `weight` is its share of
             them beside those of others; `view` says in a few letters which leases are wanted here.
    Units:   `duration_ms` is how long the own heartbeat may stand still, and a lease is kept for a successor;
             that of another worker may stand still for as long as its row says.
    """

    def __init__(self, owner: Owner, weight: int = 1, duration_ms: int = LEASE_DURATION_MS) -> None:
        self.owner = owner
        self.duration_ms = duration_ms
        self.leases: dict[str, Lease] = {}
        self.view = view_of(())
        self._self = FleetMember(owner.name, weight)
        self._members: dict[str, MemberRow] = {}
        self._heartbeats: dict[str, Sighting] = {}
        self._living: dict[str, int] = {}
        """Who lives, and since when this worker knows that."""
        self._believed: tuple[FleetMember, ...] = (self._self,)
        self._rows: dict[str, Sighting] = {}
        """The revisions of leases."""
        self._read_ms: int | None = None
        self._has_changed = True
        self._finished: dict[str, frozenset[str]] = {}
        """The shards that all mappings of this worker are done with."""
        self._offered: frozenset[str] = frozenset()
        self._assigned: Mapping[str, str] | None = None
        self._adoptions = Adoptions()
        self._asked: Mapping[str, HandOver] = {}
        """What operators asked for, by the keys of leases."""

    # ---- who lives -----------------------------------------------------------------------------------------

    @property
    def has_looked(self) -> bool:
        """Whether it knows anything."""
        return self._read_ms is not None

    @property
    def others(self) -> Collection[str]:
        """The names of the other workers that live."""
        return self._living.keys()

    def lives(self, name: str) -> bool:
        """Whether a worker of that name lives, this one too; "": none."""
        return name == self.owner.name or name in self._living

    def note_members(self, members: Iterable[MemberRow], asked_ms: int, heard_ms: int) -> None:
        """What the rows of members say that were asked for and heard of at these times of the own clock."""
        before, self._members = self._members, {row.identity.name: row for row in members}
        self._members.pop(self.owner.name, None)
        self._heartbeats = {
            name: sighted(self._heartbeats.get(name), row.counter, heard_ms)
            for name, row in self._members.items()
        }
        living = {
            name
            for name, heartbeat in self._heartbeats.items()
            if not self.owner.is_gone(name)
            and not heartbeat.has_expired(asked_ms, self._members[name].identity.lease_ms)
        }
        since_ms = heard_ms if self.has_looked else heard_ms - self.duration_ms
        self._living = {name: self._living.get(name, since_ms) for name in sorted(living)}
        believed = tuple(
            self._members[name].member
            for name, known_ms in self._living.items()
            if heard_ms - known_ms >= self.duration_ms
        )
        if believed != self._believed[1:]:
            self._believed, self._assigned, self._has_changed = (self._self, *believed), None, True
        for name, row in self._members.items():
            if name not in before or before[name].changes != row.changes:
                self._has_changed = True

    def spare_members(self, app: str, monotonic_ms: int) -> list[Write]:
        """The removal of rows whose workers have surely ended, or seem to for long, and of what was asked to
        be theirs.
        """
        known = {self.owner.name, *self._members}
        spare = [asked.removal() for asked in self._asked.values() if asked.to not in known]
        return spare + [
            Write(member_key(app, name), None, Equals("counter", heartbeat.counter))
            for name, heartbeat in self._heartbeats.items()
            if self.owner.is_gone(name) or heartbeat.has_expired(monotonic_ms, REMOVED_AFTER_MS)
        ]

    # ---- which leases there are ----------------------------------------------------------------------------

    def must_read(self, held: Collection[str], monotonic_ms: int) -> bool:
        """Whether the rows of leases are to be read now: it has never read them, others have come, gone or
        left leases, it lacks some, or the last time is long ago. `held` are the keys of those that it has.
        """
        if self._read_ms is None or self._has_changed or self.lacks(held):
            return True
        every_ms = READ_EVERY_MS if self.agrees else min(self.duration_ms, READ_EVERY_MS)
        return monotonic_ms - self._read_ms >= every_ms

    def note_leases(self, rows: Iterable[StateRow], monotonic_ms: int) -> None:
        """What the rows of leases say. Raises: StoreError for one of an unknown format."""
        self.leases = {row.key: read_lease(row.key, row.fields) for row in rows}
        self._rows = {
            key: sighted(self._rows.get(key), lease.counter, monotonic_ms)
            for key, lease in self.leases.items()
        }
        self._read_ms, self._has_changed = monotonic_ms, False
        if self.agrees:
            self._adoptions.end()
            return
        taken = {key for key in self._offered if self.is_elsewhere(key)}
        own = {lease.key for lease in self.leases.values() if lease.owner == self.owner.name}
        free = {key for key in self._offered - taken - own if self._assignment().get(key) != self.owner.name}
        self._adoptions.note(free, taken, monotonic_ms, self.duration_ms)

    def may_take(self, key: str, fields: Mapping[str, Any], monotonic_ms: int) -> bool:
        """Whether a lease may be taken whose row says this now."""
        lease = read_lease(key, fields)
        seen = self._rows[key] = sighted(self._rows.get(key), lease.counter, monotonic_ms)
        name = lease.owner or lease.successor
        if name in ("", self.owner.name) or self.owner.is_gone(name):
            return True
        if name in self._living:
            return not lease.owner and seen.has_expired(monotonic_ms, self.duration_ms)
        return name in self._members or seen.has_expired(monotonic_ms, LEASE_DURATION_MS)

    def has_moved(self, member: MemberRow) -> bool:
        """Whether a heartbeat is another than the one that was last heard of."""
        known = self._heartbeats.get(member.identity.name)
        return known is None or member.counter != known.counter

    # ---- whose they are to be ------------------------------------------------------------------------------

    def offer(self, keys: Iterable[str]) -> None:
        """These are all the leases that are wanted: of unfinished shards that some mapping may begin."""
        offered = frozenset(keys)
        if offered != self._offered:
            self._offered, self._assigned, self.view = offered, None, view_of(offered)

    def note_hand_overs(self, requests: Iterable[HandOver]) -> None:
        """What operators ask for now. It is read before the members: each worker it names was there then."""
        asked = {request.lease: request for request in requests}
        if asked != self._asked:
            self._asked, self._assigned, self._has_changed = asked, None, True

    def _assignment(self) -> Mapping[str, str]:
        if self._assigned is None:
            able = {self.owner.name, *(row.identity.name for row in self._members.values() if row.hands_over)}
            able.intersection_update(member.name for member in self._believed)
            asked = {key: request.to for key, request in self._asked.items() if request.to in able}
            wanted = {key: name for key, name in asked.items() if key in self._offered}
            self._assigned = {**assign(self._offered, self._believed), **wanted}
        return self._assigned

    def wants(self, key: str) -> bool:
        """Whether a lease is to be this worker's."""
        if len(self._believed) == 1:
            return True
        return self._assignment().get(key) == self.owner.name or key in self._adoptions.keys

    @property
    def agrees(self) -> bool:
        """Whether all workers that live want the same leases, as far as they have said so."""
        return all(self._members[name].view == self.view for name in self._living)

    def is_for_others(self, key: str) -> bool:
        """Whether a lease is wanted, and not to be this worker's."""
        return key in self._offered and not self.wants(key)

    def is_elsewhere(self, key: str) -> bool:
        """Whether another worker that lives has a lease, by its row."""
        lease = self.leases.get(key)
        return lease is not None and lease.owner != self.owner.name and lease.owner in self._living

    def lacks(self, held: Collection[str]) -> bool:
        """Whether it has not all that it is to have."""
        return any(key not in held and self.wants(key) for key in self._offered)

    def missing(self, held: Collection[str]) -> int:
        """How many it is to have and has not."""
        return sum(key not in held and self.wants(key) for key in self._offered)

    def successor(self, key: str) -> str:
        """The other worker, seen alive, that is to have a lease; "": none."""
        if len(self._believed) == 1 or (key in self._adoptions.keys and key not in self._asked):
            return ""
        name = self._assignment().get(key, "")
        return name if name in self._living else ""

    # ---- what differs from what it holds -------------------------------------------------------------------

    def lost(self, held: Iterable[Lease]) -> list[Lease]:
        """Those that it believes to hold and does not, by their rows."""
        return [lease for lease in held if self._is_lost(lease)]

    def _is_lost(self, lease: Lease) -> bool:
        row = self.leases.get(lease.key)
        if row is None or row.epoch < lease.epoch:
            return False  # it was read before the lease was taken
        return row.epoch > lease.epoch or row.owner != lease.owner

    def note_finished(self, key: str, mapping_ids: Collection[str]) -> None:
        """All mappings of this worker are done with a shard: what its row does not say of that it is made to
        say, at the next round.
        """
        self._finished[key] = frozenset(mapping_ids)
        self._has_changed = True

    def strays(self, held: Collection[str]) -> list[Write]:
        """What is to be written of leases that this worker does not hold, so that none is stranded: those
        whose rows name it and that it is not to have are released, and those of finished shards say so and
        name no worker that is not there, or others would wait for one that has nothing to do there.
        """
        writes: list[Write] = []
        for key, lease in self.leases.items():
            if key in held or lease.owner in self._living:
                continue
            finished = frozenset[str]() if key in self._offered else self._finished.get(key, frozenset())
            is_stray = lease.owner == self.owner.name and not self.wants(key)
            is_left = bool(finished and lease.owner)
            if is_stray or is_left or finished.difference(lease.finished):
                writes.append(release(lease, mapping_ids=finished))
        self._finished = {key: ids for key, ids in self._finished.items() if key in self.leases}
        return writes
