"""What a shard takes and gives in a second: its limits, and the allowances that hold them.

Theory of operation: an allowance grows at a rate, up to what comes in a second. What is taken must be there;
where it is known only afterwards how much it was (a read), something must be there. A read of more than a
second's worth is made up whole: after ten mebibytes the next one waits five seconds.
Rules of this file: pure. Source: semantics §5.1.
"""

from typing import Final

from msgspec import Struct

MEBIBYTE: Final = 1_048_576
RECORDS_PER_SECOND: Final = 1_000
WRITTEN_PER_SECOND: Final = MEBIBYTE
READ_PER_SECOND: Final = 2 * MEBIBYTE
READS_PER_SECOND: Final = 5
RECORDS_A_PUT: Final = 500
PUT_BYTES: Final = 10 * MEBIBYTE
"""All data and partition keys of one PutRecords."""
RECORDS_A_PAGE: Final = 10_000
PAGE_BYTES: Final = 10 * MEBIBYTE
"""What one GetRecords answers."""


class Allowance(Struct, frozen=True):
    """What is left of a rate. Units: `left` as the rate counts, at_ms of a clock that never goes back."""

    left: float
    at_ms: int

    def filled(self, per_second: float, now_ms: int) -> "Allowance":
        """The same later; it holds what comes in one second."""
        gained = per_second * max(0, now_ms - self.at_ms) / 1_000
        return Allowance(min(per_second, self.left + gained), max(now_ms, self.at_ms))

    def without(self, amount: float) -> "Allowance":
        """The same with so much taken, perhaps more than there was."""
        return Allowance(self.left - amount, self.at_ms)


class ShardRates(Struct, frozen=True):
    """What one shard may still take and give. Shape: all are as of one moment."""

    records: Allowance
    written: Allowance
    reads: Allowance
    read: Allowance

    @classmethod
    def fresh(cls, now_ms: int) -> "ShardRates":
        """Of a shard that nothing was asked of."""
        rates = (RECORDS_PER_SECOND, WRITTEN_PER_SECOND, READS_PER_SECOND, READ_PER_SECOND)
        return cls(*(Allowance(rate, now_ms) for rate in rates))

    def filled(self, now_ms: int) -> "ShardRates":
        """The same later."""
        return ShardRates(
            self.records.filled(RECORDS_PER_SECOND, now_ms),
            self.written.filled(WRITTEN_PER_SECOND, now_ms),
            self.reads.filled(READS_PER_SECOND, now_ms),
            self.read.filled(READ_PER_SECOND, now_ms),
        )

    def putting(self, size: int, now_ms: int) -> "ShardRates | None":
        """After a record of so many bytes; None: it is too much now. A record that is larger than what a
        second holds needs a whole second's, and what it exceeds it by is missing afterwards.
        """
        now = self.filled(now_ms)
        if now.records.left < 1 or now.written.left < min(size, WRITTEN_PER_SECOND):
            return None
        return ShardRates(now.records.without(1), now.written.without(size), now.reads, now.read)

    def asking(self, now_ms: int) -> "ShardRates | None":
        """After the beginning of a read; None: there are too many, or too much was read."""
        now = self.filled(now_ms)
        if now.reads.left < 1 or now.read.left <= 0:
            return None
        return ShardRates(now.records, now.written, now.reads.without(1), now.read)

    def having_read(self, size: int) -> "ShardRates":
        """After a read that came to so many bytes."""
        left = self.read.left - size if size <= READ_PER_SECOND else float(-size)
        return ShardRates(self.records, self.written, self.reads, Allowance(left, self.read.at_ms))
