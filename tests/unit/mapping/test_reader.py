"""One read for many mappings: what is kept, who reads, what is let go.

Rules of this file: the shard is a list of records; a reader of it is played by a loop that
does what runtime/reading.py does.
"""

from bisect import bisect_right

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.mapping.reader import PAGE_BYTES, Budget, Ring, SharedRead
from tailrace.streams.record import ChangeRecord, ReadDone
from tests.unit.mapping.records import record, records

PLENTY = 1_000_000


class Played:
    """A shard of records with these sequence numbers, read through a ShardReader; `reads` are those made of
    the shard itself.
    """

    def __init__(self, *sequences: int, budget: int = PLENTY, closed: bool = False) -> None:
        self.records = records(*sequences)
        self.closed = closed
        self.budget = Budget(budget)
        self.reader = SharedRead(self.budget)
        self.reads: list[int] = []

    def source(self, after: int, limit: int) -> ReadDone:
        self.reads.append(after)
        first = bisect_right(self.records, after, key=lambda record: record.sequence)
        records = self.records[first : first + limit]
        return ReadDone(
            records,
            records[-1].sequence if records else after,
            closed=self.closed and first + limit >= len(self.records),
        )

    def read(self, mapping: str, after: int, limit: int = 3) -> ReadDone:
        page = self.reader.page(mapping, after, limit)
        if page is None:
            page = self.source(after, limit)
            self.reader.add(after, page)
        return page


def sequences(page: ReadDone) -> list[int]:
    return [record.sequence for record in page.records]


def test_two_mappings_cost_one_read() -> None:
    shard = Played(1, 2, 3, 4, 5, 6)
    for after in (0, 3):
        assert sequences(shard.read("a", after)) == sequences(shard.read("b", after))
    assert shard.reads == [0, 3]


def test_a_smaller_reader_takes_parts_of_what_was_read() -> None:
    shard = Played(1, 2, 3)
    assert sequences(shard.read("a", 0)) == [1, 2, 3]
    assert shard.read("b", 0, limit=2) == ReadDone(shard.records[:2], 2)
    assert shard.read("b", 2, limit=2) == ReadDone(shard.records[2:], 3)
    assert shard.reads == [0]


def test_records_that_all_have_passed_are_let_go() -> None:
    shard = Played(1, 2, 3, 4, 5, 6)
    shard.read("a", 0)
    shard.read("b", 0)
    shard.read("a", 3)
    assert shard.reader.size_bytes == 600  # b still stands at 0
    shard.read("b", 3)
    assert shard.reader.size_bytes == 300
    shard.reader.leave("b")
    shard.read("a", 6)
    assert shard.reader.size_bytes == 0


def test_who_falls_behind_the_budget_reads_again_and_the_others_do_not() -> None:
    shard = Played(*range(1, 13), budget=300)
    shard.read("slow", 0)
    for after in (0, 3, 6, 9):
        shard.read("fast", after)
    assert shard.reads == [0, 3, 6, 9]
    assert sequences(shard.read("slow", 3)) == [4, 5, 6]
    assert sequences(shard.read("slower", 3)) == [4, 5, 6]  # those behind share their place
    assert shard.reads == [0, 3, 6, 9, 3]
    assert sequences(shard.read("fast", 9)) == [10, 11, 12]
    assert shard.reads == [0, 3, 6, 9, 3]


def test_who_has_caught_up_reads_from_the_head_again() -> None:
    shard = Played(*range(1, 10), budget=300)
    for after in (0, 3, 6):
        shard.read("fast", after)
    for after in (0, 3, 6):
        assert sequences(shard.read("slow", after)) == [after + 1, after + 2, after + 3]
    assert shard.reads == [0, 3, 6, 0, 3]


def test_the_place_says_which_read_is_to_be_made() -> None:
    shard = Played(1, 2, 3, 4, 5, 6, budget=0)
    assert shard.reader.place(0) == "head"
    shard.read("a", 3)
    assert (shard.reader.place(6), shard.reader.place(5)) == ("head", "catch-up")


def test_a_mapping_ahead_of_all_takes_the_head_with_it() -> None:
    shard = Played(1, 2, 3, 7, 8, 9)
    assert sequences(shard.read("a", 0)) == [1, 2, 3]
    assert sequences(shard.read("ahead", 6)) == [7, 8, 9]
    assert sequences(shard.read("b", 0)) == [1, 2, 3]
    assert shard.reads == [0, 6]
    assert sequences(shard.read("b", 3)) == [7, 8, 9]
    assert shard.reads == [0, 6, 3]


def test_the_end_of_a_closed_shard_is_told_to_everybody() -> None:
    shard = Played(1, 2, closed=True)
    assert shard.read("a", 0).closed
    assert shard.read("b", 0) == ReadDone(shard.records, 2, closed=True)
    assert not shard.read("b", 0, limit=1).closed
    assert shard.read("b", 2) == ReadDone([], 2, closed=True)
    assert shard.reads == [0]


def test_a_gap_is_said_by_the_source_to_each_reader() -> None:
    reader = SharedRead(Budget(PLENTY))
    assert reader.page("a", 2, 9) is None
    reader.add(2, ReadDone(records(8, 9), 9, trimmed=True))
    assert reader.page("b", 2, 9) is None
    assert reader.page("a", 9, 9) is None
    assert reader.place(9) == "head"


def test_a_read_that_finds_nothing_moves_on_all_the_same() -> None:
    reader = SharedRead(Budget(PLENTY))
    reader.add(0, ReadDone([], 5))
    assert reader.page("a", 0, 9) == ReadDone([], 5)
    assert reader.page("a", 5, 9) is None


@pytest.mark.parametrize(
    ("sizes", "counts"),
    [
        ([PAGE_BYTES // 2] * 4, [2, 2]),
        ([PAGE_BYTES // 2, PAGE_BYTES // 2 + 1], [1, 1]),
        ([PAGE_BYTES + 1, 1], [1, 1]),
        ([1] * 9, [9]),
    ],
)
def test_an_answer_holds_eight_mebibytes_or_one_record(sizes: list[int], counts: list[int]) -> None:
    ring = Ring(0)
    ring.append(ReadDone([_sized(place + 1, size) for place, size in enumerate(sizes)], len(sizes)))
    after, seen = 0, []
    while (page := ring.page(after, 100)) is not None:
        seen.append(len(page.records))
        after = page.next_after
    assert seen == counts


def _sized(sequence: int, size: int) -> ChangeRecord:
    plain = record(sequence)
    return ChangeRecord(
        sequence, 1, plain.event_name, plain.created_us, size, 0, plain.key, plain.keys, new=b"x"
    )


def test_the_budget_is_shared_by_all_rings() -> None:
    budget = Budget(600)
    one, two = SharedRead(budget), SharedRead(budget)
    one.page("a", 0, 9)
    one.add(0, ReadDone(records(*range(1, 9)), 8))
    assert one.size_bytes == 300
    two.close()
    one.add(8, ReadDone(records(*range(9, 17)), 16))
    assert one.size_bytes == 600


@given(
    sequences=st.lists(st.integers(1, 60), unique=True, max_size=40).map(sorted),
    budget=st.integers(0, 3_000),
    steps=st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 9)), max_size=120),
    starts=st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60)),
)
def test_each_mapping_gets_every_record_once_and_in_order(
    sequences: list[int], budget: int, steps: list[tuple[str, int]], starts: tuple[int, int, int]
) -> None:
    shard = Played(*sequences, budget=budget)
    begun = dict(zip("abc", starts, strict=True))
    at = dict(begun)
    seen: dict[str, list[int]] = {name: [] for name in "abc"}
    for name, limit in steps:
        page = shard.read(name, at[name], limit)
        assert len(page.records) <= limit
        seen[name] += [record.sequence for record in page.records]
        at[name] = page.next_after
        assert shard.reader.size_bytes <= 2 * budget
    for name, numbers in seen.items():
        assert numbers == [sequence for sequence in sequences if begun[name] < sequence <= at[name]]
