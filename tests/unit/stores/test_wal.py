"""The write-ahead log stays small, and commits do not wait for it."""

import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tailrace.stores.wal import GAP_S, LOOKS, MOST_S, READER_S, LogMover
from tests.patience import eventually

KIB = 1 << 10


class Written:
    """A database with a mover of small bounds, and rows to make its log grow."""

    def __init__(self, path: Path, move_bytes: int, most_bytes: int) -> None:
        self.path = path
        self.log = Path(f"{path}-wal")
        self.connection = self.connect()
        self.connection.execute("CREATE TABLE t(x)")
        self.moves: list[str] = []
        self.threads: set[str] = set()
        self.mover = LogMover(self.traced, self.log, move_bytes=move_bytes, most_bytes=most_bytes)

    def connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL").fetchone()
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute("PRAGMA journal_size_limit=0")
        return connection

    def traced(self) -> sqlite3.Connection:
        connection = self.connect()
        connection.set_trace_callback(self.note)
        return connection

    def note(self, statement: str) -> None:
        if "wal_checkpoint" in statement:
            self.moves.append(statement)
            self.threads.add(threading.current_thread().name)

    def write(self, kib: int) -> int:
        self.connection.execute("INSERT INTO t VALUES(randomblob(?))", (kib * KIB,))
        self.mover.committed()
        return self.log.stat().st_size

    def count(self, mode: str) -> int:
        return sum(mode in statement for statement in self.moves)

    def wait_for_passive(self, count: int) -> None:
        eventually(lambda: self.count("PASSIVE") >= count)

    def wait_for_no_pressure(self) -> None:
        eventually(lambda: not self.mover.pressure_s())


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Written]:
    written = Written(tmp_path / "x.db", 64 * KIB, 512 * KIB)
    yield written
    written.mover.close()
    written.connection.close()


def test_a_small_log_is_left_alone(database: Written) -> None:
    for _ in range(3):
        database.write(8)
    assert database.moves == []


def test_a_log_that_has_grown_is_moved_by_the_thread(database: Written) -> None:
    database.write(100)
    database.wait_for_passive(1)
    assert database.count("TRUNCATE") == 0


def test_a_move_is_asked_for_once_for_each_growth_not_at_every_commit(database: Written) -> None:
    reader = database.connect()
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM t").fetchone()  # keeps the log from ever starting anew
    for count in (1, 2):
        database.write(100)
        database.wait_for_passive(count)
        for _ in range(5):
            database.write(1)
        assert database.count("PASSIVE") == count
    reader.execute("COMMIT")
    reader.close()


def test_beyond_the_bound_the_log_is_moved_by_the_thread_in_the_gaps_that_the_writer_leaves(
    database: Written,
) -> None:
    sizes = []
    for _ in range(40):
        database.wait_for_no_pressure()
        sizes.append(database.write(200))
    assert max(sizes) <= 512 * KIB + 210 * KIB
    assert database.count("TRUNCATE") == 0
    assert database.threads == {"tailrace-wal"}
    assert database.connection.execute("SELECT count(*), sum(length(x)) FROM t").fetchone() == (
        40,
        40 * 200 * KIB,
    )


def test_a_reader_that_keeps_the_log_slows_commits_down_and_stalls_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "tailrace.store")
    written = Written(tmp_path / "x.db", 64 * KIB, 256 * KIB)
    reader = written.connect()
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM t").fetchone()
    assert written.mover._connection.execute("PRAGMA busy_timeout").fetchone() == (0,)
    assert written.write(400) > 400 * KIB
    eventually(lambda: written.mover.pressure_s() < GAP_S)
    assert READER_S <= written.mover.pressure_s() <= MOST_S
    written.write(400)
    eventually(lambda: len(caplog.records) > 0)
    assert [record.getMessage().split(" has grown")[0] for record in caplog.records] == [
        f"the write-ahead log {written.log}"
    ], "it is told once"
    reader.execute("COMMIT")
    written.wait_for_no_pressure()
    eventually(
        lambda: "as fast as before" in caplog.records[-1].getMessage()
    )  # the thread tells it afterwards
    assert written.write(1) < 400 * KIB
    reader.close()
    written.mover.close()
    written.connection.close()


def test_a_reader_that_is_in_the_way_for_a_moment_is_not_told_and_slows_nothing_down_for_long(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "tailrace.store")
    written = Written(
        tmp_path / "x.db", 1 << 30, 1 << 30
    )  # the thread has nothing to do: each look is the test's
    reader = written.connect()
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM t").fetchone()
    written.write(10)
    written.mover.is_crowded = True
    for _ in range(LOOKS - 1):
        written.mover._relieve()
    assert written.mover.pressure_s() == GAP_S
    reader.execute("COMMIT")
    written.mover._relieve()
    assert written.mover.pressure_s() == 0
    assert caplog.records == []
    reader.close()
    written.mover.close()
    written.connection.close()


def test_a_log_that_cannot_be_looked_at_fails_no_commit(
    database: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []

    def refused(name: str) -> None:
        looked.append(name)
        raise PermissionError(13, "Permission denied", name)

    monkeypatch.setattr(os, "stat", refused)
    database.mover.committed()
    assert looked == [str(database.log)]


def test_closing_moves_what_is_left_and_ends_the_thread(tmp_path: Path) -> None:
    written = Written(tmp_path / "x.db", 1 << 30, 1 << 30)
    written.write(100)
    before = threading.active_count()
    written.mover.close()
    assert threading.active_count() == before - 1
    assert written.log.stat().st_size == 0
    written.connection.close()


def test_a_database_without_a_log_yet_is_no_error(tmp_path: Path) -> None:
    written = Written(tmp_path / "x.db", 64 * KIB, 512 * KIB)
    mover = LogMover(written.connect, tmp_path / "never-wal")
    mover.committed()
    mover.close()
    written.mover.close()
    written.connection.close()
