"""Traffic that was recorded: what a journal has of a table and, on from there or alone, its live stream.

Theory of operation: of each change the plan keeps when, which item and how large. A change that the filter of
the handler refuses is read and handled by nobody, as in a worker. A journal is read by its own room; without
one the stream's shards are read from their beginnings, up to the moment of the question.
Rules of this file: nothing is written; what is not known of the time that was asked for is told in words.
"""

from array import array
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import orjson
from msgspec import Struct

from tailrace.app.app import App
from tailrace.app.mapping import HandlerMapping, archives_of
from tailrace.errors import NotKnown, SettingsError
from tailrace.journal.run.opened_past import LiveStream, open_past
from tailrace.planning.core.traffic import MOST_CHANGES, Arrivals, KeyPlace, PlannedTraffic, traffic_of
from tailrace.ports import LogReader
from tailrace.replays.core.runs import ReplayQuestion
from tailrace.replays.run.source import ReplaySource, replayed_stream, wanted_by
from tailrace.streams.record import MILLISECOND, ChangeRecord
from tailrace.streams.shards import in_order
from tailrace.views.story import EMPTY_READS, records_of


class RecordedTime(Struct, frozen=True):
    """Which time is asked for. Units: microseconds since the epoch."""

    since_us: int
    until_us: int


@dataclass(slots=True)
class RecordedChanges:
    """Changes as they come. Shape: `shards` are the ids of those that had them; `notes` what is not known."""

    begins_ms: int
    length_us: int
    times: "array[int]" = field(default_factory=lambda: array("q"))
    places: "array[int]" = field(default_factory=lambda: array("q"))
    sizes: "array[int]" = field(default_factory=lambda: array("q"))
    items: list[KeyPlace] = field(default_factory=list)
    shards: set[str] = field(default_factory=set)
    refused: list[int] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    _known: dict[bytes, int] = field(default_factory=dict)

    def add(self, record: ChangeRecord, shard: str, *, is_wanted: bool) -> None:
        """Take one more. Raises: SettingsError for more than a plan takes."""
        if len(self.times) >= MOST_CHANGES:
            raise SettingsError(
                f"more than {MOST_CHANGES:,} changes are not allowed in a plan", hint="a shorter --recorded"
            )
        place = self._known.get(record.key)
        if place is None:
            place = self._known[record.key] = len(self.items)
            self.items.append(KeyPlace(record.key, record.keys, record.partition))
        if not is_wanted:
            self.refused.append(len(self.times))
        self.times.append(record.created_us // MILLISECOND - self.begins_ms)
        self.places.append(place)
        self.sizes.append(max(1, len(record.old or b"") + len(record.new or b"")))
        self.shards.add(shard)

    def traffic(self, text: str, shards: int) -> PlannedTraffic:
        """All of them, by time, over so many shards. Raises: SettingsError for none at all."""
        order = sorted(range(len(self.times)), key=self.times.__getitem__)
        numbers = {place: number for number, place in enumerate(order, 1)}
        arrivals = Arrivals(
            [self.times[place] for place in order],
            [self.places[place] for place in order],
            [self.sizes[place] for place in order],
        )
        return traffic_of(
            text, arrivals, self.items, shards, self.begins_ms, self.length_us, names=self._name,
            refused=frozenset(numbers[place] for place in self.refused),
        )  # fmt: skip

    def _name(self, place: int) -> str:
        values = orjson.loads(self.items[place].keys).values()
        return "/".join(str(next(iter(value.values()))) for value in values)


async def read_recorded(
    app: App,
    mapping: HandlerMapping,
    asked: RecordedTime,
    stream: LiveStream | None,
    told: Callable[[int], None],
) -> RecordedChanges:
    """What was recorded of a handler's table. Shape: `told` how many changes were read.

    Raises:  NotKnown where neither a journal nor a stream is at hand, or neither has the time; SettingsError,
             Unavailable, SourceError.
    """
    changes = RecordedChanges(asked.since_us // MILLISECOND, asked.until_us - asked.since_us)
    wanted = wanted_by(mapping, None, replayed_stream(mapping.table, app.region))
    archived = archives_of(app.mappings).get(mapping.table.name)
    if archived is not None:
        question = ReplayQuestion(mapping.id, asked.since_us, asked.until_us)
        reader = open_past(app.region, archived, stream)
        source = ReplaySource(mapping, reader, question, asked.until_us, app.region)
        try:
            changes.notes = await source.open()
            async for selected in source.changes():
                record = selected.record
                if asked.since_us <= record.created_us < asked.until_us:
                    changes.add(record, selected.shard, is_wanted=wanted(record))
                    told(len(changes.times))
        finally:
            source.close()
        return changes
    if stream is None:
        raise NotKnown(
            f"nothing is recorded of table {mapping.table.name!r} that could be asked: it has no journal, "
            "and no node runs here",
            hint="--endpoint URL or --region REGION for its stream; app.archive(…) keeps a journal; --rate "
            "describes traffic",
        )
    async for record, shard in _of_stream(stream.log, mapping.table.name, asked):
        changes.add(record, shard, is_wanted=wanted(record))
        told(len(changes.times))
    return changes


async def _of_stream(
    log: LogReader, table: str, asked: RecordedTime
) -> AsyncIterator[tuple[ChangeRecord, str]]:
    """The changes of that time that a table's streams still have. Raises: SourceError."""
    for stream in await log.streams(table):
        for shard in in_order(await log.shards(stream)):
            async for record in records_of(log, shard, EMPTY_READS):
                if record.created_us >= asked.until_us:
                    break
                if record.created_us >= asked.since_us:
                    yield record, shard.shard_id
