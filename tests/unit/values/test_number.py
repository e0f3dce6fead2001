"""Numbers: one text each, 38 digits, and the edges of the range."""

import pytest

from tailrace.errors import ApiError
from tailrace.values.canonical import add, compare, is_plain, normalise, subtract

MANY_DIGITS = "Attempting to store more than 38 significant digits in a Number"
OVERFLOW = "Number overflow. Attempting to store a number with magnitude larger than supported range"
UNDERFLOW = "Number underflow. Attempting to store a number with magnitude smaller than supported range"
NOT_A_NUMBER = "The parameter cannot be converted to a numeric value"
NINES = "9" * 38


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", "0"), ("-0", "0"), ("+0", "0"), ("0.000", "0"), ("-0.0E5", "0"), ("0E99999999", "0"),
        ("1", "1"), ("+1", "1"), ("-1", "-1"), ("007", "7"), ("1.0", "1"), ("1.", "1"), (".5", "0.5"),
        ("-.5", "-0.5"),
        ("1E2", "100"), ("1e+2", "100"), ("100E-2", "1"), ("123E-2", "1.23"), ("-0.50", "-0.5"),
        ("12.3400", "12.34"),
        ("1E+0000001", "10"), ("25e-0000001", "2.5"), ("1E0", "1"), ("5E-3", "0.005"), ("1000000", "1000000"),
        (NINES, NINES), ("0" * 50 + NINES, NINES), (NINES + "0" * 10, NINES + "0" * 10),
        (f"0.{NINES}000", f"0.{NINES}"), ("1E-130", "0." + "0" * 129 + "1"), ("1E125", "1" + "0" * 125),
        ("9.9999999999999999999999999999999999999E+125", NINES + "0" * 88),
        ("-9.9999999999999999999999999999999999999E+125", "-" + NINES + "0" * 88),
        ("1" + "0" * 200 + "E-200", "1"), ("0." + "0" * 199 + "1E200", "1"),
    ],
)  # fmt: skip
def test_equal_numbers_have_one_text(text: str, expected: str) -> None:
    assert normalise(text) == expected
    assert normalise(expected) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", f"{NOT_A_NUMBER}: "),
        *[
            (text, f"{NOT_A_NUMBER}: {text}")
            for text in ("a", " 1", "1 ", "1\n", ".", "-", "+", "--1", "1..2", "1e", "e5", "1e5.5", "1_0",
                         "0x1", "٣",
                         "²", "NaN", "Infinity", "-inf", "1,5")
        ],
        ("1" * 39, MANY_DIGITS), ("1." + "1" * 38, MANY_DIGITS), ("1" + "0" * 37 + "1", MANY_DIGITS),
        ("1E126", OVERFLOW), ("-1E126", OVERFLOW), ("10E125", OVERFLOW), ("1" + "0" * 126, OVERFLOW),
        ("1E99999", OVERFLOW), ("1E100000", OVERFLOW), ("1E" + "9" * 5_000, OVERFLOW),
        ("1" * 39 + "E90", OVERFLOW), ("1" * 39 + "E-170", UNDERFLOW), ("1E-131", UNDERFLOW),
        ("-1E-131", UNDERFLOW), ("0.1E-130", UNDERFLOW), ("1E-99999999", UNDERFLOW),
    ],
)  # fmt: skip
def test_what_is_no_number_is_refused_in_awss_words(text: str, message: str) -> None:
    with pytest.raises(ApiError) as refused:
        normalise(text)
    assert (refused.value.code, refused.value.message) == ("ValidationException", message)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", True), ("7", True), ("-7", True), (NINES, True), (NINES + "9", False), ("-0", False),
     ("00", False),
     ("07", False), ("", False), ("-", False), ("+1", False), ("1.5", False), ("²", False), ("٣", False),
     ("--1", False)],
)  # fmt: skip
def test_plain_integers_are_told_from_the_rest(text: str, expected: bool) -> None:
    assert is_plain(text) is expected


@pytest.mark.parametrize(
    ("a", "b", "total", "difference"),
    [
        ("1", "2", "3", "-1"), ("0.1", "0.2", "0.3", "-0.1"), ("-5", "5", "0", "-10"),
        ("99999999999999999", "1", "100000000000000000", "99999999999999998"),
        ("1.5", "0.5", "2", "1"), ("1" + "0" * 125, "0", "1" + "0" * 125, "1" + "0" * 125),
        (NINES, "1", "1" + "0" * 38, "9" * 37 + "8"), ("0", "0", "0", "0"),
    ],
)  # fmt: skip
def test_sums_are_exact(a: str, b: str, total: str, difference: str) -> None:
    assert (add(a, b), subtract(a, b)) == (total, difference)


def test_a_sum_that_needs_more_digits_is_refused_not_rounded() -> None:
    with pytest.raises(ApiError, match=MANY_DIGITS):
        add("1" + "0" * 125, "1")
    with pytest.raises(ApiError, match=MANY_DIGITS):
        subtract(NINES, "0.1")


def test_a_sum_beyond_the_range_is_refused() -> None:
    most = NINES + "0" * 88
    with pytest.raises(ApiError, match=OVERFLOW):
        add(most, "1" + "0" * 88)
    with pytest.raises(ApiError, match=OVERFLOW):
        subtract("-" + most, "1" + "0" * 88)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("1", "1", 0),
        ("2", "10", -1),
        ("-2", "-10", 1),
        ("0.5", "0.25", 1),
        ("-1", "0", -1),
        (NINES, NINES[:-1], 1),
    ],
)
def test_numbers_compare_by_value(a: str, b: str, expected: int) -> None:
    assert (compare(a, b), compare(b, a)) == (expected, -expected)


def test_numbers_that_only_their_last_digits_tell_apart_are_summed_and_ordered_to_the_last() -> None:
    low, high = "0." + "1" * 38, "0." + "1" * 37 + "2"
    assert compare(low, high) == -1
    assert compare(high, low) == 1
    assert add(low, low) == "0." + "2" * 38
    assert subtract(high, low) == "0." + "0" * 37 + "1"
