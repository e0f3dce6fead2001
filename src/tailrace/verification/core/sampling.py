"""What is read for a sample, and what a sample proves.

Theory of operation: a segment of a Scan is a part of the hash space of partition keys, so segments chosen by
chance are a sample of partition keys, each with all of its items; the keys of rows begin with such a hash, so
runs of rows behind a random place are one too. Items of one partition may be wrong together. So what is
counted is partition keys: of n that were drawn k were wrong, and the bound of Clopper and Pearson says how
many of all may be.
Rules of this file: pure; chance is a seed.
"""

from collections.abc import Iterator
from hashlib import blake2b
from itertools import count
from math import exp, gcd, lgamma, log, sqrt
from typing import Final

from msgspec import Struct

from tailrace.errors import SettingsError
from tailrace.tables.schema import HASH_BYTES

CONFIDENCE: Final = 0.95
ITEMS_A_SEGMENT: Final = 50
MOST_SEGMENTS: Final = 1_000_000
"""AWS's bound of TotalSegments."""
HALVINGS: Final = 60
MANY: Final = 1_000
DEVIATIONS: Final = 1.645
"""Standard deviations above the mean that hold 95 %."""


class SampleSize(Struct, frozen=True):
    """How much of a table is to be compared. Shape: so many items, or such a share of them."""

    items: int = 0
    share: float = 0.0

    def of(self, estimate: int) -> int:
        """How many items of a table with about so many."""
        return self.items or max(1, round(estimate * self.share))


def read_sample(text: str) -> SampleSize:
    """A sample as it is typed. Raises: SettingsError.

    >>> read_sample("5000"), read_sample("0.5%")
    (SampleSize(items=5000, share=0.0), SampleSize(items=0, share=0.005))
    """
    is_share = text.endswith("%")
    try:
        number = float(text[:-1]) if is_share else int(text.replace(",", "").replace("_", ""))
    except ValueError:
        number = 0
    if not (0 < number <= 100 if is_share else number > 0):
        raise SettingsError(
            f"--sample {text!r} is not allowed; it is a number of items above 0, or a share up to 100%",
            hint="--sample 10000, or --sample 1%",
        )
    return SampleSize(share=number / 100) if is_share else SampleSize(items=int(number))


def segments_of(estimate: int) -> int:
    """Into how many segments a table of about so many items is divided, so that few hold a sample.

    >>> segments_of(0), segments_of(5_000), segments_of(10**10)
    (1, 100, 1000000)
    """
    return min(max(1, estimate // ITEMS_A_SEGMENT), MOST_SEGMENTS)


def drawn_segments(seed: int, total: int) -> Iterator[int]:
    """Every segment once, in an order that the seed draws.

    >>> list(drawn_segments(1, 6)) != list(drawn_segments(2, 6)), sorted(drawn_segments(1, 6))
    (True, [0, 1, 2, 3, 4, 5])
    """
    drawn = drawn_places(seed)
    start, stride = (int.from_bytes(next(drawn)) % total for _ in range(2))
    while gcd(stride, total) != 1:
        stride += 1
    return ((start + turn * stride) % total for turn in range(total))


def drawn_places(seed: int) -> Iterator[bytes]:
    """Places in the space of the hashes that keys begin with, without end, as the seed draws them."""
    return (blake2b(b"%d/%d" % (seed, turn), digest_size=HASH_BYTES).digest() for turn in count())


def most_wrong(wrong: int, drawn: int) -> float:
    """The share of all that may be wrong, with 95 % confidence, when so many of those drawn were.

    >>> round(most_wrong(0, 300), 4), round(most_wrong(3, 1_000), 4), most_wrong(2, 2), most_wrong(0, 0)
    (0.0099, 0.0077, 1.0, 1.0)
    """
    if wrong >= drawn:
        return 1.0
    if wrong > MANY:  # the two agree to the third digit there
        share = wrong / drawn
        return min(1.0, share + DEVIATIONS * sqrt(share * (1 - share) / drawn) + 1 / drawn)
    low, high = wrong / drawn, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if _at_most(wrong, drawn, middle) > 1 - CONFIDENCE:
            low = middle
        else:
            high = middle
    return high


def _at_most(wrong: int, drawn: int, share: float) -> float:
    """How likely it is to draw at most so many wrong ones."""
    if share <= 0.0 or share >= 1.0:
        return float(share <= 0.0)
    return sum(
        exp(
            lgamma(drawn + 1)
            - lgamma(number + 1)
            - lgamma(drawn - number + 1)
            + number * log(share)
            + (drawn - number) * log(1 - share)
        )
        for number in range(wrong + 1)
    )
