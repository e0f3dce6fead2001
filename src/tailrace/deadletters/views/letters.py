"""Dead letters, parked changes and lost windows as they lie in the state: finding, counting, telling.

Rules of this file: it only reads. A parked key's changes are told oldest first, what only waits included.
Called by the `dlq` verbs, `why`, `status`, metrics and the test world.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from msgspec import Struct

from tailrace.deadletters.core.entry import (
    DeadLetter,
    deadletter_key,
    deadletter_prefix,
    parked_key,
    parked_prefix,
    read_deadletter,
)
from tailrace.deadletters.core.head import Head, head_prefix, read_head
from tailrace.deadletters.core.lost_window import LostWindow, lost_window_prefix, read_lost_window
from tailrace.deadletters.core.passed import passed_key, read_passed
from tailrace.deadletters.core.redrive import fingerprint, item_words
from tailrace.ports import StateStore
from tailrace.runtime.pages import pages, rows
from tailrace.runtime.watermark import MappingName
from tailrace.streams.envelopes import change_value
from tailrace.streams.record import ChangeRecord, SequenceNumber
from tailrace.streams.version import Version
from tailrace.tables.schema import partition_of_key

PAGE: Final = 100
"""Letters in memory at once: each may hold two images of 400 KB."""


class LetterCounts(Struct, frozen=True):
    """How many are kept of one handler. Shape: `parked` changes of `parked_keys`, `oldest_parked_ms` since
    the epoch.
    """

    discarded: int
    parked: int
    parked_keys: int
    oldest_parked_ms: int | None


async def letter_counts(state: StateStore, app: str, handler: str) -> LetterCounts:
    """Count what is kept, without looking at it."""
    known = await heads(state, app, handler)
    return LetterCounts(
        await state.count(deadletter_prefix(app, handler)),
        sum(head.count for head in known),
        len(known),
        min((head.parked_ms for head in known), default=None),
    )


async def heads(state: StateStore, app: str, handler: str) -> list[Head]:
    """Every parked key of a handler; one is not whose discarded changes are being put back, with nothing
    behind them.
    """
    known = [read_head(app, handler, row.fields) async for row in rows(state, head_prefix(app, handler))]
    return [head for head in known if head.count]


async def letter_pages(
    state: StateStore, app: str, handler: str, key: bytes | None = None
) -> AsyncIterator[list[DeadLetter]]:
    """Everything that is kept of a handler, in pages: parked keys, then what was discarded. Of one item: what
    is parked.

    Guarantee: a page of it is in memory at once, and it goes on where it was when something is written
               meanwhile.
    """
    prefixes = [parked_prefix(app, handler, key)]
    if key is None:
        prefixes.append(deadletter_prefix(app, handler))
    for prefix in prefixes:
        async for page in pages(state, prefix, PAGE):
            yield [read_deadletter(row.fields) for row in page]


async def letters(
    state: StateStore, app: str, handler: str, key: bytes | None = None
) -> AsyncIterator[DeadLetter]:
    """The same one by one."""
    async for page in letter_pages(state, app, handler, key):
        for letter in page:
            yield letter


async def letter_of(state: StateStore, app: str, handler: str, record: ChangeRecord) -> DeadLetter | None:
    """What is kept of one change, which carries its generation; None: nothing."""
    row = await state.get(deadletter_key(app, handler, record.version))
    for key in dict.fromkeys((record.key, partition_of_key(record.key))):
        if row is None:  # parked with its item, or with all of its partition key (ordered_by)
            row = await state.get(parked_key(app, handler, key, record.version))
    return None if row is None else read_deadletter(row.fields)


async def is_parked(state: StateStore, app: str, letter: DeadLetter) -> bool:
    """Whether this one is parked rather than discarded."""
    key = parked_key(app, letter.handler, letter.record.key, letter.record.version)
    return await state.get(key) is not None


async def overtaken_by(state: StateStore, app: str, letter: DeadLetter) -> Version | None:
    """The later change of the item that this handler has handled since; None: there is none."""
    row = await state.get(passed_key(app, letter.handler, letter.record.key))
    last = read_passed(None if row is None else row.fields)
    return last if last > letter.record.version else None


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


async def entry_value(state: StateStore, mapping: MappingName, letter: DeadLetter) -> dict[str, Any]:
    """One letter, for a list."""
    overtaken = await overtaken_by(state, mapping.app, letter)
    kept_as = "parked" if await is_parked(state, mapping.app, letter) else "discarded"
    return {
        "event_id": letter.event_id,
        "handler": letter.handler,
        "table": letter.table or mapping.table,
        "key": item_words(letter),
        "sequence_number": letter.record.sequence_number.wire,
        "event_name": letter.record.event_name,
        "state": "waiting" if letter.is_waiting else kept_as,
        "fingerprint": "" if letter.is_waiting else fingerprint(letter),
        "overtaken_by": None if overtaken is None else SequenceNumber(overtaken.sequence).wire,
        **letter_value(letter),
    }


async def whole(state: StateStore, mapping: MappingName, letter: DeadLetter) -> dict[str, Any]:
    """Everything that is kept of a change."""
    change = change_value(letter.record, letter.table or mapping.table, letter.shard_id)
    return {**change, **await entry_value(state, mapping, letter)}


async def behind(state: StateStore, mapping: MappingName, letter: DeadLetter) -> list[dict[str, Any]]:
    """The later changes of the item that wait behind a parked one."""
    return [
        change_value(waiting.record, waiting.table or mapping.table, waiting.shard_id)
        async for waiting in letters(state, mapping.app, mapping.handler, letter.record.key)
        if waiting.record.version > letter.record.version and waiting.is_waiting
    ]


async def lost_windows(state: StateStore, app: str, handler: str) -> AsyncIterator[LostWindow]:
    """The tumbling windows that a function was given up on in their final invoke, one in memory at a time:
    each may hold 1 MB of state.
    """
    async for row in rows(state, lost_window_prefix(app, handler), 1):
        yield read_lost_window(row.fields)


async def lost_window_count(state: StateStore, app: str, handler: str) -> int:
    """How many final invokes of windows were given up."""
    return await state.count(lost_window_prefix(app, handler))
