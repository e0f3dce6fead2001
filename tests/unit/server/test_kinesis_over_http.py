"""Data streams over sockets: boto3, JSON and CBOR on the port of the tables, large records included.

Rules of this file: one server for all tests, each with a stream of its own.
"""

import http.client
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.cbor import Told, parsed, serialized
from tests.serving import START_MS, Served, serving

CBOR = "application/x-amz-cbor-1.1"
SIGNED = {
    "X-Amz-Date": "20260101T000000Z",
    "Authorization": "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/kinesis/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature=0",
}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """The server."""
    with serving() as server:
        yield server


@pytest.fixture
def kinesis(served: Served) -> Iterator[Any]:
    """A client; streams are gone afterwards."""
    client = boto3.client(
        "kinesis",
        region_name="us-east-1",
        endpoint_url=f"http://127.0.0.1:{served.port}",
        aws_access_key_id="any",
        aws_secret_access_key="thing",
        config=Config(retries={"total_max_attempts": 1}),
    )
    yield client
    for name in client.list_streams()["StreamNames"]:
        client.delete_stream(StreamName=name)
    client.close()


def asked(served: Served, operation: str, **members: Any) -> tuple[int, str, Any]:
    """Status, content type and decoded body of a request in CBOR."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port)
    headers = {**SIGNED, "Content-Type": CBOR, "X-Amz-Target": f"Kinesis_20131202.{operation}"}
    connection.request("POST", "/", serialized(operation, members), headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.headers["Content-Type"], parsed(body) if body else body


def read(kinesis: Any, shard: str = "shardId-000000000000") -> list[dict[str, Any]]:
    """The first page of a shard."""
    begin = kinesis.get_shard_iterator(StreamName="orders", ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    records: list[dict[str, Any]] = kinesis.get_records(ShardIterator=begin["ShardIterator"])["Records"]
    return records


def test_a_stream_is_made_written_and_read(kinesis: Any) -> None:
    kinesis.create_stream(StreamName="orders", ShardCount=1)
    kinesis.get_waiter("stream_exists").wait(StreamName="orders")
    kinesis.put_records(
        StreamName="orders", Records=[{"Data": b"%d" % one, "PartitionKey": "a"} for one in range(500)]
    )
    assert [record["Data"] for record in read(kinesis)] == [b"%d" % one for one in range(500)]
    kinesis.delete_stream(StreamName="orders")
    kinesis.get_waiter("stream_not_exists").wait(StreamName="orders")


@pytest.mark.parametrize("size", [262_144, 10_485_759])
def test_a_large_record_is_read_as_it_was_put(kinesis: Any, size: int) -> None:
    kinesis.create_stream(StreamName="orders", ShardCount=1, MaxRecordSizeInKiB=10_240)
    kinesis.put_record(StreamName="orders", Data=b"x" * size, PartitionKey="a")
    assert [record["Data"] for record in read(kinesis)] == [b"x" * size]


def test_cbor_is_answered_in_cbor_with_bytes_and_times(served: Served, kinesis: Any) -> None:
    assert asked(served, "CreateStream", StreamName="orders", ShardCount=1) == (200, CBOR, b"")
    entry = {"StreamName": "orders", "Data": b"\x00\xff", "PartitionKey": "a"}
    status, kind, put = asked(served, "PutRecord", **entry)
    assert (status, kind, put["ShardId"]) == (200, CBOR, "shardId-000000000000")
    begin = {"StreamName": "orders", "ShardId": put["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
    token = asked(served, "GetShardIterator", **begin)[2]["ShardIterator"]
    (record,) = asked(served, "GetRecords", ShardIterator=token)[2]["Records"]
    moment = record.pop("ApproximateArrivalTimestamp")
    assert record == {"SequenceNumber": put["SequenceNumber"], "Data": b"\x00\xff", "PartitionKey": "a"}
    assert isinstance(moment, Told)
    assert moment.number == START_MS  # milliseconds, as the SDKs for Java read them
    assert [record["Data"] for record in read(kinesis)] == [b"\x00\xff"]


@pytest.mark.parametrize("size", [262_144, 10_485_759])
def test_a_large_record_in_cbor_is_read_as_it_was_put(served: Served, kinesis: Any, size: int) -> None:
    kinesis.create_stream(StreamName="orders", ShardCount=1, MaxRecordSizeInKiB=10_240)
    entry = {"Data": b"x" * size, "PartitionKey": "a"}
    status, _, put = asked(served, "PutRecords", StreamName="orders", Records=[entry])
    assert (status, put["FailedRecordCount"]) == (200, 0)
    assert [record["Data"] for record in read(kinesis)] == [b"x" * size]


def test_errors_are_in_the_form_of_the_request(served: Served) -> None:
    status, kind, error = asked(served, "DescribeStream", StreamName="orders")
    words = "Stream orders under account 000000000000 not found."
    assert (status, kind) == (400, CBOR)
    assert error == {"__type": "ResourceNotFoundException", "message": words}
    large = [{"Data": b"x" * 300_000, "PartitionKey": "a"}]
    status, _, error = asked(served, "PutRecords", StreamName="orders", Records=large)
    assert (status, error) == (400, {"__type": "ResourceNotFoundException", "message": words})
    status, _, error = asked(served, "PutRecords", StreamName="orders", Records=[*large, {"Data": b""}])
    assert (status, error["__type"]) == (400, "ValidationException")
    assert "at 'records.2.member.partitionKey'" in error["message"]


def test_forms_of_kinesis_are_for_kinesis(served: Served) -> None:
    for kind in (CBOR, "application/x-amz-json-1.1"):
        connection = http.client.HTTPConnection("127.0.0.1", served.port)
        headers = {**SIGNED, "Content-Type": kind, "X-Amz-Target": "DynamoDB_20120810.ListTables"}
        connection.request("POST", "/", b"{}", headers)
        assert connection.getresponse().status == 404
        connection.close()
