"""Tokens → nodes.

Rules of this file: syntax, and what depends on nothing but the text: redundant parentheses, unknown or
misplaced functions, reserved words, repeated sections, limits. No recursion over conditions: their depth is
the client's choice. Each text is parsed once for each choice of names. Called by condition.py, update.py,
projection.py. Source: semantics §6.4.
"""

from collections.abc import Callable, Mapping
from typing import Final

from tailrace.expressions.cursor import TESTS, Cursor
from tailrace.expressions.kept import kept
from tailrace.expressions.nodes import (
    Action,
    And,
    Arithmetic,
    Between,
    Compare,
    FunctionCall,
    In,
    Leaf,
    Node,
    Not,
    Operand,
    Or,
    ParsedCondition,
    ParsedProjection,
    ParsedUpdate,
    Path,
    Value,
    operands_of,
)

Names = tuple[tuple[str, str], ...]
"""What stands behind `#x`, as a key of the cache."""
COMPARATORS: Final = frozenset({"=", "<>", "<", "<=", ">", ">="})
IN_OPERANDS: Final = 100
CONDITION_KEYWORDS: Final = frozenset({"AND", "OR", "NOT", "BETWEEN", "IN"})
SECTIONS: Final = frozenset({"SET", "REMOVE", "ADD", "DELETE"})
BINDING: Final = {"OR": 1, "AND": 2, "NOT": 3}


@kept
def parse_condition_text(text: str, kind: str, names: Names = ()) -> ParsedCondition:
    """A condition, a filter or a key condition. Raises: ApiError.

    >>> parse_condition_text("size(a) > :n", "ConditionExpression").node
    Compare(operator='>', left=Function(name='size', operands=(Path(parts=('a',)),)), right=Value(name=':n'))
    """
    return _ConditionParser(text, kind, dict(names)).parse()


@kept
def parse_update_text(text: str, kind: str = "UpdateExpression", names: Names = ()) -> ParsedUpdate:
    """An update. Raises: ApiError."""
    return _UpdateParser(text, kind, dict(names), SECTIONS).parse()


@kept
def parse_projection_text(
    text: str, kind: str = "ProjectionExpression", names: Names = ()
) -> ParsedProjection:
    """A projection. Raises: ApiError."""
    cursor = Cursor(text, kind, dict(names), frozenset())
    paths = cursor.several(cursor.path)
    cursor.finish("reserved word")
    return ParsedProjection(paths, tuple(cursor.used_names))


class _ConditionParser(Cursor):
    """Reads a condition with two stacks: conditions (or operands still in parentheses), and operators not yet
    applied.
    """

    def __init__(self, text: str, kind: str, names: Mapping[str, str]) -> None:
        super().__init__(text, kind, names, CONDITION_KEYWORDS)
        self._nodes: list[Node | Operand] = []
        self._pending: list[tuple[str, int]] = []
        self._leaves: list[Leaf] = []
        self._heads: set[str] = set()
        self._nested: set[str] = set()

    def parse(self) -> ParsedCondition:
        """The whole text. Raises: ApiError."""
        while True:
            self._before_operand()
            self._nodes.append(self._comparison(self.operand()))
            self._after_operand()
            if self.keyword not in ("AND", "OR"):
                break
            self._operator(self.keyword)
        self._reduce(0)
        if self._pending:
            self.fail()
        self.finish("unknown function", "misused function", "reserved word")
        node = self._nodes[0]
        assert not isinstance(node, Path | Value | Arithmetic)
        return ParsedCondition(
            node,
            tuple(self._leaves),
            tuple(self.used_names),
            tuple(self.used_values),
            frozenset(self._heads),
            frozenset(self._nested),
        )

    def path(self) -> Path:
        """A path, whose first name is noted."""
        path = super().path()
        self._heads.add(str(path.parts[0]))
        if len(path.parts) > 1:
            self._nested.add(str(path.parts[0]))
        return path

    def _before_operand(self) -> None:
        while self.token.text == "(" or self.keyword == "NOT":
            if self.keyword:
                self.count_operator()
            self._pending.append((self.keyword or "(", self.place))
            self.place += 1

    def _after_operand(self) -> None:
        """Close what ends here; an operand in parentheses may prove to be the left side of a comparison."""
        while self.token.text == ")" and any(operator == "(" for operator, _ in self._pending):
            if self._pending[-1][0] != "(" or not isinstance(self._nodes[-1], Path | Value | FunctionCall):
                self._reduce(0)
            _, opening = self._pending.pop()
            self.close(opening)
            self._nodes.append(self._comparison(self._nodes.pop()))
        self._require_condition()

    def _require_condition(self) -> None:
        operand = self._nodes[-1]
        if isinstance(operand, Path | Value):
            self.fail()
        if isinstance(operand, FunctionCall):
            if operand.name not in TESTS:
                self.misuse(operand.name)
            if operand not in self._leaves[-1:]:
                self._leaves.append(operand)

    def _operator(self, operator: str) -> None:
        self.count_operator()
        self._reduce(BINDING[operator])
        self._pending.append((operator, self.place))
        self.place += 1

    def _reduce(self, binding: int) -> None:
        """Apply the pending operators that bind at least this strongly, back to the open parenthesis."""
        self._require_condition()
        while self._pending and BINDING.get(self._pending[-1][0], -1) >= binding:
            operator, _ = self._pending.pop()
            right: Node = self._nodes.pop()  # type: ignore[assignment]  # operands do not get past _require_condition
            if operator == "NOT":
                self._nodes.append(Not(right))
                continue
            left: Node = self._nodes.pop()  # type: ignore[assignment]
            kind = And if operator == "AND" else Or
            self._nodes.append(
                kind(
                    (left.conditions if isinstance(left, kind) else (left,))
                    + (right.conditions if isinstance(right, kind) else (right,))
                )
            )

    def _comparison(self, left: Node | Operand) -> Node | Operand:
        """The comparison that begins with this operand, or what was given when none follows."""
        if not isinstance(left, Path | Value | FunctionCall):
            return left
        if self.token.text in COMPARATORS:
            operator = self.take("sign")
            leaf: Compare | Between | In = Compare(operator, left, self.operand())
        elif self.skip("BETWEEN"):
            low = self.operand()
            self.need("AND")
            leaf = Between(left, low, self.operand())
        elif self.skip("IN"):
            leaf = In(left, self._options())
        else:
            return left
        return self._leaf(leaf)

    def _leaf(self, leaf: Compare | Between | In) -> Leaf:
        self.count_operator()
        for operand in operands_of(leaf):
            self.check_operand(operand)
        self._leaves.append(leaf)
        return leaf

    def _options(self) -> tuple[Operand, ...]:
        self.need("(")
        options = self.several(self.operand)
        self.need(")")
        if len(options) > IN_OPERANDS:
            self.note(
                "limit",
                f"The IN operator is provided with too many operands; number of operands: {len(options)}",
            )
        return options


class _UpdateParser(Cursor):
    """Reads the sections of an update expression."""

    def parse(self) -> ParsedUpdate:
        """The whole text. Raises: ApiError."""
        actions: list[Action] = []
        seen: set[str] = set()
        while section := self.keyword:
            if section in seen:
                self.note(
                    "section", f'The "{section}" section can only be used once in an update expression;'
                )
            seen.add(section)
            self.place += 1
            actions += self.several(self._reader(section))
        self.finish("reserved word", "unknown function", "section")
        return ParsedUpdate(
            tuple(actions), tuple(self.used_names), tuple(self.used_values), self.fault("misused function")
        )

    def _reader(self, section: str) -> Callable[[], Action]:
        match section:
            case "SET":
                return self._set
            case "REMOVE":
                return lambda: Action("REMOVE", self.path())
            case _:
                return lambda: Action(section, self.path(), self._value())

    def _value(self) -> Value:
        name = self.take("value")
        self.used_values[name] = None
        return Value(name)

    def _set(self) -> Action:
        path = self.path()
        self.need("=")
        return Action("SET", path, self._sum())

    def _sum(self) -> Operand:
        """operand, operand + operand, operand - operand; the whole of it perhaps in parentheses."""
        if self.token.text == "(":
            opening = self.place
            self.place += 1
            left = self._inside(self._sum)
            self.close(opening)
            if isinstance(left, Arithmetic):
                return left
        else:
            left = self.operand()
        for operator in ("+", "-"):
            if self.skip(operator):
                self.count_operator()
                return Arithmetic(operator, left, self.operand())
        return left
