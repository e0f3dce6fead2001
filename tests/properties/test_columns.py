"""Columns of any items: kinds are a lattice, and a row with its `_extra` holds what the item held.

Rules of this file: items are canonical, as the engine's are.
"""

from base64 import b64encode
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tailrace.columns.batches import ColumnBatch, columnise
from tailrace.columns.kinds import (
    BINARY,
    BOOL,
    DIGITS_AS_TEXT,
    JSON,
    NOTHING,
    TEXT,
    Kind,
    decimal,
    join,
    widened,
)
from tailrace.columns.naming import Naming
from tailrace.columns.schema import Column, TableColumns
from tailrace.columns.values import json_text, json_without_nul, with_nul, without_nul
from tailrace.values.canonical import normalise
from tailrace.values.types import AttributeValue, Item
from tailrace.values.wire import read_item

KINDS = st.one_of(
    st.sampled_from((NOTHING, BOOL, TEXT, BINARY, JSON, DIGITS_AS_TEXT)),
    st.builds(lambda whole: Kind("int64", whole), st.integers(0, 19)),
    st.builds(decimal, st.integers(0, 40), st.integers(0, 40)),
)
NUMBERS = st.one_of(
    st.integers(-(10**20), 10**20).map(str),
    st.integers(-(2**63) - 1, 2**63).map(str),
    st.builds(
        lambda digits, exponent: normalise(f"{digits}E{exponent}"),
        st.integers(-(10**38) + 1, 10**38 - 1),
        st.integers(-130, 80),
    ).filter(bool),
)
SCALARS = st.one_of(
    st.text(max_size=4).map(lambda text: {"S": text}),
    NUMBERS.map(lambda number: {"N": number}),
    st.booleans().map(lambda truth: {"BOOL": truth}),
    st.binary(max_size=3).map(lambda data: {"B": b64encode(data).decode()}),
    st.just({"NULL": True}),
)
VALUES = st.recursive(
    SCALARS,
    lambda inside: st.one_of(
        st.lists(inside, max_size=2).map(lambda values: {"L": values}),
        st.dictionaries(st.text(min_size=1, max_size=2), inside, max_size=2).map(
            lambda members: {"M": members}
        ),
    ),
    max_leaves=4,
)
ITEMS = st.dictionaries(st.sampled_from(("a", "A", "b", "b.c", "")).filter(bool), VALUES, max_size=4).map(
    read_item
)
BATCHES = st.lists(ITEMS, max_size=5)
EMPTY = TableColumns("t", "t", ())


def check_lattice(join: Callable[[Kind, Kind], Kind], a: Kind, b: Kind, c: Kind) -> None:
    assert join(a, a) == a
    assert join(a, b) == join(b, a)
    assert join(join(a, b), c) == join(a, join(b, c))
    # Monotone: what is below stays below.
    assert join(join(a, c), join(join(a, b), c)) == join(join(a, b), c)


@given(KINDS, KINDS, KINDS)
def test_kinds_are_a_lattice(a: Kind, b: Kind, c: Kind) -> None:
    check_lattice(join, a, b, c)


def keeps_the_first(a: Kind, b: Kind) -> Kind:
    return a if a != NOTHING else b


def forgets_digits(a: Kind, b: Kind) -> Kind:
    joined = join(a, b)
    return Kind("decimal", joined.whole, a.scale) if joined.family == "decimal" else joined


@pytest.mark.parametrize("broken", [keeps_the_first, forgets_digits])
def test_a_join_that_is_none_is_caught(broken: Callable[[Kind, Kind], Kind]) -> None:
    with pytest.raises(AssertionError):
        check_lattice(broken, decimal(3, 2), decimal(2, 5), TEXT)


@given(KINDS, st.lists(KINDS))
def test_a_column_only_goes_up_and_never_leaves_its_type(column: Kind, seen: Sequence[Kind]) -> None:
    for kind in seen:
        wider = widened(column, kind)
        if wider is not None:
            assert join(column, wider) == wider == join(kind, wider)
            assert column == NOTHING or wider.is_number == column.is_number
            column = wider


VALUE_TYPES = {"bool": bool, "int64": int, "decimal": Decimal, "digits": str, "text": str, "binary": bytes}


def restored(value: Any, family: str) -> Any:
    """A column's value as the attribute value that it came from."""
    if value is None:
        return None
    match family:
        case "bool":
            return {"BOOL": value}
        case "text":
            return {"S": value}
        case "binary":
            return {"B": b64encode(value).decode()}
        case "json":
            return value
        case _:
            return {"N": normalise(f"{value:f}" if isinstance(value, Decimal) else str(value))}


def check_rows(items: Sequence[Item], batch: ColumnBatch) -> None:
    for row, item in enumerate(items):
        extra = orjson.loads(batch.extra[row] or "{}")
        assert batch.extra[row] != "{}"
        for column, values in zip(batch.table.stored, batch.values, strict=True):
            value: AttributeValue | None = item.get(column.attribute)
            if column.attribute in extra:
                assert values[row] is None
                assert extra[column.attribute] == value
            elif value is None or "NULL" in value:
                assert values[row] is None
            elif column.kind == JSON:
                assert values[row] == json_text(value)
            else:
                assert type(values[row]) is VALUE_TYPES[column.kind.family]
                assert restored(values[row], column.kind.family) == value
        known = {column.attribute for column in batch.table.columns}
        assert item.keys() <= known | extra.keys()
    assert sum(batch.conflicts.values()) == sum(len(orjson.loads(extra or "{}")) for extra in batch.extra)


@given(BATCHES, BATCHES)
def test_a_row_and_its_extra_hold_all_of_the_item(first: list[Item], second: list[Item]) -> None:
    one = columnise(EMPTY, first)
    check_rows(first, one)
    two = columnise(one.table, second)
    check_rows(second, two)
    two.table.changes_from(one.table)
    assert {column.name for column in one.table.columns} <= {column.name for column in two.table.columns}


MIXED: list[Item] = [{"a": {"N": "1"}}, {"a": {"N": "2"}, "b": {"S": "x"}}, {"a": {"S": "y"}}]


@pytest.mark.parametrize(
    "broken",
    [
        lambda batch: replace(batch, extra=[None] * 3),
        lambda batch: replace(batch, conflicts={}),
        lambda batch: replace(batch, values=([1, 3, None], *batch.values[1:])),
        lambda batch: replace(batch, values=(["1", "2", None], *batch.values[1:])),
        lambda batch: replace(
            batch, table=replace(batch.table, columns=batch.table.columns[:1]), values=batch.values[:1]
        ),
    ],
)
def test_a_batch_that_loses_something_is_caught(broken: Callable[[ColumnBatch], ColumnBatch]) -> None:
    batch = columnise(EMPTY, MIXED)
    check_rows(MIXED, batch)
    with pytest.raises((AssertionError, KeyError)):
        check_rows(MIXED, broken(batch))


@given(BATCHES)
def test_the_same_batch_again_grows_nothing_and_gives_the_same(items: list[Item]) -> None:
    once = columnise(EMPTY, items)
    again = columnise(once.table, items)
    assert again.table is once.table
    assert (again.values, again.extra) == (once.values, once.extra)


@given(st.lists(ITEMS, max_size=4).flatmap(lambda items: st.tuples(st.just(items), st.permutations(items))))
def test_the_order_of_a_batch_makes_no_difference_to_its_columns(pair: tuple[list[Item], list[Item]]) -> None:
    assert columnise(EMPTY, pair[0]).table == columnise(EMPTY, pair[1]).table


@given(BATCHES, BATCHES)
def test_merged_columns_hold_what_both_hold_or_keep_the_first(first: list[Item], second: list[Item]) -> None:
    one, two = columnise(EMPTY, first).table, columnise(EMPTY, second).table
    merged = one.merged(two)
    assert merged.merged(two) is merged.merged(one) is merged
    assert merged.columns[: len(one.columns)] == tuple(
        Column(column.name, column.attribute, merged.columns[place].kind)
        for place, column in enumerate(one.columns)
    )
    assert TableColumns.from_json(merged.as_json()) == merged
    merged.changes_from(one)


@given(st.lists(st.text(min_size=1, max_size=80), unique=True), st.booleans(), st.sampled_from((16, 63, 127)))
def test_names_are_distinct_short_enough_and_no_order_changes_them(
    attributes: list[str], folds: bool, longest: int
) -> None:
    naming = Naming(longest=longest, folds=folds, reserved=("seq",))
    names = naming.names(attributes)
    assert names.keys() == set(attributes)
    assert len({name.casefold() for name in names.values()}) == len(names)
    assert all(name and len(name.encode()) <= longest and "\0" not in name for name in names.values())
    assert names == naming.names(reversed(attributes))


@given(st.text(alphabet=st.sampled_from('\0␀0\\u"a')))
def test_a_text_without_nul_is_the_same_text(text: str) -> None:
    assert "\0" not in without_nul(text)
    assert with_nul(without_nul(text)) == text


@given(st.text(alphabet=st.sampled_from('\0␀0\\u"a')))
def test_json_without_nul_has_its_strings_so(text: str) -> None:
    safe = json_without_nul(json_text({"M": {text: {"S": text}}}))
    assert orjson.loads(safe) == {without_nul(text): without_nul(text)}
