"""A table that is written while its mirror is compared: writers, a stream, delivery that lags, and damage.

Theory of operation: everything runs on a seeded loop and its clock. Hot items are written all the time; cold
ones are left alone, and the mirror's rows of some of them are damaged before the comparison. So what must be
told is known: the damaged cold rows, and nothing of the hot ones that was only on its way.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any, Final, TypeVar

import orjson

from tailrace.clocks.manual import ManualClock
from tailrace.ports import RecordBatch, StateStore, StreamRef
from tailrace.runtime.preparing import Prepared
from tailrace.runtime.watermark import MappingName
from tailrace.stores.memory import MemoryStateStore
from tailrace.streams.record import ChangeRecord, change_record
from tailrace.tables.costs import TableSize
from tailrace.tables.schema import TableSchema
from tailrace.testing.loop import SeededLoop
from tailrace.testing.mirrors import MirrorMemory, MirrorRow
from tailrace.values.types import Item
from tailrace.verification.run.comparing import How, Verification
from tailrace.verification.run.reading import Compared, ExactMarks, MappingMarks, TablePage, TimedMarks
from tailrace.verification.run.report import VerificationReport

T = TypeVar("T")
SCHEMA: Final = TableSchema("orders", 1, "", "id", "S")
STREAM: Final = StreamRef("", "orders", "", "NEW_AND_OLD_IMAGES")
NAME: Final = MappingName("shop", "copy", "orders")
SHARDS: Final = 2
HOT: Final = tuple(f"hot{number}" for number in range(6))
COLD: Final = tuple(f"cold{number}" for number in range(6))


class AsItIs:
    """What a mapping without filter and transform would write."""

    async def prepared(self, batch: RecordBatch) -> Prepared:
        return Prepared(batch, range(len(batch.records)))


def key_of(name: str) -> bytes:
    """An item's key, as rows have it."""
    return SCHEMA.key_bytes({"id": {"S": name}})


class LivingTable:
    """A table, its stream, and a mirror that follows it. Shape: `margin_ms` is how long a write may need to
    be seen in the stream.
    """

    def __init__(self, seed: int, *, is_exact: bool = True) -> None:
        self.random = Random(seed)
        self.clock = ManualClock()
        self.loop = SeededLoop(seed, self.clock)
        self.mirror = MirrorMemory()
        self.items: dict[bytes, Item] = {}
        self.records: list[ChangeRecord] = []
        self.unsettled: list[ChangeRecord] = []
        self.queues: list[asyncio.Queue[ChangeRecord]] = [asyncio.Queue() for _ in range(SHARDS)]
        self.state: StateStore = MemoryStateStore()
        self.is_exact = is_exact
        self.reads = 0

    # ---- the table -----------------------------------------------------------------------------------------

    def write(self, name: str, n: int | None) -> None:
        """Put an item, or delete it (None)."""
        key, before = key_of(name), self.items.get(key_of(name))
        image: Item | None = None if n is None else {"id": {"S": name}, "n": {"N": str(n)}}
        if before is None and image is None:
            return
        now_ms = self.clock.now().wall_ms
        record = change_record(
            sequence=len(self.records) + 1,
            shard=1,
            created_ms=now_ms - now_ms % 1_000 if not self.is_exact else now_ms,
            partition=0,
            key=key,
            keys={"id": {"S": name}},
            old=None if before is None else orjson.dumps(before),
            new=None if image is None else orjson.dumps(image),
            size_bytes=9,
        )
        if image is None:
            del self.items[key]
        else:
            self.items[key] = image
        self.records.append(record)
        self.unsettled.append(record)
        self.queues[key[0] % SHARDS].put_nowait(record)

    async def size(self) -> TableSize:
        return TableSize(len(self.items))

    async def page(
        self, after: Mapping[str, Any] | None, limit: int, segment: tuple[int, int] | None
    ) -> TablePage:
        await self._late()
        keys = sorted(key for key in self.items if after is None or key.hex() > after["key"])[:3]
        images = [self.items[key] for key in keys]
        is_over = not keys or keys[-1] == max(self.items, default=b"")
        return TablePage(images, None if is_over else {"key": keys[-1].hex()})

    async def items_of(self, keys: Sequence[Item]) -> Sequence[Item | None]:
        await self._late()
        return [self.items.get(SCHEMA.key_bytes(key)) for key in keys]

    async def _late(self) -> None:
        self.reads += 1
        await self._sleep(self.random.randrange(200))

    async def _sleep(self, ms: int) -> None:
        await self.clock.sleep_until(self.clock.now().monotonic_ms + ms)

    # ---- the stream and its delivery -----------------------------------------------------------------------

    async def deliver(self, shard: int) -> None:
        """Write what comes to the mirror, late, and settle it a moment later."""
        while True:
            batch = [await self.queues[shard].get()]
            await self._sleep(self.random.randrange(1_500))
            while not self.queues[shard].empty() and self.random.random() < 0.7:
                batch.append(self.queues[shard].get_nowait())
            await self.mirror.write(RecordBatch(batch, "copy", STREAM, f"shard{shard}"))
            await self._sleep(self.random.randrange(300))
            for record in batch:
                self.unsettled.remove(record)

    async def keep_writing(self) -> None:
        """Write hot items without end."""
        n = 1_000
        while True:
            n += 1
            gone = self.random.random() < 0.35
            self.write(self.random.choice(HOT), None if gone else self.random.choice([n, 7]))
            await self._sleep(self.random.randrange(5, 900))

    async def _oldest(self) -> int | None:
        return min((record.sequence for record in self.unsettled), default=None)

    async def _oldest_ms(self) -> int | None:
        return min((record.created_ms for record in self.unsettled), default=None)

    async def _server_ms(self) -> int:
        return self.clock.now().wall_ms // 1_000 * 1_000

    @property
    def marks(self) -> MappingMarks:
        if self.is_exact:
            return ExactMarks(lambda: len(self.records), self._oldest)
        return TimedMarks(self._server_ms, self._oldest_ms)

    # ---- damage --------------------------------------------------------------------------------------------

    def damage(self, name: str) -> str:
        """Damage the row of an item. Returns: what must be told of it."""
        key = key_of(name)
        row = self.mirror.target.rows[key]
        if key not in self.items:
            self.mirror.target.rows[key] = MirrorRow(row.version, b'{"zombie":{"BOOL":true}}', 0)
            return "extra"
        match self.random.randrange(3):
            case 0:
                del self.mirror.target.rows[key]
                return "missing"
            case 1:
                self.mirror.target.rows[key] = MirrorRow(row.version, None, 0)
                return "missing"
        self.mirror.target.rows[key] = MirrorRow(row.version, b'{"other":{"BOOL":true}}', 0)
        return "different"

    # ---- comparing -----------------------------------------------------------------------------------------

    @property
    def compared(self) -> Compared:
        @asynccontextmanager
        async def opened() -> AsyncIterator[None]:
            yield

        table = self

        class Reader:
            size, page, items = table.size, table.page, table.items_of

        return Compared(
            name=NAME,
            schema=SCHEMA,
            stream=STREAM,
            mirror=self.mirror,
            prepares=AsItIs(),
            opened=opened,
            reader=Reader(),
            marks=self.marks,
            state=self.state,
            clock=self.clock,
        )

    async def compare(self, how: How = How()) -> VerificationReport:  # noqa: B008 -- it is frozen
        """One comparison."""
        return await Verification(self.compared, how).run()

    def shown(self) -> dict[bytes, Item]:
        """What the mirror shows, by key."""
        return {key: orjson.loads(image) for key, image in self.mirror.target.shown.items()}

    async def settle(self) -> None:
        """Return when everything is delivered."""
        while self.unsettled:
            await self._sleep(500)

    def run(self, story: Coroutine[Any, Any, T]) -> T:
        """Run a story while delivery runs beside it."""

        async def main() -> T:
            beside = [asyncio.ensure_future(self.deliver(shard)) for shard in range(SHARDS)]
            try:
                return await story
            finally:
                for task in beside:
                    task.cancel()
                await asyncio.gather(*beside, return_exceptions=True)

        try:
            return self.loop.run_until_complete(main())
        finally:
            self.loop.close()


def told(report: VerificationReport) -> dict[str, str]:
    """What a report names, by the item's name."""
    return {difference.key["id"]["S"]: difference.kind for difference in report.differences}
