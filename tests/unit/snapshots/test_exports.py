"""A snapshot out of exports, in a world: the mirror equals the table, or it is said in words why not."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from msgspec.structs import replace

from tailrace import App, Item, new
from tailrace.errors import Refused
from tailrace.exports.core.exported import ExportedItem
from tailrace.rows.writes import StateRow, Write
from tailrace.sinks import DuckDB
from tailrace.snapshots.core.forgetting import forget_before
from tailrace.snapshots.core.horizon import MARGIN_MS, horizon
from tailrace.snapshots.core.pages import ScannedItem, scan_record
from tailrace.snapshots.core.snapshot import (
    ScanProgress,
    Snapshot,
    WantedSnapshot,
    begun,
    read_snapshot,
    read_wanted,
)
from tailrace.snapshots.core.snapshot import (
    saved as saved_row,
)
from tailrace.streams.version import Version
from tailrace.testing import World
from tailrace.testing.exporting import ExportForm, full_export, incremental_export, saved
from tailrace.testing.mirrors import MirrorMemory, SimulatedMirror
from tests.unit.snapshots.test_worlds import delete, items, put, table_of

MINUTE_US = 60_000_000


def shop(target: SimulatedMirror, **settings: Any) -> App:
    """A mirror that reads no table by itself."""
    app = App("shop")
    orders = app.table("orders", pk="id")

    class Order(Item, table=orders):
        id: str
        status: str = "new"
        total: int = 1

    settings = {name: value(Order) if name == "where" else value for name, value in settings.items()}
    app.sink(Order, MirrorMemory(target), id="mirror", **settings)
    return app


def without_sink() -> App:
    app = App("shop")
    app.table("orders", pk="id")
    return app


@pytest.fixture
def target() -> SimulatedMirror:
    return SimulatedMirror()


@pytest.fixture
def world() -> Iterator[World]:
    """A table with three orders, of which the stream knows no more; two hours later one of them is paid."""
    with World(without_sink(), seed=1) as world:
        for name in ("o1", "o2", "o3"):
            put(world, name)
        world.settle()
        world.advance("26h")
        yield world


def now_us(world: World) -> int:
    return world.engine.clock.now().wall_ms * 1_000


def form_of(world: World, **settings: Any) -> ExportForm:
    return ExportForm(table_id=world.engine.describe_table("orders")["TableId"], **settings)


def all_items(world: World) -> list[Any]:
    return list(world.client("dynamodb").scan(TableName="orders")["Items"])


def export_full(world: World, place: Path, **settings: Any) -> int:
    """Write one down, as of now. Returns: when that is."""
    at_us = now_us(world)
    saved(full_export(all_items(world), at_us, form_of(world, **settings)), place)
    return at_us


def started(world: World, place: Path, **arguments: Any) -> dict[str, Any]:
    world._ask("snapshot.start", {"handler": "mirror", "source": str(place), "yes": True, **arguments})
    world.advance("1m")
    ((value,),) = world._ask("snapshot.status", {})
    return dict(value)


def test_an_empty_mirror_is_filled_while_the_table_changes(
    world: World, target: SimulatedMirror, tmp_path: Path
) -> None:
    export_full(world, tmp_path)
    world.advance("10m")
    put(world, "o1", "paid")
    delete(world, "o2")
    world.use(shop(target))
    world.settle()
    assert len(target.rows) == 2, "live delivery has begun, and does not know of the third"
    world._ask("snapshot.start", {"handler": "mirror", "source": str(tmp_path)})
    put(world, "o9")
    world.advance("1m")
    ((value,),) = world._ask("snapshot.status", {})
    assert (value["state"], value["items"], value["share"]) == ("done", 3, 1.0)
    assert items(target) == table_of(world) == {"o1": "paid", "o3": "new", "o9": "new"}


def test_exports_are_planned_with_their_files_and_refused_before_they_are_wanted(
    world: World, target: SimulatedMirror, tmp_path: Path
) -> None:
    export_full(world, tmp_path)
    world.use(shop(target))
    world.settle()
    asked = {"handler": "mirror", "source": str(tmp_path)}
    (planned,) = world._ask("snapshot.plan", asked)
    size = sum(file.stat().st_size for file in tmp_path.rglob("data/*"))
    assert (planned["files"], planned["items"], planned["bytes"]) == (2, 3, size)
    assert (planned["read_units"], planned["asks"], len(planned["exports"])) == (0, False, 1)
    assert planned["words"].startswith(f"reads 1 export from {tmp_path}: 2 files, 3 items, ")
    for arguments, words in (({"export": "x"}, "export x is not there"), ({"source": "typo"}, "no such")):
        for verb in ("snapshot.plan", "snapshot.start"):
            with pytest.raises(Refused, match=words):
                world._ask(verb, {**asked, **arguments})
    next(iter(tmp_path.rglob("data/*"))).unlink()
    with pytest.raises(Refused, match=r"1 of 2 files of export .* are not there"):
        world._ask("snapshot.start", asked)
    assert world._ask("snapshot.status", {}) == [[]], "nothing is wanted"


def test_a_duckdb_table_is_filled_out_of_exports(tmp_path: Path) -> None:
    with World(without_sink(), seed=4) as world:
        for name in ("o1", "o2", "o3"):
            put(world, name)
        world.advance("26h")
        export_full(world, tmp_path)
        world.advance("10m")
        delete(world, "o2")
        app = App("shop")
        app.sink(app.table("orders", pk="id"), DuckDB(tmp_path / "shop.duckdb", "orders"), id="mirror")
        world.use(app)
        put(world, "o9")
        world.settle()
        assert started(world, tmp_path)["state"] == "done"
        put(world, "o1", "paid")
        world.settle()
        present = table_of(world)
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as database:
        rows = database.execute("select id, status from orders").fetchall()
    assert dict(rows) == present == {"o1": "paid", "o3": "new", "o9": "new"}


def test_incremental_exports_bring_what_the_stream_no_longer_has(
    world: World, target: SimulatedMirror, tmp_path: Path
) -> None:
    at_us = export_full(world, tmp_path)
    at_us -= at_us % 1_000_000
    world.advance("5m")
    written_us = now_us(world)
    put(world, "o1", "paid")
    delete(world, "o2")
    paid = {"id": {"S": "o1"}, "status": {"S": "paid"}, "total": {"N": "1"}}
    changes = [
        ExportedItem({"id": {"S": "o1"}}, paid, None, written_us),
        ExportedItem({"id": {"S": "o2"}}, None, None, written_us),
    ]
    window = (at_us, at_us + 1_440 * MINUTE_US)
    saved(incremental_export(changes, window, form_of(world), number=2), tmp_path)
    world.advance("49h")
    world.use(shop(target))
    refused = started(world, tmp_path)
    assert refused["state"] == "failed"
    assert "the exports end too early: incremental export" in refused["refused"]
    assert "(the stream holds 24 hours)" in refused["refused"]
    assert "--export-type INCREMENTAL_EXPORT" in refused["refused"]
    following = (window[1], window[1] + 1_440 * MINUTE_US)
    saved(incremental_export([], following, form_of(world), number=3), tmp_path)
    told = started(world, tmp_path)
    assert (told["state"], len(told["exports"])) == ("done", 3)
    assert items(target) == table_of(world) == {"o1": "paid", "o3": "new"}


def test_what_leaves_the_filter_within_exports_is_not_shown(
    world: World, target: SimulatedMirror, tmp_path: Path
) -> None:
    at_us = export_full(world, tmp_path)
    at_us -= at_us % 1_000_000
    world.advance("5m")
    put(world, "o1", "sent")
    sent = {"id": {"S": "o1"}, "status": {"S": "sent"}, "total": {"N": "1"}}
    change = ExportedItem({"id": {"S": "o1"}}, sent, None, now_us(world))
    window = (at_us, at_us + 600 * MINUTE_US)
    saved(incremental_export([change], window, form_of(world), number=2), tmp_path)
    world.advance("33h")
    world.use(shop(target, where=lambda order: new(order.status) == "new"))
    assert started(world, tmp_path)["state"] == "done"
    assert items(target) == {"o2": "new", "o3": "new"}


def test_a_mirror_that_had_rows_before_is_refused(
    world: World, target: SimulatedMirror, tmp_path: Path
) -> None:
    export_full(world, tmp_path)
    world.advance("10m")
    world.use(shop(target))
    put(world, "o1", "paid")
    world.settle()
    assert len(target.rows) == 1
    with World(shop(target), seed=2) as other:
        put(other, "o7")
        other.settle()
        at_us = now_us(other)
        saved(full_export([], at_us, form_of(other)), tmp_path / "other")
        other.advance("10m")
        value = started(other, tmp_path / "other")
    assert (value["state"], value["items"]) == ("failed", 0)
    assert "had rows before this mapping's first change" in value["refused"]
    assert "next: tailrace snapshot start mirror" in value["refused"]


REFUSED = [
    (
        "another table",
        {"table_arn": "arn:aws:dynamodb:us-east-1:1:table/users"},
        "has no export of table orders",
    ),
    ("another TableId", {"table_id": "5c7ebcc1-2b6c-4ba3-8c2a-7a1f0f3e9d11"}, "no export of TableId"),
]


@pytest.mark.parametrize(("settings", "words"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_exports_of_something_else_are_refused(
    world: World, target: SimulatedMirror, tmp_path: Path, settings: Any, words: str
) -> None:
    form = ExportForm(**{"table_id": world.engine.describe_table("orders")["TableId"], **settings})
    saved(full_export([], now_us(world), form), tmp_path)
    world.advance("10m")
    world.use(shop(target))
    value = started(world, tmp_path)
    assert value["state"] == "failed"
    assert words in value["refused"]
    assert not target.rows


def test_a_place_that_is_not_there_is_refused(world: World, target: SimulatedMirror, tmp_path: Path) -> None:
    world.use(shop(target))
    assert "there is no such directory" in started(world, tmp_path / "typo")["refused"]


def test_an_incremental_export_is_no_beginning(world: World, target: SimulatedMirror, tmp_path: Path) -> None:
    export_full(world, tmp_path)
    world.advance("10m")
    world.use(shop(target))
    assert "is not there: --export names the full export" in started(world, tmp_path, export="x")["refused"]


def test_deletions_of_after_the_exports_are_known_until_their_rows_are_written() -> None:
    reading = Snapshot("shop", "mirror", 1, begun_ms=900_000_000)
    assert forget_before(1_000_000_000, 0, [], [reading], margin_ms=0) == 900_000_000
    reading = reading.scanning_exports(["a"], 800_000_000_000)
    assert forget_before(1_000_000_000, 0, [], [reading], margin_ms=0) == 800_000_000


LABEL = "2026-01-01T00:00:00.000"
BEGAN_MS = 1_767_225_600_000


@pytest.mark.parametrize(
    ("since_ms", "lost_ms", "at_ms"),
    [
        (None, [], BEGAN_MS),
        (BEGAN_MS - 1, [BEGAN_MS - 1], BEGAN_MS),
        (BEGAN_MS + 1, [], BEGAN_MS + 1),
        (BEGAN_MS + 1, [BEGAN_MS + 2], BEGAN_MS + 2),
        (None, [0], BEGAN_MS + 60_000),
    ],
)
def test_the_latest_of_what_the_stream_lacks_is_the_horizon(
    since_ms: int | None, lost_ms: list[int], at_ms: int
) -> None:
    there = horizon(BEGAN_MS + 60_000, 60_001, LABEL, since_ms, lost_ms)
    assert (there.at_ms, there.needed_us) == (at_ms, (at_ms + MARGIN_MS) * 1_000)
    assert horizon(BEGAN_MS + 60_000, 0, "a label", since_ms, lost_ms).at_ms == BEGAN_MS + 60_000


def test_what_has_begun_is_kept_in_its_row() -> None:
    wanted = WantedSnapshot("shop", "mirror", 2, source="s3://exports", export="a")
    assert read_wanted("shop", "mirror", written(wanted.write())) == replace(wanted, revision=1)
    first = replace(Snapshot("shop", "mirror", 1, source="s3://exports"), progress=ScanProgress(pages=1))
    after = begun(wanted, first, 5, LABEL, [])
    assert (after.exports, after.has_exported) == (("a",), True)
    after, write = saved_row(None, after.scanning_exports(["a", "b"], 7).refusing("no"))
    assert read_snapshot("shop", "mirror", written(write)) == after


def written(write: Write) -> StateRow:
    assert write.fields is not None
    return StateRow(write.key, write.fields)


def test_a_deletion_is_as_old_as_its_arrival() -> None:
    item = ScannedItem(b"o1", 0, {"id": {"S": "o1"}}, None, written_us=5, replaces=True)
    record = scan_record(item, Version(0, 5), 1_000)
    assert (record.event_name, record.created_us, record.version) == ("REMOVE", 1_000, Version(0, 5))
