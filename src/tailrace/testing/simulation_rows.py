"""The durable rows of a simulated world: what a state store is, in one moment and without failing.

Rules of this file: all or nothing, conditions included, as `StateStore.transact` promises; that a store fails
or is slow is simulation.py's matter. `perform` is the interpreter of steps for ports that answer in one
moment.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, takewhile
from typing import Any, Final, TypeVar

from tailrace.deadletters.core.entry import deadletter_key, parked_prefix, read_deadletter
from tailrace.deadletters.core.head import Head, head_key, head_prefix, read_head
from tailrace.deadletters.core.passed import passed_key, read_passed
from tailrace.deadletters.core.redriving import ReadHead, ReadLetter, ReadOldest, ReadPassed, Step, WriteRows
from tailrace.errors import InternalError, StateConflict
from tailrace.leases.checkpoint import CheckpointRow, Ledger, checkpoint_key, ledger_key, ledger_of
from tailrace.ports import StreamRef
from tailrace.rows.bounds import bounded
from tailrace.rows.kinds import CHECKPOINT
from tailrace.rows.writes import StateRow, Write, holds
from tailrace.runtime.steps import AskTime, Call, Get, QueryRows, ReadTrimHorizon, Steps, Transact
from tailrace.streams.moment import Now
from tailrace.testing.simulation_plan import WALL_MS

APP: Final = "app"
STREAM: Final = StreamRef("arn:simulated", "table", "label", "NEW_AND_OLD_IMAGES")

T = TypeVar("T")


class SimulatedRows(dict[str, dict[str, Any]]):
    """Rows by their keys."""

    def __init__(self, rows: Mapping[str, dict[str, Any]] | None = None) -> None:
        super().__init__(rows or {})
        self._order: list[str] = []

    def starting_with(self, prefix: str, after: str = "") -> Iterator[str]:
        """The keys that begin with a prefix and come after another key, in order."""
        if len(self._order) != len(self):
            self._order = sorted(self)
        first = bisect_right(self._order, after) if after > prefix else bisect_left(self._order, prefix)
        return takewhile(lambda key: key.startswith(prefix), islice(self._order, first, None))

    def transact(self, writes: Sequence[Any]) -> None:
        """All or nothing. Raises: StateConflict."""
        bounded(writes)
        for index, write in enumerate(writes):
            if not holds(write.condition, self.get(write.key)):
                raise StateConflict(f"{write.key} is not as expected", index=index)
        for write in writes:
            if isinstance(write, Write):
                if write.fields is None:
                    if self.pop(write.key, None) is not None:
                        self._order = []
                else:
                    if write.key not in self:
                        self._order = []
                    self[write.key] = dict(write.fields)

    def heads(self, mapping_id: str) -> list[Head]:
        """Every key of a mapping that is parked now."""
        prefix = head_prefix(APP, mapping_id)
        return [read_head(APP, mapping_id, self[key]) for key in self.starting_with(prefix)]

    def as_an_older_version_left(self, mapping_id: str, shard_id: str) -> None:
        """A checkpoint before the first record as format 1 had it, with its ledger beside it."""
        key = checkpoint_key(APP, mapping_id, STREAM.label, shard_id)
        self[key] = {"v": 1, "epoch": 3, "watermark": 0, "ranges": [], "finished": False}
        self[ledger_key(APP, mapping_id, STREAM.label, shard_id)] = {
            "v": 1,
            "totals": {},
            "ranges": [],
            "detail_from": 0,
        }

    def as_a_target_was_left(self, mapping_id: str, shard_id: str, how: str) -> None:
        """A checkpoint before the first record that repeats a target: of a mapping that was "renamed" since,
        or that an operator has "set back".
        """
        row = CheckpointRow(1, target="before" if how == "renamed" else "", is_set_back=how == "set back")
        self[checkpoint_key(APP, mapping_id, STREAM.label, shard_id)] = row.fields()

    def as_an_earlier_stream_left(self, mapping_id: str) -> None:
        """A checkpoint in a stream that vanished before its end, of a worker whose clock was ahead."""
        key = checkpoint_key(APP, mapping_id, "earlier", "shard-of-before")
        ahead_ms = WALL_MS + 5_000
        self[key] = {
            "v": 1,
            "epoch": 1,
            "watermark": 0,
            "ranges": [],
            "finished": False,
            "created_ms": ahead_ms,
        }

    def finished(self, mapping_id: str) -> bool:
        """Whether a mapping has finished any shard."""
        prefix = CHECKPOINT.prefix(APP, mapping_id, STREAM.label)
        return any(self[key]["finished"] for key in self.starting_with(prefix))

    def is_parked(self, mapping_id: str, key: bytes) -> bool:
        """Whether a key of a mapping is parked now."""
        return head_key(APP, mapping_id, key) in self

    def ledger(self, mapping_id: str, shard_id: str) -> Ledger:
        """What a mapping's ledger says of a shard."""
        return ledger_of(self.get(checkpoint_key(APP, mapping_id, STREAM.label, shard_id)))

    def put_back(self, mapping_id: str, step: Step) -> Any:
        """What the rows of a mapping say to one step of a redrive. Raises: StateConflict."""
        match step:
            case ReadHead(key):
                row = self.get(head_key(APP, mapping_id, key))
                return None if row is None else read_head(APP, mapping_id, row)
            case ReadOldest(key):
                first = next(self.starting_with(parked_prefix(APP, mapping_id, key)), None)
                return None if first is None else read_deadletter(self[first])
            case ReadLetter(sequence):
                row = self.get(deadletter_key(APP, mapping_id, sequence))
                return None if row is None else read_deadletter(row)
            case ReadPassed(key):
                row = self.get(passed_key(APP, mapping_id, key))
                return None if row is None else read_passed(row)
            case WriteRows(rows):
                self.transact(rows)
                return True
            case _:
                raise InternalError(f"rows do not answer {step}")

    def perform(self, steps: Steps[T], now: Now, gone: int | None = None) -> T:
        """Carry steps over rows out, all in this moment.

        Shape:   `gone` is the last record that a stream has forgotten.
        Raises:  what they raise.
        """
        answer: Any = None
        conflict: StateConflict | None = None
        while True:
            try:
                call = steps.send(answer) if conflict is None else steps.throw(conflict)
            except StopIteration as end:
                result: T = end.value
                return result
            answer, conflict = None, None
            try:
                answer = (
                    gone if isinstance(call, ReadTrimHorizon) and gone is not None else self.answer(call, now)
                )
            except StateConflict as raised:
                conflict = raised

    def answer(self, call: Call, now: Now) -> Any:
        """What the store says. Raises: StateConflict."""
        match call:
            case Get(key):
                fields = self.get(key)
                return None if fields is None else StateRow(key, fields)
            case QueryRows(prefix, after, limit):
                keys = islice(self.starting_with(prefix, after), limit)
                return [StateRow(key, self[key]) for key in keys]
            case Transact(writes):
                return self.transact(writes)
            case AskTime():
                return now
            case _:
                raise InternalError(f"rows do not answer {call}")
