"""The version of a handler's code: another one when its file is another, and what its dead letters say."""

from pathlib import Path
from typing import Any

import pytest

from tailrace.app.app import App
from tailrace.app.change import Change
from tailrace.app.code_version import code_version
from tailrace.app.loading import load_app
from tailrace.app.retry import Retry
from tailrace.errors import Unavailable
from tailrace.testing import World

SOURCE = """
from tailrace import App, Change

app = App("shop")
orders = app.table("orders", pk="id")


@app.on(orders, id="note")
def note(change: Change) -> None:
    WHAT
"""


def version(path: Path, what: str) -> str:
    path.write_text(SOURCE.replace("WHAT", what))
    (mapping,) = load_app(str(path)).mappings
    return code_version(mapping)


def test_it_is_of_the_files_content(tmp_path: Path) -> None:
    path = tmp_path / "versioned_app.py"
    first, other = version(path, "raise ValueError"), version(path, "raise KeyError")
    assert len(first) == 12
    assert first != other
    assert version(path, "raise ValueError") == first


def test_whoever_deploys_says_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TAILRACE_CODE_VERSION", "v1.4-3-g1a2b3c4")
    assert version(tmp_path / "versioned_app.py", "pass") == "v1.4-3-g1a2b3c4"


def made(body: str) -> Any:
    names: dict[str, Any] = {}
    exec(f"def handler(event, context):\n    {body}\n", names)
    return names["handler"]


def test_a_function_without_a_file_has_the_version_of_its_code() -> None:
    def of(body: str) -> str:
        app = App("shop")
        app.function(made(body), app.table("orders", pk="id"), id="legacy")
        (mapping,) = app.mappings
        return code_version(mapping)

    assert of("return 1") == of("return 1") != of("return 2")
    assert len(of("return 1")) == 12


def test_a_dead_letter_says_which_code_failed_last(monkeypatch: pytest.MonkeyPatch) -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")
    wrong: list[type[Exception]] = [ValueError]

    @app.on(orders, id="note", retry=Retry(0, backoff="1s..1s"))
    def note(change: Change) -> None:
        if wrong:
            raise wrong[0]

    monkeypatch.setenv("TAILRACE_CODE_VERSION", "one")
    with World(app) as world:
        world.put(orders, {"id": "o1"})
        world.settle()
        assert [letter["code_version"] for letter in world.dlq("note")] == ["one"]
        monkeypatch.setenv("TAILRACE_CODE_VERSION", "two")
        world.restart()
        world.dlq("note").redrive()
        assert [letter["code_version"] for letter in world.dlq("note")] == ["two"]
        wrong[0] = Unavailable
        world.dlq("note").redrive()
        wrong.clear()
        world.dlq("note").redrive()
        assert len(world.dlq("note")) == 0
