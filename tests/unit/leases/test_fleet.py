"""What one worker knows of a fleet: who lives, which leases it is to have, what it may take."""

from typing import Any

from tailrace.leases.balance import assign
from tailrace.leases.fleet import READ_EVERY_MS, REMOVED_AFTER_MS, Fleet
from tailrace.leases.lease import LEASE_DURATION_MS, Lease, Owner, finish, lease_key, release, take
from tailrace.leases.member import Identity, MemberRow
from tailrace.rows.writes import Equals, StateRow, Write

KEY = lease_key("shop", "label", "shard-1")
KEYS = [lease_key("shop", "label", f"shard-{number}") for number in range(12)]
LATER = LEASE_DURATION_MS


def row(name: str, counter: int = 1, changes: int = 0, weight: int = 1) -> MemberRow:
    return MemberRow(Identity(name, weight), counter, changes)


def fields(write: Write) -> Any:
    assert write.fields is not None
    return write.fields


def begun(*others: str, owner: Owner | None = None) -> Fleet:
    """The fleet as a worker `me` knows it that has looked once, at 0."""
    fleet = Fleet(owner or Owner("me"))
    fleet.note_members([row("me"), *map(row, others)], 0, 0)
    fleet.note_leases([], 0)
    return fleet


def held_by(name: str) -> Any:
    return fields(take(KEY, None, name)[1])


# ---- who lives ---------------------------------------------------------------------------------------------


def test_a_worker_lives_until_its_heartbeat_has_stood_still_for_a_lease_time() -> None:
    fleet = begun("you")
    fleet.note_members([row("you")], LATER - 1, LATER - 1)
    assert set(fleet.others) == {"you"}
    fleet.note_members([row("you")], LATER, LATER)
    assert set(fleet.others) == set()
    fleet.note_members([row("you", 2)], LATER + 1, LATER + 1)
    assert set(fleet.others) == {"you"}


def test_the_time_on_the_way_makes_no_heartbeat_look_older() -> None:
    """The first answer comes late, and so does the second question's: between hearing and asking is less."""
    fleet = Fleet(Owner("me"))
    fleet.note_members([row("you")], 0, 900)
    fleet.note_members([row("you")], LATER + 899, LATER + 5_000)
    assert set(fleet.others) == {"you"}
    fleet.note_members([row("you")], LATER + 900, LATER + 5_000)
    assert set(fleet.others) == set()


def test_a_heartbeat_may_stand_still_for_as_long_as_its_own_worker_says() -> None:
    fleet = Fleet(Owner("me"), duration_ms=LATER)
    quick = MemberRow(Identity("quick", lease_ms=2_000), 1)
    slow = MemberRow(Identity("slow", lease_ms=2 * LATER), 1)
    fleet.note_members([quick, slow], 0, 0)
    fleet.note_members([quick, slow], 1_999, 1_999)
    assert set(fleet.others) == {"quick", "slow"}
    fleet.note_members([quick, slow], 2_000, 2_000)
    assert set(fleet.others) == {"slow"}
    fleet.note_members([quick, slow], 2 * LATER, 2 * LATER)
    assert set(fleet.others) == set()


def test_nobody_dies_while_the_one_who_looks_was_away() -> None:
    fleet = begun("you")
    assert not fleet.may_take(KEY, held_by("you"), 10 * LATER), "it has not asked again"
    fleet.note_members([row("you", 9)], 10 * LATER, 10 * LATER)
    assert set(fleet.others) == {"you"}


def test_a_worker_of_a_process_that_is_known_to_be_gone_is_dead_at_once_and_its_row_spare() -> None:
    fleet = begun("you", "they", owner=Owner("me", lambda name: name == "you"))
    assert set(fleet.others) == {"they"}
    assert fleet.spare_members("shop", 0) == [Write("member/shop/you", None, Equals("counter", 1))]


def test_the_row_of_a_worker_that_stands_still_for_long_is_spare() -> None:
    fleet = begun("you")
    assert fleet.spare_members("shop", REMOVED_AFTER_MS - 1) == []
    assert fleet.spare_members("shop", REMOVED_AFTER_MS) == [
        Write("member/shop/you", None, Equals("counter", 1))
    ]


# ---- whose leases are to be --------------------------------------------------------------------------------


def mine(fleet: Fleet) -> set[str]:
    return {key for key in KEYS if fleet.wants(key)}


def test_a_worker_that_is_alone_is_to_have_everything_at_once() -> None:
    fleet = begun()
    fleet.offer(KEYS)
    assert mine(fleet) == set(KEYS)
    assert fleet.wants(KEY)
    assert fleet.successor(KEYS[0]) == ""


def test_a_newcomer_believes_in_all_that_it_sees_and_in_itself() -> None:
    fleet = begun("you", "they")
    fleet.offer(KEYS)
    expected = assign(KEYS, [row(name).member for name in ("me", "you", "they")])
    assert mine(fleet) == {key for key, name in expected.items() if name == "me"}
    assert len(mine(fleet)) == 4


def test_others_believe_in_a_newcomer_after_a_lease_time() -> None:
    fleet = begun()
    fleet.offer(KEYS)
    fleet.note_members([row("you")], 5, 5)
    fleet.note_members([row("you", 2)], LATER + 4, LATER + 4)
    assert mine(fleet) == set(KEYS)
    fleet.note_members([row("you", 3)], LATER + 5, LATER + 5)
    assert len(mine(fleet)) == 6
    assert {fleet.successor(key) for key in set(KEYS) - mine(fleet)} == {"you"}


def test_one_that_comes_back_is_believed_in_anew() -> None:
    fleet = begun("you")
    fleet.offer(KEYS)
    fleet.note_members([row("you")], LATER, LATER)
    assert mine(fleet) == set(KEYS)
    fleet.note_members([row("you", 2)], LATER + 1, LATER + 1)
    assert mine(fleet) == set(KEYS)
    fleet.note_members([row("you", 3)], 2 * LATER + 1, 2 * LATER + 1)
    assert len(mine(fleet)) == 6


def test_one_that_has_left_is_out_at_once() -> None:
    fleet = begun("you")
    fleet.offer(KEYS)
    assert len(mine(fleet)) == 6
    fleet.note_members([], 1, 1)
    assert mine(fleet) == set(KEYS)


def test_weights_are_those_that_each_worker_says_of_itself() -> None:
    fleet = Fleet(Owner("me"))
    fleet.note_members([row("you", weight=2)], 0, 0)
    fleet.note_leases([], 0)
    fleet.offer(KEYS)
    assert len(mine(fleet)) == 4


# ---- what may be taken -------------------------------------------------------------------------------------


def test_what_is_free_or_its_own_by_its_row_is_taken_at_once() -> None:
    """A take whose answer was lost names the worker that does not know it."""
    fleet = begun("you")
    assert fleet.may_take(KEY, fields(release(take(KEY, None, "you")[0])), 0)
    assert fleet.may_take(KEY, held_by("me"), 0)


def test_the_lease_of_a_worker_is_taken_when_its_heartbeat_stands_still_and_not_before() -> None:
    fleet = begun("you")
    assert not fleet.may_take(KEY, held_by("you"), 0)
    fleet.note_members([row("you", 2)], LATER, LATER)
    assert not fleet.may_take(KEY, held_by("you"), LATER), "its lease stands still, its heartbeat does not"
    fleet.note_members([row("you", 2)], 2 * LATER, 2 * LATER)
    assert fleet.may_take(KEY, held_by("you"), 2 * LATER)


def test_an_owner_without_a_row_is_judged_by_the_row_of_its_lease() -> None:
    """One of a version that renewed each lease."""
    fleet = begun()
    assert not fleet.may_take(KEY, held_by("old"), 7)
    assert not fleet.may_take(KEY, held_by("old"), LATER + 6)
    assert not fleet.may_take(KEY, {**held_by("old"), "counter": 2}, LATER + 7), "it was renewed"
    assert fleet.may_take(KEY, {**held_by("old"), "counter": 2}, 2 * LATER + 7)


def test_a_lease_that_was_handed_over_is_its_successors_for_a_lease_time() -> None:
    handed = fields(release(take(KEY, None, "they")[0], "you"))
    fleet = begun("you")
    assert not fleet.may_take(KEY, handed, 3)
    assert not fleet.may_take(KEY, handed, LATER + 2)
    assert fleet.may_take(KEY, handed, LATER + 3)
    assert begun().may_take(KEY, fields(release(take(KEY, None, "they")[0], "me")), 3)


def test_a_lease_whose_successor_has_died_is_free() -> None:
    handed = fields(release(take(KEY, None, "they")[0], "you"))
    fleet = begun("you")
    fleet.note_members([row("you")], LATER, LATER)
    assert fleet.may_take(KEY, handed, LATER)


# ---- when leases are read ----------------------------------------------------------------------------------


def test_leases_are_read_when_something_has_changed_or_is_lacking_and_else_now_and_then() -> None:
    fleet = begun()
    assert not fleet.must_read(set(), READ_EVERY_MS - 1)
    assert fleet.must_read(set(), READ_EVERY_MS)
    fleet.offer([KEY])
    assert (fleet.must_read(set(), 1), fleet.must_read({KEY}, 1)) == (True, False)
    fleet.note_members([row("you")], 1, 1)
    assert fleet.must_read({KEY}, 1), "another worker is there"
    fleet.note_leases([], 1)
    fleet.note_members([row("you", 2)], 2, 2)
    assert not fleet.must_read({KEY}, 2), "a heartbeat is no news"
    fleet.note_members([row("you", 3, changes=1)], 3, 3)
    assert fleet.must_read({KEY}, 3), "it has left a lease, or finished a shard"
    assert Fleet(Owner("me")).must_read(set(), 0)


# ---- what differs ------------------------------------------------------------------------------------------


def seen(*writes: Write) -> Fleet:
    fleet = begun("you")
    fleet.note_leases([StateRow(write.key, fields(write)) for write in writes], 0)
    return fleet


def test_a_lease_is_lost_when_its_row_names_another_or_a_later_epoch() -> None:
    lease, write = take(KEY, None, "me")
    again, later = take(KEY, fields(write), "me")
    _, stolen = take(KEY, fields(write), "you")
    assert seen(write).lost([lease]) == []
    assert seen(finish(lease, ["mail"])[1]).lost([lease]) == []
    assert seen(later).lost([lease]) == [lease]
    assert seen(stolen).lost([lease]) == [lease]
    assert seen(release(lease)).lost([lease]) == [lease], "an operator has released it"
    assert seen(stolen).lost([Lease(KEY, "me", 9, 3)]) == [], "it was read before the lease was taken"
    assert seen(write).lost([again]) == []


def test_a_lease_that_names_the_worker_which_does_not_have_it_is_released_or_taken() -> None:
    lease, write = take(KEY, None, "me")
    fleet = seen(write)
    assert fleet.strays({KEY}) == []
    fleet.offer([])
    assert fleet.strays(set()) == [release(lease)]
    alone = begun()
    alone.note_leases([StateRow(KEY, fields(write))], 0)
    assert alone.strays(set()) == [], "it takes it"


def test_the_lease_of_a_finished_shard_is_made_to_say_so_unless_another_has_it() -> None:
    """Others assign it to a worker that has nothing to do there, and would wait for what continues it."""
    _, write = take(KEY, None, "they")
    fleet = seen(write)
    fleet.note_finished(KEY, ["mail"])
    (cleared,) = fleet.strays(set())
    assert (fields(cleared)["finished"], fields(cleared)["owner"]) == (["mail"], "")
    fleet.note_leases([StateRow(KEY, fields(cleared))], 0)
    assert fleet.strays(set()) == []
    other = seen(take(KEY, None, "you")[1])
    other.note_finished(KEY, ["mail"])
    assert other.must_read(set(), 0)
    assert other.strays(set()) == [], "it lives"


def test_a_lease_that_was_given_back_is_made_to_say_that_its_shard_is_finished() -> None:
    """An operator has freed it meanwhile, or its owner has died before it could say so."""
    fleet = seen(release(Lease(KEY, "they", 1, 1)))
    fleet.note_finished(KEY, ["index", "mail"])
    (said,) = fleet.strays(set())
    assert (fields(said)["finished"], fields(said)["counter"]) == (["index", "mail"], 3)


def test_the_lease_of_a_finished_shard_names_no_worker_that_is_not_there() -> None:
    """One took it before it knew, and died or could not give it back; others have nothing to say but that."""
    row = {"v": 1, "counter": 4, "epoch": 2, "finished": ["mail"]}
    for owner in ("they", "me"):
        fleet = begun()
        fleet.note_leases([StateRow(KEY, {**row, "owner": owner})], 0)
        fleet.note_finished(KEY, ["mail"])
        (left,) = fleet.strays(set())
        assert (fields(left)["owner"], left.condition) == ("", Equals("counter", 4))
        assert fleet.strays({KEY}) == [], "it is held, and given back by its readers"
        fleet.offer([KEY])
        assert fleet.strays(set()) == [], "it is wanted again: its positions were set back"


def test_another_workers_lease_is_elsewhere_while_that_worker_lives() -> None:
    _, write = take(KEY, None, "you")
    fleet = seen(write)
    assert fleet.is_elsewhere(KEY)
    fleet.note_members([row("you")], LATER, LATER)
    assert not fleet.is_elsewhere(KEY)
    assert not seen(take(KEY, None, "me")[1]).is_elsewhere(KEY)
