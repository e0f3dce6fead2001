"""Putting dead letters back, as steps that others carry out: one key that is parked, or one change
that was discarded.

A generator yields a step and is sent its answer, so the same code runs beside handlers
(deadletters/run/redriver.py) and in the simulation.
Rules of this file: pure; of a key one change is at the handler at a time, the oldest first; a change leaves
the store only after the handler accepted it; what conflicts with the machine's append is read again.
Repeating it after a crash repeats at most the change that was at the handler. Source: architecture §5.3.
"""

from collections.abc import Callable, Generator, Sequence
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from tailrace.deadletters.core.entry import DeadLetter, deadletter_fields, deadletter_key
from tailrace.deadletters.core.head import (
    Head,
    claimed,
    claimed_free,
    failed_again,
    freed,
    put_back,
    released,
)
from tailrace.deadletters.core.passed import passed_write
from tailrace.deadletters.core.redrive import judge
from tailrace.rows.bounds import SLICE, slices
from tailrace.rows.writes import Check, Write
from tailrace.streams.version import NOTHING, Version


class Refusal(Struct, frozen=True):
    """The handler refused a change again; `is_outage`: it was not there, so no attempt is used up."""

    error: str
    traceback: str = ""
    is_outage: bool = False
    code_version: str = ""


class ReadHead(Struct, frozen=True):
    """Answer: the key's Head, or None."""

    key: bytes


class ReadOldest(Struct, frozen=True):
    """Answer: the oldest parked DeadLetter of the key, or None."""

    key: bytes


class ReadLetter(Struct, frozen=True):
    """Answer: the discarded change's DeadLetter, or None when it is gone."""

    version: Version


class ReadPassed(Struct, frozen=True):
    """Answer: the last change of the key that was handled since it has a discarded one, `NOTHING` for none;
    None: it has no discarded one.
    """

    key: bytes


class Deliver(Struct, frozen=True):
    """Give the change to the handler, or drop it when it was asked for. Answer: None, or the Refusal."""

    letter: DeadLetter


class WriteRows(Struct, frozen=True):
    """Write these rows in one transaction. Answer: whether their conditions held."""

    rows: tuple[Write | Check, ...]


class HoldKey(Struct, frozen=True):
    """Let no change of this item reach the handler until the steps have ended.

    Answer: None when one is there now; else what holds as long as no other worker reads the shards where it
    is kept away.
    """

    letter: DeadLetter


Step: TypeAlias = ReadHead | ReadOldest | ReadLetter | ReadPassed | Deliver | WriteRows | HoldKey
Ending: TypeAlias = Literal["done", "failed", "busy", "gone", "overtaken", "stopped", "taken"]


class Ended(Struct, frozen=True):
    """How it ended: `count` changes were put back; after "done" the key is free up to `tail`. The handler has
    handled it up to `passed`. "taken": another worker puts changes of the item back.
    """

    how: Ending
    count: int = 0
    tail: Version = NOTHING
    error: str = ""
    passed: Version = NOTHING


Redriving: TypeAlias = Generator[Step, Any, Ended]


class Claimant(Struct, frozen=True):
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
    app: str,
    key: bytes,
    by: Claimant,
    now_ms: Callable[[], int],
    wants: Callable[[DeadLetter], bool] = lambda _: True,
    *,
    drops: bool = False,
) -> Redriving:
    """Put everything back that waits for a parked key, oldest first, and unpark it.

    Shape:   a change that fails again ends it, and so does one that is not wanted.
    Guarantee: each overtakes the older ones of its item that were discarded, as one that the machine handles
               does; one that is dropped (`drops`) does not.
    """
    head: Head | None = yield ReadHead(key)
    if head is None:
        return Ended("gone")
    if by.is_taken(head):
        return Ended("busy")
    taken, write = claimed(head, by.name, now_ms())
    if not (yield WriteRows((write,))):
        return Ended("busy")
    return (yield from _put_back_parked(app, taken, by, now_ms, wants, drops=drops))


def _put_back_parked(
    app: str,
    taken: Head,
    by: Claimant,
    now_ms: Callable[[], int],
    wants: Callable[[DeadLetter], bool] = lambda _: True,
    *,
    drops: bool = False,
) -> Redriving:
    """The same of a key that is claimed."""
    count = 0
    while True:
        letter: DeadLetter | None = yield ReadOldest(taken.key)
        if letter is None and not taken.count and (yield ReadLetter(taken.first)) is None:
            # A claim for a discarded change, made when that was put back already: nothing would ever end it.
            yield WriteRows((freed(taken),))
            return Ended("gone")
        if letter is None or not wants(letter):
            yield WriteRows(
                (released(taken, by.request)[1],)
            )  # when it conflicts, the claim runs out by itself
            return Ended("stopped", count)
        refusal: Refusal | None = yield Deliver(letter)
        is_handled = refusal is None and not drops
        beside = _overtaking(app, letter, (yield ReadPassed(taken.key))) if is_handled else ()
        after = yield from _note(taken, letter, refusal, by, now_ms, beside)
        if isinstance(after, Ended):
            return Ended(after.how, count, error=after.error)
        count += 1
        if after is None:
            version = letter.record.version
            return Ended("done", count, version, passed=NOTHING if drops else version)
        taken = after


def _overtaking(app: str, letter: DeadLetter, passed: Version | None) -> tuple[Write, ...]:
    """That a change was handled, where its item has discarded ones (`passed` as `ReadPassed` answers): the
    older of them are overtaken now.
    """
    key, version = letter.record.key, letter.record.version
    return () if passed is None or passed >= version else (passed_write(app, letter.handler, key, version),)


def _note(
    head: Head,
    letter: DeadLetter,
    refusal: Refusal | None,
    by: Claimant,
    now_ms: Callable[[], int],
    beside: tuple[Write, ...],
) -> Generator[Step, Any, Head | Ended | None]:
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
    app: str,
    letter: DeadLetter,
    by: Claimant,
    now_ms: Callable[[], int],
    later: Sequence[Version] = (),
    *,
    even_if_overtaken: bool,
    drops: bool = False,
) -> Redriving:
    """Put one discarded change back, unless a later change of its item was handled since, and what was parked
    behind it meanwhile.

    Shape:   `later` are the other discarded changes of the item that are meant; they are put back, too, when
             anything was parked behind this one.
    Guarantee: the item is claimed while that lasts, by a head behind which nothing waits, and only while
               no other worker reads the shards where it is kept from the handler: the next reader begins
               with that head. It counts as handled itself: an older one of its item, still discarded, is
               overtaken now. One that is dropped (`drops`) is not.
    """
    key = letter.record.key
    head: Head | None = yield ReadHead(key)
    # What waits behind this very change has come while it was put back.
    is_behind = head is not None and head.first == letter.record.version
    if head is not None and (is_behind or not head.count) and by.is_taken(head):
        return Ended("taken")
    if drops:
        ended, rows = yield from _deliver(app, letter, by, now_ms, even_if_overtaken=True, drops=True)
        left_over = () if head is None or head.count else (freed(head),)
        return ended if (yield WriteRows((*rows, *left_over))) else Ended("taken")
    if head is not None and head.count and not is_behind:
        return Ended("busy")  # it is parked: what waits comes first
    fences: tuple[Check, ...] | None = yield HoldKey(letter)
    if fences is None:
        return Ended("busy")
    taken, claim = (
        claimed_free(letter, app, by.name, now_ms()) if head is None else claimed(head, by.name, now_ms())
    )
    if not (yield WriteRows((*fences[:SLICE], claim))):
        return Ended("taken")
    for some in slices(fences[SLICE:]):
        # More shards than one transaction takes: who reads one of these since begins with the claim, unless
        # it began before the claim was there; then this is no longer so.
        if not (yield WriteRows(some)):
            yield WriteRows((released(taken)[1] if taken.count else freed(taken),))
            return Ended("taken")
    return (
        yield from _put_back_claimed(
            app, taken, letter, by, now_ms, later, even_if_overtaken=even_if_overtaken
        )
    )


def _put_back_claimed(
    app: str,
    taken: Head,
    letter: DeadLetter,
    by: Claimant,
    now_ms: Callable[[], int],
    later: Sequence[Version],
    *,
    even_if_overtaken: bool,
) -> Redriving:
    """The same of a change whose item is claimed, and of the `later` ones before what was parked behind
    it.
    """
    passed, failed = NOTHING, None
    while True:
        ended, rows = yield from _deliver(
            app, letter, by, now_ms, even_if_overtaken=even_if_overtaken, drops=False
        )
        passed = max(passed, ended.passed)
        failed = failed or (ended if ended.how == "failed" else None)
        while True:
            following: DeadLetter | None = None
            if not taken.count:
                after, write = None, freed(taken)
            else:  # it waits for nothing else: the claim goes on
                if failed is None or even_if_overtaken:
                    following = yield from _next_of(letter, later)
                first = taken.first if following is None else following.record.version
                after, write = claimed(replace(taken, first=first), by.name, now_ms())
            if (yield WriteRows((*rows, write))):
                break
            seen: Head | None = yield ReadHead(letter.record.key)
            if seen is None or seen.claimed_by != by.name:
                return Ended("taken")  # so long that another redriver has taken over
            taken = seen
        if after is None or following is None:
            break
        taken, letter = after, following
    if after is not None:
        passed = max(passed, (yield from _put_back_parked(app, after, by, now_ms)).passed)
    return replace(failed or ended, passed=passed)


def _next_of(letter: DeadLetter, later: Sequence[Version]) -> Generator[Step, Any, DeadLetter | None]:
    """The next of an item's discarded changes that is still there."""
    for version in later:
        if version > letter.record.version and (there := (yield ReadLetter(version))) is not None:
            next_letter: DeadLetter = there
            return next_letter
    return None


def _deliver(
    app: str,
    letter: DeadLetter,
    by: Claimant,
    now_ms: Callable[[], int],
    *,
    even_if_overtaken: bool,
    drops: bool,
) -> Generator[Step, Any, tuple[Ended, tuple[Write, ...]]]:
    """Put a discarded change back whose item is claimed. Returns: what came of it, and the rows that say
    so.
    """
    key, version = letter.record.key, letter.record.version
    row = deadletter_key(app, letter.handler, version)
    there: DeadLetter | None = yield ReadLetter(version)
    if there is None:
        return Ended("gone"), ()
    last_passed: Version = (yield ReadPassed(key)) or NOTHING
    if judge(letter, last_passed, even_if_overtaken=even_if_overtaken) == "overtaken":
        # It is said as durably as that it was left: who goes on with the request tries what comes after this
        # change.
        beside = passed_write(app, letter.handler, key, last_passed)
        return Ended("overtaken"), (_left(row, there, by.request), beside)
    refusal: Refusal | None = yield Deliver(letter)
    if refusal is not None:
        again = _left(row, tried_again(there, refusal, now_ms()), by.request)
        return Ended("failed", error=refusal.error), (again,)
    if drops:
        return Ended("done", 1, version), (Write(row, None),)
    return Ended("done", 1, version, passed=version), (
        Write(row, None),
        *_overtaking(app, letter, last_passed),
    )


def _left(row: str, letter: DeadLetter, request: str) -> Write:
    """The row of a discarded change that a request leaves as it is: no other worker tries it again for that
    one.
    """
    return Write(row, deadletter_fields(msgspec.structs.replace(letter, tried=request)))


def tried_again(letter: DeadLetter, refusal: Refusal, now_ms: int) -> DeadLetter:
    """The letter of a change that failed once more. A change that only waited is the failing one of its key
    now.
    """
    return msgspec.structs.replace(
        letter,
        attempts=letter.attempts + (not refusal.is_outage),
        error=refusal.error,
        traceback=refusal.traceback,
        condition="RetryAttemptsExhausted" if letter.is_waiting else letter.condition,
        first_failure_ms=letter.first_failure_ms or now_ms,
        last_failure_ms=now_ms,
        code_version=refusal.code_version or letter.code_version,
    )
