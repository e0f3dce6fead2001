"""The store on SQLite, beyond the contract: crashes, sync, broken files, full disks, the layout.

Rules of this file: broken files are really broken and full disks really refuse; nothing is pretended.
"""

import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Literal

import pytest

from tailrace.errors import StoreError
from tailrace.ports import Commit, LogRow, Row, Trim
from tailrace.stores.private import keep_private
from tailrace.stores.sqlite import SqliteStore
from tailrace.stores.wal import LOOK_BYTES, MOST_BYTES
from tests.patience import PATIENCE_S
from tests.unit.stores.commits import TABLE, count, group


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tailrace.db"


# ---- layout ------------------------------------------------------------------------------------------------


def test_the_file_is_as_documented(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        store.commit(Commit([Row(300, b"key", b"value")], [LogRow(7, 1 << 40, b"header", None, b"new")]))
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT name, value FROM meta").fetchall() == [("format", 3)]
        assert file.execute("SELECT key, value FROM items").fetchall() == [(b"\0\0\1\x2ckey", b"value")]
        expected = (bytes.fromhex("0000000000000007" + "0000010000000000"), b"header", None, b"new")
        assert file.execute("SELECT key, header, old, new FROM log").fetchall() == [expected]
        assert file.execute("PRAGMA journal_mode").fetchone() == ("wal",)


FORMAT_1 = """
CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE items(key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE log(key BLOB PRIMARY KEY, header BLOB NOT NULL, old BLOB, new BLOB) WITHOUT ROWID;
INSERT INTO meta VALUES('format', 1);
INSERT INTO items VALUES(x'0000012c62', x'32'), (x'0000012c61', x'31');
INSERT INTO log VALUES(x'00000000000000070000010000000000', x'68', NULL, x'31');
"""


def test_a_file_of_format_1_becomes_one_of_today_with_all_that_was_in_it(path: Path) -> None:
    with closing(sqlite3.connect(path)) as file:
        file.executescript(FORMAT_1)
    for _ in range(2):  # the second time nothing is left to do
        with closing(SqliteStore(path)) as store:
            assert store.query(300, b"", None, 10) == [(b"a", b"1"), (b"b", b"2")]
            assert store.read_log(7, 0, 10) == [LogRow(7, 1 << 40, b"h", None, b"1")]
    with closing(sqlite3.connect(path)) as file:
        tables = {name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type='table'")}
        assert tables == {"meta", "items", "log", "sums"}
        assert file.execute("SELECT value FROM meta").fetchone() == (3,)


def test_an_upgrade_that_fails_leaves_the_old_file(path: Path) -> None:
    with closing(sqlite3.connect(path)) as file:
        file.executescript(FORMAT_1.replace("value BLOB NOT NULL", "value BLOB"))
        file.execute("INSERT INTO items VALUES(x'0000012c63', NULL)")  # what the new table refuses
        file.commit()
    with pytest.raises(StoreError):
        SqliteStore(path)
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT value FROM meta").fetchone() == (1,)
        assert file.execute("SELECT count(*) FROM items").fetchone() == (3,)


def test_a_row_that_is_written_again_stays_where_it_is(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        store.commit(Commit([Row(TABLE, b"a", b"1"), Row(TABLE, b"b", b"1")]))
        store.commit(Commit([Row(TABLE, b"a", b"2")]))
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT value FROM items ORDER BY rowid").fetchall() == [(b"2",), (b"1",)]


def test_closing_leaves_one_file(path: Path) -> None:
    store = SqliteStore(path, sync="full")
    store.commit(group(0))
    assert path.with_name("tailrace.db-wal").exists()
    store.close()
    assert [file.name for file in path.parent.iterdir()] == ["tailrace.db"]


# ---- commits -----------------------------------------------------------------------------------------------


def test_a_commit_passes_its_points_in_order_and_is_seen_only_after_the_last(path: Path) -> None:
    points: list[tuple[str, bytes | None]] = []
    with closing(SqliteStore(path)) as reader_side:
        store = SqliteStore(path, reached=lambda point: points.append((point, reader_side.get(TABLE, b"a"))))
        store.commit(Commit([Row(TABLE, b"a", b"1")]))
        assert points == [("commit.begun", None), ("commit.written", None)]
        assert reader_side.get(TABLE, b"a") == b"1"
        store.close()


@pytest.mark.parametrize("point", ["commit.begun", "commit.written"])
def test_whatever_stops_a_commit_takes_it_back(path: Path, point: str) -> None:
    class Stop(BaseException):
        pass

    def reached(name: str) -> None:
        if name == point and is_armed:
            raise Stop

    is_armed = False
    with closing(SqliteStore(path, reached=reached)) as store:
        store.commit(group(0))
        is_armed = True
        with pytest.raises(Stop):
            store.commit(group(1))
        is_armed = False
        assert count(store) == (16, 16)
        store.commit(group(1))
        assert count(store) == (32, 32)


KILLED = """
import os, signal, sys
from pathlib import Path
from tailrace.stores.sqlite import SqliteStore
from tests.unit.stores.commits import group
commits = 0
def reached(point):
    if commits == 3 and point == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)
store = SqliteStore(Path(sys.argv[1]), reached=reached)
for commits in range(5):
    store.commit(group(commits))
    os.write(1, b".")
"""


@pytest.mark.parametrize("point", ["commit.begun", "commit.written"])
def test_a_killed_process_leaves_every_commit_that_returned_and_nothing_else(path: Path, point: str) -> None:
    root = Path(__file__).parents[3]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(path), point], cwd=root, capture_output=True, check=False
    )
    assert (killed.returncode, killed.stdout) == (-signal.SIGKILL, b"..."), killed.stderr
    with closing(SqliteStore(path)) as store:
        assert count(store) == (48, 48)


@pytest.mark.parametrize(
    ("setting", "is_asked", "expected"),
    [("normal", False, 1), ("normal", True, 2), ("full", False, 2), ("full", True, 2)],
)
def test_a_commit_that_asks_for_a_sync_gets_one_and_the_next_one_does_not(
    path: Path, setting: Literal["normal", "full"], is_asked: bool, expected: int
) -> None:
    seen: list[int] = []

    def reached(point: str) -> None:
        seen.append(store._writer.execute("PRAGMA synchronous").fetchone()[0])

    store = SqliteStore(path, sync=setting, reached=reached)
    store.commit(Commit([Row(TABLE, b"a", b"1")], sync=is_asked))
    assert set(seen) == {expected}  # SQLite: 1 is NORMAL, 2 is FULL
    seen.clear()
    store.commit(Commit([Row(TABLE, b"a", b"2")]))
    assert set(seen) == {1 if setting == "normal" else 2}
    store.close()


def test_a_synced_commit_that_fails_leaves_the_setting_as_it_was(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        store.commit(group(0))
        with pytest.raises(StoreError):
            store.commit(Commit(log=group(0).log, sync=True))
        assert store._writer.execute("PRAGMA synchronous").fetchone() == (1,)


# ---- files that cannot be used -----------------------------------------------------------------------------


def refusal(path: Path) -> StoreError:
    before = threading.active_count()
    with pytest.raises(StoreError) as caught:
        SqliteStore(path)
    assert str(path) in str(caught.value)
    assert caught.value.hint
    assert threading.active_count() == before, "a store that does not open leaves no thread"
    return caught.value


def made(path: Path, groups: int = 40) -> None:
    with closing(SqliteStore(path)) as store:
        for number in range(groups):
            store.commit(group(number))


def test_garbage_is_no_store(path: Path) -> None:
    path.write_bytes(b"these are not the bytes you are looking for" * 100)
    assert "recover" in str(refusal(path).hint)


def test_a_truncated_file_is_refused(path: Path) -> None:
    made(path)
    os.truncate(path, 4_096)
    assert "recover" in str(refusal(path).hint)


def test_a_file_damaged_inside_is_told_when_it_is_read(path: Path) -> None:
    made(path)
    size = path.stat().st_size
    with path.open("r+b") as file:
        for start in range(8 * 4_096, size, 4_096):
            file.seek(start)
            file.write(b"\xff" * 64)
    with closing(SqliteStore(path)) as store:
        for read in (lambda: store.query(TABLE, b"", None, 10_000), lambda: store.read_log(1, 0, 10_000)):
            with pytest.raises(StoreError, match="malformed") as caught:
                read()
            assert "recover" in str(caught.value.hint)


def test_another_format_is_refused_and_not_touched(path: Path) -> None:
    made(path, 1)
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("UPDATE meta SET value=99 WHERE name='format'")
        file.execute("DROP TABLE log")
    error = refusal(path)
    assert "has format 99" in str(error)
    assert "version that wrote it" in str(error.hint)
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT count(*) FROM sqlite_master WHERE name='log'").fetchone() == (0,)


def test_a_database_of_somebody_else_is_refused_and_not_touched(path: Path) -> None:
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("CREATE TABLE theirs(x)")
    assert "is no store of tailrace" in str(refusal(path))
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT name FROM sqlite_master WHERE type='table'").fetchall() == [("theirs",)]


def test_a_place_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    assert "--data" in str(refusal(tmp_path / "nowhere" / "x.db").hint)


def test_a_file_that_was_made_but_never_filled_is_a_new_store(path: Path) -> None:
    path.touch()
    made(path, 1)


READ_ONLY = """
import os, sys
from pathlib import Path
from tailrace.errors import StoreError
from tailrace.stores.sqlite import SqliteStore
if os.geteuid() == 0:
    os.setresuid(65534, 65534, 65534)
try:
    SqliteStore(Path(sys.argv[1]))
except StoreError as error:
    sys.stdout.write(str(error))
"""


def test_a_user_without_rights_is_told_so() -> None:
    # A path that every user may reach and only root may write to.
    root = Path(__file__).parents[3]
    told = subprocess.run(
        [sys.executable, "-c", READ_ONLY, "/usr/tailrace.db"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "/usr/tailrace.db: unable to open database file" in told.stdout, told.stderr
    assert "may write to it" in told.stdout


# ---- full disks --------------------------------------------------------------------------------------------


@contextmanager
def files_no_longer_than(size: int) -> Iterator[None]:
    """The kernel refuses to let any file of this process grow beyond this size."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_commit_that_finds_no_room_leaves_nothing_and_the_next_may_succeed(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        store.commit(group(0))
        wal = path.with_name("tailrace.db-wal")
        with files_no_longer_than(wal.stat().st_size + 10_000), pytest.raises(StoreError) as caught:
            store.commit(group(1, size=5_000))
        assert "free" in str(caught.value.hint)
        assert count(store) == (16, 16)
        store.commit(group(1, size=5_000))
        assert count(store) == (32, 32)
    with closing(SqliteStore(path)) as store:
        assert count(store) == (32, 32)


def test_a_database_at_its_largest_size_says_that_the_disk_is_full(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        pages = store._writer.execute("PRAGMA page_count").fetchone()[0]
        store._writer.execute(f"PRAGMA max_page_count={pages + 2}")
        with pytest.raises(StoreError, match="full") as caught:
            store.commit(group(0, size=5_000))
        assert "free some disk space" in str(caught.value.hint)
        assert count(store) == (0, 0)


# ---- what lasts and what does not --------------------------------------------------------------------------


@pytest.mark.parametrize("sync", ["normal", "full"])
def test_the_log_stays_bounded_under_a_fast_writer(path: Path, sync: str) -> None:
    wal, largest = path.with_name("tailrace.db-wal"), 0
    with closing(SqliteStore(path, sync="full" if sync == "full" else "normal")) as store:
        for number in range(40):
            while store.pressure_s():
                time.sleep(0.001)
            store.commit(group(number, size=60_000))
            largest = max(largest, wal.stat().st_size)
        assert count(store) == (640, 640)
    assert MOST_BYTES // 2 < largest < MOST_BYTES + 8 * (1 << 20), f"{largest >> 20} MiB"


def test_the_log_is_looked_at_when_it_may_have_grown_and_at_every_commit_beyond_its_bound(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    with closing(SqliteStore(path)) as store:
        mover = store._mover
        assert mover is not None
        monkeypatch.setattr(
            mover, "committed", lambda: looks.append(path.with_name("tailrace.db-wal").stat().st_size)
        )
        for number in range(200):
            store.commit(Commit([Row(TABLE, b"%06d" % number, b"x" * 300)]))
        sizes = [0, *looks]
        assert 1 <= len(looks) <= 4
        assert all(after - before <= LOOK_BYTES for before, after in pairwise(sizes))
        for large in (Commit([Row(TABLE, b"large", b"x" * LOOK_BYTES)]), Commit(trims=[Trim(1, 1)])):
            looks.clear()
            store.commit(large)
            assert len(looks) == 1, large
        mover.is_crowded = True
        store.commit(Commit([Row(TABLE, b"small", b"x")]))
        assert len(looks) == 2


@pytest.mark.parametrize("sync", ["normal", "full"])
def test_a_directory_that_is_taken_away_fails_no_commit_that_was_made(
    path: Path, sync: Literal["normal", "full"], monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(SqliteStore(path, sync=sync)) as store:
        store.commit(group(0))
        looked: list[str] = []

        def refused(name: str) -> None:
            looked.append(name)
            raise PermissionError(13, "Permission denied", name)

        monkeypatch.setattr(os, "stat", refused)
        store.commit(group(1, size=200_000))
        monkeypatch.undo()
        assert looked, "so large a commit is looked at"
        assert count(store) == (32, 32)


def test_the_files_are_their_owners_alone_whatever_the_umask_and_whoever_made_them(path: Path) -> None:
    path.touch(0o644)
    path.chmod(0o644)
    masked = os.umask(0)
    try:
        with closing(SqliteStore(path)) as store:
            store.commit(group(0))
            modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    finally:
        os.umask(masked)
    assert modes == dict.fromkeys(("tailrace.db", "tailrace.db-wal", "tailrace.db-shm"), 0o600)


def test_making_a_second_store_private_leaves_the_locks_of_the_first(path: Path) -> None:
    with closing(SqliteStore(path)) as first:
        first._writer.execute("BEGIN IMMEDIATE")
        keep_private(path, make=True)
        script = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
        other = subprocess.run(
            [sys.executable, "-c", script, str(path)],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        first._writer.execute("ROLLBACK")
    assert "database is locked" in other.stderr


def test_using_a_closed_store_is_an_error_not_a_crash(path: Path) -> None:
    store = SqliteStore(path)
    store.close()
    calls: list[Callable[[], object]] = [
        lambda: store.get(TABLE, b"a"), lambda: store.query(TABLE, b"", None, 1),
        lambda: store.read_log(1, 0, 1),
        lambda: store.commit(group(0)),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(StoreError, match="closed"):
            call()


@pytest.mark.parametrize("is_in_memory", [False, True])
def test_closing_waits_for_a_commit_in_another_thread(path: Path, is_in_memory: bool) -> None:
    begun, may_go_on = threading.Event(), threading.Event()

    def reached(point: str) -> None:
        if point == "commit.written":
            begun.set()
            assert may_go_on.wait(PATIENCE_S)

    store = SqliteStore(None if is_in_memory else path, sync="full", reached=reached)
    writer = threading.Thread(target=store.commit, args=(group(0),))
    writer.start()
    assert begun.wait(PATIENCE_S)
    if not is_in_memory:
        assert store.query(TABLE, b"", None, 1) == []  # reads go on meanwhile, and see nothing of it
    closer = threading.Thread(target=store.close)
    closer.start()
    time.sleep(0.05)
    assert closer.is_alive()
    may_go_on.set()
    writer.join()
    closer.join()
    if not is_in_memory:
        with closing(SqliteStore(path)) as again:
            assert count(again) == (16, 16)


def test_a_trim_of_much_is_one_statement(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        for number in range(20):
            store.commit(group(number))
        store.commit(Commit(trims=[Trim(1, 300)]))
        assert [row.sequence for row in store.read_log(1, 0, 2)] == [301, 302]
