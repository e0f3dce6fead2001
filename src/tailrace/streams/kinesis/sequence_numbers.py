"""Sequence numbers of data streams in AWS's form: 186 bits, written as 56 decimal digits.

Theory of operation: from the highest bits on a number has a 2, the second in which its shard was made, the
shard's index modulo 16, the record's own rising number, a byte, the second of the record, the shard's index,
and the version 2. Inside, a record has its own rising number alone, the engine's; the rest follows from its
shard and its time. A child's second is above those of its parents, so all numbers of a parent are below those
of its children.
Rules of this file: pure. No reader takes a time out of one. Source: fleet §4.1.
"""

from typing import Final, NamedTuple

LEAD: Final = 2
VERSION: Final = 2
SECONDS_BITS: Final = 36
INDEX_BITS: Final = 32
NIBBLE_BITS: Final = 4
OWN_BITS: Final = 64
AT_INDEX: Final = NIBBLE_BITS
AT_SECOND: Final = AT_INDEX + INDEX_BITS
AT_OWN: Final = AT_SECOND + SECONDS_BITS + 8
AT_NIBBLE: Final = AT_OWN + OWN_BITS
AT_SHARD_SECOND: Final = AT_NIBBLE + NIBBLE_BITS
AT_LEAD: Final = AT_SHARD_SECOND + SECONDS_BITS
SECONDS: Final = 1 << SECONDS_BITS
INDEXES: Final = 1 << INDEX_BITS
FIRST: Final = 0
"""The own number that a shard's StartingSequenceNumber has: below that of every record."""
LAST: Final = (1 << 63) - 1
"""The own number that a shard's EndingSequenceNumber has: above that of every record."""


class DataSequence(NamedTuple):
    """What a sequence number is made of. Units: seconds since the epoch."""

    shard_second: int
    shard_index: int
    own: int
    second: int

    @property
    def wire(self) -> str:
        """The digits that clients see.

        >>> DataSequence(1_780_000_000, 6, 1, 1_780_000_000).wire == str(
        ...     numbering(1_780_000_000, 6) + (1 << AT_OWN) + (1_780_000_000 << AT_SECOND)
        ... )
        True
        """
        return numbered(numbering(self.shard_second, self.shard_index), self.own, self.second)


def numbering(shard_second: int, shard_index: int) -> int:
    """What all numbers of a shard have in common. Raises: ValueError where it does not fit."""
    if not (0 <= shard_second < SECONDS and 0 <= shard_index < INDEXES):
        raise ValueError(f"shard {shard_index} of second {shard_second} has no sequence numbers")
    nibble = shard_index & ((1 << NIBBLE_BITS) - 1)
    return (
        LEAD << AT_LEAD
        | shard_second << AT_SHARD_SECOND
        | nibble << AT_NIBBLE
        | shard_index << AT_INDEX
        | VERSION
    )


def numbered(base: int, own: int, second: int) -> str:
    """The digits of one record. Shape: `base` as `numbering` tells it."""
    return str(base + (own << AT_OWN) + (second << AT_SECOND))


def read_sequence_number(text: str) -> DataSequence | None:
    """What a client's digits are made of; None for what is no number of this form.

    >>> read_sequence_number("49590338271490256608559692538361571095921575989136588898").shard_index
    6
    >>> read_sequence_number("0") is None
    True
    """
    if not (text.isascii() and text.isdigit() and len(text) <= AT_LEAD):
        return None
    number = int(text)
    if number >> AT_LEAD != LEAD or number & ((1 << NIBBLE_BITS) - 1) != VERSION:
        return None
    index = number >> AT_INDEX & (INDEXES - 1)
    own = number >> AT_OWN & ((1 << OWN_BITS) - 1)
    if number >> AT_NIBBLE & ((1 << NIBBLE_BITS) - 1) != index & ((1 << NIBBLE_BITS) - 1) or own > LAST:
        return None
    return DataSequence(
        number >> AT_SHARD_SECOND & (SECONDS - 1), index, own, number >> AT_SECOND & (SECONDS - 1)
    )


def own_of(number: int) -> int:
    """The engine's own number in a sequence number of any shard; 0 where it is below every record's.

    >>> own_of(int(numbered(numbering(1_780_000_000, 6), 5, 1_780_000_001))), own_of(0)
    (5, 0)
    """
    return number >> AT_OWN & ((1 << OWN_BITS) - 1)


def own_before(after: int, first: int) -> int:
    """The engine's own number of the last record of a shard that is not behind a position.

    Shape:   a position is a record's number, what `behind_own` tells, or one less than either; `first` as
             `behind_own` takes it.

    >>> base = numbering(1_780_000_000, 6)
    >>> number = int(numbered(base, 5, 1_780_000_001))
    >>> own_before(number, base), own_before(number - 1, base), own_before(0, base)
    (5, 4, 0)
    """
    low = (1 << AT_SECOND) - 1
    return max(0, own_of(after) - (after & low < first & low))


def behind_own(first: int, own: int) -> int:
    """Behind every record of a shard with the engine's own numbers up to this one, before those that follow.

    Shape:   `first` is the shard's numbering, or its StartingSequenceNumber.

    >>> base = numbering(1_780_000_000, 6)
    >>> int(numbered(base, 5, 1_780_000_001)) <= behind_own(base, 5) < int(numbered(base, 6, 1_780_000_001))
    True
    """
    return first | own << AT_OWN | (SECONDS - 1) << AT_SECOND
