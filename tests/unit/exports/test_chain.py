"""Which exports join: at each bound and one past it, in words that name both and the next command."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tailrace.errors import Refused
from tailrace.exports.core.chain import (
    LONGEST_US,
    SHORTEST_US,
    ExportChain,
    chain_up_to,
    furthest_chain,
    joined,
)
from tailrace.exports.core.manifest import ExportSummary
from tests.unit.exports.given import MINUTE, T

SECOND = 1_000_000
HOUR = 60 * MINUTE
T0 = T - T % SECOND
ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/orders"


def full(to_us: int, **changed: Any) -> ExportSummary:
    made = ExportSummary("f1", "FULL_EXPORT", "ION", ARN, "id-1", to_us, 1, 1, "bucket", "pre/fix")
    return replace(made, **changed)


def part(from_us: int, to_us: int, **changed: Any) -> ExportSummary:
    name = f"i{(from_us - T0) // MINUTE}-{(to_us - T0) // MINUTE}"
    made = replace(
        full(to_us), export_id=name, export_type="INCREMENTAL_EXPORT", from_us=from_us,
        view="NEW_AND_OLD_IMAGES",
    )  # fmt: skip
    return replace(made, **changed)


def refused(*exports: ExportSummary) -> Refused:
    with pytest.raises(Refused) as error:
        joined(exports)
    return error.value


# ---- in an order that was given ----------------------------------------------------------------------------


def test_a_full_export_alone_is_a_chain() -> None:
    assert joined([full(T0)]) == ExportChain(full(T0))
    assert joined([full(T0)]).end_us == T0


def test_exports_join_where_one_begins_in_the_second_in_which_the_other_ends() -> None:
    end = T0 + 463_000
    for from_us in (T0, T0 + 1, end):
        step = part(from_us, T0 + HOUR)
        assert joined([full(end), step]).exports == (full(end), step)


@pytest.mark.parametrize(("from_us", "words"), [
    (T0 - 1, "both tell the changes from 2023-09-02T20:14:44.999Z to 2023-09-02T20:14:45.463Z"),
    (T0 + 463_001, "changes from 2023-09-02T20:14:45.463Z to 2023-09-02T20:14:45.463Z are in neither"),
    (T0 + SECOND, "changes from 2023-09-02T20:14:45.463Z to 2023-09-02T20:14:46.000Z are in neither"),
])  # fmt: skip
def test_a_gap_and_an_overlap_are_refused_one_past_the_bound(from_us: int, words: str) -> None:
    error = refused(full(T0 + 463_000), part(from_us, T0 + HOUR))
    assert words in str(error)
    assert "full export f1 of orders (2023-09-02T20:14:45.463Z)" in str(error)
    assert "incremental export i" in str(error)
    assert (error.hint or "").startswith("aws dynamodb export-table-to-point-in-time --table-arn ")


def test_a_gap_between_incremental_ones_names_the_window_that_is_missing() -> None:
    one, two = part(T0, T0 + HOUR), part(T0 + 3 * HOUR, T0 + 4 * HOUR)
    error = refused(full(T0), one, two)
    seconds = T0 // SECOND
    assert error.hint == (
        f"aws dynamodb export-table-to-point-in-time --table-arn {ARN} --s3-bucket bucket "
        "--s3-prefix pre/fix --export-format ION --export-type INCREMENTAL_EXPORT "
        "--incremental-export-specification "
        f"ExportFromTime={seconds + 3_600},ExportToTime={seconds + 3 * 3_600},"
        "ExportViewType=NEW_AND_OLD_IMAGES"
    )


@pytest.mark.parametrize(("window", "is_right"), [
    (SHORTEST_US - 1, False), (SHORTEST_US, True), (LONGEST_US, True), (LONGEST_US + 1, False),
])  # fmt: skip
def test_a_window_that_aws_does_not_make_is_refused(window: int, is_right: bool) -> None:
    chain = [full(T0), part(T0, T0 + window)]
    if is_right:
        assert joined(chain).end_us == T0 + window
    else:
        assert "is none that AWS makes (15 minutes to 24 hours)" in str(refused(*chain))


def test_a_wrong_order_is_refused() -> None:
    one, two = part(T0, T0 + HOUR), part(T0 + HOUR, T0 + 2 * HOUR)
    assert joined([full(T0), one, two]).end_us == T0 + 2 * HOUR
    assert "are in neither" in str(refused(full(T0), two, one))
    assert "it ends before; exports are read in the order of their times" in str(refused(full(T0), one, one))
    assert "begins with a full export, and incremental export i0-60" in str(refused(one, two))
    assert "it is a full export, and begins a chain of its own" in str(refused(full(T0), full(T0 + HOUR)))
    assert "there is none" in str(refused())


def test_exports_of_other_tables_and_of_other_lives_of_the_table_are_refused() -> None:
    step = part(T0, T0 + HOUR)
    other = replace(step, table_arn=ARN + "2")
    assert f"it is of another table, {ARN}2" in str(refused(full(T0), other))
    again = replace(step, table_id="id-2")
    error = refused(full(T0), again)
    assert "deleted and created in between (TableId id-1, then id-2)" in str(error)
    assert "INCREMENTAL" not in (error.hint or "")


# ---- up to a moment ----------------------------------------------------------------------------------------


def test_a_full_export_at_the_horizon_is_enough_and_one_before_it_is_not() -> None:
    assert chain_up_to([full(T0)], T0).exports == (full(T0),)
    with pytest.raises(Refused, match=r"tells the table up to 2023-09-02T20:14:45\.000Z") as error:
        chain_up_to([full(T0)], T0 + 1)
    assert f"ExportFromTime={T0 // SECOND},ExportToTime={T0 // SECOND + 900}," in (error.value.hint or "")


def test_the_newest_full_export_that_reaches_and_the_fewest_others_are_taken() -> None:
    old, new = full(T0), full(T0 + 2 * HOUR, export_id="f2")
    hours = [part(T0 + hour * HOUR, T0 + (hour + 1) * HOUR) for hour in range(5)]
    long = part(T0 + 2 * HOUR, T0 + 4 * HOUR)
    everything = [*reversed(hours), old, new, long]
    assert chain_up_to(everything, T0 + HOUR).exports == (new,)
    assert chain_up_to(everything, T0 + 2 * HOUR + 1).exports == (new, hours[2])
    assert chain_up_to(everything, T0 + 3 * HOUR + 1).exports == (new, long)
    assert chain_up_to([old, *hours], T0 + 5 * HOUR).exports == (old, *hours)


def test_an_older_full_export_is_taken_where_only_it_reaches() -> None:
    new = full(T0 + 90 * MINUTE, export_id="f2")  # nothing begins at half past
    hours = [part(T0 + hour * HOUR, T0 + (hour + 1) * HOUR) for hour in range(3)]
    assert chain_up_to([new, full(T0), *hours], T0 + 3 * HOUR).exports == (full(T0), *hours)


def test_what_ends_too_early_names_the_gap_and_the_window_to_export() -> None:
    one, three = part(T0, T0 + HOUR), part(T0 + 2 * HOUR, T0 + 3 * HOUR)
    with pytest.raises(Refused, match=r"i120-180 .* cannot follow incremental export i0-60") as error:
        chain_up_to([full(T0), one, three], T0 + 3 * HOUR)
    hint = error.value.hint or ""
    assert f"ExportFromTime={(T0 + HOUR) // SECOND},ExportToTime={(T0 + 2 * HOUR) // SECOND}," in hint
    filled = [full(T0), one, part(T0 + HOUR, T0 + 2 * HOUR), three]
    assert chain_up_to(filled, T0 + 3 * HOUR).end_us == T0 + 3 * HOUR


def test_a_gap_that_is_shorter_than_any_window_is_exported_with_what_follows() -> None:
    one, two = part(T0, T0 + HOUR), part(T0 + HOUR + 5 * MINUTE, T0 + 2 * HOUR)
    with pytest.raises(Refused) as error:
        chain_up_to([full(T0), one, two], T0 + 2 * HOUR)
    hint = error.value.hint or ""
    assert f"ExportFromTime={(T0 + HOUR) // SECOND},ExportToTime={(T0 + 2 * HOUR) // SECOND}," in hint


def test_a_horizon_further_than_a_window_gets_the_first_window_of_24_hours() -> None:
    with pytest.raises(Refused) as error:
        chain_up_to([full(T0)], T0 + 72 * HOUR)
    hint = error.value.hint or ""
    assert f"ExportFromTime={T0 // SECOND},ExportToTime={T0 // SECOND + 86_400}," in hint


def test_incremental_exports_alone_and_nothing_at_all_are_refused_with_a_full_export() -> None:
    with pytest.raises(Refused, match="no full export: what 1 incremental ones say") as error:
        chain_up_to([part(T0, T0 + HOUR)], T0)
    assert error.value.hint == (
        f"aws dynamodb export-table-to-point-in-time --table-arn {ARN} --s3-bucket bucket --s3-prefix pre/fix"
    )
    with pytest.raises(Refused, match="no export that has finished"):
        chain_up_to([], T0)


def test_of_several_tables_the_one_that_is_named_is_taken() -> None:
    other = full(T0 + HOUR, table_id="id-2", export_id="f2")
    with pytest.raises(Refused, match=r"f1 .* has TableId id-1, full export f2 .* has id-2"):
        chain_up_to([full(T0), other], T0)
    assert chain_up_to([full(T0), other], T0, table_id="id-1").exports == (full(T0),)
    with pytest.raises(Refused, match="no export of TableId id-3"):
        chain_up_to([full(T0), other], T0, table_id="id-3")


def test_an_export_that_was_filtered_is_in_no_chain() -> None:
    only = full(T0, is_filtered=True)
    assert "of full export f1 of orders" in str(refused(only))
    with pytest.raises(
        Refused, match=r"no full export of all items: .* only what its filter let through is in it"
    ):
        chain_up_to([only], T0)
    step = part(T0, T0 + HOUR, is_filtered=True)
    assert "only what its filter let through" in str(refused(full(T0), step))
    with pytest.raises(Refused, match="only what its filter let through"):
        chain_up_to([full(T0), step], T0 + HOUR)
    assert furthest_chain([full(T0), only, step]) == ExportChain(full(T0))


def test_an_export_with_a_window_that_aws_does_not_make_is_in_no_chain() -> None:
    long = part(T0, T0 + LONGEST_US + 1)
    with pytest.raises(Refused, match="is none that AWS makes"):
        chain_up_to([full(T0), long], T0 + LONGEST_US + 1)
    assert furthest_chain([full(T0), long]) == ExportChain(full(T0))


@given(
    windows=st.lists(st.tuples(st.integers(0, 20), st.integers(1, 6)), max_size=12),
    fulls=st.lists(st.integers(0, 20), max_size=3),
    wanted=st.integers(0, 26),
)
def test_a_chain_reaches_whenever_any_order_of_exports_does(
    windows: list[tuple[int, int]], fulls: list[int], wanted: int
) -> None:
    steps = [part(T0 + start * HOUR, T0 + (start + hours) * HOUR) for start, hours in windows]
    exports = [*steps, *(full(T0 + hour * HOUR, export_id=f"f{hour}") for hour in fulls)]
    reached = set(fulls)
    while more := {start + hours for start, hours in windows if start in reached} - reached:
        reached |= more
    ends = [hour for hour in reached if hour >= wanted]
    try:
        chain = chain_up_to(exports, T0 + wanted * HOUR)
    except Refused:
        assert not ends
    else:
        assert ends
        assert joined(chain.exports) == chain
        assert chain.end_us >= T0 + wanted * HOUR
    furthest = furthest_chain(exports)
    assert (furthest and furthest.end_us) == (T0 + max(reached) * HOUR if reached else None)
