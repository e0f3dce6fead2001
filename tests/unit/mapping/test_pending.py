"""What a batch takes out of what waits: whole free keys, its share of them, and never at
the cost of order.
"""

from tailrace.mapping.held import LOOK, HeldKeys, PendingRecords
from tailrace.streams.record import ChangeRecord
from tests.unit.mapping.records import record, records

MUCH = 6_000_000


def pending(waiting: list[ChangeRecord]) -> PendingRecords:
    queue = PendingRecords(shares=True)
    queue.add(waiting)
    return queue


def take(queue: PendingRecords, held: HeldKeys, *, most: int = 100, most_keys: int = 1) -> list[int]:
    taken = queue.take(held, most=most, most_keys=most_keys, most_bytes=MUCH)
    held.hold(taken)
    return [record.sequence for record in taken]


def hot(count: int, keys: int) -> list[ChangeRecord]:
    return [record(number, f"k{number % keys}") for number in range(1, count + 1)]


def test_a_batch_leaves_the_keys_beyond_its_share_where_they_are_in_order() -> None:
    queue, held = pending(hot(9, keys=3)), HeldKeys(10)
    assert take(queue, held) == [1, 4, 7]
    assert [record.sequence for record in queue.records] == [2, 3, 5, 6, 8, 9]
    assert take(queue, held, most_keys=2) == [2, 3, 5, 6, 8, 9]


def test_keys_are_counted_while_they_come_go_and_come_back() -> None:
    queue, held = pending(hot(9, keys=3)), HeldKeys(10)
    assert queue.keys == 3
    take(queue, held)
    assert queue.keys == 2
    queue.add(records(10, key="k1"))
    assert queue.keys == 3
    take(queue, held)  # k2, and what came of k1 goes behind it
    assert queue.keys == 1
    queue.add_in_order(held.settle(records(1, 4, 7, key="k1")))
    assert [record.sequence for record in queue.records] == [3, 6, 9, 10]
    assert queue.keys == 2
    queue.replace(records(10, key="k1"))
    assert queue.keys == 1
    assert take(queue, held) == [10]
    assert queue.keys == 0


def test_what_is_passed_over_for_others_is_bounded_by_what_is_taken() -> None:
    queue, held = pending(hot(20 * LOOK, keys=10 * LOOK)), HeldKeys(10)
    assert take(queue, held) == [1]
    assert [record.sequence for record in queue.records] == list(range(2, 20 * LOOK + 1))


def test_a_run_of_one_key_ends_with_the_batch() -> None:
    queue, held = pending(hot(10, keys=2)), HeldKeys(10)
    assert take(queue, held, most=3) == [1, 3, 5]
    assert take(queue, held, most=3) == [2, 4, 6]
    assert [record.sequence for record in queue.records] == [8, 9, 10]


def test_the_bound_of_one_key_stops_a_batch_where_it_is_met() -> None:
    queue, held = pending(hot(10, keys=2)), HeldKeys(2)
    held.hold([record(0, "k1")])
    assert take(queue, held, most_keys=2) == [2, 4]
    assert [record.sequence for record in queue.records] == [5, 6, 7, 8, 9, 10]
    assert held.full_key == b"k1"
