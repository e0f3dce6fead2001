"""Enhanced fan-out of a real `tailrace serve`, over HTTP/2: killed, started again, and asked to end."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from h2.errors import ErrorCodes

from tailrace.api.event_stream import FrameReader
from tests.crash.node import Node, free_port
from tests.http2 import SIGNED, Http2Client

SERVICE: Final = "Kinesis_20131202"
SHARD: Final = "shardId-000000000000"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    running = Node(tmp_path, free_port(), ("serve", "--function=dumps=json:dumps"))
    running.start()
    running.wait_until_answering()
    yield running
    running.kill()


@pytest.fixture
def consumer(node: Node) -> str:
    """The ARN of a consumer of the stream `orders`."""
    node.call("CreateStream", {"StreamName": "orders", "ShardCount": 1}, SERVICE)
    arn = "arn:aws:kinesis:us-east-1:000000000000:stream/orders"
    made: str = node.call("RegisterStreamConsumer", {"StreamARN": arn, "ConsumerName": "mail"}, SERVICE)[
        "Consumer"
    ]["ConsumerARN"]
    return made


def put(node: Node, *keys: str) -> None:
    records = [{"PartitionKey": key, "Data": ""} for key in keys]
    assert (
        node.call("PutRecords", {"StreamName": "orders", "Records": records}, SERVICE)["FailedRecordCount"]
        == 0
    )


def subscribe(client: Http2Client, arn: str, **position: str) -> int:
    """Begin a subscription. Returns: its stream."""
    members = {"ConsumerARN": arn, "ShardId": SHARD, "StartingPosition": position}
    return client.ask("SubscribeToShard", json.dumps(members).encode(), SERVICE)


def told(client: Http2Client, stream: int, count: int) -> tuple[list[str], str]:
    """So many records, by their keys, and where to go on."""
    while True:
        _, *events = [json.loads(frame.payload) for frame in FrameReader().feed(client.bodies[stream])] or [
            {}
        ]
        keys = [record["PartitionKey"] for event in events for record in event["Records"]]
        if len(keys) >= count:
            return keys, events[-1]["ContinuationSequenceNumber"]
        assert not client.is_closed
        client.receive()


def test_after_a_kill_a_consumer_goes_on_where_it_was(node: Node, consumer: str) -> None:
    with Http2Client(node.port) as client:
        stream = subscribe(client, consumer, Type="TRIM_HORIZON")
        put(node, "a", "b")
        put(node, "c")
        keys, continuation = told(client, stream, 3)
        assert keys == ["a", "b", "c"]
        node.kill()
        assert client.wait_for_end() is None
        assert stream not in client.ended  # nobody takes it for the end of five minutes
    node.start()
    node.wait_until_answering()
    with Http2Client(node.port) as client:
        stream = subscribe(
            client, consumer, Type="AFTER_SEQUENCE_NUMBER", SequenceNumber=continuation
        )  # at once: who had the shard went with the process
        put(node, "d")
        assert told(client, stream, 1)[0] == ["d"]


def test_a_server_that_is_asked_to_end_does_not_wait_for_five_minutes(node: Node, consumer: str) -> None:
    with Http2Client(node.port) as client:
        stream = subscribe(client, consumer, Type="LATEST")
        client.body_so_far(stream, 1)
        assert node.stop() == 0
        client.wait(stream)
        assert stream in client.ended
        assert client.gone == ErrorCodes.NO_ERROR
    assert "Traceback" not in node.tail()


def test_what_no_client_may_send_leaves_no_trace(node: Node) -> None:
    wrong: list[Any] = [
        b"\x00\x00\x01\x06\x00\x00\x00\x00\x00x",
        b"\xff" * 64,
        b"\x00\x00\x05\x00\x00\x00\x00\x00\x63hello",
    ]
    for data in wrong:
        with Http2Client(node.port) as client:
            client.wait(client.ask("ListTables"))
            client.socket.sendall(data)
            assert client.wait_for_end()
    assert node.stop() == 0
    assert "Traceback" not in node.tail()


def test_every_service_is_asked_over_http_2(node: Node) -> None:
    with Http2Client(node.port) as client:
        asked = {
            "TableNames": client.ask("ListTables"),
            "Streams": client.ask("ListStreams", service="DynamoDBStreams_20120810"),
            "StreamNames": client.ask("ListStreams", service=SERVICE),
            "EventSourceMappings": client.begin(
                "GET", "/2015-03-31/event-source-mappings/", ends=True, **SIGNED
            ),
        }
        for member, stream in asked.items():
            status, _, body = client.answer(stream)
            assert (status, json.loads(body)[member]) == (200, [])
        form = client.begin(**{**SIGNED, "content-type": "application/x-www-form-urlencoded"})
        client.send_body(form, b"Action=GetCallerIdentity&Version=2011-06-15")
        assert b"<GetCallerIdentityResult>" in client.answer(form)[2]
