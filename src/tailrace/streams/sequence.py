"""Sequence numbers: 63-bit integers inside, digits on the wire.

Rules of this file: numbers never repeat, whatever is lost. They follow the wall clock only so that a restart
cannot fall behind; nobody may read a time out of them.
"""

from typing import Final, Self

from tailrace.errors import validation_error

PREFIX: Final = "100"  # AWS's numbers have 21 to 40 digits: three of ours, then nineteen
DIGITS: Final = 19
CLOCK_BITS: Final = 20
BLOCK: Final = 3_600_000 << CLOCK_BITS
"""What a start reserves with one full sync: an hour of numbers, so that a replay under a driven clock syncs
rarely.
"""


class SequenceNumber(int):
    """An integer with the wire's text form.

    >>> SequenceNumber(7).wire
    '1000000000000000000007'
    >>> SequenceNumber.from_wire("1000000000000000000007") == 7
    True
    """

    __slots__ = ()

    @property
    def wire(self) -> str:
        """The text clients see: a fixed prefix and nineteen digits."""
        return f"{PREFIX}{self:0{DIGITS}d}"

    @classmethod
    def from_wire(cls, text: str) -> Self:
        """The number behind a client's text. Raises: ApiError (ValidationException)."""
        digits = text.removeprefix(PREFIX)
        if (
            not text.startswith(PREFIX)
            or len(digits) != DIGITS
            or not (digits.isascii() and digits.isdigit())
        ):
            raise validation_error(f"Invalid SequenceNumber: {text}")
        return cls(digits)


def is_older_than_any(text: str) -> bool:
    """Whether a number on the wire is smaller than every number that was ever issued.

    >>> is_older_than_any("000000000000000000001"), is_older_than_any(SequenceNumber(0).wire)
    (True, False)
    """
    return text.isascii() and text.isdigit() and int(text) < int(SequenceNumber(0).wire)


def following(last: int, wall_ms: int) -> int:
    """The number after `last`: never smaller than the clock's, always greater than the last one."""
    return max(last + 1, wall_ms << CLOCK_BITS)
