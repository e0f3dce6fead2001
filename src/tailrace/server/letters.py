"""Dead letters and parked changes as they lie in the state: finding, counting, telling.

Rules of this file: it only reads. A parked key's changes are told oldest first, what only waits included. Called by the `dlq` verbs,
`why`, `status`, metrics and the test world.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from tailrace.deadletters.entry import (
    DeadLetter,
    deadletter_key,
    deadletter_prefix,
    parked_key,
    parked_prefix,
    read_deadletter,
)
from tailrace.deadletters.head import Head, head_prefix, read_head
from tailrace.deadletters.passed import passed_key, read_passed
from tailrace.engine.engine import Engine
from tailrace.streams.record import ChangeRecord

PAGE: Final = 100
"""Letters in memory at once: each may hold two images of 400 KB."""


@dataclass(frozen=True, slots=True)
class Kept:
    """How many are kept of one handler. Shape: `parked` changes of `parked_keys`, `oldest_parked_ms` since the epoch."""

    discarded: int
    parked: int
    parked_keys: int
    oldest_parked_ms: int | None


def kept(engine: Engine, app: str, handler: str) -> Kept:
    """Count what is kept, without decoding it."""
    found = heads(engine, app, handler)
    return Kept(
        engine.state_count(deadletter_prefix(app, handler)),
        sum(head.count for head in found),
        len(found),
        min((head.parked_ms for head in found), default=None),
    )


def heads(engine: Engine, app: str, handler: str) -> list[Head]:
    """Every parked key of a handler."""
    rows = engine.state_query(head_prefix(app, handler))
    return [read_head(app, handler, row.fields) for row in rows]


def letters(engine: Engine, app: str, handler: str, key: bytes | None = None) -> Iterator[DeadLetter]:
    """Everything that is kept of a handler: parked keys, then what was discarded. Of one item: what is parked.

    Guarantee: a page of it is in memory at once, and it goes on where it was when something is written meanwhile.
    """
    prefixes = [parked_prefix(app, handler, key)]
    if key is None:
        prefixes.append(deadletter_prefix(app, handler))
    for prefix in prefixes:
        for row in engine.state_rows(prefix, PAGE):
            yield read_deadletter(row.fields)


async def paged(found: Iterator[DeadLetter]) -> AsyncIterator[list[DeadLetter]]:
    """A page at a time; between two pages whoever else waits for this loop has his turn."""
    while page := list(islice(found, PAGE)):
        yield page
        await asyncio.sleep(0)


def letter_of(engine: Engine, app: str, handler: str, record: ChangeRecord) -> DeadLetter | None:
    """What is kept of one change; None: nothing."""
    fields = engine.state_get(deadletter_key(app, handler, record.sequence))
    if fields is None:
        fields = engine.state_get(parked_key(app, handler, record.key, record.sequence))
    return None if fields is None else read_deadletter(fields)


def is_parked(engine: Engine, app: str, letter: DeadLetter) -> bool:
    """Whether this one is parked rather than discarded."""
    key = parked_key(app, letter.handler, letter.record.key, letter.record.sequence)
    return engine.state_get(key) is not None


def overtaken_by(engine: Engine, app: str, letter: DeadLetter) -> int | None:
    """The later change of the item that this handler has handled since; None: there is none."""
    last = read_passed(engine.state_get(passed_key(app, letter.handler, letter.record.key)))
    return last if last > letter.record.sequence else None


def letter_value(letter: DeadLetter) -> Mapping[str, Any]:
    """What befell it, for people and --json."""
    return {
        "condition": letter.condition,
        "attempts": letter.attempts,
        "error": letter.error,
        "traceback": letter.traceback,
        "first_failure_ms": letter.first_failure_ms,
        "last_failure_ms": letter.last_failure_ms,
        "code_version": letter.code_version,
        "trace": letter.trace,
    }
