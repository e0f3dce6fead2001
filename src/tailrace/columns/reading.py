"""Rows of columns back to items, and the digest of what a row shows.

Theory of operation: a row shows an item without what its columns do not keep: NULL is absent, a set is a list
in its canonical order, and inside JSON a binary is its base64. `shown` is an item so; two items of which it
is the same have the same row in every target. What stands in `_extra` is exact.
Rules of this file: pure. A digest depends on no kind of a column, so that one that becomes wider changes
none.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from decimal import Decimal
from hashlib import sha256
from json import JSONDecoder
from typing import Any, Final

import orjson

from tailrace.columns.schema import TableColumns
from tailrace.columns.values import ColumnValue, plain_json, plain_number
from tailrace.values.types import AttributeValue, Item


class _Number(str):
    """A number of JSON with all its digits."""

    __slots__ = ()


EXACT_JSON: Final = JSONDecoder(parse_int=_Number, parse_float=_Number)


def item_of_row(table: TableColumns, values: Sequence[ColumnValue], extra: str | None) -> Item:
    """The item that a row shows.

    Shape:   `values` are those of `table.stored`; a Decimal may stand in `digits`, too.
    """
    item: Item = {}
    for column, value in zip(table.stored, values, strict=True):
        if value is not None:
            item[column.attribute] = attribute_of(
                value, is_json=column.kind.family == "json", is_number=column.kind.is_number
            )
    return item if extra is None else {**item, **orjson.loads(extra)}


def attribute_of(value: ColumnValue, *, is_json: bool = False, is_number: bool = False) -> AttributeValue:
    """One value of a column as an attribute's.

    >>> attribute_of('{"total":12345678901234567890.25,"tags":["a"]}', is_json=True)
    {'M': {'total': {'N': '12345678901234567890.25'}, 'tags': {'L': [{'S': 'a'}]}}}
    """
    if is_json and isinstance(value, str):
        return _of_json(EXACT_JSON.decode(value))
    match value:
        case bool():
            return {"BOOL": value}
        case int() | Decimal():
            return {"N": plain_number(Decimal(value))}
        case bytes():
            return {"B": b64encode(value).decode()}
    return {"N" if is_number else "S": value}


def _of_json(value: Any) -> AttributeValue:
    match value:
        case _Number():
            return {"N": str(value)}
        case str():
            return {"S": value}
        case bool():
            return {"BOOL": value}
        case None:
            return {"NULL": True}
        case list():
            return {"L": [_of_json(inside) for inside in value]}
    return {"M": {name: _of_json(inside) for name, inside in value.items()}}


def shown(item: Mapping[str, AttributeValue]) -> bytes:
    """An item as rows show it: canonical JSON, the same for all items with one row.

    >>> shown({"tags": {"SS": ["a"]}, "n": {"N": "7"}, "none": {"NULL": True}})
    b'{"n":7,"tags":["a"]}'
    """
    plain = {name: plain_json(value) for name, value in item.items() if "NULL" not in value}
    return orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)


def digest_of(item: Mapping[str, AttributeValue]) -> bytes:
    """SHA-256 of what a row of this item shows."""
    return sha256(shown(item)).digest()
