"""SubscribeToShard without a socket: what is told, when, and how it ends, under a clock that tests move."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest

from tailrace.api.streaming import StreamReset
from tailrace.api.wire import CBOR
from tailrace.engine.engine import EngineSettings
from tailrace.errors import ApiError, StoreError
from tailrace.streams.kinesis.subscriptions import EVENT_BYTES
from tests.kinesis import FIRST_SHARD, START_MS, Orders
from tests.subscriber import HORIZON, subscribe, texts, turns


def on_a_loop(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """A test that is a coroutine. What it leaves behind is cancelled."""

    def run() -> None:
        asyncio.run(test())  # type: ignore[arg-type]

    run.__name__ = test.__name__
    return run


@on_a_loop
async def test_the_first_event_is_the_initial_response_and_records_follow() -> None:
    orders = Orders()
    numbers = orders.put(b"one", b"two")
    heard = subscribe(orders, orders.consumer())
    await turns()
    assert heard.frames[0].headers == {
        ":message-type": "event",
        ":event-type": "initial-response",
        ":content-type": "application/x-amz-json-1.1",
    }
    assert await heard.more() == [
        {},
        {
            "Records": [
                {
                    "SequenceNumber": number,
                    "ApproximateArrivalTimestamp": START_MS / 1_000,
                    "Data": base64.b64encode(data).decode(),
                    "PartitionKey": "a",
                }
                for number, data in zip(numbers, (b"one", b"two"), strict=True)
            ],
            "ContinuationSequenceNumber": numbers[1],
            "MillisBehindLatest": 0,
        },
    ]


@on_a_loop
async def test_a_record_is_told_when_it_is_durable_and_not_before() -> None:
    orders = Orders()
    heard = subscribe(orders, orders.consumer())
    assert await heard.more() == [{}]
    orders.call("PutRecord", is_durable=False, StreamName="orders", Data=b"one", PartitionKey="a")
    assert await heard.more() == []
    orders.engine.committer.flush()
    assert texts(await heard.more()) == [b"one"]


@on_a_loop
async def test_silence_is_broken_every_five_seconds_and_no_sooner() -> None:
    orders = Orders()
    heard = subscribe(orders, orders.consumer())
    await heard.more()
    for _ in range(3):
        orders.clock.advance(4_999)
        assert await heard.more() == []
        orders.clock.advance(1)
        (beat,) = await heard.more()
        assert (beat["Records"], beat["MillisBehindLatest"]) == ([], 0)
        assert beat["ContinuationSequenceNumber"].isdigit()
    orders.clock.advance(3_000)
    orders.put(b"one")
    assert texts(await heard.more()) == [b"one"]
    orders.clock.advance(4_999)
    assert await heard.more() == []
    orders.clock.advance(1)
    assert len(await heard.more()) == 1


@on_a_loop
async def test_a_client_goes_on_behind_any_continuation() -> None:
    orders = Orders()
    arn = orders.consumer()
    orders.put(b"zero")
    heard = subscribe(orders, arn, Type="LATEST")
    await heard.more()
    orders.clock.advance(5_000)
    (beat,) = await heard.more()
    orders.put(b"one", b"two")
    (event,) = (events := await heard.more())[:1]
    assert texts(events) == [b"one", b"two"]
    for number, rest in (
        (beat["ContinuationSequenceNumber"], [b"one", b"two"]),
        (event["Records"][0]["SequenceNumber"], [b"two"]),
        (event["ContinuationSequenceNumber"], [b"two"] if len(events) == 2 else []),
    ):
        orders.clock.advance(5_000)
        again = subscribe(orders, arn, Type="AFTER_SEQUENCE_NUMBER", SequenceNumber=number)
        assert texts(await again.more()) == rest


@on_a_loop
async def test_every_starting_position_begins_where_it_says() -> None:
    orders = Orders()
    arns = [orders.consumer(f"c{index}") for index in range(5)]
    orders.put(b"one")
    orders.clock.advance(1_000)
    second = orders.put(b"two")[0]
    orders.clock.advance(1_000)
    orders.put(b"three")
    for arn, position, told in (
        (arns[0], {"Type": "TRIM_HORIZON"}, [b"one", b"two", b"three"]),
        (arns[1], {"Type": "LATEST"}, []),
        (arns[2], {"Type": "AT_SEQUENCE_NUMBER", "SequenceNumber": second}, [b"two", b"three"]),
        (arns[3], {"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": second}, [b"three"]),
        (arns[4], {"Type": "AT_TIMESTAMP", "Timestamp": START_MS / 1_000 + 1}, [b"two", b"three"]),
    ):
        heard = subscribe(orders, arn, **position)
        assert texts(await heard.more()) == told, position


@on_a_loop
async def test_it_ends_after_five_minutes_without_an_error() -> None:
    orders = Orders()
    heard = subscribe(orders, orders.consumer())
    for _ in range(59):
        orders.clock.advance(5_000)
        await turns()
    orders.clock.advance(4_999)
    await turns()
    assert not heard.is_over
    orders.clock.advance(1)
    events = await heard.more()
    assert heard.is_over
    assert heard.task is not None
    assert heard.task.exception() is None
    assert not [event for event in events if "exception" in event]
    assert len(events) == 60  # the initial response and 59 heart-beats


@on_a_loop
async def test_another_subscription_is_refused_for_five_seconds_and_takes_over_then() -> None:
    orders = Orders()
    arn = orders.consumer()
    older = subscribe(orders, arn)
    await older.more()
    orders.clock.advance(4_999)
    with pytest.raises(ApiError) as refused:
        subscribe(orders, arn)
    assert (refused.value.code, refused.value.message) == (
        "ResourceInUseException",
        f"Another active subscription exists for this consumer: 000000000000:orders:{FIRST_SHARD}:mail",
    )
    await turns()
    assert not older.is_over
    orders.clock.advance(1)
    newer = subscribe(orders, arn)
    orders.put(b"one")
    assert (await older.more())[-1]["exception"] == "ResourceInUseException"
    assert older.task is not None
    assert isinstance(older.task.exception(), StreamReset)
    assert texts(await newer.more()) == [b"one"]
    orders.clock.advance(4_999)  # a refusal has not made it younger, and the newer one counts now
    with pytest.raises(ApiError, match="Another active"):
        subscribe(orders, arn)


@on_a_loop
async def test_of_two_that_are_asked_for_at_once_the_second_is_refused_in_its_stream() -> None:
    orders = Orders()
    arn = orders.consumer()
    first, second = subscribe(orders, arn), subscribe(orders, arn)
    assert await first.more() == [{}]
    assert [told.get("exception") for told in await second.more()] == [None, "ResourceInUseException"]
    assert second.is_over
    assert not first.is_over


@on_a_loop
async def test_what_is_asked_for_and_never_told_takes_no_shard() -> None:
    orders = Orders()
    arn = orders.consumer()
    first = subscribe(orders, arn)
    await turns()
    orders.clock.advance(5_000)
    orders.call("SubscribeToShard", ConsumerARN=arn, ShardId=FIRST_SHARD, StartingPosition=HORIZON)
    await turns()
    assert not first.is_over
    assert await subscribe(orders, arn).more() == [{}]


@on_a_loop
async def test_other_consumers_and_other_shards_disturb_nobody() -> None:
    orders = Orders(shards=2)
    one, two = orders.consumer("one"), orders.consumer("two")
    heard = [
        subscribe(orders, one),
        subscribe(orders, two),
        subscribe(orders, one, "shardId-000000000001"),
    ]
    orders.put(b"low", key="a")
    orders.put(b"high", key="0")
    assert [texts(await subscriber.more()) for subscriber in heard] == [[b"low"], [b"low"], [b"high"]]


@on_a_loop
async def test_a_split_shard_ends_with_its_children_and_a_null_continuation_exactly_then() -> None:
    orders = Orders()
    heard = subscribe(orders, orders.consumer())
    orders.put(b"one")
    await heard.more()
    orders.put(b"two")
    orders.call("SplitShard", StreamName="orders", ShardToSplit=FIRST_SHARD, NewStartingHashKey=str(2**127))
    *before, last = await heard.more()
    assert texts([*before, last]) == [b"two"]
    assert all(event["ContinuationSequenceNumber"] and "ChildShards" not in event for event in before)
    assert last["ContinuationSequenceNumber"] is None
    assert last["ChildShards"] == [
        {
            "ShardId": "shardId-000000000001",
            "ParentShards": [FIRST_SHARD],
            "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": str(2**127 - 1)},
        },
        {
            "ShardId": "shardId-000000000002",
            "ParentShards": [FIRST_SHARD],
            "HashKeyRange": {"StartingHashKey": str(2**127), "EndingHashKey": str(2**128 - 1)},
        },
    ]
    assert heard.is_over
    assert heard.task is not None
    assert heard.task.exception() is None


@on_a_loop
async def test_merged_shards_both_tell_their_child_also_who_begins_at_their_end() -> None:
    orders = Orders(shards=2)
    one, two = orders.consumer("one"), orders.consumer("two")
    orders.call(
        "MergeShards",
        StreamName="orders",
        ShardToMerge=FIRST_SHARD,
        AdjacentShardToMerge="shardId-000000000001",
    )
    for heard in (subscribe(orders, one, Type="LATEST"), subscribe(orders, two, "shardId-000000000001")):
        _, last = await heard.more()
        assert last["Records"] == []
        assert last["ContinuationSequenceNumber"] is None
        assert [child["ShardId"] for child in last["ChildShards"]] == ["shardId-000000000002"]
        assert heard.is_over


@on_a_loop
async def test_who_reads_slowly_is_written_to_once_and_ends_in_time() -> None:
    orders = Orders()
    heard = subscribe(orders, orders.consumer())
    await heard.more()
    heard.is_blocked = True
    orders.put(*[b"x"] * 20)
    for _ in range(59):
        orders.clock.advance(5_000)
        await turns()
    assert heard.frames[1:] == []
    heard.unblock()
    assert texts(await heard.more()) == [b"x"] * 20
    heard.is_blocked = True
    orders.put(b"y")
    orders.clock.advance(5_000)
    await turns()
    assert heard.is_over
    assert heard.task is not None
    assert heard.task.exception() is None


@on_a_loop
async def test_who_reads_nothing_loses_its_shard_all_the_same() -> None:
    orders = Orders()
    arn = orders.consumer()
    older = subscribe(orders, arn)
    await older.more()
    older.is_blocked = True
    orders.clock.advance(5_000)
    subscribe(orders, arn)
    await turns()
    assert older.task is not None
    assert isinstance(older.task.exception(), StreamReset)
    assert await older.more() == []


@on_a_loop
async def test_a_consumer_that_goes_is_told_so() -> None:
    orders = Orders()
    heard = subscribe(orders, orders.consumer())
    await heard.more()
    orders.deregister()
    orders.clock.advance(5_000)
    (told,) = await heard.more()
    assert told["exception"] == "ResourceNotFoundException"
    assert "mail" in told["message"]
    assert heard.is_over


@on_a_loop
async def test_a_stream_that_goes_is_told_so_at_once() -> None:
    orders = Orders()
    heard = subscribe(orders, orders.consumer())
    await heard.more()
    orders.call("DeleteStream", StreamName="orders", EnforceConsumerDeletion=True)
    (told,) = await heard.more()
    assert told["exception"] == "ResourceNotFoundException"
    assert heard.is_over


@on_a_loop
async def test_a_store_that_fails_is_told_as_an_internal_failure() -> None:
    orders = Orders()
    heard = subscribe(orders, orders.consumer())
    await heard.more()

    def broken(*_: object) -> None:
        raise StoreError("the disk is gone")

    orders.engine.log.rows = broken  # type: ignore[method-assign,assignment]
    orders.clock.advance(5_000)
    (told,) = await heard.more()
    assert told["exception"] == "InternalFailureException"


NOBODY: Final = "arn:aws:kinesis:us-east-1:000000000000:stream/{0}/consumer/x:1"
WRONG: Final[list[tuple[dict[str, Any], str]]] = [
    ({"ConsumerARN": NOBODY.format("orders")}, "ResourceNotFoundException"),
    ({"ConsumerARN": NOBODY.format("other")}, "ResourceNotFoundException"),
    ({"ConsumerARN": "nobody"}, "ValidationException"),
    ({"ShardId": "shardId-000000000009"}, "ResourceNotFoundException"),
    ({"DryRun": True}, "DryRunOperationException"),
]
NOWHERE: Final[list[tuple[dict[str, Any], str]]] = [
    ({"Type": "AT_SEQUENCE_NUMBER"}, "InvalidArgumentException"),
    ({"Type": "LATEST", "SequenceNumber": "1"}, "InvalidArgumentException"),
    ({"Type": "AT_TIMESTAMP"}, "InvalidArgumentException"),
    ({"Type": "AT_TIMESTAMP", "Timestamp": START_MS / 1_000 + 10.001}, "InvalidArgumentException"),
    ({"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": "7"}, "InvalidArgumentException"),
    ({"Type": "SOMEWHERE"}, "ValidationException"),
    ({}, "ValidationException"),
]


@pytest.mark.parametrize(
    ("change", "code"), [*WRONG, *(({"StartingPosition": position}, code) for position, code in NOWHERE)]
)
def test_what_is_wrong_is_refused_before_anybody_loses_a_shard(change: dict[str, Any], code: str) -> None:
    async def refused() -> None:
        orders = Orders()
        arn = orders.consumer()
        heard = subscribe(orders, arn)
        await turns()
        orders.clock.advance(10_000)
        members = {"ConsumerARN": arn, "ShardId": FIRST_SHARD, "StartingPosition": HORIZON, **change}
        with pytest.raises(ApiError) as error:
            orders.call("SubscribeToShard", **members)
        assert error.value.code == code
        await turns()
        assert not heard.is_over

    asyncio.run(refused())


@on_a_loop
async def test_a_consumer_that_is_not_active_is_refused() -> None:
    orders = Orders()
    arn = orders.consumer(busy="CREATING", busy_until_ms=START_MS + 1_000)
    with pytest.raises(ApiError) as refused:
        subscribe(orders, arn)
    assert refused.value.code == "ResourceInUseException"
    assert "CREATING" in str(refused.value.message)
    orders.clock.advance(1_000)
    assert await subscribe(orders, arn).more()


@on_a_loop
async def test_cbor_is_answered_in_cbor() -> None:
    orders = Orders()
    (number,) = orders.put(b"\x00\xff")
    heard = subscribe(orders, orders.consumer(), kind=CBOR)
    first, event = await heard.more()
    assert first == {}
    assert heard.frames[1].headers[":content-type"] == "application/x-amz-cbor-1.1"
    assert event == {
        "Records": [
            {
                "SequenceNumber": number,
                "ApproximateArrivalTimestamp": START_MS / 1_000,
                "Data": b"\x00\xff",
                "PartitionKey": "a",
            }
        ],
        "ContinuationSequenceNumber": number,
        "MillisBehindLatest": 0,
    }


@on_a_loop
async def test_records_are_encoded_once_for_all_who_read_them() -> None:
    orders = Orders()
    heard = [subscribe(orders, orders.consumer(f"c{index}")) for index in range(5)]
    in_cbor = subscribe(orders, orders.consumer("java"), kind=CBOR)
    orders.put(*[b"x" * 1_000] * 50)
    for subscriber in heard:
        assert len(texts(await subscriber.more())) == 50
    await in_cbor.more()
    assert orders.engine.kinesis.fan_out.encodings.made == 2 * 50


@on_a_loop
async def test_an_event_has_a_mebibyte_or_one_record() -> None:
    orders = Orders()
    orders.change(max_record_kib=10_240)
    orders.put(bytes(3 * EVENT_BYTES), *[bytes(EVENT_BYTES // 4)] * 8)
    heard = subscribe(orders, orders.consumer())
    _, *events = await heard.more()
    sizes = [sum(len(base64.b64decode(record["Data"])) for record in event["Records"]) for event in events]
    assert sizes[0] == 3 * EVENT_BYTES
    assert sum(sizes) == 5 * EVENT_BYTES
    assert max(sizes[1:]) <= EVENT_BYTES
    assert events[0]["MillisBehindLatest"] == 0


@on_a_loop
async def test_who_is_behind_is_told_how_far() -> None:
    orders = Orders()
    orders.put(bytes(EVENT_BYTES - 100))
    orders.clock.advance(2_500)
    orders.put(bytes(EVENT_BYTES - 100))
    heard = subscribe(orders, orders.consumer())
    _, first, second = await heard.more()
    assert (first["MillisBehindLatest"], second["MillisBehindLatest"]) == (2_500, 0)


@on_a_loop
async def test_with_limits_a_consumer_gets_two_mebibytes_in_a_second() -> None:
    orders = Orders(settings=EngineSettings(shard_limits=True))
    for _ in range(8):
        orders.put(bytes(EVENT_BYTES - 10))
        orders.clock.advance(1_000)
    heard = subscribe(orders, orders.consumer())
    other = subscribe(orders, orders.consumer("other"))
    assert len(texts(await heard.more())) == 3  # two mebibytes, and the one that makes it more
    assert len(texts(await other.more())) == 3
    orders.clock.advance(400)
    assert await heard.more() == []
    orders.clock.advance(600)
    assert len(texts(await heard.more())) == 2


@on_a_loop
async def test_who_is_cancelled_listens_no_more() -> None:
    orders = Orders()
    heard = subscribe(orders, orders.consumer())
    await heard.more()
    assert len(orders.engine.committer._listeners) == 1
    assert heard.task is not None
    heard.task.cancel()
    await turns()
    assert heard.is_over
    assert orders.engine.committer._listeners == []
    orders.clock.advance(5_000)
    await turns()
