"""Handlers as sinks: a call for each change, or a call for a batch.

Rules of this file: a returned value is success and goes to the handler's sink, an exception is failure; which
records failed is told as exactly as the handler's form allows. Coroutines run on the loop; other functions
run in a thread, one hop for a whole run of records. What they recorded on `change.transaction` is committed
before the outcome is told. Made by making.py.
"""

from collections.abc import Awaitable, Callable, Container, Sequence
from collections.abc import Mapping as Names
from contextvars import copy_context
from functools import partial
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from tailrace.app.app import HandlerMapping, is_async
from tailrace.app.change import Batch as ChangeBatch
from tailrace.app.change import Change
from tailrace.app.filtering import Filter
from tailrace.app.record import Record, Records
from tailrace.errors import PortError
from tailrace.ports import Clock, Failed, Failure, FailureKind, Outcome, RecordBatch, Written
from tailrace.runtime.causing import CAUSE
from tailrace.runtime.dependencies import Dependencies
from tailrace.runtime.effects import Effects
from tailrace.runtime.threads import in_thread
from tailrace.sinks.calling import (
    IN_USERS_CODE,
    RAISED,
    answered,
    begin_users_code,
    call_async,
    call_here,
    call_in_thread,
    failure_of,
    is_ours,
)
from tailrace.sinks.outputs import Outputs
from tailrace.streams.record import ChangeRecord
from tailrace.telemetry import PointReached, pass_by

Indexed = tuple[int, Change[Any]]
Handler: TypeAlias = Callable[..., Any]
WRITTEN: Final = Written()
NOTHING: Final[Names[int, object]] = MappingProxyType({})


class Calls:
    """The calls of one batch, in order.

    Guarantee: a change is handed out only when every earlier one of its item has succeeded and is committed.
    """

    def __init__(
        self,
        changes: Sequence[Change[Any]],
        applied: Container[int] = (),
        *,
        marks_all: bool = False,
        returned: Names[int, object] = NOTHING,
    ) -> None:
        self._returned_before = returned
        self._applied = applied
        self._marks_all = marks_all
        self.failures: dict[int, Failure] = {}
        self.values: dict[int, object] = {}
        """What was returned, except None."""
        self.returned: list[Indexed] = []
        """Called with success, and not yet committed."""
        self._changes = changes
        self._next = 0
        self._failed_keys: set[bytes] = set()
        self._uncommitted: set[bytes] = set()

    @property
    def is_over(self) -> bool:
        """Whether every change was called or passed over."""
        return self._next == len(self._changes)

    def take(self) -> Indexed | None:
        """The next change to call; None at the end, or when something must be committed before."""
        while self._next < len(self._changes):
            index, change = self._next, self._changes[self._next]
            key = change.record.key
            if key in self._uncommitted:
                return None
            self._next += 1
            if key in self._failed_keys or index in self._applied:
                continue
            if index not in self._returned_before:
                return index, change
            self.succeeded((index, change), self._returned_before[index])
        return None

    def succeeded(self, indexed: Indexed, value: object = None) -> None:
        """The handler returned."""
        if value is not None:
            self.values[indexed[0]] = value
        if indexed[1].has_transaction or self._marks_all:
            self.returned.append(indexed)
            self._uncommitted.add(indexed[1].record.key)

    def failed(self, index: int, failure: Failure) -> None:
        """The handler raised, or its transaction was not committed."""
        self.failures[index] = failure
        self.values.pop(index, None)
        self._failed_keys.add(self._changes[index].record.key)

    def refused(self, failures: Names[int, Failure]) -> None:
        """The sink did not take what was returned for these: they are not to be committed."""
        self.returned = [indexed for indexed in self.returned if indexed[0] not in failures]
        for index, failure in failures.items():
            self.failed(index, failure)

    def committed(self, failures: dict[int, Failure]) -> None:
        """What was returned is committed, except these."""
        self.returned.clear()
        self._uncommitted.clear()
        for index, failure in failures.items():
            self.failed(index, failure)


class HandlerParts:
    """What sinks of handlers share: the handler, what it needs, where its effects and values go."""

    def __init__(
        self,
        mapping: HandlerMapping,
        effects: Effects,
        reached: PointReached = pass_by,
        needed: Dependencies | None = None,
    ) -> None:
        self._mapping = mapping
        self._needed = needed or Dependencies()
        self._alone = None if mapping.dependencies else mapping.target
        """The handler, where it depends on nothing."""
        self._timeout_s = mapping.timeout_s
        self._is_async = is_async(mapping.target)
        self._filter = filter_of(mapping)
        self._effects = effects
        self._causes = effects.causes
        self._outputs = Outputs(mapping.id, mapping.sink)
        self._reached = reached

    def _changes_of(self, batch: RecordBatch) -> list[Change[Any]]:
        changes, effects = changes_of(self._mapping, batch, self._filter), self._effects
        for change in changes:
            change.tables, change.replay_id = effects.tables, effects.replay_id
        return changes

    def _is_wanted(self, change: Change[Any]) -> bool:
        """Whether to call the handler: writes in this context descend from this change from now on."""
        record, causes = change.record, self._causes
        CAUSE.set(causes.of(record) if record.ancestry else causes.first)
        return self._filter is None or self._filter.judge(change)

    def _returned_before(self, changes: list[Change[Any]]) -> Names[int, object]:
        """By place: what the handler returned of those that wait for their commit alone. They stand in
        `changes` as it left them.
        """
        if not self._effects.returned.kept:  # as nearly always
            return NOTHING
        values: dict[int, object] = {}
        for place, change in enumerate(changes):
            if (before := self._effects.returned.find(change)) is not None:
                changes[place], values[place] = before
        return values

    async def _committed(
        self, returned: Sequence[Indexed], values: Names[int, object] = NOTHING
    ) -> dict[int, Failure]:
        """Commit what these changes recorded, and know it when that alone is to be tried again."""
        failures, kept = await self._effects.apply(returned), self._effects.returned
        for place, change in returned:
            failure = failures.get(place)
            if failure is not None and failure.kind is FailureKind.UNAVAILABLE:
                kept.keep(change, values.get(place))
            else:
                kept.forget(change)
        return failures

    async def open(self, clock: Clock) -> None:
        """Open where the values go, before any handler is called."""
        await self._outputs.open(clock)

    def close(self) -> Awaitable[None]:
        """Close what takes the values."""
        return self._outputs.close()

    def has_returned(self, record: ChangeRecord) -> bool:
        """Whether the handler has returned for this change, and only its commit is to be tried again."""
        return self._effects.returned.has(record)


class HandlerSink(HandlerParts):
    """`@app.on`: the handler is called for one change at a time, in order.

    Guarantee: changes of one item one after the other, each with its transaction committed before the next
               one's call; after a failure the later ones of that item in the batch are not attempted.
    """

    async def write(self, batch: RecordBatch) -> Outcome:
        """Call the handler for every record."""
        changes = self._changes_of(batch)
        is_once = self._effects.marks_all
        applied = await self._effects.applied(changes) if is_once else ()
        returned = self._returned_before(changes)
        calls = Calls(changes, applied, marks_all=is_once, returned=returned)
        handler = self._alone or await provided(self._mapping, self._needed)
        while not calls.is_over:
            if self._is_async:
                await self._call_all(calls, handler)
            else:
                await in_thread(copy_context().run, self._call_all_here, calls, handler)
            self._reached("invoke.done")
            if is_once and calls.returned:
                await self._write_first(batch, calls)
            if calls.returned:
                calls.committed(await self._committed(calls.returned, calls.values))
        if calls.values and not is_once:
            for index, failure in (await self._outputs.write(batch, calls.values)).items():
                calls.failed(index, failure)
        return Failed(calls.failures) if calls.failures else WRITTEN

    async def _write_first(self, batch: RecordBatch, calls: Calls) -> None:
        """With `once=True`: the output before the mark, so that a crash between them repeats it, which its
        sink can tell, and loses none.

        What the sink refuses is written again without calling the handler again.
        """
        values = {place: calls.values[place] for place, _ in calls.returned if place in calls.values}
        try:
            refused = await self._outputs.write(batch, values)
        except PortError as error:
            refused = dict.fromkeys(values, failure_of(error))
        for place, change in calls.returned:
            if place in refused:
                self._effects.returned.keep(change, values[place])
        calls.refused(refused)

    def _call_all_here(self, calls: Calls, handler: Handler) -> None:
        while (indexed := calls.take()) is not None:
            value = None
            try:
                if self._is_wanted(indexed[1]):
                    value = call_here(handler, indexed[1])
            except RAISED as error:
                calls.failed(indexed[0], failure_of(error))
            else:
                calls.succeeded(indexed, value)

    async def _call_all(self, calls: Calls, handler: Handler) -> None:
        begun = begin_users_code()
        try:
            while (indexed := calls.take()) is not None:
                value = None
                try:
                    if self._is_wanted(indexed[1]):
                        value = await answered(handler, indexed[1], timeout_s=self._timeout_s)
                except RAISED as error:
                    if is_ours(error):
                        raise
                    calls.failed(indexed[0], failure_of(error))
                else:
                    calls.succeeded(indexed, value)
        finally:
            IN_USERS_CODE.reset(begun)


class BatchSink(HandlerParts):
    """`@app.batch`: the handler is called with the whole batch, so a failure is the whole batch's."""

    async def write(self, batch: RecordBatch) -> Outcome:
        """Call the handler once."""
        every = self._changes_of(batch)
        before = self._returned_before(every)
        changes = [change for place, change in enumerate(every) if place not in before] if before else every
        handler = self._alone or await provided(self._mapping, self._needed)
        try:
            if self._filter is not None:
                changes = [change for change in changes if self._filter.judge(change)]
            if changes:
                CAUSE.set(self._causes.of_batch(batch.records))
                form = Records if self._mapping.table.is_data else ChangeBatch
                change_batch = form(changes, batch.shard_id, batch.attempt)
                if self._is_async:
                    value = await call_async(handler, change_batch, timeout_s=self._timeout_s)
                else:
                    value = await call_in_thread(handler, change_batch)
                if value is not None:
                    self._outputs.nowhere(value)
        except RAISED as error:
            if is_ours(error):
                raise
            return Failed(whole=failure_of(error))
        self._reached("invoke.done")
        recorded = [
            (place, change)
            for place, change in enumerate(every)
            if change.recorded is not None and change.has_transaction
        ]
        if not recorded:
            return WRITTEN
        failures = await self._committed(recorded)
        return Failed(failures) if failures else WRITTEN


async def provided(mapping: HandlerMapping, needed: Dependencies) -> Handler:
    """The handler with what it depends on. Raises: Unavailable when a provider fails."""
    if not mapping.dependencies:
        return mapping.target
    return partial(mapping.target, **await needed.resolve(mapping.dependencies))


def changes_of(mapping: HandlerMapping, batch: RecordBatch, judged: Filter | None) -> list[Change[Any]]:
    """The records of a batch as the handler is given them. Shape: `judged` is the mapping's own filter."""
    stream = batch.stream
    if judged is not None:
        return [judged.take(record, stream.region) for record in batch.records]
    form: type[Change[Any]] = Record if mapping.table.is_data else Change
    return [form(record, stream.table, mapping.entity, stream.region) for record in batch.records]


def filter_of(mapping: HandlerMapping) -> Filter | None:
    """The mapping's own filter, when it may have left something to be judged here."""
    accepts = mapping.settings.accepts
    return accepts if isinstance(accepts, Filter) else None
