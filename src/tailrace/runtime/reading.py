"""Reads each shard of one source once for all the mappings on it; mapping/reader.py decides, this does. What
is read carries its generation.

Rules of this file: no task of its own: the first that asks reads, the others wait for what it finds; when it
is cancelled or its read fails, one of those who wait takes over. A table with one mapping reads straight from
its source. A stream without a number is not read; before any is numbered, all that can be read are listed,
the present one first, because one that has just ended is listed as an earlier one then. The number of a
stream never changes, so it is asked for once; resets are looked for, and acknowledged (`look`). A page is
numbered when it has arrived, by what is known then: so whatever arrives after an acknowledgement is numbered
by the reset that was acknowledged (leases/generation.py, growth §2.2, ADR 65). Made by worker/worker.py.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from msgspec import structs
from msgspec.structs import replace

from tailrace.app.app import App
from tailrace.errors import PortError, SourceError, StateConflict
from tailrace.leases.generation import Generations, read_generations
from tailrace.leases.seen import seen_write
from tailrace.mapping.reader import Budget, Reading, SharedRead
from tailrace.ports import ReadDone, Shard, Source, StateStore, StreamRef
from tailrace.rows.kinds import CHECKPOINT
from tailrace.runtime.agreeing import Besides, adopt, nowhere
from tailrace.streams.record import ChangeRecord
from tailrace.streams.version import FIRST_GENERATION

_log: Final = logging.getLogger("tailrace.sources")


class SharedReads:
    """The reads of one source.

    Guarantee: a shard never has more than two reads outstanding, whatever the number of mappings; each
               mapping gets every record after its position, in order, as from the source itself.
    """

    def __init__(self, source: Source, budget: Budget, mappings: int = 1) -> None:
        self._source = source
        self._budget = budget
        self._is_shared = mappings > 1
        self._readers: dict[tuple[str, str], SharedRead] = {}
        self._outstanding: dict[tuple[tuple[str, str], Reading], tuple[int, asyncio.Future[None]]] = {}
        """Each with the position that it reads after."""

    def share(self) -> None:
        """There are several mappings from now on."""
        self._is_shared = True

    async def read(self, mapping_id: str, shard: Shard, after: int, limit: int) -> ReadDone:
        """Records after a position; waits while there are none and the shard is open. Raises: SourceError."""
        if not self._is_shared:
            return await self._source.read(shard, after, limit)
        reader = self._readers.get(shard.place)
        if reader is None:
            reader = self._readers[shard.place] = SharedRead(self._budget)
        while True:
            page = reader.page(mapping_id, after, limit)
            if page is not None:
                return page
            read = (shard.place, reader.place(after))
            if self._is_ahead(
                read, after
            ):  # it may wait for a record that is still to come: nothing of it is for who is behind
                read = (shard.place, "catch-up")
            outstanding = self._outstanding.get(read)
            if outstanding is None:
                return await self._lead(read, reader, shard, after, limit)
            await asyncio.shield(outstanding[1])

    def _is_ahead(self, read: tuple[tuple[str, str], Reading], after: int) -> bool:
        """Whether such a read is outstanding behind a later position than this one."""
        outstanding = self._outstanding.get(read)
        return outstanding is not None and outstanding[0] > after

    async def _lead(
        self, read: tuple[tuple[str, str], Reading], reader: SharedRead, shard: Shard, after: int, limit: int
    ) -> ReadDone:
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._outstanding[read] = (after, over)
        try:
            page = await self._source.read(shard, after, limit)
            reader.add(after, page)
            return page
        finally:
            del self._outstanding[read]
            over.set_result(None)

    async def horizon(self, shard: Shard) -> int:
        """The last record of a shard that is gone. Raises: SourceError."""
        return (await self._source.read(shard, 0, 0)).next_after

    def leave(self, mapping_id: str, shard: Shard) -> None:
        """A mapping has ended in a shard: nothing is kept for it."""
        reader = self._readers.get(shard.place)
        if reader is None:
            return
        reader.leave(mapping_id)
        if not reader.positions:
            reader.close()
            del self._readers[shard.place]


async def list_streams(source: Source) -> list[tuple[StreamRef, list[Shard]]]:
    """Every stream of a table that can be read, with its shards, the oldest first. Raises: SourceError."""
    present: list[StreamRef] = []
    with suppress(SourceError):  # it is off, or not there yet
        present = [await source.stream()]
    # Asked for after the present one: what ends between the two is among these, and nothing newer without it.
    arns = {stream.arn for stream in present}
    earlier = [stream for stream in await source.earlier() if stream.arn not in arns]
    return [(stream, await source.shards(stream)) for stream in [*earlier, *present]]


# ---- generations -------------------------------------------------------------------------------------------


class NumberedSource:
    """A `Source` of one of an app's tables over one that knows no generations."""

    def __init__(
        self, source: Source, state: StateStore, app: App, table: str, besides: Besides = nowhere
    ) -> None:
        self._source = source
        self._besides = besides
        self._said = ""
        self._state = state
        self._app = app
        self._known = Generations(app.name, table)
        self._numbers: Mapping[str, int] = {}
        self._numbering = asyncio.Lock()
        self._reset: frozenset[str] = frozenset()
        """The streams in which records may be of several generations."""
        self._asked = self._answered = 0
        self._acknowledged = 0

    async def stream(self) -> StreamRef:
        """The table's present stream. Raises: SourceError, StoreError."""
        return (await self._numbered([await self._source.stream()]))[0]

    async def earlier(self) -> list[StreamRef]:
        """Streams that have ended. Raises: SourceError, StoreError."""
        return await self._numbered(await self._source.earlier())

    async def shards(self, stream: StreamRef | None = None) -> list[Shard]:
        """Every shard of a stream that can be read. Raises: SourceError, StoreError."""
        if stream is None:
            stream = await self.stream()
        (stream,) = await self._numbered([stream])
        return await self._source.shards(stream)

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        """Records, each with its generation. Raises: SourceError."""
        generation = self._numbers.get(shard.stream)
        if generation is None and shard.stream not in self._reset:
            generation = await self._unlisted(shard.stream)
        page = await self._source.read(shard, after, limit)
        if shard.stream in self._reset:
            return replace(page, records=[self._after_resets(shard, record) for record in page.records])
        if generation == FIRST_GENERATION:  # as nearly always, and as the records say anyway
            return page
        records = [structs.replace(record, generation=generation) for record in page.records]
        return replace(page, records=records)

    def _after_resets(self, shard: Shard, record: ChangeRecord) -> ChangeRecord:
        generation = self._known.of_record(shard.stream, shard.shard_id, record.sequence)
        return record if record.generation == generation else structs.replace(record, generation=generation)

    async def refresh(self) -> None:
        """Learn the numbers anew, as they are after this call began: who has taken a lease does it before it
        reads. Raises: StoreError.
        """
        self._asked += 1
        asked = self._asked
        async with self._numbering:  # many shards may begin at once: one answer is enough for them
            if self._answered < asked:
                answers = self._asked
                await self._learn()
                self._answered = answers

    async def look(self, owner: str) -> None:
        """Learn whether there is a reset, and acknowledge it: whatever this process reads from now on is
        numbered by it. Raises: StoreError.
        """
        await self.refresh()
        known = self._known
        if known.resets and self._acknowledged != known.revision:
            await self._state.transact([seen_write(known, owner)])
            self._acknowledged = known.revision

    async def _numbered(self, streams: Sequence[StreamRef]) -> list[StreamRef]:
        if self._known.lacks(stream.label for stream in streams):
            async with self._numbering:  # those who ask meanwhile wait for this answer
                if self._known.lacks(stream.label for stream in streams):
                    await self._number(streams)
        return [self._with_number(stream) for stream in streams]

    def _with_number(self, stream: StreamRef) -> StreamRef:
        generation = self._known.of(stream.label)
        return stream if stream.generation == generation else replace(stream, generation=generation)

    async def _number(self, asked: Sequence[StreamRef]) -> None:
        """Give every stream that can be read its number, or learn which one it has."""
        streams = list(asked)
        with suppress(SourceError):  # it is off
            streams.append(await self._source.stream())
        streams += await self._source.earlier()
        labels = {stream.label for stream in streams}
        while True:
            await self._learn()
            present = self._known
            if not present.lacks(labels):
                break
            is_of_before, leaves_room = not present.revision and await self._has_read_before(), False
            if not present.revision and not is_of_before:
                present, leaves_room = await self._adopted(present)
            present = present.with_labels(labels, all_first=is_of_before, leaves_room=leaves_room)
            with suppress(StateConflict):  # another worker numbers them, too: what it wrote is read
                await self._state.transact([present.write()])
                break
        self._know(present)

    async def _unlisted(self, label: str) -> int:
        """The number of a stream of which only what was saved from the trim still knows. Raises: SourceError
        when it has none, StoreError.
        """
        await self._learn()
        if self._known.lacks([label]) and not self._known.revision and not await self._has_read_before():
            raise SourceError(f"stream {label} of table {self._known.table!r} has no number: list it first")
        return self._known.of(label)

    async def _learn(self) -> None:
        row = await self._state.get(self._known.key)
        known = read_generations(self._known.app, self._known.table, None if row is None else row.fields)
        if known.revision >= self._known.revision:  # an answer that was long on its way is older
            self._know(known)

    def _know(self, known: Generations) -> None:
        self._known, self._numbers = known, known.numbers
        self._reset = frozenset(reset.label for reset in known.resets)

    async def _adopted(self, numbers: Generations) -> tuple[Generations, bool]:
        """Numbers that begin anew, after those that are kept beside the table's rows; whether a place did not
        tell, which may know higher ones. Raises: what marks raise that cannot be asked.
        """
        try:
            adopted, away = await adopt(numbers, self._besides(numbers.table))
        except PortError as error:
            self._say(f"its stream is not read before its marks have told what they keep of it: {error}")
            raise
        for name, reason in away.items():
            self._say(f"{name} does not tell what it keeps of it, and room is left for that: {reason}")
        return replace(adopted, revision=numbers.revision), bool(away)  # both are one write

    def _say(self, words: str) -> None:
        if self._said != words:
            self._said = words
            _log.warning("table %s: %s", self._known.table, words)

    async def _has_read_before(self) -> bool:
        """Whether the app has read this table before there were numbers: now the numbers are there before the
        first checkpoint.
        """
        for mapping in self._app.mappings:
            if mapping.table.name == self._known.table:
                prefix = CHECKPOINT.prefix(self._app.name, mapping.id)
                if await self._state.query(prefix, limit=1):
                    return True
        return False
