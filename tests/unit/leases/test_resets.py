"""A reset gives what follows a number of its own, whoever reads it and when, and never one that
falls along an item's shards.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import SettingsError, SourceError
from tailrace.leases.generation import TO_THE_END, Generations, cut, read_generations
from tailrace.leases.lease import lease_key, take
from tailrace.leases.seen import seen_write, still_to_see
from tailrace.rows.writes import StateRow
from tailrace.streams.shards import Shard

FIRST, SECOND = "2026-11-01T00:00:00.000", "2026-11-02T00:00:00.000"
KNOWN = Generations("shop", "orders").with_labels([FIRST, SECOND])
RESET = KNOWN.with_reset({"a": 7})


def test_a_record_at_its_position_keeps_its_number_and_the_next_one_follows() -> None:
    assert RESET.of_record(SECOND, "a", 7) == 2
    assert RESET.of_record(SECOND, "a", 8) == 4


def test_all_of_a_shard_that_is_born_later_follows() -> None:
    assert RESET.of_record(SECOND, "b", 1) == 4


def test_streams_that_ended_before_keep_their_numbers() -> None:
    assert RESET.of_record(FIRST, "a", 900) == 1


def test_the_scan_stands_between_what_was_numbered_and_what_follows() -> None:
    (reset,) = RESET.resets
    assert (KNOWN.newest, reset.generation, RESET.newest) == (2, 3, 4)


def test_of_several_resets_the_last_that_a_record_follows_counts() -> None:
    twice = RESET.with_reset({"a": 20, "b": 3})
    numbers = [twice.of_record(SECOND, "a", sequence) for sequence in (7, 8, 20, 21)]
    assert numbers == [2, 4, 4, 6]


def test_a_stream_that_comes_later_is_newer_than_what_follows() -> None:
    assert RESET.with_labels(["2026-11-03T00:00:00.000"]).of("2026-11-03T00:00:00.000") == 5


def test_nothing_follows_where_nothing_has_a_number() -> None:
    with pytest.raises(SourceError, match="no stream of table 'orders' has a number yet"):
        Generations("shop", "orders").with_reset({})


def test_a_row_with_resets_is_read_as_it_was_written() -> None:
    known = RESET.with_reset({"a": TO_THE_END, "b": 10**40})
    fields = known.write().fields
    assert fields is not None
    assert fields["v"] == 2
    assert read_generations("shop", "orders", fields) == known


def test_a_row_without_resets_is_of_the_format_that_older_versions_know() -> None:
    fields = KNOWN.write().fields
    assert fields is not None
    assert fields["v"] == 1
    assert "resets" not in fields


def test_positions_of_shards_that_are_gone_are_left_out_later() -> None:
    later = KNOWN.with_reset({"a": 7, "b": 9}).with_reset({"b": 12}, present=["b"])
    assert [dict(reset.positions) for reset in later.resets] == [{"b": 9}, {"b": 12}]


# ---- beside rows -------------------------------------------------------------------------------------------


def test_a_reset_is_kept_beside_rows_and_an_empty_state_takes_it_over_without_positions() -> None:
    adopted = Generations("shop", "orders").with_kept(RESET.kept, "the sink")
    assert adopted.numbers == RESET.numbers
    assert adopted.of_record(SECOND, "a", 1) == 4, "what is read again counts as what follows"
    assert adopted.newest == RESET.newest


def test_a_state_that_knows_no_such_reset_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"keeps stream .*\+3 of table 'orders' as generation 4"):
        KNOWN.with_kept(RESET.kept, "the sink")


def test_what_is_kept_agrees_with_its_own_state() -> None:
    assert RESET.with_kept(RESET.kept, "the sink") == RESET
    assert RESET.with_kept(KNOWN.kept, "the sink") == RESET


# ---- positions ---------------------------------------------------------------------------------------------


def test_a_shard_is_read_to_its_end_if_something_was_read_of_one_that_continues_it() -> None:
    shards = [Shard("a", 1, (), 9), Shard("b", 10, ("a",), 12), Shard("c", 13, ("b",))]
    assert cut(shards, {"a": 4, "c": 14}) == {"a": TO_THE_END, "b": TO_THE_END, "c": 14}


def test_every_shard_that_a_merged_one_continues_is_read_to_its_end() -> None:
    shards = [Shard("a", 1, (), 9), Shard("b", 1, (), 7), Shard("c", 10, ("a", "b"))]
    assert cut(shards, {"b": 4, "c": 14}) == {"a": TO_THE_END, "b": TO_THE_END, "c": 14}


def test_a_shard_in_which_nothing_was_read_is_left_out() -> None:
    assert cut([Shard("a", 1), Shard("b", 1)], {"a": 4}) == {"a": 4}


@st.composite
def lineages(draw: st.DrawFn) -> tuple[list[Shard], dict[str, int]]:
    """Shards of which each continues an earlier one or none, with numbers that rise along them; and how far
    some reader was in each."""
    shards: list[Shard] = []
    for number in range(draw(st.integers(1, 6))):
        parent = draw(st.sampled_from([None, *shards]))
        first = 1 if parent is None else (parent.last or 0) + 1
        shards.append(Shard(f"s{number}", first, () if parent is None else (parent.shard_id,), first + 4))
    return shards, {
        shard.shard_id: draw(st.sampled_from([0, shard.first, shard.first + 4])) for shard in shards
    }


@given(lineages())
def test_numbers_never_fall_along_a_line_of_shards(drawn: tuple[list[Shard], dict[str, int]]) -> None:
    shards, watermarks = drawn
    known = KNOWN.with_reset(cut(shards, watermarks))
    by_id = {shard.shard_id: shard for shard in shards}
    for shard in shards:
        line = [shard]
        while line[0].parents:
            line.insert(0, by_id[line[0].parents[0]])
        numbers = [
            known.of_record(SECOND, one.shard_id, sequence)
            for one in line
            for sequence in range(one.first, one.first + 5)
        ]
        assert numbers == sorted(numbers)


# ---- who has seen it ---------------------------------------------------------------------------------------


def lease(shard: Shard, owner: str) -> StateRow:
    write = take(lease_key("shop", *shard.place), None, owner)[1]
    return StateRow(write.key, write.fields or {})


def seen(known: Generations, owner: str) -> StateRow:
    write = seen_write(known, owner)
    return StateRow(write.key, write.fields or {})


SHARD, OTHER = Shard("a", 1, stream=SECOND), Shard("b", 1, stream=SECOND)


def test_who_has_a_lease_and_has_not_acknowledged_is_waited_for() -> None:
    leases = [lease(SHARD, "one"), lease(OTHER, "two")]
    assert still_to_see(RESET, [SHARD, OTHER], leases, [seen(RESET, "two")]) == ["one"]


def test_an_acknowledgement_of_an_earlier_row_is_none_and_of_a_later_one_is_one() -> None:
    leases = [lease(SHARD, "one")]
    assert still_to_see(RESET, [SHARD], leases, [seen(KNOWN, "one")]) == ["one"]
    assert still_to_see(RESET, [SHARD], leases, [seen(RESET.with_reset({}), "one")]) == []


def test_leases_of_shards_that_are_over_concern_nobody() -> None:
    assert still_to_see(RESET, [OTHER], [lease(SHARD, "one")], []) == []
