"""One table for each entity of a single-table design: by its class, its keys, an attribute; and an item that
changes its entity is shown once, whatever comes late.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from msgspec import structs

from tailrace import App, Item
from tailrace.app.plain import to_item
from tailrace.clocks.manual import ManualClock
from tailrace.errors import SettingsError
from tailrace.ports import RecordBatch, StreamRef, Written
from tailrace.sinks.duckdb_table import DuckDB
from tailrace.sinks.sql.changes import key_of
from tailrace.streams.record import ChangeRecord, change_record
from tailrace.streams.version import Version
from tests.postgres import PostgresServer, postgres
from tests.sql_targets import Target, in_files, on_server

STREAM = StreamRef("arn", "shop", "label", "NEW_AND_OLD_IMAGES")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres() as running:
        yield running


@pytest.fixture(params=["duckdb", "postgresql"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Target:
    return (
        in_files(tmp_path, "")
        if request.param == "duckdb"
        else on_server(request.getfixturevalue("server"), "")
    )


def change(sequence: int, pk: str, new: dict[str, Any] | None, generation: int = 1) -> ChangeRecord:
    """A change without an old image, as a row of a scan has none."""
    keys = {"pk": {"S": pk}}
    made = change_record(
        sequence=sequence,
        shard=1,
        created_ms=sequence,
        partition=1,
        key=key_of([keys["pk"]]),
        keys=keys,
        old=None if new is not None else b"{}",
        new=None if new is None else orjson.dumps(to_item({"pk": pk, **new})),
        size_bytes=1,
    )
    return structs.replace(made, generation=generation)


def told(target: Target, story: Any) -> Any:
    async def run() -> Any:
        sink = target.make()
        await sink.open(ManualClock())
        try:
            return await story(sink)
        finally:
            await sink.close()

    return asyncio.run(run())


async def write(sink: Any, *records: ChangeRecord) -> None:
    assert await sink.write(RecordBatch(records, "m", STREAM, "s")) == Written()


def views(target: Target, sink: Any, *names: str) -> dict[str, list[str]]:
    """What each view shows, by the partition key."""
    return {
        name: [pk for (pk,) in target.ask(sink, f'SELECT pk FROM "{name}" ORDER BY pk')] for name in names
    }


def test_entities_are_told_by_their_keys_and_an_unknown_one_is_other(target: Target) -> None:
    async def story(sink: Any) -> None:
        await write(
            sink,
            change(1, "USER#1", {"name": "a"}),
            change(2, "ORDER#1", {"total": 1}),
            change(3, "USER#2", {"name": "b"}),
        )
        await write(sink, change(4, "what else", {"x": 1}), change(5, "ORDER#1", None))
        assert views(target, sink, "user", "order", "_other") == {
            "user": ["USER#1", "USER#2"],
            "order": [],
            "_other": ["what else"],
        }
        rows = await sink.rows(b"", 9)
        assert len(rows) == 4
        assert sorted((row.version.sequence, row.is_deleted) for row in rows) == [
            (1, False), (3, False), (4, False), (5, True),
        ]  # fmt: skip

    told(target, story)


def kind(sequence: int, type_: str | None, generation: int = 1) -> ChangeRecord:
    """A change of one item, which an attribute says is of this entity."""
    new = None if type_ is None else {"__typename": type_, "n": sequence}
    return change(sequence, "a", new, generation)


@pytest.mark.parametrize("order", [(1, 5, 9), (9, 5, 1), (5, 9, 1), (9, 1, 5), (1, 9, 5), (5, 1, 9)])
def test_an_item_that_changes_its_entity_is_shown_once_in_whatever_order_its_changes_come(
    target: Target, order: tuple[int, ...]
) -> None:
    async def story(sink: Any) -> None:
        changes = {1: kind(1, "Draft"), 5: kind(5, "Order"), 9: kind(9, "Invoice")}
        await write(sink, change(1, "b", {"__typename": "Draft"}), change(1, "c", {"__typename": "Order"}))
        for number in order:
            await write(sink, changes[number])
        shown = views(target, sink, "Draft", "Order", "Invoice")
        assert shown == {"Draft": ["b"], "Order": ["c"], "Invoice": ["a"]}
        (row,) = [row for row in await sink.rows(b"", 9) if row.key == changes[1].key]
        assert (row.version, row.is_deleted) == (Version(1, 9), False)
        await write(sink, kind(12, None), kind(11, "Draft"))
        assert views(target, sink, "Draft", "Invoice") == {"Draft": ["b"], "Invoice": []}

    told(target, story)


def test_a_deletion_of_what_was_never_there_is_remembered_whatever_entity_comes_late(
    target: Target,
) -> None:
    async def story(sink: Any) -> None:
        await write(sink, change(1, "b", {"__typename": "Draft"}))
        await write(sink, kind(8, None))
        await write(sink, kind(7, "Draft"))
        assert views(target, sink, "Draft") == {"Draft": ["b"]}
        await sink.forget(9_000, 10)
        assert [row.is_deleted for row in await sink.rows(b"", 9)] == [False]
        await write(sink, kind(7, "Draft"))
        assert views(target, sink, "Draft") == {"Draft": ["a", "b"]}

    told(target, story)


def test_sweeps_and_repairs_keep_one_row_an_item(target: Target) -> None:
    async def story(sink: Any) -> None:
        await write(sink, kind(1, "Draft"), change(2, "b", {"__typename": "Order"}))
        assert await sink.sweep(b"", None, Version(1, 2), Version(1, 3), 9) == 1
        await write(sink, kind(2, "Order"))
        assert views(target, sink, "Draft", "Order") == {"Draft": [], "Order": ["b"]}
        mended = await sink.mend(RecordBatch([kind(2, "Order")], "m", STREAM, "s"), [Version(1, 3)])
        assert list(mended) == [True]
        assert views(target, sink, "Draft", "Order") == {"Draft": [], "Order": ["a", "b"]}

    told(target, story)


def test_declared_classes_have_tables_by_their_names_with_the_columns_of_their_fields(
    tmp_path: Path,
) -> None:
    app = App("shop")
    shop = app.table("shop", pk="pk")

    class Customer(Item, table=shop, pk="CUSTOMER#{id}"):
        id: str
        name: str = ""
        vip: bool | None = None

    sink = DuckDB(tmp_path / "x.duckdb", item=Customer)
    try:
        asyncio.run(
            write(sink, change(1, "CUSTOMER#1", {"id": "1", "name": "a"}), change(2, "TICKET#1", {"n": 1}))
        )
        assert sink.query("SELECT pk, id, name, vip FROM customer")[1] == [("CUSTOMER#1", "1", "a", None)]
        assert len(sink.query("SELECT pk FROM ticket")[1]) == 1
    finally:
        sink.close()
    one = DuckDB(tmp_path / "y.duckdb", "customers", item=Customer)
    asyncio.run(write(one, change(1, "CUSTOMER#1", {"id": "1"})))
    assert one.query("SELECT vip, name FROM customers")[1] == [(None, None)]
    one.close()


def test_another_tables_items_are_refused_where_each_entity_has_a_table(target: Target) -> None:
    async def story(sink: Any) -> None:
        await write(sink, kind(1, "Draft"))
        batch = RecordBatch([kind(2, "Draft")], "m", structs.replace(STREAM, table="other"), "s")
        with pytest.raises(SettingsError, match=r"'shop'.*\n?.*'other'|other"):
            await sink.write(batch)

    told(target, story)
