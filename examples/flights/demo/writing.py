"""A small fast client: a few keep-alive connections, one request in flight on each.

Rules of this file: requests are ready-made bytes; a write is sent again, unchanged, until it is acknowledged,
whatever happens to the server meanwhile. All writes of one flight go over one connection, so they stay in
order. Called by `replaying`.
"""

import asyncio
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from tailrace.errors import TailraceError

HEAD: Final = (
    "POST / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/x-amz-json-1.0\r\n"
    "X-Amz-Target: {operation}\r\nX-Amz-Date: 20130101T000000Z\r\n"
    "Authorization: AWS4-HMAC-SHA256 Credential=demo/20130101/us-east-1/dynamodb/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature=0\r\nContent-Length: {length}\r\n\r\n"
)


DYNAMODB: Final = "DynamoDB_20120810."
KINESIS: Final = "Kinesis_20131202."


class DemoFailure(TailraceError):
    """The demo cannot go on."""


@dataclass(frozen=True, slots=True)
class Request:
    """One write, ready to be sent. `order`: requests with the same word stay in order."""

    order: str
    operation: str
    body: bytes


def attribute(value: str | int) -> dict[str, str]:
    """A plain value in DynamoDB JSON."""
    return {"S": value} if isinstance(value, str) else {"N": str(value)}


def request_of(write: Any) -> Request:
    """A write of the replay as the operation an airline would call. Repeating it changes nothing.

    Shape:   `write` has `flight`, `is_first` and `changes`, as `examples/flights/replay.py` makes it.
    """
    values = {name: attribute(value) for name, value in write.changes.items()}
    if write.is_first:
        item = {"id": {"S": write.flight}, **values}
        return Request(write.flight, "PutItem", orjson.dumps({"TableName": "flights", "Item": item}))
    payload = {
        "TableName": "flights",
        "Key": {"id": {"S": write.flight}},
        "UpdateExpression": "SET " + ", ".join(f"#{name} = :{name}" for name in values),
        "ExpressionAttributeNames": {f"#{name}": name for name in values},
        "ExpressionAttributeValues": {f":{name}": value for name, value in values.items()},
    }
    return Request(write.flight, "UpdateItem", orjson.dumps(payload))


class Connection(asyncio.Protocol):
    """One connection; `call` sends a request and waits for the whole answer. Raises: ConnectionError."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[bytes] | None = None
        self.was_sent = False

    async def call(self, operation: str, body: bytes) -> bytes:
        """The body of the answer. Raises: ConnectionError; DemoFailure for any answer that is not 200."""
        self.was_sent = False
        if self._transport is None:
            await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", self._port)
        assert self._transport is not None
        self._waiting = asyncio.get_running_loop().create_future()
        head = HEAD.format(port=self._port, operation=operation, length=len(body))
        self._transport.write(head.encode() + body)
        self.was_sent = True
        try:
            return await self._waiting
        except asyncio.CancelledError:  # its answer would be taken for that of the next request
            if self._transport is not None:
                self._transport.abort()
                self._transport = None
            raise

    def close(self) -> None:
        """Give the connection back."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        """asyncio's. Answers of this server always carry their length."""
        self._buffer += data
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if not separator or len(rest) < _content_length(head):
            return
        self._buffer = b""
        if self._waiting is None or self._waiting.done():
            return
        if head.startswith(b"HTTP/1.1 200"):
            self._waiting.set_result(rest)
        else:
            status = head.split(b"\r\n", 1)[0].decode()
            self._waiting.set_exception(DemoFailure(f"The server answered {status}: {rest.decode()}"))

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's."""
        self._transport = None
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionResetError("the server has gone"))


def _content_length(head: bytes) -> int:
    start = head.lower().find(b"\r\ncontent-length:")
    return int(head[start + 17 :].split(b"\r\n", 1)[0]) if start >= 0 else 0


class Client:
    """Several connections. `is_up` says whether it makes sense to try: a kill of the server clears it.

    Shape:   `run` numbers the server's starts, set at each start; by run, `lost` counts the writes
             whose answer its end took, `repeated` those of them that were sent again. `written` counts
             acknowledged writes.
    """

    def __init__(self, port: int, connections: int) -> None:
        self._connections = [Connection(port) for _ in range(connections)]
        self._control = Connection(port)
        self._turn = asyncio.Lock()
        self.is_up = asyncio.Event()
        self.written = 0
        self.run = 0
        self.lost: Counter[int] = Counter()
        self.repeated: Counter[int] = Counter()

    async def write(
        self, requests: Sequence[Request], acknowledged: Callable[[], None] | None = None
    ) -> None:
        """Send all of them; return when each is acknowledged."""
        lanes: list[list[Request]] = [[] for _ in self._connections]
        for request in requests:
            lanes[zlib.crc32(request.order.encode()) % len(lanes)].append(request)
        async with asyncio.TaskGroup() as group:
            for connection, lane in zip(self._connections, lanes, strict=True):
                if lane:
                    group.create_task(self._send(connection, lane))

    async def _send(self, connection: Connection, lane: Sequence[Request]) -> None:
        for request in lane:
            lost_in: int | None = None
            while True:
                await self.is_up.wait()
                run = self.run
                answered = await self._is_answered(connection, request)
                if connection.was_sent and lost_in is not None:
                    self.repeated[lost_in] += 1
                    lost_in = None
                if answered:
                    break
                if connection.was_sent:
                    self.lost[run] += 1
                    lost_in = run
            self.written += 1

    async def _is_answered(self, connection: Connection, request: Request) -> bool:
        """Send once. Without an answer it may be written or not; sending it again is harmless."""
        try:
            await connection.call(DYNAMODB + request.operation, request.body)
        except OSError:
            await asyncio.sleep(0.005)
            return False
        return True

    async def call(self, operation: str, payload: Mapping[str, object]) -> Any:
        """One operation, for the figures. Raises: OSError while the server is away; DemoFailure."""
        return orjson.loads(await self._asked(DYNAMODB + operation, payload))

    async def kinesis(self, operation: str, payload: Mapping[str, object]) -> Any:
        """The same of Kinesis; {} where it answers nothing."""
        return orjson.loads(await self._asked(KINESIS + operation, payload) or b"{}")

    async def _asked(self, operation: str, payload: Mapping[str, object]) -> bytes:
        async with self._turn:  # one question at a time: a connection tells no answers apart
            return await self._control.call(operation, orjson.dumps(payload))

    async def scan(self, table: str) -> list[dict[str, dict[str, str]]]:
        """Every item of a table."""
        items: list[dict[str, dict[str, str]]] = []
        start: dict[str, object] = {}
        while True:
            page = await self.call("Scan", {"TableName": table, "ConsistentRead": True, **start})
            items += page["Items"]
            if "LastEvaluatedKey" not in page:
                return items
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def close(self) -> None:
        """Give all connections back."""
        for connection in (*self._connections, self._control):
            connection.close()
