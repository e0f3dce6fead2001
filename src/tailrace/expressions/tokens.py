"""Text → tokens.

Rules of this file: one pass, no backtracking; a character that begins no token is a syntax error where it stands. Names
begin with a letter. Called by parser.py.
"""

import re
from dataclasses import dataclass
from typing import Final, NoReturn

from tailrace.errors import ApiError, validation_error

TOKEN: Final = re.compile(
    r"(?P<name>[A-Za-z][A-Za-z0-9_]*)|(?P<names>\#[A-Za-z0-9_-]+)|(?P<value>:[A-Za-z0-9_-]+)|(?P<number>[0-9]+)"
    r"|(?P<sign><>|<=|>=|[=<>()\[\],.+-])"
)
SPACE: Final = re.compile(r"\s*")
EXPRESSION_BYTES: Final = 4_096
"""Source: AWS Developer Guide, "Expression parameters": 4 KB."""
END: Final = "<EOF>"


@dataclass(frozen=True, slots=True)
class Token:
    """A token and where it stands. Shape: kind is name, names (`#x`), value (`:x`), number, sign or end."""

    kind: str
    text: str
    start: int
    end: int

    @property
    def word(self) -> str:
        """The token as a keyword."""
        return self.text.upper() if self.kind == "name" else self.text


def invalid(kind: str, reason: str) -> ApiError:
    """The error for an expression. `kind` is the parameter's name, e.g. `UpdateExpression`."""
    return validation_error(f"Invalid {kind}: {reason}")


def tokenize(text: str, kind: str) -> list[Token]:
    """All tokens, an end token last. Raises: ApiError."""
    if not text:
        raise invalid(kind, "The expression can not be empty;")
    if (size := len(text.encode())) > EXPRESSION_BYTES:
        raise invalid(kind, f"Expression size has exceeded the maximum allowed size; expression size: {size}")
    tokens: list[Token] = []
    place = _after_space(text, 0)
    while place < len(text):
        found = TOKEN.match(text, place)
        if found is None or found.lastgroup is None:
            tokens.append(Token("unknown", text[place], place, place + 1))
            syntax_error(text, kind, tokens, len(tokens) - 1)
        tokens.append(Token(found.lastgroup, found.group(), place, found.end()))
        place = _after_space(text, found.end())
    if not tokens:
        raise invalid(kind, "The expression can not be empty;")
    tokens.append(Token("end", END, len(text), len(text)))
    return tokens


def _after_space(text: str, place: int) -> int:
    found = SPACE.match(text, place)
    return found.end() if found else place


def syntax_error(text: str, kind: str, tokens: list[Token], index: int) -> NoReturn:
    """Raise the error for the token at this place, shown with its neighbours."""
    token = tokens[index]
    before = f"{tokens[index - 1].text} " if index else ""
    if token.kind == "end":
        near = before + END
    else:
        following = TOKEN.match(text, _after_space(text, token.end))
        near = before + text[token.start : following.end() if following else token.end]
    raise invalid(kind, f'Syntax error; token: "{token.text}", near: "{near}"')
