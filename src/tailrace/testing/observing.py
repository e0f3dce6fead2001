"""What handlers were given and what they said, noted beside them for the test world.

Rules of this file: it changes nothing of what a sink says. A change counts as delivered when its handler accepted it and its
recorded transaction was not already applied before. Called by world.py.
"""

from collections import Counter
from collections.abc import Mapping as Rows
from dataclasses import dataclass, field
from typing import Any, Protocol

from tailrace.app.change import Change
from tailrace.app.entity import Entity
from tailrace.leases.checkpoint import mark_key
from tailrace.ports import Batch, Failed, FailedFrom, Failure, Outcome, Sink, Written
from tailrace.runtime.effects import LIVE
from tailrace.streams.record import ChangeRecord


class Marks(Protocol):
    """Where marks are looked up: the engine."""

    def state_get(self, key: str) -> Rows[str, Any] | None:
        """The fields of one row of state."""


@dataclass(slots=True)
class Deliveries:
    """Everything that one handler was given. Shape: `failures` by sequence number: the last one of each change."""

    delivered: list[Change[Any]] = field(default_factory=list)
    attempts: Counter[int] = field(default_factory=Counter)
    failures: dict[int, Failure] = field(default_factory=dict)


class ObservingSink:
    """A sink, and notes of what it was given."""

    def __init__(
        self,
        sink: Sink,
        deliveries: Deliveries,
        marks: Marks,
        mark_name: str,
        entity: Entity[Any] | None = None,
    ) -> None:
        self.sink = sink
        self._deliveries = deliveries
        self._marks = marks
        self._mark_name = mark_name
        self._entity = entity

    @property
    def suppressed(self) -> int:
        """Recorded transactions that were applied before."""
        found: int = getattr(self.sink, "suppressed", 0)
        return found

    async def write(self, batch: Batch) -> Outcome:
        """What the sink says."""
        table = batch.stream.table
        fresh = [not self._is_marked(record, table) for record in batch.records]
        self._deliveries.attempts.update(record.sequence for record in batch.records)
        outcome = await self.sink.write(batch)
        accepted = accepted_by(outcome, batch)
        for index, record in enumerate(batch.records):
            if index in accepted and fresh[index]:
                self._deliveries.delivered.append(Change(record, table, self._entity))
        self._note_failures(outcome, batch)
        return outcome

    def _is_marked(self, record: ChangeRecord, table: str) -> bool:
        mark = self._marks.state_get(mark_key(self._mark_name, LIVE, table, record.key))
        return mark is not None and bool(mark["sequence"] >= record.sequence)

    def _note_failures(self, outcome: Outcome, batch: Batch) -> None:
        failures = self._deliveries.failures
        match outcome:
            case Failed(found, whole):
                for index, failure in found.items():
                    failures[batch.records[index].sequence] = failure
                if whole is not None:
                    failures.update((record.sequence, whole) for record in batch.records)
            case FailedFrom(index, failure):
                failures[batch.records[index].sequence] = failure


def accepted_by(outcome: Outcome, batch: Batch) -> set[int]:
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
