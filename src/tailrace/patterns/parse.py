"""Patterns as rules, and rules as patterns: `parse(format_rules(rules)) == rules`.

Theory of operation: the engine flattens a pattern into rules that map whole dotted names to alternatives;
each `$or` multiplies the rules that were there before it. When `$or` is not used as the language wants it,
the whole pattern is read once more with `$or` as a name like any other, for the patterns that are older than
it.
Rules of this file: of a name given twice the last one counts. Called by pattern.py. Source: semantics §2.11;
event-ruler.
"""

from collections.abc import Mapping
from typing import Any, Final

from tailrace.errors import PatternError
from tailrace.patterns.document import Members, Tree, read
from tailrace.patterns.nodes import Alternative, Exact, Rules
from tailrace.patterns.operators import OPERATORS, Dialect, alternative, refuse

OR: Final = "$or"
RESERVED: Final = frozenset(OPERATORS) | frozenset((
    "=", "<", "<=", ">", ">=", "regex", "not-wildcard", "not-equals-ignore-case", "date-after", "date-before",
    "in-date-range", "ip-address-in-range", "ip-address-not-in-range",
))  # fmt: skip
"""Words that no object directly inside a `$or` may use as a name."""


def parse(pattern: str | bytes | Mapping[str, Any], dialect: Dialect = "mapping") -> Rules:
    """The rules of a pattern. Raises: PatternError.

    >>> parse('{"a": {"b": ["x"]}}')
    ({'a.b': (Exact(value='x'),)},)
    """
    tree = read(pattern)
    if not isinstance(tree, Members):
        refuse("Filter is not an object")
    if not tree and dialect == "mapping":
        return ({},)  # a filter that asks for nothing lets everything pass
    try:
        return tuple(_Reader(dialect).rules(tree))
    except PatternError as error:
        try:
            return tuple(_Reader(dialect, has_or=False).rules(tree))
        except PatternError:
            raise error from None


class _Reader:
    """One reading of one pattern. Shape: `has_or`: whether `$or` means OR."""

    __slots__ = ("_dialect", "_has_or")

    def __init__(self, dialect: Dialect, *, has_or: bool = True) -> None:
        self._dialect: Dialect = dialect
        self._has_or = has_or

    def rules(self, tree: Members) -> list[dict[str, tuple[Alternative, ...]]]:
        """Every rule of the whole pattern."""
        return self._object(tree, (), [{}])

    def _object(
        self, members: Members, path: tuple[str, ...], rules: list[dict[str, tuple[Alternative, ...]]]
    ) -> list[dict[str, tuple[Alternative, ...]]]:
        if not members:
            refuse("Empty objects are not allowed")
        for name, value in members:
            if name == OR and self._has_or:
                rules = self._either(value, path, rules)
            elif isinstance(value, Members):
                rules = self._object(value, (*path, name), rules)
            elif isinstance(value, list):
                alternatives = self._alternatives(value)
                for rule in rules:
                    rule[".".join((*path, name))] = alternatives
            else:
                refuse(f'"{name}" must be an object or an array')
        return rules

    def _either(
        self, value: Tree, path: tuple[str, ...], rules: list[dict[str, tuple[Alternative, ...]]]
    ) -> list[dict[str, tuple[Alternative, ...]]]:
        if not isinstance(value, list):
            refuse("It must be an Array followed with $or.")
        if not value:
            refuse("Empty arrays are not allowed")
        multiplied: list[dict[str, tuple[Alternative, ...]]] = []
        for branch in value:
            if not isinstance(branch, Members):
                refuse("Only JSON object is allowed in array of $or relationship.")
            for name, _ in branch:
                if name in RESERVED:
                    refuse(f"{name} is Ruler reserved fieldName which cannot be used inside {OR}.")
            multiplied += self._object(branch, path, [dict(rule) for rule in rules])
            if len(multiplied) > MOST_RULES:
                refuse(f"The $or relationships make more than {MOST_RULES} combinations")
        if len(value) < 2:
            refuse("There must have at least 2 Objects in $or relationship.")
        return multiplied

    def _alternatives(self, values: list[Any]) -> tuple[Alternative, ...]:
        if not values:
            refuse("Empty arrays are not allowed")
        return tuple(self._alternative(value) for value in values)

    def _alternative(self, value: Tree) -> Alternative:
        if isinstance(value, Members):
            return alternative(value, self._dialect)
        if isinstance(value, list):
            refuse("Match value must be String, number, true, false, or null")
        return Exact(value)


MOST_RULES: Final = 1_000
"""Combinations of `$or`. Source: EventBridge User Guide, "the number of $or combinations"."""
