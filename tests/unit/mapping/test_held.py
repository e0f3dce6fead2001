"""Held keys: what waits behind them comes back in reading order, and never while a batch
still touches the key.
"""

from tailrace.mapping.held import HeldKeys
from tailrace.mapping.settings import MappingSettings
from tailrace.streams.record import ChangeRecord
from tests.unit.mapping.records import record, records


def numbers(records: list[ChangeRecord]) -> list[int]:
    return [record.sequence for record in records]


def test_a_key_is_free_when_its_last_record_in_any_batch_is_settled() -> None:
    held = HeldKeys(10)
    held.hold(records(1, 2, key="a"))
    assert held.wait_behind(record(3, "a"))
    assert held.settle(records(1, key="a")) == []
    assert not held.is_free(record(9, "a"))
    assert numbers(held.settle(records(2, key="a"))) == [3]
    assert held.is_free(record(9, "a"))
    assert len(held) == 0


def test_the_bound_of_one_key_refuses_and_is_named_only_for_failing_keys() -> None:
    held = HeldKeys(1)
    held.hold(records(1, key="a"))
    assert held.wait_behind(record(2, "a"))
    assert not held.wait_behind(record(3, "a"))
    assert held.fullest is None  # the key is only busy: it will come back by itself
    held.retrying.add(b"a")
    assert held.fullest == 1


def test_records_taken_out_of_a_batch_wait_before_the_later_ones() -> None:
    held = HeldKeys(10)
    held.hold(records(1, 2, 3, key="a"))
    held.wait_behind(record(8, "a"))
    held.move_behind(records(3, key="a"))
    held.move_behind(records(2, key="a"))
    assert numbers(held.settle(records(1, key="a"))) == [2, 3, 8]


def test_records_put_back_wait_behind_a_key_that_stays_held() -> None:
    held = HeldKeys(10)
    held.hold([record(1, "a"), record(2, "b"), record(4, "a")])
    held.wait_behind(record(6, "a"))
    held.wait_behind(record(7, "b"))
    assert sorted(numbers(held.put_back([record(2, "b"), record(4, "a")]))) == [2, 7]
    assert numbers(held.settle(records(1, key="a"))) == [4, 6]


def test_a_busy_key_goes_on_with_its_next_batch_and_stays_held() -> None:
    held, settings = HeldKeys(10), MappingSettings("m", batch_size=2)
    held.hold(records(1, 2, key="a"))
    for number in (3, 4, 5):
        held.wait_behind(record(number, "a"))
    assert numbers(held.next_of(records(1, 2, key="a"), settings)) == [3, 4]
    assert not held.is_free(record(9, "a"))
    assert (
        held.next_of(records(3, 4, key="a"), settings) == []
    )  # the rest is one batch: it comes back to the front
    assert numbers(held.settle(records(3, 4, key="a"))) == [5]


def test_a_batch_of_several_keys_or_of_a_part_of_one_is_no_run() -> None:
    held, settings = HeldKeys(10), MappingSettings("m", batch_size=1)
    held.hold([*records(1, 2, key="a"), *records(3, key="b")])
    for number in (4, 5, 6):
        held.wait_behind(record(number, "a"))
    assert held.next_of([*records(1, 2, key="a"), *records(3, key="b")], settings) == []
    assert held.next_of(records(1, key="a"), settings) == []
