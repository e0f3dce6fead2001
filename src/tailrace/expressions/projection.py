"""Projections: ProjectionExpression.

Rules of this file: paths only; what is absent is left out. Called by the reading operations. Source:
semantics §6.4.
"""

from typing import Final

from msgspec import Struct

from tailrace.expressions.checks import undefined_name
from tailrace.expressions.kept import kept
from tailrace.expressions.nodes import Path, nested_heads
from tailrace.expressions.parser import Names, parse_projection_text
from tailrace.expressions.paths import check_apart, keep
from tailrace.expressions.placeholders import Placeholders
from tailrace.values.types import Item

KIND: Final = "ProjectionExpression"


class ProjectionExpression(Struct, frozen=True):
    """Paths with real names."""

    paths: tuple[Path, ...]

    def apply(self, item: Item) -> Item:
        """The parts of an item that the projection names. The item is not changed."""
        return keep(item, self.paths)

    def nested_names(self) -> frozenset[str]:
        """The top-level names of the paths that go into something."""
        return nested_heads(self.paths)


@kept
def _prepared(text: str, names: Names) -> ProjectionExpression:
    paths = parse_projection_text(text, KIND, names).paths
    check_apart(paths, KIND)
    return ProjectionExpression(paths)


def parse_projection(text: str, placeholders: Placeholders) -> ProjectionExpression:
    """A projection from its text. Raises: ApiError.

    >>> parse_projection("#a.b, c", Placeholders({"#a": "x"})).apply({"c": {"N": "1"}, "d": {"N": "2"}})
    {'c': {'N': '1'}}
    """
    names = parse_projection_text(text, KIND).names
    if not placeholders.use(names, ()):
        undefined_name(next(name for name in names if name not in placeholders.names), KIND)
    return _prepared(text, placeholders.chosen(names))
