"""Time to live: when an item expires, and whether it has.

Rules of this file: pure; time is told. What is no number, too old or absurdly far off never expires. Called
by `engine.time_to_live`.
Source: semantics §1.8.
Stands alone because it is pure: time_to_live.py has the times and the entries.
"""

from decimal import Decimal
from typing import Final

from tailrace.values.types import Item

OLDEST_MS: Final = 5 * 365 * 86_400_000
"""Older expiries are left alone: five years, as on AWS, lest a mistaken unit empties a table."""
LATEST_SECONDS: Final = 1 << 40
"""Nothing is due after the year 36,000: such a number is milliseconds or nonsense, and needs no entry."""


def due_ms(item: Item | None, attribute: str) -> int | None:
    """The first moment at which an item has expired, None if it never does. Units: milliseconds since the
    epoch.

    Shape:   the attribute holds seconds since the epoch, with or without a fraction; the item is expired when
             they are *less* than now.

    >>> due_ms({"ttl": {"N": "100"}}, "ttl")
    100001
    """
    if item is None:
        return None
    value = item.get(attribute)
    if value is None or "N" not in value:
        return None
    seconds = Decimal(value["N"])
    if not 0 <= seconds < LATEST_SECONDS:
        return None
    return int(seconds * 1_000) + 1


def may_expire(due: int | None, wall_ms: int) -> bool:
    """Whether an item with this due time has expired or will: not one that is past for more than five
    years.
    """
    return due is not None and due > wall_ms - OLDEST_MS


def is_expired(due: int | None, wall_ms: int) -> bool:
    """Whether an item with this due time is to be deleted now.

    >>> [is_expired(100_001, now) for now in (100_000, 100_001, 100_001 + OLDEST_MS)]
    [False, True, False]
    """
    return due is not None and due <= wall_ms and may_expire(due, wall_ms)
