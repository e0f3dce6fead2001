"""Rows as they were at one moment, of every store: whatever is committed meanwhile, from any thread."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tailrace.errors import DamagedData, StoreError
from tailrace.ports import Commit, Row, Standing
from tailrace.stores.memory import MemoryStore
from tailrace.stores.sqlite import SqliteStore
from tailrace.testing.mortal import MortalStore

TABLE = 7
BEFORE = [(b"%02d" % number, b"old") for number in range(10)]


@pytest.fixture(params=["memory", "mortal", "sqlite", "sqlite-full", "sqlite-memory", "unchecked"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    path = tmp_path / "store.db"
    made: Any = {
        "memory": MemoryStore,
        "mortal": MortalStore,
        "sqlite": lambda: SqliteStore(path),
        "sqlite-full": lambda: SqliteStore(path, sync="full"),
        "sqlite-memory": lambda: SqliteStore(None),
        "unchecked": lambda: SqliteStore(path, checksums=False),
    }[request.param]()
    made.commit(Commit([Row(TABLE, key, value) for key, value in BEFORE] + [Row(TABLE + 1, b"x", b"other")]))
    yield made
    made.close()


def overwrite(store: Any) -> None:
    rows = [Row(TABLE, b"%02d" % number, b"new") for number in range(0, 30, 2)]
    store.commit(Commit([*rows, Row(TABLE, b"01", None)]))


def test_what_is_committed_later_is_not_seen(store: Any) -> None:
    assert isinstance(store, Standing)
    standing = store.standing()
    overwrite(store)
    assert standing.query(TABLE, b"", 100) == BEFORE
    assert standing.query(TABLE, b"", 3) == BEFORE[:3]
    assert standing.query(TABLE, BEFORE[3][0], 2) == BEFORE[3:5]
    assert standing.query(TABLE, BEFORE[-1][0] + b"\0", 2) == []
    assert standing.query(TABLE + 2, b"", 2) == []
    later = store.standing()
    assert dict(later.query(TABLE, b"", 100))[b"28"] == b"new"
    for one in (standing, later, standing):
        one.close()
    assert store.get(TABLE, b"28") == b"new"


def test_the_reads_of_a_turn_are_no_hindrance(store: Any) -> None:
    ends: list[Any] = []
    if isinstance(store, SqliteStore):
        store.share_reads(ends.append)
    assert store.get(TABLE, b"00") == b"old"
    standing = store.standing()
    overwrite(store)
    for end in ends:
        end()
    assert standing.query(TABLE, b"", 100) == BEFORE
    standing.close()


def test_another_thread_reads_while_the_owner_writes(store: Any) -> None:
    standing, told = store.standing(), []

    def read() -> None:
        told.extend(standing.query(TABLE, b"", 100) for _ in range(50))

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(20):
        overwrite(store)
    reader.join()
    assert told == [BEFORE] * 50
    standing.close()


def test_what_was_given_back_is_read_no_more(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db")
    standing = store.standing()
    store.close()  # a server that ends does not wait for who reads
    assert standing.query(TABLE, b"", 1) == []
    standing.close()
    with pytest.raises(StoreError, match="were given back"):
        standing.query(TABLE, b"", 1)


def test_a_damaged_row_is_never_told(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db")
    store.commit(Commit([Row(TABLE, key, value) for key, value in BEFORE]))
    store._writer.execute("UPDATE items SET value=x'00' WHERE substr(key, 5) = x'3035'")
    standing = store.standing()
    assert standing.query(TABLE, b"", 5) == BEFORE[:5]
    with pytest.raises(DamagedData) as error:
        standing.query(TABLE, b"", 6)
    assert (error.value.table, error.value.key) == (TABLE, b"05")
    standing.close()
    store.close()


def test_an_ended_store_holds_no_moment() -> None:
    store = MortalStore()
    store.end("killed")
    with pytest.raises(StoreError, match="killed"):
        store.standing()
