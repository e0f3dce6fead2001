"""Every store keeps the contract of Store, and the check catches a store that does not.

Rules of this file: one canary a rule.
"""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Literal

import pytest

from tailrace.errors import StoreError
from tailrace.ports import Commit, LogRow, Row, Store
from tailrace.stores.memory import MemoryStore, StandingMemory
from tailrace.stores.sqlite import SqliteStore
from tailrace.testing import ContractBroken, check_store
from tailrace.testing.contracts import store
from tests.contracts.breaking import breaks

Rows = list[tuple[bytes, bytes]]


def test_the_store_in_memory_keeps_the_contract() -> None:
    check_store(MemoryStore)


def test_sqlite_in_memory_keeps_the_contract() -> None:
    check_store(lambda: SqliteStore(None))


class Files:
    """Stores in new files of a directory."""

    def __init__(self, directory: Path, sync: Literal["normal", "full"], *, checksums: bool = True) -> None:
        self._checksums = checksums
        self._directory = directory
        self._sync = sync
        self._names = count()
        self._paths: dict[int, Path] = {}

    def open(self, path: Path | None = None) -> SqliteStore:
        path = path or self._directory / f"{next(self._names)}.db"
        opened = SqliteStore(path, sync=self._sync, checksums=self._checksums)
        self._paths[id(opened)] = path
        return opened

    def damage(self, opened: Store, beginning: bytes) -> SqliteStore:
        opened.close()
        path = self._paths[id(opened)]
        with closing(sqlite3.connect(path)) as file, file:
            for table, column in (("items", "value"), ("log", "old"), ("log", "new")):
                rows = file.execute(f"SELECT rowid, {column} FROM {table}").fetchall()
                for row, value in rows:
                    if value is not None and value.startswith(beginning):
                        changed = value[:-1] + bytes([value[-1] ^ 4])
                        file.execute(f"UPDATE {table} SET {column}=? WHERE rowid=?", (changed, row))
        return self.open(path)

    def reopen(self, opened: Store) -> SqliteStore:
        opened.close()
        return self.open(self._paths[id(opened)])


@pytest.mark.parametrize("sync", ["normal", "full"])
def test_sqlite_in_a_file_keeps_the_contract(tmp_path: Path, sync: Literal["normal", "full"]) -> None:
    files = Files(tmp_path, sync)
    check_store(files.open, reopen=files.reopen, damage=files.damage, commits_in_thread=sync == "full")


def test_a_store_without_checksums_breaks_the_contract_of_those_that_have_them(tmp_path: Path) -> None:
    files = Files(tmp_path, "normal", checksums=False)
    with pytest.raises(ContractBroken, match="DamagedData"):
        check_store(files.open, damage=files.damage)


# ---- canaries ----------------------------------------------------------------------------------------------


class ForgetsEmptyValues(MemoryStore):
    def get(self, table: int, key: bytes) -> bytes | None:
        return super().get(table, key) or None


class MixesTables(MemoryStore):
    def query(
        self, table: int, first: bytes, last: bytes | None, limit: int, *, reverse: bool = False
    ) -> Rows:
        rows = super().query(table, first, last, limit, reverse=reverse)
        return rows + super().query(table + 1, b"", None, limit) if last is None else rows


class DeletesLast(MemoryStore):
    def commit(self, commit: Commit) -> None:
        rows = [row for row in commit.rows if row.value is not None]
        rows += [row for row in commit.rows if row.value is None]
        super().commit(Commit(rows, commit.log, commit.trims))


class IncludesTheEnd(MemoryStore):
    def query(
        self, table: int, first: bytes, last: bytes | None, limit: int, *, reverse: bool = False
    ) -> Rows:
        return super().query(table, first, last and last + b"\0", limit, reverse=reverse)


class CountsLimitBeforeReversing(MemoryStore):
    def query(
        self, table: int, first: bytes, last: bytes | None, limit: int, *, reverse: bool = False
    ) -> Rows:
        rows = super().query(table, first, last, limit)
        return rows[::-1] if reverse else rows


class ReadsAreOld(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[object, Rows] = {}

    def query(
        self, table: int, first: bytes, last: bytes | None, limit: int, *, reverse: bool = False
    ) -> Rows:
        rows = super().query(table, first, last, limit, reverse=reverse)
        return [(key, self._seen.setdefault((table, key), [(key, value)])[0][1]) for key, value in rows]


class OrdersNumbersAsText(MemoryStore):
    def read_log(self, shard: int, after: int, limit: int, *, reverse: bool = False) -> list[LogRow]:
        rows = super().read_log(shard, after, 1_000, reverse=reverse)
        return sorted(rows, key=lambda row: str(row.sequence))[:limit]


class TakesTheEndOfTheLog(MemoryStore):
    def read_log(self, shard: int, after: int, limit: int, *, reverse: bool = False) -> list[LogRow]:
        return super().read_log(shard, (1 << 63) if reverse else after, limit, reverse=reverse)


class ForgetsEmptyImages(MemoryStore):
    def read_log(self, shard: int, after: int, limit: int, *, reverse: bool = False) -> list[LogRow]:
        rows = super().read_log(shard, after, limit, reverse=reverse)
        return [LogRow(row.shard, row.sequence, row.header, row.old or None, row.new or None) for row in rows]


class TrimsOneTooFew(MemoryStore):
    def commit(self, commit: Commit) -> None:
        trims = [type(trim)(trim.shard, trim.through - 1) for trim in commit.trims]
        super().commit(Commit(commit.rows, commit.log, trims))


class WritesHalfOfIt(MemoryStore):
    def commit(self, commit: Commit) -> None:
        super().commit(Commit(commit.rows))
        super().commit(Commit([], commit.log, commit.trims))


class RepeatsRecordsSilently(MemoryStore):
    def commit(self, commit: Commit) -> None:
        try:
            super().commit(commit)
        except StoreError:
            return


class ForgetsTrimsWhenSynced(MemoryStore):
    def commit(self, commit: Commit) -> None:
        super().commit(Commit(commit.rows, commit.log, [] if commit.sync else commit.trims))


class HoldsNothing(MemoryStore):
    def standing(self) -> StandingMemory:
        return StandingMemory(self)


class ClosesOnce(MemoryStore):
    is_closed = False

    def close(self) -> None:
        if self.is_closed:
            raise ValueError("closed already")
        self.is_closed = True


CANARIES: list[tuple[Callable[[], Store], Callable[..., object]]] = [
    (ForgetsEmptyValues, store.rows_are_kept_as_they_are),
    (MixesTables, store.tables_are_apart),
    (DeletesLast, store.later_rows_win),
    (IncludesTheEnd, store.ranges_are_exact),
    (CountsLimitBeforeReversing, store.ranges_are_exact),
    (ReadsAreOld, store.reads_are_never_old),
    (OrdersNumbersAsText, store.records_are_kept_in_order),
    (TakesTheEndOfTheLog, store.records_are_kept_in_order),
    (ForgetsEmptyImages, store.records_are_kept_in_order),
    (TrimsOneTooFew, store.trims_are_exact),
    (WritesHalfOfIt, store.a_failed_commit_leaves_nothing),
    (RepeatsRecordsSilently, store.a_failed_commit_leaves_nothing),
    (ForgetsTrimsWhenSynced, store.rows_records_and_trims_are_one),
    (HoldsNothing, store.standing_rows_stay),
    (ClosesOnce, store.closing_is_repeatable),
]


@pytest.mark.parametrize(("make", "rule"), CANARIES)
def test_a_broken_store_is_caught(make: Callable[[], Store], rule: Callable[..., object]) -> None:
    breaks(rule, lambda: check_store(make))


def test_every_rule_has_a_canary() -> None:
    assert {rule for _, rule in CANARIES} == set(store.RULES)


def test_a_store_that_forgets_is_caught() -> None:
    breaks(store.data_outlives_the_store, lambda: check_store(MemoryStore, reopen=lambda _: MemoryStore()))


class CommitsRowByRow(SqliteStore):
    """Each row of a large commit is a commit of its own, so a reader sees half of it."""

    def commit(self, commit: Commit) -> None:
        if len(commit.rows) != 20:
            super().commit(commit)
            return
        for row in commit.rows:
            super().commit(Commit([Row(row.table, row.key, row.value)]))
        super().commit(Commit([], commit.log, commit.trims, commit.sync))


def test_a_store_whose_reads_see_half_of_a_commit_is_caught(tmp_path: Path) -> None:
    names = count()

    def make() -> Store:
        return CommitsRowByRow(tmp_path / f"{next(names)}.db", sync="full")

    breaks(store.reads_see_whole_commits_of_another_thread, lambda: check_store(make, commits_in_thread=True))
