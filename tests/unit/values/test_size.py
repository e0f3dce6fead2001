"""Size: what DynamoDB counts. Source: semantics §6.3 and the snapshots of §1.3."""

import pytest

from tailrace.values.canonical import size_bytes, value_size
from tailrace.values.types import AttributeValue, Item


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"S": ""}, 0), ({"S": "abc"}, 3), ({"S": "é"}, 2), ({"S": "😀"}, 4),
        ({"B": ""}, 0), ({"B": "AA=="}, 1), ({"B": "AAA="}, 2), ({"B": "AAAA"}, 3), ({"B": "AAAAAA=="}, 4),
        ({"N": "0"}, 1), ({"N": "1"}, 2), ({"N": "10"}, 2), ({"N": "100"}, 2), ({"N": "12"}, 2),
        ({"N": "123"}, 3),
        ({"N": "1200"}, 2), ({"N": "1.2"}, 3), ({"N": "120"}, 3), ({"N": "-1"}, 3), ({"N": "-12"}, 3),
        ({"N": "-120"}, 4),
        ({"N": "0.5"}, 2), ({"N": "0.05"}, 2), ({"N": "0.012"}, 3), ({"N": "0.12"}, 2), ({"N": "9" * 38}, 20),
        ({"BOOL": True}, 1), ({"NULL": True}, 1),
        ({"SS": ["a", "bcd"]}, 4), ({"NS": ["1", "0"]}, 3), ({"BS": ["AA==", "AAAA"]}, 4),
        ({"L": []}, 3), ({"L": [{"S": "ab"}]}, 6), ({"L": [{"L": []}, {"BOOL": True}]}, 9),
        ({"M": {}}, 3), ({"M": {"k": {"S": "ab"}}}, 7), ({"M": {"é": {"NULL": True}}}, 7), ({}, 0),
    ],
)  # fmt: skip
def test_a_value_has_the_size_that_dynamodb_counts(value: AttributeValue, expected: int) -> None:
    assert value_size(value) == expected
    if value:
        assert size_bytes({"name": value}) == 4 + expected


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({}, 0),
        ({"Username": {"S": "Fred"}}, 12),
        ({"id": {"S": "Fred"}}, 6),
        ({"naïve": {"S": "a"}, "b": {"N": "1"}}, 10),
    ],
)
def test_an_item_is_its_names_and_its_values(item: Item, expected: int) -> None:
    assert size_bytes(item) == expected
