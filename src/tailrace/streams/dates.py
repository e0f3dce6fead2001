"""Dates without a calendar library: milliseconds since the epoch to the texts that AWS writes.

Rules of this file: pure arithmetic on the proleptic Gregorian calendar, UTC only.
"""

from typing import Final, NamedTuple

DAY_MS: Final = 86_400_000
WEEKDAYS: Final = ("Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed")  # the epoch was a Thursday
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
