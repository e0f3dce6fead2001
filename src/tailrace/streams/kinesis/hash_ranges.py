"""The hash space of a data stream: 128 bits, of which each open shard has a range.

Rules of this file: pure arithmetic. The ranges of a stream's open shards part the space: nothing is in two of
them, and nothing in none. Source: semantics §5.1.
"""

from hashlib import md5
from typing import Final, NamedTuple, Self

from tailrace.errors import ApiError

HASH_BITS: Final = 128
HASHES: Final = 1 << HASH_BITS
MOST_DIGITS: Final = len(str(HASHES))


class HashRange(NamedTuple):
    """Hashes from `first` to `last`, both inclusive."""

    first: int
    last: int

    @classmethod
    def from_keys(cls, starting: str, ending: str) -> Self:
        """The range behind two hash keys as they are written.

        >>> HashRange.from_keys("0", "9")
        HashRange(first=0, last=9)
        """
        return cls(int(starting), int(ending))

    def has(self, hash_key: int) -> bool:
        """Whether a hash is in it."""
        return self.first <= hash_key <= self.last

    def touches(self, other: "HashRange") -> bool:
        """Whether both together are one range without a hole.

        >>> HashRange(0, 4).touches(HashRange(5, 9)), HashRange(0, 4).touches(HashRange(6, 9))
        (True, False)
        """
        return self.last + 1 == other.first or other.last + 1 == self.first


def hash_of(partition_key: str) -> int:
    """Where a partition key is in the space: its MD5, big-endian.

    >>> hash_of("a") == int("0cc175b9c0f1b6a831c399e269772661", 16)
    True
    """
    digest = md5(partition_key.encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest)


def read_hash_key(text: str, member: str) -> int:
    """The hash behind decimal digits. Raises: ApiError (InvalidArgumentException) that names the member.

    >>> read_hash_key("7", "ExplicitHashKey")
    7
    """
    if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS and int(text) < HASHES:
        return int(text)
    raise ApiError(
        "InvalidArgumentException",
        f"Invalid {member}. {member} must be in the range: [0, 2^128-1]. Specified value was {text}",
    )


def equal_parts(count: int) -> list[HashRange]:
    """The space in equal parts; what does not divide is the last one's.

    >>> [part.last for part in equal_parts(2)] == [HASHES // 2 - 1, HASHES - 1]
    True
    """
    size = HASHES // count
    firsts = [size * index for index in range(count)]
    return [HashRange(first, after - 1) for first, after in zip(firsts, [*firsts[1:], HASHES], strict=True)]
