"""The engine against a plain dict: items, records, order, views, rollovers, the passing
of time, failed commits.

Rules of this file: the model knows nothing of bytes, overlays or shards: a dict of items, what was durable of
it, and a list of changes. After every step the engine must agree with it.
"""

from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tailrace.clocks.manual import ManualClock
from tailrace.engine.engine import Engine, EngineSettings, QueryRequest, ScanRequest
from tailrace.errors import StoreError
from tailrace.expressions.placeholders import Placeholders
from tailrace.expressions.update import parse_update
from tailrace.ports import Commit, Store
from tailrace.stores.memory import MemoryStore
from tailrace.stores.sqlite import SqliteStore
from tailrace.streams.record import ChangeRecord, image
from tailrace.tables.mutate import Delete, Put, Update
from tailrace.values.types import Item
from tests.unit.engine.building import DAY_MS, START_MS, FailingStore, defined, keep_house, keys

PARTITIONS = ("a", "b", "a\0", "é")
SORTS = ("-2", "-1", "0", "0.5", "1", "10", "2E+5")
Key = tuple[str, str]
Change = tuple[Key, Item | None, Item | None, int]

partitions = st.sampled_from(PARTITIONS)
sorts = st.sampled_from(SORTS)
counts = st.integers(0, 3)


def plain(sort: str) -> str:
    return {"2E+5": "200000"}.get(sort, sort)


def key_of(key: Key) -> Item:
    return {"pk": {"S": key[0]}, "sk": {"N": plain(key[1])}}


def order(key: Key) -> float:
    return float(key[1])


class EngineAgainstDict(RuleBasedStateMachine):
    """Steps a client, the clock, the disk and the operator may take."""

    def make_store(self) -> Store:
        """The store under the engine."""
        return MemoryStore()

    @initialize(shards=st.integers(1, 3))
    def open(self, shards: int) -> None:
        """A table with a stream, durable."""
        self.settings = EngineSettings(shards=shards, slice_rows=5)
        self.store = FailingStore(self.make_store())
        self.clock = ManualClock(START_MS)
        self.engine = Engine(self.store, self.clock, self.settings)
        self.engine.create_table(defined(sort=True))
        self.engine.committer.flush()
        self.items: dict[Key, Item] = {}
        self.durable: dict[Key, Item] = {}
        self.changes: list[Change] = []
        self.flying: tuple[Commit, dict[Key, Item], list[Change]] | None = None
        self.pending: list[Change] = []

    # ---- writes --------------------------------------------------------------------------------------------

    def changed(self, key: Key, new: Item | None) -> None:
        """What the model does with a write."""
        old = self.items.get(key)
        if old == new:
            return
        self.pending.append((key, old, new, self.clock.now().wall_ms))
        if new is None:
            del self.items[key]
        else:
            self.items[key] = new

    @rule(partition=partitions, sort=sorts, count=counts)
    def put(self, partition: str, sort: str, count: int) -> None:
        """PutItem, often of the same item again."""
        item: Item = {**key_of((partition, sort)), "n": {"N": str(count)}}
        mutation = self.engine.put(Put("orders", item))
        assert mutation.old == self.items.get((partition, sort))
        self.changed((partition, sort), item)

    @rule(partition=partitions, sort=sorts, count=counts)
    def add(self, partition: str, sort: str, count: int) -> None:
        """UpdateItem; adding zero to a number changes nothing."""
        values: Item = {":x": {"N": str(count)}}
        update = parse_update("ADD n :x", Placeholders(None, values))
        key = (partition, sort)
        mutation = self.engine.update(Update("orders", key_of(key), update))
        before = self.items.get(key, key_of(key))
        total = int(before.get("n", {"N": "0"})["N"]) + count
        new: Item = {**before, "n": {"N": str(total)}}
        assert mutation.new == new
        self.changed(key, new)

    @rule(partition=partitions, sort=sorts)
    def delete(self, partition: str, sort: str) -> None:
        """DeleteItem, often of nothing."""
        mutation = self.engine.delete(Delete("orders", key_of((partition, sort))))
        assert mutation.changed == ((partition, sort) in self.items)
        self.changed((partition, sort), None)

    # ---- the group -----------------------------------------------------------------------------------------

    @rule()
    def flush(self) -> None:
        """The end of a turn."""
        self.land()
        self.engine.committer.flush()
        self.settle(self.items, self.pending)
        self.pending = []

    def settle(self, items: dict[Key, Item], changes: list[Change]) -> None:
        """This is durable in the model."""
        self.changes.extend(changes)
        self.durable = dict(items)

    @precondition(lambda self: self.flying is None)
    @rule()
    def take_off(self) -> None:
        """`full`: a group is handed to the writer thread, the next one collects."""
        commit = self.engine.committer.begin_flush()
        if commit is not None:
            self.flying = (commit, dict(self.items), self.pending)
            self.pending = []

    @rule()
    def land(self) -> None:
        """The writer thread is done."""
        if self.flying is not None:
            commit, items, changes = self.flying
            self.engine.committer.write(commit)
            self.engine.committer.finish_flush()
            self.settle(items, changes)
            self.flying = None

    @rule()
    def fail(self) -> None:
        """The disk is full: nothing that was not durable ever was, in flight or not."""
        self.store.is_broken = True
        committer = self.engine.committer
        try:
            if self.flying is None:
                committer.flush()
                assert not self.pending
            else:
                try:
                    committer.write(self.flying[0])
                except StoreError as error:
                    committer.finish_flush(error)
        except StoreError:
            self.lose()
        finally:
            self.store.is_broken = False

    def lose(self) -> None:
        """What the model forgets."""
        self.items = dict(self.durable)
        self.flying = None
        self.pending = []

    @rule()
    def crash(self) -> None:
        """The process dies and starts again on what was durable."""
        self.engine = Engine(self.store, self.clock, self.settings)
        self.lose()

    # ---- time ----------------------------------------------------------------------------------------------

    @rule(hours=st.integers(0, 30))
    def advance(self, hours: int) -> None:
        """Time passes; records are made durable first, so that none is written and trimmed unseen."""
        self.flush()
        self.clock.advance(hours * 3_600_000)

    @rule()
    def keep_house(self) -> None:
        """A whole round of housekeeping."""
        self.flush()
        keep_house(self.engine)

    # ---- reads ---------------------------------------------------------------------------------------------

    @rule(partition=partitions, forward=st.booleans(), limit=st.integers(1, 4), low=sorts)
    def query(self, partition: str, forward: bool, limit: int, low: str) -> None:
        """Query in pages from a sort key on, in both directions."""
        values: Item = {":p": {"S": partition}, ":low": {"N": plain(low)}}
        items: list[Item] = []
        start: Item | None = None
        while True:
            condition = keys("pk = :p AND sk >= :low", values)
            page = self.engine.query(
                QueryRequest("orders", condition, limit=limit, start=start, forward=forward)
            )
            items.extend(page.decoded())
            start = page.last_key
            if start is None:
                break
        chosen = [key for key in self.items if key[0] == partition and order(key) >= float(low)]
        chosen.sort(key=order, reverse=not forward)
        assert items == [self.items[key] for key in chosen]

    @rule(limit=st.integers(1, 5))
    def scan(self, limit: int) -> None:
        """Scan in pages."""
        items: list[Item] = []
        start: Item | None = None
        while True:
            page = self.engine.scan(ScanRequest("orders", limit=limit, start=start))
            items.extend(page.decoded())
            start = page.last_key
            if start is None:
                break
        assert sorted(map(str, items)) == sorted(map(str, self.items.values()))

    def read(self) -> list[ChangeRecord]:
        """Everything readable, in the order of the sequence numbers; parents end below their children."""
        records: list[ChangeRecord] = []
        ends: dict[str, int] = {}
        for shard in self.engine.shards_of(self.engine.stream_of("orders").arn):
            page: Any = self.engine.log.read(shard, 0, 1_000)
            records.extend(page.records)
            for parent in shard.parents if page.records else ():
                if parent in ends:
                    assert ends[parent] < page.records[0].sequence
            if page.records:
                ends[shard.shard_id] = page.records[-1].sequence
                assert shard.first <= page.records[0].sequence
                assert shard.last is None or page.records[-1].sequence <= shard.last
        return sorted(records, key=lambda record: record.sequence)

    @invariant()
    def items_agree(self) -> None:
        """Every item is as the dict has it, and the table counts them."""
        if not hasattr(self, "engine"):
            return
        for partition in PARTITIONS:
            for sort in SORTS:
                assert self.engine.get("orders", key_of((partition, sort))) == self.items.get(
                    (partition, sort)
                )
        assert self.engine.describe_table("orders")["ItemCount"] == len(self.items)

    @invariant()
    def records_agree(self) -> None:
        """The stream holds exactly the durable changes of the last day, in order, with both images."""
        if not hasattr(self, "engine"):
            return
        horizon = self.clock.now().wall_ms - DAY_MS
        expected = [(old, new) for _, old, new, at in self.changes if at >= horizon]
        got = self.read()
        assert [(image(record.old), image(record.new)) for record in got] == expected
        assert len({record.sequence for record in got}) == len(got)


class EngineOnSqlite(EngineAgainstDict):
    """The same over SQLite."""

    def make_store(self) -> Store:
        """A database in memory."""
        return SqliteStore(None, sync="normal")

    def teardown(self) -> None:
        """Give the database back."""
        if hasattr(self, "store"):
            self.store.inner.close()


EngineAgainstDict.TestCase.settings = settings(
    max_examples=30, stateful_step_count=30, deadline=None, derandomize=True
)
EngineOnSqlite.TestCase.settings = settings(
    max_examples=20, stateful_step_count=30, deadline=None, derandomize=True
)
TestEngineAgainstDict = EngineAgainstDict.TestCase
TestEngineOnSqlite = EngineOnSqlite.TestCase
