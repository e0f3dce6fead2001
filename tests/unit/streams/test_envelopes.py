"""The forms of a change record: the raw API, Lambda's event, event ids."""

import json
from itertools import product
from typing import Any

import pytest

from tailrace.streams.envelopes import (
    api_record,
    event_id,
    lambda_event,
    lambda_record,
    locate,
    view_size,
)
from tailrace.streams.record import VIEW_TYPES, ChangeRecord, ViewType, image
from tailrace.values.canonical import size_bytes
from tailrace.values.types import Item
from tests.unit.streams.records import (
    ALL,
    CREATED_MS,
    EXPIRY,
    INSERT,
    KEYS,
    MODIFY,
    REMOVE,
    SMALL,
    record,
)

ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/users/stream/2026-09-17T13:27:38.987"
SHOWN: dict[tuple[str, ViewType], set[str]] = {
    ("INSERT", "KEYS_ONLY"): set(),
    ("INSERT", "NEW_IMAGE"): {"NewImage"},
    ("INSERT", "OLD_IMAGE"): set(),
    ("INSERT", "NEW_AND_OLD_IMAGES"): {"NewImage"},
    ("MODIFY", "KEYS_ONLY"): set(),
    ("MODIFY", "NEW_IMAGE"): {"NewImage"},
    ("MODIFY", "OLD_IMAGE"): {"OldImage"},
    ("MODIFY", "NEW_AND_OLD_IMAGES"): {"NewImage", "OldImage"},
    ("REMOVE", "KEYS_ONLY"): set(),
    ("REMOVE", "NEW_IMAGE"): set(),
    ("REMOVE", "OLD_IMAGE"): {"OldImage"},
    ("REMOVE", "NEW_AND_OLD_IMAGES"): {"OldImage"},
}


def api(record: ChangeRecord, view_type: ViewType = "NEW_AND_OLD_IMAGES") -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(api_record(record, view_type, "us-east-1"))
    return decoded


# ---- the raw API -------------------------------------------------------------------------------------------


def test_an_insert_reads_as_aws_writes_it() -> None:
    assert api_record(INSERT, "NEW_AND_OLD_IMAGES", "eu-west-1").decode() == (
        '{"eventID":"'
        + event_id(INSERT)
        + '","eventName":"INSERT","eventVersion":"1.1","eventSource":"aws:dynamodb",'
        '"awsRegion":"eu-west-1","dynamodb":{"ApproximateCreationDateTime":1789651658,'
        '"Keys":{"Username":{"S":"Fred"}},'
        '"NewImage":{"Username":{"S":"Fred"},"n":{"N":"1"},"bin":{"B":"AAEC"},'
        '"list":{"L":[{"S":"a '
        '\\"quote\\""},{"NULL":true}]}},"SequenceNumber":"'
        + INSERT.sequence_number.wire
        + '","SizeBytes":52,'
        '"StreamViewType":"NEW_AND_OLD_IMAGES"}}'
    )


@pytest.mark.parametrize(("record", "view_type"), [*product((INSERT, MODIFY, REMOVE), VIEW_TYPES)])
def test_a_view_type_shows_its_images_and_counts_them(record: ChangeRecord, view_type: ViewType) -> None:
    shown = api(record, view_type)["dynamodb"]
    images = SHOWN[record.event_name, view_type]
    assert {name for name in shown if name.endswith("Image")} == images
    assert shown["Keys"] == KEYS
    assert shown["StreamViewType"] == view_type
    expected = size_bytes(KEYS)
    for name, data in (("NewImage", record.new), ("OldImage", record.old)):
        if name in images:
            assert shown[name] == image(data)
            expected += size_bytes(image(data) or {})
    assert shown["SizeBytes"] == expected == view_size(record, view_type)


def test_sizes_agree_with_the_captured_ones() -> None:
    assert api(MODIFY, "KEYS_ONLY")["dynamodb"]["SizeBytes"] == 12
    keys: Item = {"id": {"S": "Fred"}}
    new: Item = {**keys, "name": {"S": "Fred"}}
    sizes = [size_bytes(keys), size_bytes(new)]
    captured = record(
        keys, new, keys=keys, size_bytes=2 * sizes[0] + sizes[1], keys_size=sizes[0], new_size=sizes[1]
    )
    assert [view_size(captured, view_type) for view_type in VIEW_TYPES] == [20, 12, 26, 6]


def test_an_old_item_of_keys_alone_is_an_image_of_keys() -> None:
    assert api(MODIFY)["dynamodb"]["OldImage"] == SMALL == KEYS


@pytest.mark.parametrize("record", [INSERT, MODIFY, REMOVE])
def test_only_an_expiry_has_an_identity(record: ChangeRecord) -> None:
    assert "userIdentity" not in api(record)
    assert "userIdentity" not in json.loads(lambda_record(record, ARN, "KEYS_ONLY", "us-east-1"))


def test_an_expiry_names_the_service_in_the_spelling_of_each_form() -> None:
    assert api(EXPIRY)["userIdentity"] == {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}
    event = json.loads(lambda_record(EXPIRY, ARN, "KEYS_ONLY", "us-east-1"))
    assert event["userIdentity"] == {"principalId": "dynamodb.amazonaws.com", "type": "Service"}


# ---- Lambda ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("record", ALL)
def test_lambdas_record_is_the_apis_with_a_source_and_a_fractional_time(record: ChangeRecord) -> None:
    data = lambda_record(record, ARN, "NEW_AND_OLD_IMAGES", "us-east-1")
    assert b'"ApproximateCreationDateTime":1789651658.0,' in data
    event, raw = json.loads(data), api(record)
    assert event.pop("eventSourceARN") == ARN
    event.pop("userIdentity", None), raw.pop("userIdentity", None)
    assert event == raw


def test_an_event_holds_its_records_in_order() -> None:
    event = json.loads(lambda_event(ALL, ARN, "KEYS_ONLY", "us-east-1"))
    assert list(event) == ["Records"]
    assert [one["eventName"] for one in event["Records"]] == ["INSERT", "MODIFY", "REMOVE", "REMOVE"]


def test_an_event_without_records_is_still_json() -> None:
    assert json.loads(lambda_event([], ARN, "KEYS_ONLY", "us-east-1")) == {"Records": []}


def test_images_are_spliced_not_decoded() -> None:
    torn = ChangeRecord(1, 1, "INSERT", CREATED_MS, 1, 1, b"k", b"{}", None, b"not json")
    assert b'"NewImage":not json,' in api_record(torn, "NEW_IMAGE", "us-east-1")


# ---- event ids ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shard", [0, 1, 7, (1 << 63) - 1])
@pytest.mark.parametrize("sequence", [0, 1, 1 << 32, (1 << 63) - 1])
def test_an_event_id_is_thirty_two_digits_that_say_where_the_record_is(shard: int, sequence: int) -> None:
    text = event_id(ChangeRecord(sequence, shard, "INSERT", 0, 0, 0, b"", b"{}"))
    assert len(text) == 32
    assert set(text) <= set("0123456789abcdef")
    assert locate(text) == (shard, sequence)


@pytest.mark.parametrize(
    "text", ["", "7", "g" * 32, "A" * 32, "0x" + "0" * 30, " " * 32, "0" * 31 + "_", "-" + "0" * 31, "٣" * 32]
)
def test_another_text_is_no_event_id(text: str) -> None:
    with pytest.raises(ValueError, match="no event id"):
        locate(text)


def test_a_record_of_another_server_keeps_its_number_and_its_id() -> None:
    number, name = 2900002759746085485437, 'c81e728d"9d4c2f63'
    record = ChangeRecord(number, 1, "INSERT", 5_000_000, 9, 0, b"k", b'{"pk":{"S":"a"}}', source_id=name)
    shown = json.loads(api_record(record, "KEYS_ONLY", "eu-west-1"))
    assert (shown["eventID"], shown["dynamodb"]["SequenceNumber"]) == (name, str(number))
    assert event_id(record) == name
    (told,) = json.loads(lambda_event([record], "arn", "KEYS_ONLY", "eu-west-1"))["Records"]
    assert (told["eventID"], told["dynamodb"]["SequenceNumber"]) == (name, str(number))
