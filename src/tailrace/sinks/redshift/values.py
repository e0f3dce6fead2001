"""Values as Redshift has them: inside of statements, and what SUPER keeps of numbers.

Theory of operation: both doors take statements with their values inside, for a list of statements has one set
of parameters, all of them texts. What SUPER does with a number that is neither a 64-bit integer nor has a
double's 15 digits is not documented: such a number inside of a list or a map is a text there, with all its
digits, and counts as that text where rows are compared. Numbers that are attributes have columns that keep
them.
Rules of this file: pure. What stands in `_extra` has its numbers in texts anyhow.
"""

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, Final

import orjson

from tailrace.columns.kinds import LARGEST_INT64, SMALLEST_INT64
from tailrace.columns.reading import attribute_of
from tailrace.columns.values import plain_json, plain_number, without_nul
from tailrace.sinks.sql.statements import Ask
from tailrace.values.types import AttributeValue

TEXT_BYTES: Final = 65_535
"""Of a VARCHAR."""
EXACT_DIGITS: Final = 15
"""Digits that every number of a double has."""
NESTED: Final = frozenset(("M", "L", "NS"))
"""Types of attributes that have numbers inside."""
LONG_NUMBER: Final = re.compile(r"[0-9.]{16}")
"""What may be a number that SUPER does not keep; a text may have it, too."""
KEYS_AT_ONCE: Final = 400
KEYS_BYTES: Final = 50_000
"""Of the keys that one statement asks for."""


def written(ask: Ask) -> str:
    """A statement with its values inside.

    >>> written(Ask("SELECT %s, %s, '100%%'", ["it's", 7]))
    "SELECT 'it''s', 7, '100%'"
    """
    return ask.sql % tuple(map(literal, ask.parameters))


def literal(value: Any) -> str:
    r"""A value as SQL has it. Shape: bytes are their hexadecimal digits, as keys are kept.

    Guarantee: what a setting may read as an escape, and whatever is not printable, stands as digits.

    >>> literal("it's"), literal(None), literal(b"a"), literal("\\")
    ("'it''s'", 'NULL', "'61'", "FROM_VARBYTE(FROM_HEX('5c'), 'utf-8')")
    """
    match value:
        case None:
            return "NULL"
        case bool():
            return "TRUE" if value else "FALSE"
        case int():
            return str(value)
        case bytes():
            return f"'{value.hex()}'"
    text = str(value)
    if "\\" in text or not text.isprintable():
        return f"FROM_VARBYTE(FROM_HEX('{text.encode().hex()}'), 'utf-8')"
    return "'" + text.replace("'", "''") + "'"


def marks(values: Sequence[Any]) -> str:
    """So many parameters."""
    return ", ".join(["%s"] * len(values))


def keys_in_pages(keys: Sequence[bytes]) -> Iterable[list[bytes]]:
    """As many keys as one statement asks for."""
    page: list[bytes] = []
    size = 0
    for key in keys:
        if page and (len(page) == KEYS_AT_ONCE or size + 2 * len(key) > KEYS_BYTES):
            yield page
            page, size = [], 0
        page.append(key)
        size += 2 * len(key)
    if page:
        yield page


def is_long_text(text: str) -> bool:
    """Whether a VARCHAR has no room for it."""
    return len(text) * 8 > TEXT_BYTES and len(without_nul(text).encode()) > TEXT_BYTES


def is_long_binary(value: bytes) -> bool:
    """Whether a VARCHAR has no room for its hexadecimal digits."""
    return 2 * len(value) > TEXT_BYTES


# ---- numbers inside ----------------------------------------------------------------------------------------


def as_super(value: AttributeValue) -> AttributeValue:
    """A value as SUPER keeps it: long numbers are texts, the others have one form.

    >>> as_super({"L": [{"N": "12345678901234567890"}, {"N": "0.50"}]})
    {'L': [{'S': '12345678901234567890'}, {'N': '0.5'}]}
    """
    for type_, content in value.items():
        match type_:
            case "N":
                number = plain_number(Decimal(content))
                return {"N" if _is_kept(number) else "S": number}
            case "M":
                return {"M": {name: as_super(inside) for name, inside in content.items()}}
            case "L":
                return {"L": [as_super(inside) for inside in content]}
            case "NS":
                return {"L": [as_super({"N": number}) for number in content]}
    return value


def super_text(text: str) -> str:
    """JSON text for SUPER.

    >>> super_text('{"n":1,"large":12345678901234567890}')
    '{"n":1,"large":"12345678901234567890"}'
    """
    if LONG_NUMBER.search(text) is None:
        return text
    return orjson.dumps(plain_json(as_super(attribute_of(text, is_json=True)))).decode()


def _is_kept(number: str) -> bool:
    digits = number.lstrip("-")
    if "." in digits:
        return len(digits) - 1 <= EXACT_DIGITS
    return len(digits) <= EXACT_DIGITS or SMALLEST_INT64 <= int(number) <= LARGEST_INT64
