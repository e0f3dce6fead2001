"""Properties of stores: whatever is committed, every store answers as a dictionary and plain loops would.

Rules of this file: the model is too simple to be wrong: rows in a dictionary, records in
another, sorted when asked.
"""

import tempfile
from pathlib import Path
from typing import ClassVar, Literal

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tailrace.errors import StoreError
from tailrace.ports import Commit, LogRow, Row, Store, Trim
from tailrace.stores.memory import MemoryStore
from tailrace.stores.sqlite import SqliteStore

TABLES = st.sampled_from([0, 1, 16, 255, 256])
KEYS = st.lists(st.sampled_from([0, 1, 0x61, 0xFF]), max_size=4).map(bytes)
VALUES = st.none() | st.binary(max_size=4)
SHARDS = st.sampled_from([1, 2, 256])
SEQUENCES = st.integers(1, 12) | st.sampled_from([(1 << 20) - 1, 1 << 20, (1 << 63) - 1])
IMAGES = st.none() | st.binary(max_size=3)
rows = st.builds(Row, TABLES, KEYS, VALUES)
records = st.builds(LogRow, SHARDS, SEQUENCES, st.binary(min_size=1, max_size=3), IMAGES, IMAGES)
trims = st.builds(Trim, SHARDS, SEQUENCES)


class AnyStore(RuleBasedStateMachine):
    """A store in a file, one in memory, and the model, given the same commits."""

    sync: ClassVar[Literal["normal", "full"]] = "normal"

    @initialize()
    def open(self) -> None:
        self.directory = tempfile.TemporaryDirectory(prefix="tailrace-")
        self.path = Path(self.directory.name) / "store.db"
        self.stores: list[Store] = [MemoryStore(), SqliteStore(self.path, sync=self.sync)]
        self.rows: dict[tuple[int, bytes], bytes] = {}
        self.log: dict[tuple[int, int], LogRow] = {}

    def teardown(self) -> None:
        for store in self.stores:
            store.close()
        self.directory.cleanup()

    # ---- what happens --------------------------------------------------------------------------------------

    @rule(
        written=st.lists(rows, max_size=4),
        recorded=st.lists(records, max_size=3),
        trimmed=st.lists(trims, max_size=1),
        sync=st.booleans(),
    )
    def commit(self, written: list[Row], recorded: list[LogRow], trimmed: list[Trim], sync: bool) -> None:
        places = [(record.shard, record.sequence) for record in recorded]
        if len(set(places)) < len(places) or any(place in self.log for place in places):
            for store in self.stores:
                with pytest.raises(StoreError):
                    store.commit(Commit(written, recorded, trimmed, sync))
            return
        for store in self.stores:
            store.commit(Commit(written, recorded, trimmed, sync))
        for row in written:
            self.rows.pop((row.table, row.key), None)
            if row.value is not None:
                self.rows[row.table, row.key] = row.value
        self.log.update(zip(places, recorded, strict=True))
        for trim in trimmed:
            for place in [place for place in self.log if place[0] == trim.shard and place[1] <= trim.through]:
                del self.log[place]

    @rule()
    def open_again(self) -> None:
        self.stores[1].close()
        self.stores[1].close()
        self.stores[1] = SqliteStore(self.path, sync=self.sync)

    # ---- what is seen --------------------------------------------------------------------------------------

    @rule(table=TABLES, key=KEYS)
    def get(self, table: int, key: bytes) -> None:
        for store in self.stores:
            assert store.get(table, key) == self.rows.get((table, key))

    @rule(table=TABLES, first=KEYS, last=st.none() | KEYS, limit=st.integers(1, 5), reverse=st.booleans())
    def query(self, table: int, first: bytes, last: bytes | None, limit: int, reverse: bool) -> None:
        expected = sorted(
            (key, value)
            for (number, key), value in self.rows.items()
            if number == table and key >= first and (last is None or key < last)
        )
        if reverse:
            expected.reverse()
        for store in self.stores:
            assert store.query(table, first, last, limit, reverse=reverse) == expected[:limit]

    @rule(shard=SHARDS, after=SEQUENCES | st.just(0), limit=st.integers(1, 5), reverse=st.booleans())
    def read_log(self, shard: int, after: int, limit: int, reverse: bool) -> None:
        mine = [self.log[place] for place in sorted(self.log) if place[0] == shard]
        if reverse:
            expected = [row for row in reversed(mine) if row.sequence < after]
        else:
            expected = [row for row in mine if row.sequence > after]
        for store in self.stores:
            assert store.read_log(shard, after, limit, reverse=reverse) == expected[:limit]

    @invariant()
    def everything_is_there(self) -> None:
        for store in self.stores:
            stored = {
                (table, key): value
                for table in (0, 1, 16, 255, 256)
                for key, value in store.query(table, b"", None, 1_000)
            }
            assert stored == self.rows
            for table, key in self.rows:
                same = sorted(other for number, other in self.rows if number == table)
                place = same.index(key)
                below, above = store.query(table, b"", key, 1_000), store.query(table, key, None, 1_000)
                assert [other for other, _ in below] == same[:place]
                assert [other for other, _ in above] == same[place:]
            kept = [record for shard in (1, 2, 256) for record in store.read_log(shard, 0, 1_000)]
            assert kept == [self.log[place] for place in sorted(self.log)]


class AnyFullStore(AnyStore):
    """The same with two connections, one of them for reading."""

    sync: ClassVar[Literal["normal", "full"]] = "full"


QUICK = settings(deadline=None, max_examples=30, stateful_step_count=20)
TestNormal = AnyStore.TestCase
TestNormal.settings = QUICK
TestFull = AnyFullStore.TestCase
TestFull.settings = settings(QUICK, max_examples=12)
