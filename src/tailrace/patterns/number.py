"""Numbers of patterns and events: compared as doubles where that loses nothing, else by their text.

Rules of this file: a number is comparable when its double says exactly the same; what is not comparable
equals only its own text. Called by operators.py and matching.py. Source: semantics §2.11; event-ruler,
`ComparableNumber`.
"""

from decimal import Decimal, InvalidOperation
from math import isfinite

from msgspec import Struct


class Number(Struct, frozen=True):
    """A number as a pattern writes it.

    >>> Number("3.0e2").comparable, Number("9007199254740993").comparable
    (300.0, None)
    """

    text: str

    @property
    def comparable(self) -> float | None:
        """Its double; None when that would be another number."""
        try:
            exact = Decimal(self.text)
            value = float(exact)
        except (InvalidOperation, ValueError):
            return None
        return value + 0.0 if isfinite(value) and Decimal(repr(value)) == exact else None


def comparable(value: object) -> float | None:
    """The double of an event's number; None for everything else."""
    if type(value) is float:
        return value + 0.0 if isfinite(value) else None
    if type(value) is int:
        return float(value) if -(2**53) <= value <= 2**53 else Number(str(value)).comparable
    return None
