"""Sequence numbers: their wire form, and that they never repeat."""

import pytest

from tailrace.errors import ApiError
from tailrace.streams.record import BLOCK, CLOCK_BITS, SequenceNumber, following


@pytest.mark.parametrize("number", [0, 1, 1 << 62, (1 << 63) - 1])
def test_the_wire_form_has_aws_s_length_and_reads_back(number: int) -> None:
    text = SequenceNumber(number).wire
    assert 21 <= len(text) <= 40
    assert text.isdigit()
    assert SequenceNumber.from_wire(text) == number


def test_texts_order_as_numbers() -> None:
    numbers = [0, 9, 10, 1 << 40, (1 << 63) - 1]
    assert sorted(SequenceNumber(number).wire for number in reversed(numbers)) == [
        SequenceNumber(number).wire for number in numbers
    ]


@pytest.mark.parametrize(
    "text",
    ["", "1", "100", "1" * 21, "100" + "0" * 18, "100" + "0" * 20, "100" + "0" * 18 + "x", "100-" + "0" * 18,
     "100" + "٣" * 19],
)  # fmt: skip
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        SequenceNumber.from_wire(text)
    assert caught.value.code == "ValidationException"
    assert caught.value.message == f"Invalid SequenceNumber: {text}"


@pytest.mark.parametrize(
    ("last", "wall_ms", "expected"),
    [
        (0, 5, 5 << CLOCK_BITS),  # the clock is ahead: follow it
        (5 << CLOCK_BITS, 5, (5 << CLOCK_BITS) + 1),  # the same millisecond
        (9 << CLOCK_BITS, 5, (9 << CLOCK_BITS) + 1),  # the clock was set back
    ],
)
def test_the_next_number_follows_the_clock_and_never_falls_back(
    last: int, wall_ms: int, expected: int
) -> None:
    assert following(last, wall_ms) == expected


def test_a_block_is_an_hour_of_numbers_and_the_far_future_still_fits() -> None:
    assert following(0, 3_600_000) == BLOCK
    year_2200_ms = 7_258_118_400_000
    assert following(0, year_2200_ms) + BLOCK < 1 << 63


def test_a_number_of_another_server_is_its_own_text() -> None:
    assert SequenceNumber(10**19).wire == str(10**19)
    assert SequenceNumber(10**19 - 1).wire == "100" + "9" * 19
