"""Aggregates byte by byte: one built by hand, and what makes a record a plain one."""

from hashlib import md5

import pytest

from tailrace.errors import ApiError
from tailrace.streams.kinesis.aggregation import (
    MAGIC,
    AggregatedPut,
    UserRecord,
    put_entry,
    read_aggregate,
    write_aggregate,
)
from tailrace.streams.kinesis.hash_ranges import HASHES, hash_of

KEYS = "0a01610a0162120137"
"""Field 1 with one byte, "a"; again, "b"; field 2 with one byte, "7"."""
RECORDS = (
    "1a05"
    "0800"
    "1a0131"  # five bytes: partition key 0, data "1"
    "1a07"
    "0801"
    "1000"
    "1a0132"  # seven bytes: partition key 1, hash key 0, data "2"
)
USER_RECORDS = (UserRecord("a", b"1"), UserRecord("b", b"2", "7"))


def sealed(message: str) -> bytes:
    """An aggregate around a message in hex."""
    body = bytes.fromhex(message)
    return MAGIC + body + md5(body).digest()


def test_an_aggregate_built_by_hand_is_read_and_written() -> None:
    data = sealed(KEYS + RECORDS)
    assert data[:4].hex() == "f3899ac2"
    assert read_aggregate(data) == USER_RECORDS
    assert write_aggregate(USER_RECORDS) == data


def test_a_key_that_records_share_stands_in_its_table_once() -> None:
    records = [UserRecord("key", b"1", "5"), UserRecord("key", b"2", "5")]
    data = write_aggregate(records)
    assert data.count(b"key") == 1
    assert read_aggregate(data) == tuple(records)


def test_data_of_any_size_is_kept() -> None:
    for size in (0, 127, 128, 16_383, 16_384):
        records = (UserRecord("a", b"x" * size),)
        assert read_aggregate(write_aggregate(records)) == records


def test_an_aggregate_without_records_has_none() -> None:
    assert read_aggregate(sealed(KEYS)) == ()


def test_fields_that_are_not_known_are_passed_over() -> None:
    tag = "22060a0474657374"  # field 4 of a user record: a tag with the name "test"
    fixed = "29010203040506070835010203043801"  # fields 5, 6 and 7: eight bytes, four, a number
    record = f"1a0d08001a0131{tag}"
    assert read_aggregate(sealed("0a0161" + fixed + record)) == (UserRecord("a", b"1"),)


def test_the_last_of_a_field_that_is_there_twice_holds() -> None:
    assert read_aggregate(sealed("0a01610a01621a0a080008011a01311a0132")) == (UserRecord("b", b"2"),)


def test_the_first_hash_that_is_none_makes_a_plain_record() -> None:
    def data_of(hash_key: int) -> bytes:
        text = str(hash_key)
        return sealed(f"0a016112{len(text):02x}{text.encode().hex()}1a07080010001a0131")

    assert read_aggregate(data_of(HASHES - 1)) == (UserRecord("a", b"1", str(HASHES - 1)),)
    assert read_aggregate(data_of(HASHES)) is None


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(KEYS + "1a0508021a0131", id="a partition key behind its table"),
        pytest.param(KEYS + "1a07080010011a0131", id="a hash key behind its table"),
        pytest.param(KEYS + "1a020800", id="no data"),
        pytest.param(KEYS + "1a031a0131", id="no partition key"),
        pytest.param(KEYS + "1a0608001a013108", id="a field without its value"),
        pytest.param(KEYS + "1a0508001a0231", id="data that ends after its record"),
        pytest.param(KEYS + RECORDS + "1a", id="a field without its length"),
        pytest.param(KEYS + RECORDS + "1a01", id="a field that ends after the message"),
        pytest.param(KEYS + RECORDS + "0001", id="field zero"),
        pytest.param(KEYS + RECORDS + "2b2c", id="a group"),
        pytest.param(KEYS + RECORDS + "2901020304050607", id="seven of eight bytes"),
        pytest.param(KEYS + RECORDS + "38" + "ff" * 10 + "01", id="a number of eleven bytes"),
        pytest.param(KEYS + RECORDS + "38" + "ff" * 9 + "02", id="a number of 65 bits"),
        pytest.param(KEYS + RECORDS + "808080801001", id="a tag of 33 bits"),
        pytest.param("0a01ff" + "1a0508001a0131", id="a partition key that is no text"),
        pytest.param("0a0161120178" + "1a07080010001a0131", id="a hash key that is no number"),
    ],
)
def test_what_is_no_aggregate_to_the_last_byte_is_a_plain_record(message: str) -> None:
    assert read_aggregate(sealed(message)) is None


def test_numbers_and_tags_of_their_whole_width_are_read() -> None:
    whole = "38" + "ff" * 9 + "01" + "f8ffffff0f00"  # 2^64 - 1 in field 7; field 2^29 - 1
    assert read_aggregate(sealed(KEYS + RECORDS + whole)) == USER_RECORDS


@pytest.mark.parametrize(
    "data", [b"", MAGIC, MAGIC[:3], MAGIC + md5(b"").digest(), sealed(KEYS)[:-1], sealed(KEYS) + b"\0"]
)
def test_data_that_is_cut_or_goes_on_is_a_plain_record(data: bytes) -> None:
    assert read_aggregate(data) is None


def test_an_explicit_hash_key_that_is_none_is_not_written() -> None:
    with pytest.raises(ApiError, match="ExplicitHashKey must be in the range"):
        write_aggregate([UserRecord("a", b"1", str(HASHES))])


def test_one_record_is_put_as_it_is_and_several_to_where_the_first_belongs() -> None:
    assert put_entry(USER_RECORDS[1:]) == AggregatedPut("b", b"2", "7")
    assert put_entry(USER_RECORDS) == AggregatedPut("a", write_aggregate(USER_RECORDS), str(hash_of("a")))
    assert put_entry(USER_RECORDS[::-1]).explicit_hash_key == "7"
