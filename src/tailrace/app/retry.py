"""How often a failing change is tried again, in words: `Retry(5, backoff="1s..5m")`.

Rules of this file: text in, the machine's back-off out; a wrong text is refused where it is written.
"""

import re
from dataclasses import dataclass
from typing import Final

from tailrace.errors import SettingsError
from tailrace.mapping.settings import BOUNDS, INFINITE, Backoff

UNITS_MS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def milliseconds(text: object) -> int:
    """A duration. Raises: SettingsError, of what is no text too.

    >>> milliseconds("1.5s")
    1500
    """
    match = DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise SettingsError(f"{text!r} is no duration: write 200ms, 1s, 5m, 1h or 7d")
    return int(float(match[1]) * UNITS_MS[match[2]])


def milliseconds_within(place: str, text: object, lowest_ms: int, highest_ms: int, bounds: str) -> int:
    """A duration within its bounds. Shape: `bounds` in words. Raises: SettingsError that begins with `place`.

    >>> milliseconds_within("merged: wait", "1s", 0, 60_000, "from 0ms to 1m")
    1000
    """
    try:
        time_ms = milliseconds(text)
    except SettingsError as error:
        raise SettingsError(f"{place}={error.args[0]}") from error
    if not lowest_ms <= time_ms <= highest_ms:
        raise SettingsError(f"{place}={text!r} is not allowed; it is {bounds}")
    return time_ms


@dataclass(frozen=True, slots=True)
class Retry:
    """So many retries, so at most one attempt more; `backoff` is the first wait and the longest."""

    retries: int = 5
    backoff: str = "1s..5m"
    factor: float = 2.0

    def __post_init__(self) -> None:
        most = BOUNDS["maximum_retry_attempts"][1]
        given: object = self.retries
        if not isinstance(given, int) or isinstance(given, bool) or not INFINITE <= given <= most:
            raise SettingsError(
                f"retries: {self.retries!r} is not allowed; it is a whole number from 0 to {most:,}, "
                "or -1 without end"
            )
        self.settings()

    def settings(self) -> Backoff:
        """The back-off that it means. Raises: SettingsError."""
        first, dots, longest = self.backoff.partition("..")
        if not dots:
            raise SettingsError(
                f"backoff: {self.backoff!r} is not allowed; write the first wait and the longest, as "
                "in 1s..5m"
            )
        backoff = Backoff(milliseconds(first), self.factor, milliseconds(longest))
        if backoff.base_ms > backoff.cap_ms:
            raise SettingsError(
                f"backoff: {self.backoff!r} is not allowed; the first wait is longer than the longest"
            )
        return backoff


def check_retry(given: object) -> None:
    """Require a Retry. Raises: SettingsError."""
    if not isinstance(given, Retry):
        raise SettingsError(f'retry: {given!r} is not allowed; write Retry(5) or Retry(5, backoff="1s..5m")')
