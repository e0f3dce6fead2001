"""Order: the bytes sort as DynamoDB sorts the values."""

from base64 import b64encode
from itertools import pairwise

import pytest

from tailrace.values.canonical import compare_values, normalise, ordered_bytes, terminated
from tailrace.values.types import AttributeValue

ASCENDING = [
    "-9.9999999999999999999999999999999999999E125", "-1E125", "-1000", "-100.5", "-100", "-99", "-12",
    "-11.9", "-2", "-1.5",
    "-1.25", "-1.2", "-1", "-0.5", "-0.05", "-1E-130", "0", "1E-130", "2E-130", "1E-129", "0.05", "0.5",
    "0.51", "1", "1.2",
    "1.25", "1.5", "2", "9", "10", "11.9", "12", "99", "100", "100.5", "1000", "1E38", "1E125", "9.99E125",
]  # fmt: skip


def test_numbers_sort_by_value() -> None:
    for small, large in pairwise(ASCENDING):
        low, high = ordered_bytes({"N": normalise(small)}), ordered_bytes({"N": normalise(large)})
        assert low < high, f"{small} {large}"


@pytest.mark.parametrize(
    "ascending",
    [["", "A", "Z", "a", "aa", "ab", "b", "ß", "é", "€", "﷽", "😀"], ["a", "a\x00", "a\x00a", "a\x01"]],
)
def test_strings_sort_by_their_utf8_bytes(ascending: list[str]) -> None:
    assert sorted(ascending, key=lambda text: ordered_bytes({"S": text})) == ascending


def test_binaries_sort_by_unsigned_bytes_not_by_their_base64() -> None:
    ascending = [b"", b"\x00", b"\x00\xff", b"\x7f", b"\x80", b"\xff", b"\xff\x00"]
    encoded = [b64encode(data).decode() for data in ascending]
    assert sorted(encoded) != encoded, "base64 would sort otherwise"
    assert sorted(encoded, key=lambda text: ordered_bytes({"B": text})) == encoded


@pytest.mark.parametrize(
    "value", [{"BOOL": True}, {"NULL": True}, {"L": []}, {"M": {}}, {"SS": ["a"]}, {"NS": ["1"]}, {}]
)
def test_other_types_have_no_order(value: AttributeValue) -> None:
    with pytest.raises(ValueError, match="no order"):
        ordered_bytes(value)


def test_terminated_bytes_are_prefix_free_and_keep_the_order() -> None:
    ascending = [
        b"",
        b"\x00",
        b"\x00\x00",
        b"\x00\x01",
        b"\x00\xff",
        b"\x01",
        b"a",
        b"a\x00",
        b"a\x00\x01",
        b"ab",
        b"\xff",
    ]
    closed = [terminated(data) for data in ascending]
    assert sorted(closed) == closed
    assert not [(a, b) for a in closed for b in closed if a != b and b.startswith(a)]


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ({"S": "a"}, {"S": "b"}, -1), ({"S": "b"}, {"S": "b"}, 0), ({"N": "10"}, {"N": "9"}, 1),
        ({"B": "AA=="}, {"B": "/w=="}, -1), ({"S": "1"}, {"N": "1"}, None), ({"N": "1"}, {"S": "1"}, None),
        ({"BOOL": True}, {"BOOL": True}, None), ({"SS": ["a"]}, {"SS": ["a"]}, None),
        ({"NULL": True}, {"NULL": True}, None),
        ({"L": []}, {"L": []}, None), ({"M": {}}, {"M": {}}, None),
    ],
)  # fmt: skip
def test_only_scalars_of_one_type_compare(a: AttributeValue, b: AttributeValue, expected: int | None) -> None:
    assert compare_values(a, b) == expected
