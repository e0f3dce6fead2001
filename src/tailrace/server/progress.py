"""How far every handler is, read from what is durable: checkpoints, the ledger, dead letters, and the log itself.

Rules of this file: it only reads, so that it answers the same beside a worker and without one; what a worker alone
knows (when it last moved, what is in flight) is laid over it by `verbs` and `observe`. A handler is known once it has
saved a checkpoint or a worker runs it; a shard that it has not begun counts from its start. Called by `verbs`,
`story` and `compose.Node` for `/ready` and `/metrics`.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final

from tailrace.deadletters.evacuated import Evacuation, read_evacuated, read_evacuation
from tailrace.engine.engine import Engine
from tailrace.errors import ApiError
from tailrace.leases.checkpoint import Range, checkpoint_key, read_checkpoint
from tailrace.leases.ledger import Ledger, ledgers_of
from tailrace.ports import StreamRef
from tailrace.rows.kinds import CHECKPOINT, EVACUATION, EVENT_SOURCE_MAPPING, LEDGER, words_of
from tailrace.runtime.watermark import LAMBDA_APP, MappingName, Position
from tailrace.streams.record import ChangeRecord
from tailrace.streams.shards import Shard

OUTCOMES: Final = ("handled", "filtered", "parked", "discarded", "dropped", "trimmed")


def streams(engine: Engine, table: str | None = None) -> Iterator[tuple[str, str, str]]:
    """(ARN, table, label) of every stream that can still be read."""
    start: str | None = None
    while True:
        page = engine.list_streams(table, None, start)
        yield from ((each["StreamArn"], each["TableName"], each["StreamLabel"]) for each in page["Streams"])
        start = page.get("LastEvaluatedStreamArn")
        if start is None:
            return


def tables(engine: Engine) -> Iterator[str]:
    """The names of all tables."""
    start: str | None = None
    while True:
        page = engine.list_tables(start)
        yield from page["TableNames"]
        start = page.get("LastEvaluatedTableName")
        if start is None:
            return


def known_mappings(engine: Engine) -> list[MappingName]:
    """Every handler that has ever saved a checkpoint in a stream that can still be read."""
    table_of = {label: table for _, table, label in streams(engine)}
    found: dict[MappingName, None] = {}
    for row in engine.state_query(CHECKPOINT.prefix()):
        _, app, handler, label, _ = words_of(row.key)
        if label in table_of:
            found[MappingName(app, handler, table_of[label])] = None
    return list(found)


def followed(engine: Engine, mapping: MappingName) -> list[StreamRef]:
    """The streams that a handler follows and that can still be read, the oldest first: a mapping of Lambda's API has one, whatever becomes of its table."""
    if mapping.app == LAMBDA_APP:
        row = engine.state_get(EVENT_SOURCE_MAPPING.key(mapping.handler))
        with suppress(ApiError):  # its day has passed
            return [] if row is None else [engine.stream_named(row["stream_arn"])]
        return []
    streams = [
        each
        for each in engine.earlier_streams_of(mapping.table)
        if not each.is_of_deleted
        or engine.state_query(CHECKPOINT.prefix(mapping.app, mapping.handler, each.label), limit=1)
    ]  # a deleted table's only who has read it before
    with suppress(ApiError):  # the stream was switched off: nothing more will come
        streams.append(engine.stream_of(mapping.table))
    return streams


def positions(engine: Engine, mappings: Iterable[MappingName]) -> Iterator[Position]:
    """Where each handler stands in each shard of its table's streams: those that are off can still be read for a day."""
    for mapping in mappings:
        kept = evacuations(engine, mapping)
        for stream in followed(engine, mapping):
            for shard in engine.shards_of(stream.arn):
                saved = kept.pop((stream.label, shard.shard_id), None)
                yield position(engine, mapping, stream.label, shard, saved)
        for (label, _), saved in kept.items():  # only what was saved from the trim still knows these
            yield position(engine, mapping, label, saved.shard, saved)


def evacuations(engine: Engine, mapping: MappingName) -> dict[tuple[str, str], Evacuation]:
    """What was saved from the trim for a handler, by stream label and shard."""
    rows = engine.state_query(EVACUATION.prefix(mapping.app, mapping.handler))
    saved = [read_evacuation(mapping.app, mapping.handler, row.fields) for row in rows]
    return {(each.stream[1], each.shard.shard_id): each for each in saved}


def position(
    engine: Engine, mapping: MappingName, label: str, shard: Shard, saved: Evacuation | None = None
) -> Position:
    """Where one handler stands in one shard."""
    row = engine.state_get(checkpoint_key(mapping.app, mapping.handler, label, shard.shard_id))
    watermark, ranges, finished = read_checkpoint(row)
    oldest = None if finished else oldest_unsettled(engine, shard, watermark, ranges, saved)
    return Position(mapping, shard, watermark, ranges, finished, oldest)


def oldest_unsettled(
    engine: Engine, shard: Shard, watermark: int, ranges: Iterable[Range], saved: Evacuation | None = None
) -> ChangeRecord | None:
    """The first record above the watermark and outside the settled ranges: of what was saved from the trim, then of the stream."""
    after = watermark
    for first, last in (*ranges, (None, None)):
        record = _next(engine, shard, after, saved)
        if record is None:
            return None
        if first is None or last is None or record.sequence < first:
            return record
        after = max(after, last)
    return None


def _next(engine: Engine, shard: Shard, after: int, saved: Evacuation | None) -> ChangeRecord | None:
    if saved is not None and after < saved.through:
        rows = engine.state_query(saved.prefix, saved.key_after(after), 1)
        if rows:
            return read_evacuated(rows[0].fields)
        after = saved.through
    if saved is not None and saved.closed:
        return None
    return next(iter(engine.read_shard(shard, after, 1).records), None)


def totals(engine: Engine, mapping: MappingName) -> dict[str, int]:
    """What came to which end in all shards of all streams, since the data directory exists: counts by outcome."""
    settled = dict.fromkeys(OUTCOMES, 0)
    for ledger in ledgers(engine, mapping.app, mapping.handler).values():
        for outcome, count in ledger.totals.items():
            settled[outcome] = settled.get(outcome, 0) + count
    return settled


def ledgers(engine: Engine, app: str, handler: str) -> dict[tuple[str, str], Ledger]:
    """Every ledger of a handler, by stream label and shard id; (EARLIER, EARLIER) is that of forgotten shards."""
    checkpoints = engine.state_query(CHECKPOINT.prefix(app, handler))
    return ledgers_of(checkpoints, engine.state_query(LEDGER.prefix(app, handler)))
