"""What a worker asks and writes as a member of a fleet, in steps: its heartbeat, who else lives, and what
becomes of leases that it holds or that name it.

Rules of this file: pure; steps, and none retries but a write of a row that only this worker writes. Who
lives and whose a lease is to be is decided in leases/fleet.py. Called by worker/leasing.py, and by whatever
plays a worker. Source: growth §3.2.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from tailrace.errors import StateConflict
from tailrace.leases.fleet import Fleet
from tailrace.leases.hand_over import read_hand_over
from tailrace.leases.lease import Lease, finish, release, standing
from tailrace.leases.member import Heartbeat, member_key, read_member
from tailrace.ports import Now
from tailrace.rows.kinds import HAND_OVER, LEASE, MEMBER
from tailrace.rows.writes import StateRow, Write
from tailrace.runtime.steps import AskTime, Get, QueryRows, Steps, Transact


def beat(heart: Heartbeat) -> Steps[None]:
    """Say that the worker lives. Raises: NameInUse, StoreError."""
    while True:
        begun: Now = yield AskTime()
        write = heart.attempt()
        try:
            yield Transact((write,))
        except StateConflict:
            row: StateRow | None = yield Get(heart.key)
            heart.differs(None if row is None else row.fields)
        else:
            heart.made(begun.monotonic_ms)
            return


def look(app: str, fleet: Fleet, held: Collection[str]) -> Steps[bool]:
    """Learn who lives and, where that is due, how the leases stand. `held` are the keys of those that it has.
    Returns: whether leases were read. Raises: StoreError.
    """
    requests: list[StateRow] = yield QueryRows(HAND_OVER.prefix(app))
    fleet.note_hand_overs(map(read_hand_over, requests))
    asked: Now = yield AskTime()
    members: list[StateRow] = yield QueryRows(MEMBER.prefix(app))
    heard: Now = yield AskTime()
    fleet.note_members(map(read_member, members), asked.monotonic_ms, heard.monotonic_ms)
    if not fleet.must_read(held, heard.monotonic_ms):
        return False
    leases: list[StateRow] = yield QueryRows(LEASE.prefix(app))
    fleet.note_leases(leases, heard.monotonic_ms)
    return True


def may_take(app: str, fleet: Fleet, key: str, fields: Mapping[str, Any]) -> Steps[bool]:
    """Whether a lease may be taken whose row says this. Of an owner that is taken for dead the heartbeat is
    read once more: one that has begun again since may have taken the lease a moment ago. Raises: StoreError.
    """
    now: Now = yield AskTime()
    if not fleet.may_take(key, fields, now.monotonic_ms):
        return False
    name = str(fields["owner"])
    if name in ("", fleet.owner.name) or fleet.owner.is_gone(name):
        return True
    row: StateRow | None = yield Get(member_key(app, name))
    return row is None or not fleet.has_moved(read_member(row))


def write_each(writes: Sequence[Write]) -> Steps[int]:
    """Make writes, each by itself, as far as they still hold: another worker may be faster with one. Returns:
    how many were made. Raises: StoreError.
    """
    made = 0
    for write in writes:
        try:
            yield Transact((write,))
        except StateConflict:
            continue
        made += 1
    return made


def say_finished(lease: Lease, mapping_ids: Collection[str]) -> Steps[Lease]:
    """Say in a lease that mappings are done with its shard. Returns: the lease as it is now. Raises:
    StateConflict when it is not held any more; StoreError.
    """
    return (yield from _write_own(lease, lambda own: finish(own, mapping_ids)))


def give_lease_back(lease: Lease, successor: str = "", mapping_ids: Collection[str] = ()) -> Steps[None]:
    """Leave the shard to any worker, or to one for a while; these mappings are done with it. Raises:
    StateConflict when it is not held any more; StoreError.
    """
    yield from _write_own(lease, lambda own: (own, release(own, successor, mapping_ids)))


def _write_own(lease: Lease, change: Callable[[Lease], tuple[Lease, Write]]) -> Steps[Lease]:
    """Change the row of a lease that is held. A change of it whose outcome was not known, or that is made at
    the same time, may have been made meanwhile: then this one is made of that.
    """
    while True:
        changed, write = change(lease)
        try:
            yield Transact((write,))
        except StateConflict:
            row: StateRow | None = yield Get(lease.key)
            stands = standing(lease, None if row is None else row.fields)
            if stands is None:
                raise
            lease = stands
        else:
            return changed
