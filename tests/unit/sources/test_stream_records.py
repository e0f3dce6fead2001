"""What a record of the wire becomes: nothing is lost, nothing is invented, and what it was is told again as
it was.

Rules of this file: records as AWS writes them (semantics §1.3).
"""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from tailrace.errors import SourceError
from tailrace.ports import StreamRef
from tailrace.sources.dialects import ALTERNATOR, AWS, Dialect
from tailrace.sources.stream_records import DescribedStream, changes_of, described_shard, described_stream
from tailrace.streams.envelopes import api_record
from tailrace.streams.record import ChangeRecord, ViewType
from tailrace.streams.shards import Shard

SHARD = Shard("shardId-00000001789651619772-2a9e5aad", 1, stream="label")
NUMBER = 2900002759746085485437


def wire(number: int | str = NUMBER, **body: Any) -> dict[str, Any]:
    """A record as AWS writes it: a user's change from 1 to 2."""
    members = {
        "ApproximateCreationDateTime": 1_789_651_658,
        "Keys": {"sk": {"N": "7"}, "pk": {"S": "a"}},
        "NewImage": {"pk": {"S": "a"}, "sk": {"N": "7"}, "n": {"N": "2"}},
        "OldImage": {"pk": {"S": "a"}, "sk": {"N": "7"}, "n": {"N": "1"}},
        "SequenceNumber": str(number),
        "SizeBytes": 30,
        "StreamViewType": "NEW_AND_OLD_IMAGES",
    }
    return {
        "eventID": "c4ca4238a0b923820dcc509a6f75849b", "eventName": "MODIFY", "eventVersion": "1.1",
        "eventSource": "aws:dynamodb", "awsRegion": "eu-west-1", "dynamodb": members | body,
    }  # fmt: skip


def described(view_type: ViewType = "NEW_AND_OLD_IMAGES") -> DescribedStream:
    stream = StreamRef(
        "arn:aws:dynamodb:eu-west-1:1:table/t/stream/label", "t", "label", view_type, "eu-west-1"
    )
    return DescribedStream(stream, ("pk", "sk"), True)


def read(
    *records: dict[str, Any], view: ViewType = "NEW_AND_OLD_IMAGES", dialect: Dialect = AWS, after: int = 0
) -> list[ChangeRecord]:
    return changes_of(records, described(view), SHARD, dialect, after).records


@pytest.mark.parametrize("view", ["NEW_AND_OLD_IMAGES", "NEW_IMAGE", "OLD_IMAGE", "KEYS_ONLY"])
@pytest.mark.parametrize("is_by_ttl", [False, True])
def test_a_record_is_told_again_as_it_was_told(view: ViewType, is_by_ttl: bool) -> None:
    record = wire(StreamViewType=view)
    for image, shown in (
        ("NewImage", ("NEW_AND_OLD_IMAGES", "NEW_IMAGE")),
        ("OldImage", ("NEW_AND_OLD_IMAGES", "OLD_IMAGE")),
    ):
        if view not in shown:
            del record["dynamodb"][image]
    if is_by_ttl:
        record["userIdentity"] = {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}
    (change,) = read(record, view=view)
    assert json.loads(api_record(change, view, "eu-west-1")) == record
    assert change.by_ttl is is_by_ttl
    assert (change.created_us, change.precision_us) == (1_789_651_658_000_000, 1_000_000)


def test_the_key_is_in_the_order_of_the_schema_whatever_order_it_came_in() -> None:
    (change,) = read(wire())
    assert list(json.loads(change.keys)) == ["pk", "sk"]
    (other,) = read(wire(Keys={"pk": {"S": "a"}, "sk": {"N": "7"}}))
    assert (other.key, other.partition) == (change.key, change.partition)
    (another,) = read(wire(Keys={"pk": {"S": "a"}, "sk": {"N": "8"}}))
    assert another.partition == change.partition
    assert another.key > change.key


def test_sets_in_another_order_are_the_same_item() -> None:
    old, new = (
        {"t": {"SS": ["b", "a"]}, "n": {"NS": ["10", "9"]}},
        {"n": {"NS": ["9", "10"]}, "t": {"SS": ["a", "b"]}},
    )
    (change,) = read(wire(OldImage=old, NewImage=new))
    assert change.old is not None
    assert change.new is not None
    assert json.loads(change.old) == json.loads(change.new)


def test_sizes_that_are_not_told_are_counted() -> None:
    record = wire()
    del record["dynamodb"]["SizeBytes"]
    (change,) = read(record)
    assert (change.keys_size, change.new_size) == (3 + 4, 3 + 4 + 3)
    assert change.size_bytes == 7 + 10 + 10


def test_what_comes_twice_is_there_once_and_in_order() -> None:
    records = [wire(NUMBER + place) for place in (1, 2, 2, 0, 3)]
    assert [change.sequence - NUMBER for change in read(*records, after=NUMBER)] == [1, 2, 3]
    assert changes_of(records, described(), SHARD, AWS, NUMBER).reached == NUMBER + 3
    assert changes_of([], described(), SHARD, AWS, NUMBER).reached == NUMBER


@pytest.mark.parametrize(
    "broken",
    [
        {"eventID": "x", "eventName": "MODIFY"},
        wire() | {"eventName": "MODIFIED"},
        wire("9" * 41),
        wire(Keys={"pk": {"S": "a"}}),
        wire(Keys={"pk": {"BOOL": True}, "sk": {"N": "7"}}),
        wire(NewImage={"n": {"Z": "1"}}),
        wire(ApproximateCreationDateTime="yesterday"),
    ],
)
def test_a_record_that_cannot_be_read_is_named_and_never_left_out(broken: dict[str, Any]) -> None:
    with pytest.raises(SourceError):
        read(wire(1), broken)


# ---- Alternator --------------------------------------------------------------------------------------------


def test_several_records_of_one_number_are_all_there() -> None:
    records = [wire(5), wire(5), wire(5), wire(6)]
    changes = read(*records, dialect=ALTERNATOR)
    assert [ALTERNATOR.text(change.sequence)[-1] for change in changes] == ["5", "5", "5", "6"]
    assert len({change.sequence for change in changes}) == 4
    again = read(*records, dialect=ALTERNATOR, after=changes[1].sequence)
    assert [change.sequence for change in again] == [change.sequence for change in changes[2:]]


@pytest.mark.parametrize(
    ("old", "new", "expected"), [(None, 2, "INSERT"), (1, 2, "MODIFY"), (1, None, "REMOVE"), (1, 1, None)]
)  # fmt: skip
def test_images_say_what_a_change_is_and_whether_it_is_one(
    old: int | None, new: int | None, expected: str | None
) -> None:
    record = wire(5) | {"eventName": "INSERT"}
    for name, count in (("OldImage", old), ("NewImage", new)):
        del record["dynamodb"][name]
        if count is not None:
            record["dynamodb"][name] = {"pk": {"S": "a"}, "sk": {"N": "7"}, "n": {"N": f"{count}.0"}}
    page = changes_of([record], described(), SHARD, ALTERNATOR, 0)
    assert [change.event_name for change in page.records] == [name for name in (expected,) if name]
    assert page.reached == ALTERNATOR.number("5")


def test_with_one_image_the_name_is_believed() -> None:
    record = wire(5) | {"eventName": "INSERT"}
    del record["dynamodb"]["OldImage"]
    assert [change.event_name for change in read(record, view="NEW_IMAGE", dialect=ALTERNATOR)] == ["INSERT"]


# ---- descriptions ------------------------------------------------------------------------------------------

STREAM = {
    "StreamArn": "arn:aws:dynamodb:eu-west-1:1:table/t/stream/2026-01-01T00:00:00.000",
    "StreamLabel": "2026-01-01T00:00:00.000",
    "StreamStatus": "ENABLED",
    "StreamViewType": "NEW_IMAGE",
    "KeySchema": [{"AttributeName": "sk", "KeyType": "RANGE"}, {"AttributeName": "pk", "KeyType": "HASH"}],
}


@pytest.mark.parametrize(
    ("status", "is_on"), [("ENABLED", True), ("ENABLING", True), ("DISABLING", False), ("DISABLED", False)]
)
def test_a_stream_is_described(status: str, is_on: bool) -> None:
    told = described_stream(STREAM | {"StreamStatus": status}, "t", is_of_deleted=False)
    assert told.stream == StreamRef(STREAM["StreamArn"], "t", STREAM["StreamLabel"], "NEW_IMAGE", "eu-west-1")
    assert (told.key_names, told.is_on) == (("pk", "sk"), is_on)


@pytest.mark.parametrize("broken", [{"StreamViewType": "ALL"}, {"KeySchema": []}, {"StreamLabel": None}])
def test_a_stream_that_cannot_be_read_is_refused(broken: dict[str, Any]) -> None:
    members = {name: value for name, value in (STREAM | broken).items() if value is not None}
    with pytest.raises(SourceError):
        described_stream(members, "t", is_of_deleted=False)


def test_a_shard_is_described() -> None:
    members = {
        "ShardId": SHARD.shard_id,
        "ParentShardId": "p",
        "SequenceNumberRange": {
            "StartingSequenceNumber": "100000000000000000000",
            "EndingSequenceNumber": "200000000000000000000",
        },
    }
    shard = described_shard(members, "label", AWS)
    assert shard == Shard(
        SHARD.shard_id, 10**20, ("p",), 2 * 10**20, stream="label", created_ms=1_789_651_619_772
    )
    del members["ParentShardId"], members["SequenceNumberRange"]["EndingSequenceNumber"]
    assert described_shard(members, "label", AWS) == replace(shard, parents=(), last=None)
    with pytest.raises(SourceError):
        described_shard({"ShardId": "s"}, "label", AWS)
