"""Leases: who reads which shard of an app.

Rules of this file: pure transitions over one row. The *epoch* is the fencing token: it rises only when the
lease is taken. The *counter* is the row's revision: every write requires the one that it was made from and
leaves the next one, so that none that comes late undoes another, not even one of the same owner. A row
changes only when its lease changes hands, or when a mapping has finished its shard; that
the owner lives says its member row (leases/member.py), and of an owner of a version before that the counter.
Whether anything stands still is judged by the observer's own monotonic clock since it last moved, never by
comparing the clocks of two machines. Called by leases/fleet.py and runtime/. Source: growth §3.2; the KCL's
leases.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from tailrace.rows.kinds import LEASE
from tailrace.rows.writes import VERSION, Absent, Equals, Write, readable

LEASE_DURATION_MS: Final = 10_000
"""The KCL's failover time: so long a heartbeat may stand still. It is written three times as often."""


class Owner(Struct, frozen=True):
    """Who takes leases: one incarnation of a worker, whose name no other has.

    Shape:   `is_gone` knows of names whose owners surely live no more, such as those of a process that had
             the data directory before; of all others only a heartbeat that stands still says so. `is_alone`:
             no other process reaches the rows, so that nothing happens to leases while this one does nothing.
    Units:   `claim_ms` is how long it may be silent about what it has claimed beside leases; 0: as long as
             whoever claims it says.
    """

    name: str
    is_gone: Callable[[str], bool] = lambda name: False
    is_alone: bool = False
    claim_ms: int = 0


class Lease(Struct, frozen=True):
    """A lease as its row says it, this worker's or another's.

    Shape:   `finished` are the ids of mappings that were done with the shard when it was written: a hint, for
             their checkpoints say it. `successor` is to have a lease that was given back; "": any worker.
    """

    key: str
    owner: str
    counter: int
    epoch: int
    finished: tuple[str, ...] = ()
    successor: str = ""


class Sighting(Struct, frozen=True):
    """A counter, or another mark that its owner moves, and since when this observer has seen it stand still.
    Units: its own monotonic milliseconds.
    """

    counter: int | str
    since_ms: int

    def has_expired(self, monotonic_ms: int, duration_ms: int = LEASE_DURATION_MS) -> bool:
        """Whether the owner has not renewed for the whole duration."""
        return monotonic_ms - self.since_ms >= duration_ms


def lease_key(app: str, stream_label: str, shard_id: str) -> str:
    """The row of one shard's lease in one app."""
    return LEASE.key(app, stream_label, shard_id)


def take(key: str, fields: Mapping[str, Any] | None, owner: str, above: int = 0) -> tuple[Lease, Write]:
    """Take a lease that is free, expired or one's own from before a restart.

    Shape:   `above` is an epoch that checkpoints of the shard have already: a lease that was forgotten does
             not begin below it.
    Guarantee: the write holds only if the counter is still the one that was seen, so an owner who renews in
               the last moment wins.
    Raises: StoreError for a row of an unknown format.
    """
    if fields is None:
        lease = Lease(key, owner, 1, above + 1)
        return lease, Write(key, _fields(lease), Absent())
    seen = readable(fields, "lease")
    lease = Lease(key, owner, seen["counter"] + 1, seen["epoch"] + 1, tuple(seen.get("finished", ())))
    return lease, Write(key, _fields(lease), Equals("counter", seen["counter"]))


def finish(lease: Lease, mapping_ids: Iterable[str]) -> tuple[Lease, Write]:
    """Say that mappings are done with the shard: what continues it may begin, at whichever worker."""
    ids = tuple(sorted({*lease.finished, *mapping_ids}))
    done = replace(lease, counter=lease.counter + 1, finished=ids)
    return done, Write(lease.key, _fields(done), Equals("counter", lease.counter))


def release(lease: Lease, successor: str = "", mapping_ids: Iterable[str] = ()) -> Write:
    """Leave the shard to any worker, or to this one until it has let pass its time: no owner, and the epoch
    stays for the next one to raise.

    Shape:   `mapping_ids` are done with the shard.
    """
    done, write = finish(lease, mapping_ids)
    return Write(lease.key, _fields(replace(done, owner="", successor=successor)), write.condition)


def standing(lease: Lease, fields: Mapping[str, Any] | None) -> Lease | None:
    """A lease as its row says it now, if that is another revision of this taking of it: what its owner had
    tried to write, and perhaps had. None: it is not held any more, or nothing has changed.
    """
    if fields is None:
        return None
    row = read_lease(lease.key, fields)
    is_held = (row.owner, row.epoch) == (lease.owner, lease.epoch)
    return row if is_held and row.counter != lease.counter else None


def read_lease(key: str, fields: Mapping[str, Any]) -> Lease:
    """A lease as its row says it, its own or another's; without an owner it was given back. Raises:
    StoreError for a row of an unknown format.
    """
    row = readable(fields, "lease")
    finished, successor = tuple(row.get("finished", ())), row.get("successor", "")
    return Lease(key, row["owner"], row["counter"], row["epoch"], finished, successor)


def sight(before: Sighting | None, fields: Mapping[str, Any], monotonic_ms: int) -> Sighting:
    """Look at another worker's lease: the time starts anew whenever the counter has moved."""
    return sighted(before, readable(fields, "lease")["counter"], monotonic_ms)


def sighted(before: Sighting | None, counter: int | str, monotonic_ms: int) -> Sighting:
    """Look at anything that its owner keeps alive by moving it."""
    if before is not None and before.counter == counter:
        return before
    return Sighting(counter, monotonic_ms)


def _fields(lease: Lease) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "v": VERSION,
        "owner": lease.owner,
        "counter": lease.counter,
        "epoch": lease.epoch,
    }
    if lease.finished:
        fields["finished"] = list(lease.finished)
    if lease.successor:
        fields["successor"] = lease.successor
    return fields
