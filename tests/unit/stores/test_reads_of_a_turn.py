"""The reads of one turn share a transaction: when it begins, what ends it, and who goes on beside it.

Rules of this file: a turn is ended by hand; what another thread or process does in between is really done.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tailrace.errors import StoreError
from tailrace.stores.checking import check_file
from tailrace.stores.sqlite import SqliteStore
from tests.patience import PATIENCE_S
from tests.unit.stores.commits import TABLE, group


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tailrace.db"


def is_reading(store: SqliteStore) -> bool:
    return store._reader.in_transaction


def test_the_reads_of_a_turn_share_a_transaction_that_ends_with_the_turn(path: Path) -> None:
    turn: list[Callable[[], None]] = []
    with closing(SqliteStore(path)) as store:
        store.commit(group(0))
        store.share_reads(turn.append)
        assert store.get(TABLE, b"000001") == b"x" * 300
        assert len(store.query(TABLE, b"", None, 100)) == 16
        assert store.get(TABLE, b"none") is None
        assert len(turn) == 1
        assert is_reading(store)
        turn.pop()()
        assert not is_reading(store)
        assert store.get(TABLE, b"000001") is not None
        assert len(turn) == 1


def test_a_commit_ends_the_reads_of_its_turn_and_what_it_wrote_is_read_after_it(path: Path) -> None:
    turn: list[Callable[[], None]] = []
    with closing(SqliteStore(path)) as store:
        store.share_reads(turn.append)
        assert store.get(TABLE, b"000001") is None
        store.commit(group(0))
        assert not is_reading(store)
        assert store.get(TABLE, b"000001") == b"x" * 300
        assert store.read_log(1, 0, 100)
        for end in turn:
            end()
        assert not is_reading(store)


@contextmanager
def in_the_middle_of_a_turn(path: Path) -> Iterator[tuple[SqliteStore, list[Callable[[], None]]]]:
    """A store with a group of items that has just been read from, and what ends the turn."""
    turn: list[Callable[[], None]] = []
    with closing(SqliteStore(path)) as store:
        store.commit(group(0))
        store.share_reads(turn.append)
        assert store.get(TABLE, b"000001") is not None
        yield store, turn


def test_a_commit_goes_on_with_the_transaction_that_the_reads_of_its_turn_began(path: Path) -> None:
    turn: list[Callable[[], None]] = []
    statements: list[str] = []
    with closing(SqliteStore(path)) as store:
        store.commit(group(0))
        store.share_reads(turn.append)
        store._writer.set_trace_callback(statements.append)
        assert store.get(TABLE, b"000001") is not None
        store.commit(group(1))
        assert [text for text in statements if text.startswith(("BEGIN", "COMMIT"))] == ["BEGIN", "COMMIT"]
        statements.clear()
        store.commit(group(2))
        assert [text for text in statements if text.startswith(("BEGIN", "COMMIT"))] == [
            "BEGIN IMMEDIATE",
            "COMMIT",
        ]
        for end in turn:
            end()
        assert not is_reading(store)


def test_a_commit_after_reads_that_another_process_has_outdated_begins_anew(path: Path) -> None:
    with in_the_middle_of_a_turn(path) as (store, turn):
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("INSERT INTO meta VALUES('of another', 1)")
        store.commit(group(1))
        assert store.get(TABLE, b"000017") is not None
        assert len(store.read_log(1, 0, 100)) == 32
        for end in turn:
            end()
        assert not is_reading(store)


def test_a_commit_on_reads_that_fails_leaves_nothing_and_the_next_one_stands(path: Path) -> None:
    with in_the_middle_of_a_turn(path) as (store, _):
        with pytest.raises(StoreError, match="UNIQUE"):
            store.commit(group(0))
        assert not is_reading(store)
        store.commit(group(1))
        assert len(store.read_log(1, 0, 100)) == 32
    assert check_file(path, lambda *_: None).damages == []


def test_a_store_that_is_closed_before_the_turn_ends_is_closed(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turn: list[Callable[[], None]] = []
    store = SqliteStore(path)
    store.share_reads(turn.append)
    store.commit(group(0))
    store.get(TABLE, b"a")
    mover = store._mover
    assert mover is not None
    close, read_meanwhile = mover.close, []
    monkeypatch.setattr(mover, "close", lambda: (read_meanwhile.append(is_reading(store)), close()))
    store.close()
    assert read_meanwhile == [False]  # the log cannot be moved under a reader: it was waited for, ten seconds
    turn.pop()()


def test_reads_apart_go_on_beside_a_commit_in_another_thread_and_share_a_transaction_again_after_it(
    path: Path,
) -> None:
    turn: list[Callable[[], None]] = []
    begun, may_go_on = threading.Event(), threading.Event()

    def reached(point: str) -> None:
        if point == "commit.written" and threading.current_thread() is not threading.main_thread():
            begun.set()
            assert may_go_on.wait(PATIENCE_S)

    with closing(SqliteStore(path, reached=reached)) as store:
        assert store.can_read_apart
        store.share_reads(turn.append)
        assert store.get(TABLE, b"000001") is None
        assert is_reading(store)
        store.read_apart(True)
        writer = threading.Thread(target=store.commit, args=(group(0),))
        writer.start()
        assert begun.wait(PATIENCE_S)
        turn.pop()()
        assert store.get(TABLE, b"000001") is None
        assert store.read_log(1, 0, 100) == []
        assert turn == [], "such reads share nothing: each sees what was committed when it began"
        may_go_on.set()
        writer.join()
        assert store.get(TABLE, b"000001") is not None
        store.read_apart(False)
        assert store.get(TABLE, b"000001") is not None
        assert (len(turn), is_reading(store)) == (1, True)


def test_in_memory_and_with_full_there_is_nothing_to_read_apart(path: Path) -> None:
    for place, sync in ((None, "normal"), (path, "full")):
        with closing(SqliteStore(place, sync=sync)) as store:  # type: ignore[arg-type]
            assert not store.can_read_apart


def test_with_full_each_read_sees_what_was_committed_when_it_began(path: Path) -> None:
    turn: list[Callable[[], None]] = []
    with closing(SqliteStore(path, sync="full")) as store:
        store.share_reads(turn.append)
        assert store.get(TABLE, b"000001") is None
        store.commit(group(0))
        assert store.get(TABLE, b"000001") is not None
        assert turn == []
