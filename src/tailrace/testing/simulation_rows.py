"""The durable rows of a simulated world: what a state store is, in one moment and without failing.

Rules of this file: all or nothing, conditions included, as `StateStore.transact` promises; that a store fails or is slow is simulation.py's
matter. `perform` is the interpreter of steps for ports that answer in one moment. Called by simulation.py, simulation_redrive.py and whoever judges.
"""

from collections.abc import Sequence
from typing import Any, Final, TypeVar

from tailrace.deadletters.head import Head, head_prefix, read_head
from tailrace.errors import InternalError, StateConflict
from tailrace.rows.writes import StateRow, Write, holds
from tailrace.runtime.steps import AskTime, Call, Get, Query, Steps, Transact
from tailrace.streams.moment import Now

APP: Final = "app"
MAPPING: Final = "simulated"


T = TypeVar("T")


class Rows(dict[str, dict[str, Any]]):
    """Rows by their keys."""

    def transact(self, writes: Sequence[Any]) -> None:
        """All or nothing. Raises: StateConflict."""
        for index, write in enumerate(writes):
            if not holds(write.condition, self.get(write.key)):
                raise StateConflict(f"{write.key} is not as expected", index=index)
        for write in writes:
            if isinstance(write, Write):
                if write.fields is None:
                    self.pop(write.key, None)
                else:
                    self[write.key] = dict(write.fields)

    def heads(self) -> list[Head]:
        """Every key that is parked now."""
        prefix = head_prefix(APP, MAPPING)
        return [read_head(APP, MAPPING, row) for key, row in self.items() if key.startswith(prefix)]

    def perform(self, steps: Steps[T], now: Now) -> T:
        """Carry steps over rows out, all in this moment. Raises: what they raise."""
        try:
            call = next(steps)
            while True:
                try:
                    answer = self.answer(call, now)
                except StateConflict as error:
                    call = steps.throw(error)
                else:
                    call = steps.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result

    def answer(self, call: Call, now: Now) -> Any:
        """What a port says to one call, at once. Raises: StateConflict."""
        match call:
            case Get(key):
                fields = self.get(key)
                return None if fields is None else StateRow(key, fields)
            case Query(prefix, after, limit):
                keys = sorted(key for key in self if key.startswith(prefix) and key > after)
                return [StateRow(key, self[key]) for key in keys[:limit]]
            case Transact(writes):
                return self.transact(writes)
            case AskTime():
                return now
            case _:
                raise InternalError(f"rows do not answer {call}")
