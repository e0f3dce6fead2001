"""`tailrace as-of | history | blame | diff | restore`: what they print, and what they say of wrong input.

Rules of this file: a journal that a world has written into a directory, and the command line over it.
"""

import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tailrace.app.loading import load_app
from tailrace.cli.main import run
from tailrace.journal.run.reading import JournalView
from tailrace.testing import World

APP = """
from tailrace import App, Change

app = App("shop")
orders = app.table("orders", pk="id")
other = app.table("other", pk="id")
copies = app.table("copies", pk="id")
ranged = app.table("ranged", pk="id", sk="at")
app.archive(orders, {place!r}, actor="by")

@app.on(copies)
def copied(change: Change) -> None: ...
"""


class Shop:
    """The app's file, its journal, and times of which it tells."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "app.py"
        self.file.write_text(APP.format(place=str(folder / "history")))
        app = load_app(str(self.file))
        orders = app.tables["orders"]
        with World(app, seed=1, sinks="real") as world:
            world.put(orders, {"id": "a", "status": "new", "by": "ann", "to": {"city": "Delft"}})
            self.first = self._now(world)
            world.advance("1h")
            world.put(orders, {"id": "a", "status": "paid", "by": "bob", "to": {"city": "Delft"}})
            world.put(orders, {"id": "b", "status": "new", "by": "ann\x1b[31m"})
            world.settle()
            self.second = self._now(world)

    @staticmethod
    def _now(world: World) -> str:
        return str(Decimal(world.clock.now().wall_ms) / 1_000)

    def told(self, *words: str) -> int:
        return run([*words, "--app", str(self.file)])


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop(tmp_path_factory.mktemp("shop"))


def test_one_item_is_shown_as_it_was(shop: Shop, capsys: Any) -> None:
    assert shop.told("as-of", shop.first, "--key", "orders/a") == 0
    shown = capsys.readouterr()
    assert '"status": "new"' in shown.out or 'status: "new"' in shown.out
    assert "so since 2026-01-01T00:00" in shown.err
    assert shop.told("as-of", shop.second, "--key", "orders/a", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["known"], told["item"]["status"]) == (True, {"S": "paid"})


def test_a_table_is_shown_as_far_as_it_is_known(
    shop: Shop, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shop.told("as-of", shop.second, "orders", "--json") == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    monkeypatch.setattr(JournalView, "base", None)  # as those of remote tables
    assert shop.told("as-of", shop.second, "orders") == 1
    assert "has no base yet" in capsys.readouterr().err
    assert shop.told("as-of", shop.second, "orders", "--incomplete", "--json") == 0
    shown = capsys.readouterr()
    assert {json.loads(line)["id"]["S"] for line in shown.out.splitlines()} == {"a", "b"}
    assert "has no base yet" in shown.err
    assert shop.told("as-of", shop.second, "--incomplete", "--limit", "1") == 0
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == 1
    assert "\x1b" not in shown.out


def test_what_is_not_known_is_said_with_exit_code_1(shop: Shop, capsys: Any) -> None:
    assert shop.told("as-of", "2020-01-01T00:00Z", "--key", "orders/a") == 1
    assert "not known before 2026-01-01" in capsys.readouterr().err
    assert shop.told("as-of", "2020-01-01T00:00Z", "--key", "orders/a", "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["known"], told["item"]) == (False, None)
    assert "not known before" in told["unknown"]


def test_a_history_has_a_line_a_change(shop: Shop, capsys: Any) -> None:
    assert shop.told("history", "orders/a") == 0
    first, second = capsys.readouterr().out.splitlines()
    assert "INSERT" in first
    assert "by ann" in first
    assert 'by bob  by "ann" → "bob", status "new" → "paid"' in second
    assert shop.told("history", "orders/a", "--json") == 0
    assert [one["who"] for one in json.loads(capsys.readouterr().out)] == ["ann", "bob"]
    assert shop.told("history", "orders/none") == 0
    assert "the journal has no change of it" in capsys.readouterr().out


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("wish", "has_colours"), [("1", False), ("", True)])
def test_a_terminal_has_colours_unless_the_user_wants_none(
    wish: str, has_colours: bool, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, err = Terminal(), Terminal()
    monkeypatch.setenv("NO_COLOR", wish)
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("sys.stderr", err)
    assert shop.told("history", "orders/a") == 0
    assert shop.told("history", "orders") == 1
    assert [("\x1b" in stream.getvalue()) for stream in (out, err)] == [has_colours, has_colours]


def test_blame_has_a_line_an_attribute(shop: Shop, capsys: Any) -> None:
    assert shop.told("blame", "orders/a") == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "bob" in lines["status"]
    assert "ann" in lines["to.city"]
    assert shop.told("blame", "orders/a", "--path", "to", "--json") == 0
    assert [one["path"] for one in json.loads(capsys.readouterr().out)] == ["to.city"]
    assert shop.told("blame", "orders/a", "--path", "nothing") == 1
    assert "but by, id, status, to.city" in capsys.readouterr().err


def test_a_diff_has_a_line_an_item(shop: Shop, capsys: Any) -> None:
    assert shop.told("diff", shop.first, shop.second) == 0
    shown = capsys.readouterr()
    assert "added    b" in shown.out
    assert 'changed  a  by "ann" → "bob", status "new" → "paid"' in shown.out
    assert "2 items differ" in shown.err
    assert shop.told("diff", shop.first, shop.second, "orders", "--json") == 0
    kinds = [json.loads(line)["happened"] for line in capsys.readouterr().out.splitlines()]
    assert sorted(kinds) == ["added", "changed"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["as-of", "2026-01-01T00:00", "orders"], "2026-01-01T00:00:00Z is that time in UTC"),
        (["as-of", "soon", "orders"], "'soon' is no time"),
        (["as-of", "9999999999", "orders"], "still to come"),
        (["as-of", "2026-01-01T00:00Z", "other"], "Those that have one: orders"),
        (["history", "other/a"], "Those that have one: orders"),
        (["history", "orders"], "neither an event id nor a key"),
        (["diff", "2026-01-02T00:00Z", "2026-01-01T00:00Z"], "is after"),
        (["diff", "2020-01-02T00:00Z", "2026-01-01T00:00Z"], "next: --incomplete answers"),
        (["as-of", "2020-01-02T00:00Z", "orders"], "next: --incomplete answers"),
        (["restore", "2026-01-01T00:00Z", "--into", "copies", "--yes"], "has handlers of table copies"),
    ],
)
def test_wrong_input_is_refused_with_what_to_write(
    words: list[str], said: str, shop: Shop, capsys: Any
) -> None:
    assert shop.told(*words) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("more", [["other"], ["--limit", "1"]])
def test_one_item_is_asked_for_without_a_table_beside_it(more: list[str], shop: Shop, capsys: Any) -> None:
    assert shop.told("as-of", shop.first, *more, "--key", "orders/a") == 2
    assert "leave out TABLE and --limit" in capsys.readouterr().err


def test_an_app_without_a_journal_is_told_how_to_keep_one(tmp_path: Path, capsys: Any) -> None:
    file = tmp_path / "bare.py"
    file.write_text("from tailrace import App\napp = App('bare')\n")
    assert run(["history", "orders/a", "--app", str(file)]) == 1
    assert "app.archive(TABLE, 'history/')" in capsys.readouterr().err
