"""A function with tumbling windows in a simulated world: its state is the list of records that it accepted.

Rules of this file: an observer reads in every state which records it was made of, so nothing here hides one.
It refuses final invokes, forgets its state, and lets it outgrow the limit, each counted.
"""

from random import Random
from typing import Final

import orjson

from tailrace.mapping.outcomes import Failed, FailedFrom, Failure, Outcome, Written
from tailrace.mapping.window import STATE_BYTES
from tailrace.streams.record import ChangeRecord
from tailrace.streams.windows import WindowInvoke
from tailrace.testing.simulation_plan import MappingPlan, SimulationPlan

REFUSED_FINALS: Final = 0.2
NO_STATES: Final = 0.01
OVERSIZED: Final = 0.003
PADDING: Final = "x" * STATE_BYTES


class WindowFunction:
    """The function of one mapping, for all workers."""

    def __init__(self, made: SimulationPlan, mapping: MappingPlan, random: Random) -> None:
        self._plan = made
        self._trouble_kind = mapping.trouble_kind
        self._random = random

    def answer(
        self, window: WindowInvoke, accepted: list[ChangeRecord], outcome: Outcome, time_ms: int
    ) -> tuple[list[ChangeRecord], Outcome]:
        """What the sink said, as a function with windows says it: with its new state."""
        is_faulty = time_ms < self._plan.heal_ms
        if isinstance(outcome, Failed) or (isinstance(outcome, FailedFrom) and not outcome.index):
            return accepted, outcome
        if window.is_final:
            return accepted, self._final(window, is_faulty=is_faulty)
        if is_faulty and self._random.random() < NO_STATES:
            self._plan.counts["fault window-no-state"] += 1
            return [], Written()
        is_oversized = is_faulty and self._random.random() < OVERSIZED
        state = state_of(
            [*records_of(window.state), *(record.sequence for record in accepted)], is_oversized=is_oversized
        )
        if isinstance(outcome, FailedFrom):
            return accepted, FailedFrom(outcome.index, outcome.failure, state)
        return accepted, Written(state=state)

    def _final(self, window: WindowInvoke, *, is_faulty: bool) -> Outcome:
        if is_faulty and self._random.random() < REFUSED_FINALS:
            self._plan.counts["fault window-final-refused"] += 1
            return Failed(whole=Failure(self._trouble_kind, "refused"))
        self._plan.counts["fault window-early" if window.is_early else "fault window-final"] += 1
        return Written(state=b"{}")


def state_of(sequences: list[int], *, is_oversized: bool = False) -> bytes:
    """The state after these records."""
    return orjson.dumps({"records": sequences, "padding": PADDING if is_oversized else ""})


def records_of(state: bytes) -> list[int]:
    """The records that led to a state."""
    records: list[int] = orjson.loads(state).get("records", [])
    return records
