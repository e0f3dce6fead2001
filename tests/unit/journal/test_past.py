"""The law of the past: what one item was, and where that is not known.

Rules of this file: each fact at its bound and one past it. A model that only replays the changes judges the
law, and broken copies of the law are caught by it.
"""

from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tailrace.journal.core.change import JournalChange
from tailrace.journal.core.past import (
    Coverage,
    LostTime,
    PastState,
    history_of,
    in_order,
    same_image,
    state_at,
)
from tailrace.streams.version import Version

KEY = b"k"
ALL = Coverage(begin_us=100, base_us=100, precision_us=1_000, end_us=10_000, is_live=True)


def image(value: int | None) -> bytes | None:
    return None if value is None else orjson.dumps({"id": {"S": "a"}, "n": {"N": str(value)}})


def change(
    sequence: int, at_us: int, old: int | None, new: int | None, shard: str = "s1", generation: int = 1
) -> JournalChange:
    event = "INSERT" if old is None else "REMOVE" if new is None else "MODIFY"
    return JournalChange(shard, KEY, Version(generation, sequence), at_us, event, image(old), image(new))


def base(at_us: int, value: int, sequence: int = 1, generation: int = 0) -> JournalChange:
    return JournalChange(
        "base", KEY, Version(generation, sequence), at_us, "INSERT", None, image(value), "scan"
    )


THREE = [change(1, 200, None, 1), change(2, 300, 1, 2), change(3, 400, 2, None)]


@pytest.mark.parametrize(
    ("at_us", "value"),
    [(100, None), (199, None), (200, 1), (299, 1), (300, 2), (399, 2), (400, None), (9_999, None)],
)
def test_a_state_is_what_the_last_change_by_then_left(at_us: int, value: int | None) -> None:
    assert state_at(THREE, at_us, ALL).item == image(value)
    assert state_at(THREE, at_us, ALL).is_known


def test_changes_of_one_moment_come_in_the_order_of_their_versions() -> None:
    tied = [change(1, 200, None, 1), change(2, 200, 1, 2), change(3, 200, 2, 3)]
    assert state_at(tied, 200, ALL) == PastState(image(3), "", Version(1, 3), 200)


def test_a_newer_version_counts_although_its_clock_was_behind() -> None:
    behind = [change(1, 300, None, 1), change(2, 250, 1, 2)]
    assert state_at(behind, 260, ALL).item == image(2)
    assert state_at(behind, 300, ALL).item == image(2)


def test_before_the_journal_began_nothing_is_known() -> None:
    assert state_at(THREE, 99, ALL).unknown == "not known before 1970-01-01T00:00:00.000100Z"
    assert state_at(THREE, 100, ALL).is_known


def test_the_first_change_tells_what_was_there_before_it_as_far_as_the_journal_goes() -> None:
    first = [change(5, 500, 7, 8)]
    assert state_at(first, 499, ALL) == PastState(image(7))
    assert not state_at(first, 99, ALL).is_known


def test_without_a_base_an_item_that_never_changed_is_unknown_and_one_that_did_is_known() -> None:
    bare = replace(ALL, base_us=None)
    assert "no base yet" in state_at([], 500, bare).unknown
    assert state_at([], 500, ALL) == PastState()
    assert state_at([change(5, 600, 7, 8)], 500, bare).item == image(7)


def test_a_journal_that_has_nothing_knows_nothing() -> None:
    assert state_at([], 500, Coverage(None)).unknown == "the journal has nothing yet"


def test_what_a_scan_read_was_there_from_the_last_change_on() -> None:
    rows = [base(500, 7), change(9, 800, 7, 8)]
    assert state_at(rows, 300, ALL).item == image(7)
    assert state_at(rows, 500, ALL).item == image(7)
    assert state_at(rows, 800, ALL).item == image(8)


# ---- gaps --------------------------------------------------------------------------------------------------

GAP = LostTime("s1", 300, 500, "changes are lost")


def with_gap(*gaps: LostTime) -> Coverage:
    return replace(ALL, lost=gaps)


@pytest.mark.parametrize(("at_us", "is_known"), [(299, True), (300, False), (499, False), (500, True)])
def test_inside_a_gap_nothing_is_known_and_behind_it_the_next_change_says_what_it_left(
    at_us: int, is_known: bool
) -> None:
    changes = [change(1, 200, None, 1), change(9, 600, 5, 6)]
    state = state_at(changes, at_us, with_gap(GAP))
    assert state.is_known is is_known
    assert state.item == (image(1) if at_us < 300 else image(5) if is_known else None)
    assert state.unknown == ("" if is_known else "changes are lost")


def test_an_item_that_looks_the_same_after_a_gap_may_have_been_another_inside_it() -> None:
    changes = [change(1, 200, None, 1), change(9, 600, 1, 6)]
    assert not state_at(changes, 400, with_gap(GAP)).is_known


def test_behind_a_gap_without_a_later_change_nothing_is_known() -> None:
    state = state_at([change(1, 200, None, 1)], 9_000, with_gap(GAP))
    assert state.unknown == "changes are lost, and no later change says what it left"


def test_a_gap_that_has_no_end_yet_has_none() -> None:
    open_gap = replace(GAP, until_us=None)
    assert not state_at([change(1, 200, None, 1), change(9, 600, 5, 6)], 599, with_gap(open_gap)).is_known


def test_a_gap_before_the_last_change_or_after_the_moment_does_not_matter() -> None:
    changes = [change(1, 200, None, 1), change(9, 600, 5, 6)]
    assert state_at(changes, 600, with_gap(GAP)).item == image(6)
    assert state_at(changes, 250, with_gap(GAP)).item == image(1)


def test_a_gap_of_another_shard_does_not_matter_between_two_changes_of_one() -> None:
    changes = [change(1, 200, None, 1), change(9, 600, 1, 6)]
    assert state_at(changes, 400, with_gap(replace(GAP, shard="s2"))).item == image(1)
    # in front of the first and behind the last one the item may have been in any shard
    assert not state_at(changes[:1], 400, with_gap(replace(GAP, shard="s2"))).is_known


def test_a_gap_of_all_shards_matters_to_all() -> None:
    changes = [change(1, 200, None, 1), change(9, 600, 1, 6)]
    assert not state_at(changes, 400, with_gap(replace(GAP, shard=""))).is_known


def test_two_changes_that_do_not_meet_have_one_between_them_that_is_not_there() -> None:
    apart = [change(1, 200, None, 1), change(3, 400, 2, 3)]
    assert "changes between them are not in the journal" in state_at(apart, 300, ALL).unknown
    assert state_at(apart, 400, ALL).item == image(3)


def test_what_the_next_change_found_says_nothing_of_before_a_gap() -> None:
    behind = [change(9, 600, 5, 6)]
    hidden = Coverage(begin_us=100, lost=(GAP,))
    assert state_at(behind, 299, hidden).unknown == "changes are lost"
    assert state_at(behind, 500, hidden).item == image(5)
    early = Coverage(begin_us=100, base_us=300, lost=(GAP,))
    assert state_at(behind, 299, early) == PastState(), "the base, read before the gap, does not have it"
    late = replace(early, base_us=301)
    assert state_at(behind, 299, late).unknown == "changes are lost"
    two = [change(1, 150, None, 1), change(9, 900, 5, 6)]
    again = LostTime("s1", 700, 800, "changes are lost again")
    cut = replace(hidden, lost=(LostTime("s1", 200, 250, "first"), again))
    assert state_at(two, 699, cut).unknown == "changes are lost again"
    assert state_at(two, 800, cut).item == image(5)


# ---- coarse times ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at_us", "near"), [(999_999, 1), (1, 0), (1_000_000, 1), (1_999_999, 1), (2_000_000, 0)]
)
def test_changes_within_a_second_are_named_where_times_are_that_coarse(at_us: int, near: int) -> None:
    coarse = replace(ALL, begin_us=0, base_us=0, precision_us=1_000_000)
    changes = [change(1, 1_000_000, None, 1)]
    assert len(state_at(changes, at_us, coarse).near) == (1 if 0 < at_us < 2_000_000 else near)
    assert state_at(changes, at_us, replace(coarse, precision_us=1_000)).near == ()


# ---- the whole table ---------------------------------------------------------------------------------------


def test_a_whole_table_is_known_from_where_its_journal_and_base_say() -> None:
    assert Coverage(100).unknown_at(500)
    late = Coverage(100, base_us=300)
    assert late.unknown_at(99) == "not known before 1970-01-01T00:00:00.000100Z"
    assert late.unknown_at(100) == ""
    early = Coverage(None, base_us=300)
    assert (early.unknown_at(300), bool(early.unknown_at(299))) == ("", True)
    gap = replace(late, lost=(GAP,))
    assert (gap.unknown_at(299), gap.unknown_at(300)) == ("", "changes are lost")


def test_what_may_come_yet_is_said() -> None:
    ended = replace(ALL, is_live=False)
    assert ended.later(10_000) == ""
    assert "its last one is of 1970-01-01T00:00:00.010Z" in ended.later(10_001)
    assert ALL.later(10_001) == ""
    assert "it has none yet" in Coverage(None).later(1)


# ---- history -----------------------------------------------------------------------------------------------


def test_a_history_has_each_change_with_what_differed() -> None:
    entries = history_of(THREE, ALL)
    assert [entry.happened for entry in entries] == ["INSERT", "MODIFY", "REMOVE"]
    assert [[one.name for one in entry.differences] for entry in entries] == [["id", "n"], ["n"], ["id", "n"]]
    assert [entry.lost for entry in entries] == ["", "", ""]


def test_a_history_says_what_is_missing() -> None:
    entries = history_of([change(4, 300, 3, 4), change(9, 600, 5, 6)], ALL)
    assert entries[0].lost == "changes before the journal's beginning"
    assert "changes between them" in entries[1].lost


def test_a_row_of_the_base_is_shown_where_it_says_something_new() -> None:
    assert [entry.happened for entry in history_of([base(100, 1), change(2, 300, 1, 2)], ALL)] == [
        "BASE",
        "MODIFY",
    ]
    known = [change(2, 300, None, 2), base(400, 2, sequence=3, generation=1)]
    assert [entry.happened for entry in history_of(known, ALL)] == ["INSERT"]
    other = [change(2, 300, None, 2), base(400, 9, sequence=3, generation=1)]
    entries = history_of(other, ALL)
    assert [entry.happened for entry in entries] == ["INSERT", "BASE"]
    assert entries[1].lost


def test_images_are_the_same_in_whatever_order_their_attributes_stand() -> None:
    assert same_image(b'{"a":{"S":"1"},"b":{"S":"2"}}', b'{"b":{"S":"2"},"a":{"S":"1"}}')
    assert not same_image(b'{"a":{"S":"1"}}', None)
    assert same_image(None, None)


# ---- against a model, and broken copies --------------------------------------------------------------------

Law = Callable[[Sequence[JournalChange], int, Coverage], PastState]
STEPS = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([None, 1, 2, 3]), st.booleans()), min_size=1, max_size=12
)


def check_law(law: Law, steps: list[tuple[int, int | None, bool]]) -> None:
    """An item that changes and is remembered moment by moment; changes inside a gap are lost."""
    now_us, state = 100, None
    truth: dict[int, int | None] = {100: None}
    kept: list[JournalChange] = []
    lost: list[tuple[int, int]] = []
    for sequence, (pause, value, is_lost) in enumerate(steps, 1):
        now_us += 100 * pause
        if value != state:
            if is_lost:
                lost.append((sequence, now_us))
            else:
                kept.append(change(sequence, now_us, state, value))
        state = value
        truth[now_us] = state
    gaps = []
    for sequence, _ in lost:
        before = [one.created_us for one in kept if one.version.sequence < sequence]
        after = [one.created_us for one in kept if one.version.sequence > sequence]
        gaps.append(LostTime("s1", max(before, default=100), min(after, default=None), "lost"))
    coverage = replace(ALL, lost=tuple(gaps))
    for at_us in range(100, now_us + 200, 50):
        value = truth[max(us for us in truth if us <= at_us)]
        told = law(kept, at_us, coverage)
        if told.is_known:
            assert told.item == image(value)
        if not gaps:
            assert told.is_known


@given(STEPS)
def test_what_is_known_is_what_was(steps: list[tuple[int, int | None, bool]]) -> None:
    check_law(state_at, steps)


def newest_wins(changes: Sequence[JournalChange], at_us: int, coverage: Coverage) -> PastState:
    return state_at(changes, 10**9, coverage)


def no_gaps(changes: Sequence[JournalChange], at_us: int, coverage: Coverage) -> PastState:
    kept = [one for one in changes if one.created_us <= at_us]
    return PastState(kept[-1].new if kept else None)


def one_too_early(changes: Sequence[JournalChange], at_us: int, coverage: Coverage) -> PastState:
    return state_at(changes, at_us - 1, replace(coverage, begin_us=0, base_us=0))


def first_of_ties(changes: Sequence[JournalChange], at_us: int, coverage: Coverage) -> PastState:
    times: dict[int, JournalChange] = {}
    for one in changes:
        times.setdefault(one.created_us, one)
    return state_at(list(times.values()), at_us, coverage)


WITNESS: list[tuple[int, Any, bool]] = [
    (1, 1, False),
    (0, 2, False),
    (1, 3, True),
    (1, 1, False),
    (2, None, False),
]


@pytest.mark.parametrize("broken", [newest_wins, no_gaps, one_too_early, first_of_ties])
def test_a_broken_law_is_caught(broken: Law) -> None:
    check_law(state_at, WITNESS)
    check_law(state_at, [step for step in WITNESS if not step[2]])
    with pytest.raises(AssertionError):
        check_law(broken, WITNESS)
        check_law(broken, [step for step in WITNESS if not step[2]])


# ---- rows of the base among changes ------------------------------------------------------------------------


def test_a_row_of_the_base_comes_after_the_change_of_its_version_and_does_not_say_since_when() -> None:
    row = base(400, 2, sequence=2, generation=1)
    made = [change(1, 200, None, 1), change(2, 300, 1, 2)]
    assert in_order([row, *made]) == [*made, row]
    assert state_at([*made, row], 500, ALL) == PastState(image(2), "", Version(1, 2), 300)
    assert state_at([row], 500, ALL) == PastState(image(2))


def test_a_row_without_an_exact_version_counts_where_all_changes_came_later() -> None:
    row, inexact = base(400, 7, sequence=400), replace(ALL, base_us=400, inexact_us=500)
    for at_us, is_there in ((500, False), (501, True)):
        later = change(1, at_us, 7, 8)
        assert (row in in_order([row, later], 500)) is is_there
        assert state_at(in_order([row, later], 500), 400, inexact).item == image(7)
    # It was read after the change, although its clock says before: what the change has found counts.
    ahead = in_order([row, change(1, 450, None, 7)], 500)
    assert [state_at(ahead, at_us, inexact).item for at_us in (100, 449, 450)] == [None, None, image(7)]
    assert in_order([row], 500) == [row]
    assert in_order([row, change(1, 450, None, 7)])[0] == row, "rows with exact versions stay"
