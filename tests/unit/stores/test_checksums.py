"""Checksums of rows and records: what is damaged is refused by name, what has vanished is found, and the sums
are right after any commit.

Rules of this file: damage is done by another hand, with SQLite alone, to files that were closed.
"""

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tailrace.errors import DamagedData
from tailrace.ports import Commit, LogRow, Row, Trim
from tailrace.stores.checking import Damage, Report, check_file, lost_commits
from tailrace.stores.checksums import RECORDS, ROWS, record_sum, row_sum
from tailrace.stores.layout import UPGRADE_2
from tailrace.stores.sqlite import SqliteStore

TABLE = 16
OTHER = 17
SHARD = 3


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with two tables of three rows and a shard with three records."""
    path = tmp_path / "tailrace.db"
    with closing(SqliteStore(path)) as store:
        rows = [
            Row(table, key, b"%d of " % table + key) for table in (TABLE, OTHER) for key in (b"a", b"b", b"c")
        ]
        store.commit(
            Commit(rows, [LogRow(SHARD, number, b"head", None, b"new%d" % number) for number in (1, 2, 3)])
        )
    return path


def by_hand(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as file, file:
        for statement in statements:
            assert file.execute(statement).rowcount != 0, statement


def checked(path: Path) -> Report:
    return check_file(path, lambda done, total: None)


def damages(path: Path) -> list[Damage]:
    return checked(path).damages


def refused(read: Callable[[], object]) -> DamagedData:
    with pytest.raises(DamagedData) as caught:
        read()
    assert "tailrace check --data" in str(caught.value.hint)
    return caught.value


def test_a_damaged_row_is_refused_by_table_and_key_and_its_neighbours_are_read(path: Path) -> None:
    by_hand(path, "UPDATE items SET value=x'78' WHERE key=x'0000001062'")
    with closing(SqliteStore(path)) as store:
        for read in (lambda: store.get(TABLE, b"b"), lambda: store.query(TABLE, b"", None, 10)):
            error = refused(read)
            assert (error.table, error.key) == (TABLE, b"b")
        assert store.get(TABLE, b"a") == b"16 of a"
        assert store.query(TABLE, b"c", None, 10) == [(b"c", b"16 of c")]
        assert len(store.query(OTHER, b"", None, 10)) == 3
    assert [(damage.kind, damage.number, damage.key) for damage in damages(path)] == [("row", TABLE, b"b")]


@pytest.mark.parametrize("value", ["'16 of b'", "7", "x''"])
def test_a_value_of_another_kind_is_damage(path: Path, value: str) -> None:
    by_hand(path, f"UPDATE items SET value={value} WHERE key=x'0000001062'")
    with closing(SqliteStore(path)) as store:
        if value == "'16 of b'":  # the bytes are still those that were written
            assert store.get(TABLE, b"b") == b"16 of b"
        else:
            refused(lambda: store.get(TABLE, b"b"))
            refused(lambda: store.query(TABLE, b"", None, 10))
    assert ("row", TABLE, b"b") in [(damage.kind, damage.number, damage.key) for damage in damages(path)]


@pytest.mark.parametrize(
    "change",
    [
        "header=x'00'",
        "new=x'00'",
        "new=NULL",
        "old=x''",
        "old=new, new=old",
        "key=x'00000000000000030000000000000009'",
    ],
)
def test_a_damaged_record_is_refused_and_those_before_it_are_told(path: Path, change: str) -> None:
    by_hand(path, f"UPDATE log SET {change} WHERE key=x'00000000000000030000000000000002'")
    with closing(SqliteStore(path)) as store:
        error = refused(lambda: store.read_log(SHARD, 0, 10))
        assert error.shard == SHARD
        assert [row.sequence for row in error.readable] == ([1, 3] if change.startswith("key") else [1])
        assert error.sequence == (9 if change.startswith("key") else 2)
        assert len(store.read_log(SHARD, 0, 1)) == 1
    (damage,) = damages(path)
    assert (damage.kind, damage.number, damage.sequence) == ("record", SHARD, error.sequence)


SWAP = (
    "UPDATE items SET value=(SELECT value FROM items WHERE key=x'0000001061') WHERE key=x'0000001063'",
    "UPDATE items SET sum=(SELECT sum FROM items WHERE key=x'0000001061') WHERE key=x'0000001063'",
)


def test_a_value_in_the_place_of_another_is_damage_with_its_checksum_beside_it(path: Path) -> None:
    by_hand(path, *SWAP)
    with closing(SqliteStore(path)) as store:
        refused(lambda: store.get(TABLE, b"c"))


def test_a_row_in_the_place_of_another_tables_is_damage(path: Path) -> None:
    by_hand(
        path,
        "DELETE FROM items WHERE key=x'0000001161'",
        "UPDATE items SET key=x'0000001161' WHERE key=x'0000001061'",
    )
    with closing(SqliteStore(path)) as store:
        refused(lambda: store.get(OTHER, b"a"))
    assert {(damage.kind, damage.number, damage.missing) for damage in damages(path)} == {
        ("row", OTHER, 0),
        ("rows", OTHER, 0),
        ("rows", TABLE, 1),
    }


def test_a_row_or_a_record_that_has_vanished_is_missed(path: Path) -> None:
    by_hand(
        path,
        "DELETE FROM items WHERE key=x'0000001062'",
        "DELETE FROM log WHERE key=x'00000000000000030000000000000002'",
    )
    assert [(damage.kind, damage.number, damage.missing) for damage in damages(path)] == [
        ("rows", TABLE, 1),
        ("records", SHARD, 1),
    ]


def test_a_whole_table_that_has_vanished_is_missed(path: Path) -> None:
    by_hand(path, "DELETE FROM items WHERE key>=x'00000010' AND key<x'00000011'")
    assert [(damage.number, damage.missing) for damage in damages(path)] == [(TABLE, 3)]


def test_a_row_of_an_earlier_commit_is_noticed_although_it_is_whole(path: Path) -> None:
    with closing(sqlite3.connect(path)) as file:
        earlier = file.execute("SELECT value, sum FROM items WHERE key=x'0000001062'").fetchone()
    with closing(SqliteStore(path)) as store:
        store.commit(Commit([Row(TABLE, b"b", b"later")]))
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("UPDATE items SET value=?, sum=? WHERE key=x'0000001062'", earlier)
    (damage,) = damages(path)
    assert (damage.kind, damage.number, damage.missing) == ("rows", TABLE, 0)
    assert "add up" in damage.problem


def test_a_row_that_nobody_wrote_is_one_too_many(path: Path) -> None:
    checksum = row_sum(TABLE, b"d", b"x")
    by_hand(path, f"INSERT INTO items VALUES(x'0000001064', x'78', {checksum})")
    assert [(damage.number, damage.missing) for damage in damages(path)] == [(TABLE, -1)]


def test_an_index_that_lost_an_entry_is_found(path: Path) -> None:
    with closing(sqlite3.connect(path)) as file:
        (page,) = file.execute(
            "SELECT rootpage FROM sqlite_master WHERE name='sqlite_autoindex_items_1'"
        ).fetchone()
    data = bytearray(path.read_bytes())
    start = (page - 1) * 4_096
    place = data.index(b"\0\0\0\x10b", start)
    data[place + 4] ^= 0x40
    path.write_bytes(data)
    assert any("index" in damage.problem for damage in damages(path) if damage.kind == "file")


def test_tables_that_are_declared_otherwise_are_damage(path: Path) -> None:
    by_hand(path, "ALTER TABLE log RENAME COLUMN new TO nev")
    assert any("declared" in damage.problem for damage in damages(path))


def test_the_sums_are_those_of_the_rows_after_any_commits(path: Path) -> None:
    chosen = random.Random(5)
    last = 3
    with closing(SqliteStore(path)) as store:
        for _ in range(200):
            rows = [
                Row(
                    chosen.choice((0, 1, TABLE, OTHER)),
                    b"%d" % chosen.randrange(30),
                    chosen.choice((None, b"x", b"y" * 9_000)),
                )
                for _ in range(chosen.randrange(6))
            ]
            log = [
                LogRow(chosen.choice((SHARD, 4)), last + number, b"h", None, b"n")
                for number in range(1, chosen.randrange(1, 5))
            ]
            last += len(log)
            trims = [Trim(SHARD, max(0, last - chosen.randrange(40)))] if chosen.random() < 0.2 else []
            store.commit(Commit(rows, log, trims))
    assert damages(path) == []
    with closing(SqliteStore(path)) as store:
        store.commit(Commit([], [], [Trim(SHARD, last), Trim(4, last)]))
        for table in (0, 1, TABLE, OTHER):
            store.commit(Commit([Row(table, key, None) for key, _ in store.query(table, b"", None, 100)]))
    assert damages(path) == []
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT * FROM sums").fetchall() == []


def test_a_commit_that_fails_leaves_the_sums_as_they_were(path: Path) -> None:
    with closing(SqliteStore(path)) as store:
        with pytest.raises(Exception, match="UNIQUE"):
            store.commit(Commit([Row(TABLE, b"z", b"1")], [LogRow(SHARD, 1, b"", None, None)]))
        store.commit(Commit([Row(TABLE, b"y", b"1")]))
    assert damages(path) == []


def test_with_full_the_sums_are_right_too(path: Path) -> None:
    with closing(SqliteStore(path, sync="full")) as store:
        for number in range(20):
            store.commit(Commit([Row(TABLE, b"%d" % (number % 7), b"%d" % number)]))
            assert store.get(TABLE, b"%d" % (number % 7)) == b"%d" % number
    assert damages(path) == []


# ---- older formats, and without ----------------------------------------------------------------------------


FORMAT_2 = """
CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE items(key BLOB PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE log(key BLOB PRIMARY KEY, header BLOB NOT NULL, old BLOB, new BLOB);
INSERT INTO meta VALUES('format', 2);
INSERT INTO items VALUES(x'0000001061', x'31'), (x'0000001062', x'32'), (x'0000001063', x'33');
INSERT INTO log VALUES(x'00000000000000070000010000000000', x'68', NULL, x'31');
"""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A file of format 2."""
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as file:
        file.executescript(FORMAT_2)
    return path


def test_a_file_of_format_2_is_checked_as_it_is_and_not_touched(old: Path) -> None:
    before = old.read_bytes()
    report = checked(old)
    assert (report.format, report.rows, report.records, report.unchecked) == (2, 3, 1, 4)
    assert report.damages == []
    assert old.read_bytes() == before


def test_a_file_of_format_2_goes_on_and_its_rows_get_checksums_when_they_are_written(old: Path) -> None:
    assert "SELECT" not in UPGRADE_2, "an upgrade reads no row, however many there are"
    with closing(SqliteStore(old)) as store:
        assert store.query(TABLE, b"", None, 10) == [(b"a", b"1"), (b"b", b"2"), (b"c", b"3")]
        assert len(store.read_log(7, 0, 10)) == 1
        store.commit(Commit([Row(TABLE, b"a", b"new"), Row(TABLE, b"b", None)], [], [Trim(7, 1 << 41)]))
    report = checked(old)
    assert (report.damages, report.rows, report.unchecked) == ([], 2, 1)
    by_hand(old, "UPDATE items SET value=x'00' WHERE key=x'0000001061'")
    with closing(SqliteStore(old)) as store:
        refused(lambda: store.get(TABLE, b"a"))


def test_without_checksums_nothing_is_refused_and_with_them_again_all_is_counted_anew(path: Path) -> None:
    with closing(SqliteStore(path, checksums=False)) as store:
        store.commit(
            Commit(
                [Row(TABLE, b"b", b"unchecked"), Row(TABLE, b"c", None)], [LogRow(SHARD, 4, b"", None, None)]
            )
        )
        store.commit(Commit([], [], [Trim(SHARD, 1)]))
    by_hand(path, "UPDATE items SET value=x'78' WHERE key=x'0000001061'")
    for choice in (False, None):
        with closing(SqliteStore(path, checksums=choice)) as store:
            assert store.get(TABLE, b"a") == b"x"
            assert len(store.query(TABLE, b"", None, 10)) == 2
            assert len(store.read_log(SHARD, 0, 10)) == 3
        report = checked(path)
        assert not report.is_counted
        assert report.unchecked == 2
    with closing(SqliteStore(path)) as store:
        refused(lambda: store.get(TABLE, b"a"))
        assert store.get(TABLE, b"b") == b"unchecked"
        store.commit(Commit([Row(TABLE, b"b", b"checked")]))
    report = checked(path)
    assert report.is_counted
    assert [(damage.kind, damage.key) for damage in report.damages] == [("row", b"a")]
    by_hand(path, "DELETE FROM items WHERE key=x'0000001062'")
    assert ("rows", 1) in [(damage.kind, damage.missing) for damage in damages(path)]


# ---- the write-ahead log -----------------------------------------------------------------------------------


def killed(path: Path, target: Path) -> tuple[Path, Path]:
    """What is left of a store whose owner was killed: the database and a log with three commits."""
    with closing(SqliteStore(path)) as store:
        for number in range(3):
            store.commit(Commit([Row(TABLE, b"w%d" % number, b"%d" % number * 50)]))
        log = path.with_name(path.name + "-wal")
        target.write_bytes(path.read_bytes())
        copied = target.with_name(target.name + "-wal")
        copied.write_bytes(log.read_bytes())
    return target, copied


def test_a_log_of_a_killed_owner_is_whole_and_read(path: Path, tmp_path: Path) -> None:
    target, _ = killed(path, tmp_path / "killed.db")
    report = checked(target)
    assert report.damages == []
    assert report.rows == 9


@pytest.mark.parametrize("where", ["first", "last", "head"])
def test_commits_that_stand_behind_a_damaged_place_of_the_log_are_missed(
    path: Path, tmp_path: Path, where: str
) -> None:
    target, log = killed(path, tmp_path / "killed.db")
    data = bytearray(log.read_bytes())
    frame = 24 + 4_096
    data[{"head": 17, "first": 32 + 24 + 100, "last": len(data) - frame + 24 + 100}[where]] ^= 1
    log.write_bytes(data)
    said = [damage.problem for damage in damages(target) if damage.kind == "file"]
    expected = {
        "head": "the head of killed.db-wal is damaged",
        "first": "the last 3 commits",
        "last": "the last 1 commits",
    }[where]
    assert any(expected in sentence for sentence in said), said


def test_frames_of_an_earlier_log_are_none() -> None:
    head = bytes.fromhex("377f0682002de218000010000000000000000001000000020000000000000000")
    assert lost_commits(head, 0) is None, "a head whose checksum is wrong"


# ---- what the checksums are --------------------------------------------------------------------------------


def test_the_checksums_are_as_documented() -> None:
    """docs/formats/store.md: other versions must find the same."""
    assert row_sum(16, b"key", b"value") == 0xBAEE_C2CD
    assert record_sum(bytes(15) + b"\1", b"header", None, b"new") == 0xC35F_EFB2
    assert (ROWS, RECORDS) == (0, 1)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((None, b"x"), (b"x", None)),
        ((None, b""), (b"", None)),
        ((None, None), (b"", b"")),
        ((b"a", b"bc"), (b"ab", b"c")),
    ],
)
def test_images_in_each_others_place_have_other_checksums(one: Any, other: Any) -> None:
    key = bytes(16)
    assert record_sum(key, b"h", *one) != record_sum(key, b"h", *other)
