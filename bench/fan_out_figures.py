"""Enhanced fan-out: five consumers of 2 MB/s each on one shard, and how long a record is on its way.

Rules of this file: `tailrace serve` with its defaults on one core, consumers and producer on the other, all
over HTTP/1.1. A record says when its PutRecords was sent; it has arrived when its event is read. The rate is
what was put while the consumers kept up: nobody is more than a second behind at the end.
"""

import asyncio
import base64
import os
import time
from collections.abc import Iterator

import orjson

from bench.load import request
from bench.serving import LOAD_CORE, tailrace
from tailrace.api.event_stream import FrameReader

CONSUMERS = 5
BYTES_PER_SECOND = 2_000_000
RECORD_BYTES = 1_000
RECORDS_A_PUT = 20
STREAM = "bench"
ARN = f"arn:aws:kinesis:us-east-1:000000000000:stream/{STREAM}"
SHARD = "shardId-000000000000"
SERVICE = "Kinesis_20131202"
STAMP_BYTES = 20


class Client:
    """One connection that asks and reads."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def _head(self) -> bytes:
        head = await self._reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise RuntimeError((head + await self._reader.read(2_000)).decode())
        return head

    async def ask(self, operation: str, **members: object) -> dict[str, object]:
        """One operation. Raises: RuntimeError when it is refused."""
        self._writer.write(request(operation, members, SERVICE))
        head = await self._head()
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        body = await self._reader.readexactly(length)
        answer: dict[str, object] = orjson.loads(body) if body else {}
        return answer

    async def subscribe(self, arn: str) -> None:
        """Begin a subscription at the tip."""
        members = {"ConsumerARN": arn, "ShardId": SHARD, "StartingPosition": {"Type": "LATEST"}}
        self._writer.write(request("SubscribeToShard", members, SERVICE))
        await self._head()

    async def chunk(self) -> bytes:
        """The next piece of an answer that goes on."""
        size = int(await self._reader.readuntil(b"\r\n"), 16)
        return (await self._reader.readexactly(size + 2))[:-2]


async def connected(port: int) -> Client:
    """A connection to a server here."""
    return Client(*await asyncio.open_connection("127.0.0.1", port, limit=16 * 1_048_576))


async def consume(client: Client, expected: int, waits_ms: list[float]) -> None:
    """Read so many records, and note how long each was on its way."""
    frames = FrameReader()
    read = 0
    while read < expected:
        for frame in frames.feed(await client.chunk()):
            records = orjson.loads(frame.payload).get("Records", ())
            now = time.perf_counter_ns()
            for record in records:
                sent = int(base64.b64decode(record["Data"][: 4 * STAMP_BYTES // 3 + 2])[:STAMP_BYTES])
                waits_ms.append((now - sent) / 1e6)
            read += len(records)


async def produce(client: Client, puts: int) -> float:
    """Put at the rate of one consumer. Returns: MB a second."""
    padding = b"x" * (RECORD_BYTES - STAMP_BYTES)
    between_s = RECORDS_A_PUT * RECORD_BYTES / BYTES_PER_SECOND
    begun = time.perf_counter()
    for number in range(puts):
        await asyncio.sleep(max(0.0, begun + number * between_s - time.perf_counter()))
        data = base64.b64encode(b"%0*d" % (STAMP_BYTES, time.perf_counter_ns()) + padding).decode()
        records = [{"Data": data, "PartitionKey": "a"}] * RECORDS_A_PUT
        await client.ask("PutRecords", StreamName=STREAM, Records=records)
    return puts * RECORDS_A_PUT * RECORD_BYTES / (time.perf_counter() - begun) / 1e6


async def measured(port: int, seconds: float) -> tuple[float, list[float]]:
    """MB a second that all consumers were given together, and how long each record was on its way."""
    producer = await connected(port)
    await producer.ask("CreateStream", StreamName=STREAM, ShardCount=1)
    clients = []
    for number in range(CONSUMERS):
        registered = await producer.ask("RegisterStreamConsumer", StreamARN=ARN, ConsumerName=f"c{number}")
        consumer = registered["Consumer"]
        assert isinstance(consumer, dict)
        clients.append(await connected(port))
        await clients[-1].subscribe(consumer["ConsumerARN"])
    puts = int(seconds * BYTES_PER_SECOND / RECORDS_A_PUT / RECORD_BYTES)
    waits_ms: list[float] = []
    rate, *_ = await asyncio.gather(
        produce(producer, puts),
        *(consume(client, puts * RECORDS_A_PUT, waits_ms) for client in clients),
    )
    if waits_ms[-1] > 1_000:
        raise RuntimeError(f"consumers are {waits_ms[-1]:,.0f} ms behind at the end")
    return rate * CONSUMERS, sorted(waits_ms)


def figures(quick: bool) -> Iterator[tuple[str, float]]:
    """All figures of fan-out."""
    os.sched_setaffinity(0, LOAD_CORE)
    with tailrace() as server:
        rate, waits_ms = asyncio.run(measured(server.port, 3.0 if quick else 15.0))
    yield "fan-out to five consumers of 2 MB/s each, all together", rate
    yield "fan-out, put → event, p50", waits_ms[len(waits_ms) // 2]
    yield "fan-out, put → event, p99", waits_ms[len(waits_ms) * 99 // 100]
