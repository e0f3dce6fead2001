"""Text → tokens.

Rules of this file: one pass, no backtracking; a character that begins no token is a syntax error where it
stands. Names begin with a letter. Called by cursor.py.
"""

import re
from typing import Final, NamedTuple, NoReturn

from tailrace.errors import ApiError, validation_error

TOKEN: Final = re.compile(
    r"\s*(?:(?P<name>[A-Za-z][A-Za-z0-9_]*)|(?P<names>#[A-Za-z0-9_]+)|(?P<value>:[A-Za-z0-9_]+)|(?P<number>[0-9]+)"
    r"|(?P<sign><>|<=|>=|[=<>()\[\],.+-]))"
)
UNKNOWN: Final = re.compile(r"\s*\S")
"""A character that begins no token: shown after a wrong token as what comes next."""
REST: Final = re.compile(r"\s*\Z")
EXPRESSION_BYTES: Final = 4_096
"""Source: AWS Developer Guide, "Expression parameters": 4 KB."""
END: Final = "<EOF>"


class Token(NamedTuple):
    """A token and where it stands. Shape: kind is name, names (`#x`), value (`:x`), number, sign, unknown or
    end.
    """

    kind: str
    text: str
    start: int
    end: int


def invalid(kind: str, reason: str) -> ApiError:
    """The error for an expression. `kind` is the parameter's name, e.g. `UpdateExpression`."""
    return validation_error(f"Invalid {kind}: {reason}")


def tokenize(text: str, kind: str) -> list[Token]:
    """All tokens, an end token last. Raises: ApiError.

    >>> [token.text for token in tokenize("#a[1]<>:b", "ConditionExpression")]
    ['#a', '[', '1', ']', '<>', ':b', '<EOF>']
    """
    if (size := len(text.encode())) > EXPRESSION_BYTES:
        detail = "" if kind == "UpdateExpression" else f" expression size: {size}"
        raise invalid(kind, f"Expression size has exceeded the maximum allowed size;{detail}")
    tokens: list[Token] = []
    place = 0
    while (match := TOKEN.match(text, place)) is not None:
        group = str(match.lastgroup)
        place = match.end()
        tokens.append(Token(group, match[group], match.start(group), place))
    if REST.match(text, place) is None:
        start = place + len(text[place:]) - len(text[place:].lstrip())
        tokens.append(Token("unknown", text[start], start, start + 1))
        syntax_error(text, kind, tokens, len(tokens) - 1)
    if not tokens:
        raise invalid(kind, "The expression can not be empty;")
    tokens.append(Token("end", END, len(text), len(text)))
    return tokens


def syntax_error(text: str, kind: str, tokens: list[Token], index: int) -> NoReturn:
    """Raise the error for the token at this place, shown with its neighbours as they are written; the end has
    no text.
    """
    token = tokens[index]
    start = tokens[index - 1].start if index else token.start
    end = tokens[index - 1].end if index else token.end
    if token.kind != "end":
        following = TOKEN.match(text, token.end) or UNKNOWN.match(text, token.end)
        end = following.end() if following else token.end
    raise invalid(kind, f'Syntax error; token: "{token.text}", near: "{text[start:end]}"')
