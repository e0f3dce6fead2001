"""Items → columns: the values of a batch, column by column, and the columns grown by what was new in them.

Theory of operation: columns that are known are taken one after another from all items, by one comprehension a
column. Nearly always all values have the column's kind, and the columns have as many values as the items have
attributes: then nothing is new. Else the columns whose values did not fit, and what the items have beside the
columns, are looked at value by value: first kinds grow, then all values of a column are made by its kind, so
that the order of items in a batch makes no difference.
Rules of this file: nothing is dropped. What has no place stands in `_extra` of its row and is counted. A new
attribute gets the kind that most of the batch's values have.
"""

from base64 import b64decode
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, TypeAlias

import orjson
from msgspec import Struct

from tailrace.columns.kinds import NOTHING, Family, Kind, join, kind_of, largest_int64, widened
from tailrace.columns.schema import Column, TableColumns
from tailrace.columns.values import column_value, extra_text, json_text
from tailrace.values.types import AttributeValue, Item


class ColumnBatch(Struct, frozen=True):
    """A batch in columns.

    Shape:   `values[i]` are the values of `table.stored[i]`, one a row, rows in the order of the items;
             `extra[row]` is what has no place in a column, as JSON text (values.py), mostly None.
             `conflicts` counts it, by attribute. `table` are the columns given, grown.
    """

    table: TableColumns
    values: tuple[list[Any], ...]
    extra: list[str | None]
    conflicts: dict[str, int]


class KindCount(Struct):
    """Values of one type: how many, and the least kind that holds them all."""

    kind: Kind
    count: int = 0


KindCounts: TypeAlias = dict[str, KindCount]
"""By type: the family of the kind, one for all numbers."""


def decode_items(images: Iterable[bytes]) -> list[Item]:
    """Items of images, as change records have them (DynamoDB JSON)."""
    return list(map(orjson.loads, images))


def columnise(table: TableColumns, items: Sequence[Item]) -> ColumnBatch:
    """The columns of canonical items of one entity. An item of keys alone has None in the other columns."""
    taken: dict[str, list[Any]] = {}
    misfits: list[str] = []
    seen = 0
    for column in table.columns:
        present, values = _taken(column, items)
        seen += present
        if values is None:
            misfits.append(column.attribute)
        else:
            taken[column.attribute] = values
    is_new = seen != sum(map(len, items))
    if not misfits and not is_new:
        stored = tuple([taken[column.attribute] for column in table.stored])
        return ColumnBatch(table, stored, [None] * len(items), {})
    return _value_by_value(table, items, taken, _kinds_of(table, items, misfits, is_new))


# ---- column by column --------------------------------------------------------------------------------------


def _taken(column: Column, items: Sequence[Item]) -> tuple[int, list[Any] | None]:
    """How many items have the attribute, and its values; None where one of them does not fit."""
    attribute, kind = column.attribute, column.kind
    type_ = TYPES.get(kind.family)
    try:
        if type_ is not None:
            texts = [item[attribute][type_] for item in items]
            return len(items), READERS[kind.family](texts, kind)
    except (KeyError, ValueError):
        pass  # an item lacks it, or has it with another type: NULL perhaps
    given = [item.get(attribute) for item in items]
    present = len(given) - given.count(None)
    try:
        if kind.family == "json":
            return present, [
                None if value is None or "NULL" in value else json_text(value) for value in given
            ]
        if type_ is None:
            return present, given if not present else _nulls(given)
        contents = [None if value is None or "NULL" in value else value[type_] for value in given]
        there = [content for content in contents if content is not None]
        values = iter(READERS[kind.family](there, kind))
    except (KeyError, ValueError):
        return present, None
    return present, [None if content is None else next(values) for content in contents]


def _nulls(given: list[Any]) -> list[Any] | None:
    return [None] * len(given) if all(value is None or "NULL" in value for value in given) else None


def _int64(texts: list[Any], kind: Kind) -> list[Any]:
    values = list(map(int, texts))
    bound = largest_int64(kind)
    if values and (max(values) > bound or min(values) < -bound):
        raise ValueError("a wider kind")
    return values


def _decimal(texts: list[Any], kind: Kind) -> list[Any]:
    values = list(map(Decimal, texts))
    scale = max([len(text) - text.index(".") - 1 for text in texts if "." in text], default=0)
    bound = 10**kind.whole
    if values and (scale > kind.scale or max(values) >= bound or min(values) <= -bound):
        raise ValueError("a wider kind")
    return values


def _same(contents: list[Any], kind: Kind) -> list[Any]:
    return contents


TYPES: Final[Mapping[Family, str]] = {
    "bool": "BOOL", "int64": "N", "decimal": "N", "digits": "N", "text": "S", "binary": "B",
}  # fmt: skip
READERS: Final[Mapping[Family, Callable[[list[Any], Kind], list[Any]]]] = {
    "bool": _same, "int64": _int64, "decimal": _decimal, "digits": _same, "text": _same,
    "binary": lambda contents, kind: list(map(b64decode, contents)),
}  # fmt: skip
"""Contents of the type → values. Raises: ValueError when the kind must grow."""


# ---- value by value ----------------------------------------------------------------------------------------


def count_kinds(counts: dict[str, KindCounts], attribute: str, value: AttributeValue) -> None:
    """One more value: a type is counted once for all numbers."""
    kind = kind_of(value)
    type_ = "number" if kind.is_number else kind.family
    known = counts.setdefault(attribute, {}).setdefault(type_, KindCount(kind))
    known.kind = join(known.kind, kind)
    known.count += 1


def settled_kind(column: Kind, counts: KindCounts) -> Kind:
    """What a column becomes by the values counted; one that had no kind gets that of most of them."""
    kinds = {type_: counted for type_, counted in counts.items() if counted.kind != NOTHING}
    if column == NOTHING and kinds:
        return max(kinds.items(), key=lambda pair: (pair[1].count, pair[0]))[1].kind
    for counted in kinds.values():
        column = widened(column, counted.kind) or column
    return column


def _kinds_of(
    table: TableColumns, items: Sequence[Item], misfits: Sequence[str], is_new: bool
) -> dict[str, KindCounts]:
    counts: dict[str, KindCounts] = {}
    known = {column.attribute for column in table.columns}
    for item in items:
        for attribute in misfits:
            if attribute in item:
                count_kinds(counts, attribute, item[attribute])
        if is_new:
            for attribute in item.keys() - known:
                count_kinds(counts, attribute, item[attribute])
    return counts


def _value_by_value(
    table: TableColumns,
    items: Sequence[Item],
    taken: Mapping[str, list[Any]],
    counts: Mapping[str, KindCounts],
) -> ColumnBatch:
    before = {column.attribute: column.kind for column in table.columns}
    grown = table.grown(
        {
            attribute: settled_kind(before.get(attribute, NOTHING), kinds)
            for attribute, kinds in counts.items()
        }
    )
    left: list[Item] = [{} for _ in items]
    values: dict[str, list[Any]] = {**taken}
    for column in grown.columns:
        if column.attribute in counts:
            values[column.attribute] = _fitting(column, items, left)
    for attribute in counts.keys() - {column.attribute for column in grown.columns}:
        for row, item in enumerate(items):
            if attribute in item:
                left[row][attribute] = item[attribute]
    conflicts: dict[str, int] = {}
    for extra in left:
        for attribute in extra:
            conflicts[attribute] = conflicts.get(attribute, 0) + 1
    return ColumnBatch(
        grown,
        tuple([values[column.attribute] for column in grown.stored]),
        [extra_text(extra) if extra else None for extra in left],
        conflicts,
    )


def _fitting(column: Column, items: Sequence[Item], left: Sequence[Item]) -> list[Any]:
    """The column's values; those that do not fit go to `left`."""
    attribute, kind = column.attribute, column.kind
    values: list[Any] = []
    for item, extra in zip(items, left, strict=True):
        value = item.get(attribute)
        if value is None or "NULL" in value:
            values.append(None)
        elif widened(kind, kind_of(value)) == kind:
            values.append(column_value(value, kind.family))
        else:
            extra[attribute] = value
            values.append(None)
    return values
