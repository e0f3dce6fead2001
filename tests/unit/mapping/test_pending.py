"""What a batch takes out of what waits: whole free keys, its share of them, and never at the cost of
order.
"""

from tailrace.mapping.held import LOOK, HeldKeys, PendingRecords
from tailrace.streams.record import ChangeRecord
from tests.unit.mapping.records import record, records

MUCH = 6_000_000


def pending(waiting: list[ChangeRecord]) -> PendingRecords:
    found = PendingRecords(shares=True)
    found.add(waiting)
    return found


def take(found: PendingRecords, held: HeldKeys, *, most: int = 100, most_keys: int = 1) -> list[int]:
    taken = found.take(held, most=most, most_keys=most_keys, most_bytes=MUCH)
    held.hold(taken)
    return [each.sequence for each in taken]


def hot(count: int, keys: int) -> list[ChangeRecord]:
    return [record(number, f"k{number % keys}") for number in range(1, count + 1)]


def test_a_batch_leaves_the_keys_beyond_its_share_where_they_are_in_order() -> None:
    found, held = pending(hot(9, keys=3)), HeldKeys(10)
    assert take(found, held) == [1, 4, 7]
    assert [each.sequence for each in found.records] == [2, 3, 5, 6, 8, 9]
    assert take(found, held, most_keys=2) == [2, 3, 5, 6, 8, 9]


def test_keys_are_counted_while_they_come_go_and_come_back() -> None:
    found, held = pending(hot(9, keys=3)), HeldKeys(10)
    assert found.keys == 3
    take(found, held)
    assert found.keys == 2
    found.add(records(10, key="k1"))
    assert found.keys == 3
    take(found, held)  # k2, and what came of k1 goes behind it
    assert found.keys == 1
    found.add_in_order(held.settle(records(1, 4, 7, key="k1")))
    assert [each.sequence for each in found.records] == [3, 6, 9, 10]
    assert found.keys == 2
    found.replace(records(10, key="k1"))
    assert found.keys == 1
    assert take(found, held) == [10]
    assert found.keys == 0


def test_what_is_passed_over_for_others_is_bounded_by_what_is_taken() -> None:
    found, held = pending(hot(20 * LOOK, keys=10 * LOOK)), HeldKeys(10)
    assert take(found, held) == [1]
    assert [each.sequence for each in found.records] == list(range(2, 20 * LOOK + 1))


def test_a_run_of_one_key_ends_with_the_batch() -> None:
    found, held = pending(hot(10, keys=2)), HeldKeys(10)
    assert take(found, held, most=3) == [1, 3, 5]
    assert take(found, held, most=3) == [2, 4, 6]
    assert [each.sequence for each in found.records] == [8, 9, 10]


def test_the_bound_of_one_key_stops_a_batch_where_it_is_met() -> None:
    found, held = pending(hot(10, keys=2)), HeldKeys(2)
    held.hold([record(0, "k1")])
    assert take(found, held, most_keys=2) == [2, 4]
    assert [each.sequence for each in found.records] == [5, 6, 7, 8, 9, 10]
    assert held.full_key == b"k1"
