"""Facts of batches: what is new grows the columns, what conflicts is left beside them and counted."""

from decimal import Decimal
from typing import Any

import orjson
import pytest

from tailrace.columns.batches import ColumnBatch, columnise, decode_items
from tailrace.columns.kinds import BOOL, DIGITS_AS_TEXT, INT64, JSON, NOTHING, TEXT, Kind
from tailrace.columns.naming import Naming
from tailrace.columns.schema import TableColumns
from tailrace.values.types import Item

EMPTY = TableColumns("t", "t", ("pk",))


def items_of(*values: Any) -> list[Item]:
    """Items whose attribute `a` has these values; None: it is absent."""
    return [
        {"pk": {"S": str(row)}, **({} if value is None else {"a": value})} for row, value in enumerate(values)
    ]


def n(*numbers: str) -> list[dict[str, str]]:
    return [{"N": number} for number in numbers]


def column(batch: ColumnBatch, attribute: str = "a") -> list[Any]:
    names = [column.attribute for column in batch.table.stored]
    return batch.values[names.index(attribute)]


def kind(batch: ColumnBatch) -> Kind | None:
    known = batch.table.column("a")
    return None if known is None else known.kind


def test_images_become_columns() -> None:
    batch = columnise(EMPTY, decode_items([b'{"pk":{"S":"x"},"a":{"N":"1"}}', b'{"pk":{"S":"y"}}']))
    assert batch.values == (["x", "y"], [1, None])
    assert batch.extra == [None, None]
    assert batch.conflicts == {}
    assert batch.table.version == 1


def test_no_items_have_no_rows() -> None:
    batch = columnise(columnise(EMPTY, items_of(*n("1"))).table, [])
    assert batch.values == ([], [])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([{"BOOL": False}], [False]),
        ([{"S": "a\0b"}], ["a\0b"]),
        ([{"B": "AP8="}], [b"\0\xff"]),
        (n("-9223372036854775808", "9223372036854775807"), [-(2**63), 2**63 - 1]),
        (n("1", "0.25"), [Decimal(1), Decimal("0.25")]),
        (n("9" * 38), [Decimal("9" * 38)]),
        (n("1", "1" + "0" * 125), ["1", "1" + "0" * 125]),
        (n("0." + "0" * 129 + "1"), ["0." + "0" * 129 + "1"]),
        ([{"L": [{"N": "1.50"[:3]}, {"NULL": True}]}], ["[1.5,null]"]),
        (
            [{"M": {"b": {"B": "AP8="}, "n": {"NS": ["9" * 38, "0.5"]}}}],
            ['{"b":"AP8=","n":[' + "9" * 38 + ",0.5]}"],
        ),
        ([{"SS": ["a", "b"]}, {"BS": ["AA=="]}], ['["a","b"]', '["AA=="]']),
    ],
)
def test_values_are_exact_and_so_are_those_of_the_next_batch(values: list[Item], expected: list[Any]) -> None:
    batch = columnise(EMPTY, items_of(*values))
    assert column(batch) == expected
    assert [type(value) for value in column(batch)] == [type(value) for value in expected]
    again = columnise(batch.table, items_of(*values))
    assert again.table is batch.table
    assert column(again) == expected
    assert [type(value) for value in column(again)] == [type(value) for value in expected]


def test_null_and_absent_are_none_and_leave_no_trace() -> None:
    table = columnise(EMPTY, items_of({"S": "x"})).table
    batch = columnise(table, items_of({"NULL": True}, None, {"S": ""}))
    assert column(batch) == [None, None, ""]
    assert batch.extra == [None] * 3
    assert batch.table is table


@pytest.mark.parametrize(
    "value",
    [{"BOOL": True}, {"S": "a"}, {"B": "AA=="}, {"N": "1"}, {"N": "0.5"}, {"N": "1" + "0" * 99}, {"L": []}],
)
def test_nulls_among_values_of_every_kind(value: Item) -> None:
    table = columnise(EMPTY, items_of(value)).table
    batch = columnise(table, items_of({"NULL": True}, value, None))
    assert [cell is None for cell in column(batch)] == [True, False, True]
    assert batch.table is table


def test_an_attribute_of_nulls_alone_is_known_and_has_no_column() -> None:
    batch = columnise(EMPTY, items_of({"NULL": True}))
    assert kind(batch) == NOTHING
    assert batch.values == (["0"],)
    again = columnise(batch.table, items_of({"NULL": True}, None))
    assert again.table is batch.table
    later = columnise(batch.table, items_of({"NULL": True}, {"BOOL": True}))
    assert kind(later) == BOOL
    assert column(later) == [None, True]


@pytest.mark.parametrize(
    ("first", "then", "after"),
    [
        ("1", "12", Kind("int64", 2)),
        ("1", "-12", Kind("int64", 2)),
        ("1", "9223372036854775808", Kind("decimal", 19)),
        ("1", "0.5", Kind("decimal", 1, 1)),
        ("0.5", "0.25", Kind("decimal", 0, 2)),
        ("0.5", "12", Kind("decimal", 2, 1)),
        ("0.5", "-12", Kind("decimal", 2, 1)),
        ("0.5", "1" * 38, DIGITS_AS_TEXT),
    ],
)
def test_numbers_widen_in_a_later_batch(first: str, then: str, after: Kind) -> None:
    batch = columnise(columnise(EMPTY, items_of(*n(first))).table, items_of(*n(then)))
    assert kind(batch) == after
    assert batch.conflicts == {}


def test_a_value_that_conflicts_stands_in_extra_and_is_counted() -> None:
    table = columnise(EMPTY, items_of(*n("1"))).table
    batch = columnise(table, items_of({"S": "none"}, {"N": "2"}, {"M": {}}))
    assert batch.table is table
    assert column(batch) == [None, 2, None]
    assert batch.extra == ['{"a":{"S":"none"}}', None, '{"a":{"M":{}}}']
    assert batch.conflicts == {"a": 2}


def test_a_column_of_json_takes_anything() -> None:
    table = columnise(EMPTY, items_of({"L": []})).table
    batch = columnise(table, items_of({"N": "1"}, {"S": "x"}, {"NULL": True}))
    assert column(batch) == ["1", '"x"', None]
    assert batch.conflicts == {}


def test_a_new_attribute_gets_the_kind_of_most_of_its_values() -> None:
    batch = columnise(
        EMPTY, items_of({"S": "x"}, *n("1", "2"), {"NULL": True}, {"NULL": True}, {"NULL": True})
    )
    assert kind(batch) == Kind("int64", 1)
    assert batch.conflicts == {"a": 1}
    assert kind(columnise(EMPTY, items_of({"S": "x"}, *n("1")))) == TEXT, (
        "a tie is decided by the kind's name"
    )


def test_numbers_of_all_kinds_count_together() -> None:
    assert (
        kind(columnise(EMPTY, items_of({"S": "x"}, {"S": "y"}, *n("1", "0.5", "1" + "0" * 99))))
        == DIGITS_AS_TEXT
    )


def test_columns_too_many_stand_in_extra_nulls_too() -> None:
    narrow = TableColumns("t", "t", ("pk",), naming=Naming(columns=1))
    batch = columnise(narrow, items_of({"N": "1"}, {"NULL": True}, None))
    assert batch.extra == ['{"a":{"N":"1"}}', '{"a":{"NULL":true}}', None]
    assert batch.conflicts == {"a": 2}
    assert columnise(batch.table, items_of({"N": "1"})).conflicts == {"a": 1}


def test_names_that_differ_by_case_are_columns_of_their_own() -> None:
    batch = columnise(EMPTY, [{"pk": {"S": "0"}, "Id": {"N": "1"}, "id": {"S": "x"}}])
    assert column(batch, "Id") == [1]
    assert column(batch, "id") == ["x"]
    assert len({known.name.lower() for known in batch.table.columns}) == 3


def test_several_columns_that_do_not_fit_share_one_extra() -> None:
    table = EMPTY.grown({"pk": TEXT, "a": INT64, "b": JSON, "c": BOOL})
    batch = columnise(table, [{"pk": {"S": "0"}, "a": {"S": "x"}, "c": {"N": "1"}, "b": {"L": []}}])
    assert orjson.loads(batch.extra[0] or "") == {"a": {"S": "x"}, "c": {"N": "1"}}
    assert batch.conflicts == {"a": 1, "c": 1}
