"""Filter criteria over the data and the metadata of plain records. Source: semantics §2.11."""

import json
from typing import Any

import pytest

from tailrace.errors import SettingsError
from tailrace.mapping.filters import DataFilter, check_data_filters, read_filter_criteria
from tailrace.mapping.settings import MappingSettings
from tailrace.streams.kinesis.data_records import DataRecord
from tailrace.streams.kinesis.plain import plain_record
from tailrace.streams.record import ChangeRecord

ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/clicks"
NUMBER = "49590338271490256608559692538361571095921575989136588898"


def record(data: bytes, key: str = "a") -> ChangeRecord:
    return plain_record(
        DataRecord(7, NUMBER, 1_780_000_000_500, key, data), "shardId-000000000000", 1, b"", 0
    )


def criteria(*patterns: Any) -> dict[str, Any]:
    return {"Filters": [{"Pattern": json.dumps(pattern)} for pattern in patterns]}


def passes(data: bytes, *patterns: Any, key: str = "a") -> bool:
    return DataFilter(read_filter_criteria(criteria(*patterns)))(record(data, key))


PAID = {"data": {"status": ["paid"]}}


@pytest.mark.parametrize(
    ("data", "patterns", "is_let_through"),
    [
        (b'{"status":"paid"}', [PAID], True),
        (b'{"status":"open"}', [PAID], False),
        (b'{"n":100}', [{"data": {"n": [{"numeric": [">", 99]}]}}], True),
        (b'{"n":99}', [{"data": {"n": [{"numeric": [">", 99]}]}}], False),
        (b'{"n":1}', [{"data": {"status": [{"exists": False}]}}], True),
        (b"text", [{"data": {"status": [{"exists": False}]}}], False),
        (b"text", [PAID], False),
        (b"\xff\x00", [PAID], False),
        (b"", [PAID], False),
        (b"5", [PAID], False),
        (b"text", [{"partitionKey": ["a"]}], True),
        (b"text", [{"partitionKey": ["b"]}], False),
        (b"text", [{"partitionKey": ["a"], **PAID}], False),
        (b"text", [PAID, {"partitionKey": ["a"]}], True),
        (b'{"status":"paid"}', [{"partitionKey": ["b"]}, PAID], True),
        (b"", [{"sequenceNumber": [NUMBER]}], True),
        (b"", [{"approximateArrivalTimestamp": [{"numeric": ["=", 1_780_000_000.5]}]}], True),
        (b"", [{"kinesisSchemaVersion": ["1.0"]}], True),
        (b"", [{"eventName": ["aws:kinesis:record"]}], False),
        (b"anything", [{}], True),
    ],
)
def test_a_record_is_judged_by_what_its_event_says_in_kinesis(
    data: bytes, patterns: list[Any], is_let_through: bool
) -> None:
    assert passes(data, *patterns) is is_let_through


def test_settings_read_a_data_stream_with_its_own_filter() -> None:
    settings = MappingSettings.for_lambda("count", FilterCriteria=criteria(PAID))
    accepts = settings.reading(ARN, "NEW_IMAGE", "us-east-1").accepts
    assert accepts is not None
    assert [accepts(record(data)) for data in (b'{"status":"paid"}', b"{}")] == [True, False]


def test_a_text_as_the_pattern_of_data_is_refused_and_names_its_filter() -> None:
    check_data_filters(read_filter_criteria(criteria(PAID)))
    with pytest.raises(SettingsError, match=r"Filters\[1\]: Invalid filter pattern definition"):
        check_data_filters(read_filter_criteria(criteria(PAID, {"data": ["text"]})))
