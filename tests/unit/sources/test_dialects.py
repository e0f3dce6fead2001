"""How servers differ: numbers, ages of shards, names of changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import SettingsError, SourceError
from tailrace.sources.dialects import (
    ALTERNATOR,
    AWS,
    DIALECTS,
    TAILRACE,
    Dialect,
    dialect_named,
    dialect_of,
    is_by_ttl,
)  # fmt: skip

LARGEST = "9" * 40


@pytest.mark.parametrize(
    "text", ["000000000000000000001", "800000000003126276362", "2900002759746085485437", LARGEST]
)
def test_a_sequence_number_comes_back_as_it_was_written(text: str) -> None:
    assert AWS.text(AWS.number(text)) == text


@pytest.mark.parametrize("text", ["9" * 41, "", "12a", "-5", "٣" * 21, "1.5"])
def test_what_is_no_sequence_number_is_refused_by_name(text: str) -> None:
    with pytest.raises(SourceError, match="is no sequence number"):
        AWS.number(text)


@given(st.integers(0, 10**40 - 1), st.integers(0, 1_023))
def test_records_of_one_number_are_told_apart_and_stand_between_it_and_the_next(
    number: int, place: int
) -> None:
    told = ALTERNATOR.number(str(number), place)
    assert int(ALTERNATOR.text(told)) == number
    assert ALTERNATOR.number(str(number)) <= told <= ALTERNATOR.last(str(number))
    if number + 1 < 10**40:
        assert ALTERNATOR.last(str(number)) < ALTERNATOR.number(str(number + 1))


@pytest.mark.parametrize(("dialect", "most"), [(AWS, 1), (ALTERNATOR, 1_024)])
def test_more_records_of_one_number_than_can_be_told_apart_are_refused(dialect: Dialect, most: int) -> None:
    dialect.number("5", most - 1)
    with pytest.raises(SourceError, match=f"{most + 1} records have the sequence number 5"):
        dialect.number("5", most)


@pytest.mark.parametrize(
    ("dialect", "shard_id", "expected"),
    [
        (AWS, "shardId-00000001789651619772-2a9e5aad", 1_789_651_619_772),
        (AWS, "shardId-1789651619772-2a9e5aad", 0),
        (TAILRACE, "shardId-00000001789651619772-2a9e5aad", 1_789_651_619_772),
        (ALTERNATOR, "H 19a2f3c4d5e:0123456789abcdef0123456789abcdef", 0x19A2F3C4D5E),
        (ALTERNATOR, "shardId-00000001789651619772-2a9e5aad", 0),
    ],
)
def test_a_shards_id_tells_when_it_began(dialect: Dialect, shard_id: str, expected: int) -> None:
    assert dialect.created_ms(shard_id) == expected


def test_a_stream_of_alternator_is_known_by_its_name() -> None:
    aws = "arn:aws:dynamodb:us-east-1:000000000000:table/{}/stream/2026-01-01T00:00:00"
    assert dialect_of(aws.format("ks@t_scylla_cdc_log")) is ALTERNATOR
    assert dialect_of("S01234567-89ab-cdef-0123-456789abcdef") is ALTERNATOR
    assert dialect_of(aws.format("t_scylla_cdc_log_of_mine")) is AWS
    assert [dialect_named(name) for name in DIALECTS] == [AWS, ALTERNATOR, TAILRACE]
    with pytest.raises(SettingsError, match="'scylla' is no dialect"):
        dialect_named("scylla")


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        ({"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}, True),
        ({"principalId": "dynamodb.amazonaws.com", "type": "Service"}, True),
        ({"PrincipalId": "replication.dynamodb.amazonaws.com", "Type": "Service"}, False),
        ({"PrincipalId": "dynamodb.amazonaws.com", "Type": "User"}, False),
        ({}, False),
        (None, False),
    ],
)
def test_only_the_service_itself_deletes_what_has_expired(
    identity: dict[str, str] | None, expected: bool
) -> None:
    assert is_by_ttl(identity) is expected
