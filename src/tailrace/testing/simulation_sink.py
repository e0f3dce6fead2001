"""The sink of a simulated world: what it accepts, what it refuses, when it is out, and how long it takes.

Rules of this file: it answers a batch, now; when the answer arrives, and whether its worker lives, is
simulation_performing.py's matter. Every fault that happens here is counted.
"""

from collections.abc import Callable, Sequence
from random import Random
from typing import Final, TypeAlias

from tailrace.mapping.outcomes import Failed, FailedFrom, Failure, FailureKind, Outcome, Written
from tailrace.streams.record import ChangeRecord
from tailrace.testing.simulation_plan import MappingPlan, SimulationPlan

Commit: TypeAlias = Callable[[list[ChangeRecord]], None]
"""Writes all of a batch with its position. Raises: LeaseLost."""
HANG_MS: Final = 15_000
"""After so long a handler that hangs is killed: the time-out of a function in a process."""
HANG_RATE: Final = 0.004
LOST_ANSWER_RATE: Final = 0.004
LOST_COMMIT_RATE: Final = 0.05
"""Of transactions: it is their promise that one whose answer was lost may be repeated."""


class SimulatedSink:
    """The sink of one mapping, for all workers."""

    def __init__(self, made: SimulationPlan, mapping: MappingPlan, random: Random) -> None:
        self._plan = made
        self._mapping = mapping
        self._random = random
        self._outage_ms: dict[FailureKind, int] = {}
        self._left = dict(mapping.troubles)
        self._accepted: set[int] = set()

    def begin_outage(self, kind: FailureKind, until_ms: int) -> None:
        """Every batch is refused until then."""
        self._outage_ms[kind] = until_ms

    def hangs(self, time_ms: int) -> bool:
        """Whether a batch hangs until it is killed at its time-out."""
        return time_ms < self._plan.heal_ms and self._random.random() < HANG_RATE

    def killed(
        self, batch: list[ChangeRecord], time_ms: int, commit: Commit | None = None
    ) -> tuple[list[ChangeRecord], Outcome]:
        """A batch that hung is killed; it may have had its effect before, unknown to the worker."""
        self._plan.counts["fault hanging"] += 1
        if self._random.random() < 0.5:
            self.judge(batch, time_ms, commit)
            self._plan.counts["fault hanging-after-effect"] += 1
        return [], Failed(whole=Failure(FailureKind.TIMEOUT, "killed at its time-out"))

    def answer(
        self, batch: list[ChangeRecord], time_ms: int, commit: Commit | None = None
    ) -> tuple[list[ChangeRecord], Outcome]:
        """What the sink accepts as far as the worker hears, and what it says: an answer may be lost."""
        accepted, outcome = self.judge(batch, time_ms, commit)
        rate = LOST_ANSWER_RATE if commit is None else LOST_COMMIT_RATE
        if accepted and time_ms < self._plan.heal_ms and self._random.random() < rate:
            self._plan.counts["fault answer-lost"] += 1
            return [], Failed(whole=Failure(self._mapping.trouble_kind, "the answer was lost"))
        return accepted, outcome

    def judge(
        self, batch: list[ChangeRecord], time_ms: int, commit: Commit | None = None
    ) -> tuple[list[ChangeRecord], Outcome]:
        """What the sink accepts, and what it says; where it owns the checkpoint that is a commit. Raises:
        LeaseLost.
        """
        for kind, until_ms in self._outage_ms.items():
            if time_ms < min(until_ms, self._plan.heal_ms):
                failure = Failure(kind, "outage", retry_after_ms=self._random.choice((0, 700)))
                return [], Failed(whole=failure)
        refused = {index for index, record in enumerate(batch) if self._refuses(record, time_ms)}
        if commit is not None and not refused:
            commit(batch)
        accepted, outcome = self._verdict(batch, refused) if refused else (batch, Written())
        if commit is not None and refused:
            accepted = []
        self._note(accepted)
        return accepted, outcome

    def _verdict(self, batch: list[ChangeRecord], refused: set[int]) -> tuple[list[ChangeRecord], Outcome]:
        is_final = self._mapping.are_final and self._mapping.trouble_kind is FailureKind.RECORD
        failure = Failure(self._mapping.trouble_kind, "refused", final=is_final)
        self._plan.counts["fault refused-for-good"] += is_final
        self._plan.counts["fault time-out"] += failure.kind is FailureKind.TIMEOUT
        if self._mapping.style == "whole":
            return [], Failed(whole=failure)
        if self._mapping.style == "partial":
            return batch[: min(refused)], FailedFrom(min(refused), failure)
        stuck = {batch[index].key: index for index in sorted(refused, reverse=True)}
        accepted = [record for index, record in enumerate(batch) if index < stuck.get(record.key, len(batch))]
        return accepted, Failed(dict.fromkeys(stuck.values(), failure))

    def _note(self, accepted: Sequence[ChangeRecord]) -> None:
        sequences = {record.sequence for record in accepted}
        self._plan.counts["fault duplicate"] += len(sequences & self._accepted)
        self._accepted |= sequences

    def _refuses(self, record: ChangeRecord, time_ms: int) -> bool:
        left = self._left.get(record.sequence, 0)
        if not left or time_ms >= self._plan.heal_ms:
            return False
        if left > 0:
            self._left[record.sequence] = left - 1
        return True
