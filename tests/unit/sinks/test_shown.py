"""What `dir`, `help` and the extras say of sinks: what is public, and nothing that needs code
which is not there.
"""

import builtins
import inspect
import re
import tomllib
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import tailrace
from tailrace import App, sinks
from tailrace.runtime import beside as beside_loop
from tailrace.testing import World

ROOT = Path(tailrace.__file__).parents[2]


def test_every_sink_is_shown_before_it_was_used_once() -> None:
    assert set(dir(sinks)) == set(sinks.__all__)
    assert [name for name in sinks.__all__ if name not in str(sinks.__doc__)] == []


@pytest.mark.parametrize("name", sinks.__all__)
def test_a_signature_shows_nothing_that_is_private(name: str) -> None:
    sink = getattr(sinks, name)
    assert [parameter for parameter in inspect.signature(sink).parameters if parameter.startswith("_")] == []
    assert sink.__doc__
    assert not sink.__doc__.startswith(f"{name}(")


def imports() -> set[str]:
    """The top names of what the package imports anywhere."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    return {
        line.split()[1].split(".")[0]
        for line in text.splitlines()
        if line.strip().startswith(("import ", "from ")) and len(line.split()) > 1
    }


def test_there_is_no_extra_without_code_behind_it() -> None:
    extras: dict[str, list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
        "project"
    ]["optional-dependencies"]
    needed = {
        wanted.partition(">=")[0].partition("[")[0].partition(".")[0]
        for requirements in extras.values()
        for wanted in requirements
    }
    assert needed
    assert needed - imports() == set()


@pytest.mark.parametrize(
    ("sink", "module", "extra"),
    [
        (sinks.Webhook("https://shop.example/hook"), "aiohttp", "webhook"),
        (sinks.Sqs("https://sqs.us-east-1.amazonaws.com/000000000000/q"), "botocore.config", "aws"),
        (sinks.Sqs("https://sqs.us-east-1.amazonaws.com/000000000000/q"), "aiohttp", "aws"),
        (sinks.DuckDB(":memory:", "orders"), "duckdb", "duckdb"),
    ],
)
def test_a_sink_without_its_extra_is_an_outage_and_no_change_is_given_up(
    sink: Any, module: str, extra: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real: Callable[..., Any] = builtins.__import__

    def missing(name: str, *arguments: Any, **named: Any) -> Any:
        if name == module:
            raise ImportError(f"No module named {module!r}")
        return real(name, *arguments, **named)

    app = App("shop")
    orders = app.table("orders", pk="id")
    app.sink(orders, sink, id="outside")
    alone = beside_loop.Beside()  # one that knows no place yet: whatever a test before has called
    monkeypatch.setattr(beside_loop, "_BESIDE", alone)
    with ExitStack() as ending, World(app, seed=1, sinks="real") as world:
        ending.callback(alone.end)
        monkeypatch.setattr(builtins, "__import__", missing)
        world.put(orders, {"id": "o1"})
        world.advance("1h")
        monkeypatch.undo()
        assert world.dead_letters("outside") == []
        assert world.lag() > 0
    assert "outside waits" in caplog.text
    assert f"needs the extra `{extra}`: pip install '.[{extra}]' in the checkout" in caplog.text


def test_no_word_of_ours_fetches_a_package_that_no_registry_has() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "src").rglob("*.py")]
    fetching = re.compile(r"pip install [^\n`]*\btailrace\b")
    assert [page.name for page in pages if fetching.search(page.read_text(encoding="utf-8"))] == []
    assert fetching.search("pip install 'tailrace[aws]'")
