"""What handlers were given and what they said, noted beside them for the test world.

Rules of this file: it changes nothing of what a sink says. A change counts as delivered when its handler
returned and its sink accepted it; with a mark (`once=True`, `change.transaction`) when the mark is durable,
whatever died around it. Called by world.py.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from collections.abc import Mapping as Rows
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Final, Protocol

from tailrace.app.app import HandlerMapping, is_async
from tailrace.app.change import Batch as ChangeBatch
from tailrace.app.change import Change
from tailrace.errors import SinkOutage
from tailrace.leases.checkpoint import mark_key
from tailrace.ports import Clock, Failed, FailedFrom, Failure, Outcome, RecordBatch, Sink, Written
from tailrace.runtime.effects import LIVE
from tailrace.sinks.function import HandlerParts
from tailrace.streams.record import ChangeRecord
from tailrace.streams.version import NOTHING, row_version
from tailrace.testing.journal import Journal, named

NOTED: Final = ("on", "batch")
"""Kinds of handlers whose calls are noted; of the others only what their sinks say is known."""


class Marks(Protocol):
    """Where marks are looked up: the engine's state."""

    def get(self, key: str) -> Rows[str, Any] | None:
        """The fields of one row of state."""


@dataclass(slots=True)
class Deliveries:
    """Everything that one handler was given.

    Shape:   by sequence number, except `delivered` and `raised`, in order of time. `called` says whether
             a call that returned recorded a transaction; `cut` are attempts that a death cut off.
    """

    delivered: list[Change[Any]] = field(default_factory=list)
    attempts: Counter[int] = field(default_factory=Counter)
    failures: dict[int, Failure] = field(default_factory=dict)
    called: dict[int, bool] = field(default_factory=dict)
    raised: list[tuple[str, Exception]] = field(default_factory=list)
    cut: list["Cut"] = field(default_factory=list)

    def resolve(self, marks: Marks) -> None:
        """Judge what was cut off by what is durable now; a mark speaks for all attempts at a change."""
        counted = {_identity(change) for change in self.delivered} if self.cut else set()
        for cut in self.cut:
            if cut.mark is not None and _identity(cut.change) in counted:
                continue
            if cut.is_applied(marks):
                self.delivered.append(cut.change)
                counted.add(_identity(cut.change))
        self.cut.clear()


@dataclass(frozen=True, slots=True)
class Cut:
    """A change whose attempt was cut off.

    Shape:   `mark` is the row that says it was applied; None: a call that returned was.
    """

    change: Change[Any]
    mark: str | None

    def is_applied(self, marks: Marks) -> bool:
        """Whether its effect was applied all the same."""
        return self.mark is None or _reaches(marks, self.mark, self.change.record)


def _identity(change: Change[Any]) -> tuple[int, int]:
    return change.record.shard, change.record.sequence


def _reaches(marks: Marks, key: str, record: ChangeRecord) -> bool:
    row = marks.get(key)
    return row is not None and (row_version(row) or NOTHING) >= record.version


class WorldObserver:
    """Notes of every handler of a world."""

    def __init__(self) -> None:
        self._notes: dict[str, Deliveries] = {}

    def notes(self, handler: str) -> Deliveries:
        """The notes of one handler, empty when it was never called."""
        return self._notes.setdefault(handler, Deliveries())

    def everything(self) -> Iterable[Deliveries]:
        """The notes of all of them."""
        return self._notes.values()

    def resolve(self, marks: Marks) -> None:
        """An engine is opened: what was cut off before is judged by it."""
        for notes in self._notes.values():
            notes.resolve(marks)


class ObservingSink:
    """A sink, and notes of what it was given."""

    def __init__(
        self, sink: Sink, mapping: HandlerMapping, deliveries: Deliveries, marks: Marks, mark_name: str
    ) -> None:
        self.sink = sink
        self._mapping = mapping
        self._deliveries = deliveries
        self._marks = marks
        self._mark_name = mark_name

    async def open(self, clock: Clock) -> None:
        """Not noted."""
        await self.sink.open(clock)

    async def write(self, batch: RecordBatch) -> Outcome:
        """What the sink says."""
        notes, table = self._deliveries, batch.stream.table
        fresh = [record for record in batch.records if not self._is_marked(record, table)]
        if self._mapping.kind == "projection":  # it ignores what it has applied
            applied = {change.record.sequence for change in notes.delivered}
            fresh = [record for record in fresh if record.sequence not in applied]
        returning = self.sink if isinstance(self.sink, HandlerParts) else None
        for record in batch.records:
            if returning is None or not returning.has_returned(record):
                notes.called.pop(record.sequence, None)  # else its call of before is the one that counts
        notes.attempts.update(record.sequence for record in batch.records)
        try:
            outcome = await self.sink.write(batch)
        except BaseException:  # a death or a cancellation: judged when the world goes on
            notes.cut += [self._cut(record, table) for record in fresh if record.sequence in notes.called]
            raise
        accepted = {batch.records[index].sequence for index in accepted_by(outcome, batch)}
        for record in fresh:
            is_applied = record.sequence in accepted or self._has_applied(record)
            if is_applied and self._was_called(record):
                notes.delivered.append(Change(record, table, self._mapping.entity))
        self._note_failures(outcome, batch)
        return outcome

    def close(self) -> Awaitable[None]:
        """Not noted."""
        return self.sink.close()

    def _was_called(self, record: ChangeRecord) -> bool:
        return self._mapping.kind not in NOTED or record.sequence in self._deliveries.called

    def _has_applied(self, record: ChangeRecord) -> bool:
        """Whether the returned call is all of the effect: no mark, no output; a time-out came too late."""
        is_marked = self._mapping.once or self._deliveries.called.get(record.sequence, True)
        return not is_marked and self._mapping.sink is None

    def _cut(self, record: ChangeRecord, table: str) -> Cut:
        is_marked = self._mapping.once or self._deliveries.called[record.sequence]
        return Cut(
            Change(record, table, self._mapping.entity), self._mark(record, table) if is_marked else None
        )

    def _mark(self, record: ChangeRecord, table: str) -> str:
        return mark_key(self._mark_name, LIVE, table, record.key)

    def _is_marked(self, record: ChangeRecord, table: str) -> bool:
        return _reaches(self._marks, self._mark(record, table), record)

    def _note_failures(self, outcome: Outcome, batch: RecordBatch) -> None:
        failures = self._deliveries.failures
        match outcome:
            case Failed(failed, whole):
                for index, failure in failed.items():
                    failures[batch.records[index].sequence] = failure
                if whole is not None:
                    failures.update((record.sequence, whole) for record in batch.records)
            case FailedFrom(index, failure):
                failures[batch.records[index].sequence] = failure


def noted(mapping: HandlerMapping, notes: Deliveries, journal: Journal) -> Callable[..., Any]:
    """A handler, and notes of its calls: which changes it returned for, and what it raised."""
    target, words = mapping.target, mapping.id

    def begins(argument: Change[Any] | ChangeBatch[Any]) -> None:
        if journal.on_call is not None:
            journal.on_call(words, argument)

    def returned(argument: Change[Any] | ChangeBatch[Any]) -> None:
        for change in (argument,) if isinstance(argument, Change) else argument:
            notes.called[change.record.sequence] = change.has_transaction

    def raised(argument: Change[Any] | ChangeBatch[Any], error: Exception) -> None:
        keys = named([argument.key] if isinstance(argument, Change) else (change.key for change in argument))
        journal.note("{} ← {} raises {}", words, keys, repr(error))
        if not isinstance(error, SinkOutage):
            notes.raised.append((f"{words} ← {keys}", error))

    @wraps(target)
    def call(argument: Any, **needed: Any) -> Any:
        begins(argument)
        try:
            answer = target(argument, **needed)
        except Exception as error:  # whatever the user's code raises, it is only noted here
            raised(argument, error)
            raise
        returned(argument)
        return answer

    @wraps(target)
    async def call_async(argument: Any, **needed: Any) -> Any:
        begins(argument)
        try:
            answer = await target(argument, **needed)
        except Exception as error:  # whatever the user's code raises, it is only noted here
            raised(argument, error)
            raise
        returned(argument)
        return answer

    return call_async if is_async(target) else call


def accepted_by(outcome: Outcome, batch: RecordBatch) -> set[int]:
    """The records of a batch that a sink accepted, by their index.

    Guarantee: as the port says, nothing of a key is accepted after a failed record of that key.
    """
    match outcome:
        case Written():
            return set(range(len(batch.records)))
        case FailedFrom(index):
            return set(range(index))
        case Failed(_, whole) if whole is not None:
            return set()
        case Failed(failures):
            failed_keys: set[bytes] = set()
            accepted: set[int] = set()
            for index, record in enumerate(batch.records):
                if index in failures:
                    failed_keys.add(record.key)
                elif record.key not in failed_keys:
                    accepted.add(index)
            return accepted
