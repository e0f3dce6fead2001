"""A class name has one meaning: those that still have two are listed, and the list may only shrink.

Rules of this file: a name that begins with an underscore is its module's own affair. Decision 47.
"""

import ast
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Final

SOURCES: Final = Path(__file__).parents[2] / "src" / "tailrace"
TWICE: Final = frozenset({"And", "Exists", "Not", "Or"})
"""One notion at two layers: a condition of AWS's expression language, and the Python
predicate that becomes one.
"""


def classes(sources: Mapping[str, str]) -> dict[str, list[str]]:
    """Class names of modules and the modules that define them."""
    paths: dict[str, list[str]] = defaultdict(list)
    for path, text in sources.items():
        for node in ast.parse(text).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                paths[node.name].append(path)
    return paths


def twice(sources: Mapping[str, str]) -> set[str]:
    """Names that more than one module gives to a class."""
    return {name for name, paths in classes(sources).items() if len(paths) > 1}


def read() -> dict[str, str]:
    return {
        str(path.relative_to(SOURCES)): path.read_text(encoding="utf-8")
        for path in SOURCES.rglob("*.py")
        if "testing/contracts" not in path.as_posix()
    }


def test_no_class_name_gets_a_second_meaning() -> None:
    assert twice(read()) - TWICE == set(), "find the field's term for one of them"


def test_a_name_that_was_parted_is_off_the_list() -> None:
    assert TWICE - twice(read()) == set()


def test_a_second_meaning_is_seen() -> None:
    planted = {**read(), "engine/planted.py": "class ChangeRecord:\n    pass\n"}
    assert twice(planted) - TWICE == {"ChangeRecord"}
