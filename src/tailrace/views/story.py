"""The story of one change, or of the last changes of one item: where it was written, and what every handler
of its table made of it.

Rules of this file: it only reads what is durable: the log, what was saved from its trim, checkpoints, the
ledger and dead letters, so the story is the same beside a server and without one; what the handler has at
this moment, and what failed and is tried again, a worker adds. A long log is read in slices, and the loop is
given back between them. Called by the `why` and `explain` verbs.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Final

from msgspec import Struct, structs

from tailrace.deadletters.core.entry import DeadLetter, read_deadletter
from tailrace.deadletters.core.evacuated import Evacuation, read_evacuated, read_evacuation
from tailrace.deadletters.core.gap import Gap
from tailrace.deadletters.views.letters import PAGE, is_parked, letter_of, letter_value
from tailrace.errors import ApiError, SourceError, TailraceError
from tailrace.leases.checkpoint import (
    Range,
    checkpoint_key,
    ledger_key,
    ledger_of,
    outcome_of,
    read_checkpoint,
)
from tailrace.leases.generation import read_generations, sources_key
from tailrace.ports import LogReader, StateStore
from tailrace.rows.kinds import DEADLETTER, EVACUATION, PARKED, words_of
from tailrace.runtime.pages import rows
from tailrace.runtime.watermark import LAMBDA_APP, MappingName, evacuations, followed
from tailrace.streams.envelopes import change_value, event_id, locate
from tailrace.streams.kinesis.names import is_data_event, stream_of_source
from tailrace.streams.record import ChangeRecord
from tailrace.streams.shards import Shard
from tailrace.streams.version import Version
from tailrace.views.gaps import gaps
from tailrace.views.live import attempts_of
from tailrace.views.progress import declared, known_mappings
from tailrace.views.reading import ViewSources, running

SLICE: Final = 500
EMPTY_READS: Final = 5
MOST_COUNTED: Final = 1_000
"""How many changes before a waiting one are counted."""


class LocatedChange(Struct, frozen=True):
    """A change, and where it was written."""

    record: ChangeRecord
    table: str
    label: str
    shard: Shard


# ---- finding -----------------------------------------------------------------------------------------------


async def find_event(reading: ViewSources, wanted: str) -> LocatedChange:
    """The change with that event id. Raises: TailraceError when it is not there any more."""
    if reading.app:
        if (change := await _find_far(reading, wanted)) is not None:
            return change
    else:
        if (change := await _find_here(reading, wanted)) is not None:
            return change
        async for letter in dead_letters(reading.state):
            if letter.event_id == wanted:
                return await found_letter(reading.log, letter)
    raise TailraceError(
        f"No change has the event id {wanted}: a stream keeps its changes for 24 hours.",
        hint="tailrace tail TABLE --from-start --json   (shows those that are kept)",
    )


async def _find_here(reading: ViewSources, wanted: str) -> LocatedChange | None:
    """The change whose place its id tells. Raises: TailraceError for an id of another server."""
    sources: list[str | None] = [None]
    try:
        if is_data_event(wanted):
            sequence = int(wanted.partition(":")[2])
            tables = dict.fromkeys(mapping.table for mapping in await declared(reading))
            sources = [name for name in tables if stream_of_source(name) is not None]
        else:
            _, sequence = locate(wanted)
    except (ApiError, ValueError):
        raise TailraceError(
            f"{wanted} is no event id of this engine.", hint="tailrace tail TABLE --json"
        ) from None
    for source in sources:
        async for table, label, shard in all_shards(reading.log, source):
            for record in (await reading.log.read(shard, sequence - 1, 1)).records:
                if event_id(record) == wanted:
                    return LocatedChange(record, table, label, shard)
    async for mapping, saved in all_saved(reading.state):
        saved_record = await saved_change(reading.state, saved, sequence)
        if saved_record is not None and event_id(saved_record) == wanted:
            return LocatedChange(saved_record, mapping.table, saved.stream[1], saved.shard)
    return None


async def _find_far(reading: ViewSources, wanted: str) -> LocatedChange | None:
    """The same where ids tell nothing: what the state keeps is looked through, then the streams."""
    state, app = reading.state, reading.app
    async for letter in dead_letters(state, app):
        if letter.event_id == wanted:
            return await found_letter(reading.log, letter)
    async for mapping, saved in all_saved(state, None, app):
        async for row in rows(state, saved.prefix, SLICE):
            record = read_evacuated(row.fields)
            if event_id(record) == wanted:
                return LocatedChange(record, mapping.table, saved.stream[1], saved.shard)
    async for table, label, shard in all_shards(reading.log):
        async for record in records_of(reading.log, shard, EMPTY_READS):
            if event_id(record) == wanted:
                return LocatedChange(record, table, label, shard)
    return None


async def last_changes(
    reading: ViewSources, table: str, key: bytes, partition: int, last: int
) -> tuple[list[LocatedChange], int]:
    """The last changes of an item that are kept, oldest first, and how many older ones there are."""
    newest: deque[LocatedChange] = deque(maxlen=last)
    count = 0
    async for change in changes_of(reading, table, key, partition):
        newest.append(change)
        count += 1
    return list(newest), count - len(newest)


async def changes_of(
    reading: ViewSources, table: str, key: bytes, partition: int
) -> AsyncIterator[LocatedChange]:
    """Every change of an item that is kept, the oldest first: what the stream has forgotten, where it was
    saved, then the stream.
    """
    state, log = reading.state, reading.log
    saved = [
        evacuation
        async for _, evacuation in all_saved(state, table, *reading.scope)
        if evacuation.shard.may_have(partition)
    ]
    shards = {(label, shard.shard_id): shard async for _, label, shard in all_shards(log, table)}
    known = {
        (evacuation.stream[1], evacuation.shard.shard_id): evacuation.shard for evacuation in saved
    } | shards
    for place, shard in sorted(known.items(), key=lambda entry: (entry[0][0], entry[1].created_ms)):
        if not shard.may_have(partition):
            continue
        oldest = next(iter((await log.read(shard, 0, 1)).records), None) if place in shards else None
        forgotten: dict[int, ChangeRecord] = {}
        for evacuation in saved:
            if (evacuation.stream[1], evacuation.shard.shard_id) == place:
                async for record in saved_of_key(state, evacuation, key):
                    if oldest is None or record.sequence < oldest.sequence:
                        forgotten[record.sequence] = record
        for _, record in sorted(forgotten.items()):
            yield LocatedChange(record, table, place[0], shard)
        if place in shards:
            async for record in records_of(log, shard, EMPTY_READS if reading.app else 1):
                if record.key == key:
                    yield LocatedChange(record, table, place[0], shard)


async def all_shards(log: LogReader, table: str | None = None) -> AsyncIterator[tuple[str, str, Shard]]:
    """(table, stream label, shard) of everything that can still be read, the oldest stream first."""
    for stream in await log.streams(table):
        for shard in await log.shards(stream):
            yield stream.table, stream.label, shard


async def records_of(log: LogReader, shard: Shard, empty_reads: int = 1) -> AsyncIterator[ChangeRecord]:
    """Every record of a shard, in slices. Shape: `empty_reads` pages without a record end it: another server
    may answer some although more is behind them. Raises: SourceError.
    """
    after, empty = 0, 0
    while empty < empty_reads:
        page = await log.read(shard, after, SLICE)
        for record in page.records:
            yield record
        if page.closed and not page.records:
            return
        if page.records and page.next_after <= after:
            raise SourceError(f"shard {shard.shard_id} does not go on behind {after}")
        empty = 0 if page.records else empty + 1
        after = page.next_after
        await asyncio.sleep(0)


async def dead_letters(state: StateStore, *scope: str) -> AsyncIterator[DeadLetter]:
    """Every dead letter of every handler, of one app or of all."""
    for prefix in (DEADLETTER.prefix(*scope), PARKED.prefix(*scope)):
        async for row in rows(state, prefix, PAGE):
            yield read_deadletter(row.fields)


async def found_letter(log: LogReader, letter: DeadLetter) -> LocatedChange:
    """A change that only its dead letter has kept."""
    async for table, label, shard in all_shards(log):
        if shard.shard_id == letter.shard_id:
            return LocatedChange(letter.record, table, label, shard)
    return LocatedChange(letter.record, "a stream that is gone", "", Shard(letter.shard_id, 0))


# ---- what was saved from the trim --------------------------------------------------------------------------


async def all_saved(
    state: StateStore, table: str | None = None, *scope: str
) -> AsyncIterator[tuple[MappingName, Evacuation]]:
    """What was saved for every handler, by shard; of one table or of all, of one app or of all."""
    async for row in rows(state, EVACUATION.prefix(*scope)):
        _, app, handler, *_ = words_of(row.key)
        saved = read_evacuation(app, handler, row.fields)
        if table in (None, saved.table):
            yield MappingName(app, handler, saved.table), saved


async def saved_change(state: StateStore, saved: Evacuation, sequence: int) -> ChangeRecord | None:
    """The change of that sequence number; None: it is not among them."""
    row = await state.get(saved.key_after(sequence))
    return None if row is None else read_evacuated(row.fields)


async def saved_of_key(state: StateStore, saved: Evacuation, key: bytes) -> AsyncIterator[ChangeRecord]:
    """What was saved of one item, oldest first; read in slices."""
    async for row in rows(state, saved.prefix, SLICE):
        record = read_evacuated(row.fields)
        if record.key == key:
            yield record


async def saved_before(
    state: StateStore, saved: Evacuation, sequence: int, watermark: int, ranges: tuple[Range, ...]
) -> int:
    """How many of them are not settled and come before a change; at most MOST_COUNTED are looked at."""
    after = await state.query(saved.prefix, after=saved.key_after(watermark), limit=MOST_COUNTED)
    numbers = [Version.from_text(words_of(row.key)[-1]).sequence for row in after]
    return sum(
        number < sequence and not any(first <= number <= last for first, last in ranges) for number in numbers
    )


# ---- telling -----------------------------------------------------------------------------------------------


async def story(reading: ViewSources, change: LocatedChange) -> dict[str, Any]:
    """A change and what every handler of its table made of it."""
    state, log = reading.state, reading.log
    saved = [mapping async for mapping, _ in all_saved(state, change.table, *reading.scope)]
    known = dict.fromkeys([*await known_mappings(state, log, *reading.scope), *running(reading.live), *saved])
    return {
        **change_value(change.record, change.table, change.shard.shard_id),
        "handlers": [
            await chapter(reading, mapping, change)
            for mapping in known
            if mapping.table == change.table and await _follows(state, log, mapping, change.label)
        ],
    }


async def _follows(state: StateStore, log: LogReader, mapping: MappingName, label: str) -> bool:
    """Whether a handler is given the changes of this stream: a mapping of Lambda's API only those of its
    own.
    """
    if mapping.app != LAMBDA_APP or not label:
        return True
    return any(stream.label == label for stream in await followed(state, log, mapping))


async def _as_read(state: StateStore, app: str, change: LocatedChange) -> tuple[ChangeRecord, int]:
    """The change as an app has read it, with its generation; and that of its stream, which gaps have."""
    if not change.label:
        return change.record, change.record.generation  # a letter told it
    row = await state.get(sources_key(app, change.table))
    known = read_generations(app, change.table, None if row is None else row.fields)
    place = change.label, change.shard.shard_id, change.record.sequence
    return structs.replace(change.record, generation=known.of_record(*place)), known.of(change.label)


async def chapter(reading: ViewSources, mapping: MappingName, change: LocatedChange) -> dict[str, Any]:
    """What one handler made of a change."""
    state = reading.state
    where = (mapping.app, mapping.handler, change.label, change.shard.shard_id)
    row = await state.get(checkpoint_key(*where))
    checkpoint = None if row is None else row.fields
    watermark, ranges, _ = read_checkpoint(checkpoint)
    sequence = change.record.sequence
    record, generation = await _as_read(state, mapping.app, change)
    letter = await letter_of(state, mapping.app, mapping.handler, record)
    if letter is not None:
        kept_as = "parked" if await is_parked(state, mapping.app, letter) else "discarded"
        return {"handler": mapping.handler, "app": mapping.app, "state": kept_as, **letter_value(letter)}
    older = await state.get(ledger_key(*where))
    ledger = ledger_of(checkpoint, None if older is None else older.fields)
    outcome = outcome_of(sequence, watermark, ranges, ledger)
    gap = None
    if outcome in ("settled", "trimmed"):
        gap = await _gap_of(state, mapping, sequence, (generation, change.shard.shard_id))
        outcome = outcome if gap is None else "trimmed"
    members: dict[str, Any] = {"handler": mapping.handler, "app": mapping.app, "state": outcome}
    if gap is not None and gap.skipped:
        members["is_skipped"] = True
    if outcome in ("parked", "discarded"):
        members["is_gone"] = True  # the ledger has it and no letter does: it was put back, or dropped
    if outcome == "waiting":
        saved = (await evacuations(state, mapping)).get((change.label, change.shard.shard_id))
        is_saved = saved is not None and await saved_change(state, saved, sequence) is not None
        members["saved_from_trim"] = is_saved
        members["before_it"] = await _unsettled_before(reading, change, watermark, ranges, saved)
        members["waiting_ms"] = max(0, reading.clock.now().wall_ms - change.record.created_ms)
        members |= _at_this_moment(reading, mapping, change)
    return members


async def _gap_of(
    state: StateStore, mapping: MappingName, sequence: int, place: tuple[int, str]
) -> Gap | None:
    """The gap that a change is in, because it was trimmed before its handler came to it or an operator has
    skipped it: a gap stands in its row when the ledger has no room for it any more. None: it is in none.
    """
    for gap in await gaps(state, mapping):
        if (gap.generation, gap.shard_id) == place and gap.first <= sequence <= gap.last:
            return gap
    return None


def _at_this_moment(reading: ViewSources, mapping: MappingName, change: LocatedChange) -> dict[str, Any]:
    """What only a worker knows of a change that is not settled: the handler has it now, or failed and will
    have it again.
    """
    attempts = attempts_of(reading.live, mapping, change.shard.shard_id)
    if attempts is None:
        return {}
    now_ms = reading.clock.now().wall_ms
    members: dict[str, Any] = {}
    if (failing := attempts.failing(change.record.sequence)) is not None:
        members = {
            "state": "retrying",
            "attempts": failing.attempts,
            "error": failing.failure.error,
            "traceback": failing.failure.traceback,
            "first_failure_ms": failing.since_ms,
            "last_failure_ms": failing.last_ms,
        }
    if (work := attempts.at_work(change.record.sequence)) is not None:
        members |= {"state": "running", "running_ms": max(0, now_ms - work.since_ms)}
    return members


async def _unsettled_before(
    reading: ViewSources,
    change: LocatedChange,
    watermark: int,
    ranges: tuple[Range, ...],
    saved: Evacuation | None,
) -> int:
    sequence, count, after = change.record.sequence, 0, watermark
    if saved is not None and watermark < saved.through:
        count = await saved_before(reading.state, saved, sequence, watermark, ranges)
        after = saved.through
    page = await reading.log.read(change.shard, after, MOST_COUNTED)
    return count + sum(
        record.sequence < sequence and not any(first <= record.sequence <= last for first, last in ranges)
        for record in page.records
    )
