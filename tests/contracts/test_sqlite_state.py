"""State in a SQLite file keeps the contract, also when several processes write to it at once and one of them
is killed.
"""

import asyncio
import itertools
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tailrace.errors import SettingsError, StoreError
from tailrace.rows.writes import Absent, Equals, StateRow, Write
from tailrace.stores import sqlite_state
from tailrace.stores.sqlite_state import SqliteStateStore, create_file, judge_file
from tailrace.testing import check_state_store
from tailrace.testing.contracts.state_writers import is_written
from tests.patience import PATIENCE_S

COUNTING = """
import asyncio, sys
from pathlib import Path
from tailrace.errors import StoreError
from tailrace.rows.writes import Equals, Write
from tailrace.stores.sqlite_state import SqliteStateStore
from tailrace.testing.contracts.state_writers import is_written

async def main(path, name, times):
    store = SqliteStateStore(path)
    print("open", flush=True)
    for number in range(times):
        while True:
            count, mine = await store.get("count"), await store.get(name)
            changes = [
                Write("count", {"n": count.fields["n"] + 1}, Equals("n", count.fields["n"])),
                Write(name, {"n": mine.fields["n"] + 1}),
            ]
            try:
                if await is_written(store, changes):
                    break
            except StoreError as error:  # who is told that others write comes again
                if "locked" not in str(error):
                    raise
        print(number + 1, flush=True)

asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
"""


def made(path: Path) -> SqliteStateStore:
    assert create_file(path).is_ready
    return SqliteStateStore(path)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    create_file(tmp_path / "state.db")
    return tmp_path / "state.db"


def test_it_keeps_the_contract_with_two_connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_state, "BUSY_MS", 20)  # or who writes without a pause leaves others no gap
    numbers: Iterator[int] = itertools.count()
    check_state_store(
        lambda: made(tmp_path / f"{next(numbers)}.db"), again=lambda store: SqliteStateStore(store._path)
    )


def counting(path: Path, name: str, times: int) -> "subprocess.Popen[str]":
    arguments = [sys.executable, "-c", COUNTING, str(path), name, str(times)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)


def test_of_several_processes_that_count_none_loses_a_count_though_one_is_killed(file: Path) -> None:
    async def read(key: str) -> int:
        store = SqliteStateStore(file)
        row = await store.get(key)
        await store.close()
        assert row is not None
        return int(row.fields["n"])

    async def begin() -> None:
        store = SqliteStateStore(file)
        names = ["count", "process/0", "process/1", "process/2"]
        assert await is_written(store, [Write(name, {"n": 0}) for name in names])
        await store.close()

    asyncio.run(begin())
    processes = [counting(file, f"process/{number}", times) for number, times in enumerate((60, 60, 100_000))]
    try:
        *others, killed = processes
        assert killed.stdout is not None
        while killed.stdout.readline().strip() not in ("5", ""):
            pass
        killed.send_signal(signal.SIGKILL)
        killed.wait(PATIENCE_S)
        last = [line for line in killed.stdout.read().split() if line]
        for process in others:
            output, _ = process.communicate(timeout=PATIENCE_S)
            assert output.split()[-1] == "60"
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    counts = [asyncio.run(read(f"process/{number}")) for number in range(3)]
    assert counts[:2] == [60, 60]
    assert counts[2] >= max([5, *map(int, last)]), "an answered write was lost by the kill"
    assert asyncio.run(read("count")) == sum(counts)


def test_whoever_finds_it_being_written_is_told_so_after_a_while_and_may_come_again(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_state, "BUSY_MS", 20)

    async def story() -> None:
        store, other = SqliteStateStore(file), sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked") as told:
            await store.transact([Write("a", {"v": 1})])
        assert "--data" not in str(told.value.hint)
        assert await store.get("a") is None
        other.execute("ROLLBACK")
        other.close()
        await store.transact([Write("a", {"v": 1}, Absent())])
        assert await store.get("a") == StateRow("a", {"v": 1})
        await store.close()

    asyncio.run(story())


def test_a_transaction_of_another_worker_is_waited_for(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers that begin together refused each other, and one of them did not begin."""
    monkeypatch.setattr(sqlite_state, "BUSY_MS", PATIENCE_S * 1_000)

    async def story() -> None:
        store, other = SqliteStateStore(file), sqlite3.connect(file, isolation_level=None)
        await store.get("a")
        other.execute("BEGIN IMMEDIATE")
        writing = asyncio.ensure_future(store.transact([Write("a", {"v": 1})]))
        await asyncio.sleep(0.05)
        assert not writing.done()
        other.execute("COMMIT")
        other.close()
        await writing
        assert await store.get("a") == StateRow("a", {"v": 1})
        await store.close()

    asyncio.run(story())


def test_a_closed_store_may_be_used_again(file: Path) -> None:
    async def story() -> None:
        store = SqliteStateStore(file)
        await store.transact([Write("a", {"v": 1})])
        await store.close()
        await store.close()
        await store.transact([Write("a", {"v": 2}, Equals("v", 1))])
        assert await store.get("a") == StateRow("a", {"v": 2})
        await store.close()

    asyncio.run(story())


def test_only_its_owner_may_read_the_file(file: Path) -> None:
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600


def test_a_store_makes_no_file_and_names_the_command_that_does(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    assert judge_file(path).hint == f"tailrace state create sqlite:{path}"
    with pytest.raises(StoreError):
        asyncio.run(SqliteStateStore(path).get("a"))
    assert not path.exists()
    path.touch()
    with pytest.raises(SettingsError, match="tailrace state create sqlite:"):
        asyncio.run(SqliteStateStore(path).get("a"))


def test_a_file_of_something_else_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE orders (id)")
    other.close()
    before = path.read_bytes()
    assert (create_file(path).finding, judge_file(path).finding) == ("foreign", "foreign")
    assert "orders" in judge_file(path).words
    with pytest.raises(SettingsError, match="orders"):
        asyncio.run(SqliteStateStore(path).get("a"))
    assert path.read_bytes() == before
    path.write_text("no database, but text enough that SQLite sees it" * 20)
    assert judge_file(path).finding == "foreign"


def test_a_file_of_a_later_format_is_refused_by_its_number(file: Path) -> None:
    other = sqlite3.connect(file)
    other.execute("PRAGMA user_version=2")
    other.close()
    assert (judge_file(file).finding, judge_file(file).words) == (
        "newer",
        "it has format 2; this version reads 1",
    )
    with pytest.raises(SettingsError, match="format 2"):
        asyncio.run(SqliteStateStore(file).get("a"))


def test_creating_it_again_keeps_what_is_there(file: Path) -> None:
    async def story() -> None:
        store = SqliteStateStore(file)
        await store.transact([Write("a", {"v": 1})])
        verdict = create_file(file)
        assert (verdict.finding, verdict.figures) == ("ready", {"format": 1, "rows": 1})
        assert await store.count("a") == 1
        await store.close()

    asyncio.run(story())
