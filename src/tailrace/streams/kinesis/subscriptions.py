"""Subscriptions to shards: who may have one, when it says something, and when it ends.

Theory of operation: a consumer has one subscription to a shard. In the first five seconds nobody else gets
it; later the next one takes it over. It lives five minutes. An event leaves when there are records, or when
nothing was said for five seconds. Where a shard is held to its limits, an event leaves only while something
is left of what the consumer gets in a second; what it exceeds that by is waited for afterwards.
Rules of this file: pure; times are of a clock that never goes back. Source: semantics §5.4; fleet §4.3.
"""

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from tailrace.streams.kinesis.data_records import DataPage
from tailrace.streams.kinesis.throughput import MEBIBYTE, READ_PER_SECOND, Allowance

LIFE_MS: Final = 300_000
HEARTBEAT_MS: Final = 5_000
UNDISTURBED_MS: Final = 5_000
EVENT_BYTES: Final = MEBIBYTE
"""Data and keys of one event at most, unless one record has more."""


def may_take_over(since_ms: int | None, now_ms: int) -> bool:
    """Whether a consumer gets a shard that was last subscribed to at that time; None: never.

    >>> may_take_over(None, 0), may_take_over(0, 4_999), may_take_over(0, 5_000)
    (True, False, True)
    """
    return since_ms is None or now_ms - since_ms >= UNDISTURBED_MS


class Subscription(Struct, frozen=True):
    """How far a subscription is.

    Shape:   `after` is the engine's number of what was told last, `continuation` the sequence number with
             which a client goes on; `allowance` is there where the shard's limits hold.
    Units:   ms of a clock that never goes back.
    """

    began_ms: int
    told_ms: int
    after: int
    continuation: str
    allowance: Allowance | None = None

    @property
    def ends_ms(self) -> int:
        """When it ends by itself."""
        return self.began_ms + LIFE_MS

    def is_over(self, now_ms: int) -> bool:
        """Whether it has ended by itself."""
        return now_ms >= self.ends_ms

    def is_silent(self, now_ms: int) -> bool:
        """Whether it has to say something, if only that there is nothing."""
        return now_ms - self.told_ms >= HEARTBEAT_MS

    def wakes_ms(self) -> int:
        """When there is something to do although nothing comes."""
        return min(self.ends_ms, self.told_ms + HEARTBEAT_MS)

    def waits_ms(self, now_ms: int) -> int:
        """How long its consumer has had enough for; 0: it gets more at once."""
        if self.allowance is None:
            return 0
        left = self.allowance.filled(READ_PER_SECOND, now_ms).left
        return 0 if left > 0 else int(-left * 1_000 / READ_PER_SECOND) + 1

    def told(self, page: DataPage, now_ms: int) -> "Subscription":
        """After an event with this page."""
        allowance = self.allowance
        if allowance is not None:
            size = sum(len(record.data) for record in page.records)
            allowance = allowance.filled(READ_PER_SECOND, now_ms).without(size)
        continuation = page.records[-1].sequence_number if page.records else self.continuation
        return replace(
            self, told_ms=now_ms, after=page.next_after, continuation=continuation, allowance=allowance
        )


def fresh_allowance(now_ms: int) -> Allowance:
    """What a consumer gets of a shard in its first second."""
    return Allowance(READ_PER_SECOND, now_ms)
