"""`tailrace sink compact`: what it says, what it does to a lake, and what it refuses."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tailrace.cli.failures import CommandFailure
from tailrace.cli.sink import sink
from tailrace.clocks.manual import ManualClock
from tailrace.ports import RecordBatch
from tailrace.sinks import ParquetLake, ParquetLog
from tailrace.testing.contracts.mirror import put
from tailrace.testing.contracts.sink import STREAM

APP = """
from tailrace import App, sinks

app = App("shop")
orders = app.table("orders", pk="id")
app.sink(orders, sinks.ParquetLake("{path}", "orders"), id="lake")
app.sink(orders, sinks.ParquetLog("{path}", "changes"), id="log")
app.sink(orders, sinks.Function(print), id="seen")
"""
FILES = 3


@pytest.fixture
def app(tmp_path: Path) -> str:
    """The file of an app whose lake and log have a few small files each."""
    file = tmp_path / "app.py"
    file.write_text(APP.format(path=tmp_path))
    for made in (ParquetLake(tmp_path, "orders"), ParquetLog(tmp_path, "changes")):
        asyncio.run(filled(made))
    return str(file)


async def filled(lake: ParquetLake | ParquetLog) -> None:
    await lake.open(ManualClock())
    for number in range(FILES):
        await lake.write(RecordBatch([put("a", number, (1, number))], "m", STREAM, "shard-1"))
    await lake.close()


def compact(*arguments: str) -> Result:
    return CliRunner().invoke(sink, ["compact", *arguments], catch_exceptions=False)


@pytest.mark.parametrize("name", ["lake", "log"])
def test_small_files_become_one(app: str, name: str) -> None:
    planned = compact(name, "--app", app, "--dry-run").output
    assert planned.startswith(f"{name}: {FILES} files, ")
    assert f"; {FILES} of them would be taken, " in planned
    told = json.loads(compact(name, "--app", app, "--json").output)
    assert (told["sink"], told["dry_run"]) == (name, False)
    assert told["before"]["files"] == told["before"]["small"] == FILES
    assert (told["after"]["files"], told["after"]["small"]) == (1, 0)
    assert compact(name, "--app", app).output.count("1 file, ") == 2


def test_a_dry_run_writes_nothing(app: str, tmp_path: Path) -> None:
    def there() -> list[tuple[str, bytes]]:
        return [(str(file), file.read_bytes()) for file in sorted(tmp_path.rglob("*")) if file.is_file()]

    before = there()
    told = json.loads(compact("lake", "--app", app, "--dry-run", "--json").output)
    assert told["before"] == told["after"]
    assert [one for one in there() if "__pycache__" not in one[0]] == before


@pytest.mark.parametrize("name", ["seen", "other"])
def test_what_is_no_lake_of_the_app_is_refused_with_those_there_are(app: str, name: str) -> None:
    with pytest.raises(CommandFailure, match=rf"no lake '{name}'. Lakes: lake, log\.") as refused:
        compact(name, "--app", app)
    assert refused.value.hint == f"tailrace sink compact lake --app {app}"


def test_the_app_must_be_named() -> None:
    assert CliRunner().invoke(sink, ["compact", "lake"]).exit_code == 2
