"""What a batch leaves behind: in parts that a transaction takes, and nothing where nothing failed."""

from msgspec.structs import replace

from tailrace.entry.keeping import MOST_BYTES, MOST_ROWS, parts_of
from tailrace.mapping.commands import GivenUp
from tests.unit.sinks.batches import record


def entries(count: int, size: int = 10) -> list[GivenUp]:
    return [
        GivenUp(replace(record(n, "a"), size_bytes=size), "KeyParked", 0, None, 0, 0)
        for n in range(1, count + 1)
    ]


def test_parts_are_cut_at_the_rows_of_a_transaction() -> None:
    assert [len(part) for part in parts_of(entries(MOST_ROWS))] == [MOST_ROWS]
    assert [len(part) for part in parts_of(entries(MOST_ROWS + 1))] == [MOST_ROWS, 1]
    assert list(parts_of([])) == []


def test_parts_are_cut_at_their_weight() -> None:
    half = MOST_BYTES // 2
    assert [len(part) for part in parts_of(entries(3, half))] == [2, 1]
    assert [len(part) for part in parts_of(entries(3, half + 1))] == [1, 1, 1]
    assert [len(part) for part in parts_of(entries(1, MOST_BYTES * 2))] == [1]


def test_parts_together_are_everything_in_order() -> None:
    every = entries(100)
    assert [entry for part in parts_of(every) for entry in part] == every
