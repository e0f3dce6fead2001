"""A log of one loop, asked from others: by a thread that waits, by the loop itself, by who blocks it."""

import asyncio
from typing import Any

import pytest

from tailrace.errors import SourceError
from tailrace.ports import ReadDone, Shard, StreamRef
from tailrace.runtime.beside import waited_for
from tailrace.sources.loop_log import LoopLog
from tests.patience import PATIENCE_S

STREAM = StreamRef("arn", "orders", "label", "NEW_AND_OLD_IMAGES")
SHARD = Shard("s", 1)


class OfOneLoop:
    """A log that notices when another loop asks it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def _check(self) -> None:
        assert asyncio.get_running_loop() is self._loop

    async def streams(self, table: str | None = None) -> list[StreamRef]:
        self._check()
        return [STREAM]

    async def shards(self, stream: StreamRef) -> list[Shard]:
        self._check()
        return [SHARD]

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        self._check()
        if after == 13:
            raise SourceError("it is cursed")
        return ReadDone([], after + limit)

    async def pending_since(self, shard: Shard) -> int | None:
        self._check()
        return 7


async def asked(log: LoopLog) -> list[Any]:
    return [
        await log.streams("orders"),
        await log.shards(STREAM),
        (await log.read(SHARD, 2, 3)).next_after,
        await log.pending_since(SHARD),
    ]


ANSWERS = [[STREAM], [SHARD], 5, 7]


def test_a_thread_and_the_loop_itself_have_the_same_answers() -> None:
    async def main() -> None:
        log = LoopLog(OfOneLoop())
        assert await asked(log) == ANSWERS
        assert await asyncio.to_thread(waited_for, asked(log)) == ANSWERS
        with pytest.raises(SourceError, match="cursed"):
            await asyncio.to_thread(waited_for, log.read(SHARD, 13, 1))

    asyncio.run(main())


def test_who_blocks_the_loop_is_told_and_does_not_hang() -> None:
    async def main() -> None:
        log = LoopLog(OfOneLoop())
        with pytest.raises(SourceError, match=r"await app\.async_history"):
            waited_for(asyncio.wait_for(log.shards(STREAM), PATIENCE_S))

    asyncio.run(main())


def test_a_loop_that_has_ended_is_said() -> None:
    async def made() -> LoopLog:
        return LoopLog(OfOneLoop())

    log = asyncio.run(made())
    with pytest.raises(SourceError, match="has ended"):
        waited_for(log.shards(STREAM))
