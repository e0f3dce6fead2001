"""No module of the package imports itself by way of others, types included.

Rules of this file: what a circle is, is said in `circles`; there is no list of exceptions.
"""

from pathlib import Path

import pytest

import tailrace
from tests.architecture.circles import circles, graph_of

PACKAGE = Path(tailrace.__file__).parent
SOURCES = {
    path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted(PACKAGE.rglob("*.py"))
}


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circles(graph_of(SOURCES)) == []


@pytest.mark.parametrize(
    "back",
    [
        "from tailrace.engine.engine import Engine\n",
        "from tailrace.engine import engine\n",
        "import tailrace.engine.engine\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from "
        "tailrace.engine.engine import Engine\n",
        "def late():\n    from tailrace.engine.engine import Engine\n",
    ],
)
def test_a_circle_is_found_however_it_closes(back: str) -> None:
    planted = {
        "engine/engine.py": "from tailrace.engine import query\n",
        "engine/query.py": "import tailrace.engine.paging\n",
        "engine/paging.py": back,
        "engine/__init__.py": "",
        "ports.py": "from tailrace.engine.engine import Engine\n",
    }
    assert circles(graph_of(planted)) == [("engine/engine.py", "engine/paging.py", "engine/query.py")]


def test_two_ways_to_one_module_are_no_circle() -> None:
    planted = {
        "app/app.py": "from tailrace.app import table\nfrom tailrace.app.index import Index\n",
        "app/table.py": "from tailrace.app.index import Index\n",
        "app/index.py": "",
    }
    assert circles(graph_of(planted)) == []
