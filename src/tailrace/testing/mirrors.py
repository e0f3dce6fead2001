"""A mirror in memory: the contract of `Mirror` when nothing else is in the way.

Theory of operation: a `SimulatedMirror` is the far side and outlives its sinks, as a database does; every
call changes it in one step of the loop.
Rules of this file: the shortest code that keeps the contract, over the same law as every other mirror. For
tests and simulations, and as an example for authors of such sinks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice

import orjson
from msgspec import Struct

from tailrace.app.sinking import AlwaysOpen
from tailrace.errors import InternalError
from tailrace.leases.generation import check_kept
from tailrace.ports import Clock, Outcome, RecordBatch, SinkRow, Written
from tailrace.sinks.law import applies, newest
from tailrace.streams.record import MILLISECOND, ChangeRecord
from tailrace.streams.version import Version


class MirrorRow(Struct, frozen=True):
    """What the target has of an item. Shape: `image` is None for a deleted one."""

    version: Version
    image: bytes | None
    created_us: int


@dataclass(slots=True)
class SimulatedMirror:
    """What mirrors write to. Shape: `rows` by item key."""

    rows: dict[bytes, MirrorRow] = field(default_factory=dict)
    sources: dict[str, int] = field(default_factory=dict)

    @property
    def shown(self) -> Mapping[bytes, bytes]:
        """The items that are there, by their keys."""
        return {key: row.image for key, row in self.rows.items() if row.image is not None}


class MirrorMemory(AlwaysOpen):
    """The newest image of each item, with its version; of a deleted one the version."""

    def __init__(self, target: SimulatedMirror | None = None) -> None:
        self.target = SimulatedMirror() if target is None else target
        self._clock: Clock | None = None

    async def open(self, clock: Clock) -> None:
        """Take the clock by which rows are swept."""
        self._clock = clock

    async def write(self, batch: RecordBatch) -> Outcome:
        """Apply what is newer than its row."""
        for place in newest(batch.records):
            record = batch.records[place]
            there = self.target.rows.get(record.key)
            if applies(record.version, None if there is None else there.version):
                self.target.rows[record.key] = _row(record)
        return Written()

    async def sources(self) -> Mapping[str, int]:
        """Which generation each source is."""
        return dict(self.target.sources)

    async def keep_sources(self, sources: Mapping[str, int]) -> None:
        """Keep these too. Raises: SettingsError."""
        check_kept("the target", self.target.sources, sources)
        self.target.sources.update(sources)

    async def rows(self, after: bytes, limit: int) -> Sequence[SinkRow]:
        """The next rows, in the order of their keys."""
        keys = sorted(key for key in self.target.rows if key > after)[:limit]
        rows = [(key, self.target.rows[key]) for key in keys]
        return [SinkRow(key, row.version, row.image is None, _digest(row.image)) for key, row in rows]

    async def digests(self, batch: RecordBatch) -> Sequence[bytes]:
        """What the digests of these rows are once they are written."""
        return [_digest(_row(record).image) for record in batch.records]

    async def sweep(
        self, first: bytes, last: bytes | None, below: Version, tombstone: Version, limit: int
    ) -> int:
        """Delete what is shown below a version."""
        rows = self.target.rows
        old = (
            key
            for key, row in rows.items()
            if first <= key and (last is None or key < last) and row.version < below and row.image is not None
        )
        swept = list(islice(old, limit))
        if self._clock is None:
            raise InternalError("a sink is opened before its rows are swept")
        now_us = self._clock.now().wall_ms * MILLISECOND
        for key in swept:
            rows[key] = MirrorRow(tombstone, None, now_us)
        return len(swept)

    async def mend(self, batch: RecordBatch, seen: Sequence[Version | None]) -> Sequence[bool]:
        """Compare and set."""
        mended = []
        for record, version in zip(batch.records, seen, strict=True):
            there = self.target.rows.get(record.key)
            mended.append((None if there is None else there.version) == version)
            if mended[-1]:
                self.target.rows[record.key] = _row(record)
        return mended

    async def forget(self, before_us: int, limit: int) -> int:
        """Take away old deletions."""
        rows = self.target.rows
        old = (key for key, row in rows.items() if row.image is None and row.created_us < before_us)
        gone = list(islice(old, limit))
        for key in gone:
            del rows[key]
        return len(gone)


def _row(record: ChangeRecord) -> MirrorRow:
    image = None if record.event_name == "REMOVE" else record.new or b""
    return MirrorRow(record.version, image, record.created_us)


def _digest(image: bytes | None) -> bytes:
    if image is None:
        return b""
    return sha256(orjson.dumps(orjson.loads(image), option=orjson.OPT_SORT_KEYS)).digest()
