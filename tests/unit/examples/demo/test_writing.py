"""The client keeps each flight in order and sends again what the node did not answer.

Rules of this file: a real server of a few lines on loopback; it hangs up where the test says.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from types import SimpleNamespace

import orjson
import pytest
from flights_demo.node import free_port
from flights_demo.writing import Client, DemoFailure, Request, request_of

from tests.patience import PATIENCE_S


class Answering:
    """Answers every request, but hangs up on those whose number is listed."""

    def __init__(self, hang_up: Sequence[int] = (), status: str = "200 OK") -> None:
        self.bodies: list[bytes] = []
        self._hang_up = set(hang_up)
        self._status = status

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                self.bodies.append(await reader.readexactly(length))
                if len(self.bodies) in self._hang_up:
                    break
                answer = b"HTTP/1.1 %s\r\nContent-Length: 2\r\n\r\n{}" % self._status.encode()
                writer.write(answer[:20])
                await asyncio.sleep(0)
                writer.write(answer[20:])
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


async def send(answering: Answering, requests: list[Request], connections: int = 3) -> Client:
    """Send requests to such a server."""
    port = free_port()
    server = await asyncio.start_server(answering.serve, "127.0.0.1", port)
    client = Client(port, connections)
    client.is_up.set()
    try:
        async with asyncio.timeout(PATIENCE_S):
            await client.write(requests)
    finally:
        client.close()
        server.close()
        await asyncio.sleep(0)
    return client


def numbered(count: int) -> list[Request]:
    """Requests of five flights."""
    return [Request(f"flight {number % 5}", "PutItem", b"%d" % number) for number in range(count)]


def test_every_write_is_acknowledged_and_each_flight_stays_in_order() -> None:
    answering = Answering()
    client = asyncio.run(send(answering, numbered(50)))
    assert (client.written, client.lost.total(), client.repeated.total()) == (50, 0, 0)
    for flight in range(5):
        mine = [int(body) for body in answering.bodies if int(body) % 5 == flight]
        assert mine == sorted(mine)


def test_what_nobody_answered_is_sent_again_unchanged() -> None:
    answering = Answering(hang_up=[4, 17])
    client = asyncio.run(send(answering, numbered(50)))
    assert (client.written, client.lost[0], client.repeated[0]) == (50, 2, 2)
    assert sorted(map(int, set(answering.bodies))) == list(range(50))
    assert len(answering.bodies) == 52


def test_a_refusal_ends_the_demo_in_the_servers_words() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(send(Answering(status="400 Bad Request"), numbered(1)))
    assert caught.group_contains(DemoFailure, match="400 Bad Request")


def test_a_first_write_puts_and_a_later_one_updates() -> None:
    first = request_of(SimpleNamespace(flight="f", is_first=True, changes={"status": "scheduled", "at": 3}))
    assert (first.operation, orjson.loads(first.body)["Item"]) == (
        "PutItem",
        {"id": {"S": "f"}, "status": {"S": "scheduled"}, "at": {"N": "3"}},
    )
    later = request_of(SimpleNamespace(flight="f", is_first=False, changes={"status": "departed"}))
    assert later.operation == "UpdateItem"
    assert orjson.loads(later.body) == {
        "TableName": "flights",
        "Key": {"id": {"S": "f"}},
        "UpdateExpression": "SET #status = :status",
        "ExpressionAttributeNames": {"#status": "status"},
        "ExpressionAttributeValues": {":status": {"S": "departed"}},
    }


def test_a_request_that_is_cut_off_leaves_no_answer_to_the_next_one() -> None:
    """The client that tells of the progress is cut off at the end, while it scans: the last scan of all was
    given that answer.
    """

    async def run() -> None:
        asked = asyncio.Event()
        serving: list[asyncio.Task[None] | None] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                table = orjson.loads(await reader.readexactly(length))["TableName"]
                if not asked.is_set():
                    asked.set()
                    await asyncio.sleep(0.05)
                body = orjson.dumps({"Items": [{"id": {"S": table}}]})
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

        async def serve_until_gone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            serving.append(asyncio.current_task())
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                await serve(reader, writer)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

        server = await asyncio.start_server(serve_until_gone, "127.0.0.1", 0)
        client = Client(server.sockets[0].getsockname()[1], 1)
        telling = asyncio.create_task(client.scan("statistics"))
        await asked.wait()
        telling.cancel()
        items = await asyncio.wait_for(client.scan("alerts"), PATIENCE_S)
        client.close()
        server.close()
        await asyncio.gather(*(task for task in serving if task is not None))
        assert items == [{"id": {"S": "alerts"}}]

    asyncio.run(run())
