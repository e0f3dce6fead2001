"""Exports written from a journal: what Analytics' reader makes of them is the table as of their time.

Rules of this file: written by the command, read by the reader of exports that snapshots use.
"""

import asyncio
import json
import random
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from tailrace import App
from tailrace.app.loading import load_app
from tailrace.snapshots.run.exporting import WantedExports
from tailrace.sources.export_files import DirectoryFiles
from tailrace.sources.export_scan import ExportScan
from tailrace.testing import World
from tests.command_line import tailrace

APP: Final = """
from tailrace import App

app = App("shop")
orders = app.table("orders", pk="id")
app.archive(orders, {place!r})
"""
MINUTE_US: Final = 60_000_000


class Shop:
    """A table that changes for an hour, its journal, and what it was every three minutes."""

    def __init__(self, path: Path, seed: int) -> None:
        self.path = path
        (path / "app.py").write_text(APP.format(place=str(path / "history")))
        self.app: App = load_app(str(path / "app.py"))
        self.orders: Any = self.app.tables["orders"]
        self.states: list[tuple[int, dict[str, int]]] = []
        chance, state = random.Random(seed), dict[str, int]()
        with World(self.app, seed=seed, sinks="real") as world:
            for minute in range(20):
                for _ in range(4):
                    key, number = f"o{chance.randrange(9)}", chance.randrange(1, 5)
                    if chance.random() < 0.3:
                        world.delete(self.orders, {"id": key})
                        state.pop(key, None)
                    else:
                        world.put(self.orders, {"id": key, "n": Decimal(number), "minute": Decimal(minute)})
                        state[key] = minute * 10 + number
                world.advance(500)
                self.states.append((world.clock.now().wall_ms * 1_000, dict(state)))
                world.advance("3m")
            world.settle()

    def write(self, *words: str) -> Any:
        """The command, and what it says."""
        return tailrace("export", "write", "--into", "exports", "--journal", "app.py", *words, cwd=self.path)

    def written(self, *words: str) -> dict[str, Any]:
        ended = self.write(*words, "--json")
        assert ended.returncode == 0, ended.stderr
        (row,) = json.loads(ended.stdout)["exports"]
        return dict(row)

    def read(self, needed_us: int) -> tuple[int, dict[str, int]]:
        """The table as snapshots read it out of what was written: until when, and what it is then."""

        async def folded() -> tuple[int, dict[str, int]]:
            scan = ExportScan(
                [self.orders], lambda place: DirectoryFiles(self.path / place, place), page_items=4
            )
            chosen = await scan.choose(WantedExports("exports", "", "orders", "", needed_us))
            newest: dict[bytes, tuple[int, Any]] = {}
            after = None
            while True:
                page = await scan.page("orders", "exports", chosen.exports, after)
                for item in page.items:
                    newest[item.key] = max(
                        newest.get(item.key, (0, None)), (item.written_us, item.image), key=lambda row: row[0]
                    )
                if (after := page.after) is None:
                    break
            images = [image for _, image in newest.values() if image is not None]
            return chosen.told_us, {
                image["id"]["S"]: int(image["minute"]["N"]) * 10 + int(image["n"]["N"]) for image in images
            }

        return asyncio.run(folded())


def seconds(us: int) -> str:
    return str(Decimal(us) / 1_000_000)


@pytest.mark.parametrize(("format", "seed"), [("DYNAMODB_JSON", 1), ("ION", 2)])
def test_an_export_and_the_windows_that_follow_it_are_the_table_as_of_their_end(
    format: str, seed: int, tmp_path: Path
) -> None:
    shop = Shop(tmp_path, seed)
    (full_us, full), (middle_us, middle), (end_us, end) = (shop.states[place] for place in (3, 9, 19))
    row = shop.written("--at", seconds(full_us), "--format", format)
    assert (row["items"], row["to_us"], row["from_us"]) == (len(full), full_us, None)
    assert shop.read(full_us) == (full_us, full)
    shop.written("--since", seconds(full_us), "--until", seconds(middle_us), "--format", format)
    assert shop.read(middle_us) == (middle_us, middle)
    shop.written("--since", seconds(middle_us), "--until", seconds(end_us), "--format", format)
    assert shop.read(end_us) == (end_us, end)


def test_a_moment_has_what_was_written_before_it(tmp_path: Path) -> None:
    shop = Shop(tmp_path, 3)
    asked = load_app(str(tmp_path / "app.py"))
    orders = asked.tables["orders"]
    at_us = round(asked.history(orders, {"id": "o1"})[0].at.timestamp() * 1_000) * 1_000

    def count(us: int) -> int:
        return len(list(asked.as_of((us - 500) / 1_000_000).scan(orders)))

    before, after = (shop.written("--at", seconds(us), "--dry-run")["items"] for us in (at_us, at_us + 1_000))
    assert (before, after) == (count(at_us), count(at_us + 1_000))
    assert before < after
    newest = shop.written("--dry-run")
    assert shop.states[-1][0] - 2 * MINUTE_US < newest["to_us"] <= shop.states[-1][0] + 1_000
    assert newest["items"] == len(shop.states[-1][1])
    assert not (tmp_path / "exports").exists()


def test_an_incremental_export_shows_what_was_before_unless_it_is_not_to(tmp_path: Path) -> None:
    shop = Shop(tmp_path, 4)
    (since_us, _), (until_us, _) = shop.states[3], shop.states[13]
    window = ("--since", seconds(since_us), "--until", seconds(until_us))
    for words, shows_old in (((), True), (("--view", "NEW_IMAGE"), False)):
        row = shop.written(*window, *words)
        shown = tailrace("export", "cat", "exports", "--export", row["export"], cwd=tmp_path).stdout
        lines = [json.loads(line) for line in shown.splitlines()]
        assert lines
        assert any("OldImage" in line for line in lines) is shows_old
        before, after = shop.states[3][1], shop.states[13][1]
        for line in lines:
            key = line["Keys"]["id"]["S"]
            assert ("NewImage" in line) == (key in after)
            if shows_old:
                assert ("OldImage" in line) == (key in before)
            written_us = int(line["Metadata"]["WriteTimestampMicros"]["N"])
            assert since_us <= written_us < until_us


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--at", "1970-01-02T00:00Z"), "not known before"),
        (("--at", "2031-01-01T00:00Z"), "is still to come"),
        (("--since", "1970-01-02T00:00Z"), "--since and --until go together"),
        (("--at", "1", "--since", "1", "--until", "2"), "one of them"),
        (("--since", "1970-01-02T00:00Z", "--until", "1970-01-02T01:00Z"), "not known before"),
        (("--at", "1767225660.0005"), "whole millisecond"),
        (("--table", "others"), "has no journal"),
    ],
)
def test_what_cannot_be_written_is_refused_and_nothing_is_there(
    words: tuple[str, ...], told: str, tmp_path: Path, small: Path
) -> None:
    ended = tailrace(
        "export", "write", "--into", str(tmp_path / "exports"), "--journal", "app.py", *words, cwd=small
    )
    assert ended.returncode != 0
    assert told in ended.stderr
    assert not (tmp_path / "exports").exists()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("small")
    (path / "app.py").write_text(APP.format(place=str(path / "history")))
    app = load_app(str(path / "app.py"))
    with World(app, seed=1, sinks="real") as world:
        world.put(app.tables["orders"], {"id": "o1"})
        world.settle()
    return path


def test_a_window_is_as_long_as_aws_makes_them(tmp_path: Path) -> None:
    shop = Shop(tmp_path, 5)
    (since_us, _), (until_us, _) = shop.states[3], shop.states[7]
    ended = shop.write("--since", seconds(since_us), "--until", seconds(until_us))
    assert (ended.returncode, "a window is 15 minutes to 24 hours long" in ended.stderr) == (1, True)
    assert "a node has only the present" in tailrace("export", "write", "--into", "x", "--at", "1").stderr
