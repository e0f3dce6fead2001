"""A moment of the past, as answers say it, and the last one of a clock's.

Stands alone because laws, readers and commands say moments, and none has another's words. Rules of this file:
pure; UTC, without a calendar library.
"""

from tailrace.streams.dates import label


def last_us(wall_ms: int) -> int:
    """The end of a millisecond, so that what came within it is of before. Units: microseconds.

    >>> last_us(5)
    5999
    """
    return wall_ms * 1_000 + 999


def spoken(us: int) -> str:
    """A moment for people, in UTC, as precise as it is. Units: microseconds since the epoch.

    >>> spoken(1_500_000), spoken(1), spoken(60_000_000)
    ('1970-01-01T00:00:01.500Z', '1970-01-01T00:00:00.000001Z', '1970-01-01T00:01:00Z')
    """
    text = label(us // 1_000)
    if us % 1_000:
        return f"{text}{us % 1_000:03d}Z"
    return f"{text.removesuffix('.000')}Z"
