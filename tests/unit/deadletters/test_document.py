"""Failure documents, byte for byte, against the table in documents.py."""

import json

import pytest
from msgspec.structs import replace

from tailrace.deadletters.core.document import InvocationFailure, queue_body
from tailrace.streams.kinesis.data_records import DataRecord
from tailrace.streams.kinesis.plain import plain_record
from tests.unit.deadletters.documents import CASES, EVENT, NAME, TOLD, Case, Made

CLICKS = "arn:aws:kinesis:us-east-1:000000000000:stream/clicks"

EACH = pytest.mark.parametrize("case", CASES, ids=lambda case: case.why)


@EACH
def test_a_queue_and_a_topic_get_these_bytes(case: Case) -> None:
    assert Made(case).message == case.message.encode()


@EACH
def test_a_bucket_gets_these_bytes(case: Case) -> None:
    assert Made(case).object == case.object
    assert json.loads(case.object)["payload"].encode() == EVENT


def test_the_object_says_mapping_shard_and_moment_in_its_name() -> None:
    assert Made(CASES[0]).object_name == NAME


def test_every_condition_has_its_cases_with_and_without_records_and_window() -> None:
    def kind(told: InvocationFailure, count: int) -> tuple[str, bool, bool]:
        return told.condition, told.window is not None, count > 0

    kinds = {kind(case.told, len(case.records)) for case in CASES}
    conditions = ("RetryAttemptsExhausted", "RecordAgeExceeded")
    assert kinds == {
        (condition, *shape)
        for condition in conditions
        for shape in ((False, True), (True, True), (True, False))
    }


@pytest.mark.parametrize("source", [CLICKS, f"{CLICKS}/consumer/mail:1780000000"])
def test_a_batch_of_a_data_stream_has_its_own_block_with_milliseconds(source: str) -> None:
    numbers = ["49590338271490256608559692538361571095921575989136588898", "4959" + "1" * 52]
    records = [
        plain_record(
            DataRecord(place, number, 1_767_323_040_000 + place, "a", b"x"), "shardId-000000000006", 1, b"", 0
        )
        for place, number in enumerate(numbers)
    ]
    told = replace(TOLD, shard_id="shardId-000000000006", stream_arn=source)
    document = json.loads(queue_body(told, records))
    assert "DDBStreamBatchInfo" not in document
    assert document["KinesisBatchInfo"] == {
        "shardId": "shardId-000000000006",
        "startSequenceNumber": numbers[0],
        "endSequenceNumber": numbers[1],
        "approximateArrivalOfFirstRecord": "2026-01-02T03:04:00.000Z",
        "approximateArrivalOfLastRecord": "2026-01-02T03:04:00.001Z",
        "batchSize": 2,
        "streamArn": CLICKS,
    }
    assert json.loads(queue_body(told, []))["KinesisBatchInfo"] == {
        "shardId": "shardId-000000000006",
        "streamArn": CLICKS,
    }
