"""Mirrors in SQL show every item as it is, whatever its columns have seen before: random histories in which
attributes come, widen and conflict.

Rules of this file: what is read back is compared as `columns/reading.py` says that rows show items.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from tailrace.clocks.manual import ManualClock
from tailrace.columns.reading import digest_of, shown
from tailrace.ports import RecordBatch, StreamRef, Written
from tailrace.sinks.sql import comparing
from tailrace.streams.record import ChangeRecord, change_record
from tailrace.values.types import Item
from tests.postgres import PostgresServer, postgres
from tests.sql_targets import Target, in_files, on_server

STREAM = StreamRef("arn", "orders", "label", "NEW_AND_OLD_IMAGES")
KEYS = "abcd"
NUMBERS = st.sampled_from(
    ["0", "7", "-1", str(2**63 - 1), str(2**63), str(-(2**63)), "0.5", "-2.25", "9" * 38, "1" + "0" * 125,
     "0." + "0" * 129 + "1", "1234567890123456789012345678.1234567891"]
)  # fmt: skip
TEXTS = st.one_of(
    st.sampled_from(["", "a\0b", "\u2400", "\u24000", "\\N", "tab\t\n\r", "2026-01-01", "true", '"']),
    st.text(max_size=4).filter(lambda text: not any("\ud800" <= letter <= "\udfff" for letter in text)),
)
SCALARS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.builds(lambda n: {"N": n}, NUMBERS),
    st.builds(lambda s: {"S": s}, TEXTS),
    st.sampled_from([{"B": "AGE="}, {"BOOL": True}, {"BOOL": False}, {"NULL": True}]),
)
VALUES = st.one_of(
    SCALARS,
    st.builds(lambda inside: {"L": inside}, st.lists(SCALARS, max_size=2)),
    st.builds(lambda inside: {"M": inside}, st.dictionaries(TEXTS, SCALARS, max_size=2)),
    st.sampled_from([{"SS": ["a", "b"]}, {"NS": ["1", "9" * 38]}, {"BS": ["AGE="]}]),
)
ATTRIBUTES = st.sampled_from(["n", "Id", "id", "ID", "tailrace_key", "_extra", "a b", "a.b", "x\0", "ä"])
IMAGES = st.dictionaries(ATTRIBUTES, VALUES, max_size=5)
CHANGES = st.lists(st.tuples(st.sampled_from(KEYS), st.none() | IMAGES), min_size=1, max_size=12)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres() as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
def on_postgresql(server: PostgresServer) -> Target:
    return on_server(server, "orders")


def record(number: int, key: str, image: Item | None, *, is_there: bool) -> ChangeRecord:
    """A change that leaves this image."""
    new = None if image is None else orjson.dumps({"pk": {"S": key}, **image})
    made = change_record(
        sequence=number,
        shard=1,
        created_ms=number,
        partition=1,
        key=key.encode(),
        keys={"pk": {"S": key}},
        old=b"{}",
        new=new,
        size_bytes=1,
    )
    return structs.replace(made, event_name="REMOVE" if new is None else "MODIFY" if is_there else "INSERT")


async def shows_every_item(target: Target, changes: list[tuple[str, Item | None]], size: int) -> None:
    there: dict[str, Item | None] = {}
    records = []
    for number, (key, image) in enumerate(changes, 1):
        records.append(record(number, key, image, is_there=there.get(key) is not None))
        there[key] = image
    items = {one.key: None if one.new is None else orjson.loads(one.new) for one in records}
    sink = target.make()
    await sink.open(ManualClock())
    try:
        for begin in range(0, len(records), size):
            batch = RecordBatch(records[begin : begin + size], "m", STREAM, "s")
            assert await sink.write(batch) == Written()
        rows = await sink._carry_out(lambda _: comparing.shown_after(sink.catalog, b"", 99))
        assert {row.key for row in rows} == items.keys()
        for row in rows:
            assert (row.item is None) == (items[row.key] is None)
            if row.item is not None:
                assert shown(row.item) == shown(items[row.key])
                for name, value in row.item.items():
                    assert not value.keys() & {"N", "BOOL", "B"} or value == items[row.key][name]
        for row in await sink.rows(b"", 99):
            item = items[row.key]
            assert row.digest == (b"" if item is None else digest_of(item))
        newest = [records[max(n for n, one in enumerate(records) if one.key == row.key)] for row in rows]
        digests = await sink.digests(RecordBatch(newest, "m", STREAM, "s"))
        assert digests == [row.digest for row in await sink.rows(b"", 99)]
    finally:
        await sink.close()


@settings(max_examples=10)
@given(changes=CHANGES, size=st.integers(1, 6))
def test_a_file_shows_every_item(folder: Path, changes: list[tuple[str, Item | None]], size: int) -> None:
    asyncio.run(shows_every_item(in_files(folder, "orders"), changes, size))


@settings(max_examples=10)
@given(changes=CHANGES, size=st.integers(1, 6))
def test_a_database_shows_every_item(
    on_postgresql: Target, changes: list[tuple[str, Item | None]], size: int
) -> None:
    asyncio.run(shows_every_item(on_postgresql, changes, size))
