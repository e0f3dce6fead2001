"""Dates without a calendar library: milliseconds since the epoch to the texts that AWS writes, and back.

Rules of this file: pure arithmetic on the proleptic Gregorian calendar, UTC only.
"""

import re
from typing import Final, NamedTuple

DAY_MS: Final = 86_400_000
WEEKDAYS: Final = ("Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed")  # the epoch was a Thursday
MONTH_DAYS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_ISO: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|\+00:?00)", re.ASCII
)
MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class UtcTime(NamedTuple):
    """A moment in UTC. Shape: month and day count from 1; weekday is 0 on the epoch's own, a Thursday."""

    year: int
    month: int
    day: int
    hour: int
    minute: int
    second: int
    millisecond: int
    weekday: int


def moment(wall_ms: int) -> UtcTime:
    """Milliseconds since the epoch, taken apart.

    >>> moment(951_782_400_000)[:3]
    (2000, 2, 29)
    """
    days, rest = divmod(wall_ms, DAY_MS)
    # Years begin in March here, so that a leap day ends its year and every month's start is a formula.
    era, day_of_era = divmod(days + 719_468, 146_097)
    year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    year = year_of_era + era * 400 + (month <= 2)
    seconds, millisecond = divmod(rest, 1_000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    day = day_of_year - (153 * shifted + 2) // 5 + 1
    return UtcTime(year, month, day, hour, minute, second, millisecond, days % 7)


def http_date(wall_ms: int) -> str:
    """A moment as HTTP's headers say it, to the second.

    >>> http_date(1_357_000_000_123)
    'Tue, 01 Jan 2013 00:26:40 GMT'
    """
    at = moment(wall_ms)
    day = f"{WEEKDAYS[at.weekday]}, {at.day:02d} {MONTHS[at.month - 1]} {at.year:04d}"
    return f"{day} {at.hour:02d}:{at.minute:02d}:{at.second:02d} GMT"


def label(wall_ms: int) -> str:
    """A stream's label.

    >>> label(1_357_000_000_123)
    '2013-01-01T00:26:40.123'
    """
    at = moment(wall_ms)
    day = f"{at.year:04d}-{at.month:02d}-{at.day:02d}"
    return f"{day}T{at.hour:02d}:{at.minute:02d}:{at.second:02d}.{at.millisecond:03d}"


def spoken(wall_ms: int) -> str:
    """A moment as AWS's messages say it.

    >>> spoken(1_633_843_031_000)
    'Sun Oct 10 05:17:11 UTC 2021'
    """
    at = moment(wall_ms)
    clock = f"{at.hour:02d}:{at.minute:02d}:{at.second:02d}"
    return f"{WEEKDAYS[at.weekday]} {MONTHS[at.month - 1]} {at.day:02d} {clock} UTC {at.year}"


def micros_of(text: str) -> int:
    """Microseconds since the epoch of a moment as AWS writes it; digits below are cut. Raises: ValueError.

    >>> micros_of("2013-01-01T00:26:40.123Z"), micros_of("1970-01-01T00:00:01Z")
    (1357000000123000, 1000000)
    """
    match = _ISO.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not like 2023-09-02T20:14:45.463Z")
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    last = MONTH_DAYS[month - 1] + (is_leap and month == 2) if 1 <= month <= 12 else 0
    if not 1 <= day <= last or hour > 23 or minute > 59 or second > 59:
        raise ValueError(f"{text!r} is no moment of the calendar")
    shifted_year = year - (month <= 2)
    era, year_of_era = divmod(shifted_year, 400)
    day_of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    day_of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year
    days = era * 146_097 + day_of_era - 719_468
    seconds = days * 86_400 + hour * 3_600 + minute * 60 + second
    return seconds * 1_000_000 + int((match[7] or "")[:6].ljust(6, "0"))
