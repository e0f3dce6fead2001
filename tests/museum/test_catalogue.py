"""No entry of the museum is forgotten, and each is a model that fails beside ours that does not."""

import ast
from pathlib import Path

import pytest

from tests.museum.catalogue import EXHIBITS, NOT_DELIVERY, PAGE, page, parts_of

HERE = Path(__file__).parent
ENTRIES = 36
MODEL_LINES = 60


def test_every_entry_is_an_exhibit_or_says_why_it_is_none() -> None:
    assert sorted([*EXHIBITS, *NOT_DELIVERY]) == list(range(1, ENTRIES + 1))


def test_every_exhibit_has_its_number_and_nothing_else_is_here() -> None:
    assert all(module.startswith(f"test_{number:02}_") for number, module in EXHIBITS.items())
    assert {path.stem for path in HERE.glob("test_[0-9]*.py")} == set(EXHIBITS.values())


@pytest.mark.parametrize("module", EXHIBITS.values())
def test_an_exhibit_shows_the_mistake_and_then_ours(module: str) -> None:
    _, wild, here = parts_of(module)
    assert (wild.split(":")[0], here.split(":")[0]) == ("In the wild", "Here")
    tree = ast.parse((HERE / f"{module}.py").read_text())
    tests = [
        node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name[:5] == "test_"
    ]
    assert any("model" in name for name in tests)
    assert any("ours" in name for name in tests)


@pytest.mark.parametrize("module", EXHIBITS.values())
def test_a_model_is_small_and_marks_the_mistake(module: str) -> None:
    text = (HERE / f"{module}.py").read_text()
    body = ast.parse(text).body
    first_test = next(
        node.lineno for node in body if isinstance(node, ast.FunctionDef) and "test_" in node.name
    )
    models = [
        node.end_lineno - node.lineno + 1
        for node in body
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.lineno < first_test and node.end_lineno
    ]
    assert sum(models) <= MODEL_LINES
    assert "mistake" in text.lower()


def test_the_page_is_what_the_exhibits_say() -> None:
    assert PAGE.read_text() == page(), "run `python -m tests.museum`"
