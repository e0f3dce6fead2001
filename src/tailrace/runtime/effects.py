"""Committing what handlers recorded on `change.transaction`, once for each change.

Rules of this file: the writes and the mark of the change are one transaction; a mark that is there already
means that they were applied, by this worker or by one before it. Effects of one item are applied in order,
those of different items share a commit. A commit that the store refuses is to be tried again without the
handler: `returned` keeps what is needed. Called by sinks/function.py. Source: architecture §5.1, §5.2.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from tailrace.app.change import Change
from tailrace.app.table import Table
from tailrace.app.transaction import NO_TABLES
from tailrace.errors import ApiError, StateConflict, StoreError
from tailrace.leases.checkpoint import mark_key, mark_write
from tailrace.ports import Clock, Failure, FailureKind, ItemWrite, StateStore
from tailrace.runtime.attempts import Tally
from tailrace.runtime.causing import CAUSE, Causes
from tailrace.streams.record import ChangeRecord
from tailrace.streams.version import NOTHING, row_version
from tailrace.telemetry import PointReached, pass_by

LIVE: Final = "live"
REPLAY_RUN: Final = "replay-"
"""What the ids of runs of `tailrace replay` begin with."""
SEVERAL_WRITES: Final = "multiple operations on one item"
MOST_RETURNED: Final = 10_000
"""Changes that wait for their commit alone; a machine has fewer of them on their way."""


class Returned:
    """Changes whose handler has returned, and whose marks could not be written: the mark is tried again, not
    the handler.

    Shape:   `kept` by item and sequence number, each with what the handler returned. It lasts as long as the
             process does.
    """

    __slots__ = ("kept",)

    def __init__(self) -> None:
        self.kept: dict[tuple[bytes, int], tuple[Change[Any], object]] = {}

    def keep(self, change: Change[Any], value: object = None) -> None:
        """Its commit failed for no fault of its own. The oldest is forgotten beyond the bound: it is handled
        again.
        """
        if len(self.kept) >= MOST_RETURNED:
            del self.kept[next(iter(self.kept))]
        self.kept[_name(change)] = (change, value)

    def find(self, change: Change[Any]) -> tuple[Change[Any], object] | None:
        """The change as the handler left it, and what it returned; None when it is to be called."""
        return self.kept.get(_name(change))

    def has(self, record: ChangeRecord) -> bool:
        """Whether this change waits for its commit alone."""
        return (record.key, record.sequence) in self.kept

    def forget(self, change: Change[Any]) -> None:
        """It is committed, or its handler is to be called again."""
        if self.kept:
            self.kept.pop(_name(change), None)


def _told(error: ApiError) -> str:
    """What the endpoint says of the writes, and what helps where two of them name one item all the same."""
    words = f"change.transaction: {error.code}: {error.message}"
    if SEVERAL_WRITES not in (error.message or ""):
        return words
    return (
        f"{words}; writes of one item are made one where its key is known: declare its table with "
        "app.table(…)"
    )


def _name(change: Change[Any]) -> tuple[bytes, int]:
    return change.record.key, change.record.sequence


class Marking(Struct, frozen=True):
    """How the marks of one mapping are kept. Shape: under this name, of this run; of all changes
    (`once=True`) or of those with recorded writes.
    """

    name: str
    run_id: str = LIVE
    marks_all: bool = False
    by_partition: bool = False
    """Records have the key of their partition. Marks are of items all the same: a partition may be spread
    over shards, whose numbers say nothing about each other.
    """


class Effects:
    """The recorded writes of one mapping. Shape: the tally's `suppressed` counts transactions that were
    applied before.
    """

    def __init__(
        self,
        state: StateStore,
        marking: Marking,
        *,
        clock: Clock | None = None,
        reached: PointReached = pass_by,
        tally: Tally | None = None,
        cause: str = "",
        tables: Mapping[str, Table] = NO_TABLES,
    ) -> None:
        self.tables = tables
        """What the app declares."""
        self.causes = Causes(cause or marking.name)
        self._clock = clock
        self.marks_all = marking.marks_all
        """Whether every change leaves a mark (`once=True`), or only one with recorded writes."""
        self.replay_id = marking.run_id if marking.run_id.startswith(REPLAY_RUN) else None
        """The run, where its changes are replayed."""
        self._state = state
        self._marking = marking
        self._reached = reached
        self.tally = tally or Tally()
        self.returned = Returned()

    async def apply(self, changes: Sequence[tuple[int, Change]]) -> dict[int, Failure]:
        """Commit what these changes recorded; returns the failures by the index that came with the change."""
        recorded: dict[bytes, list[tuple[int, Change]]] = {}
        for index, change in changes:
            if change.has_transaction or self.marks_all:
                recorded.setdefault(change.record.key, []).append((index, change))
        if not recorded:
            return {}
        outcomes = await asyncio.gather(
            *(self._apply_in_order(item_changes) for item_changes in recorded.values())
        )
        self._reached("transaction.done")
        return {index: failure for failures in outcomes for index, failure in failures.items()}

    async def applied(self, changes: Sequence[Change]) -> set[int]:
        """The places of changes that were applied before; they count as suppressed."""
        marks = await asyncio.gather(*(self._state.get(self._mark(change)) for change in changes))
        applied = {
            place
            for place, (change, mark) in enumerate(zip(changes, marks, strict=True))
            if mark is not None and (row_version(mark.fields) or NOTHING) >= change.record.version
        }
        self.tally.suppressed += len(applied)
        return applied

    def _mark(self, change: Change) -> str:
        record = change.record
        key = record.key + record.keys if self._marking.by_partition else record.key
        return mark_key(self._marking.name, self._marking.run_id, change.table, key)

    async def _apply_in_order(self, changes: Sequence[tuple[int, Change]]) -> dict[int, Failure]:
        for index, change in changes:
            failure = await self._apply_one(change)
            if failure is not None:
                return {index: failure}
        return {}

    async def _apply_one(self, change: Change) -> Failure | None:
        writes: list[ItemWrite] = []
        if change.has_transaction:
            ancestry = self.causes.of(change.record)
            CAUSE.set(ancestry)  # an adapter to another endpoint tells it that
            writes = [replace(write, ancestry=ancestry) for write in change.transaction.writes]
        now_ms = 0 if self._clock is None else self._clock.now().wall_ms
        mark = mark_write(self._mark(change), change.record.version, now_ms)
        try:
            await self._state.transact([mark, *writes])
        except StateConflict:
            self.tally.suppressed += 1
        except ApiError as error:
            return Failure(FailureKind.RECORD, _told(error))
        except StoreError as error:
            return Failure(FailureKind.UNAVAILABLE, str(error))
        return None
