"""A table's or an entity's changes on their way to a sink: transformed, enriched, or as they are.

Theory of operation: `transform` turns each change into a value (None: nothing is written; a list: several),
`enrich` is then given the values of the whole batch at once and answers with as many. Transform, enrichment
and write are one attempt: what fails is retried like any handler. A mirror shows items: one that `where` does
not want any more, or that `transform` makes nothing of, is deleted there as of that change.
Rules of this file: failures are told by the record that they come from. Declared by `app.sink(Order, …)`,
made by making.py.
"""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from msgspec.structs import replace

from tailrace.app.app import HandlerMapping
from tailrace.app.change import Change
from tailrace.app.filtering import StateFilter
from tailrace.app.sinking import whole
from tailrace.errors import InternalError
from tailrace.ports import Clock, Failed, FailedFrom, Failure, Outcome, RecordBatch, Written
from tailrace.runtime.causing import CAUSE, Causes
from tailrace.runtime.preparing import Prepared
from tailrace.sinks.calling import RAISED, call, caller, failure_of, is_ours
from tailrace.sinks.function import changes_of, filter_of
from tailrace.sinks.law import tombstone
from tailrace.streams.record import ChangeRecord
from tailrace.telemetry import PointReached, pass_by

WRITTEN: Final = Written()


class StreamedSink:
    """The sink of a mapping without a handler."""

    def __init__(
        self, mapping: HandlerMapping, reached: PointReached = pass_by, causes: Causes | None = None
    ) -> None:
        if mapping.sink is None:
            raise InternalError(f"{mapping.id!r} is a sink without one")
        self._mapping = mapping
        self._filter = filter_of(mapping)
        self._transform = None if mapping.transform is None else caller(mapping.transform)
        self._sink = whole(mapping.sink)
        self._is_mirror = mapping.is_mirror
        self._makes_values = self._transform is not None or mapping.enrich is not None
        self._causes = causes or Causes(mapping.id)
        self._reached = reached

    async def open(self, clock: Clock) -> None:
        """Open the wrapped sink."""
        await self._sink.open(clock)

    async def write(self, batch: RecordBatch) -> Outcome:
        """Transform what is to be transformed and write it. A batch with a position is written whole or not
        at all: a change that cannot be transformed fails it.
        """
        CAUSE.set(self._causes.of_batch(batch.records))
        prepared = await self.prepared(batch)
        if prepared.whole is not None:
            return Failed(whole=prepared.whole)
        if prepared.batch is batch:
            outcome = await self._sink.write(batch)
            self._reached("invoke.done")
            return outcome
        failures = dict(prepared.failures)
        if (not failures) if batch.position is not None else prepared.batch.records:
            _merge(failures, await self._sink.write(prepared.batch), prepared.places)
        self._reached("invoke.done")
        return Failed(dict(sorted(failures.items()))) if failures else WRITTEN

    async def prepared(self, batch: RecordBatch) -> Prepared:
        """What would be written of a batch. As `Prepares.prepared`."""
        if batch.position is not None and not batch.records:
            return Prepared(batch, ())
        if not (self._makes_values or self._is_judged(batch)):
            return Prepared(batch, range(len(batch.records)))
        failures: dict[int, Failure] = {}
        rows = await self._transformed(batch, failures)
        present = [row for row in rows if not row.is_deletion]
        enrich = self._mapping.enrich
        if enrich is not None and present:
            try:
                enriched = _as_many(await call(enrich, [row.value for row in present]), len(present))
            except RAISED as error:
                if is_ours(error):
                    raise
                return Prepared(replace(batch, records=(), values=()), (), failures, failure_of(error))
            for row, value in zip(present, enriched, strict=True):
                row.value = value
        values = tuple(row.value for row in rows) if self._makes_values else None
        prepared = replace(batch, records=[row.record for row in rows], values=values)
        return Prepared(prepared, [row.place for row in rows], failures)

    def _is_judged(self, batch: RecordBatch) -> bool:
        """Whether the filter is still to be asked of something of a batch."""
        if self._filter is None:
            return False
        return batch.is_snapshot or isinstance(self._filter, StateFilter) or self._filter.doubts

    def close(self) -> Awaitable[None]:
        """Close the wrapped sink."""
        return self._sink.close()

    async def _transformed(self, batch: RecordBatch, failures: dict[int, Failure]) -> list["_Row"]:
        rows: list[_Row] = []
        failed_keys: set[bytes] = set()
        for place, change in enumerate(changes_of(self._mapping, batch, self._filter)):
            record = change.record
            if record.key in failed_keys:
                continue
            try:
                returned = await self._values_of(change, is_snapshot=batch.is_snapshot)
            except RAISED as error:
                if is_ours(error):
                    raise
                failures[place] = failure_of(error)
                failed_keys.add(record.key)
                continue
            if not returned and self._is_mirror and (record.event_name != "INSERT" or not batch.is_snapshot):
                # Of a scan what is not wanted is left out: the sweep deletes its row, if there is one. Of an
                # incremental export it is deleted here: the full one may have brought it.
                rows.append(_Row(place, tombstone(record), None, is_deletion=True))
            rows += [_Row(place, record, value) for value in returned]
        return rows

    async def _values_of(self, change: Change[Any], *, is_snapshot: bool) -> list[Any]:
        """What is written of a change; of a mirror nothing: its item is not there after it. Raises: what
        `where` and `transform` raise.
        """
        if self._is_mirror and change.event_name == "REMOVE":
            return []
        if not self._wants(change, is_snapshot=is_snapshot):
            return []
        value = change if self._transform is None else await self._transform(change)
        return value if isinstance(value, list) else [] if value is None else [value]

    def _wants(self, change: Change[Any], *, is_snapshot: bool) -> bool:
        """Whether a change goes to the sink. Raises: what `where` raises."""
        if self._filter is None:
            return True
        if is_snapshot:
            return self._filter.wants(change)
        return (
            self._filter.keeps(change)
            if isinstance(self._filter, StateFilter)
            else self._filter.judge(change)
        )


@dataclass(slots=True)
class _Row:
    """One value on its way. Shape: `place` of its record in the batch."""

    place: int
    record: ChangeRecord
    value: Any
    is_deletion: bool = False


def _as_many(returned: Any, count: int) -> list[Any]:
    if not isinstance(returned, list | tuple) or len(returned) != count:
        answer = f"{len(returned)} values" if isinstance(returned, list | tuple) else type(returned).__name__
        raise TypeError(
            f"enrich was given {count} values and answered {answer}: it answers with as many, in order"
        )
    return list(returned)


def _merge(failures: dict[int, Failure], outcome: Outcome, places: Sequence[int]) -> None:
    match outcome:
        case FailedFrom(index, failure):
            failed = dict.fromkeys(range(index, len(places)), failure)
        case Failed(_, whole) if whole is not None:
            failed = dict.fromkeys(range(len(places)), whole)
        case Failed(by_index):
            failed = dict(by_index)
        case _:
            return
    for index, failure in failed.items():
        failures.setdefault(places[index], failure)
