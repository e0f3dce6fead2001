"""The low watermark and the ranges above it."""

from random import Random

import pytest

from tailrace.errors import InternalError
from tailrace.mapping.commands import Checkpoint
from tailrace.mapping.settlement import Watermark
from tests.unit.mapping.records import records


def settled(watermark: Watermark, *sequences: int) -> Checkpoint:
    for start, end in watermark.spans(records(*sequences)):
        watermark.settle(start, end)
    watermark.advance()
    return watermark.checkpoint(finished=False)


def read(*sequences: int, checkpoint: Checkpoint = Checkpoint()) -> Watermark:  # noqa: B008 - a frozen value
    watermark = Watermark(checkpoint)
    watermark.read(records(*sequences), sequences[-1])
    return watermark


def test_it_never_passes_a_record_that_is_not_settled() -> None:
    watermark = read(10, 20, 30, 40, 50)
    assert settled(watermark, 20, 30) == Checkpoint(0, ((20, 30),))
    assert settled(watermark, 50) == Checkpoint(0, ((20, 30), (50, 50)))
    assert settled(watermark, 10) == Checkpoint(30, ((50, 50),))
    assert settled(watermark, 40) == Checkpoint(50)
    assert watermark.is_complete


def test_neighbours_are_one_range_whatever_lies_between_their_numbers() -> None:
    assert settled(read(1, 5, 900, 901), 5, 900) == Checkpoint(0, ((5, 900),))


def test_with_nothing_open_it_follows_the_position() -> None:
    watermark = read(10)
    settled(watermark, 10)
    watermark.read([], 70)
    assert watermark.checkpoint(finished=True) == Checkpoint(70, (), True)


def test_records_inside_restored_ranges_are_not_given_out_again() -> None:
    watermark = Watermark(Checkpoint(5, ((10, 20), (40, 60))))
    fresh = watermark.read(records(7, 10, 15, 20, 30), 30)
    assert [record.sequence for record in fresh] == [7, 30]
    assert watermark.checkpoint(finished=False) == Checkpoint(5, ((10, 20), (40, 60)))
    assert settled(watermark, 7) == Checkpoint(20, ((40, 60),))


def test_a_restored_range_stays_whole_while_it_is_being_read() -> None:
    watermark = Watermark(Checkpoint(0, ((10, 20),)))
    watermark.read(records(1, 10, 12), 12)
    assert watermark.checkpoint(finished=False) == Checkpoint(0, ((10, 20),))
    assert settled(watermark, 1) == Checkpoint(12, ((13, 20),))
    assert [record.sequence for record in watermark.read(records(15, 25), 25)] == [25]


def test_settling_twice_is_an_internal_error() -> None:
    watermark = read(1, 2, 3)
    settled(watermark, 2)
    with pytest.raises(InternalError):
        settled(watermark, 2, 3)
    settled(watermark, 1)
    with pytest.raises(InternalError):
        settled(watermark, 1)


@pytest.mark.parametrize("seed", range(20))
def test_it_agrees_with_a_set_of_numbers_in_any_order_of_settling(seed: int) -> None:
    random = Random(seed)
    sequences = sorted(random.sample(range(1, 1_000), 60))
    watermark = read(*sequences)
    done: set[int] = set()
    for sequence in random.sample(sequences, 60):
        checkpoint = settled(watermark, sequence)
        done.add(sequence)
        covered = {
            sequence
            for sequence in sequences
            if sequence <= checkpoint.watermark
            or any(first <= sequence <= last for first, last in checkpoint.ranges)
        }
        assert covered == done
        first_open = next((sequence for sequence in sequences if sequence not in done), 10_000)
        assert checkpoint.watermark == max(
            (sequence for sequence in sequences if sequence < first_open), default=0
        )
        assert watermark.unsettled == 60 - len(done)
