"""A simulated table with its streams, as it is at another server: written to, scanned, split, switched off.

Theory of operation: the truth is `items`. Each write is a record of the open shard that its key belongs to,
unless the stream is off. TableNumbering rise along an item's shards and nowhere else: two shards that do not
continue each other, and two streams, have numbers that say nothing about each other; with `is_exact` they
rise over all of them, as the engine's do.
An item whose time is over is there until the service deletes it, which it does some time later, with a record
that says so. Shards split and merge: DynamoDB's only split, the ones of other streams do both.
Rules of this file: it knows nothing of versions, readers or snapshots.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Any

import orjson
from msgspec import Struct, field

from tailrace.clocks.manual import ManualClock
from tailrace.errors import SourceError
from tailrace.ports import ReadDone, Shard, StreamRef
from tailrace.snapshots.core.pages import Piece, ScannedItem, ScannedPage
from tailrace.streams.dates import label
from tailrace.streams.record import ChangeRecord
from tailrace.tables.schema import TableSchema

SCHEMA = TableSchema("orders", 0, "", "id", "S")
PAGE = 3
"""Items of a page."""
EXPIRES = "expires"
"""Its time to live. Units: seconds since the epoch."""


class LiveShard(Struct):
    """One shard: which keys it has (by residue), its records, and what was trimmed of it."""

    shard_id: str
    label: str
    keys: frozenset[bytes]
    parents: tuple[str, ...]
    first: int
    created_ms: int
    records: list[ChangeRecord] = field(default_factory=list)
    last: int | None = None
    gone: int = 0

    @property
    def tip(self) -> int:
        """Its last number so far."""
        return self.records[-1].sequence if self.records else max(self.gone, self.first - 1)


class SimulatedTable:
    """The table. Shape: `items` by key bytes; `streams` by label, the oldest first."""

    def __init__(self, random: Random, clock: ManualClock, names: list[str], *, is_exact: bool) -> None:
        self.random, self.clock, self.is_exact = random, clock, is_exact
        self.keys = [SCHEMA.locate_key({"id": {"S": name}}) for name in names]
        self.items: dict[bytes, dict[str, Any]] = {}
        self.lineage: list[LiveShard] = []
        self.labels: list[str] = []
        self.is_on = False
        self.sequence = 10_000
        self._made = self._streams = self._label_ms = 0
        self._event = asyncio.Event()
        self.slow_ms = 0
        self.fails = 0.0
        self.table_id = "table-1"
        self.counts: Counter[str] = Counter()
        self.written: list[tuple[int, int, dict[str, Any] | None]] = []
        """Every write: when (µs since the epoch, no two at once), of which item, and what it became."""
        self.told: dict[bytes, tuple[LiveShard, ChangeRecord]] = {}
        """Of each item whose last write is in a stream that record, and its shard."""
        self.untold: set[bytes] = set()
        """Items of which some write is in no stream."""

    # ---- writing -------------------------------------------------------------------------------------------

    def switch_on(self) -> None:
        """A new stream: its numbers may begin below those of the one before."""
        self.is_on = True
        self._streams += 1
        # Streams may begin in one millisecond here; a label is in one alone.
        self._label_ms = max(self._label_ms + 1, self.clock.now().wall_ms)
        self.labels.append(label(self._label_ms))
        half = len(self.keys) // 2
        for keys in (self.keys[:half], self.keys[half:]) if self.random.random() < 0.5 else (self.keys,):
            self._open(frozenset(target.key_bytes for target in keys), ())

    def switch_off(self) -> None:
        """What is written from now on is in no stream."""
        self.is_on = False
        for shard in self.open_shards:
            shard.last = shard.tip
        self._tell()

    def replace_table(self) -> None:
        """The table is deleted and made again: its items are gone, and no record says so."""
        if self.is_on:
            self.switch_off()
        self.untold.update(self.items)
        self.items.clear()
        self.written.clear()
        self.told.clear()
        self.table_id += "1"

    @property
    def open_shards(self) -> list[LiveShard]:
        """Those that are written to."""
        return [shard for shard in self.lineage if shard.last is None]

    def split(self) -> None:
        """One shard closes, and one or two continue it."""
        if not self.open_shards:
            return
        shard = self.random.choice(self.open_shards)
        shard.last = shard.tip
        keys = sorted(shard.keys)
        cut = self.random.randrange(len(keys) + 1)
        for part in (keys[:cut], keys[cut:]):
            if part:
                self._open(frozenset(part), (shard.shard_id,), shard.tip)
        self._tell()

    def merge(self) -> bool:
        """Two shards close, and one continues both. Returns: whether there were two."""
        if len(self.open_shards) < 2:
            return False
        both = self.random.sample(self.open_shards, 2)
        for shard in both:
            shard.last = shard.tip
        keys = frozenset[bytes]().union(*(shard.keys for shard in both))
        self._open(keys, tuple(shard.shard_id for shard in both), max(shard.tip for shard in both))
        self._tell()
        return True

    def _open(self, keys: frozenset[bytes], parents: tuple[str, ...], above: int = 0) -> None:
        self._made += 1
        first = self.sequence + 1 if self.is_exact else max(above, self.random.choice((0, 100, 5_000))) + 1
        self.lineage.append(
            LiveShard(f"shard-{self._made}", self.labels[-1], keys, parents, first, self.clock.now().wall_ms)
        )

    def expired(self) -> list[int]:
        """The places of items whose time is over."""
        return [
            place for place, key in enumerate(self.keys) if self.has_expired(self.items.get(key.key_bytes))
        ]

    def has_expired(self, item: Mapping[str, Any] | None) -> bool:
        """Whether it is there, and its time is over."""
        if item is None or EXPIRES not in item:
            return False
        return int(item[EXPIRES]["N"]) * 1_000 <= self.clock.now().wall_ms

    def put(self, place: int, value: Any, *, by_ttl: bool = False) -> None:
        """Write an item; None deletes it."""
        target = self.keys[place]
        old = self.items.get(target.key_bytes)
        if value is None:
            if old is None:
                return
            del self.items[target.key_bytes]
            new = None
        else:
            new = {"id": target.keys["id"], **value}
            if new == old:
                return
            self.items[target.key_bytes] = new
        self.sequence += 1
        last_us = self.written[-1][0] if self.written else 0
        self.written.append((max(last_us + 1, self.clock.now().wall_ms * 1_000), place, new))
        self.counts["ttl"] += by_ttl
        self.told.pop(target.key_bytes, None)
        for shard in self.open_shards if self.is_on else ():
            if target.key_bytes in shard.keys:
                record = self._record(shard, target, old, new, by_ttl=by_ttl)
                shard.records.append(record)
                self.told[target.key_bytes] = (shard, record)
        if target.key_bytes not in self.told:
            self.untold.add(target.key_bytes)
        self._tell()

    def _record(self, shard: LiveShard, target: Any, old: Any, new: Any, *, by_ttl: bool) -> ChangeRecord:
        sequence = self.sequence if self.is_exact else shard.tip + self.random.choice((1, 1, 7))
        name = "INSERT" if old is None else "REMOVE" if new is None else "MODIFY"
        return ChangeRecord(
            sequence, 1, name, self.clock.now().wall_ms * 1_000, 1, target.partition, target.key_bytes,
            orjson.dumps(target.keys), _image(old), _image(new), by_ttl,
        )  # fmt: skip

    def trim(self, before_ms: int) -> dict[tuple[str, str], int]:
        """Records of before then are gone. Returns: the last one that went, by shard."""
        gone = {}
        for shard in self.lineage:
            if shard.records and shard.records[0].created_ms < before_ms:
                old = [record for record in shard.records if record.created_ms < before_ms]
                shard.gone = old[-1].sequence
                shard.records = shard.records[len(old) :]
                gone[shard.label, shard.shard_id] = shard.gone
        # A closed one goes with its last record: never before those that it continues.
        self.lineage = [
            shard
            for shard in self.lineage
            if shard.records or shard.last is None or shard.created_ms >= before_ms
        ]
        listed = {shard.label for shard in self.lineage}
        self.labels = [label for label in self.labels if label in listed or label == self.labels[-1]]
        return gone

    def _tell(self) -> None:
        self._event.set()
        self._event = asyncio.Event()

    # ---- the source ----------------------------------------------------------------------------------------

    async def stream(self) -> StreamRef:
        """The present stream."""
        await self._slow()
        if not self.is_on:
            raise SourceError("it is off")
        return self._ref(self.labels[-1])

    async def earlier(self) -> list[StreamRef]:
        """Those that ended."""
        await self._slow()
        ended = self.labels[:-1] if self.is_on else self.labels
        return [self._ref(label) for label in ended if any(shard.label == label for shard in self.lineage)]

    def _ref(self, label: str) -> StreamRef:
        return StreamRef(f"arn:{label}", SCHEMA.name, label, "NEW_AND_OLD_IMAGES")

    async def shards(self, stream: StreamRef | None = None) -> list[Shard]:
        """Its shards, parents first."""
        label = self.labels[-1] if stream is None else stream.label
        await self._slow()
        return [
            Shard(shard.shard_id, shard.first, shard.parents, shard.last, stream=shard.label)
            for shard in self.lineage
            if shard.label == label
        ]

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        """Records after a position; waits a while where there are none."""
        await self._slow()
        live = next((one for one in self.lineage if one.shard_id == shard.shard_id), None)
        if live is None:
            return ReadDone([], after, closed=True)
        records = [record for record in live.records if record.sequence > after][:limit]
        if not records and live.last is None:
            event = self._event
            waiting = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(self._sleep(1_000))]
            try:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in waiting:
                    task.cancel()
            records = [record for record in live.records if record.sequence > after][:limit]
        trimmed = after < live.gone
        last = records[-1].sequence if records else max(after, live.gone if trimmed else after)
        closed = live.last is not None and all(record.sequence <= last for record in live.records)
        await self._slow()
        return ReadDone(list(records), last, closed, trimmed)

    async def _sleep(self, wait_ms: int) -> bool:
        await self.clock.sleep_until(self.clock.now().monotonic_ms + wait_ms)
        return True

    async def _slow(self) -> None:
        await self._sleep(self.random.randrange(self.slow_ms + 1))
        if self.random.random() < self.fails:
            raise SourceError("an iterator has expired")


class SimulatedScan:
    """The `TableScan` port of the table: the values of a page are read one by one while it takes its time,
    or, where the position is exact, all at once.
    """

    def __init__(self, table: SimulatedTable, slow_ms: int) -> None:
        self.table, self._slow_ms = table, slow_ms

    async def page(
        self, table: str, piece: Piece, after: Mapping[str, Any] | None, limit: int | None = None
    ) -> ScannedPage:
        """The next items."""
        truth, random = self.table, self.table.random
        number, of = piece.segment or (0, 1)
        await self._sleep(random.randrange(self._slow_ms + 1))
        if piece.partition:
            mine = [SCHEMA.locate_key({"id": orjson.loads(piece.partition)})]
        else:
            mine = [target for target in truth.keys if target.partition % of == number]
        start = 0 if after is None else int(after["after"])
        items: list[ScannedItem] = []
        position = truth.sequence if truth.is_exact else None
        end = min(len(mine), start + (limit or PAGE))
        for target in mine[start:end]:
            if not truth.is_exact:
                await self._sleep(random.randrange(self._slow_ms // PAGE + 1))
            image = truth.items.get(target.key_bytes)
            truth.counts["expired"] += truth.has_expired(image)
            if image is not None:
                items.append(ScannedItem(target.key_bytes, target.partition, target.keys, dict(image), 1))
        await self._sleep(random.randrange(self._slow_ms + 1))
        if random.random() < truth.fails:
            raise SourceError("the scan was cut off")
        return ScannedPage(items, position, None if end >= len(mine) else {"after": end}, 1.0)

    async def item(self, table: str, key: bytes) -> ScannedItem:
        """One item."""
        (target,) = [target for target in self.table.keys if target.key_bytes == key]
        await self._sleep(random_ms := self.table.random.randrange(self._slow_ms + 1))
        image = self.table.items.get(key)
        await self._sleep(random_ms)
        return ScannedItem(key, target.partition, target.keys, None if image is None else dict(image), 1)

    def bounds(self, table: str, partition: str) -> tuple[bytes, bytes]:
        """The items of a partition."""
        key = SCHEMA.locate_key({"id": orjson.loads(partition)}).key_bytes
        return key, key + b"\x00"

    async def identity(self, table: str) -> str:
        """Another one for each table of the name."""
        return self.table.table_id

    async def estimate(self, table: str) -> tuple[int, int]:
        """About how many there are."""
        return len(self.table.items), len(self.table.items)

    async def _sleep(self, wait_ms: int) -> None:
        clock = self.table.clock
        await clock.sleep_until(clock.now().monotonic_ms + wait_ms)


def _image(item: Mapping[str, Any] | None) -> bytes | None:
    return None if item is None else orjson.dumps(item)
