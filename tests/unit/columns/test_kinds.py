"""Facts of the lattice, at their bounds and one past them."""

import pytest

from tailrace.columns.kinds import (
    BINARY,
    BOOL,
    DIGITS_AS_TEXT,
    INT64,
    JSON,
    NOTHING,
    TEXT,
    Kind,
    decimal,
    join,
    kind_of,
    number_kind,
    widened,
)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("0", Kind("int64", 0)),
        ("-7", Kind("int64", 1)),
        ("9223372036854775807", Kind("int64", 19)),
        ("-9223372036854775808", Kind("int64", 19)),
        ("9223372036854775808", Kind("decimal", 19)),
        ("-9223372036854775809", Kind("decimal", 19)),
        ("0.5", Kind("decimal", 0, 1)),
        ("9" * 38, Kind("decimal", 38)),
        ("9" * 37 + ".9", Kind("decimal", 37, 1)),
        ("0." + "0" * 37 + "1", Kind("decimal", 0, 38)),
        ("0." + "0" * 38 + "1", DIGITS_AS_TEXT),
        ("1" + "0" * 38, DIGITS_AS_TEXT),
        ("1" + "0" * 125, DIGITS_AS_TEXT),
        ("-0." + "0" * 129 + "1", DIGITS_AS_TEXT),
    ],
)
def test_a_number_has_the_least_kind_that_holds_its_digits(text: str, kind: Kind) -> None:
    assert number_kind(text) == kind


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({"NULL": True}, NOTHING), ({"BOOL": False}, BOOL), ({"S": ""}, TEXT), ({"B": ""}, BINARY),
        ({"L": []}, JSON), ({"M": {}}, JSON), ({"SS": ["a"]}, JSON), ({"NS": ["1"]}, JSON),
        ({"BS": ["YQ=="]}, JSON), ({}, NOTHING),
    ],
)  # fmt: skip
def test_every_type_of_dynamodb_has_a_kind(value: dict[str, object], kind: Kind) -> None:
    assert kind_of(value) == kind


def test_a_decimal_grows_while_all_digits_seen_fit_together() -> None:
    assert join(number_kind("1" * 30), number_kind("0." + "1" * 8)) == decimal(30, 8)
    assert join(number_kind("1" * 30), number_kind("0." + "1" * 9)) == DIGITS_AS_TEXT


def test_small_whole_numbers_leave_room_for_many_places() -> None:
    assert join(number_kind("1"), number_kind("0.0000123456789012345678")) == Kind("decimal", 1, 22)


@pytest.mark.parametrize(
    ("column", "seen", "becomes"),
    [
        (NOTHING, TEXT, TEXT),
        (TEXT, NOTHING, TEXT),
        (INT64, Kind("decimal", 2, 2), Kind("decimal", 2, 2)),
        (Kind("decimal", 2, 2), INT64, Kind("decimal", 2, 2)),
        (Kind("decimal", 2, 2), DIGITS_AS_TEXT, DIGITS_AS_TEXT),
        (DIGITS_AS_TEXT, INT64, DIGITS_AS_TEXT),
        (JSON, INT64, JSON),
        (INT64, TEXT, None),
        (TEXT, INT64, None),
        (TEXT, DIGITS_AS_TEXT, None),
        (DIGITS_AS_TEXT, TEXT, None),
        (BOOL, INT64, None),
        (TEXT, BINARY, None),
        (TEXT, JSON, None),
    ],
)
def test_only_numbers_and_nothing_widen(column: Kind, seen: Kind, becomes: Kind | None) -> None:
    assert widened(column, seen) == becomes


def test_kinds_of_one_storage_differ_in_the_digits_they_have_seen_alone() -> None:
    assert Kind("decimal", 3, 2).stored == Kind("decimal", 9, 2).stored != Kind("decimal", 3, 3).stored
    assert str(Kind("decimal", 3, 2)) == "decimal(38,2)"
    assert str(TEXT) == "text"
