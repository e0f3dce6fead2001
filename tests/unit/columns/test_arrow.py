"""Images are read into Arrow as their items are put in columns, or not at all."""

from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.columns import arrow
from tailrace.columns.arrow import arrow_columns
from tailrace.columns.batches import columnise, decode_items
from tailrace.columns.schema import TableColumns

EMPTY = TableColumns("orders", "orders", ("id",))
NAMES = ["a", "b", "c d", 'q"', "", "NULL", "Ä\0", "a.b"]
SCALARS: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [{"S": "a"}, {"S": "\0\u2400\n\\"}, {"S": ""}, {"S": '{"NULL": true}'}, {"S": "2026-11-29"},
     {"N": "1"}, {"N": "-9"}, {"N": "10"}, {"N": "-0.25"}, {"N": "0.5"}, {"N": "9223372036854775807"},
     {"N": "-9223372036854775808"}, {"N": "9223372036854775808"}, {"N": "9" * 38}, {"N": "1" + "0" * 60},
     {"N": "0." + "0" * 30 + "1"}, {"B": "AGE="}, {"B": ""}, {"BOOL": False}, {"BOOL": True}, {"NULL": True}]
)  # fmt: skip
VALUES = SCALARS | st.sampled_from([{"L": [{"N": "1.50"}]}, {"M": {"a": {"S": ""}}}, {"SS": ["a"]}])


def items_of(values: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(st.dictionaries(st.sampled_from(NAMES), values, max_size=4), max_size=6)


def images(items: list[dict[str, Any]]) -> list[bytes]:
    return [orjson.dumps({"id": {"S": str(place)}, **item}) for place, item in enumerate(items)]


def same(before: list[Any], later: list[Any]) -> bool:
    """Whether both ways say the same; the fast one may say nothing where something is new, or JSON."""
    known = columnise(EMPTY, decode_items(images(before))).table
    slow = columnise(known, decode_items(images(later)))
    fast = arrow_columns(known, images(later))
    if fast is None:
        has_json = any(column.kind.family == "json" for column in known.columns)
        return has_json or not later or slow.table != known or any(slow.extra)
    values = [list(column) for column in slow.values]
    return slow.table == known and not any(slow.extra) and [array.to_pylist() for array in fast] == values


@given(before=items_of(VALUES), later=items_of(VALUES))
def test_both_ways_give_the_same_columns(before: list[Any], later: list[Any]) -> None:
    assert same(before, later)


@given(items=items_of(SCALARS), places=st.lists(st.integers(0, 5), max_size=6))
def test_a_batch_of_what_was_seen_is_read_the_fast_way(items: list[Any], places: list[int]) -> None:
    assert same(items, [items[place] for place in places if place < len(items)])


def known_of(*items: dict[str, Any]) -> TableColumns:
    return columnise(EMPTY, decode_items(images(list(items)))).table


def test_each_kind_has_its_type() -> None:
    item = {
        "b": {"B": "AGE="}, "d": {"N": "1.25"}, "g": {"N": "1" + "0" * 60}, "i": {"N": "7"},
        "n": {"NULL": True}, "s": {"S": "x"}, "t": {"BOOL": True},
    }  # fmt: skip
    known = known_of(item)
    arrays = arrow_columns(known, images([item, {}]))
    assert arrays is not None
    assert {column.name: array.type for column, array in zip(known.stored, arrays, strict=True)} == {
        "id": pa.string(), "b": pa.binary(), "d": pa.decimal128(3, 2), "g": pa.string(), "i": pa.int64(),
        "s": pa.string(), "t": pa.bool_(),
    }  # fmt: skip
    assert [array.to_pylist() for array in arrays] == [
        ["0", "1"], [b"\0a", None], [Decimal("1.25"), None], ["1" + "0" * 60, None], [7, None], ["x", None],
        [True, None],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("known", "later"),
    [
        ({"n": {"N": "9"}}, {"n": {"N": "10"}}),
        ({"n": {"N": "9"}}, {"n": {"N": "0.5"}}),
        ({"n": {"N": "0.5"}}, {"n": {"N": "0.25"}}),
        ({"n": {"N": "0.5"}}, {"n": {"N": "10.5"}}),
        ({"n": {"N": "9" * 18}}, {"n": {"N": "9223372036854775808"}}),
        ({"n": {"N": "9"}}, {"n": {"S": "9"}}),
        ({"n": {"S": "9"}}, {"n": {"N": "9"}}),
        ({"n": {"BOOL": True}}, {"n": {"S": "true"}}),
        ({"n": {"NULL": True}}, {"n": {"S": "x"}}),
        ({"n": {"S": "x"}}, {"n": {"M": {"S": {"S": "x"}}}}),
        ({"n": {"S": "x"}}, {"m": {"NULL": True}}),
        ({"n": {"M": {}}}, {"n": {"M": {}}}),
    ],
)
@pytest.mark.parametrize("place", [0, 2])
def test_what_needs_more_than_the_columns_have_is_left_to_the_slow_way(
    known: dict[str, Any], later: dict[str, Any], place: int
) -> None:
    batch = [known, known, known]
    batch[place] = later
    assert arrow_columns(known_of(known), images(batch)) is None


def test_an_image_of_any_length_is_read() -> None:
    item = {"s": {"S": "x" * 3_000_000}}
    arrays = arrow_columns(known_of({"s": {"S": "x"}}), images([item, {}, item]))
    assert arrays is not None
    assert [len(text or "") for text in arrays[1].to_pylist()] == [3_000_000, 0, 3_000_000]


@pytest.mark.parametrize(
    "images", [[], [b""], [b'{"s":{"S":"x"}}', b""], [b'{"s":{"S":"x"}} {}'], [b"[]"], [b'{"s":']]
)
def test_what_is_no_image_is_left_to_the_slow_way(images: list[bytes]) -> None:
    assert arrow_columns(known_of({"s": {"S": "x"}}), images) is None


def test_more_than_a_block_holds_is_left_to_the_slow_way(monkeypatch: pytest.MonkeyPatch) -> None:
    known, batch = known_of({"s": {"S": "x"}}), images([{"s": {"S": "x"}}])
    monkeypatch.setattr(arrow, "MOST_BYTES", len(batch[0]) + 1)
    assert arrow_columns(known, batch) is not None
    monkeypatch.setattr(arrow, "MOST_BYTES", len(batch[0]))
    assert arrow_columns(known, batch) is None
