"""Engines, tables and writes for the tests of the engine, and a store that fails when told.

Rules of this file: real stores and clocks of the package; the failing store wraps one and refuses commits, as
a full disk would.
"""

from tailrace.clocks.manual import ManualClock
from tailrace.engine.engine import Engine, EngineSettings
from tailrace.errors import StoreError
from tailrace.expressions.condition import Condition, parse_condition
from tailrace.expressions.keys import KeyCondition, parse_key_condition
from tailrace.expressions.placeholders import Placeholders
from tailrace.ports import Commit, LogRow, Store
from tailrace.stores.memory import MemoryStore
from tailrace.streams.record import ChangeRecord, ViewType
from tailrace.tables.definition import TableDefinition
from tailrace.tables.mutate import Put
from tailrace.values.types import Item

START_MS = 1_700_000_000_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
PLAIN = EngineSettings()


class FailingStore:
    """A store whose commits fail while `is_broken`; it counts the commits and remembers the last ones."""

    def __init__(self, inner: Store | None = None) -> None:
        self.inner: Store = inner or MemoryStore()
        self.is_broken = False
        self.commits: list[Commit] = []

    def get(self, table: int, key: bytes) -> bytes | None:
        return self.inner.get(table, key)

    def query(
        self, table: int, first: bytes, last: bytes | None, limit: int, *, reverse: bool = False
    ) -> list[tuple[bytes, bytes]]:
        return self.inner.query(table, first, last, limit, reverse=reverse)

    def commit(self, commit: Commit) -> None:
        if self.is_broken:
            raise StoreError("the disk is full")
        self.inner.commit(commit)
        self.commits.append(commit)

    def read_log(self, shard: int, after: int, limit: int, *, reverse: bool = False) -> list[LogRow]:
        return self.inner.read_log(shard, after, limit, reverse=reverse)

    def close(self) -> None:
        """Keep the inner store for a next engine, as a file would be kept."""


def opened(
    store: Store | None = None, clock: ManualClock | None = None, settings: EngineSettings = PLAIN
) -> Engine:
    """An engine at a fixed time."""
    return Engine(store or MemoryStore(), clock or ManualClock(START_MS), settings)


def defined(
    name: str = "orders", *, sort: bool = False, stream: ViewType | None = "NEW_AND_OLD_IMAGES"
) -> TableDefinition:
    """A table with a text partition key `pk`, and a number sort key `sk` when asked."""
    if sort:
        return TableDefinition(name, "pk", "S", "sk", "N", stream=stream)
    return TableDefinition(name, "pk", "S", stream=stream)


def with_table(
    *,
    store: Store | None = None,
    clock: ManualClock | None = None,
    sort: bool = False,
    stream: ViewType | None = "NEW_AND_OLD_IMAGES",
    settings: EngineSettings = PLAIN,
) -> tuple[Engine, ManualClock]:
    """An engine with the table `orders`, durable."""
    clock = clock or ManualClock(START_MS)
    engine = opened(store, clock, settings)
    engine.create_table(defined(sort=sort, stream=stream))
    engine.committer.flush()
    return engine, clock


def item(name: str, number: int = 0, **more: str) -> Item:
    """An item of `orders` without a sort key."""
    extra: Item = {attribute: {"S": text} for attribute, text in more.items()}
    return {"pk": {"S": name}, "n": {"N": str(number)}, **extra}


def put(engine: Engine, name: str, number: int = 0, table: str = "orders") -> None:
    """Write an item and make it durable."""
    engine.put(Put(table, item(name, number)))
    engine.committer.flush()


def condition(text: str, **values: str) -> Condition:
    """A condition whose values are texts."""
    given: Item | None = {f":{name}": {"S": value} for name, value in values.items()} or None
    return parse_condition(text, Placeholders(None, given))


def keys(text: str, values: Item, range_name: str | None = "sk") -> KeyCondition:
    """A key condition of `orders`."""
    return parse_key_condition(
        text, Placeholders(None, values), ("pk",), () if range_name is None else (range_name,)
    )


def arn_of(engine: Engine, table: str = "orders") -> str:
    """The ARN of the stream that is on."""
    return engine.stream_of(table).arn


def log_of(engine: Engine, arn: str | None = None) -> list[ChangeRecord]:
    """Every readable record of a stream, shard after shard, parents first."""
    records: list[ChangeRecord] = []
    for shard in engine.shards_of(arn or arn_of(engine)):
        after = 0
        while True:
            page = engine.log.read(shard, after, 1_000)
            records.extend(page.records)
            after = page.next_after
            if not page.records:
                break
    return records


def names_of(records: list[ChangeRecord]) -> list[str]:
    """What the records say happened, without images: `INSERT`, `MODIFY`, `REMOVE`."""
    return [record.event_name for record in records]


def keep_house(engine: Engine) -> int:
    """One whole round of housekeeping, flushed after each slice. Returns: how many slices it took."""
    slices = 0
    for _ in engine.housekeeping():
        engine.committer.flush()
        slices += 1
    engine.committer.flush()
    return slices
