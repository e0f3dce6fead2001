"""Sequence numbers in AWS's form, against numbers that AWS prints."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.streams.kinesis.sequence_numbers import (
    INDEXES,
    LAST,
    SECONDS,
    DataSequence,
    numbering,
    read_sequence_number,
)

OF_AWS = "49590338271490256608559692538361571095921575989136588898"
"""Of shardId-000000000006, put at 1545084650.987: the event in AWS's own guide to Lambda and Kinesis."""

sequences = st.builds(
    DataSequence,
    st.integers(0, SECONDS - 1),
    st.integers(0, INDEXES - 1),
    st.integers(0, LAST),
    st.integers(0, SECONDS - 1),
)


def test_a_number_of_aws_is_read_and_written_back() -> None:
    number = read_sequence_number(OF_AWS)
    assert number is not None
    assert (number.shard_index, number.second) == (6, 1_545_084_650)
    assert number.wire == OF_AWS


@given(sequences)
def test_what_is_written_is_read(number: DataSequence) -> None:
    assert read_sequence_number(number.wire) == number
    assert len(number.wire) == 56


@given(sequences, sequences)
def test_numbers_of_a_shard_are_in_the_order_of_their_own(one: DataSequence, other: DataSequence) -> None:
    other = other._replace(shard_second=one.shard_second, shard_index=one.shard_index)
    if one.own != other.own:
        assert (int(one.wire) < int(other.wire)) == (one.own < other.own)


@given(sequences, sequences)
def test_a_shard_of_a_later_second_has_higher_numbers(one: DataSequence, other: DataSequence) -> None:
    if one.shard_second != other.shard_second:
        assert (int(one.wire) < int(other.wire)) == (one.shard_second < other.shard_second)


@pytest.mark.parametrize(
    "text",
    [
        "0", "", "x", "٣" * 56, "1" * 129, OF_AWS[:-1], OF_AWS + "8",
        str(int(OF_AWS) + 1),  # another version
        str(int(OF_AWS) + (1 << 144)),  # the nibble is not of the index
        str(int(OF_AWS) + (1 << 143)),  # the own number is wider than ours
        str(int(OF_AWS) + (1 << 184)),  # another lead
    ],
)  # fmt: skip
def test_what_is_no_number_of_this_form_is_none(text: str) -> None:
    assert read_sequence_number(text) is None


@pytest.mark.parametrize(("second", "index"), [(SECONDS, 0), (-1, 0), (0, INDEXES), (0, -1)])
def test_a_shard_beyond_the_form_has_no_numbers(second: int, index: int) -> None:
    with pytest.raises(ValueError, match="has no sequence numbers"):
        numbering(second, index)


@pytest.mark.parametrize(("second", "index"), [(SECONDS - 1, INDEXES - 1), (0, 0)])
def test_one_at_its_bound_has(second: int, index: int) -> None:
    assert len(str(numbering(second, index))) == 56
