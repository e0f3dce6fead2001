"""The changes of a table that are replayed, read from its journal, and on from there in the live stream.

Theory of operation: a journal is asked once, when a replay begins: what is written later is not in it, and
its end stands. Changes come by version, which is the order of each item; times are known as well as the
journal knows them, and what it lacks is said.
Rules of this file: nothing is written or guessed. One loop uses a source.
"""

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, Final, NamedTuple

import orjson

from tailrace.app.change import Change
from tailrace.app.filtering import Filter
from tailrace.app.mapping import HandlerMapping, Where
from tailrace.app.table import Changes, Table, schema_of
from tailrace.errors import PatternError, SettingsError
from tailrace.journal.core.change import JournalChange
from tailrace.journal.core.past import COARSE_US, before
from tailrace.journal.core.records import SCAN, TTL, Selection
from tailrace.journal.run.folding import all_rows, count_between_sql
from tailrace.journal.run.past import JournalNow, PastReader
from tailrace.mapping.filters import RecordFilter
from tailrace.patterns.pattern import compile_pattern
from tailrace.ports import StreamRef
from tailrace.replays.core.runs import Reached, ReplayQuestion
from tailrace.runtime.threads import in_thread
from tailrace.streams.record import ChangeRecord
from tailrace.streams.shards import number_behind
from tailrace.tables.schema import TableSchema
from tailrace.values.canonical import size_bytes

MOST_SHARDS: Final = 100_000
"""Numbers of our engine's shards among which the one of an id is looked for."""
Wanted = Callable[[ChangeRecord], bool]


class SelectedChange(NamedTuple):
    """One change of a replay. Shape: `place` is which of them, from 0."""

    place: int
    record: ChangeRecord
    shard: str


class ReplaySource:
    """The changes of one mapping's table."""

    def __init__(
        self,
        mapping: HandlerMapping,
        reader: PastReader,
        question: ReplayQuestion,
        until_us: int,
        region: str,
    ) -> None:
        table = mapping.table
        self._reader = reader
        self._schema = schema_of(table)
        self._question = question
        self._keys = frozenset(question.keys)
        self._until_us = until_us
        self._journals: list[JournalNow] = []
        self._numbers: dict[str, int] = {}
        self.stream = replayed_stream(table, region)

    async def open(self) -> tuple[str, ...]:
        """Ask the journal as it is now. Returns: what it does not know of the time that is asked for. Raises:
        NotKnown, Unavailable.
        """
        self._journals = await self._reader.journals()
        return tuple(self._notes())

    def close(self) -> None:
        """Delete what was fetched."""
        self._reader.close()

    def _notes(self) -> list[str]:
        since_us, until_us = self._question.since_us, self._until_us
        notes = []
        begins = [now.coverage.begin_us for now in self._journals if now.coverage.begin_us is not None]
        if not begins:
            return ["the journal has no change yet"]
        if since_us < min(begins):
            notes.append(f"{before(min(begins))}: changes of before that are not replayed")
        near = "changes within a second of its begin and its end may be on either side"
        return [*notes, *lacking(self._journals, since_us, until_us, near)]

    async def count(self) -> int:
        """How many changes there are, for an estimate. Raises: Unavailable."""
        question, total = self._question, 0
        for now in self._journals:
            rows = await now.rows(self._selection)
            sql = count_between_sql(rows, self._until_us, question.since_us, question.keys)
            ((number,),) = await in_thread(all_rows, rows, sql)
            total += int(number)
        return total

    @property
    def _selection(self) -> Selection:
        key = self._question.keys[0] if len(self._question.keys) == 1 else None
        return Selection(key=key, since_us=self._question.since_us, until_us=self._until_us, with_base=False)

    async def changes(self, after: Reached = Reached()) -> AsyncGenerator[SelectedChange]:  # noqa: B008 - a value
        """The changes behind a place, by version. Raises: Unavailable.

        Guarantee: those of one item in order; memory does not grow with the journal.
        """
        place = -1
        for now in self._journals:
            labels = {shard: label for label, shard in now.view.positions}
            async for change in self._of(now):
                if change.origin == SCAN or (self._keys and change.key not in self._keys):
                    continue
                place += 1
                if after.is_before(change.version, change.shard):
                    number = self._number(labels.get(change.shard, ""), change.shard)
                    record = record_of(change, self._schema, number, now.coverage.precision_us)
                    yield SelectedChange(place, record, change.shard)

    async def _of(self, now: JournalNow) -> AsyncGenerator[JournalChange]:
        async for change in now.view.changes(self._selection, "version"):
            yield change
        live = (change for change in now.live if self._selection.takes(change))
        for change in sorted(live, key=lambda change: (change.version, change.shard)):
            yield change

    def _number(self, label: str, shard: str) -> int:
        if shard not in self._numbers:
            self._numbers[shard] = number_behind(label, shard, MOST_SHARDS) or 0
        return self._numbers[shard]


def replayed_stream(table: Table, region: str) -> StreamRef:
    """The stream that replayed changes are said to be of."""
    arn = f"arn:aws:dynamodb:{region}::table/{table.name}/stream/replay"
    return StreamRef(arn, table.name, "", table.stream or "NEW_AND_OLD_IMAGES", region=region)


def lacking(journals: Sequence[JournalNow], since_us: int, until_us: int, near: str) -> list[str]:
    """What journals do not know of a time after their beginning; `near` is what times to within a second come
    to.
    """
    notes = []
    for now in journals:
        notes += [gap.words for gap in now.coverage.lost if gap.overlaps(since_us, until_us)]
        if now.coverage.precision_us >= COARSE_US:
            notes.append(f"times are known to within a second: {near}")
    notes.append(journals[-1].coverage.later(until_us - 1))
    return [*dict.fromkeys(filter(None, notes))]


def record_of(change: JournalChange, schema: TableSchema, shard: int, precision_us: int) -> ChangeRecord:
    """A change of a journal as its stream had it; its event id too, where the stream was our engine's. Units:
    as of ChangeRecord.
    """
    old, new = (None if data is None else orjson.loads(data) for data in (change.old, change.new))
    keys = schema.key_of(new or old or {})
    sizes = [0 if item is None else size_bytes(item) for item in (keys, old, new)]
    event: Any = change.event
    return ChangeRecord(
        change.version.sequence,
        shard,
        event,
        change.created_us,
        sum(sizes),
        schema.partition(keys),
        change.key,
        orjson.dumps(keys),
        change.old,
        change.new,
        change.origin == TTL,
        sizes[0],
        sizes[2],
        change.ancestry or "",
        change.version.generation,
        precision_us,
    )


def wanted_by(mapping: HandlerMapping, where: Where | str | None, stream: StreamRef) -> Wanted:
    """Which changes are handed to a handler: those that it takes, and of them those that `where` wants: an
    event pattern (text), a predicate, or a function of a change. Raises: SettingsError.
    """
    accepts = mapping.settings.reading(stream.arn, stream.view_type, stream.region).accepts
    chosen: Sequence[Wanted] = [accepts] if accepts is not None else []
    if isinstance(where, str) and where:
        try:
            pattern = compile_pattern(where)
        except PatternError as error:
            raise SettingsError(
                f"where: {error}",
                hint='an event pattern, such as {"dynamodb": {"NewImage": {"status": {"S": ["paid"]}}}}',
            ) from error
        chosen = [RecordFilter((pattern,), stream.arn, stream.view_type, stream.region), *chosen]
    elif where is not None and not isinstance(where, str):
        changes: Changes[Any] = Changes(mapping.table, entity=mapping.entity)
        chosen = [_Judged(Filter(changes, where)), *chosen]
    return lambda record: all(wants(record) for wants in chosen)


class _Judged:
    """What the person who replays wants: what their own function raises is theirs to know at once."""

    def __init__(self, judge: Filter) -> None:
        self._judge = judge

    def __call__(self, record: ChangeRecord) -> bool:
        return self._judge.wants(Change(record, self._judge.changes.table.name, self._judge.changes.entity))
