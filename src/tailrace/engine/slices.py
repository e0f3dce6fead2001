"""Slices: work that may take long is a generator that rests now and then, so that its caller can let
others in.

Rules of this file: no clock. Work is counted, in units of about a microsecond on a machine of 2026, so that
where a slice ends depends on the work alone. What is read before a rest may have changed after it. Used by
`engine` and driven by `server`.
"""

from collections.abc import Generator
from typing import Any, Final, TypeAlias, TypeVar

Result = TypeVar("Result")
Slices: TypeAlias = Generator[None, None, Result]
"""Work in slices, and what it comes to."""
SLICE_WORK: Final = 2_000
"""How much is done before a rest. Units: about a microsecond each."""
BYTES_READ: Final = 64
"""How many bytes of JSON are read into values, or weighed, for one unit of work."""
WORK_AN_ITEM: Final = 20
LARGE_BYTES: Final = 262_144
"""A request with more in its items is also given back in slices."""
BYTES_HANDLED: Final = 8
"""How many bytes of an item are read, weighed and written for one unit of work, at worst: elements of two
bytes each.
"""


def at_once(slices: Slices[Result]) -> Result:
    """What work comes to, without rests.

    >>> def slices():
    ...     yield
    ...     return 1
    >>> at_once(slices())
    1
    """
    while True:
        try:
            next(slices)
        except StopIteration as end:
            result: Result = end.value
            return result


def given_back(*lists: list[Any]) -> Slices[None]:
    """Empty lists of large values that belong together, one of each at a time: to free them takes as long as
    it took to make them.

    >>> values, again = [[1], [2]], [3]
    >>> len(list(given_back(values, again))), values, again
    (2, [], [])
    """
    while any(lists):
        for values in lists:
            if values:
                values.pop()
        yield


class Effort:
    """Counts work, to tell when it is time to rest."""

    __slots__ = ("_work",)

    def __init__(self) -> None:
        self._work = 0

    def takes(self, size: int) -> bool:
        """An item of this size was read, weighed or written. Returns: whether to rest now. Units: bytes."""
        self._work += WORK_AN_ITEM + size // BYTES_HANDLED
        if self._work < SLICE_WORK:
            return False
        self._work = 0
        return True
