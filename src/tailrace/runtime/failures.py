"""What goes wrong with a handler in one shard, told in the log: the first failure of a change, what is given
up, why a shard waits.

Rules of this file: it tells and decides nothing. A failure is told in one line, with its trace beside it when
it is new, then each time its attempts have doubled, and once more when the change is parked or given up; at
most so many lines a second, the others are counted in the next one. Called by runtime/driver.py.
"""

import logging
import re
from collections.abc import Iterator, Sequence
from typing import Final

from tailrace.mapping.commands import GivenUp, GivenUpWindow, Settled
from tailrace.mapping.holding import ChainHole
from tailrace.mapping.retry import OUTAGES
from tailrace.ports import Clock, Failed, FailedFrom, Failure, Outcome, RecordBatch
from tailrace.runtime.recursion import shown
from tailrace.runtime.traces import place_of
from tailrace.streams.arns import label_of
from tailrace.streams.envelopes import event_id
from tailrace.streams.record import MILLISECOND, ChangeRecord

LOG: Final = logging.getLogger("tailrace.handlers")
NUMBER: Final = re.compile(r"[\d,]*\d")
LINES_A_SECOND: Final = 5
"""What a terminal can still be read at, and what an outage must not drown."""
FIRST_REPETITION: Final = 8
"""Attempts 2 to 7 of a change say nothing new."""


class FailureLog:
    """The log of one mapping in one shard. Shape: `name` is what people call a function whose mapping has an
    id of its own.
    """

    def __init__(self, handler: str, table: str, shard_id: str, clock: Clock, name: str = "") -> None:
        self._about = {"handler": handler, "table": table}
        self._handler = named(handler, name)
        self._shard_id = shard_id
        self._clock = clock
        self._attempts = Limit(clock)
        self._ends = Limit(clock)
        self._blocked: str | None = None
        self._is_free = True
        self.is_watching = False
        """Whether something has failed, so that the shard may wait."""

    def failed(self, batch: RecordBatch, outcome: Outcome) -> None:
        """An attempt came to this."""
        for record, failure in failures_of(batch, outcome):
            self.is_watching = True
            # While the shard waits, one record at a time is tried, as its first attempt each time.
            if self._blocked is None and (failure.kind in OUTAGES or is_told(batch.attempt)):
                self._tell_failure(batch, record, failure)

    def parked(self, entries: Sequence[GivenUp]) -> None:
        """These are durably parked; those that only wait say nothing."""
        for entry in entries:
            if entry.failure is not None:
                self._given_up(
                    entry, "parked", "its item waits, with its later changes; every other item goes on"
                )

    def given_up(self, letters: Sequence[GivenUp], windows: Sequence[GivenUpWindow]) -> None:
        """These are dead letters now."""
        for letter in letters:
            self._given_up(letter, "given up", f"it is kept as a dead letter ({letter.condition})")
        for window in windows:
            self._end(
                f"{self._handler} was given up on the final call of its window after "
                f"{window.attempts} attempts: {words_of(window.failure)}; its state is kept",
                hint="tailrace dlq ls",
            )

    def missing(self, holes: Sequence[ChainHole]) -> None:
        """Changes of these items did not come, although later ones did."""
        for hole in holes:
            self._end(
                f"{self._handler} has lost changes of item {hole.key.hex()} in {self._shard_id}: between "
                f"{label_of(hole.after_us // MILLISECOND)} and {label_of(hole.before_us // MILLISECOND)} its "
                "images do not go on from each other, and nothing came in between",
                hint=f"tailrace gaps {self._handler}, then tailrace gaps acknowledge {self._handler}",
            )

    def settled(self, runs: Sequence[Settled]) -> None:
        """These came to an end that the operator must hear of: dropped as the settings say, or gone before
        they were read.
        """
        dropped = sum(run.count for run in runs if run.outcome == "dropped")
        if dropped:
            self._end(
                f"{self._handler}: {dropped} changes are dropped (on_failure=Drop); nothing of them is kept",
                hint="tailrace status",
            )
        for run in runs:
            if run.outcome == "trimmed":
                self._end(
                    f"{self._handler} has lost changes in {self._shard_id}: {run.first} to "
                    f"{run.last} were trimmed before it came to them; "
                    "how many there were is not known",
                    hint=f"tailrace gaps {self._handler}, then tailrace gaps acknowledge {self._handler}",
                )

    def result_failed(self, window: str, failure: Failure, attempt: int) -> None:
        """The handler of an event-time window failed."""
        if is_told(attempt) and self._attempts.admits():
            LOG.warning(
                "%s failed at %s: %s%s",
                self._handler,
                window,
                words_of(failure),
                self._attempts.others(),
                extra={**self._about, "attempt": attempt, **_where(failure, attempt)},
            )

    def result_given_up(self, window: str, failure: Failure, attempts: int) -> None:
        """The handler of an event-time window has failed too often."""
        self._end(
            f"{self._handler}: {window} is given up after {attempts} attempts: {words_of(failure)}; "
            "it is kept as a dead letter, and told anew when it changes",
            hint=f"tailrace dlq redrive {self._handler}",
        )

    def waits(self, blocked: str | None) -> None:
        """The shard waits for this reason, or for none; what has been told is not told again before it
        moved.
        """
        self._is_free = blocked is None
        if blocked is None or (self._blocked is not None and alike(blocked) == alike(self._blocked)):
            return
        self._blocked = blocked
        LOG.warning(
            "%s waits in %s: %s",
            self._handler,
            self._shard_id,
            blocked,
            extra={**self._about, "shard": self._shard_id, "hint": "tailrace status"},
        )

    def moved(self) -> None:
        """The checkpoint has moved: while one attempt follows the other, a shard that waits looks free in
        between.
        """
        if self._blocked is not None and self._is_free:
            self._blocked = None
            LOG.info(
                "%s goes on in %s",
                self._handler,
                self._shard_id,
                extra={**self._about, "shard": self._shard_id},
            )

    # ---- lines ---------------------------------------------------------------------------------------------

    def _tell_failure(self, batch: RecordBatch, record: ChangeRecord | None, failure: Failure) -> None:
        if not self._attempts.admits():
            return
        first = record or next(iter(batch.records), None)
        subject = "its window" if first is None else shown(first)
        if record is None and len(batch.records) > 1:
            subject = f"{len(batch.records)} changes from {subject} on"
        LOG.warning(
            "%s failed at %s: %s%s",
            self._handler,
            subject,
            words_of(failure),
            self._attempts.others(),
            extra={
                **self._about,
                **({} if first is None else _identity(first)),
                "attempt": batch.attempt,
                **_where(failure, batch.attempt),
            },
        )

    def _given_up(self, letter: GivenUp, verb: str, then: str) -> None:
        self._end(
            f"{self._handler}: {shown(letter.record)} is {verb} after {letter.attempts} attempts: "
            f"{words_of(letter.failure)}; {then}",
            hint=f"tailrace dlq show {event_id(letter.record)}",
            **_identity(letter.record),
        )

    def _end(self, message: str, **extra: object) -> None:
        if self._ends.admits():
            LOG.error("%s%s", message, self._ends.others(), extra={**self._about, **extra})


class Limit:
    """Lets so many lines a second through, and counts the others."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._second = -1
        self._told = 0
        self._untold = 0

    def admits(self) -> bool:
        """Whether this second has room for another line."""
        second = self._clock.now().monotonic_ms // 1_000
        if second != self._second:
            self._second, self._told = second, 0
        self._told += 1
        self._untold += self._told > LINES_A_SECOND
        return self._told <= LINES_A_SECOND

    def others(self) -> str:
        """How many there were that have not been told, in words; told once."""
        untold, self._untold = self._untold, 0
        return f" (and {untold} more before that: tailrace dlq ls)" if untold else ""


def failures_of(batch: RecordBatch, outcome: Outcome) -> Iterator[tuple[ChangeRecord | None, Failure]]:
    """Every failure of an attempt, with the record that it is of; None: of all."""
    match outcome:
        case Failed(failures, whole):
            if whole is not None:
                yield None, whole
            for index, failure in failures.items():
                yield batch.records[index], failure
        case FailedFrom(index, failure):
            yield batch.records[index], failure


def named(handler: str, function: str) -> str:
    """A handler as people know it: the function of a mapping that Lambda's API has given a number for a name.

    >>> named("note", "note"), named("1f0c", "tally"), named("mail", "")
    ('note', 'tally (1f0c)', 'mail')
    """
    return f"{function} ({handler})" if function and function != handler else handler


def is_told(attempt: int) -> bool:
    """Whether this failure of the same records is worth a line: the first, and each time their number has
    doubled.

    >>> [attempt for attempt in range(1, 70) if is_told(attempt)]
    [1, 8, 16, 32, 64]
    """
    return attempt == 1 or (attempt >= FIRST_REPETITION and attempt & (attempt - 1) == 0)


def alike(blocked: str) -> str:
    """A reason without its numbers, which grow while it stays the same.

    >>> alike("100 keys are parked, and max_keys is 100")
    '# keys are parked, and max_keys is #'
    """
    return NUMBER.sub("#", blocked)


def words_of(failure: Failure | None) -> str:
    """The first line of what went wrong."""
    text = "" if failure is None else failure.error.strip().partition("\n")[0]
    return text or "it was never called, or answered without a reason"


def _where(failure: Failure, attempt: int) -> dict[str, str]:
    """Where it was raised, and how Python tells it, the first time."""
    trace = failure.traceback.rstrip()
    place = place_of(trace)
    return {**({"place": place} if place else {}), "trace": trace if attempt == 1 else ""}


def _identity(record: ChangeRecord) -> dict[str, str]:
    return {"key": shown(record), "event_id": event_id(record)}
