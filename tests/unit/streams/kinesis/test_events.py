"""The events of data streams' records, byte by byte. Source: semantics §2.10."""

import json
from base64 import b64decode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.streams.kinesis.data_records import DataRecord
from tailrace.streams.kinesis.events import data_event, event_of
from tailrace.streams.kinesis.plain import data_of, partition_key_of, plain_record
from tailrace.streams.record import ChangeRecord
from tests.unit.streams.records import ALL

ARN = "arn:aws:kinesis:us-east-2:123456789012:stream/clicks"
SHARD = "shardId-000000000006"
NUMBER = "49590338271490256608559692538361571095921575989136588898"


def record(data: bytes = b"hello", key: str = "pk", created_ms: int = 1_545_084_650_987) -> ChangeRecord:
    return plain_record(DataRecord(1, NUMBER, created_ms, key, data), SHARD, 1, b"", 0)


def test_a_record_has_exactly_these_bytes() -> None:
    assert data_event([record()], ARN, "us-east-2", "123456789012") == (
        b'{"Records":[{"kinesis":{"kinesisSchemaVersion":"1.0","partitionKey":"pk","sequenceNumber":"'
        b'49590338271490256608559692538361571095921575989136588898","data":"aGVsbG8=",'
        b'"approximateArrivalTimestamp":1545084650.987},"eventSource":"aws:kinesis","eventVersion":"1.0",'
        b'"eventID":"shardId-000000000006:49590338271490256608559692538361571095921575989136588898",'
        b'"eventName":"aws:kinesis:record","invokeIdentityArn":"arn:aws:iam::123456789012:role/tailrace",'
        b'"awsRegion":"us-east-2",'
        b'"eventSourceARN":"arn:aws:kinesis:us-east-2:123456789012:stream/clicks"}]}'
    )


def test_a_consumer_stands_where_its_stream_would() -> None:
    consumer = f"{ARN}/consumer/mail:1780000000"
    (told,) = json.loads(event_of([record()], consumer, "NEW_IMAGE", "us-east-2", "1"))["Records"]
    assert (told["eventSourceARN"], told["eventSource"]) == (consumer, "aws:kinesis")


@pytest.mark.parametrize(("created_ms", "seconds"), [(0, 0.0), (1, 0.001), (1_780_000_000_000, 1.78e9)])
def test_times_are_seconds_with_three_places(created_ms: int, seconds: float) -> None:
    (told,) = json.loads(data_event([record(created_ms=created_ms)], ARN, "us-east-2", "1"))["Records"]
    assert told["kinesis"]["approximateArrivalTimestamp"] == seconds


def test_records_of_tables_keep_their_event() -> None:
    event = event_of(ALL, "arn:aws:dynamodb:us-east-1:1:table/t/stream/l", "KEYS_ONLY", "us-east-1", "1")
    assert {told["eventSource"] for told in json.loads(event)["Records"]} == {"aws:dynamodb"}


@given(st.binary(max_size=60), st.text(min_size=1, max_size=20).filter(lambda text: text.isprintable()))
def test_any_data_and_any_key_come_back(data: bytes, key: str) -> None:
    one = record(data, key)
    assert (data_of(one), partition_key_of(one)) == (data, key)
    (told,) = json.loads(data_event([one], ARN, "us-east-2", "1"))["Records"]
    assert (b64decode(told["kinesis"]["data"]), told["kinesis"]["partitionKey"]) == (data, key)
