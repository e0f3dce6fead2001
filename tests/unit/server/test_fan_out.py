"""SubscribeToShard over the wire: boto3 over HTTP/1.1 and h2's client, beside each other on one port."""

import contextlib
import json
import socket
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeAlias

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError
from h2.errors import ErrorCodes

from tailrace.api.event_stream import EventFrame, FrameReader
from tailrace.server.http2 import Http2Connection
from tailrace.server.inprocess import InProcess
from tests.http2 import SIGNED, Http2Client
from tests.kinesis import FIRST_SHARD, Orders, registered
from tests.patience import PATIENCE_S, eventually, until
from tests.serving import Served, serving

TARGET: Final = "Kinesis_20131202"
HORIZON: Final = {"Type": "TRIM_HORIZON"}
Subscribe: TypeAlias = Callable[[str], Any]


@pytest.fixture
def served() -> Iterator[Served]:
    with serving() as running:
        yield running


@pytest.fixture
def kinesis(served: Served) -> Any:
    client = boto3.client(
        "kinesis",
        endpoint_url=f"http://127.0.0.1:{served.port}",
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=PATIENCE_S),
    )
    client.create_stream(StreamName="orders", ShardCount=1)
    yield client
    client.close()


def consumer(served: Served, name: str = "mail") -> str:
    return served.call(lambda: registered(served.engine, name))


@pytest.fixture
def subscribe(kinesis: Any) -> Iterator[Subscribe]:
    """Gives the events of boto3, and closes them afterwards."""
    with contextlib.ExitStack() as opened:

        def subscribing(arn: str) -> Any:
            events = kinesis.subscribe_to_shard(
                ConsumerARN=arn, ShardId=FIRST_SHARD, StartingPosition=HORIZON
            )["EventStream"]
            return opened.enter_context(contextlib.closing(events))

        yield subscribing


def ask(client: Http2Client, arn: str, position: dict[str, Any] = HORIZON) -> int:
    """The same over HTTP/2. Returns: the stream."""
    members = {"ConsumerARN": arn, "ShardId": FIRST_SHARD, "StartingPosition": position}
    return client.ask(
        "SubscribeToShard",
        json.dumps(members).encode(),
        TARGET,
        **{"content-type": "application/x-amz-json-1.1"},
    )


def frames(client: Http2Client, stream: int) -> list[EventFrame]:
    """What has come whole."""
    return list(FrameReader().feed(client.bodies[stream]))


def put(kinesis: Any, *texts: bytes) -> None:
    kinesis.put_records(StreamName="orders", Records=[{"Data": text, "PartitionKey": "a"} for text in texts])


def test_boto3_is_told_records_as_they_come_and_the_end_of_the_shard(
    served: Served, kinesis: Any, subscribe: Subscribe
) -> None:
    put(kinesis, b"one")
    events = subscribe(consumer(served))
    told = iter(events)
    first = next(told)["SubscribeToShardEvent"]
    assert [record["Data"] for record in first["Records"]] == [b"one"]
    put(kinesis, b"two", b"three")
    second = next(told)["SubscribeToShardEvent"]
    assert [record["Data"] for record in second["Records"]] == [b"two", b"three"]
    assert second["ContinuationSequenceNumber"] == second["Records"][-1]["SequenceNumber"]
    kinesis.split_shard(StreamName="orders", ShardToSplit=FIRST_SHARD, NewStartingHashKey=str(2**127))
    (last,) = [event["SubscribeToShardEvent"] for event in told]
    assert "ContinuationSequenceNumber" not in last
    assert [child["ShardId"] for child in last["ChildShards"]] == [
        "shardId-000000000001",
        "shardId-000000000002",
    ]


def test_boto3_is_told_of_silence_and_of_the_end_of_five_minutes(
    served: Served, kinesis: Any, subscribe: Subscribe
) -> None:
    told = iter(subscribe(consumer(served)))
    for _ in range(3):
        eventually(lambda: served.clock.next_wake_ms is not None)
        served.call(lambda: served.clock.advance(5_000))
        beat = next(told)["SubscribeToShardEvent"]
        assert (beat["Records"], beat["MillisBehindLatest"]) == ([], 0)
    served.call(lambda: served.clock.advance(285_000))
    assert list(told) == []


def test_a_second_subscription_is_refused_and_later_takes_over_across_versions_of_http(
    served: Served, kinesis: Any, subscribe: Subscribe
) -> None:
    arn = consumer(served)
    told = iter(subscribe(arn))
    put(kinesis, b"one")
    assert next(told)
    with pytest.raises(ClientError) as refused:
        subscribe(arn)
    assert refused.value.response["Error"]["Code"] == "ResourceInUseException"
    with Http2Client(served.port) as client:
        served.call(lambda: served.clock.advance(5_000))
        newer = ask(client, arn)
        with pytest.raises(EventStreamError, match="ResourceInUseException"):
            list(told)
        while len(frames(client, newer)) < 2:
            client.receive()
        served.call(lambda: served.clock.advance(5_000))
        assert next(iter(subscribe(arn)))
        client.wait(newer)
        assert frames(client, newer)[-1].headers[":exception-type"] == "ResourceInUseException"
        assert client.resets[newer] == ErrorCodes.CANCEL
        assert client.answer(ask(client, arn))[0] == 400  # in the newest one's first seconds


def test_over_http_2_the_first_event_comes_first_and_the_end_is_no_error(
    served: Served, kinesis: Any
) -> None:
    put(kinesis, b"one")
    with Http2Client(served.port) as client:
        stream = ask(client, consumer(served))
        while len(frames(client, stream)) < 2:
            client.receive()
        first, event = frames(client, stream)
        assert first.headers[":event-type"] == "initial-response"
        assert json.loads(event.payload)["Records"][0]["Data"] == "b25l"
        assert client.headers[stream]["content-type"] == "application/vnd.amazon.eventstream"
        served.call(lambda: served.clock.advance(300_000))
        client.wait(stream)
        assert stream in client.ended
        assert stream not in client.resets


def test_many_consumers_read_one_shard_and_each_record_is_encoded_once(
    served: Served, kinesis: Any, subscribe: Subscribe
) -> None:
    arns = [consumer(served, f"c{index}") for index in range(5)]
    streams = [iter(subscribe(arn)) for arn in arns]
    texts = [b"%05d" % number for number in range(500)]
    put(kinesis, *texts)

    def read(told: Any) -> list[bytes]:
        seen: list[bytes] = []
        while len(seen) < len(texts):
            seen += [record["Data"] for record in next(told)["SubscribeToShardEvent"]["Records"]]
        return seen

    with ThreadPoolExecutor(len(streams)) as threads:
        assert list(threads.map(read, streams)) == [texts] * 5
    assert served.call(lambda: served.engine.kinesis.fan_out.encodings.made) == 500


def test_a_reader_that_is_slow_holds_little_and_loses_nothing(served: Served, kinesis: Any) -> None:
    with Http2Client(served.port, reads=False) as client:
        stream = ask(client, consumer(served))
        for _ in range(6):
            put(kinesis, *[bytes(100_000)] * 10)
        client.body_so_far(stream, 65_535)
        (connection,) = (one for one in served.server.connections if isinstance(one, Http2Connection))
        waits = served.call(lambda: sum(map(len, connection._streams[stream].pending)))
        assert 0 < waits < 1_500_000  # of some eight million that are to come
        client.reads = True
        client.h2.increment_flow_control_window(2**30)
        client.h2.increment_flow_control_window(2**30, stream)
        client.body_so_far(stream, 8_000_000)
        served.call(lambda: served.clock.advance(300_000))
        _, *events = FrameReader().feed(client.answer(stream)[2])
        records = [record for event in events for record in json.loads(event.payload)["Records"]]
        assert len(records) == 60
    until(lambda: served.call(lambda: len(served.engine.committer._listeners)), 0)


@pytest.mark.parametrize("kills", [False, True])
def test_a_client_that_goes_leaves_nothing_behind(
    served: Served, kinesis: Any, subscribe: Subscribe, kills: bool
) -> None:
    one, two = consumer(served, "one"), consumer(served, "two")
    events = subscribe(one)
    with Http2Client(served.port) as client:
        stream = ask(client, two)
        client.body_so_far(stream, 1)
        until(lambda: served.call(lambda: len(served.engine.committer._listeners)), 2)
        if kills:  # the kernel says it with a reset
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    events.close()
    until(lambda: served.call(lambda: len(served.engine.committer._listeners)), 0)


def test_a_client_inside_the_process_is_told_where_to_ask() -> None:
    orders = Orders()
    members = {"ConsumerARN": orders.consumer(), "ShardId": FIRST_SHARD, "StartingPosition": HORIZON}
    headers = {
        **SIGNED,
        "content-type": "application/x-amz-json-1.1",
        "x-amz-target": f"{TARGET}.SubscribeToShard",
    }
    answer = InProcess(orders.engine).call(headers, json.dumps(members).encode())
    assert answer.status == 400
    told = json.loads(answer.body)
    assert told["__type"] == "UnsupportedOperationException"
    assert "tailrace serve" in told["message"]


def test_a_server_that_stops_ends_every_subscription_without_an_error(
    served: Served, kinesis: Any, subscribe: Subscribe
) -> None:
    told = iter(subscribe(consumer(served, "one")))
    with Http2Client(served.port) as client:
        stream = ask(client, consumer(served, "two"))
        client.body_so_far(stream, 1)
        served.run(served.server.drain())
        assert list(told) == []
        client.wait(stream)
        assert stream in client.ended
        assert client.gone == ErrorCodes.NO_ERROR
