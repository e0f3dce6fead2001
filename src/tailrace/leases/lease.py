"""Leases: who reads which shard of an app.

Rules of this file: pure transitions over one row. The *counter* says that the owner lives, the *epoch* is the
fencing token: it rises only when the lease is taken. Whether a lease has expired is judged by the observer's
own monotonic clock since the counter last moved, never by comparing the clocks of two machines. Called by
worker/worker.py. Source: the KCL's leases.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

from tailrace.rows.kinds import LEASE
from tailrace.rows.writes import VERSION, Absent, Equals, Write, readable

LEASE_DURATION_MS: Final = 10_000
"""The KCL's failover time: so long a counter may stand still. Owners renew three times as often."""


class Owner(Struct, frozen=True):
    """Who takes leases: one incarnation of a worker, whose name no other has.

    Shape:   `is_gone` knows of names whose owners surely live no more, such as those of a process that had
             the data directory before; of all others only a counter that stands still says so.
    """

    name: str
    is_gone: Callable[[str], bool] = lambda name: False


class Lease(Struct, frozen=True):
    """A lease that this worker holds."""

    key: str
    owner: str
    counter: int
    epoch: int


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
    lease = Lease(key, owner, seen["counter"] + 1, seen["epoch"] + 1)
    return lease, Write(key, _fields(lease), Equals("counter", seen["counter"]))


def renew(lease: Lease) -> tuple[Lease, Write]:
    """Say that the owner lives. It holds only under the lease's own epoch."""
    renewed = Lease(lease.key, lease.owner, lease.counter + 1, lease.epoch)
    return renewed, Write(lease.key, _fields(renewed), Equals("epoch", lease.epoch))


def release(lease: Lease) -> Write:
    """Leave the shard to any worker, at once: no owner, and the epoch stays for the next one to raise."""
    fields = {**_fields(lease), "owner": "", "counter": lease.counter + 1}
    return Write(lease.key, fields, Equals("epoch", lease.epoch))


def read_lease(key: str, fields: Mapping[str, Any]) -> Lease:
    """A lease as its row says it, its own or another's; without an owner it was given back. Raises:
    StoreError for a row of an unknown format.
    """
    row = readable(fields, "lease")
    return Lease(key, row["owner"], row["counter"], row["epoch"])


def is_free(fields: Mapping[str, Any] | None) -> bool:
    """Whether the lease has no owner."""
    return fields is None or not readable(fields, "lease")["owner"]


def sight(before: Sighting | None, fields: Mapping[str, Any], monotonic_ms: int) -> Sighting:
    """Look at another worker's lease: the time starts anew whenever the counter has moved."""
    return sighted(before, readable(fields, "lease")["counter"], monotonic_ms)


def sighted(before: Sighting | None, counter: int | str, monotonic_ms: int) -> Sighting:
    """Look at anything that its owner keeps alive by moving it."""
    if before is not None and before.counter == counter:
        return before
    return Sighting(counter, monotonic_ms)


def is_left_by(fields: Mapping[str, Any], owner: Owner) -> bool:
    """Whether this worker may take a lease at once: it is free, it is its own, or its owner is known to
    be gone.
    """
    name = readable(fields, "lease")["owner"]
    return not name or name == owner.name or owner.is_gone(name)


def _fields(lease: Lease) -> dict[str, Any]:
    return {"v": VERSION, "owner": lease.owner, "counter": lease.counter, "epoch": lease.epoch}
