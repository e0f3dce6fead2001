"""The `why` verb: the story of one change, or of the last changes of one item.

Rules of this file: it only reads what is durable: the log, what was saved from its trim, checkpoints, the ledger and dead letters, so the story is the same beside a server
and without one; what the handler has at this moment, and what failed and is tried again, a worker adds. A long log is read in slices, and the loop is given back between them.
Value: {"changes": [change + "handlers": […]], "older": count}.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, Final

from tailrace.deadletters.entry import DeadLetter, read_deadletter
from tailrace.deadletters.evacuated import Evacuation
from tailrace.engine.engine import Engine
from tailrace.errors import ApiError, TailraceError
from tailrace.leases.checkpoint import Range, checkpoint_key, read_checkpoint
from tailrace.leases.ledger import ledger_key, ledger_of, outcome_of
from tailrace.rows.kinds import DEADLETTER, PARKED
from tailrace.runtime.attempts import Attempts
from tailrace.runtime.watermark import LAMBDA_APP, MappingName
from tailrace.server.control import Arguments, Subject, verb
from tailrace.server.letters import PAGE, is_parked, letter_of, letter_value, paged
from tailrace.server.progress import evacuations, followed, known_mappings, streams, tables
from tailrace.server.saved import all_saved, saved_before, saved_change, saved_of_key
from tailrace.server.tail import change_value
from tailrace.server.targets import EventTarget, KeyTarget, read_target
from tailrace.streams.envelopes import event_id, locate
from tailrace.streams.record import ChangeRecord
from tailrace.streams.shards import Shard

SLICE: Final = 500
MOST_COUNTED: Final = 1_000
"""How many changes before a waiting one are counted."""


@dataclass(frozen=True, slots=True)
class Found:
    """A change, and where it was written."""

    record: ChangeRecord
    table: str
    label: str
    shard: Shard


@verb("why")
async def why(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    """Arguments: what (an event id or a key), last (how many changes of a key)."""
    what, last = arguments.get("what"), arguments.get("last", 3)
    if not isinstance(what, str) or not isinstance(last, int) or not 1 <= last <= 100:
        raise TailraceError("`why` needs an event id or a key.", hint="tailrace why TABLE/KEY")
    engine = subject.engine
    target = read_target(what, [engine.schema(table) for table in tables(engine)])
    match target:
        case EventTarget(wanted):
            found, older = [await find_event(engine, wanted)], 0
        case KeyTarget():
            found, older = await find_key(engine, target, last)
    yield {"changes": [story(subject, each) for each in found], "older": older}


# ---- finding -----------------------------------------------------------------------------------------------------


async def find_event(engine: Engine, wanted: str) -> Found:
    """The change with that event id. Raises: TailraceError when it is not there any more."""
    try:
        number, sequence = locate(wanted)
    except (ApiError, ValueError):
        raise TailraceError(
            f"{wanted} is no event id of this engine.", hint="tailrace tail TABLE --json"
        ) from None
    for table, label, shard in all_shards(engine):
        if engine.number_of(shard) != number:
            continue
        for record in engine.read_shard(shard, sequence - 1, 1).records:
            if event_id(record) == wanted:
                return Found(record, table, label, shard)
    for mapping, saved in all_saved(engine):
        kept = saved_change(engine, saved, sequence)
        if kept is not None and event_id(kept) == wanted:
            return Found(kept, mapping.table, saved.stream[1], saved.shard)
    async for page in paged(dead_letters(engine)):
        for letter in page:
            if letter.event_id == wanted:
                return found_letter(engine, letter)
    raise TailraceError(
        f"No change has the event id {wanted}: a stream keeps its changes for 24 hours.",
        hint="tailrace tail TABLE --from-start --json   (shows those that are kept)",
    )


async def find_key(engine: Engine, target: KeyTarget, last: int) -> tuple[list[Found], int]:
    """The last changes of an item, oldest first, and how many older ones there are. Raises: TailraceError."""
    schema = engine.schema(target.table)
    key, partition = schema.key_bytes(target.key), schema.partition(target.key)
    newest: deque[Found] = deque(maxlen=last)
    count = 0
    async for found in changes_of(engine, target.table, key, partition):
        newest.append(found)
        count += 1
    if not newest:
        exists = "the item is there" if engine.get(target.table, target.key) else "there is no such item now"
        raise TailraceError(
            f"No change of this item is kept: {exists}, and a stream keeps its changes for 24 hours.",
            hint=f"tailrace tail {target.table} --from-start   (shows those that are kept)",
        )
    return list(newest), count - len(newest)


async def changes_of(engine: Engine, table: str, key: bytes, partition: int) -> AsyncIterator[Found]:
    """Every change of an item that is kept, the oldest first: what the stream has forgotten, where it was saved, then the stream."""
    saved = [each for _, each in all_saved(engine, table) if each.shard.may_have(partition)]
    shards = {(label, shard.shard_id): shard for _, label, shard in all_shards(engine, table)}
    gone = {(each.stream[1], each.shard.shard_id): each.shard for each in saved} | shards
    for (label, shard_id), shard in sorted(gone.items(), key=lambda each: (each[0][0], each[1].created_ms)):
        if not shard.may_have(partition):
            continue
        oldest = (
            next(iter(engine.read_shard(shard, 0, 1).records), None) if (label, shard_id) in shards else None
        )
        forgotten: dict[int, ChangeRecord] = {}
        for each in saved:
            if (each.stream[1], each.shard.shard_id) == (label, shard_id):
                async for record in saved_of_key(engine, each, key):
                    if oldest is None or record.sequence < oldest.sequence:
                        forgotten[record.sequence] = record
        for _, record in sorted(forgotten.items()):
            yield Found(record, table, label, shard)
        if (label, shard_id) in shards:
            async for record in records_of(engine, shard):
                if record.key == key:
                    yield Found(record, table, label, shard)


def all_shards(engine: Engine, table: str | None = None) -> Iterator[tuple[str, str, Shard]]:
    """(table, stream label, shard) of everything that can still be read, the oldest stream first."""
    for arn, name, label in sorted(streams(engine, table), key=lambda each: each[2]):
        for shard in engine.shards_of(arn):
            yield name, label, shard


async def records_of(engine: Engine, shard: Shard) -> AsyncIterator[ChangeRecord]:
    """Every record of a shard, in slices."""
    after = 0
    while True:
        page = engine.read_shard(shard, after, SLICE)
        for record in page.records:
            yield record
        if not page.records:
            return
        after = page.next_after
        await asyncio.sleep(0)


def dead_letters(engine: Engine) -> Iterator[DeadLetter]:
    """Every dead letter of every handler."""
    for prefix in (DEADLETTER.prefix(), PARKED.prefix()):
        for row in engine.state_rows(prefix, PAGE):
            yield read_deadletter(row.fields)


def found_letter(engine: Engine, letter: DeadLetter) -> Found:
    """A change that only its dead letter has kept."""
    for table, label, shard in all_shards(engine):
        if shard.shard_id == letter.shard_id:
            return Found(letter.record, table, label, shard)
    gone = Shard(letter.shard_id, 0)
    return Found(letter.record, "a stream that is gone", "", gone)


# ---- telling -----------------------------------------------------------------------------------------------------


def story(subject: Subject, found: Found) -> dict[str, Any]:
    """A change and what every handler of its table made of it."""
    engine = subject.engine
    kept = (mapping for mapping, _ in all_saved(engine, found.table))
    known = dict.fromkeys([*known_mappings(engine), *running(subject), *kept])
    handlers = [each for each in known if each.table == found.table and _follows(engine, each, found.label)]
    return {
        **change_value(found.record, found.table, found.shard.shard_id),
        "handlers": [chapter(subject, mapping, found) for mapping in handlers],
    }


def _follows(engine: Engine, mapping: MappingName, label: str) -> bool:
    """Whether a handler is given the changes of this stream: a mapping of Lambda's API only those of its own."""
    return (
        mapping.app != LAMBDA_APP
        or not label
        or any(each.label == label for each in followed(engine, mapping))
    )


def running(subject: Subject) -> Iterator[MappingName]:
    """The handlers that a worker runs, begun or not."""
    if subject.worker is not None:
        for each in subject.worker.status():
            yield MappingName(each.app, each.mapping_id, each.table)


def chapter(subject: Subject, mapping: MappingName, found: Found) -> dict[str, Any]:
    """What one handler made of a change."""
    engine = subject.engine
    where = (mapping.app, mapping.handler, found.label, found.shard.shard_id)
    checkpoint = engine.state_get(checkpoint_key(*where))
    watermark, ranges, _ = read_checkpoint(checkpoint)
    sequence = found.record.sequence
    letter = letter_of(engine, mapping.app, mapping.handler, found.record)
    if letter is not None:
        kept_as = "parked" if is_parked(engine, mapping.app, letter) else "discarded"
        return {"handler": mapping.handler, "app": mapping.app, "state": kept_as, **letter_value(letter)}
    ledger = ledger_of(checkpoint, engine.state_get(ledger_key(*where)))
    state = outcome_of(sequence, watermark, ranges, ledger)
    told: dict[str, Any] = {"handler": mapping.handler, "app": mapping.app, "state": state}
    if state in ("parked", "discarded"):
        told["is_gone"] = True  # the ledger has it and no letter does: somebody put it back, or dropped it
    if state == "waiting":
        saved = evacuations(engine, mapping).get((found.label, found.shard.shard_id))
        told["saved_from_trim"] = saved is not None and saved_change(engine, saved, sequence) is not None
        told["before_it"] = _unsettled_before(engine, found, watermark, ranges, saved)
        told["waiting_ms"] = max(0, engine.clock.now().wall_ms - found.record.created_ms)
        told |= _at_this_moment(subject, mapping, found)
    return told


def _at_this_moment(subject: Subject, mapping: MappingName, found: Found) -> dict[str, Any]:
    """What only a worker knows of a change that is not settled: the handler has it now, or failed and will have it again."""
    attempts = attempts_of(subject, mapping, found.shard.shard_id)
    if attempts is None:
        return {}
    now_ms = subject.clock.now().wall_ms
    told: dict[str, Any] = {}
    if (failing := attempts.failing(found.record.sequence)) is not None:
        told = {
            "state": "retrying", "attempts": failing.attempts, "error": failing.failure.error,
            "traceback": failing.failure.traceback, "first_failure_ms": failing.since_ms, "last_failure_ms": failing.last_ms,
        }  # fmt: skip
    if (work := attempts.at_work(found.record.sequence)) is not None:
        told |= {"state": "running", "running_ms": max(0, now_ms - work.since_ms)}
    return told


def attempts_of(subject: Subject, mapping: MappingName, shard_id: str) -> Attempts | None:
    """What is at a handler in one shard, and what failed there; None where it does not run."""
    for each in () if subject.worker is None else subject.worker.status():
        if (each.app, each.mapping_id, each.table, each.shard_id) == (
            mapping.app, mapping.handler, mapping.table, shard_id,
        ):  # fmt: skip
            return each.attempts
    return None


def _unsettled_before(
    engine: Engine, found: Found, watermark: int, ranges: tuple[Range, ...], saved: Evacuation | None
) -> int:
    sequence, count, after = found.record.sequence, 0, watermark
    if saved is not None and watermark < saved.through:
        count = saved_before(engine, saved, sequence, watermark, ranges, MOST_COUNTED)
        after = saved.through
    page = engine.read_shard(found.shard, after, MOST_COUNTED)
    return count + sum(
        record.sequence < sequence and not any(first <= record.sequence <= last for first, last in ranges)
        for record in page.records
    )
