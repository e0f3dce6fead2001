"""DynamoDB's record of a data stream: its exact JSON, and back. Source: semantics §5.5."""

from contextlib import suppress
from typing import Any

import hypothesis.strategies as st
import orjson
import pytest
from hypothesis import given, settings

from tailrace.errors import SourceError
from tailrace.streams.kinesis.destination import (
    SERVICE,
    DestinationRecord,
    Precision,
    encode,
    has_record,
    partition_key,
)
from tailrace.streams.record import ChangeRecord, change_record
from tailrace.values.canonical import size_bytes
from tailrace.values.types import Item
from tailrace.values.wire import dump_item, read_item

KEYS: Item = {"pk": {"S": "a"}}
CREATED_MS = 1_640_276_115_592

scalars: st.SearchStrategy[Any] = st.one_of(
    st.builds(lambda text: {"S": text}, st.text(max_size=4)),
    st.builds(lambda number: {"N": str(number)}, st.integers(-99, 99)),
    st.sampled_from(
        [{"B": "eA=="}, {"B": ""}, {"BS": ["eA==", "eQ=="]}, {"SS": ["B", "BS"]}, {"NULL": True}]
    ),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.builds(lambda elements: {"L": elements}, st.lists(inner, max_size=2)),
        st.builds(
            lambda members: {"M": members},
            st.dictionaries(st.sampled_from(["B", "BS", "x"]), inner, max_size=2),
        ),
    ),
    max_leaves=4,
)
images = st.dictionaries(st.sampled_from(["n", "B", "BS"]), values, max_size=3).map(
    lambda more: read_item({**KEYS, **more})
)
pairs = st.tuples(st.none() | images, st.none() | images).filter(any)


def changed(old: Item | None, new: Item | None, *, by_ttl: bool = False) -> ChangeRecord:
    """The change between two images."""
    sizes = [size_bytes(image) for image in (KEYS, old, new) if image is not None]
    return change_record(
        sequence=7,
        shard=3,
        created_ms=CREATED_MS,
        partition=5,
        key=b"key",
        keys=KEYS,
        old=None if old is None else dump_item(old),
        new=None if new is None else dump_item(new),
        size_bytes=sum(sizes),
        keys_size=sizes[0],
        new_size=0 if new is None else sizes[-1],
        by_ttl=by_ttl,
    )


def test_a_record_is_awss_json_to_the_byte() -> None:
    record = changed(None, {**KEYS, "b": {"B": "eA=="}})
    event_id = orjson.loads(encode(record, "T", "us-east-1"))["eventID"]
    assert encode(record, "T", "us-east-1").decode() == (
        f'{{"awsRegion":"us-east-1","eventID":"{event_id}","eventName":"INSERT","userIdentity":null,'
        '"recordFormat":"application/json","tableName":"T","dynamodb":{"ApproximateCreationDateTime":'
        '1640276115592,"Keys":{"pk":{"S":"a"}},"NewImage":{"pk":{"S":"a"},"b":{"B":"ZUE9PQ=="}},"SizeBytes":8},'
        '"eventSource":"aws:dynamodb"}'
    )


def test_microseconds_are_named_beside_the_time_and_milliseconds_are_not() -> None:
    record = changed(KEYS, None)
    assert (
        orjson.loads(encode(record, "T", "r", "MICROSECOND"))["dynamodb"].items()
        >= {
            "ApproximateCreationDateTime": CREATED_MS * 1_000,
            "ApproximateCreationDateTimePrecision": "MICROSECOND",
        }.items()
    )
    assert "ApproximateCreationDateTimePrecision" not in orjson.loads(encode(record, "T", "r"))["dynamodb"]


def test_what_time_to_live_removes_says_who_did_it() -> None:
    assert orjson.loads(encode(changed(KEYS, None, by_ttl=True), "T", "r"))["userIdentity"] == SERVICE


@settings(max_examples=200)
@given(pairs, st.booleans(), st.sampled_from(["MILLISECOND", "MICROSECOND"]))
def test_what_is_read_back_is_what_was_written(
    pair: tuple[Item | None, Item | None], by_ttl: bool, precision: Precision
) -> None:
    record = changed(*pair, by_ttl=by_ttl)
    read = DestinationRecord.decode(encode(record, "things", "eu-west-1", precision))
    assert (read.table, read.region, read.keys, read.old, read.new) == ("things", "eu-west-1", KEYS, *pair)
    assert (read.created_us, read.by_ttl, read.size_bytes) == (record.created_us, by_ttl, record.size_bytes)
    again = read.change(record.sequence, record.shard, record.partition, record.key)
    assert (again.event_name, again.old, again.new) == (record.event_name, record.old, record.new)
    assert (again.keys_size, again.new_size) == (record.keys_size, record.new_size)


@pytest.mark.parametrize(
    "data",
    [
        b"plain text",
        b"[]",
        b"{}",
        b'{"eventSource":"aws:s3"}',
        encode(changed(KEYS, None), "T", "r").replace(b'"REMOVE"', b'"INSERT"'),
        encode(changed(KEYS, None), "T", "r").replace(b'"Keys"', b'"Keis"'),
        encode(changed(KEYS, None), "T", "r").replace(b"application/json", b"application/ion0"),
        encode(changed(KEYS, None), "T", "r").replace(b"1640276115592", b"16402761.5592"),
        encode(changed(KEYS, None), "T", "r").replace(b"1640276115592", b"-640276115592"),
        encode(changed({**KEYS, "b": {"B": "eA=="}}, None), "T", "r").replace(b"ZUE9PQ==", b"ZUE9P!=="),
    ],
)
def test_what_is_no_such_record_is_refused_in_words(data: bytes) -> None:
    with pytest.raises(SourceError, match="is no change of a DynamoDB table: "):
        DestinationRecord.decode(data)


@given(st.binary(max_size=40))
def test_no_data_raise_anything_else(data: bytes) -> None:
    with suppress(SourceError):
        DestinationRecord.decode(data)


def test_a_record_without_a_size_is_weighed() -> None:
    data = encode(changed(KEYS, None), "T", "r")
    assert DestinationRecord.decode(data.replace(b"SizeBytes", b"SizeBites")).size_bytes == 6


def test_a_write_of_a_transaction_has_a_record_where_there_is_an_item() -> None:
    other: Item = {**KEYS, "n": {"N": "1"}}
    for is_in_transaction in (False, True):
        assert has_record(None, KEYS, is_in_transaction=is_in_transaction)
        assert has_record(KEYS, other, is_in_transaction=is_in_transaction)
        assert has_record(KEYS, None, is_in_transaction=is_in_transaction)
        assert has_record(KEYS, KEYS, is_in_transaction=is_in_transaction) == is_in_transaction
        assert not has_record(None, None, is_in_transaction=is_in_transaction)


def test_a_partition_key_is_a_hash_of_the_whole_key_in_upper_case() -> None:
    assert partition_key(b"a") == "0CC175B9C0F1B6A831C399E269772661"
    assert partition_key(b"a") != partition_key(b"a\0")
