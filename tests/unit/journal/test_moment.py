"""Moments: what people write, and what is refused with the next thing to write."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.app.moments import moment_us
from tailrace.errors import SettingsError
from tailrace.journal.core.moment import spoken


@pytest.mark.parametrize(
    ("moment", "us"),
    [
        (datetime(1970, 1, 1, 0, 0, 1, 5, UTC), 1_000_005),
        (datetime(1970, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), 0),
        ("1970-01-01T00:00:01Z", 1_000_000),
        (" 1970-01-01T02:00:00.25+02:00 ", 250_000),
        (1_767_225_600, 1_767_225_600_000_000),
        (1_767_225_600.25, 1_767_225_600_250_000),
        (Decimal("1767225600.000001"), 1_767_225_600_000_001),
        ("1767225600.5", 1_767_225_600_500_000),
    ],
)
def test_a_moment_is_a_datetime_a_text_or_seconds(moment: Any, us: int) -> None:
    assert moment_us(moment) == us


@pytest.mark.parametrize("naive", [datetime(2026, 10, 31, 23, 59), "2026-10-31T23:59", "2026-10-31"])
def test_one_without_a_zone_is_refused_with_what_to_write(naive: Any) -> None:
    with pytest.raises(SettingsError, match="has no zone") as refused:
        moment_us(naive)
    assert "Z is that time in UTC" in (refused.value.hint or "")


def test_eight_digits_that_are_a_day_are_not_taken_for_seconds() -> None:
    with pytest.raises(
        SettingsError, match="'20261031' is of 1970 as seconds, and 2026-10-31 as a date"
    ) as no:
        moment_us("20261031")
    assert no.value.hint == "2026-10-31T00:00Z is that day in UTC"
    assert (moment_us(20261031), moment_us("20261331")) == (20_261_031_000_000, 20_261_331_000_000)


@pytest.mark.parametrize("wrong", ["yesterday", "", True, None, [], "2026", 1_767_225_600_000, float("nan")])
def test_what_is_no_time_is_refused_with_the_forms_that_are(wrong: Any) -> None:
    with pytest.raises(SettingsError, match=r"no time|no zone"):
        moment_us(wrong)


@given(st.integers(0, 253_402_300_799_999_999))
def test_a_moment_that_is_told_is_read_back(us: int) -> None:
    assert moment_us(spoken(us)) == us
