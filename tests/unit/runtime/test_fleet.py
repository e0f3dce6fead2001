"""What a worker writes in leases that it holds: built on its own writes that came through, never over one."""

from collections.abc import Callable

import pytest

from tailrace.errors import StateConflict
from tailrace.leases.fleet import Fleet
from tailrace.leases.lease import (
    LEASE_DURATION_MS,
    Lease,
    Owner,
    finish,
    lease_key,
    read_lease,
    release,
    take,
)
from tailrace.leases.member import Heartbeat, Identity, read_member
from tailrace.rows.writes import StateRow, Write
from tailrace.runtime.fleet import beat, give_lease_back, may_take, say_finished, write_each
from tailrace.runtime.steps import Steps
from tailrace.streams.moment import Now
from tailrace.testing.simulation_rows import SimulatedRows

KEY = lease_key("shop", "label", "shard-1")
NOW = Now(0, 0)


def held() -> tuple[SimulatedRows, Lease]:
    lease, write = take(KEY, None, "me")
    rows = SimulatedRows()
    rows.transact([write])
    return rows, lease


def test_a_change_is_built_on_one_of_its_owner_whose_outcome_was_not_known() -> None:
    rows, lease = held()
    rows.transact([finish(lease, ["mail"])[1]])
    said = rows.perform(say_finished(lease, ["index"]), NOW)
    assert (said.finished, said.counter) == (("index", "mail"), 3)
    assert read_lease(KEY, rows[KEY]) == said


def test_a_lease_is_given_back_although_its_owner_had_changed_it() -> None:
    rows, lease = held()
    rows.transact([finish(lease, ["mail"])[1]])
    rows.perform(give_lease_back(lease, "you", ["index"]), NOW)
    left = read_lease(KEY, rows[KEY])
    assert (left.owner, left.successor, left.finished, left.epoch) == ("", "you", ("index", "mail"), 1)


def test_a_worker_whose_heartbeat_has_begun_again_is_not_taken_for_dead() -> None:
    """It was dead at the last look; since then it has beaten, and taken its leases anew."""
    rows, _ = held()
    fleet, heart = Fleet(Owner("you")), Heartbeat("shop", Identity("me"))
    rows.perform(beat(heart), NOW)
    for at_ms in (0, LEASE_DURATION_MS):
        members = [read_member(StateRow(heart.key, rows[heart.key]))]
        fleet.note_members(members, at_ms, at_ms)
        fleet.note_leases([StateRow(KEY, rows[KEY])], at_ms)
    now = Now(0, LEASE_DURATION_MS)
    assert rows.perform(may_take("shop", fleet, KEY, rows[KEY]), now)
    rows.perform(beat(heart), NOW)
    assert not rows.perform(may_take("shop", fleet, KEY, rows[KEY]), now)
    rows.perform(write_each(heart.leave()), NOW)
    assert rows.perform(may_take("shop", fleet, KEY, rows[KEY]), now), "it has left"


def saying(lease: Lease) -> Steps[Lease]:
    return say_finished(lease, ["mail"])


@pytest.mark.parametrize("change", [saying, give_lease_back])
@pytest.mark.parametrize(
    "meanwhile",
    [release, lambda lease: take(KEY, {"v": 1, "owner": "me", "counter": 1, "epoch": 1}, "you")[1]],
    ids=["left", "taken"],
)
def test_a_lease_that_is_not_held_any_more_is_not_changed(
    change: Callable[[Lease], Steps[object]], meanwhile: Callable[[Lease], Write]
) -> None:
    rows, lease = held()
    rows.transact([meanwhile(lease)])
    before = dict(rows)
    with pytest.raises(StateConflict):
        rows.perform(change(lease), NOW)
    assert rows == before
