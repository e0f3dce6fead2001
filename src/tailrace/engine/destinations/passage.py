"""How far a log is delivered, where some of it waits and the rest goes on: the changes of one item never
overtake each other.

Theory of operation: all up to `through` is done. What was done behind something that waits is remembered in
`ahead`, in memory alone: after a start it is delivered again. In one round a change that waits holds back
those of its item that follow.
Rules of this file: pure. What waits is bounded: a round stops where too much was done ahead, or was looked at
in vain. Called by `engine.destinations.replication`.
"""

from typing import Final

MOST_AHEAD: Final = 10_000
"""So many records are delivered ahead of the first that waits, and so many are looked at in vain."""


class Passage:
    """The way through one log.

    Guarantee: records of one key are let through in the order of their numbers, each of them once for as
               long as the passage lives.

    >>> passage = Passage(0)
    >>> passage.begin()
    >>> passage.is_open(1, b"a"), passage.wait(b"a")
    (True, None)
    >>> passage.is_open(2, b"a"), passage.is_open(3, b"b"), passage.done(3)
    (False, True, None)
    >>> passage.through, passage.is_whole
    (0, False)
    >>> passage.begin()
    >>> for number, key in ((1, b"a"), (2, b"a"), (3, b"b")):
    ...     if passage.is_open(number, key):
    ...         passage.done(number)
    >>> passage.through, passage.is_whole
    (3, True)
    """

    __slots__ = ("_ahead", "_looked", "_waiting", "is_whole", "through")

    def __init__(self, through: int) -> None:
        self.through = through
        self.is_whole = True
        """Whether nothing waits that this round has seen."""
        self._ahead: set[int] = set()
        self._waiting: set[bytes] = set()
        self._looked = 0

    def begin(self) -> None:
        """Begin a round, behind `through`."""
        self._waiting.clear()
        self._looked = 0
        self.is_whole = True

    @property
    def is_full(self) -> bool:
        """Whether the round is to end here: what follows waits for what waits."""
        return not self.is_whole and max(len(self._ahead), self._looked) >= MOST_AHEAD

    def is_open(self, number: int, key: bytes) -> bool:
        """Whether a record is to be delivered now; one that is not counts as seen."""
        if number in self._ahead:
            if self.is_whole:
                self._ahead.discard(number)
                self.through = number
            return False
        if key in self._waiting:
            self._looked += 1
            return False
        return True

    def wait(self, key: bytes) -> None:
        """The record that was asked for has to wait, and what follows of its key with it."""
        self._waiting.add(key)
        self._looked += 1
        self.is_whole = False

    def done(self, number: int) -> None:
        """The record that was asked for is delivered, or will never be."""
        if self.is_whole:
            self.through = number
        else:
            self._ahead.add(number)
