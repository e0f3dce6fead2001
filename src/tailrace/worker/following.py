"""What a worker follows: a table, its streams and shards, and how far each mapping has come with them.

Rules of this file: it asks the source and remembers; what is begun, and when, is the worker's. Made and
used by worker/worker.py.
"""

from collections.abc import Callable, Collection, Container, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final, NamedTuple, Self, TypeAlias

from msgspec import Struct, field
from msgspec.structs import replace

from tailrace.app.app import App, HandlerMapping
from tailrace.errors import PortError, SourceError
from tailrace.leases.checkpoint import EVERY_HASH, behind, checkpoint_key, read_checkpoint
from tailrace.leases.lineage import KnownShards, readers
from tailrace.mapping.reader import Budget
from tailrace.ports import Shard, Source, StateStore, StreamRef
from tailrace.rows.kinds import CHECKPOINT, words_of
from tailrace.rows.writes import StateRow, Write
from tailrace.runtime.agreeing import Besides, nowhere
from tailrace.runtime.delivering import MappingShard
from tailrace.runtime.evacuation import Followed, Unfinished
from tailrace.runtime.reading import NumberedSource, SharedReads, list_streams

Begun: TypeAlias = tuple[str, str, str]
"""A mapping's id, and the shard that it has begun: the label of the stream, for ids may repeat, and the
id.
"""

FEW: Final = 8
"""So many rows are read one by one; more of one stream by reading all of its rows."""


Listed: TypeAlias = Mapping[str, Sequence[Shard]]
"""By the labels of streams."""


class Ready(NamedTuple):
    """A shard that a mapping may begin, or has begun, with what is known of its stream."""

    handler: HandlerMapping
    stream: StreamRef
    shard: Shard
    known: KnownShards


class FollowedTable(Struct):
    """A table's source (or one stream's of it), and which of its shards each mapping has begun or
    finished.
    """

    name: str
    only_stream: str
    source: Source
    reads: SharedReads
    handlers: list[HandlerMapping]
    begun: set[Begun] = field(default_factory=set)
    finished: set[Begun] = field(default_factory=set)
    there: dict[str, Followed] = field(default_factory=dict)
    """What each mapping reads, as it was listed last."""
    ready_now: Sequence[Ready] = ()
    """What mappings may begin, or have begun, as of the last listing."""
    offered: set[tuple[str, str]] = field(default_factory=set)
    """The shards that some mapping may begin or is at: those whose leases are wanted."""
    fresh: set[str] = field(default_factory=set)
    """The mappings that have finished no shard since then: what continues one is listed."""
    known: dict[tuple[str, str], bool] = field(default_factory=dict)
    """Whether a mapping had read of the stream with this label before its table was deleted."""
    numbered: NumberedSource | None = None
    """The source, as what numbers its records."""
    table: str = ""
    """What is read of the source: one data stream is read as itself, and as the changes of a table each."""

    @classmethod
    def by(
        cls,
        handler: HandlerMapping,
        source: Source,
        budget: Budget,
        state: StateStore,
        app: App,
        besides: Besides = nowhere,
    ) -> Self:
        """The table of an app's first mapping on it; what is read of it carries generations."""
        table = handler.table
        numbered = NumberedSource(source, state, app, table.name, besides)
        reads = SharedReads(numbered, budget)
        return cls(
            table.source, table.only_stream, numbered, reads, [handler], numbered=numbered, table=table.name
        )

    def takes(self, handler: HandlerMapping) -> bool:
        """Follow this table for one mapping more, if it is the mapping's. Returns: whether it is."""
        table = handler.table
        if (self.name, self.only_stream, self.table) != (table.source, table.only_stream, table.name):
            return False
        self.handlers = [*self.handlers, handler]
        self.reads.share()
        return True

    def follows(self, handler: HandlerMapping, stream: StreamRef, shards: Sequence[Shard]) -> bool:
        """Whether a mapping reads a stream: that of a deleted table only when it has read it before, or it
        would begin with items that are no more.
        """
        return (
            not stream.is_of_deleted
            or self.known.get((handler.id, stream.label), False)
            or any((handler.id, *shard.place) in self.begun for shard in shards)
        )

    def runs(self, handler: HandlerMapping) -> bool:
        """Whether it was not withdrawn."""
        return any(mapping is handler for mapping in self.handlers)

    def before(self, handler: HandlerMapping, shard: Shard, known: KnownShards) -> set[Begun]:
        """What a mapping must have finished before it begins a shard: its parents, as far as they can still
        be read or it is still reading them.
        """
        parents = [(handler.id, shard.stream, parent) for parent in shard.parents]
        return {parent for parent in parents if known.get(parent[2]) is not None or parent in self.begun}

    def ready(self, handler: HandlerMapping, listed: Listed, there: Followed) -> Iterator[Ready]:
        """The shards that a mapping may begin, or has begun: a stream after the one before it, a shard after
        its parents; listed ones, and saved ones, which are `there` as well.
        """
        labels = {stream.label for stream, _ in there}
        for stream, shards in there:
            if not self.follows(handler, stream, shards):
                continue
            known = KnownShards.of(listed.get(stream.label, ()), shards, labels)
            open_now = [shard for shard in shards if (handler.id, *shard.place) not in self.finished]
            for shard in open_now:
                if self.finished.issuperset(self.before(handler, shard, known)):
                    yield Ready(handler, stream, shard, known)
            if open_now:
                return

    def unfinished(
        self, app: str, handler: HandlerMapping, followed: Followed, is_busy: Callable[[Begun], bool]
    ) -> Iterator[Unfinished]:
        """Every shard that a mapping is not done with. Shape: `is_busy` says of one that it has finished
        whether something of it is still at work.
        """
        for stream, shards in followed:
            for shard in shards if self.follows(handler, stream, shards) else ():
                begun = (handler.id, *shard.place)
                if begun not in self.finished or is_busy(begun):
                    yield Unfinished(self.place(app, handler, stream, shard), stream, shard)

    def finish(self, begun: Begun) -> None:
        """A mapping is done with a shard."""
        self.finished.add(begun)
        self.fresh.discard(begun[0])

    def is_over(self, place: tuple[str, str]) -> bool:
        """Whether all mappings are done with a shard."""
        return all((mapping.id, *place) in self.finished for mapping in self.handlers)

    def forget_places(self, mapping_ids: Container[str], running: Container[Begun]) -> None:
        """Nothing is known any more of how far these mappings are; what runs has begun until it ends."""
        self.finished = {begun for begun in self.finished if begun[0] not in mapping_ids}
        self.begun = {begun for begun in self.begun if begun[0] not in mapping_ids or begun in running}

    def readers(self, mapping_id: str, shard_id: str, partition: int) -> set[Begun] | None:
        """Where a mapping may be at later changes of an item that had one in this shard; None: that is not
        known now.
        """
        if mapping_id not in self.fresh or mapping_id not in self.there:
            return None
        streams = [shards for _, shards in self.there[mapping_id]]
        listed = {shard.place for shards in streams for shard in shards}
        finished = {begun[1:] for begun in self.finished if begun[0] == mapping_id}
        vanished = {begun[1:] for begun in self.begun if begun[0] == mapping_id} - finished - listed
        places = readers(streams, finished, shard_id, partition) | vanished
        return {(mapping_id, *place) for place in places}

    @property
    def ids(self) -> list[str]:
        """The ids of the mappings that read it."""
        return [handler.id for handler in self.handlers]

    async def followed(self) -> Followed:
        """Every stream of the table that can be read, with its shards, the oldest first. Raises:
        SourceError.
        """
        return await list_streams(self.source)

    def place(self, app: str, handler: HandlerMapping, stream: StreamRef, shard: Shard) -> MappingShard:
        """Where a mapping's rows in a shard are."""
        hashes = shard.hash_range or EVERY_HASH
        return MappingShard(
            app, handler.id, self.name, stream.label, shard.shard_id, hashes, stream.generation
        )

    def places(self, app: str, stream: StreamRef, shard: Shard) -> list[MappingShard]:
        """The same for every mapping that has not finished the shard."""
        waiting = [mapping for mapping in self.handlers if (mapping.id, *shard.place) not in self.finished]
        return [self.place(app, mapping, stream, shard) for mapping in waiting]

    async def behind(self, app: str, handler: HandlerMapping, last_sequence: int) -> list[Write]:
        """Checkpoints of a mapping behind everything that the table's streams hold. Raises: SourceError."""
        return [
            behind(checkpoint_key(app, handler.id, stream.label, shard.shard_id), shard, last_sequence)
            for stream, shards in await self.followed()
            for shard in shards
        ]

    async def stream_of(self, shard_id: str) -> StreamRef:
        """The stream that a shard is of; when it is gone, the newest that there is. Raises: SourceError."""
        followed: Followed = []
        with suppress(SourceError):
            followed = await self.followed()
        for stream, shards in followed:
            if any(shard.shard_id == shard_id for shard in shards):
                return stream
        return followed[-1][0] if followed else await self.source.stream()

    async def recall(self, state: StateStore, app: str, followed: Followed) -> None:
        """Learn which mappings have read the streams of deleted tables. Raises: StoreError."""
        for stream, _ in followed:
            for handler in self.handlers if stream.is_of_deleted else ():
                place = (handler.id, stream.label)
                if place not in self.known:
                    rows = await state.query(CHECKPOINT.prefix(app, *place), limit=1)
                    self.known[place] = bool(rows)

    async def learn_finished(
        self,
        state: StateStore,
        app: str,
        handler: HandlerMapping,
        finished_by: Callable[[Shard], Sequence[str] | None],
    ) -> list[tuple[str, str]]:
        """Learn which shards a mapping has finished at other workers. Shape: `finished_by` says for a shard
        of which mappings that was heard (None: it may be so of any); the checkpoint says whether it is so.
        Returns: those of them that all mappings have finished now.
        """
        over: list[tuple[str, str]] = []
        for stream, shards in self.there[handler.id]:
            asked: dict[str, Begun] = {}
            for shard in shards:
                begun = (handler.id, *shard.place)
                said = finished_by(shard) if begun not in self.begun else ()
                if said is None or handler.id in said:
                    asked[self.place(app, handler, stream, shard).checkpoint_key] = begun
            with suppress(PortError):  # the next look asks again
                for row in await _rows_of(state, CHECKPOINT.prefix(app, handler.id, stream.label), asked):
                    if read_checkpoint(row.fields)[2]:
                        begun = asked[row.key]
                        self.begun.add(begun)
                        self.finish(begun)
                        over += [begun[1:]] if self.is_over(begun[1:]) else []
        return over

    async def with_vanished(self, state: StateStore, app: str, new: Sequence[Ready]) -> list[Ready]:
        """Shards that are to begin, with what their mappings have read of shards that are no longer listed,
        where many of one stream ask for that: one query then answers all. Raises: StoreError.
        """
        lost: dict[tuple[str, str], int] = {}
        for handler, stream, shard, known in new:
            if not known.listed.keys() >= set(shard.parents):
                lost[handler.id, stream.label] = lost.get((handler.id, stream.label), 0) + 1
        vanished: dict[tuple[str, str], frozenset[str]] = {}
        for (mapping_id, label), count in lost.items():
            if count > FEW:
                listed = next(known for _, stream, _, known in new if stream.label == label).listed
                rows = await state.query(CHECKPOINT.prefix(app, mapping_id, label))
                ids = {words_of(row.key)[4] for row in rows}
                vanished[mapping_id, label] = frozenset(ids - listed.keys())
        return [
            ready._replace(known=replace(ready.known, vanished=vanished[place]))
            if (place := (ready.handler.id, ready.stream.label)) in vanished
            else ready
            for ready in new
        ]

    async def look_at_numbers(self, owner: str) -> None:
        """Acknowledge a reset, if there is a new one. Raises: StoreError."""
        if self.numbered is not None:
            await self.numbered.look(owner)

    async def refresh_numbers(self) -> None:
        """Learn the numbers as they are after a lease was taken: a reset may have come before. Raises:
        StoreError.
        """
        if self.numbered is not None:
            await self.numbered.refresh()

    def forget(self, followed: Followed) -> None:
        """What has vanished and is finished need not be remembered; a driver that still runs has not
        finished.
        """
        present = {shard.place for _, shards in followed for shard in shards}
        gone = {begun for begun in self.finished if begun[1:] not in present}
        self.begun -= gone
        self.finished -= gone


async def _rows_of(state: StateStore, prefix: str, keys: Collection[str]) -> list[StateRow]:
    """The rows of these keys, which all begin with the prefix: few are asked for one by one, many at once.
    Raises: StoreError.
    """
    if len(keys) > FEW:
        return [row for row in await state.query(prefix) if row.key in keys]
    return [row for key in keys if (row := await state.get(key)) is not None]
