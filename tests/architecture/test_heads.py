"""The head of a module names only files and modules that are there.

Rules of this file: a head is a module's docstring. A path may be named by its end, as worker/worker.py; a
dotted name in backticks whose first word is one of our packages is a module, or something in one. `app.sink`,
`ports.Sink` and `sinks.Sqs` are what users write.
"""

import ast
import re
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "tailrace"
FOLDERS = ("src", "tests", "docs", "examples", "bench", "requirements")
ENDS = (".py", ".md", ".txt", ".json", ".toml")
PATH = re.compile(rf"(?<![\w./-])((?:[\w.-]+/)*\w+(?:{'|'.join(map(re.escape, ENDS))}))\b")
DOTTED = re.compile(r"`([a-z_]+(?:\.\w+)+)`")
USERS = {"app", "ports", "sinks"}
"""Packages whose names are words of users as well."""


@cache
def files() -> frozenset[str]:
    """Every file that a head may name, from the root of the repository."""
    everything = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in ENDS]
    return frozenset(
        path.relative_to(ROOT).as_posix()
        for path in [*everything, *ROOT.glob("*")]
        if "node_modules" not in path.parts
    )


@cache
def ends() -> frozenset[str]:
    """Every way to name one of them by its end."""
    return frozenset(
        "/".join(parts[start:])
        for parts in (file.split("/") for file in files())
        for start in range(len(parts))
    )


@cache
def packages() -> frozenset[str]:
    return frozenset(path.parent.name for path in PACKAGE.glob("*/__init__.py")) - USERS


def opening(text: str) -> str:
    """The docstring that a source opens with, as it stands there, or the whole source: to parse no more."""
    end = text.find('"""', 3)
    return text[: end + 3] if text.startswith('"""') and end > 0 else text


def missing(text: str, known: Collection[str], rooms: Collection[str]) -> Iterator[str]:
    """What the head of a module names and is not there."""
    head = ast.get_docstring(ast.parse(opening(text))) or ""
    for path in PATH.findall(head):
        if path not in known:
            yield path
    for name in DOTTED.findall(head):
        words = name.split(".")
        modules = ["/".join(words[:end]) for end in range(len(words), 1, -1)][:2]
        if (
            words[0] in rooms
            and not name.endswith(ENDS)
            and not any(f"{module}.py" in known or f"{module}/__init__.py" in known for module in modules)
        ):
            yield name


def heads() -> list[str]:
    return sorted(file for file in files() if file.endswith(".py") and file.startswith(("src/", "tests/")))


def test_a_head_names_only_what_is_there() -> None:
    named = {
        file: list(missing((ROOT / file).read_text(encoding="utf-8"), ends(), packages())) for file in heads()
    }
    assert {file: names for file, names in named.items() if names} == {}


@pytest.mark.parametrize(
    ("head", "names"),
    [
        ("Made by worker/worker.py, called by `server.turns` and `compose.Node`.", []),
        ("Source: docs/flow.md; `app.sink`, `engine.engine.Engine`, `api.dynamodb`, `time.sleep`.", []),
        ("Made by worker/gone.py.", ["worker/gone.py"]),
        ("Keys are made here (tests/architecture/test_rows.py).", ["tests/architecture/test_rows.py"]),
        (
            "Called by `server.gone` and `projections.folding.Fold`.",
            ["server.gone", "projections.folding.Fold"],
        ),
    ],
)
def test_a_name_that_is_not_there_is_found(head: str, names: list[str]) -> None:
    assert list(missing(f'"""{head}"""', ends(), packages())) == names
