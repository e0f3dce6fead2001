"""Slices on the loop: others go in between, answers keep their order, and what no client waits
for is not continued.
"""

import asyncio
import gzip
import json
import socket
from collections.abc import Iterator
from itertools import pairwise

import pytest

from tailrace.api.dispatch import Dispatcher, Reply
from tailrace.api.encoding import BYTES_WRITTEN
from tailrace.clocks.manual import ManualClock
from tailrace.engine.engine import Engine
from tailrace.engine.slices import Slices, at_once
from tailrace.server.slicing import Slicing
from tailrace.stores.memory import MemoryStore
from tests.serving import START_MS, Client, Served, request, serving

AUTHORIZATION = b"AWS4-HMAC-SHA256 Credential=x, SignedHeaders=host, Signature=0"
CREATE = {
    "TableName": "things",
    "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
}
VALUES = {f":v{number}": {"S": f"no {number}"} for number in range(100)}
LONG = request(
    "Scan",
    {
        "TableName": "things",
        "FilterExpression": f"s IN ({', '.join(VALUES)})",
        "ExpressionAttributeValues": VALUES,
    },
)
LIST = request("ListTables", {})


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as running, running.connect() as client:
        assert client.ask(request("CreateTable", CREATE))[0] == 200
        for first in range(0, 1_000, 25):
            puts = [
                {"PutRequest": {"Item": {"pk": {"S": str(first + number)}, "s": {"S": "x" * 300}}}}
                for number in range(25)
            ]
            assert client.ask(request("BatchWriteItem", {"RequestItems": {"things": puts}}))[0] == 200
        yield running


@pytest.fixture
def client(served: Served) -> Iterator[Client]:
    with served.connect() as connected:
        yield connected


def noted(name: str, notes: list[str], count: int) -> Slices[str]:
    for _ in range(count):
        notes.append(name)
        yield
    return name


def test_what_is_under_way_takes_turns_and_the_loop_goes_on_in_between() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        notes: list[str] = []
        slicing = Slicing(loop, lambda: loop.call_soon(notes.append, "other"))  # type: ignore[arg-type,return-value]
        results = await asyncio.gather(slicing.run(noted("a", notes, 3)), slicing.run(noted("b", notes, 2)))
        assert results == ["a", "b"]
        assert [note for note in notes if note != "other"] == ["a", "b", "a", "b", "a"]
        for first, second in pairwise(notes):
            assert "other" in (first, second), "two slices without a turn between them"

    asyncio.run(run())


def test_who_comes_during_a_slice_is_read_and_answered_before_the_next_one() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        notes: list[str] = []

        def work() -> Slices[None]:
            for _ in range(3):
                notes.append("slice")
                ours.send(b"question")
                yield

        def read() -> None:
            theirs.recv(100)
            loop.call_soon(notes.append, "answer")  # as a commit at the end of the turn

        ours, theirs = socket.socketpair()
        with ours, theirs:
            loop.add_reader(theirs, read)
            await Slicing(loop, lambda: None).run(work())
            loop.remove_reader(theirs)
        assert notes[:5] == ["slice", "answer", "slice", "answer", "slice"]

    asyncio.run(run())


def test_what_nobody_waits_for_is_not_continued() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        notes: list[str] = []
        slicing = Slicing(loop, lambda: None)
        task = loop.create_task(slicing.run(noted("a", notes, 1_000_000)))
        while len(notes) < 3:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        count = len(notes)
        assert await slicing.run(noted("b", notes, 10)) == "b"
        assert notes[count:] == ["b"] * 10

    asyncio.run(run())


def test_what_work_raises_is_raised_where_it_was_asked_for() -> None:
    def failing() -> Slices[None]:
        yield
        raise ValueError("no")

    async def run() -> None:
        slicing = Slicing(asyncio.get_running_loop(), lambda: None)
        with pytest.raises(ValueError, match="no"):
            await slicing.run(failing())

    asyncio.run(run())


def test_answers_keep_their_order_when_one_of_them_takes_many_slices(served: Served, client: Client) -> None:
    before = served.call(lambda: served.server.slicing.slices)
    client.send(LIST + LONG + LIST + LONG + LIST)
    kinds = [list(json.loads(client.receive()[2])) for _ in range(5)]
    page = ["Items", "Count", "ScannedCount"]
    assert kinds == [["TableNames"], page, ["TableNames"], page, ["TableNames"]]
    assert served.call(lambda: served.server.slicing.slices) > before + 10


def test_a_client_that_goes_takes_its_work_with_it(served: Served, client: Client) -> None:
    assert client.ask(LIST)[0] == 200  # now the server knows this connection
    before = served.call(lambda: len(served.server.connections))
    with served.connect() as going:
        going.send(LONG * 3)
    while served.call(lambda: len(served.server.connections)) > before:
        pass
    while served.call(lambda: len(served.server.answering)):
        pass
    assert client.ask(LIST)[0] == 200


def test_a_large_answer_is_compressed_in_slices(served: Served, client: Client) -> None:
    scan = request("Scan", {"TableName": "things"}, "Accept-Encoding: gzip")
    before = served.call(lambda: served.server.slicing.slices)
    status, headers, body = client.ask(scan)
    inside = gzip.decompress(body)
    assert (status, headers["content-encoding"], json.loads(inside)["Count"]) == (200, "gzip", 1_000)
    slices = served.call(lambda: served.server.slicing.slices) - before
    assert slices >= len(inside) // BYTES_WRITTEN


def test_the_same_token_twice_at_once_is_done_once() -> None:
    engine = Engine(MemoryStore(), ManualClock(START_MS))
    dispatcher = Dispatcher(engine)
    head, _, body = request("CreateTable", CREATE).partition(b"\r\n\r\n")
    headers = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    given = {**headers, b"x-amz-target": b"DynamoDB_20120810.CreateTable", b"authorization": AUTHORIZATION}
    assert dispatcher.execute(given, b"", body).status == 200  # type: ignore[union-attr]
    add = {
        "TableName": "things",
        "Key": {"pk": {"S": "counter"}},
        "UpdateExpression": "ADD n :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    }
    puts = [
        {"Put": {"TableName": "things", "Item": {"pk": {"S": str(number)}, "a": {"S": "x" * 30_000}}}}
        for number in range(5)
    ]
    asked = json.dumps({"ClientRequestToken": "one", "TransactItems": [{"Update": add}, *puts]}).encode()
    given[b"x-amz-target"] = b"DynamoDB_20120810.TransactWriteItems"
    first, second = (dispatcher.execute(given, b"", asked) for _ in range(2))
    assert not isinstance(first, Reply)
    assert not isinstance(second, Reply)
    next(second)
    assert [at_once(first), at_once(second)] == [Reply(200, b"{}")] * 2
    assert engine.get("things", {"pk": {"S": "counter"}}) == {"pk": {"S": "counter"}, "n": {"N": "1"}}
