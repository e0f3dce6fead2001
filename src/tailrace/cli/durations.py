"""Durations and instants as people type them: 90s, 15m, 25h, 2d; 2026-10-31T23:59Z.

Rules of this file: text in, milliseconds out; a wrong text is a usage error that names the forms that work.
Called by the options of `clock` and `serve`.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import click

UNITS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
LONGEST_MS: Final = 3_650 * 86_400_000
_PART: Final = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)(ms|s|m|h|d)", re.ASCII)
_WHOLE: Final = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)
EPOCH: Final = datetime.fromtimestamp(0, UTC)


def parse_duration(text: str) -> int:
    """Milliseconds of a duration. Raises: ValueError in words for people.

    >>> parse_duration("25h"), parse_duration("1h30m"), parse_duration("1.5s")
    (90000000, 5400000, 1500)
    """
    compact = text.strip().replace(" ", "")
    if not _WHOLE.fullmatch(compact):
        raise ValueError(
            f"{text!r} is not a duration: write a number and a unit, like 90s, 15m, 25h, 2d or 1h30m"
        )
    total = sum(round(float(number) * UNITS[unit]) for number, unit in _PART.findall(compact))
    if not 0 < total <= LONGEST_MS:
        raise ValueError(f"{text!r} is out of bounds: more than 0 and at most 3650d")
    return total


def parse_instant(text: str) -> int:
    """Milliseconds since the epoch of an ISO 8601 instant; without a zone it is UTC. Raises: ValueError.

    >>> parse_instant("1970-01-01T00:01Z"), parse_instant("1970-01-02")
    (60000, 86400000)
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(
            f"{text!r} is not an instant: write ISO 8601, like 2026-10-31T23:59Z or 2026-10-31"
        ) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (moment - EPOCH) // timedelta(milliseconds=1)


def format_instant(wall_ms: int) -> str:
    """An instant for people, in UTC with milliseconds.

    >>> format_instant(60_500)
    '1970-01-01T00:01:00.500Z'
    """
    return (EPOCH + timedelta(milliseconds=wall_ms)).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def format_duration(ms: int) -> str:
    """A length of time for people: its largest two units.

    >>> format_duration(850), format_duration(90_000), format_duration(90_000_000), format_duration(0)
    ('850ms', '1m30s', '1d1h', '0s')
    """
    if ms < 1_000:
        return f"{ms}ms" if ms else "0s"
    parts = []
    for unit in ("d", "h", "m", "s"):
        count, ms = divmod(ms, UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts[:2])


def duration(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """A click callback: 25h → milliseconds. Raises: BadParameter with the forms that work."""
    return _parsed(parse_duration, context, parameter, value)


def instant(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """A click callback: an ISO instant → milliseconds since the epoch. Raises: BadParameter."""
    return _parsed(parse_instant, context, parameter, value)


def _parsed(
    parse: Callable[[str], int], context: click.Context, parameter: click.Parameter, value: str | None
) -> int | None:
    try:
        return None if value is None else parse(value)
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from None
