"""Putting dead letters back, as steps that somebody else carries out: one key that is parked, or one change that was discarded.

A generator yields a step and is sent its answer, so the same code runs beside handlers (runtime/redriver.py) and in the simulation.
Rules of this file: pure; of a key one change is at the handler at a time, the oldest first; a change leaves the store only after the
handler accepted it; what conflicts with the machine's append is read again. Repeating it after a crash repeats at
most the change that was at the handler. Source: architecture §5.3.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import msgspec

from tailrace.deadletters.entry import DeadLetter, deadletter_fields, deadletter_key
from tailrace.deadletters.head import Head, claimed, failed_again, put_back, released
from tailrace.deadletters.passed import passed_write
from tailrace.deadletters.redrive import judge
from tailrace.rows.writes import ALWAYS, Write
from tailrace.streams.version import NOTHING, Version


@dataclass(frozen=True, slots=True)
class Refusal:
    """The handler refused a change again; `is_outage`: it was not there, so no attempt is used up."""

    error: str
    traceback: str = ""
    is_outage: bool = False
    code_version: str = ""


@dataclass(frozen=True, slots=True)
class ReadHead:
    """Answer: the key's Head, or None."""

    key: bytes


@dataclass(frozen=True, slots=True)
class ReadOldest:
    """Answer: the oldest parked DeadLetter of the key, or None."""

    key: bytes


@dataclass(frozen=True, slots=True)
class ReadLetter:
    """Answer: the discarded change's DeadLetter, or None when it is gone."""

    version: Version


@dataclass(frozen=True, slots=True)
class ReadPassed:
    """Answer: the last change of the key that was handled since it has a discarded one, `NOTHING` for none; None: it has no discarded one."""

    key: bytes


@dataclass(frozen=True, slots=True)
class Deliver:
    """Give the change to the handler, or drop it when it was asked for. Answer: None, or the Refusal."""

    letter: DeadLetter


@dataclass(frozen=True, slots=True)
class WriteRows:
    """Write these rows in one transaction. Answer: whether their conditions held."""

    rows: tuple[Write, ...]


@dataclass(frozen=True, slots=True)
class Hold:
    """Let no change of this item reach the handler until the steps have ended. Answer: whether none is there now."""

    letter: DeadLetter


Step: TypeAlias = ReadHead | ReadOldest | ReadLetter | ReadPassed | Deliver | WriteRows | Hold
Ending: TypeAlias = Literal["done", "failed", "busy", "gone", "overtaken", "stopped"]


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended: `count` changes were put back; after "done" the key is free up to `tail`, and the handler has handled it up to `passed`."""

    how: Ending
    count: int = 0
    tail: Version = NOTHING
    error: str = ""
    passed: Version = NOTHING


Redriving: TypeAlias = Generator[Step, Any, Ended]


@dataclass(frozen=True, slots=True)
class Claimant:
    """Who puts a key back, for which request: one that carries the same request out elsewhere is another one.

    Shape:   `is_taken` judges whether another one has a key, and is alive.
    """

    request: str
    owner: str
    is_taken: Callable[[Head], bool]

    @property
    def name(self) -> str:
        """How it is called in a head."""
        return f"{self.request}/{self.owner}"


def put_back_key(
    app: str, key: bytes, by: Claimant, now_ms: Callable[[], int], wants: Callable[[DeadLetter], bool] = lambda _: True,
    *, drops: bool = False,
) -> Redriving:  # fmt: skip
    """Put everything back that waits for a parked key, oldest first, and unpark it.

    Shape:   a change that fails again ends it, and so does one that is not wanted.
    Guarantee: each overtakes the older ones of its item that were discarded, as one that the machine handles does; one that is dropped (`drops`) does not.
    """
    head: Head | None = yield ReadHead(key)
    if head is None:
        return Ended("gone")
    if by.is_taken(head):
        return Ended("busy")
    taken, write = claimed(head, by.name, now_ms())
    if not (yield WriteRows((write,))):
        return Ended("busy")
    count = 0
    while True:
        letter: DeadLetter | None = yield ReadOldest(key)
        if letter is None or not wants(letter):
            yield WriteRows(
                (released(taken, by.request)[1],)
            )  # when it conflicts, the claim runs out by itself
            return Ended("stopped", count)
        refusal: Refusal | None = yield Deliver(letter)
        is_handled = refusal is None and not drops
        beside = _overtaking(app, letter, (yield ReadPassed(key))) if is_handled else ()
        after = yield from _note(taken, letter, refusal, by, now_ms, beside)
        if isinstance(after, Ended):
            return Ended(after.how, count, error=after.error)
        count += 1
        if after is None:
            version = letter.record.version
            return Ended("done", count, version, passed=NOTHING if drops else version)
        taken = after


def _overtaking(app: str, letter: DeadLetter, passed: Version | None) -> tuple[Write, ...]:
    """That a change was handled, where its item has discarded ones (`passed` as `ReadPassed` answers): the older of them are overtaken now."""
    key, version = letter.record.key, letter.record.version
    return () if passed is None or passed >= version else (passed_write(app, letter.handler, key, version),)


def _note(
    head: Head, letter: DeadLetter, refusal: Refusal | None, by: Claimant, now_ms: Callable[[], int],
    beside: tuple[Write, ...],
) -> Generator[Step, Any, Head | Ended | None]:  # fmt: skip
    """Write down what came of one change, beside whatever the machine has appended meanwhile."""
    while True:
        if refusal is not None:
            after, rows = failed_again(head, tried_again(letter, refusal, now_ms()), by.request)
        else:
            after, rows = put_back(head, letter.record.version, now_ms())  # type: ignore[assignment]
        if (yield WriteRows((*rows, *beside))):
            return Ended("failed", error=refusal.error) if refusal is not None else after
        seen: Head | None = yield ReadHead(letter.record.key)
        if seen is None or seen.claimed_by != by.name:
            return Ended("busy")  # so long that another redriver has taken over
        head = seen


def put_back_letter(
    app: str, letter: DeadLetter, now_ms: Callable[[], int], *, even_if_overtaken: bool, drops: bool = False
) -> Redriving:
    """Put one discarded change back, unless a later change of its item was handled since.

    Guarantee: it counts as handled itself: an older one of its item, still discarded, is overtaken now. One that is dropped (`drops`) is not.
    """
    key, version = letter.record.key, letter.record.version
    if not (yield Hold(letter)):
        return Ended("busy")
    if (yield ReadLetter(version)) is None:
        return Ended("gone")
    last_passed: Version = (yield ReadPassed(key)) or NOTHING
    if judge(letter, last_passed, even_if_overtaken=even_if_overtaken) == "overtaken":
        return Ended("overtaken")
    refusal: Refusal | None = yield Deliver(letter)
    row = deadletter_key(app, letter.handler, version)
    fields = None if refusal is None else deadletter_fields(tried_again(letter, refusal, now_ms()))
    passed = _overtaking(app, letter, last_passed) if refusal is None and not drops else ()
    yield WriteRows((Write(row, fields, ALWAYS), *passed))
    return Ended("done", 1) if refusal is None else Ended("failed", error=refusal.error)


def tried_again(letter: DeadLetter, refusal: Refusal, now_ms: int) -> DeadLetter:
    """The letter of a change that failed once more. A change that only waited is the failing one of its key now."""
    return msgspec.structs.replace(
        letter, attempts=letter.attempts + (not refusal.is_outage), error=refusal.error, traceback=refusal.traceback,
        condition="RetryAttemptsExhausted" if letter.is_waiting else letter.condition,
        first_failure_ms=letter.first_failure_ms or now_ms, last_failure_ms=now_ms,
        code_version=refusal.code_version or letter.code_version,
    )  # fmt: skip
