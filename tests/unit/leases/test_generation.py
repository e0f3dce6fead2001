"""Streams are numbered in the order of their labels, once, and a late one is refused instead
of counted as newer.
"""

import pytest
from msgspec.structs import replace

from tailrace.errors import SettingsError, SourceError, StoreError
from tailrace.leases.generation import BEFORE, ROOM, Generations, check_kept, read_generations
from tailrace.rows.writes import Absent, Equals

FIRST, SECOND, THIRD = "2026-11-01T00:00:00.000", "2026-11-02T00:00:00.000", "2026-11-03T00:00:00.000"
NONE = Generations("shop", "orders")


def test_all_that_are_there_are_numbered_in_the_order_of_their_labels() -> None:
    assert NONE.with_labels([THIRD, FIRST, SECOND]).numbers == {FIRST: 1, SECOND: 2, THIRD: 3}


def test_a_later_one_takes_the_next_number_and_the_others_keep_theirs() -> None:
    known = NONE.with_labels([SECOND, FIRST])
    assert known.with_labels([FIRST, SECOND, THIRD]).numbers == {FIRST: 1, SECOND: 2, THIRD: 3}
    assert known.with_labels([THIRD]).of(THIRD) == 3


def test_one_that_is_gone_by_then_keeps_its_number_taken() -> None:
    assert NONE.with_labels([FIRST]).with_labels([THIRD]).numbers == {FIRST: 1, THIRD: 2}


def test_those_of_before_numbers_are_all_of_the_first_generation() -> None:
    known = NONE.with_labels([FIRST, SECOND], all_first=True)
    assert known.numbers == {FIRST: 1, SECOND: 1}
    assert known.with_labels([THIRD]).of(THIRD) == 2


def test_one_that_is_older_than_a_numbered_one_is_refused_by_name() -> None:
    with pytest.raises(
        SourceError, match=rf"stream {FIRST} of table 'orders' is older than {SECOND}, which is generation 1"
    ):
        NONE.with_labels([SECOND]).with_labels([FIRST, SECOND])


def test_a_row_is_written_only_over_the_one_that_was_read() -> None:
    first = NONE.with_labels([FIRST])
    assert first.write().condition == Absent()
    second = first.with_labels([SECOND])
    assert second.write().condition == Equals("revision", 1)
    assert read_generations("shop", "orders", second.write().fields) == second


def test_a_row_of_the_future_is_refused() -> None:
    with pytest.raises(StoreError, match="table's sources has format 3"):
        read_generations("shop", "orders", {"v": 3})


KEPT = {"orders/2026-11-01": 4, "orders/2026-11-02": 5, "users/2026-11-01": 9}


def test_an_empty_row_goes_on_behind_what_is_kept_beside_rows_of_its_table() -> None:
    adopted = NONE.with_kept(KEPT, "the sink")
    assert adopted.with_labels(["2026-11-03"]).numbers == {
        "2026-11-01": 4,
        "2026-11-02": 5,
        "2026-11-03": 6,
    }
    assert adopted.kept == {"orders/2026-11-01": 4, "orders/2026-11-02": 5}


def test_rows_of_before_there_were_numbers_are_of_the_first_generation_and_are_kept_nowhere() -> None:
    numbered = NONE.with_kept({BEFORE: 1}, "the sink").with_labels(["2026-11-03"])
    assert (numbered.of("2026-11-03"), numbered.kept) == (2, {"orders/2026-11-03": 2})
    known = NONE.with_labels(["2026-11-03"])
    assert known.with_kept({BEFORE: 1}, "the sink").of("2026-11-03") == 1  # of an upgrade


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        ({"orders/2026-11-03": 2}, "as generation 2, and the state of app 'shop' has generation 1"),
        (
            {"orders/2026-11-02": 1},
            "as generation 1, and the state of app 'shop' has 2026-11-03 as generation 1",
        ),
        (
            {"orders/2026-11-02": 7},
            "as generation 7, and the state of app 'shop' has 2026-11-03 as generation 1",
        ),
    ],
)
def test_a_place_of_another_history_is_refused_naming_both(kept: dict[str, int], words: str) -> None:
    with pytest.raises(SettingsError) as told:
        NONE.with_labels(["2026-11-03"]).with_kept(kept, "the DuckDB sink of 'file'")
    assert words in str(told.value)
    assert "the DuckDB sink of 'file' keeps stream 2026-11-0" in str(told.value)
    assert "next: give the app the state that this place was written with" in str(told.value)


def test_what_another_app_has_numbered_since_is_no_other_history() -> None:
    here = NONE.with_labels(["2026-11-01"])
    assert (
        here.with_kept({"orders/2026-11-01": 1, "orders/2026-11-02": 2}, "the sink").numbers["2026-11-02"]
        == 2
    )


def test_a_switched_source_is_newer_whatever_its_streams_are_called() -> None:
    assert NONE.with_labels(["2026-11-03"]).with_labels(["2026-10-01"]).of("2026-10-01") == 2


# ---- without a place that does not answer ------------------------------------------------------------------


def test_streams_that_are_numbered_without_a_place_are_above_whatever_it_may_know() -> None:
    apart = NONE.with_labels([SECOND, FIRST], leaves_room=True)
    assert [apart.of_record(label, "shard", 1) for label in (FIRST, SECOND)] == [ROOM + 1, ROOM + 3]
    assert [apart.of(label) for label in (FIRST, SECOND)] == [ROOM + 1, ROOM + 3]
    assert apart.newest_stream == SECOND
    assert not apart.lacks([FIRST, SECOND])
    assert apart.with_labels([FIRST, SECOND]).numbers == apart.numbers
    assert apart.with_labels([SECOND, THIRD]).of(THIRD) == ROOM + 4
    with pytest.raises(SourceError, match=f"stream {FIRST} of table 'orders' is older than {SECOND}"):
        NONE.with_labels([SECOND], leaves_room=True).with_labels([FIRST, SECOND])


def test_what_another_place_has_told_keeps_its_number() -> None:
    told = NONE.with_kept({f"orders/{FIRST}": 4}, "the sink")
    apart = told.with_labels([FIRST, SECOND], leaves_room=True)
    assert [apart.of_record(label, "shard", 1) for label in (FIRST, SECOND)] == [4, ROOM + 1]


def test_what_was_numbered_without_a_place_is_read_as_it_was_written() -> None:
    apart = NONE.with_labels([FIRST, SECOND], leaves_room=True)
    row = replace(apart, revision=1).write().fields
    assert read_generations("shop", "orders", row) == replace(apart, revision=1)


KNOWN_THERE: list[dict[str, int]] = [
    {FIRST: 7},
    {FIRST: 7, SECOND: 9},
    {FIRST: 7, f"{FIRST}+8": 9, SECOND: 10, f"{SECOND}+11": 12},
    {"2026-10-01": 3, "2026-10-01+4": 5},
    {SECOND: ROOM - 1},
    {},
]


@pytest.mark.parametrize("known", KNOWN_THERE)
def test_a_place_that_answers_later_is_of_the_same_history_and_keeps_both(known: dict[str, int]) -> None:
    apart = NONE.with_labels([FIRST, SECOND], leaves_room=True)
    sources = {f"orders/{label}": number for label, number in known.items()}
    both = apart.with_kept(sources, "the sink")
    check_kept("the sink", sources, apart.kept)
    for label in (FIRST, SECOND):
        assert both.of_record(label, "shard", 1) == apart.of_record(label, "shard", 1)
        assert both.of_record(label, "shard", 1) > max(known.values(), default=0)
    again = NONE.with_kept({**sources, **apart.kept}, "the sink", is_read=False)
    assert again.of_record(SECOND, "shard", 1) == ROOM + 3, "also when the state is lost once more"
    assert again.newest == ROOM + 3


@pytest.mark.parametrize("known", [{SECOND: ROOM + 1}, {f"{SECOND}+{ROOM + 2}": ROOM + 3, SECOND: 2}])
def test_a_place_that_knows_of_more_than_there_was_room_for_is_refused(known: dict[str, int]) -> None:
    apart = NONE.with_labels([FIRST], leaves_room=True)
    with pytest.raises(SettingsError, match="they are not of one history"):
        apart.with_kept({f"orders/{label}": number for label, number in known.items()}, "the sink")


def test_of_two_places_that_tell_before_anything_is_read_each_may_know_a_reset() -> None:
    told = NONE.with_kept({f"orders/{FIRST}": 1}, "one", is_read=False)
    both = told.with_kept({f"orders/{FIRST}": 1, f"orders/{FIRST}+2": 3}, "another", is_read=False)
    assert both.of_record(FIRST, "shard", 1) == 3
