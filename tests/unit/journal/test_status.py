"""`tailrace journal status`: what the manifests tell, of every table of a place.

Rules of this file: the command runs in this process.
"""

import asyncio
import json
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner

from tailrace import App
from tailrace.archives import DirectoryArchive
from tailrace.cli.failures import CommandFailure
from tailrace.cli.journal import journal
from tailrace.clocks.manual import ManualClock
from tailrace.errors import Unavailable
from tailrace.journal.run.archiver import Archiver
from tailrace.ports import TargetPosition
from tailrace.testing import World
from tests.unit.journal.test_archiver import MAPPING, TABLE, identify


def status(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(journal, ["status", *arguments], catch_exceptions=False)
    return result.exit_code, result.output


def archived(place: Path) -> None:
    app = App("shop")
    tables = [app.table(name, pk="id") for name in ("orders", "users")]
    for table in tables:
        app.archive(table, DirectoryArchive(place))
    with World(app, seed=1) as world:
        for number in range(12):
            world.put(tables[number % 3 == 0], {"id": f"i{number}", "n": Decimal(number)})
        world.settle()


def test_every_table_of_a_place_is_told(tmp_path: Path) -> None:
    archived(tmp_path)
    code, text = status(str(tmp_path), "--json")
    told = {one["table"]: one for one in json.loads(text)}
    assert code == 0
    assert {name: one["changes"] for name, one in told.items()} == {"orders": 8, "users": 4}
    assert all(one["gaps"] == [] and one["size"] > 0 and one["shards"] == 1 for one in told.values())
    code, text = status(str(tmp_path), "--table", "users")
    assert code == 0
    assert "users" in text
    assert "orders" not in text


def test_a_place_without_a_journal_names_the_next_step(tmp_path: Path) -> None:
    assert status(str(tmp_path)) == (
        0,
        f"No journal in {tmp_path}: app.archive(TABLE, PLACE) keeps one.\n  next: tailrace dev app.py\n",
    )


def test_a_place_or_a_table_that_is_not_there_is_an_error_that_says_what_is(tmp_path: Path) -> None:
    with pytest.raises(CommandFailure, match="is no directory") as nowhere:
        status(str(tmp_path / "histroy"))
    assert nowhere.value.hint == "correct it, or begin a journal: tailrace dev app.py"
    archived(tmp_path)
    with pytest.raises(CommandFailure, match=r"'order' has no journal in .*: orders, users\."):
        status(str(tmp_path), "--table", "order")


def test_a_manifest_of_which_a_part_is_lost_is_no_empty_journal(tmp_path: Path) -> None:
    archived(tmp_path)
    deltas = sorted(tmp_path.glob("*/*/*/_manifest/delta/*.json"))
    middle = next(delta for delta in deltas if delta.name.endswith("2.json"))
    middle.unlink()
    with pytest.raises(Unavailable, match=f"{middle.name} is not there, and later ones are"):
        status(str(tmp_path))


def test_a_gap_is_named_and_is_the_exit_code(tmp_path: Path) -> None:
    async def run() -> None:
        target = Archiver(DirectoryArchive(tmp_path), TABLE, identify, ManualClock())
        await target.open(ManualClock())
        position = await target.stamp(MAPPING, "2026-01", "shard-1", 1)
        await target.put_position(MAPPING, TargetPosition("2026-01", "shard-1", 1, 5))
        await target.put_position(MAPPING, TargetPosition("2026-01", "shard-1", position.epoch, 9))

    asyncio.run(run())
    code, text = status(str(tmp_path))
    assert code == 1
    assert "gap: orders: shard-1 from 6 to 9: gone before it could be read" in text
