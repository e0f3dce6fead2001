"""How far handlers are, read from what is durable: checkpoints, what was saved from the trim, and the log
itself.

Theory of operation: a change is settled at or below its shard's watermark and inside the ranges above it; the
time before which every change of every shard is settled is the low watermark that windows wait for. Rules of
this file: it only reads, through `StateStore` and `LogReader`, so that it answers the same beside a worker
and without one. A shard that a handler has not begun counts from its start. Called by views and, through
compose_worker.py, by windows and projections.
"""

from collections.abc import AsyncIterator, Iterable
from typing import Final

from msgspec import Struct

from tailrace.deadletters.core.evacuated import Evacuation, read_evacuated, read_evacuation
from tailrace.leases.checkpoint import Range, checkpoint_key, read_checkpoint
from tailrace.ports import Clock, LogReader, StateStore, StreamRef
from tailrace.rows.kinds import CHECKPOINT, EVACUATION, EVENT_SOURCE_MAPPING
from tailrace.rows.writes import StateRow
from tailrace.streams.arns import parse_stream_arn
from tailrace.streams.record import ChangeRecord
from tailrace.streams.shards import Shard

LAMBDA_APP: Final = "lambda"
"""The app that holds the event source mappings of Lambda's API: the id of each is its UUID."""


class MappingName(Struct, frozen=True):
    """One handler of one app on one table."""

    app: str
    handler: str
    table: str


class HandlerPosition(Struct, frozen=True):
    """Where a handler stands in one shard of the stream of that label. `oldest` is its first change that is
    not settled, None at the end.
    """

    mapping: MappingName
    shard: Shard
    watermark: int
    ranges: tuple[Range, ...]
    finished: bool
    oldest: ChangeRecord | None
    label: str


async def followed(state: StateStore, log: LogReader, mapping: MappingName) -> list[StreamRef]:
    """The streams that a handler follows and that can still be read, the oldest first: a mapping of Lambda's
    API has one, whatever becomes of its table.
    """
    if mapping.app == LAMBDA_APP:
        row = await state.get(EVENT_SOURCE_MAPPING.key(mapping.handler))
        if row is None:
            return []
        arn = str(row.fields["stream_arn"])
        return [stream for stream in await log.streams(parse_stream_arn(arn).table) if stream.arn == arn]
    return [
        stream
        for stream in await log.streams(mapping.table)
        if not stream.is_of_deleted
        or await state.query(CHECKPOINT.prefix(mapping.app, mapping.handler, stream.label), limit=1)
    ]  # a deleted table's only who has read it before


async def positions(
    state: StateStore, log: LogReader, mappings: Iterable[MappingName], *, first_only: bool = False
) -> AsyncIterator[HandlerPosition]:
    """Where each handler stands in each shard of its table's streams: those that are off can still be read
    for a day. With `first_only` without the shards that come after one in which something is open: all that
    is in them was made later, and the log is not asked for it.
    """
    for mapping in mappings:
        evacuated = await evacuations(state, mapping)
        kept = await _checkpoints(state, mapping)
        for stream in await followed(state, log, mapping):
            open_ids: set[str] = set()
            for shard in await log.shards(stream):
                saved = evacuated.pop((stream.label, shard.shard_id), None)
                if first_only and not open_ids.isdisjoint(shard.parents):
                    open_ids.add(shard.shard_id)
                    continue
                place = await _position(log, state, mapping, stream.label, shard, saved, kept)
                if place.oldest is not None:
                    open_ids.add(shard.shard_id)
                yield place
        for (label, _), saved in evacuated.items():  # only what was saved from the trim still knows these
            yield await _position(log, state, mapping, label, saved.shard, saved, kept)


async def evacuations(state: StateStore, mapping: MappingName) -> dict[tuple[str, str], Evacuation]:
    """What was saved from the trim for a handler, by stream label and shard."""
    rows = await state.query(EVACUATION.prefix(mapping.app, mapping.handler))
    saved = [read_evacuation(mapping.app, mapping.handler, row.fields) for row in rows]
    return {(evacuation.stream[1], evacuation.shard.shard_id): evacuation for evacuation in saved}


Checkpoints = dict[str, StateRow]
"""The checkpoints of a mapping, by key."""


async def _checkpoints(state: StateStore, mapping: MappingName) -> Checkpoints:
    return {row.key: row for row in await state.query(CHECKPOINT.prefix(mapping.app, mapping.handler))}


async def _position(
    log: LogReader,
    state: StateStore,
    mapping: MappingName,
    label: str,
    shard: Shard,
    saved: Evacuation | None,
    kept: Checkpoints,
) -> HandlerPosition:
    """Where one handler stands in one shard, of which that much was saved from the trim."""
    row = kept.get(checkpoint_key(mapping.app, mapping.handler, label, shard.shard_id))
    watermark, ranges, finished = read_checkpoint(None if row is None else row.fields)
    oldest = None if finished else await oldest_unsettled(state, log, shard, watermark, ranges, saved)
    return HandlerPosition(mapping, shard, watermark, ranges, finished, oldest, label)


async def _open(state: StateStore, log: LogReader, mapping: MappingName) -> AsyncIterator[ChangeRecord]:
    """The first changes that are not settled of the shards that come after none in which there is one."""
    async for place in positions(state, log, [mapping], first_only=True):
        if place.oldest is not None:
            yield place.oldest


async def oldest_of(state: StateStore, log: LogReader, mapping: MappingName) -> int | None:
    """The sequence number of a handler's first change that is not settled, in any shard; None when all
    are.
    """
    return min([change.sequence async for change in _open(state, log, mapping)], default=None)


async def oldest_created_ms(state: StateStore, log: LogReader, mapping: MappingName) -> int | None:
    """When a handler's first change was created that is not settled, in any shard; None when all are. Units:
    ms since the epoch, as the stream tells it.
    """
    return min([change.created_ms async for change in _open(state, log, mapping)], default=None)


async def settled_until(state: StateStore, log: LogReader, clock: Clock, mapping: MappingName) -> int:
    """The time before which a handler has settled every change, in all shards. Units: ms since the epoch.

    Guarantee: where nothing is open it is the present, unless something was written that is not durable yet:
               that was written before now, and is not handled.
    """
    times = [clock.now().wall_ms]
    async for place in positions(state, log, [mapping], first_only=True):
        if place.oldest is not None:
            times.append(place.oldest.created_ms)
        elif (pending_ms := await log.pending_since(place.shard)) is not None:
            times.append(pending_ms)
    return min(times)


async def oldest_unsettled(
    state: StateStore,
    log: LogReader,
    shard: Shard,
    watermark: int,
    ranges: Iterable[Range],
    saved: Evacuation | None = None,
) -> ChangeRecord | None:
    """The first record above the watermark and outside the settled ranges: of what was saved from the trim,
    then of the stream.
    """
    after = watermark
    for first, last in (*ranges, (None, None)):
        record = await _next(state, log, shard, after, saved)
        if record is None:
            return None
        if first is None or last is None or record.sequence < first:
            return record
        after = max(after, last)
    return None


async def _next(
    state: StateStore, log: LogReader, shard: Shard, after: int, saved: Evacuation | None
) -> ChangeRecord | None:
    if saved is not None and after < saved.through:
        rows = await state.query(saved.prefix, after=saved.key_after(after), limit=1)
        if rows:
            return read_evacuated(rows[0].fields)
        after = saved.through
    if saved is not None and saved.closed:
        return None
    page = await log.read(shard, after, 1)
    return next(iter(page.records), None)
