"""Batches of data streams as Lambda sends them. Source: semantics §2.6, §2.10."""

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import pytest

from tailrace import Record, Records, Retry
from tailrace.app.app import App
from tailrace.entry.events import read_event
from tailrace.errors import SettingsError
from tailrace.streams.kinesis.events import data_event
from tailrace.streams.kinesis.plain import data_of, partition_key_of
from tests.unit.entry.invoking import DONE, Process, TablesInMemory, event_record

ARN = "arn:aws:kinesis:us-east-1:123456789012:stream/clicks"
FIRST = 49590338271490256608559692538361571095921575989136588898


def data_record(number: int, key: str = "a", data: bytes = b"{}", **members: Any) -> dict[str, Any]:
    """One record of an event."""
    return {
        "kinesis": {
            "kinesisSchemaVersion": "1.0", "partitionKey": key, "sequenceNumber": str(FIRST + number),
            "data": b64encode(data).decode(), "approximateArrivalTimestamp": 1_545_084_650.987,
        },
        "eventSource": "aws:kinesis", "eventVersion": "1.0", "eventName": "aws:kinesis:record",
        "eventID": f"shardId-000000000006:{FIRST + number}", "awsRegion": "us-east-1",
        "invokeIdentityArn": "arn:aws:iam::123456789012:role/role", "eventSourceARN": ARN, **members,
    }  # fmt: skip


def event_of(*keys: str) -> dict[str, Any]:
    return {"Records": [data_record(number, key) for number, key in enumerate(keys)]}


def app() -> App:
    made = App("site")
    made.data_stream("clicks")
    return made


def app_with(broken: set[str], seen: list[str]) -> App:
    """The app with a handler that notes keys, and fails for those that are broken."""
    made = app()

    @made.on(made.data_streams["clicks"], retry=Retry(0))
    def one(record: Record) -> None:
        if record.partition_key in broken:
            raise ValueError("not now")
        seen.append(record.partition_key)

    return made


def test_records_are_read_as_they_are_on_the_wire_and_make_the_same_event_again() -> None:
    raw = [data_record(0, "a", b"\x00"), data_record(1, 'b"')]
    incoming = read_event(app(), {"Records": raw})
    assert incoming is not None
    first, second = incoming.records
    assert (data_of(first), partition_key_of(second), first.created_ms) == (b"\x00", 'b"', 1_545_084_650_987)
    assert incoming.identifiers == [str(FIRST), str(FIRST + 1)]
    assert (incoming.stream.arn, incoming.table.name) == (ARN, "kinesis:clicks")
    again = json.loads(data_event(incoming.records, ARN, "us-east-1", "123456789012"))["Records"]
    assert [{**one, "invokeIdentityArn": ""} for one in again] == [
        {**one, "invokeIdentityArn": ""} for one in raw
    ]


def test_a_consumer_is_of_its_stream_and_a_pipe_sends_a_bare_list() -> None:
    incoming = read_event(app(), [data_record(0, eventSourceARN=f"{ARN}/consumer/mail:1780000000")])
    assert incoming is not None
    assert incoming.table.name == "kinesis:clicks"


OTHER = data_record(1, eventSourceARN=f"{ARN}-2")
BROKEN: Mapping[str, Any] = {"partitionKey": "a", "sequenceNumber": "1"}


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([OTHER], "declares no data stream"),
        ([data_record(0, eventSourceARN=ARN.replace("us-east-1", "eu-west-1"))], "declares no data stream"),
        ([data_record(0, eventSourceARN="arn:aws:sqs:us-east-1:1:q")], "declares no data stream"),
        ([data_record(0), OTHER], "records of 2 streams"),
        ([{"kinesis": {}}], "not those of a data stream"),
        ([data_record(0, kinesis=BROKEN)], "not readable"),
        ([data_record(0, kinesis={**data_record(0)["kinesis"], "data": "?"})], "not readable"),
        ([data_record(1), data_record(0)], "not in the order"),
        ([data_record(0), event_record(1, "a")], "not those of a DynamoDB stream"),
    ],
)
def test_what_is_no_batch_of_a_declared_stream_is_refused_whole(records: list[Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        read_event(app(), {"Records": records})


def test_every_handler_of_the_stream_is_called_and_a_failure_is_answered_by_its_number() -> None:
    seen: list[str] = []
    broken = {"bad"}
    made = app_with(broken, seen)

    @made.batch(made.data_streams["clicks"])
    def several(records: Records) -> None:
        seen.append(f"{len(records)} {records[0].json()}")

    process = Process(made)
    assert process(event_of("a", "bad", "c")) == {"batchItemFailures": [{"itemIdentifier": str(FIRST + 1)}]}
    broken.clear()
    assert process(event_of("d")) == DONE
    assert "3 {}" in seen
    assert "d" in seen


def test_with_a_state_table_a_failing_key_is_parked_and_redriven_by_the_schedule() -> None:
    seen: list[str] = []
    broken = {"bad"}
    made = app_with(broken, seen)
    state = TablesInMemory()
    process = Process(made, state)
    assert process(event_of("bad", "c")) == DONE
    assert seen == ["c"]
    broken.clear()
    process.redrive()
    assert seen == ["c", "bad"]
