"""A mirror in a database that speaks SQL: everything that a sink is asked, as transactions of the core.

Theory of operation: what a batch comes to is decided by `changes.py`, what is done by the steps of the other
modules; a database's own class carries them out (`_carry_out`). What the database refuses for a row's own
content it refuses for the whole transaction, so the rows are halved until it is known which one it was; it
fails by its index, and the others are written. A commit with a position is all or nothing.
Rules of this file: no SQL, no connection.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Final, TypeVar

from tailrace.errors import InternalError, Refused
from tailrace.ports import Clock, Failure, Outcome, RecordBatch, SinkRow, TargetPosition, Written
from tailrace.sinks.messages import Failures
from tailrace.sinks.sql import comparing, positions
from tailrace.sinks.sql.catalog import SinkCatalog
from tailrace.sinks.sql.changes import KeyedChange, are_new, item_of, rows_of
from tailrace.sinks.sql.dialect import NEWER, NONE_THERE
from tailrace.sinks.sql.statements import Begin, NotNew, Steps, TakenBack
from tailrace.sinks.sql.writing import put
from tailrace.streams.record import MILLISECOND
from tailrace.streams.version import Version
from tailrace.values.types import Item

T = TypeVar("T")
GUARDED: Final = 16
"""Batches of new items that are put as others after one of which a row was there: of a stream that is read
again they all are.
"""


class SqlSink(ABC):
    """The part of a SQL sink that all databases share.

    Shape:   `conflicts` counts, by attribute, the values that had no place in their columns since the sink
             was made: they stand in `_extra`.
    """

    conflicts: Counter[str]
    _clock: Clock | None
    _batches_guarded = 0

    @property
    def tells_repeats(self) -> bool:
        """Whether a repeated change has no effect: its condition fails."""
        return True

    @property
    @abstractmethod
    def catalog(self) -> SinkCatalog:
        """The tables of this sink."""

    @abstractmethod
    async def _carry_out(self, begin: Begin[T], *, alone: bool = False) -> T:
        """Carry steps out in one transaction; what they raise takes it back. With `alone` the sink's tables
        are nobody else's meanwhile. Raises: Unavailable; Refused for a row's content.
        """

    @abstractmethod
    async def open(self, clock: Clock) -> None:
        """Connect. Raises: Unavailable, SettingsError."""

    @abstractmethod
    def close(self) -> Awaitable[None]:
        """Give everything back."""

    def _now_us(self) -> int:
        """Now, by the sink's clock. Units: µs since the epoch."""
        if self._clock is None:
            raise InternalError("a sink is opened before its rows are swept")
        return self._clock.now().wall_ms * MILLISECOND

    def item_of(self, batch: RecordBatch, place: int) -> Item | None:
        """The item of one change as DynamoDB has it, None for a deletion; override it. Raises: SinkError for
        one that has no row.
        """
        return item_of(batch, place)

    def _rows_of(self, batch: RecordBatch, failures: Failures) -> list[KeyedChange]:
        """The rows of a batch; images are not decoded here, unless `item_of` was overridden."""
        is_own = type(self).item_of is not SqlSink.item_of
        return rows_of(batch, self.item_of if is_own else None, failures)

    # ---- writing -------------------------------------------------------------------------------------------

    async def write(self, batch: RecordBatch) -> Outcome:
        """Write the batch in one transaction, without those that cannot be written. Raises: Unavailable,
        SettingsError.
        """
        failures = Failures()
        rows = self._rows_of(batch, failures)
        await self._write(batch, rows, failures)
        return failures.outcome

    async def _write(self, batch: RecordBatch, rows: Sequence[KeyedChange], failures: Failures) -> None:
        if not rows:
            return
        try:
            conflicts = await self._guarded(batch, rows, partial(self._put, batch, rows))
        except Refused as error:
            if len(rows) > 1:
                middle = len(rows) // 2
                await self._write(batch, rows[:middle], failures)
                await self._write(batch, rows[middle:], failures)
                return
            failures.add_record(rows[0].place, rows[0].record, Failure(error=str(error), final=True))
            return
        self.conflicts.update(conflicts)

    def _put(
        self, batch: RecordBatch, rows: Sequence[KeyedChange], guard: str, alone: bool
    ) -> Steps[Mapping[str, int]]:
        return put(self.catalog, rows, batch.stream.table, alone=alone, guard=guard)

    async def _guarded(
        self, batch: RecordBatch, rows: Sequence[KeyedChange], put_by: Callable[[str, bool], Steps[T]]
    ) -> T:
        """Carry out what writes these rows: as new ones, if they may be, or under the guard."""
        if self.catalog.dialect.loads_new and are_new(batch, rows):
            if not self._batches_guarded:
                try:
                    return await self._carry_out(partial(put_by, NONE_THERE))
                except NotNew:
                    self._batches_guarded = GUARDED
            else:
                self._batches_guarded -= 1
        return await self._carry_out(partial(put_by, NEWER))

    # ---- Versioned -----------------------------------------------------------------------------------------

    async def sources(self) -> Mapping[str, int]:
        """Which generation each source is whose changes are there. Raises: Unavailable."""
        return await self._carry_out(lambda _: self.catalog.sources())

    async def keep_sources(self, sources: Mapping[str, int]) -> None:
        """Keep these too. Raises: SettingsError naming source and numbers; Unavailable."""
        await self._carry_out(lambda _: self.catalog.keep_sources(sources), alone=True)

    # ---- Mirror --------------------------------------------------------------------------------------------

    async def rows(self, after: bytes, limit: int) -> Sequence[SinkRow]:
        """The next rows, in the order of their keys. Raises: Unavailable."""
        return await self._carry_out(lambda _: comparing.rows_after(self.catalog, after, limit))

    async def digests(self, batch: RecordBatch) -> Sequence[bytes]:
        """What the digests of these rows are once they are written. Raises: SinkError for a change that has
        no row.
        """
        items = [self.item_of(batch, place) for place in range(len(batch.records))]
        return [comparing.digest(self.catalog.dialect, item) for item in items]

    async def sweep(
        self, first: bytes, last: bytes | None, below: Version, tombstone: Version, limit: int
    ) -> int:
        """Delete what is shown below a version; the time of the deletion is the sink's clock's. Raises:
        Unavailable.
        """
        begin = partial(comparing.swept, self.catalog, (first, last), below, tombstone, limit, self._now_us())
        return await self._carry_out(lambda _: begin(), alone=True)

    async def mend(self, batch: RecordBatch, seen: Sequence[Version | None]) -> Sequence[bool]:
        """Compare and set. Raises: Unavailable, SinkError."""
        records = batch.records
        rows = [
            KeyedChange(record.key, record, self.item_of(batch, place), place)
            for place, record in enumerate(records)
        ]
        begin = partial(comparing.mended, self.catalog, rows, seen, batch.stream.table)
        return await self._carry_out(lambda _: begin(), alone=True)

    async def forget(self, before_us: int, limit: int) -> int:
        """Take away old deletions. Raises: Unavailable."""
        begin = partial(comparing.forgotten, self.catalog, before_us, limit)
        return await self._carry_out(lambda _: begin(), alone=True)

    # ---- Transactional -------------------------------------------------------------------------------------

    async def positions(self, mapping_id: str) -> Sequence[TargetPosition]:
        """What the target has of a mapping. Raises: Unavailable."""
        return await self._carry_out(lambda _: positions.positions(self.catalog, mapping_id))

    async def stamp(self, mapping_id: str, stream: str, shard_id: str, epoch: int) -> TargetPosition:
        """Raise the epoch. Raises: LeaseLost, Unavailable."""
        begin = partial(positions.stamped, self.catalog, mapping_id, stream, shard_id, epoch)
        return await self._carry_out(lambda _: begin())

    async def put_position(self, mapping_id: str, position: TargetPosition) -> None:
        """Write a position as told. Raises: LeaseLost, Unavailable."""
        begin = partial(positions.put_back, self.catalog, mapping_id, position)
        await self._carry_out(lambda _: begin())

    async def commit(self, batch: RecordBatch, position: TargetPosition) -> Outcome:
        """Write rows and position, or neither. Raises: LeaseLost, Unavailable, SettingsError."""
        failures = Failures()
        rows = self._rows_of(batch, failures)
        if failures.by_place:
            return failures.outcome
        try:
            conflicts = await self._guarded(batch, rows, partial(self._committed, batch, rows, position))
        except Refused:
            await self._find(batch, rows, failures)
            if not failures.by_place:
                raise
            return failures.outcome
        self.conflicts.update(conflicts)
        return Written()

    def _committed(
        self,
        batch: RecordBatch,
        rows: Sequence[KeyedChange],
        position: TargetPosition,
        guard: str,
        alone: bool,
    ) -> Steps[Mapping[str, int]]:
        if (yield from positions.is_committed(self.catalog, batch.mapping_id, position)):
            return {}
        conflicts = yield from self._put(batch, rows, guard, alone)
        changes = len({record.sequence for record in batch.records})
        yield from positions.advanced(self.catalog, batch.mapping_id, position, changes)
        return conflicts

    async def _find(self, batch: RecordBatch, rows: Sequence[KeyedChange], failures: Failures) -> None:
        """Which rows the database refuses; nothing of them is written."""
        if not rows:
            return
        try:
            await self._carry_out(partial(self._tried, batch, rows))
        except TakenBack:
            return
        except Refused as error:
            if len(rows) > 1:
                middle = len(rows) // 2
                await self._find(batch, rows[:middle], failures)
                await self._find(batch, rows[middle:], failures)
                return
            failures.add_record(rows[0].place, rows[0].record, Failure(error=str(error), final=True))
        else:
            raise InternalError("a transaction that was only tried was committed")

    def _tried(self, batch: RecordBatch, rows: Sequence[KeyedChange], alone: bool) -> Steps[None]:
        yield from self._put(batch, rows, NEWER, alone)
        raise TakenBack
