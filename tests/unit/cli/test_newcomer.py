"""What a newcomer types wrong: each answer names the thing, the reason and the next command."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tailrace.app.app import App
from tailrace.cli.dev import DevSession
from tailrace.cli.main import run
from tailrace.cli.running import Serving
from tailrace.compose import EngineOptions, open_engine
from tailrace.tables.definition import TableDefinition
from tests.command_line import logging_of_its_own

HEAD = "from tailrace import App, Change\napp = App('shop')\norders = app.table('orders', pk='id')\n"
HANDLER = "def note(change: Change) -> None:\n    pass\n"
FILES = {
    "none.py": "x = 1\n",
    "two.py": "from tailrace import App\na = App('a')\nb = App('b')\n",
    "good.py": HEAD + "@app.on(orders)\n" + HANDLER,
    "setting.py": HEAD + "@app.on(orders, retries=3)\n" + HANDLER,
    "name.py": HEAD + "@app.on('order')\n" + HANDLER,
    "syntax.py": "def (\n",
    "imports.py": "import nothing_here\n",
    "attribute.py": HEAD + "app.tabel('x')\n",
}


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory with apps, most of them wrong, and a data directory without anything."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    open_engine(EngineOptions(directory=tmp_path / "empty")).close()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [str(tmp_path), *sys.path])
    with logging_of_its_own():
        yield tmp_path


WRONG = [
    ("dev missing.py", "There is no file missing.py", "path/to/app.py"),
    ("dev none.py", "none.py declares no App", "app = tailrace.App('shop')"),
    ("dev two.py", "two.py declares 2 Apps, a, b", "tailrace dev two:a"),
    ("dev two:c", "'c' is no App", "tailrace dev two:a"),
    ("dev empty", "empty is a directory", "tailrace dev path/to/app.py"),
    ("dev .", ". is a directory", "tailrace dev path/to/app.py"),
    ("dev a-b", "a-b is no name of a module", "tailrace dev path/to/app.py"),
    ("dev setting.py", "retries: no such setting; did you mean retry?", "tailrace dev setting.py"),
    ("dev setting.py", "setting.py:4)", "mend it"),
    ("dev name.py", "'order' is no table", "mend it, then: tailrace dev name.py"),
    ("dev name.py", "name.py:4)", "mend it"),
    ("dev syntax.py", "SyntaxError", "python syntax.py"),
    ("dev imports.py", "No module named 'nothing_here'", "python imports.py"),
    ("dev attribute.py", "has no attribute 'tabel'", "python attribute.py"),
    ("explain note --app missing.py", "There is no file missing.py", "path/to/app.py"),
    ("explain other --app good.py", "'other' is no handler", "tailrace explain note --app good.py"),
    ("mapping mv a b", "tailrace mapping has no command 'mv'. There are: ", "tailrace mapping --help"),
    ("dlq redriv x", "Did you mean `tailrace dlq redrive`?", "tailrace dlq --help"),
    ("shards list orders", "tailrace shards has no command 'list'", "tailrace shards --help"),
    ("help", "You want: tailrace --help", "tailrace --help"),
    ("start", "You want: tailrace serve", "tailrace --help"),
    ("shards ls nope --data empty", "There is no stream of a table 'nope'", "tailrace status"),
    ("shards split nope --data empty", "There is no stream of a table 'nope'", "tailrace status"),
    ("tail nope --data empty", "There is no stream of a table 'nope'", "tailrace status"),
    ("why nope/1 --data empty", "no table 'nope'", "tailrace "),
    ("pause nope --data empty", "There is no handler 'nope'", "tailrace mapping ls"),
    ("dlq redrive nope --data empty", "There is no handler 'nope'", "tailrace mapping ls"),
    ("clock advance 25h --data empty", "No server runs on empty",
     "tailrace serve --clock manual --data empty"),
    ("projection swap x --data empty", "No server runs on empty", "tailrace dev app.py --data empty"),
    ("status --data nothing", "There is no data directory nothing", "tailrace serve --data nothing"),
    *((f"{command} --{option} {url}", f"'{url}' is no URL of an endpoint", f"tailrace {name} --help")
      for url in ("localhost:8000", "ftp://localhost:8000", "http://")
      for command, option, name in (
          ("worker good.py --state sqlite:x", "endpoint", "worker"),
          ("worker good.py --state dynamodb:abc", "state-endpoint", "worker"),
          ("status --state sqlite:x --app good.py", "endpoint", "status"),
          ("leases ls --state dynamodb:abc --app good.py", "state-endpoint", "leases ls"),
          ("state check dynamodb:abc", "endpoint", "state check"),
          ("state create dynamodb:abc", "endpoint", "state create"),
          ("kcl import t --app good.py --state sqlite:x", "leases-endpoint", "kcl import"),
          ("kcl export t --app good.py --state sqlite:x", "endpoint", "kcl export"),
          ("explain --on worker good.py", "endpoint", "explain"),
      )),
    ("worker good.py --state sqlite:x --start 2999-01-01", "2999-01-01T00:00:00.000Z is still to come",
     "--start end"),
    ("explain --on lambda good.py --state sqlite:x", "'sqlite:x' is no state table: on Lambda",
     "--state dynamodb:TABLE"),
    ("generate alerts --out nowhere/rules.yml", "nowhere/rules.yml cannot be written: No such file",
     "tailrace generate alerts --out"),
    ("state check dynamodb:", "'dynamodb:' names no place for state", "tailrace state"),
    ("state check dynamodb: --region r", "'dynamodb:' names no place for state", "tailrace state"),
    ("state check state.db --region r", "'state.db' names no place for state", "tailrace state"),
    ("state create sqlite:nowhere/state.db", "nowhere/state.db: unable to open",
     "or name another --data or --state"),
    ("status --url http://10.0.0.5:8000", "another machine", "tailrace status --help"),
]  # fmt: skip


@pytest.mark.parametrize(("typed", "words", "step"), WRONG, ids=[typed for typed, _, _ in WRONG])
def test_a_wrong_command_is_told_what_is_wrong_and_what_to_type(
    typed: str, words: str, step: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(typed.split()) != 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err
    assert "next: " in captured.err
    assert step in captured.err.partition("next: ")[2]
    assert "Traceback" not in captured.err


@pytest.mark.parametrize("group", ["dlq", "mapping", "shards", "projection", "clock"])
def test_a_group_without_a_command_shows_its_help_and_is_no_error(
    group: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([group]) == 0
    captured = capsys.readouterr()
    assert f"Usage: tailrace {group}" in captured.out
    assert captured.err == ""


def test_a_tail_without_a_server_says_that_nothing_more_will_come(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = open_engine(EngineOptions(directory=place / "empty"))
    engine.create_table(TableDefinition("orders", "id", "S", stream="NEW_IMAGE"))
    engine.close()
    assert run(["tail", "orders", "--data", "empty"]) == 0
    err = capsys.readouterr().err
    assert "No server runs on empty" in err
    assert "tailrace dev app.py --data empty" in err


def test_a_reload_says_what_is_new_and_what_is_gone() -> None:
    session = DevSession.__new__(DevSession)
    session.handlers, session.name = {"note": "orders", "mail": "orders"}, "shop"
    assert session.different("shop", {"note": "orders", "mail": "orders"}) == ""
    assert (
        session.different("shop", {"note": "orders", "count": "orders"})
        == " · new: count ← orders · gone: mail"
    )
    assert "the app is mart now and was shop" in session.different("mart", {})


def test_an_app_without_handlers_is_told_how_to_have_one(capsys: pytest.CaptureFixture[str]) -> None:
    class Node:
        def prepare_with(self, preparing: object) -> None: ...

    serving = Serving(
        8000, "127.0.0.1", Path("d"), True, "normal", "system", None, 1, False, None, False, "text", False
    )
    session = DevSession(Node(), "app.py", serving)  # type: ignore[arg-type]
    session.announce(8000, App("shop"))
    out = capsys.readouterr().out
    assert "no handler yet: @app.on(table)" in out
    assert "tailrace status --url http://localhost:8000" in out
