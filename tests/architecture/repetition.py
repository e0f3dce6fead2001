"""Repeated code: where lines of one place stand again in another, names and values aside.

Theory of operation: a line's shape is its tokens with every name and every value replaced; six lines in a row
of the same shapes in both places are a repetition. Lines that say nothing (imports, docstrings, brackets
alone, a name with its type) are passed over. Rules of this file: pure, sources in (path → text) and findings
out, so that a canary can plant what must be found. Called by `test_repetition`.
"""

import ast
import io
import keyword
import tokenize
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

Sources = Mapping[str, str]
LINES = 6
"""So many lines in a row are a repetition."""
SKIPPED = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}
SAYS = {
    "def", "=", "if", "elif", "else", "for", "while", "return", "yield", "await", "raise", "with", "async",
    "try", "except",
    "match", "case", "del", "not", "and", "or", "in", "is", "assert", "lambda", "+", "-", "+=", "<", ">",
    "<=", ">=", "==",
    "!=", "|",
}  # fmt: skip
"""What makes a line say something, beside a call."""


Shape = tuple[str, ...]
Line = tuple[int, Shape]
"""A line's number and its shape."""


@dataclass(frozen=True, slots=True)
class Repetition:
    """Lines that stand twice. Shape: both ends inclusive."""

    one: str
    one_lines: tuple[int, int]
    other: str
    other_lines: tuple[int, int]

    def __str__(self) -> str:
        here, there = "-".join(map(str, self.one_lines)), "-".join(map(str, self.other_lines))
        return f"{self.one}:{here} stands again at {self.other}:{there}"

    @property
    def places(self) -> tuple[str, str]:
        """The two modules, in order."""
        return (min(self.one, self.other), max(self.one, self.other))


def lines_of(text: str) -> list[Line]:
    """The lines of a module that say something, in order."""
    passed = _prose(text)
    shapes: dict[int, list[str]] = defaultdict(list)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        number = token.start[0]
        if token.type in SKIPPED or number in passed:
            continue
        if token.type == tokenize.NAME and not keyword.iskeyword(token.string):
            shapes[number].append("name")
        elif token.type in (tokenize.STRING, tokenize.NUMBER):
            shapes[number].append("value")
        else:
            shapes[number].append(token.string)
    return [(number, tuple(shape)) for number, shape in sorted(shapes.items()) if _says(shape)]


def _prose(text: str) -> set[int]:
    """The lines of docstrings and of imports."""
    lines: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Expr(value=ast.Constant(value=str())) | ast.Import() | ast.ImportFrom():
                lines.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return lines


def _says(shape: list[str]) -> bool:
    is_call = any(before in ("name", ")", "]") and here == "(" for before, here in pairwise(shape))
    return is_call or bool(SAYS.intersection(shape))


def repetitions(ones: Sources, others: Sources) -> Iterator[Repetition]:
    """Every run of lines of the one that stands again in the other; a module is not compared with itself."""
    known: dict[tuple[Shape, ...], list[tuple[str, int]]] = defaultdict(list)
    lines = {path: lines_of(text) for path, text in {**ones, **others}.items()}
    for path in others:
        for start in range(len(lines[path]) - LINES + 1):
            known[_window(lines[path], start)].append((path, start))
    for path in ones:
        covered: dict[str, int] = {}
        for start in range(len(lines[path]) - LINES + 1):
            for other, place in known.get(_window(lines[path], start), ()):
                if other == path or start < covered.get(other, 0):
                    continue
                length = _length(lines[path][start:], lines[other][place:])
                if length >= LINES:
                    covered[other] = start + length
                    yield Repetition(
                        path,
                        (lines[path][start][0], lines[path][start + length - 1][0]),
                        other,
                        (lines[other][place][0], lines[other][place + length - 1][0]),
                    )


def _window(lines: list[Line], start: int) -> tuple[Shape, ...]:
    return tuple(shape for _, shape in lines[start : start + LINES])


def _length(ones: list[Line], others: list[Line]) -> int:
    """How many lines have the same shapes."""
    for count, ((_, one), (_, other)) in enumerate(zip(ones, others, strict=False)):
        if one != other:
            return count
    return min(len(ones), len(others))
