"""Attribute values ⇄ what stands in a column.

Rules of this file: exact and lossless within a kind. Numbers keep all digits, inside JSON too; binaries are
bytes, inside JSON base64; sets are lists in their canonical order. NULL and an attribute that is absent are
both None. U+0000 stays, unless a target asks for its escape: PostgreSQL takes it neither in text nor in
jsonb.
"""

import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, TypeAlias

import orjson

from tailrace.columns.kinds import Family
from tailrace.values.canonical import EXACT
from tailrace.values.types import AttributeValue

ColumnValue: TypeAlias = int | Decimal | str | bytes | bool | None
"""int in an int64 column, Decimal in a decimal, str in text, digits (a number) and json (JSON text)."""

ESCAPE: Final = "\N{SYMBOL FOR NULL}"
"""U+2400 begins an escape: U+0000 is written as it and `0`, itself twice."""
RAW: Final = re.compile("[\0\N{SYMBOL FOR NULL}]")
ESCAPED: Final = re.compile("\N{SYMBOL FOR NULL}([0\N{SYMBOL FOR NULL}])")
RAW_IN_JSON: Final = re.compile(r"\\\\|\\u0000|" + ESCAPE)
IN_JSON: Final = {"\\\\": "\\\\", "\\u0000": ESCAPE + "0", ESCAPE: ESCAPE * 2}


def plain_json(value: AttributeValue) -> Any:
    """A value without DynamoDB's types, for orjson: numbers are fragments with all their digits."""
    for type_, content in value.items():
        match type_:
            case "S" | "BOOL" | "B":
                return content
            case "N":
                return orjson.Fragment(content)
            case "M":
                return {name: plain_json(inside) for name, inside in content.items()}
            case "L":
                return [plain_json(inside) for inside in content]
            case "NS":
                return [orjson.Fragment(number) for number in content]
            case "SS" | "BS":
                return content
    return None


def plain_number(value: Decimal) -> str:
    """The one text of a number: no exponent, no zeros at its ends.

    >>> plain_number(Decimal("1E+3")), plain_number(Decimal("-0.50")), plain_number(Decimal("-0"))
    ('1000', '-0.5', '0')
    """
    text = format(EXACT.create_decimal(value), "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def json_text(value: AttributeValue) -> str:
    """A value as plain JSON text, without DynamoDB's types; numbers have all their digits.

    >>> json_text({"M": {"total": {"N": "12345678901234567890.25"}, "tags": {"SS": ["a", "b"]}}})
    '{"total":12345678901234567890.25,"tags":["a","b"]}'
    """
    return orjson.dumps(plain_json(value)).decode()


def extra_text(left: Mapping[str, AttributeValue]) -> str:
    """What `_extra` holds of a row: attribute → value, as DynamoDB JSON text.

    >>> extra_text({"total": {"S": "none yet"}})
    '{"total":{"S":"none yet"}}'
    """
    return orjson.dumps(left).decode()


READERS: Final[dict[Family, Callable[[AttributeValue], ColumnValue]]] = {
    "bool": lambda value: value["BOOL"],
    "int64": lambda value: int(value["N"]),
    "decimal": lambda value: Decimal(value["N"]),
    "digits": lambda value: value["N"],
    "text": lambda value: value["S"],
    "binary": lambda value: b64decode(value["B"]),
    "json": json_text,
}


def column_value(value: AttributeValue, family: Family) -> ColumnValue:
    """A canonical value in a column that has a place for it. Raises: KeyError for one that has not.

    >>> column_value({"N": "7"}, "decimal"), column_value({"NULL": True}, "text")
    (Decimal('7'), None)
    """
    return None if "NULL" in value else READERS[family](value)


def without_nul(text: str) -> str:
    """A text without U+0000, from which `with_nul` makes the same text again. Most are the text itself.

    >>> without_nul("a\\0b"), with_nul(without_nul("a\\0b")) == "a\\0b"
    ('a␀0b', True)
    """
    if "\0" not in text and ESCAPE not in text:
        return text
    return RAW.sub(lambda match: ESCAPE + ("0" if match[0] == "\0" else ESCAPE), text)


def with_nul(text: str) -> str:
    """What `without_nul` was given."""
    return ESCAPED.sub(lambda match: "\0" if match[1] == "0" else ESCAPE, text) if ESCAPE in text else text


def json_with_nul(text: str) -> str:
    """What `json_without_nul` was given."""
    if ESCAPE not in text:
        return text
    return ESCAPED.sub(lambda match: "\\u0000" if match[1] == "0" else ESCAPE, text)


def json_without_nul(text: str) -> str:
    """JSON text whose strings are as `without_nul` writes them.

    >>> json_without_nul(json_text({"L": [{"S": "a\\0b"}]}))
    '["a␀0b"]'
    """
    if "\\u0000" not in text and ESCAPE not in text:
        return text
    return RAW_IN_JSON.sub(lambda match: IN_JSON[match[0]], text)
