"""A text being read: its tokens one by one, and what every kind of expression is made of: paths, values,
functions.

Rules of this file: a syntax error is raised where it stands; what else is wrong is noted and judged once the
whole text is read, because DynamoDB reports it in an order of its own. Called by parser.py. Source: semantics
§6.3, §6.4.
"""

from collections.abc import Callable, Mapping
from typing import Final, NoReturn, TypeVar

from tailrace.expressions.nodes import FunctionCall, Operand, Part, Path, Value
from tailrace.expressions.reserved import RESERVED
from tailrace.expressions.tokens import Token, invalid, syntax_error, tokenize

OPERATORS: Final = 300
"""Source: AWS Developer Guide, "Service quotas": operators and functions in one expression."""
PATH_PARTS: Final = 32
"""A document has no more levels. Source: semantics §6.3."""
LARGEST_INDEX: Final = 2**31 - 1
CALLS: Final = 32
"""Functions inside functions: more have no meaning, and the reader must end."""
TESTS: Final = frozenset(
    {"attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains"}
)
CONDITION_FUNCTIONS: Final = TESTS | {"size"}
APPENDING: Final = "list_append"
"""Appends to what is in the item or in the request, never to what another one of it makes."""
UPDATE_FUNCTIONS: Final = frozenset({"if_not_exists", APPENDING})
T = TypeVar("T")


class Cursor:
    """One text being read. Shape: `place` is the token that comes next; `used_names`, `used_values` keep
    their order.
    """

    def __init__(self, text: str, kind: str, names: Mapping[str, str], keywords: frozenset[str]) -> None:
        self.text = text
        self.kind = kind
        self.tokens = tokenize(text, kind)
        self.place = 0
        self.used_names: dict[str, None] = {}
        self.used_values: dict[str, None] = {}
        self._names = names
        self._keywords = keywords
        self._faults: dict[str, str] = {}
        self._operators = 0
        self._calls = 0
        self._last_group = (-1, -1)

    # ---- tokens --------------------------------------------------------------------------------------------

    @property
    def token(self) -> Token:
        """The token that comes next."""
        return self.tokens[self.place]

    @property
    def keyword(self) -> str:
        """The next token as a keyword, empty if it is none."""
        token = self.tokens[self.place]
        if token.kind == "name" and (word := token.text.upper()) in self._keywords:
            return word
        return ""

    def fail(self) -> NoReturn:
        """Raise the syntax error for the next token."""
        syntax_error(self.text, self.kind, self.tokens, self.place)

    def skip(self, text: str) -> bool:
        """Step over a sign or keyword if it comes next."""
        token = self.tokens[self.place]
        if not (token.text == text if token.kind == "sign" else self.keyword == text):
            return False
        self.place += 1
        return True

    def need(self, text: str) -> None:
        """Step over a sign or keyword. Raises: ApiError when something else comes."""
        if not self.skip(text):
            self.fail()

    def take(self, kind: str) -> str:
        """The text of the next token, which is of this kind. Raises: ApiError when it is not."""
        token = self.tokens[self.place]
        if token.kind != kind:
            self.fail()
        self.place += 1
        return token.text

    def several(self, read: Callable[[], T]) -> tuple[T, ...]:
        """One or more, separated by commas."""
        parts = [read()]
        while self.skip(","):
            parts.append(read())
        return tuple(parts)

    # ---- faults --------------------------------------------------------------------------------------------

    def note(self, fault: str, reason: str) -> None:
        """Keep what is wrong until the end of the text; of each kind of fault the first one counts."""
        self._faults.setdefault(fault, reason)

    def finish(self, *order: str) -> None:
        """Raises: ApiError when a token follows, or for the first of these kinds of faults that was noted."""
        if self.token.kind != "end":
            self.fail()
        for fault in ("limit", "parentheses", *order):
            if fault in self._faults:
                raise invalid(self.kind, self._faults[fault])

    def fault(self, kind: str) -> str | None:
        """The reason that was noted for a kind of fault."""
        return self._faults.get(kind)

    def count_operator(self) -> None:
        """Count an operator or a function; one above the limit is noted as a fault."""
        self._operators += 1
        if self._operators > OPERATORS:
            self._faults["limit"] = (
                f"The expression contains too many operators; operator count: {self._operators}"
            )

    def close(self, opening: int) -> None:
        """Step over the parenthesis that closes the one at place `opening`, and note a pair directly inside a
        pair.
        """
        if self._last_group == (opening + 1, self.place - 1):
            self.note("parentheses", "The expression has redundant parentheses;")
        self._last_group = (opening, self.place)
        self.need(")")

    # ---- operands ------------------------------------------------------------------------------------------

    def operand(self) -> Operand:
        """A path, a value or a function, perhaps in parentheses."""
        token = self.tokens[self.place]
        if token.kind == "value":
            self.place += 1
            self.used_values[token.text] = None
            return Value(token.text)
        if token.text == "(":
            opening = self.place
            self.place += 1
            operand = self._inside(self.operand)
            self.close(opening)
            return operand
        if token.kind == "name" and self.tokens[self.place + 1].text == "(" and not self.keyword:
            return self._function()
        return self.path()

    def _inside(self, read: Callable[[], T]) -> T:
        self._calls += 1
        if self._calls > CALLS:
            raise invalid(self.kind, f"The expression is nested too deeply; nesting levels: {self._calls}")
        node = read()
        self._calls -= 1
        return node

    def _function(self) -> FunctionCall:
        name = self.take("name")
        self._check_function(name)
        self.count_operator()
        self.need("(")
        operands = self._inside(lambda: self.several(self.operand))
        self.need(")")
        if name in CONDITION_FUNCTIONS:
            for operand in operands:
                self.check_operand(operand)
        elif name == APPENDING and any(
            isinstance(operand, FunctionCall) and operand.name == APPENDING for operand in operands
        ):
            self.misuse(APPENDING)
        return FunctionCall(name, operands)

    def _check_function(self, name: str) -> None:
        is_update = self.kind == "UpdateExpression"
        if name in (UPDATE_FUNCTIONS if is_update else CONDITION_FUNCTIONS):
            return
        if is_update and name in CONDITION_FUNCTIONS:
            self.note(
                "misused function", f"The function is not allowed in an update expression; function: {name}"
            )
        elif name in UPDATE_FUNCTIONS:
            self.note(
                "unknown function", f"The function is not allowed in a condition expression; function: {name}"
            )
        else:
            self.note("unknown function", f"Invalid function name; function: {name}")

    def check_operand(self, operand: Operand) -> None:
        """In a condition only `size` stands for a value: note any other function."""
        if isinstance(operand, FunctionCall) and operand.name != "size":
            self.misuse(operand.name)

    def misuse(self, name: str) -> None:
        """Note a function in the wrong place."""
        self.note(
            "misused function",
            f"The function is not allowed to be used this way in an expression; function: {name}",
        )

    def path(self) -> Path:
        """A name, or name.name[0]."""
        parts: list[Part] = [self._name()]
        while True:
            if self.skip("."):
                parts.append(self._name())
            elif self.skip("["):
                parts.append(self._index())
                self.need("]")
            else:
                break
        if len(parts) > PATH_PARTS:
            self.note(
                "limit",
                f"The document path has too many nesting elements; nesting levels: {len(parts)}",
            )
        return Path(tuple(parts))

    def _index(self) -> int:
        index = int(self.take("number"))
        if index > LARGEST_INDEX:
            self.note("limit", f"List index is not within the allowable range; index: [{index}]")
        return index

    def _name(self) -> str:
        token = self.tokens[self.place]
        if token.kind == "names":
            self.place += 1
            self.used_names[token.text] = None
            return self._names.get(token.text, token.text)
        if self.keyword:
            self.fail()
        name = self.take("name")
        if name.upper() in RESERVED:
            self.note("reserved word", f"Attribute name is a reserved keyword; reserved keyword: {name}")
        return name
