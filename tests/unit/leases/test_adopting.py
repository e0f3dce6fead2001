"""Shards that each worker takes for another's are read all the same."""

from tailrace.leases.adopting import FREE_FOR, view_of
from tailrace.leases.balance import FleetMember, assign
from tailrace.leases.fleet import Fleet
from tailrace.leases.lease import LEASE_DURATION_MS, Owner, lease_key, take
from tailrace.leases.member import Identity, MemberRow
from tailrace.rows.writes import StateRow

KEYS = [lease_key("shop", "label", f"shard-{number}") for number in range(12)]
MORE = [lease_key("shop", "sales", f"shard-{number}") for number in range(5)]
DUE_MS = FREE_FOR * LEASE_DURATION_MS


class Two:
    """Two workers that believe in each other, and want these leases."""

    def __init__(self, wanted: list[str], wanted_by_the_other: list[str]) -> None:
        self.one, self.two = Fleet(Owner("one")), Fleet(Owner("two"))
        self.one.offer(wanted)
        self.two.offer(wanted_by_the_other)
        self.look(0)

    def look(self, now_ms: int, *rows: StateRow) -> None:
        for fleet, other in ((self.one, self.two), (self.two, self.one)):
            member = MemberRow(Identity(other.owner.name), now_ms, view=other.view)
            fleet.note_members([member], now_ms, now_ms)
            fleet.note_leases(rows, now_ms)

    @property
    def unread(self) -> set[str]:
        return {key for key in KEYS + MORE if not (self.one.wants(key) or self.two.wants(key))}


def test_a_view_is_the_same_for_the_same_leases_in_any_order() -> None:
    assert view_of(KEYS) == view_of(reversed(KEYS)) != view_of(KEYS[1:])
    assert view_of(["ab", "c"]) != view_of(["a", "bc"])


def test_what_each_takes_for_the_others_is_adopted_when_it_has_been_free_for_two_lease_times() -> None:
    """One follows a table that the other does not know: it is the app's next version."""
    two = Two(KEYS + MORE, KEYS)
    assert two.unread & set(KEYS), "each computes another spread"
    assert two.unread & set(MORE), "one takes them for the other's, which does not know them"
    two.look(DUE_MS - 1)
    assert two.unread
    two.look(DUE_MS)
    assert not two.unread


def test_what_a_living_worker_has_is_not_adopted_and_no_longer_when_another_was_faster() -> None:
    two = Two(KEYS + MORE, KEYS)
    key = next(iter(two.unread & set(MORE)))
    write = take(key, None, "two")[1]
    assert write.fields is not None
    row = StateRow(key, write.fields)
    two.look(DUE_MS, row)
    assert not two.one.wants(key)
    two.look(DUE_MS + 1)
    two.look(2 * DUE_MS + 1)
    assert two.one.wants(key)
    two.look(2 * DUE_MS + 2, row)
    assert not two.one.wants(key)


def test_what_was_adopted_is_kept_until_all_want_the_same_and_then_handed_over() -> None:
    two = Two(KEYS + MORE, KEYS)
    two.look(DUE_MS)
    key = next(key for key in KEYS if two.one.wants(key) and _spread(KEYS + MORE)[key] == "two")
    write = take(key, None, "one")[1]
    assert write.fields is not None
    row = StateRow(key, write.fields)
    two.look(5 * DUE_MS, row)
    assert (two.one.wants(key), two.one.successor(key)) == (True, "")
    two.two.offer(KEYS + MORE)
    two.look(5 * DUE_MS + 1, row)
    assert (two.one.wants(key), two.one.successor(key)) == (False, "two")


def test_nothing_is_adopted_where_all_want_the_same() -> None:
    """Whose it is may be slow: it will have it."""
    two = Two(KEYS, KEYS)
    two.look(9 * DUE_MS)
    assert [key for key in KEYS if two.one.wants(key)] == [key for key in KEYS if not two.two.wants(key)]


def test_leases_are_read_every_lease_time_while_others_want_something_else() -> None:
    two = Two(KEYS + MORE, KEYS)
    held = {key for key in KEYS + MORE if two.one.wants(key)}
    assert not two.one.must_read(held, LEASE_DURATION_MS - 1)
    assert two.one.must_read(held, LEASE_DURATION_MS)
    agreed = Two(KEYS, KEYS)
    assert not agreed.one.must_read(set(KEYS), LEASE_DURATION_MS)


def _spread(keys: list[str]) -> dict[str, str]:
    return dict(assign(keys, [FleetMember("one"), FleetMember("two")]))
