"""Bases whose rows have no exact versions: of tables whose pages tell no position, and of exports. What they
say is what was; what they cannot say is said.
"""

import asyncio
import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tailrace import App
from tailrace.archives import DirectoryArchive, MemoryArchive
from tailrace.clocks.manual import ManualClock
from tailrace.errors import ArchiveError, NotKnown, Refused, SettingsError, Unavailable
from tailrace.exports.core.exported import ExportedItem
from tailrace.journal.core.places import journaled_table
from tailrace.journal.run import beginning
from tailrace.journal.run.beginning import BasePage, BaseWriter
from tailrace.journal.run.exported_base import exported_base
from tailrace.journal.run.opening import opened_journal
from tailrace.journal.run.reading import JournalReader
from tailrace.snapshots.core.pages import Piece, ScannedPage
from tailrace.sources.embedded_scan import EmbeddedScan
from tailrace.sources.export_files import DirectoryFiles
from tailrace.sources.export_scan import ExportScan
from tailrace.testing import World
from tailrace.testing.exporting import ExportForm, full_export, incremental_export, saved
from tests.command_line import tailrace

MINUTE_US = 60_000_000
APP = """
from tailrace import App

app = App("shop")
orders = app.table("orders", pk="id")
app.archive(orders, {place!r}, base=False)
"""


def now_us(world: World) -> int:
    return world.clock.now().wall_ms * 1_000


def shown(app: App, orders: Any, at_us: int) -> dict[str, int]:
    """The table as of a moment; that items, one by one, say the same is asserted."""
    then = app.as_of(at_us / 1_000_000)
    items = {item["id"]: int(item["n"]) for item in then.scan(orders)}
    for number in range(8):
        one = then.get(orders, {"id": f"o{number}"})
        assert (None if one is None else int(one["n"])) == items.get(f"o{number}")
    return items


# ---- a table whose pages tell no position ------------------------------------------------------------------


@pytest.fixture
def without_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    """As AWS answers."""
    real = EmbeddedScan.page

    async def page(
        self: EmbeddedScan,
        table: str,
        piece: Piece,
        after: Mapping[str, Any] | None,
        limit: int | None = None,
    ) -> ScannedPage:
        return replace(await real(self, table, piece, after, limit), position=None)

    monkeypatch.setattr(EmbeddedScan, "page", page)


def test_a_table_whose_pages_tell_no_position_is_known_from_its_base_on(
    without_positions: None, tmp_path: Path
) -> None:
    earlier, later = App("earlier"), App("shop")
    orders = earlier.table("orders", pk="id")
    its = later.table("orders", pk="id")
    later.archive(its, DirectoryArchive(tmp_path))
    with World(earlier, seed=5) as world:
        for number in range(4):
            world.put(orders, {"id": f"o{number}", "n": Decimal(number)})
        world.advance("30h")  # the stream has forgotten all of it
        world.put(orders, {"id": "o1", "n": Decimal(11)})
        world.delete(orders, {"id": "o2"})
        changed_us = now_us(world)
        world.advance("10s")
        world.use(later)
        world.settle()
        world.advance("1s")
        base_us = now_us(world)
        world.advance("1s")
        world.put(its, {"id": "o0", "n": Decimal(20)})
        world.settle()
        at_once_us = now_us(world)
        world.advance("1h")
        world.put(its, {"id": "o3", "n": Decimal(33)})
        world.put(its, {"id": "o4", "n": Decimal(44)})
        world.settle()
        end_us = now_us(world)
        assert shown(later, its, end_us) == {"o0": 20, "o1": 11, "o3": 33, "o4": 44}
        assert shown(later, its, at_once_us) == {"o0": 20, "o1": 11, "o3": 3}
        assert shown(later, its, base_us) == {"o0": 0, "o1": 11, "o3": 3}
        assert shown(later, its, changed_us) == {"o0": 0, "o1": 11, "o3": 3}
        with pytest.raises(NotKnown, match="not known before"):
            shown(later, its, changed_us - MINUTE_US)
        changes = later.history(its, {"id": "o3"})
        assert [change.happened for change in changes] == ["BASE", "MODIFY"]
        assert [change.happened for change in later.history(its, {"id": "o1"})] == ["MODIFY"]
    told = tailrace("journal", "status", str(tmp_path))
    assert "without exact versions" in told.stdout
    verified = tailrace("journal", "verify", str(tmp_path), "--table", "orders")
    assert (verified.returncode, "as written" in verified.stdout) == (0, True)


def test_a_scan_is_no_faster_than_it_may_be(without_positions: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailrace.sources.embedded_scan.PAGE", 5)
    monkeypatch.setattr(beginning, "ROWS", 5)
    app = App("shop")
    orders = app.table("orders", pk="id")
    app.archive(orders, "history/", base_read_units=1)
    real = EmbeddedScan.page

    async def costly(self: EmbeddedScan, *arguments: Any) -> ScannedPage:
        return replace(await real(self, *arguments), read_units=60.0)

    monkeypatch.setattr(EmbeddedScan, "page", costly)
    with World(app, seed=5) as world:
        for number in range(20):
            world.put(orders, {"id": f"i{number}", "n": Decimal(number)})
        begun_us = now_us(world)
        world.advance("10m")
        base = base_of(world)
    assert (base["rows"], base["is_exact"]) == (20, False)
    assert base["as_of_us"] - begun_us >= 3 * MINUTE_US, "four pages of a minute's units each"


def base_of(world: World) -> Any:
    async def note() -> Any:
        archive = world.archive("history/")
        async with JournalReader(archive, journaled_table("orders", "us-east-1"), world.clock) as reader:
            return json.loads((await reader.view()).manifest.notes["base"])

    return asyncio.run(note())


# ---- exports -----------------------------------------------------------------------------------------------


class Exported:
    """A table that was exported, and archived afterwards without a base."""

    def __init__(self, path: Path) -> None:
        self.place = path / "exports"
        self.history = path / "history"
        file = path / "app.py"
        file.write_text(APP.format(place=str(self.history)))
        self.app = App("shop")
        self.orders = self.app.table("orders", pk="id")
        self.app.archive(self.orders, DirectoryArchive(self.history), base=False)
        self.earlier = App("earlier")
        self.before = self.earlier.table("orders", pk="id")
        self.path = path

    def export(self, world: World, number: int = 1) -> int:
        """A full export, as of now."""
        form = ExportForm(table_id=world.engine.describe_table("orders")["TableId"])
        items = world.client("dynamodb").scan(TableName="orders")["Items"]
        saved(full_export(items, now_us(world), form, number=number), self.place)
        return now_us(world)

    def window(
        self, world: World, since_us: int, until_us: int, changes: list[ExportedItem], number: int
    ) -> None:
        """An incremental one."""
        form = ExportForm(table_id=world.engine.describe_table("orders")["TableId"])
        saved(incremental_export(changes, (since_us, until_us), form, number=number), self.place)

    def based(self, *words: str) -> Any:
        """What the command says."""
        return tailrace("journal", "base", "--app", "app.py", "--from", "exports", *words, cwd=self.path)


def key(name: str) -> Any:
    return {"id": {"S": name}}


def image(name: str, number: int) -> Any:
    return {"id": {"S": name}, "n": {"N": str(number)}}


def test_exports_of_a_table_become_the_base_of_its_journal(tmp_path: Path) -> None:
    made = Exported(tmp_path)
    with World(made.earlier, seed=5, sinks="real") as world:
        for number in range(4):
            world.put(made.before, {"id": f"o{number}", "n": Decimal(number)})
        world.advance("30h")
        full_us = made.export(world)
        world.advance("10m")
        world.put(made.before, {"id": "o0", "n": Decimal(10)})  # told by the incremental export alone
        world.delete(made.before, {"id": "o1"})
        window = [
            ExportedItem(key("o0"), image("o0", 10), image("o0", 0), now_us(world)),
            ExportedItem(key("o1"), None, image("o1", 1), now_us(world)),
        ]
        world.advance("30h")
        world.use(made.app)
        world.put(made.orders, {"id": "o2", "n": Decimal(22)})
        world.settle()
        first_us = now_us(world)
        too_early = made.based()
        assert too_early.returncode == 1
        assert "the exports end too early" in too_early.stderr
        assert "aws dynamodb export-table-to-point-in-time" in too_early.stderr
        world.advance("16m")
        middle_us, end_us = full_us + 24 * 60 * MINUTE_US, now_us(world)
        made.window(world, full_us, middle_us, window, 2)
        rest = [ExportedItem(key("o2"), image("o2", 22), image("o2", 2), first_us)]
        made.window(world, middle_us, end_us, rest, 3)
        planned = made.based("--dry-run", "--json")
        assert (planned.returncode, planned.stderr) == (0, "")
        told = json.loads(planned.stdout)
        assert (len(told["exports"]), told["as_of_us"], told["base"]) == (3, end_us, None)
        with pytest.raises(NotKnown, match="no base yet"):
            shown(made.app, made.orders, now_us(world))
        done = made.based()
        assert (done.returncode, done.stderr) == (0, "")
        world.advance("1m")
        world.put(made.orders, {"id": "o5", "n": Decimal(5)})
        world.settle()
        assert shown(made.app, made.orders, now_us(world)) == {"o0": 10, "o2": 22, "o3": 3, "o5": 5}
        assert shown(made.app, made.orders, end_us) == {"o0": 10, "o2": 22, "o3": 3}
        assert shown(made.app, made.orders, first_us) == {"o0": 10, "o2": 22, "o3": 3}
        with pytest.raises(NotKnown, match="not known before"):
            shown(made.app, made.orders, full_us)
        again = made.based()
        assert (again.returncode, "has a base already" in again.stderr) == (1, True)
    verified = tailrace("journal", "verify", str(made.history), "--table", "orders")
    assert (verified.returncode, "as written" in verified.stdout) == (0, True)


def test_a_base_out_of_exports_goes_on_with_the_same_exports_where_it_was_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beginning, "ROWS", 1)
    made = Exported(tmp_path)
    with World(made.earlier, seed=5, sinks="real") as world:
        for number in range(8):
            world.put(made.before, {"id": f"o{number}", "n": Decimal(number)})
        world.advance("30h")
        world.use(made.app)
        world.put(made.orders, {"id": "o9", "n": Decimal(9)})
        world.settle()
        world.advance("10m")
        first_us = made.export(world)
        archive = Breaking(made.history, left=3)

        def files_at(place: str) -> DirectoryFiles:
            return DirectoryFiles(made.place, place)

        async def write(of: DirectoryArchive) -> Any:
            async with JournalReader(of, journaled_table("orders", "us-east-1"), world.clock) as reader:
                exported = ExportScan(
                    [made.orders], lambda place: DirectoryFiles(made.place, place), page_items=2
                )
                planned = await exported_base(reader, exported, "orders", "exports")
                return await planned.write(of, world.clock)

        with pytest.raises(Unavailable, match="the cable is out"):
            asyncio.run(write(archive))
        world.advance("10m")
        made.export(world, number=2)
        base = asyncio.run(write(DirectoryArchive(made.history)))
        assert (base.rows, base.as_of_us) == (9, first_us)
        assert shown(made.app, made.orders, now_us(world)) == {f"o{n}": n for n in range(8)} | {"o9": 9}


class Breaking(DirectoryArchive):
    """One that ends after so many segments."""

    def __init__(self, place: Path, left: int) -> None:
        super().__init__(place)
        self._left = left

    async def put_if_absent(self, name: str, data: bytes) -> str | None:
        if "/segments/" in name:
            self._left -= 1
            if self._left < 0:
                raise ArchiveError("the cable is out")
        return await super().put_if_absent(name, data)


def test_a_table_that_is_being_read_gets_no_base_out_of_exports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beginning, "ROWS", 0)

    class Pages:
        def __init__(self, source: str) -> None:
            self.source = source

        async def page(self, incarnation: str, after: Any) -> BasePage:
            if after is not None:
                raise Unavailable("it goes on another time")
            return BasePage([], 1, {"id": 1})

    async def run() -> None:
        archive = MemoryArchive()
        journal = opened_journal(archive, "us-east-1/1/id", ManualClock())
        with pytest.raises(Unavailable):
            await BaseWriter(archive, Pages("")).write(journal, "id")
        with pytest.raises(Refused, match="is being read from the table already"):
            await BaseWriter(archive, Pages("exports")).write(journal, "id")

    asyncio.run(run())


@pytest.mark.parametrize(
    ("settings", "words"),
    [({"base": "exports/"}, "base='exports/'"), ({"base_read_units": 0}, "it is at least 1")],
)
def test_a_wrong_setting_of_the_base_is_refused_where_it_is_written(settings: Any, words: str) -> None:
    app = App("shop")
    with pytest.raises(SettingsError, match=words):
        app.archive(app.table("orders", pk="id"), "history/", **settings)
