"""A small module that one other module imports is part of that module's idea, unless its head says
why it stands alone.

Rules of this file: there is no list of exceptions. A reason is a sentence of the module's docstring with the
words "stands alone". Packages' own `__init__` and what nothing imports (operations that are found by name,
programs) are no such modules.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import tailrace
from tests.architecture.circles import Sources, graph_of

PACKAGE = Path(tailrace.__file__).parent
SOURCES = {
    path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted(PACKAGE.rglob("*.py"))
}
LINES = 80
REASON = re.compile(r"\bstands\s+alone\s+(?:because|as)\b", re.IGNORECASE)


def without_reason(sources: Sources) -> Iterator[str]:
    """Small modules with one importer whose head says nothing of why."""
    importers = Counter(imported for imports in graph_of(sources).values() for imported in imports)
    for path, text in sources.items():
        is_small = text.count("\n") < LINES and not path.endswith("__init__.py")
        if is_small and importers[path] == 1 and not REASON.search(ast.get_docstring(ast.parse(text)) or ""):
            yield path


def test_a_small_module_with_one_importer_says_why_it_stands_alone() -> None:
    assert list(without_reason(SOURCES)) == [], (
        "fold it into the module that imports it, or say in its head why it stands alone: 'Stands "
        "alone because …'"
    )


IMPORTER = "from tailrace.engine import small\n"


@pytest.mark.parametrize(
    ("small", "others", "expected"),
    [
        ('"""Something."""\n', {}, {"engine/small.py"}),
        ('"""Something.\n\nStands alone because it is of one upgrade.\n"""\n', {}, set()),
        ('"""Something."""\n# Stands alone because.\n', {}, {"engine/small.py"}),
        ('"""Something."""\n' + "x = 1\n" * LINES, {}, set()),
        ('"""Something."""\n', {"engine/other.py": "import tailrace.engine.small\n"}, set()),
    ],
)
def test_what_is_planted_is_found_and_nothing_else(
    small: str, others: dict[str, str], expected: set[str]
) -> None:
    planted = {"engine/engine.py": IMPORTER, "engine/small.py": small, **others}
    assert set(without_reason(planted)) == expected
