"""An engine's streams as clients of its API have them: for journals that a worker elsewhere has written.

Theory of operation: beside the engine a change has the engine's own number and a time in milliseconds; on the
wire it has another number, which the first one is told by, and a time in seconds. A journal is in one of the
two, as its archiver had them, and what is read behind it has to be in the same, or it would count twice.
Rules of this file: positions, shards and records are put into the numbers of the wire, nothing else.
Stands alone because a `LogReader` is told by its numbers alone. Made by reading.py.
"""

from typing import Final

from msgspec.structs import replace

from tailrace.ports import LogReader, ReadDone, Shard, StreamRef
from tailrace.streams.record import OF_OTHERS, ChangeRecord, SequenceNumber

SECOND_US: Final = 1_000_000


def is_of_wire(number: int) -> bool:
    """Whether a number stands on a wire, the engine's or another server's.

    >>> is_of_wire(1_883_204_558_663_974_912), is_of_wire(int(SequenceNumber(7).wire))
    (False, True)
    """
    return number >= OF_OTHERS


class WireLog:
    """A `LogReader` over an engine's own."""

    def __init__(self, log: LogReader) -> None:
        self._log = log

    async def streams(self, table: str | None = None) -> list[StreamRef]:
        """The same streams. Raises: SourceError."""
        return await self._log.streams(table)

    async def shards(self, stream: StreamRef) -> list[Shard]:
        """Every shard of a stream. Raises: SourceError."""
        return [
            replace(
                shard,
                first=_wired(shard.first),
                last=None if shard.last is None else _wired(shard.last),
                before=None,
            )
            for shard in await self._log.shards(stream)
        ]

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        """Records behind a position. Raises: SourceError, StoreError."""
        own = replace(shard, first=_own(shard.first), last=None if shard.last is None else _own(shard.last))
        page = await self._log.read(own, _own(after), limit)
        records = [_record(record) for record in page.records]
        return replace(page, records=records, next_after=_wired(page.next_after) if page.next_after else 0)

    async def pending_since(self, shard: Shard) -> int | None:
        """When the oldest record was written that is not durable yet."""
        return await self._log.pending_since(shard)


def _record(record: ChangeRecord) -> ChangeRecord:
    return replace(
        record,
        sequence=_wired(record.sequence),
        created_us=record.created_us // SECOND_US * SECOND_US,
        precision_us=SECOND_US,
        ancestry="",
    )


def _wired(number: int) -> int:
    return int(SequenceNumber(number).wire)


def _own(number: int) -> int:
    return int(SequenceNumber.from_wire(str(number))) if is_of_wire(number) else 0
