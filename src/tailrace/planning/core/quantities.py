"""Rates, lengths of time, sizes and counts as people type them in a description of traffic.

Rules of this file: pure; text in, numbers out; what is wrong is refused with the forms that work. Read by
traffic.py, durations.py and sweep.py of this room.
"""

import re
from typing import Final

from tailrace.errors import SettingsError

UNITS_US: Final = {"us": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000}
LONGEST_US: Final = 7 * 24 * UNITS_US["h"]
PER_SECOND: Final = {"s": 1.0, "m": 60.0, "h": 3_600.0}
FASTEST: Final = 10_000_000.0
"""Changes a second. Beyond that something else was meant."""
SIZES: Final = {"": 1, "B": 1, "KB": 1_000, "KIB": 1_024, "MB": 1_000_000}
LARGEST_ITEM: Final = 400 * 1_024
"""Source: semantics §6.1, the size of an item."""
_LENGTH: Final = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(us|ms|s|m|h)", re.ASCII)
_RATE: Final = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)/(s|m|h)", re.ASCII)
_SIZE: Final = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*([A-Za-z]*)", re.ASCII)


def length_us(name: str, text: str) -> int:
    """A length of time in microseconds. Raises: SettingsError that begins with `name`.

    >>> length_us("duration", "20ms"), length_us("duration", "0.2ms"), length_us("duration", "1.5s")
    (20000, 200, 1500000)
    """
    match = _LENGTH.fullmatch(text.strip())
    if match is None:
        raise SettingsError(
            f"{name}: {text!r} is no length of time; write a number and a unit: 200us, 20ms, 1.5s, 10m, 1h"
        )
    value = round(float(match[1]) * UNITS_US[match[2]])
    if value > LONGEST_US:
        raise SettingsError(f"{name}: {text!r} is not allowed; it is at most {LONGEST_US // UNITS_US['h']}h")
    return value


def per_second(name: str, text: str) -> float:
    """Changes a second. Raises: SettingsError that begins with `name`.

    >>> per_second("rate", "5000/s"), per_second("rate", "90/m")
    (5000.0, 1.5)
    """
    match = _RATE.fullmatch(text.strip())
    if match is None:
        raise SettingsError(f"{name}: {text!r} is no rate; write a number for a time: 5000/s, 90/m or 100/h")
    value = float(match[1]) / PER_SECOND[match[2]]
    if value > FASTEST:
        raise SettingsError(f"{name}: {text!r} is not allowed; it is at most {FASTEST:,.0f}/s")
    return value


def item_bytes(name: str, text: str) -> int:
    """The size of an item. Raises: SettingsError that begins with `name`.

    >>> item_bytes("item size", "1KB"), item_bytes("item size", "300")
    (1000, 300)
    """
    match = _SIZE.fullmatch(text.strip())
    unit = None if match is None else SIZES.get(match[2].upper())
    if match is None or unit is None:
        raise SettingsError(f"{name}: {text!r} is no size; write bytes, or a unit: 300, 1KB, 4KiB")
    value = round(float(match[1]) * unit)
    if not 1 <= value <= LARGEST_ITEM:
        raise SettingsError(f"{name}: {text!r} is not allowed; an item has 1 to {LARGEST_ITEM:,} bytes")
    return value


def whole(name: str, text: str, lowest: int, highest: int) -> int:
    """A whole number within its bounds. Raises: SettingsError that begins with `name`.

    >>> whole("keys", "1_000", 1, 10_000)
    1000
    """
    digits = text.strip().replace("_", "").replace(",", "")
    value = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 12 else lowest - 1
    if not lowest <= value <= highest:
        raise SettingsError(
            f"{name}: {text!r} is not allowed; it is a whole number from {lowest:,} to {highest:,}"
        )
    return value


def number(name: str, text: str, lowest: float, highest: float) -> float:
    """A number within its bounds. Raises: SettingsError that begins with `name`.

    >>> number("skew", "1.1", 0, 5)
    1.1
    """
    try:
        value = float(text)
    except ValueError:
        value = lowest - 1
    if not lowest <= value <= highest:  # not a number is neither
        raise SettingsError(f"{name}: {text!r} is not allowed; it is a number from {lowest:g} to {highest:g}")
    return value


def shown_us(us: float) -> str:
    """A length of time for people, to about three digits.

    >>> [shown_us(us) for us in (0, 250, 20_400, 999_900, 1_500_000, 95_000_000, 7_260_000_000)]
    ['0', '0.25ms', '20.4ms', '1s', '1.5s', '1m35s', '2h1m']
    """
    if us < 1:
        return "0"
    if us < 999_500:
        return f"{us / 1_000:.3g}ms"
    if us < 59_950_000:
        return f"{us / 1_000_000:.3g}s"
    seconds = round(us / 1_000_000)
    if seconds < 3_600:
        return f"{seconds // 60}m{seconds % 60}s"
    minutes = round(us / 60_000_000)
    return f"{minutes // 60}h{minutes % 60}m" if minutes < 2_880 else f"{minutes / 1_440:.3g} days"
