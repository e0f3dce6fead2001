"""A moment of the past, as people and programs say it: microseconds since the epoch.

Rules of this file: a moment without a zone is refused, for it is another one on another machine. Stands alone
because Python's surface and the command line take moments.
"""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Final, TypeAlias

from tailrace.errors import SettingsError

Moment: TypeAlias = datetime | str | int | float | Decimal
EPOCH: Final = datetime.fromtimestamp(0, UTC)
FORMS: Final = "2026-10-31T23:59Z, a datetime with a zone, or seconds since 1970"


def moment_us(moment: Moment) -> int:
    """Microseconds since the epoch. Raises: SettingsError, with what to write.

    >>> moment_us("1970-01-01T00:00:01.5Z"), moment_us("1970-01-01T02:00+02:00"), moment_us(2)
    (1500000, 0, 2000000)
    """
    if isinstance(moment, bool) or not isinstance(moment, datetime | str | int | float | Decimal):
        raise SettingsError(f"{moment!r} is no time: write {FORMS}")
    if isinstance(moment, int | float | Decimal):
        return _seconds(Decimal(str(moment)), moment)
    if isinstance(moment, str) and (number := _number(moment)) is not None:
        if (day := _day(moment)) is not None:
            raise SettingsError(
                f"{moment!r} is of 1970 as seconds, and {day} as a date",
                hint=f"{day}T00:00Z is that day in UTC",
            )
        return _seconds(number, moment)
    try:
        instant = datetime.fromisoformat(moment.strip()) if isinstance(moment, str) else moment
    except ValueError:
        raise SettingsError(f"{moment!r} is no time: write {FORMS}") from None
    if instant.utcoffset() is None:
        named = instant.isoformat()
        raise SettingsError(
            f"{named} has no zone, so it is another time on another machine",
            hint=f"{named}Z is that time in UTC, {named}+02:00 two hours before",
        )
    return (instant - EPOCH) // timedelta(microseconds=1)


def _number(text: str) -> Decimal | None:
    """Seconds as text; a year of four digits alone is none."""
    digits = text.strip()
    is_number = digits.replace(".", "", 1).isascii() and digits.replace(".", "", 1).isdigit()
    return Decimal(digits) if is_number and len(digits) > len("2026") else None


def _day(text: str) -> date | None:
    """The day that eight digits are by the basic format of ISO 8601; as seconds they are of 1970."""
    digits = text.strip()
    try:
        return date.fromisoformat(digits) if len(digits) == len("20261031") else None
    except ValueError:
        return None


def _seconds(number: Decimal, moment: Moment) -> int:
    try:
        microseconds = int(number * 1_000_000)
        _ = EPOCH + timedelta(microseconds=microseconds)
    except (OverflowError, ValueError, ArithmeticError):
        raise SettingsError(
            f"{moment!r} is no time in seconds since 1970: milliseconds are divided by 1000"
        ) from None
    return microseconds
