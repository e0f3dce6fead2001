"""What a process that dies leaves of a DuckDB file, whenever it dies: all that was committed, as it was.

Rules of this file: a death is a copy of the file and its log beside a connection that lives.
"""

import asyncio
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest
from msgspec import structs

from tailrace.clocks.manual import ManualClock
from tailrace.columns.reading import digest_of
from tailrace.ports import RecordBatch, StreamRef, Written
from tailrace.sinks import DuckDB
from tailrace.streams.record import ChangeRecord, change_record
from tailrace.streams.version import Version

STREAM = StreamRef("arn", "items", "label", "NEW_AND_OLD_IMAGES")
ITEMS = 50


def record(number: int, key: str, image: dict[str, Any] | None, *, is_new: bool) -> ChangeRecord:
    new = None if image is None else orjson.dumps({"id": {"S": key}, **image})
    made = change_record(
        sequence=number, shard=1, created_ms=number, partition=1, key=key.encode(),
        keys={"id": {"S": key}}, old=b"{}", new=new, size_bytes=1,
    )  # fmt: skip
    name = "REMOVE" if new is None else "INSERT" if is_new else "MODIFY"
    return structs.replace(made, event_name=name, generation=1)


class History:
    """Changes of some items, and what they come to."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.items: dict[str, dict[str, Any] | None] = {}
        self._number = 0

    def put(self, key: str, image: dict[str, Any] | None) -> ChangeRecord:
        self._number += 1
        is_new = self.items.get(key) is None
        self.items[key] = image
        return record(self._number, key, image, is_new=is_new)

    def some(self, attributes: Sequence[str]) -> list[ChangeRecord]:
        """Changes of a few items: of each attribute a value, or none."""
        keys = [f"i{self.chance.randrange(2 * ITEMS)}" for _ in range(self.chance.randint(1, 3))]
        return [
            self.put(
                key,
                None
                if self.chance.random() < 0.1 and self.items.get(key) is not None
                else {
                    name: {"S": f"{name} {self.chance.random()}"}
                    for name in attributes
                    if self.chance.random() < 0.5
                },
            )
            for key in dict.fromkeys(keys)
        ]

    @property
    def digests(self) -> dict[bytes, bytes]:
        return {
            key.encode(): b"" if image is None else digest_of({"id": {"S": key}, **image})
            for key, image in self.items.items()
        }


async def written(sink: DuckDB, records: Sequence[ChangeRecord]) -> None:
    assert await sink.write(RecordBatch(records, "mirror", STREAM, "shard")) == Written()


async def left(path: Path, seed: int) -> dict[bytes, bytes]:
    """The digests of what another process finds when this one has died now."""
    copy = path.with_name(f"left-{seed}.duckdb")
    log = path.with_name(f"{path.name}.wal")
    shutil.copy(path, copy)
    if log.exists():
        shutil.copy(log, copy.with_name(f"{copy.name}.wal"))
    sink = DuckDB(copy, "items")
    await sink.open(ManualClock())
    rows = await sink.rows(b"", 10_000)
    await sink.close()
    copy.unlink()
    return {row.key: row.digest for row in rows}


async def play(path: Path, seed: int) -> None:
    """Columns come with a file, in its log, and values to rows that had none."""
    history = History(seed)
    for attributes in (["a"], ["a", "n"], ["a", "n", "z"]):
        sink = DuckDB(path, "items")
        await sink.open(ManualClock())
        if len(attributes) == 1:
            await written(sink, [history.put(f"i{number}", {}) for number in range(ITEMS)])
        for _ in range(6):
            await written(sink, history.some(attributes))
            assert await left(path, seed) == history.digests, f"seed {seed}"
        await sink.close()


@pytest.mark.parametrize("seed", range(4))
def test_a_file_whose_process_dies_has_every_value_that_was_committed(tmp_path: Path, seed: int) -> None:
    asyncio.run(play(tmp_path / "items.duckdb", seed))


def test_what_is_swept_is_gone_after_a_death_too(tmp_path: Path) -> None:
    async def story() -> None:
        path, history = tmp_path / "items.duckdb", History(1)
        sink = DuckDB(path, "items")
        await sink.open(ManualClock())
        await written(sink, [history.put(f"i{number}", {"a": {"S": "x"}}) for number in range(ITEMS)])
        await sink.close()
        await sink.open(ManualClock())
        await written(sink, [history.put("i7", {"a": {"S": "x"}, "z": {"S": "new"}})])
        assert await sink.sweep(b"", None, Version(1, 20), Version(1, 20), 100) == 18
        for number in range(19):
            history.items[f"i{number}"] = None if number != 7 else history.items["i7"]
        assert await left(path, 1) == history.digests
        await sink.close()

    asyncio.run(story())


def test_duckdb_forgets_values_of_rows_that_were_updated_behind_a_new_column(tmp_path: Path) -> None:
    """Why no row is updated. When a version of DuckDB makes this fail, rows may be updated again."""
    path, copy = str(tmp_path / "a.duckdb"), str(tmp_path / "b.duckdb")
    with duckdb.connect(path) as connection:
        connection.execute("CREATE TABLE t (k INTEGER PRIMARY KEY, n VARCHAR)")
        connection.execute("INSERT INTO t SELECT i, CASE WHEN i IN (7, 40) THEN 'A' END FROM range(50) q(i)")
    with duckdb.connect(path) as connection:
        connection.execute("ALTER TABLE t ADD COLUMN z VARCHAR")
        connection.execute("INSERT INTO t (k, n) VALUES (50, NULL)")
        connection.execute("UPDATE t SET n = 'x' WHERE k = 4")
        shutil.copy(path, copy)
        shutil.copy(f"{path}.wal", f"{copy}.wal")
        there = "SELECT n FROM t WHERE k = 4"
        assert connection.execute(there).fetchall() == [("x",)]
        with duckdb.connect(copy) as replayed:
            assert replayed.execute(there).fetchall() == [(None,)]
