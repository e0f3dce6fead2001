"""What of one mapping is at its handler now in one shard, and what failed and is tried again: for `status` and `why`.

Rules of this file: it tells and decides nothing, and is gone with the process: what is given up has a row of its own. A change counts as failing from its first failure until an
attempt accepts it, or it is settled otherwise. Bounded: of many the latest are kept, and since when it is remembered for all. Called by runtime/driver.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from tailrace.ports import Batch, Clock, Failed, FailedFrom, Failure, Outcome
from tailrace.streams.record import ChangeRecord

MOST: Final = 1_000
"""Changes whose last failure is remembered."""


@dataclass(frozen=True, slots=True)
class Failing:
    """A change that failed and is tried again. Units: since_ms and last_ms since the epoch. Shape: `attempts` that failed, also those of an outage."""

    record: ChangeRecord
    failure: Failure
    since_ms: int
    last_ms: int
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class Trouble:
    """What fails now, all together: the change that failed last, and since when something does. Units: since_ms since the epoch."""

    last: Failing
    since_ms: int
    changes: int


@dataclass(frozen=True, slots=True)
class AtWork:
    """What the handler has now. Units: since_ms since the epoch."""

    batch: Batch
    since_ms: int


class Attempts:
    """What of one mapping in one shard is at its handler, and what failed and is tried again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at_work: dict[int, AtWork] = {}
        self._failing: dict[int, Failing] = {}
        self._since_ms = 0

    # ---- what happens ----------------------------------------------------------------------------------------------

    def begun(self, id: int, batch: Batch) -> None:
        """The handler is given this."""
        self._at_work[id] = AtWork(batch, self._clock.now().wall_ms)

    def ended(self, id: int) -> None:
        """It has answered, or will never."""
        del self._at_work[id]

    def came_to(self, batch: Batch, outcome: Outcome) -> None:
        """An attempt came to this."""
        if not self._failing and not isinstance(outcome, Failed | FailedFrom):
            return  # nearly always
        failures = _failures(batch.records, outcome)
        for index, record in enumerate(batch.records):
            failure = failures.get(index)
            if failure is not None:
                self._failed(record, failure)
            elif not isinstance(outcome, FailedFrom) or index < outcome.index:
                self._failing.pop(record.sequence, None)

    def settled(self, watermark: int, ranges: Sequence[tuple[int, int]]) -> None:
        """This is durably settled, however."""
        for sequence in [
            each for each in self._failing
            if each <= watermark or any(first <= each <= last for first, last in ranges)
        ]:  # fmt: skip
            del self._failing[sequence]

    def parked(self, records: Sequence[ChangeRecord]) -> None:
        """These are durably set aside."""
        for record in records:
            self._failing.pop(record.sequence, None)

    # ---- what can be seen ------------------------------------------------------------------------------------------

    @property
    def under_way(self) -> list[Batch]:
        """What the handler is at work on."""
        return [each.batch for each in self._at_work.values()]

    def at_work(self, sequence: int) -> AtWork | None:
        """What the handler has of a change; None: it has it not."""
        for each in self._at_work.values():
            if any(record.sequence == sequence for record in each.batch.records):
                return each
        return None

    def failing(self, sequence: int) -> Failing | None:
        """The last failure of a change; None: it has none that counts, or it is not remembered."""
        return self._failing.get(sequence)

    @property
    def trouble(self) -> Trouble | None:
        """What fails now; None: nothing."""
        if not self._failing:
            return None
        last = max(self._failing.values(), key=lambda each: each.last_ms)
        return Trouble(last, self._since_ms, len(self._failing))

    def _failed(self, record: ChangeRecord, failure: Failure) -> None:
        now_ms = self._clock.now().wall_ms
        known = self._failing.pop(record.sequence, None)
        if known is None:
            if not self._failing:
                self._since_ms = now_ms
            self._failing[record.sequence] = Failing(record, failure, now_ms, now_ms)
            if len(self._failing) > MOST:
                del self._failing[next(iter(self._failing))]
            return
        # Put back at the end: the latest are kept.
        self._failing[record.sequence] = replace(
            known, failure=failure, last_ms=now_ms, attempts=known.attempts + 1
        )


def _failures(records: Sequence[ChangeRecord], outcome: Outcome) -> dict[int, Failure]:
    match outcome:
        case Failed(failures, whole):
            common = {} if whole is None else dict.fromkeys(range(len(records)), whole)
            return {**common, **failures}
        case FailedFrom(index, failure):
            return {index: failure}
    return {}
