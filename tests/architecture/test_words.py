"""A class name has one meaning, and a name says what it holds: what still does not is listed, and the
lists may only shrink.

Rules of this file: a name that begins with an underscore is its module's own affair. Decision 47.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest

from tests.architecture.syntax import nodes, tree

SOURCES: Final = Path(__file__).parents[2] / "src" / "tailrace"
TWICE: Final = frozenset({"And", "Exists", "Not", "Or"})
"""One notion at two layers: a condition of AWS's expression language, and the Python
predicate that becomes one.
"""


def classes(sources: Mapping[str, str]) -> dict[str, list[str]]:
    """Class names of modules and the modules that define them."""
    paths: dict[str, list[str]] = defaultdict(list)
    for path, text in sources.items():
        for node in tree(text).body:
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


# ---- nouns -------------------------------------------------------------------------------------------------

ROOT: Final = Path(__file__).parents[2]
NO_NOUNS: Final = frozenset({"each", "found"})
UNSAID: Final = re.compile(r'^ *"""[^"\\]*"""$|^ *#.*$', re.MULTILINE)
"""Docstrings that have no quote inside, and comments that are lines of their own."""


def bound(node: ast.AST) -> Iterator[str]:
    """Names that a node gives to something: a variable, an argument, a function, a class, an attribute."""
    match node:
        case (
            ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()) | ast.arg(arg=name)
        ):
            yield name
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.alias(asname=str(name)) | ast.ExceptHandler(name=str(name)):
            yield name
        case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
            yield name


def no_nouns(text: str) -> int:
    """How often a module calls something `each` or `found`. Only those are parsed that say so outside of
    docstrings and comments: few.
    """
    if not any(name in UNSAID.sub("", text) for name in NO_NOUNS):
        return 0
    return sum(name in NO_NOUNS for node in nodes(text) for name in bound(node))


def test_names_are_nouns_of_the_field() -> None:
    paths = (
        path
        for directory in ("src/tailrace", "tests", "bench", "examples")
        for path in (ROOT / directory).rglob("*.py")
    )
    wrong = {
        str(path.relative_to(ROOT)): count
        for path in paths
        if (count := no_nouns(path.read_text(encoding="utf-8")))
    }
    assert wrong == {}, "say what it is: a record, a row, a shard"


@pytest.mark.parametrize(
    "text",
    ["for each in rows: pass", "[each for each in rows]", "lambda each: each", "def f(*, found): pass",
     "def found(): pass", "async def each(): pass", "class found: pass", "class Row: found: int",
     "self.found = 1", "found: int = 1", "found += 1", "(found := 1)", "with a as found: pass",
     "import a as found", "try: pass\nexcept E as found: pass", "match a:\n case [*found]: pass",
     "match a:\n case Row(id=each): pass", "match a:\n case {**found}: pass", "a, (each, *_) = b"],
)  # fmt: skip
def test_a_name_that_is_no_noun_is_seen(text: str) -> None:
    assert no_nouns(text) == 1


def test_the_words_themselves_may_be_said() -> None:
    assert no_nouns('"""Found each."""\nanswer["found"] = f"{a.found} {each} {found()}"\nis_found = 1') == 0


# ---- docstrings --------------------------------------------------------------------------------------------

SMALL: Final = """a an the of to is are be it its this that in on for by with as at and or from one has have
was were what which who whose their there they how when where if not no does do did all any into over s"""
"""Words that say nothing by themselves."""
ENDINGS: Final = ("ies", "ing", "ed", "es", "s", "er", "ation", "ion")


def stems(text: str) -> set[str]:
    """Words of a text or of a name, without their endings and without the small ones."""
    parted = re.sub(r"([a-z])([A-Z])", r"\1 \2", text).replace("_", " ").lower()
    return {stem(word) for word in re.findall("[a-z]+", parted) if word not in SMALL.split()}


def stem(word: str) -> str:
    """
    >>> [stem(word) for word in ("queries", "closing", "closed", "close", "shards")]
    ['query', 'clos', 'clos', 'clos', 'shard']
    """
    for ending in ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word.removesuffix(ending) + ("y" if ending == "ies" else "")
            break
    return word.rstrip("e")


def echoes(path: str, text: str) -> list[str]:
    """Docstrings of one line with no word beside those of the name, its class, module or arguments."""
    known_words = stems(Path(path).stem)
    echoing: list[str] = []

    def look(body: Sequence[ast.stmt], above: set[str]) -> None:
        for node in body:
            if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            docstring, known = ast.get_docstring(node) or "", above | stems(node.name)
            if not isinstance(node, ast.ClassDef):
                known |= {word for argument in node.args.args for word in stems(argument.arg)}
            said = stems(docstring)
            if said and said <= known and "\n" not in docstring and not docstring.startswith("As `"):
                echoing.append(f"{path}:{node.lineno} {node.name}: {docstring}")
            if isinstance(node, ast.ClassDef):
                look(node.body, above | stems(node.name))

    look(tree(text).body, known_words)
    return echoing


def test_a_docstring_says_what_the_name_does_not() -> None:
    said = [line for path, text in read().items() for line in echoes(path, text)]
    assert said == [], "give the shape, the units, an error or the reason; or the name that it should have"


@pytest.mark.parametrize(
    "text",
    ['def close_stream(self):\n "Close the stream."', 'class TableIndex:\n "One index of a table."',
     'class Letter:\n def row(self):\n  "The row of its letter."', 'def of(shard):\n "The shards."'],
)  # fmt: skip
def test_a_docstring_that_says_the_name_again_is_seen(text: str) -> None:
    assert len(echoes("planted.py", text)) == 1


@pytest.mark.parametrize(
    "text",
    ['def close_stream(self):\n "Repeatable."', 'def put(self):\n "As `Client.put`."',
     "def close(self): pass", 'def close(self):\n """Close.\n\n    Units: ms.\n    """'],
)  # fmt: skip
def test_a_docstring_that_says_more_is_left(text: str) -> None:
    assert echoes("planted.py", text) == []
