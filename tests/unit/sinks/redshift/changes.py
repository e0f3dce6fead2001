"""Changes of items for tests of Redshift, and a clock that passes when somebody sleeps."""

from collections.abc import Sequence
from typing import Any

import orjson
from msgspec import structs

from tailrace.clocks.manual import ManualClock
from tailrace.ports import RecordBatch
from tailrace.streams.record import ChangeRecord, change_record
from tailrace.testing.contracts.sink import START_MS, STREAM
from tailrace.values.types import Item


class PassingClock(ManualClock):
    """Whoever sleeps has slept at once."""

    async def sleep_until(self, monotonic_ms: int) -> None:
        """Be there."""
        self.advance(max(0, monotonic_ms - self.now().monotonic_ms))


def put(key: str, sequence: int, generation: int = 1, **attributes: Any) -> ChangeRecord:
    """A change that leaves this item."""
    item: Item = {"pk": {"S": key}, **attributes}
    return _record(key, sequence, generation, orjson.dumps(item))


def gone(key: str, sequence: int, generation: int = 1) -> ChangeRecord:
    """A deletion."""
    return _record(key, sequence, generation, None)


def _record(key: str, sequence: int, generation: int, new: bytes | None) -> ChangeRecord:
    record = change_record(
        sequence=sequence,
        shard=1,
        created_ms=START_MS,
        partition=sum(key.encode()),
        key=key.encode(),
        keys={"pk": {"S": key}},
        old=None if new else orjson.dumps({"pk": {"S": key}}),
        new=new,
        size_bytes=9,
    )
    return structs.replace(record, generation=generation)


def batch(records: Sequence[ChangeRecord]) -> RecordBatch:
    """These as a sink gets them."""
    return RecordBatch(records, "orders", STREAM, "shardId-1")
