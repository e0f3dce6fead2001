"""A subscriber to a shard without a socket: an outlet that is read as the frames come, on the test's loop.

Rules of this file: to write to an outlet that is blocked is a fault of ours; nothing else is judged here.
"""

import asyncio
import base64
import json
from typing import Any, Final

from tailrace.api.cbor import read_cbor
from tailrace.api.event_stream import EventFrame, FrameReader
from tailrace.api.streaming import Streamed
from tailrace.api.wire import CBOR, JSON_1_1
from tests.kinesis import FIRST_SHARD, Orders

HORIZON: Final = {"Type": "TRIM_HORIZON"}
TURNS: Final = 60
"""So many turns of the loop are more than anything here needs."""


class Heard:
    """An outlet, and what came out of it. Shape: `is_blocked` is the test's."""

    def __init__(self) -> None:
        self.is_blocked = False
        self.frames: list[EventFrame] = []
        self.read = 0
        self._reader = FrameReader()
        self._drained = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    def write(self, frame: bytes) -> None:
        assert not self.is_blocked, "an outlet that is blocked was written to"
        self.frames += self._reader.feed(frame)

    async def drain(self) -> None:
        while self.is_blocked:
            await self._drained.wait()

    def unblock(self) -> None:
        self.is_blocked = False
        self._drained.set()

    async def listen(self, streamed: Streamed, kind: bytes) -> None:
        await streamed.write_to(self, kind)

    async def more(self) -> list[dict[str, Any]]:
        """The events since the last look."""
        await turns()
        frames, self.read = self.frames[self.read :], len(self.frames)
        return [read_event(frame) for frame in frames]

    @property
    def is_over(self) -> bool:
        assert self.task is not None
        return self.task.done()


def read_event(frame: EventFrame) -> dict[str, Any]:
    """An event's members; an exception's, with its name."""
    is_cbor = frame.headers[":content-type"] == CBOR.decode()
    members: dict[str, Any] = read_cbor(frame.payload) if is_cbor else json.loads(frame.payload)
    if frame.headers[":message-type"] == "exception":
        return {"exception": frame.headers[":exception-type"], **members}
    assert frame.headers[":message-type"] == "event"
    assert frame.headers[":event-type"] in ("initial-response", "SubscribeToShardEvent")
    return members


async def turns() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)


def subscribe(
    orders: Orders, arn: str, shard: str = FIRST_SHARD, kind: bytes = JSON_1_1, **position: Any
) -> Heard:
    """Begin a subscription. Raises: ApiError."""
    streamed = orders.call(
        "SubscribeToShard", ConsumerARN=arn, ShardId=shard, StartingPosition=position or HORIZON
    )
    assert isinstance(streamed, Streamed)
    heard = Heard()
    heard.task = asyncio.ensure_future(heard.listen(streamed, kind))
    return heard


def texts(events: list[dict[str, Any]]) -> list[bytes]:
    return [base64.b64decode(record["Data"]) for event in events for record in event.get("Records", [])]
