"""Kinesis' share of the campaign: its world, good requests of it, and its two forms of a body.

Rules of this file: pure but for the calls it is given. What is known of data streams is kept apart from what
is known of tables' streams, which have members of the same names.
"""

import json
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from tailrace.api.cbor import cbor_of
from tailrace.api.wire import CBOR, JSON_1_1

_BORDER = str(2**127)
_TAGS = {"team": "x"}
NAMED = ("orders", "orders", "orders", "demand", "spare", "absent")
WORDS = {
    "StreamName": NAMED,
    "StreamARN": tuple(f"arn:aws:kinesis:us-east-1:000000000000:stream/{name}" for name in NAMED),
    "ResourceARN": tuple(f"arn:aws:kinesis:us-east-1:000000000000:stream/{name}" for name in NAMED),
    "ConsumerARN": (
        "arn:aws:kinesis:us-east-1:000000000000:stream/orders/consumer/mail:1780000000",
        "arn:aws:kinesis:us-east-1:000000000000:stream/absent/consumer/mail:1",
    ),
    "ConsumerName": ("mail", "audit", "made"),
    "ShardToSplit": ("shardId-000000000000", "shardId-000000000002"),
    "ShardToMerge": ("shardId-000000000002", "shardId-000000000003"),
    "AdjacentShardToMerge": ("shardId-000000000003", "shardId-000000000004"),
    "NewStartingHashKey": (_BORDER, "1", str(2**126), str(2**128)),
    "ExplicitHashKey": ("0", _BORDER, str(2**128 - 1), str(2**128)),
    "StartingSequenceNumber": ("0", "49" * 28),
    "SequenceNumberForOrdering": ("0", "49" * 28),
    "ExclusiveStartShardId": ("shardId-000000000000", "shardId-000000000099"),
    "PartitionKey": ("a", "b", "é"),
}  # fmt: skip
"""Words of members that no other service of the campaign has."""
_ENTRY = {"Data": "AQID", "PartitionKey": "a"}
_SHARD = {"StreamName": "orders", "ShardId": "@ShardId"}
GOOD: tuple[tuple[str, dict[str, Any]], ...] = (
    ("PutRecord", {"StreamName": "orders", **_ENTRY, "SequenceNumberForOrdering": "@SequenceNumber"}),
    ("PutRecord", {"StreamName": "orders", **_ENTRY, "ExplicitHashKey": _BORDER}),
    ("PutRecords", {"StreamName": "orders", "Records": [_ENTRY, {**_ENTRY, "PartitionKey": "b"}]}),
    ("GetShardIterator", {**_SHARD, "ShardIteratorType": "TRIM_HORIZON"}),
    ("GetShardIterator",
     {**_SHARD, "ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": "@SequenceNumber"}),
    ("GetShardIterator", {**_SHARD, "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 1_780_000_000.5}),
    ("GetRecords", {"ShardIterator": "@ShardIterator", "Limit": 10}),
    ("ListShards",
     {"StreamName": "orders", "MaxResults": 2,
      "ShardFilter": {"Type": "FROM_TIMESTAMP", "Timestamp": 1_780_000_000}}),
    ("ListShards", {"NextToken": "@NextToken", "MaxResults": 2}),
    ("ListShards",
     {"StreamName": "orders", "ShardFilter": {"Type": "AFTER_SHARD_ID", "ShardId": "@ShardId"}}),
    ("DescribeStream", {"StreamName": "orders", "Limit": 2, "ExclusiveStartShardId": "@ShardId"}),
    ("DescribeStreamSummary", {"StreamARN": "@StreamARN"}),
    ("SplitShard",
     {"StreamName": "spare", "ShardToSplit": "shardId-000000000000", "NewStartingHashKey": _BORDER}),
    ("MergeShards",
     {"StreamName": "spare", "ShardToMerge": "shardId-000000000001",
      "AdjacentShardToMerge": "shardId-000000000002"}),
    ("UpdateShardCount",
     {"StreamName": "spare", "TargetShardCount": 2, "ScalingType": "UNIFORM_SCALING"}),
    ("CreateStream", {"StreamName": "spare", "ShardCount": 1, "Tags": _TAGS, "MaxRecordSizeInKiB": 2_048}),
    ("DeleteStream", {"StreamName": "spare", "EnforceConsumerDeletion": True}),
    ("UpdateStreamMode",
     {"StreamARN": "@StreamARN", "StreamModeDetails": {"StreamMode": "PROVISIONED"}}),
    ("RegisterStreamConsumer",
     {"StreamARN": "@StreamARN", "ConsumerName": "mail", "Tags": _TAGS}),
    ("SubscribeToShard",
     {"ConsumerARN": "@ConsumerARN", "ShardId": "@ShardId", "StartingPosition": {"Type": "TRIM_HORIZON"}}),
    ("SubscribeToShard",
     {"ConsumerARN": "@ConsumerARN", "ShardId": "@ShardId",
      "StartingPosition": {"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": "@SequenceNumber"}}),
    ("ListStreamConsumers", {"StreamARN": "@StreamARN", "MaxResults": 1, "NextToken": "@NextToken"}),
    ("IncreaseStreamRetentionPeriod", {"StreamName": "orders", "RetentionPeriodHours": 48}),
    ("TagResource", {"ResourceARN": "@StreamARN", "Tags": _TAGS}),
    ("AddTagsToStream", {"StreamName": "orders", "Tags": _TAGS}),
    ("ListTagsForStream", {"StreamName": "orders", "ExclusiveStartTagKey": "a", "Limit": 1}),
    ("PutResourcePolicy", {"ResourceARN": "@StreamARN", "Policy": '{"Version":"2012-10-17","Statement":[]}'}),
)  # fmt: skip
"""Requests that do something, most of the time."""

Call = Callable[[str, str, dict[str, Any]], Any]
"""As `tests.fuzz.seeds.Call`."""


def furnish(call: Call) -> list[Any]:
    """Make what is missing of the world: a tree of a split and a merge with records before and after them, a
    stream on demand, consumers. Returns: answers with what requests may name.
    """
    ours = {"StreamName": "orders"}
    is_new = call("kinesis", "CreateStream", {**ours, "ShardCount": 2}) is not None
    put = {**ours, "Records": [{**_ENTRY, "PartitionKey": key} for key in "abcdef"]}
    call("kinesis", "PutRecords", put)
    if is_new:
        shards = [f"shardId-{number:012}" for number in range(4)]
        half = {"ShardToSplit": shards[0], "NewStartingHashKey": str(2**126)}
        call("kinesis", "SplitShard", {**ours, **half})
        call("kinesis", "PutRecords", put)
        call("kinesis", "MergeShards", {**ours, "ShardToMerge": shards[3], "AdjacentShardToMerge": shards[1]})
    call(
        "kinesis",
        "CreateStream",
        {"StreamName": "demand", "StreamModeDetails": {"StreamMode": "ON_DEMAND"}},
    )
    summary = call("kinesis", "DescribeStreamSummary", ours) or {}
    arn = summary.get("StreamDescriptionSummary", {}).get("StreamARN", WORDS["StreamARN"][0])
    for name in ("mail", "audit"):
        call("kinesis", "RegisterStreamConsumer", {"StreamARN": arn, "ConsumerName": name})
    consumers = call("kinesis", "ListStreamConsumers", {"StreamARN": arn})
    listed = call("kinesis", "ListShards", ours)
    answers = [summary, call("kinesis", "PutRecords", put), consumers, listed]
    answers.append(call("kinesis", "ListShards", {**ours, "MaxResults": 1}))
    for shard in (listed or {}).get("Shards", ())[-3:]:
        asked = {**ours, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        answers.append(call("kinesis", "GetShardIterator", asked))
    return answers


def clear(call: Call) -> None:
    """Delete every stream."""
    while names := (call("kinesis", "ListStreams", {}) or {}).get("StreamNames", ()):
        for name in names:
            call("kinesis", "DeleteStream", {"StreamName": name, "EnforceConsumerDeletion": True})


# ---- bodies ------------------------------------------------------------------------------------------------


def body_of(members: Any, random: Random) -> tuple[str, bytes]:
    """Content type and body: JSON, or CBOR where the members have a form in it."""
    if random.random() < 0.4:
        try:
            return CBOR.decode(), cbor_of(_with_bytes(members))
        except (TypeError, ValueError):
            pass  # whole numbers of more than 64 bits; JSON has them
    return JSON_1_1.decode(), json.dumps(members).encode()


def mutate_cbor(body: bytes, random: Random) -> tuple[bytes, str]:
    """A head or a byte that is another one: lengths, kinds, tags and ends where none are."""
    place = random.randrange(len(body) or 1)
    strange = bytes.fromhex(
        random.choice(
            ("9f", "bf", "ff", "c1", "c2", "f6", "f7", "f97e00", "fb7ff0000000000000", "5f", "7f", "1c",
             "5bffffffffffffffff", "9bffffffffffffffff", "c1fb7ff8000000000000", "81" * 200, "a16161" * 70,
             "c1f97c00", "62c328", "e0", "3bffffffffffffffff", "c13bffffffffffffffff")
        )
    )  # fmt: skip
    match random.randrange(3):
        case 0:
            return body[:place] + random.randbytes(1) + body[place + 1 :], "another byte"
        case 1:
            return body[:place] + strange + body[place:], "a strange head put in"
        case _:
            return body[:place] + strange + body[place + 1 :], "a strange head"


def _with_bytes(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            name: member.encode() if name == "Data" and isinstance(member, str) else _with_bytes(member)
            for name, member in value.items()
        }
    return [_with_bytes(one) for one in value] if isinstance(value, list) else value
