"""Rows of a scan on their way into a sink: until each is written, or is given up with its error.

Rules of this file: an outage is waited for, however long; what fails is tried a few times, alone in the end,
so that one item that cannot be written keeps no other from being. Called by run/snapshotter.py.
Stands alone because it knows of batches and outcomes, and nothing of snapshots.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from tailrace.mapping.retry import delay_ms
from tailrace.mapping.settings import Backoff
from tailrace.ports import Clock, Failed, FailedFrom, Failure, FailureKind, RecordBatch, Sink
from tailrace.runtime.attempting import attempt
from tailrace.streams.record import ChangeRecord

TRIES: Final = 3
OUTAGE: Final = Backoff(base_ms=500, cap_ms=30_000)
AT_ONCE: Final = 500
"""Rows of one write."""


class UnwrittenRow(Struct, frozen=True):
    """A row that could not be written."""

    record: ChangeRecord
    error: str


def failed_of(given_up: Sequence[UnwrittenRow]) -> tuple[tuple[str, str], ...]:
    """As a snapshot names them: the key in hex, with the error."""
    return tuple((lost.record.key.hex(), lost.error[:500]) for lost in given_up)


class RowWriter(Struct, frozen=True):
    """Writes rows into one sink. Shape: `batch` is what they are told to be of, its records are replaced."""

    sink: Sink
    clock: Clock
    batch: RecordBatch

    async def write(self, records: Sequence[ChangeRecord]) -> list[UnwrittenRow]:
        """Write all of them. Returns: those that could not be."""
        given_up: list[UnwrittenRow] = []
        for start in range(0, len(records), AT_ONCE):
            given_up += await self._write(records[start : start + AT_ONCE], 1)
        return given_up

    async def _write(self, records: Sequence[ChangeRecord], tries: int) -> list[UnwrittenRow]:
        given_up: list[UnwrittenRow] = []
        outages = 0
        while records:
            outage: Failure | None = None
            match await attempt(self.sink, replace(self.batch, records=records, attempt=tries)):
                case Failed(_, Failure() as whole) if _is_outage(whole):
                    outage = whole
                case Failed(_, Failure() as whole):
                    return given_up + await self._apart(records, whole, tries)
                case Failed(by_index):
                    waiting = []
                    for place, failure in sorted(by_index.items()):
                        if _is_outage(failure):
                            outage = failure
                            waiting.append(records[place])
                        else:
                            given_up += await self._again(records[place], failure, tries)
                    records = waiting
                case FailedFrom(index, failure) if _is_outage(failure):
                    outage, records = failure, records[index:]
                case FailedFrom(index, failure):
                    given_up += await self._again(records[index], failure, tries)
                    records = records[index + 1 :]
                case _:
                    return given_up
            if outage is not None:
                outages += 1
                await self._wait(outages, outage)
        return given_up

    async def _again(self, record: ChangeRecord, failure: Failure, tries: int) -> list[UnwrittenRow]:
        if failure.final or tries >= TRIES:
            return [UnwrittenRow(record, failure.error)]
        await self._wait(tries, failure)
        return await self._write([record], tries + 1)

    async def _apart(
        self, records: Sequence[ChangeRecord], failure: Failure, tries: int
    ) -> list[UnwrittenRow]:
        if len(records) == 1:
            return await self._again(records[0], failure, tries)
        middle = len(records) // 2
        return await self._write(records[:middle], tries) + await self._write(records[middle:], tries)

    async def _wait(self, times: int, failure: Failure) -> None:
        wait_ms = delay_ms(OUTAGE, times, failure.retry_after_ms)
        await self.clock.sleep_until(self.clock.now().monotonic_ms + wait_ms)


def _is_outage(failure: Failure) -> bool:
    return failure.kind in (FailureKind.UNAVAILABLE, FailureKind.THROTTLED)
