"""Projections: ProjectionExpression.

Rules of this file: paths only; what is absent is left out. Called by the reading operations. Source: semantics §6.4.
"""

from dataclasses import dataclass
from functools import lru_cache

from tailrace.expressions.nodes import Path
from tailrace.expressions.parser import CACHED, parse_projection_text
from tailrace.expressions.paths import check_apart, keep
from tailrace.expressions.placeholders import Placeholders
from tailrace.expressions.resolve import Uses, resolve, uses
from tailrace.values.types import Item

KIND = "ProjectionExpression"


@dataclass(frozen=True, slots=True)
class Projection:
    """Paths with real names."""

    paths: tuple[Path, ...]

    def apply(self, item: Item) -> Item:
        """The parts of an item that the projection names. The item is not changed."""
        return keep(item, self.paths)


@lru_cache(CACHED)
def _uses(text: str) -> Uses:
    return uses(parse_projection_text(text))


@lru_cache(CACHED)
def _resolved(text: str, names: tuple[tuple[str, str], ...]) -> Projection:
    paths = tuple(resolve(path, dict(names)) for path in parse_projection_text(text))
    check_apart(paths, KIND)
    return Projection(paths)


def parse_projection(text: str, placeholders: Placeholders) -> Projection:
    """A projection from its text. Raises: ApiError."""
    used = _uses(text)
    placeholders.use_names(used.names, KIND)
    return _resolved(text, tuple((name, placeholders.names[name]) for name in used.names))
