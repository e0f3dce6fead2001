"""What operators ask for: whose a lease is then, for how long, and which workers are chosen."""

from typing import Any

import pytest

from tailrace.errors import StoreError
from tailrace.leases.balance import FleetMember, assign
from tailrace.leases.fleet import Fleet
from tailrace.leases.hand_over import HandOver, hand_over, read_hand_over, spread
from tailrace.leases.lease import LEASE_DURATION_MS, Owner, lease_key
from tailrace.leases.member import Identity, MemberRow, read_member
from tailrace.rows.writes import Equals, StateRow, Write

SHARDS = [f"shard-{number}" for number in range(12)]
KEYS = [lease_key("shop", "label", shard) for shard in SHARDS]
NAMES = ("me", "they", "you")


def row(name: str, counter: int = 1, *, hands_over: bool = True) -> MemberRow:
    return MemberRow(Identity(name), counter, hands_over=hands_over)


def seen_by(name: str, *requests: HandOver, old: tuple[str, ...] = ()) -> Fleet:
    """The fleet as one of three workers sees it."""
    fleet = Fleet(Owner(name))
    fleet.note_hand_overs(() if name in old else requests)
    fleet.note_members([row(other, hands_over=other not in old) for other in NAMES], 0, 0)
    fleet.note_leases([], 0)
    fleet.offer(KEYS)
    return fleet


def owners(*requests: HandOver, old: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """By lease all workers that want it: one of each, or they disagree."""
    fleets = {name: seen_by(name, *requests, old=old) for name in NAMES}
    return {key: [name for name, fleet in fleets.items() if fleet.wants(key)] for key in KEYS}


BASE = dict(assign(KEYS, map(FleetMember, NAMES)))
SHARD, KEY = next((shard, key) for shard, key in zip(SHARDS, KEYS, strict=True) if BASE[key] == "me")
ASKED = hand_over("shop", "label", SHARD, "you", "me")


def test_only_what_was_asked_for_moves_and_all_workers_agree() -> None:
    assert owners() == {key: [name] for key, name in BASE.items()}
    assert owners(ASKED) == {key: [name] for key, name in {**BASE, KEY: "you"}.items()}
    assert seen_by("me", ASKED).successor(KEY) == "you"
    assert seen_by("me").successor(KEY) == ""


def test_it_holds_as_long_as_that_worker_lives_and_its_row_is_spare_when_that_has_gone() -> None:
    fleet = seen_by("me", ASKED)
    assert fleet.spare_members("shop", 0) == []
    later = LEASE_DURATION_MS
    fleet.note_members([row("you"), row("they", 2)], later - 1, later - 1)
    assert not fleet.wants(KEY)
    fleet.note_members([row("you"), row("they", 3)], later, later)
    assert fleet.wants(KEY), "its heartbeat has stood still for a lease time"
    assert fleet.spare_members("shop", later) == [], "it may come back"
    fleet.note_members([row("they", 4)], later + 1, later + 1)
    assert fleet.spare_members("shop", later + 1) == [Write(ASKED.key, None, Equals("to", "you"))]
    mine = seen_by("you", ASKED)
    mine.note_members([], 1, 1)
    assert mine.spare_members("shop", 1) == [], "it is this worker's own"


def test_what_is_asked_for_makes_a_worker_read_the_leases_and_ends_with_the_row() -> None:
    fleet = seen_by("me")
    assert not fleet.must_read(set(KEYS), 1)
    fleet.note_hand_overs([ASKED])
    assert fleet.must_read(set(KEYS), 1)
    fleet.note_leases([], 1)
    fleet.note_hand_overs([ASKED])
    assert not fleet.must_read(set(KEYS), 1), "it is no news"
    fleet.note_hand_overs([])
    assert fleet.wants(KEY)


def test_a_worker_of_a_version_that_reads_no_requests_gets_nothing_by_one() -> None:
    """It would not want it, and no other would either."""
    assert owners(ASKED, old=("you",)) == {key: [name] for key, name in BASE.items()}
    fields = {**row("you").fields()}
    assert read_member(StateRow("member/shop/you", fields)).hands_over
    del fields["hands_over"]
    assert not read_member(StateRow("member/shop/you", fields)).hands_over


def test_a_request_is_read_as_it_was_written_and_one_of_a_newer_format_is_refused() -> None:
    write = ASKED.write()
    fields: Any = write.fields
    assert read_hand_over(StateRow(write.key, fields)) == ASKED
    with pytest.raises(StoreError, match="hand-over"):
        read_hand_over(StateRow(write.key, {**fields, "v": 2}))


def test_leases_go_to_the_workers_with_least_to_do_for_their_weight() -> None:
    members = [FleetMember("b"), FleetMember("c"), FleetMember("heavy", 2)]
    chosen = spread(KEYS, members, {"b": 4})
    counts = {member.name: [*chosen.values()].count(member.name) for member in members}
    assert counts == {"b": 0, "c": 4, "heavy": 8}
    assert spread(reversed(KEYS), reversed(members), {"b": 4}) == chosen
