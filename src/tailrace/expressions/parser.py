"""Tokens → nodes, by recursive descent.

Rules of this file: syntax only, and what depends on nothing but the text: unknown functions, functions in the wrong place,
redundant parentheses, repeated sections, reserved words, limits. Syntax errors come first; of the others the one that AWS
reports first. Each text is parsed once and kept. Called by condition.py, update.py, projection.py. Source: semantics §6.4.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Final, NoReturn, TypeVar

from tailrace.errors import ApiError
from tailrace.expressions.nodes import (
    Action,
    And,
    Arithmetic,
    Between,
    Compare,
    Function,
    In,
    Node,
    Not,
    Operand,
    Or,
    Path,
    Value,
)  # fmt: skip
from tailrace.expressions.reserved import RESERVED
from tailrace.expressions.tokens import Token, invalid, syntax_error, tokenize

TESTS: Final = frozenset(
    {"attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains"}
)
COMPARATORS: Final = frozenset({"=", "<>", "<", "<=", ">", ">="})
SET_FUNCTIONS: Final = frozenset({"if_not_exists", "list_append"})
SECTIONS: Final = ("SET", "REMOVE", "ADD", "DELETE")
OPERATORS: Final = 300
IN_OPERANDS: Final = 100
DEPTH: Final = 64
CACHED: Final = 2_048
RANKS: Final = {
    "UpdateExpression": ("reserved", "unknown function", "section"),
    "ProjectionExpression": ("reserved",),
}
CONDITION_RANKS: Final = ("parentheses", "unknown function", "misused function", "reserved", "count")
"""What AWS reports first when several things are wrong with one expression."""
T = TypeVar("T")


@lru_cache(CACHED)
def parse_condition_text(text: str, kind: str) -> Node:
    """The node of a condition. Raises: ApiError."""
    parser = _Parser(text, kind)
    node = parser.condition()
    parser.end()
    return node


@lru_cache(CACHED)
def parse_update_text(text: str) -> tuple[Action, ...]:
    """The actions of an update expression, in the order of the text. Raises: ApiError."""
    parser = _Parser(text, "UpdateExpression")
    actions = parser.update()
    parser.end()
    return actions


@lru_cache(CACHED)
def parse_projection_text(text: str) -> tuple[Path, ...]:
    """The paths of a projection expression. Raises: ApiError."""
    parser = _Parser(text, "ProjectionExpression")
    paths = parser.several(parser.path)
    parser.end()
    return paths


class _Parser:
    """One text being read. Shape: `_place` is the token that comes next."""

    def __init__(self, text: str, kind: str) -> None:
        self._text = text
        self._kind = kind
        self._tokens = tokenize(text, kind)
        self._place = 0
        self._operators = 0
        self._depth = 0
        self._ranks = RANKS.get(kind, CONDITION_RANKS)
        self._problems: list[tuple[int, ApiError]] = []

    # ---- tokens ------------------------------------------------------------------------------------------------

    @property
    def _token(self) -> Token:
        return self._tokens[self._place]

    def _problem(self, sort: str, reason: str) -> None:
        """Note what is wrong although the syntax is right; `end` raises the first by AWS's order."""
        self._problems.append((self._ranks.index(sort), invalid(self._kind, reason)))

    def _fail(self) -> NoReturn:
        syntax_error(self._text, self._kind, self._tokens, self._place)

    def _take(self, kind: str) -> str:
        token = self._token
        if token.kind != kind:
            self._fail()
        self._place += 1
        return token.text

    def _skip(self, text: str) -> bool:
        """Step over a sign or keyword if it comes next."""
        if self._token.word != text or self._token.kind not in ("sign", "name"):
            return False
        self._place += 1
        return True

    def _need(self, text: str) -> None:
        if not self._skip(text):
            self._fail()

    def _count(self) -> None:
        self._operators += 1
        if self._operators > OPERATORS:
            raise invalid(
                self._kind,
                f"The expression contains too many operators; operator count: {self._operators}",
            )

    def end(self) -> None:
        """Nothing may follow, and nothing may have been wrong."""
        if self._token.kind != "end":
            self._fail()
        if self._problems:
            raise min(self._problems, key=lambda problem: problem[0])[1]

    def several(self, read: Callable[[], T]) -> tuple[T, ...]:
        """One or more, separated by commas."""
        found = [read()]
        while self._skip(","):
            found.append(read())
        return tuple(found)

    # ---- conditions ----------------------------------------------------------------------------------------------

    def condition(self) -> Node:
        """condition OR condition."""
        found = [self._conjunction()]
        while self._skip("OR"):
            self._count()
            found.append(self._conjunction())
        return found[0] if len(found) == 1 else Or(tuple(found))

    def _conjunction(self) -> Node:
        found = [self._negation()]
        while self._skip("AND"):
            self._count()
            found.append(self._negation())
        return found[0] if len(found) == 1 else And(tuple(found))

    def _negation(self) -> Node:
        if not self._skip("NOT"):
            return self._primary()
        self._count()
        return Not(self._deeper(self._negation))

    def _deeper(self, read: Callable[[], T]) -> T:
        self._depth += 1
        if self._depth > DEPTH:
            raise invalid(self._kind, f"The expression is nested too deeply; the limit is {DEPTH} levels")
        found = read()
        self._depth -= 1
        return found

    def _primary(self) -> Node:
        if self._token.text == "(":
            return self._parenthesised()
        is_function = self._is_function()
        operand = self._operand()
        if self._token.text in COMPARATORS or self._token.word in ("BETWEEN", "IN"):
            return self._comparison(operand)
        if not is_function or not isinstance(operand, Function):
            self._fail()
        if operand.name == "size":
            self._misused(operand.name)
        self._count()
        return operand

    def _parenthesised(self) -> Node:
        self._need("(")
        is_double = self._token.text == "("
        start = self._place
        found = self._deeper(self.condition)
        if is_double and self._closing(start) == self._place - 1:
            self._problem("parentheses", "The expression has redundant parentheses;")
        self._need(")")
        return found

    def _closing(self, opening: int) -> int:
        """The place of the parenthesis that closes this one."""
        depth = 0
        for place in range(opening, len(self._tokens)):
            depth += (self._tokens[place].text == "(") - (self._tokens[place].text == ")")
            if not depth:
                return place
        return -1

    def _comparison(self, left: Operand) -> Node:
        self._check_operand(left)
        self._count()
        if self._skip("BETWEEN"):
            low = self._checked_operand()
            self._need("AND")
            return Between(left, low, self._checked_operand())
        if self._skip("IN"):
            self._need("(")
            options = self.several(self._checked_operand)
            self._need(")")
            if len(options) > IN_OPERANDS:
                self._problem(
                    "count",
                    "Incorrect number of operands for operator or function; operator or function: IN, "
                    f"number of operands: {len(options)}",
                )
            return In(left, options)
        return Compare(self._take("sign"), left, self._checked_operand())

    def _checked_operand(self) -> Operand:
        operand = self._operand()
        self._check_operand(operand)
        return operand

    def _check_operand(self, operand: Operand) -> None:
        """Only size stands for a value in a condition."""
        if isinstance(operand, Function) and operand.name in TESTS:
            self._misused(operand.name)

    def _misused(self, name: str) -> None:
        self._problem(
            "misused function",
            f"The function is not allowed to be used this way in an expression; function: {name}",
        )

    # ---- operands --------------------------------------------------------------------------------------------------

    def _is_function(self) -> bool:
        return self._token.kind == "name" and self._tokens[self._place + 1].text == "("

    def _operand(self) -> Operand:
        if self._token.kind == "value":
            return Value(self._take("value"))
        return self._function() if self._is_function() else self.path()

    def _function(self) -> Function:
        name = self._take("name")
        is_update = self._kind == "UpdateExpression"
        known = SET_FUNCTIONS if is_update else TESTS | {"size"}
        if name not in known:
            reason = "Invalid function name"
            if name in SET_FUNCTIONS | TESTS | {"size"}:
                reason = (
                    f"The function is not allowed in {'an update' if is_update else 'a condition'} expression"
                )
            self._problem("unknown function", f"{reason}; function: {name}")
        self._need("(")
        operands = self._deeper(lambda: self.several(self._operand if is_update else self._checked_operand))
        self._need(")")
        return Function(name, operands)

    def path(self) -> Path:
        """name, or name.name[0]."""
        parts: list[str | int] = [self._name()]
        while True:
            if self._skip("."):
                parts.append(self._name())
            elif self._skip("["):
                parts.append(int(self._take("number")))
                self._need("]")
            else:
                return Path(tuple(parts))

    def _name(self) -> str:
        name = self._take("names" if self._token.kind == "names" else "name")
        if name.upper() in RESERVED:
            self._problem("reserved", f"Attribute name is a reserved keyword; reserved keyword: {name}")
        return name

    # ---- updates ---------------------------------------------------------------------------------------------------

    def update(self) -> tuple[Action, ...]:
        """The sections, each at most once."""
        actions: list[Action] = []
        seen: set[str] = set()
        while self._token.kind != "end":
            section = self._token.word
            if section not in SECTIONS or self._token.kind != "name":
                self._fail()
            if section in seen:
                self._problem(
                    "section", f'The "{section}" section can only be used once in an update expression;'
                )
            seen.add(section)
            self._place += 1
            actions += self.several(
                {"SET": self._set, "REMOVE": self._remove}.get(section, self._set_action(section))
            )
        return tuple(actions)

    def _set(self) -> Action:
        path = self.path()
        self._need("=")
        self._count()
        return Action("SET", path, self._sum())

    def _sum(self) -> Operand:
        left = self._term()
        for operator in ("+", "-"):
            if self._skip(operator):
                self._count()
                return Arithmetic(operator, left, self._term())
        return left

    def _term(self) -> Operand:
        if self._skip("("):
            found = self._deeper(self._sum)
            self._need(")")
            return found
        return self._operand()

    def _remove(self) -> Action:
        self._count()
        return Action("REMOVE", self.path())

    def _set_action(self, section: str) -> Callable[[], Action]:
        def read() -> Action:
            self._count()
            return Action(section, self.path(), Value(self._take("value")))

        return read
