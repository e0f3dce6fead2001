"""Event source mappings on data streams and their consumers, made with boto3 through Lambda's API of a real
server.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.acceptance.lambda_shop import refused
from tests.acceptance.test_dlq_cli import asked
from tests.crash.node import Node, free_port
from tests.patience import eventually, until

FUNCTIONS = """
import json, os

OUTPUT = os.path.join(os.path.dirname(__file__), "events")

def keep(event, context):
    with open(OUTPUT, "a") as file:
        file.write(json.dumps(event) + "\\n")

def refuse(event, context):
    keep(event, context)
    return {"batchItemFailures": [
        {"itemIdentifier": record["kinesis"]["sequenceNumber"]}
        for record in event["Records"] if record["kinesis"]["partitionKey"] == "bad"
    ]}
"""
ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/clicks"


class Clicks:
    """A server with two functions and the stream `clicks`."""

    def __init__(self, directory: Path) -> None:
        (directory / "functions.py").write_text(FUNCTIONS)
        self.events_path = directory / "events"
        options = [f"--function={name}=functions:{name}" for name in ("keep", "refuse")]
        self.node = Node(directory, free_port(), ("serve", *options))
        self.node.start()
        self.node.wait_until_answering()
        given: dict[str, Any] = {
            "endpoint_url": f"http://127.0.0.1:{self.node.port}",
            "region_name": "us-east-1",
            "aws_access_key_id": "any",
            "aws_secret_access_key": "any",
        }
        self.client = boto3.client("lambda", **given)
        self.kinesis = boto3.client("kinesis", **given)
        self.kinesis.create_stream(StreamName="clicks", ShardCount=1)

    def put(self, key: str, data: bytes) -> str:
        """Put a record. Returns: its sequence number."""
        put = self.kinesis.put_record(StreamName="clicks", PartitionKey=key, Data=data)
        return str(put["SequenceNumber"])

    def map(self, function: str = "keep", arn: str = ARN, **settings: Any) -> dict[str, Any]:
        """Make a mapping, and wait until it is enabled."""
        position = {} if "StartingPosition" in settings else {"StartingPosition": "TRIM_HORIZON"}
        made: dict[str, Any] = self.client.create_event_source_mapping(
            EventSourceArn=arn, FunctionName=function, **position, **settings
        )
        uuid = made["UUID"]
        until(lambda: self.client.get_event_source_mapping(UUID=uuid)["State"], "Enabled")
        return made

    def records(self) -> list[Mapping[str, Any]]:
        """What the functions were given, all in all."""
        if not self.events_path.exists():
            return []
        return [
            record
            for line in self.events_path.read_text().splitlines()
            for record in json.loads(line)["Records"]
        ]

    def data(self) -> list[str]:
        """The data of it."""
        return [base64.b64decode(record["kinesis"]["data"]).decode() for record in self.records()]

    def consumer(self) -> str:
        """Register one. Returns: its ARN."""
        made = self.kinesis.register_stream_consumer(StreamARN=ARN, ConsumerName="mail")["Consumer"]
        return str(made["ConsumerARN"])


@pytest.fixture
def clicks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clicks]:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    server = Clicks(tmp_path)
    yield server
    server.node.stop()


def test_a_function_is_called_with_the_event_of_aws(clicks: Clicks) -> None:
    number = clicks.put('a"b', b"hello")
    arrived = clicks.kinesis.get_records(
        ShardIterator=clicks.kinesis.get_shard_iterator(
            StreamName="clicks", ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
    )["Records"][0]["ApproximateArrivalTimestamp"]
    made = clicks.map()
    assert made["EventSourceArn"] == ARN
    until(lambda: len(clicks.records()), 1)
    assert clicks.records() == [
        {
            "kinesis": {
                "kinesisSchemaVersion": "1.0",
                "partitionKey": 'a"b',
                "sequenceNumber": number,
                "data": "aGVsbG8=",
                "approximateArrivalTimestamp": pytest.approx(arrived.timestamp(), abs=0.001),
            },
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": f"shardId-000000000000:{number}",
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": "arn:aws:iam::000000000000:role/tailrace",
            "awsRegion": "us-east-1",
            "eventSourceARN": ARN,
        }
    ]
    until(lambda: clicks.client.get_event_source_mapping(UUID=made["UUID"])["LastProcessingResult"], "OK")


def test_latest_begins_behind_and_a_time_begins_at_it_also_after_a_kill(clicks: Clicks) -> None:
    clicks.put("a", b"old")
    clicks.map("refuse", StartingPosition="LATEST")
    second = clicks.kinesis.get_records(
        ShardIterator=clicks.kinesis.get_shard_iterator(
            StreamName="clicks",
            ShardId="shardId-000000000000",
            ShardIteratorType="AT_SEQUENCE_NUMBER",
            StartingSequenceNumber=clicks.put("a", b"new"),
        )["ShardIterator"]
    )["Records"][0]["ApproximateArrivalTimestamp"]
    until(clicks.data, ["new"])
    made = clicks.map(StartingPosition="AT_TIMESTAMP", StartingPositionTimestamp=second.timestamp())
    assert made["StartingPositionTimestamp"].timestamp() == pytest.approx(second.timestamp(), abs=0.001)
    until(clicks.data, ["new", "new"])
    clicks.node.kill()
    clicks.node.start()
    clicks.node.wait_until_answering()
    clicks.put("a", b"newest")
    eventually(lambda: clicks.data()[2:] == ["newest", "newest"])


def test_a_consumer_reads_in_its_own_name_and_holds_its_subscription(clicks: Clicks) -> None:
    consumer = clicks.consumer()
    clicks.put("a", b"1")
    clicks.map(arn=consumer)
    until(lambda: len(clicks.records()), 1)
    assert clicks.records()[0]["eventSourceARN"] == consumer
    with pytest.raises(clicks.kinesis.exceptions.ResourceInUseException):
        clicks.kinesis.subscribe_to_shard(
            ConsumerARN=consumer, ShardId="shardId-000000000000", StartingPosition={"Type": "LATEST"}
        )


def test_a_reported_failure_is_told_with_the_numbers_of_the_stream(clicks: Clicks) -> None:
    def letters() -> list[Any]:
        return list(asked(clicks.node.directory, "dlq", "ls")["letters"])

    clicks.put("good", b"1")
    bad = clicks.put("bad", b"2")
    made = clicks.map(
        "refuse",
        MaximumRetryAttempts=0,
        BisectBatchOnFunctionError=True,
        FunctionResponseTypes=["ReportBatchItemFailures"],
    )
    until(lambda: [letter["handler"] for letter in letters()], [made["UUID"]])
    assert clicks.data() == ["1", "2", "2"]
    assert bad in json.dumps(letters())


def test_children_of_a_split_are_read_after_their_parent(clicks: Clicks) -> None:
    clicks.map()
    for number in range(3):
        clicks.put("a", b"%d" % number)
    clicks.kinesis.split_shard(
        StreamName="clicks", ShardToSplit="shardId-000000000000", NewStartingHashKey=str(1 << 127)
    )
    for number in range(3, 6):
        clicks.put("a", b"%d" % number)
    until(lambda: len(clicks.data()), 6)
    assert clicks.data() == [str(number) for number in range(6)]


MISSING = "arn:aws:kinesis:us-east-1:000000000000:stream/missing"


def test_what_a_mapping_may_not_be_is_refused_in_the_words_of_aws(clicks: Clicks) -> None:
    consumer = clicks.consumer()
    for settings, words in (
        ({"EventSourceArn": MISSING}, f"Stream not found: {MISSING}"),
        ({"EventSourceArn": f"{consumer}9"}, f"Stream consumer not found: {consumer}9"),
        ({"EventSourceArn": f"{ARN}/what"}, "Unrecognized event source."),
        ({"StartingPosition": "AT_TIMESTAMP"}, "StartingPositionTimestamp is required"),
        (
            {"StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": 9_999_999_999},
            "StartingPositionTimestamp cannot be in the future.",
        ),
        ({"StartingPositionTimestamp": 1}, "StartingPositionTimestamp is not allowed"),
        (
            {"FilterCriteria": {"Filters": [{"Pattern": '{"data": ["text"]}'}]}},
            "Invalid filter pattern definition.",
        ),
    ):
        given = {
            "EventSourceArn": ARN, "FunctionName": "keep", "StartingPosition": "TRIM_HORIZON", **settings
        }  # fmt: skip
        code, message, _ = refused(clicks.client.create_event_source_mapping, **given)
        assert code == "InvalidParameterValueException"
        assert message.startswith(words)
