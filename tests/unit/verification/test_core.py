"""What a comparison decides: verdicts, suspects, places before keys, samples and what they prove, costs."""

from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import SettingsError
from tailrace.streams.version import Version
from tailrace.tables.costs import ASK_S, ASK_USD, BYTES_PER_S, TableSize
from tailrace.tables.schema import TableSchema
from tailrace.verification.core.costs import cost_of
from tailrace.verification.core.judging import NO_ROW, Look, SeenRow, Verdict, before, judge, suspects
from tailrace.verification.core.sampling import SampleSize, most_wrong, read_sample, segments_of

ROW = SeenRow(Version(1, 7), b"old")
NEWER = SeenRow(Version(1, 8), b"old")
GONE = SeenRow(Version(1, 7), b"")


@pytest.mark.parametrize(
    ("row", "item", "expected", "verdict"),
    [
        (ROW, b"i", b"old", "equal"),
        (ROW, b"i", b"new", "different"),
        (GONE, b"i", b"new", "missing"),
        (NO_ROW, b"i", b"new", "missing"),
        (ROW, None, b"", "extra"),
        (ROW, b"not wanted", b"", "extra"),
        (GONE, None, b"", "equal"),
        (NO_ROW, None, b"", "equal"),
    ],
)
def test_what_stands_still_is_equal_or_a_difference(
    row: SeenRow, item: bytes | None, expected: bytes, verdict: Verdict
) -> None:
    look = Look(row, item)
    assert judge(look, look, expected, is_settled=True) == verdict
    if verdict != "equal":
        assert judge(look, look, expected, is_settled=False) == "moving"


@pytest.mark.parametrize("earlier", [Look(NEWER, b"i"), Look(NO_ROW, b"i"), Look(ROW, b"j"), Look(ROW, None)])
def test_a_row_or_an_item_that_moved_is_no_difference(earlier: Look) -> None:
    assert judge(earlier, Look(ROW, b"i"), b"new", is_settled=True) == "moving"
    assert judge(earlier, Look(ROW, b"i"), b"old", is_settled=False) == "equal"


def test_a_deleted_row_and_no_row_are_as_good_for_an_item_that_is_gone() -> None:
    assert suspects({b"a": b"1"}, {b"a": b"1", b"b": b""}) == []
    assert suspects({b"a": None}, {}) == [b"a"]


KEYS = st.binary(min_size=1, max_size=40)


@given(KEYS, st.sets(KEYS))
def test_nothing_lies_between_a_key_and_the_place_before_it(key: bytes, others: set[bytes]) -> None:
    place = before(key)
    assert place < key
    assert not [other for other in others if place < other < key]


def test_the_longest_key_of_a_table_fits_before_another_one() -> None:
    schema = TableSchema("t", 1, "", "pk", "B", "sk", "B")
    longest = schema.key_bytes({"pk": {"B": "AAAA" * 682 + "AAA="}, "sk": {"B": "////" * 341 + "/w=="}})
    following = longest[:-1] + b"\x01"
    assert longest[:-1] + b"\x00" + b"\xff" * (len(longest) - 1) < before(following) < following


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", SampleSize(items=1)),
        ("10,000", SampleSize(items=10_000)),
        ("100%", SampleSize(share=1.0)),
        ("0.1%", SampleSize(share=0.001)),
    ],
)
def test_a_sample_is_a_number_or_a_share(text: str, size: SampleSize) -> None:
    assert read_sample(text) == size


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "0%", "100.1%", "nan%", "inf%", "%", "", "many"])
def test_anything_else_is_no_sample(text: str) -> None:
    with pytest.raises(SettingsError, match="is not allowed"):
        read_sample(text)


@pytest.mark.parametrize(("estimate", "segments"), [(0, 1), (99, 1), (100, 2), (10**9, 1_000_000)])
def test_a_sample_reads_segments_of_some_fifty_items(estimate: int, segments: int) -> None:
    assert segments_of(estimate) == segments


@given(st.integers(1, 300), st.data())
def test_the_bound_is_where_so_few_wrong_ones_have_five_percent(drawn: int, data: st.DataObject) -> None:
    wrong = data.draw(st.integers(0, drawn - 1))
    bound = most_wrong(wrong, drawn)
    likely = sum(
        comb(drawn, count) * bound**count * (1 - bound) ** (drawn - count) for count in range(wrong + 1)
    )
    assert wrong / drawn < bound <= 1
    assert likely == pytest.approx(0.05, abs=1e-6)


def test_with_many_wrong_ones_the_bound_is_about_the_same_and_quick() -> None:
    assert most_wrong(1_001, 10_000) == pytest.approx(most_wrong(1_000, 10_000), abs=2e-4)
    assert 0.25 < most_wrong(250_000, 1_000_000) < 0.2515
    assert most_wrong(1_000_000, 1_000_000) == 1.0


def test_reading_is_asked_for_from_its_bounds_on() -> None:
    units = ASK_USD / 0.125 * 1_000_000
    at_bound, beyond = (TableSize(1, round(units * 4_096) + more, 0.125) for more in (0, 4_096))
    assert not cost_of(at_bound).usd > ASK_USD
    assert cost_of(beyond).asks
    free = TableSize(1, round(ASK_S * BYTES_PER_S))
    assert not cost_of(free).asks
    assert cost_of(TableSize(1, free.size_bytes + BYTES_PER_S)).asks


def test_a_budget_makes_it_longer_and_a_sample_cheaper() -> None:
    size = TableSize(1_000, 4_096_000, 0.125)
    assert cost_of(size).read_units == 1_000
    assert cost_of(size, None, 1.0).seconds == 1_000
    assert cost_of(size, SampleSize(items=10)).read_units == 20
    assert cost_of(size, SampleSize(items=10**9)).items == 1_000
    assert cost_of(TableSize(0)).read_units == 0
