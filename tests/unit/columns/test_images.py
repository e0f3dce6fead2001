"""Images are read as their items are: the fast way and the slow one say the same."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.columns.batches import columnise, decode_items
from tailrace.columns.images import AT_ONCE, columnise_images
from tailrace.columns.schema import TableColumns

EMPTY = TableColumns("orders", "orders", ("id",))
VALUES: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [{"S": "a"}, {"S": "\0\u2400"}, {"N": "1"}, {"N": "-0.25"}, {"N": "9" * 38}, {"N": "1" + "0" * 60},
     {"B": "AGE="}, {"BOOL": False}, {"NULL": True}, {"L": [{"N": "1.50"}]}, {"M": {"a": {"S": ""}}},
     {"SS": ["a"]}]
)  # fmt: skip
ITEMS = st.lists(st.dictionaries(st.sampled_from(["a", "b", "c d", 'q"'.strip()]), VALUES), max_size=6)


def images(items: list[dict[str, Any]]) -> list[bytes]:
    return [orjson.dumps({"id": {"S": str(place)}, **item}) for place, item in enumerate(items)]


@given(before=ITEMS, later=ITEMS)
def test_both_ways_give_the_same_columns(before: list[Any], later: list[Any]) -> None:
    known = columnise(EMPTY, decode_items(images(before))).table
    assert columnise_images(known, images(later)) == columnise(known, decode_items(images(later)))


def test_a_batch_in_which_nothing_is_new_is_not_looked_at_value_by_value(monkeypatch: Any) -> None:
    item = {"n": {"N": "7"}, "t": {"S": "x"}, "l": {"L": [{"S": "y"}]}, "none": {"NULL": True}}
    known = columnise(EMPTY, decode_items(images([item, {}]))).table
    monkeypatch.setattr("tailrace.columns.images.columnise", None)
    batch = columnise_images(known, images([item, {"n": {"NULL": True}}]))
    assert dict(zip([column.name for column in known.stored], batch.values, strict=True)) == {
        "id": ["0", "1"], "n": [7, None], "t": ["x", None], "l": ['["y"]', None],
    }  # fmt: skip


@pytest.mark.parametrize("late", [{"n": {"N": "100"}}, {"m": {"S": "new"}}, {"n": {"S": "7"}}])
@pytest.mark.parametrize("place", [AT_ONCE - 1, AT_ONCE, 2 * AT_ONCE])
def test_what_is_new_in_any_image_of_a_batch_is_seen(late: dict[str, Any], place: int) -> None:
    items: list[dict[str, Any]] = [{"n": {"N": str(number % 100)}} for number in range(2 * AT_ONCE + 1)]
    known = columnise(EMPTY, decode_items(images(items))).table
    assert columnise_images(known, images(items)).table == known
    items[place] = late
    batch = columnise_images(known, images(items))
    assert batch == columnise(known, decode_items(images(items)))
    assert batch.table != known or batch.extra[place] is not None


def test_a_batch_is_read_once_however_many_images_it_has(monkeypatch: Any) -> None:
    monkeypatch.setattr("tailrace.columns.images.columnise", None)
    items: list[dict[str, Any]] = [{"n": {"N": str(number)}} for number in range(2 * AT_ONCE + 1)]
    known = columnise(EMPTY, decode_items(images(items))).table
    batch = columnise_images(known, images([*items, {}]))
    assert batch.values[1] == [*range(2 * AT_ONCE + 1), None]
