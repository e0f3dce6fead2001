"""When a shard is read next, and what a second may cost: a stream of another server tells nobody that it
has something new.

Theory of operation. A shard that had records is read again at once: more may be there. One that had none is
read after an idle delay, which grows with the number of open shards, so that idle ones cost a fixed
number of calls a second, whatever their number; above ten seconds it does not grow, then the calls do.
When one shard of a stream has records after a pause, the writers are awake: its siblings are read as
soon as the budget allows, those that were read longest ago first. No second has more than five reads of
one shard, which is what DynamoDB gives to all readers together. A read of records costs no idle call, so
a busy shard is never held up by idle ones. After an error a shard waits with full jitter, and for ever:
a shard is never given up.
Rules of this file: pure; it is told the time, and answers with times. Jitter is a hash, not a draw.
Performed by runtime/polling.py. Source: growth §3.1; reference/fleet §1.1, §1.4.
"""

from bisect import bisect_right
from collections.abc import Collection
from hashlib import blake2b
from typing import Final, TypeAlias

from msgspec import Struct

Place: TypeAlias = tuple[str, str]
"""The label of a stream and the id of a shard."""

SECOND_MS: Final = 1_000
LEAST_IDLE_MS: Final = 250
"""As often as Lambda looks at a shard (semantics §2.3)."""
MOST_IDLE_MS: Final = 10_000
CALLS_PER_S: Final = 50
"""What idle shards may cost together. Fifty calls a second are some 26 dollars a month on AWS (a read
request unit each), whatever the number of shards; a single shard makes four.
"""
AWAKE: Final = 4
"""By so much faster than at rest are shards read whose stream has just woken up, once each."""
SHARD_READS_PER_S: Final = 5
"""Of one shard, by all of its readers. Source: reference/fleet §1.1."""
DESCRIBES_PER_S: Final = 10
"""DescribeStream, of an account and region. Source: reference/fleet §1.1."""
FIRST_PAUSE_MS: Final = 250
MOST_PAUSE_MS: Final = 10_000
"""Between tries of a shard that fails."""
MOST_DOUBLINGS: Final = 16


def idle_delay_ms(open_shards: int, calls_per_s: int = CALLS_PER_S) -> int:
    """How long a shard without news rests, so that all of them together keep to the budget.

    >>> idle_delay_ms(1), idle_delay_ms(100), idle_delay_ms(10_000)
    (250, 2000, 10000)
    """
    share_ms = -(-open_shards * SECOND_MS // calls_per_s)
    return min(max(share_ms, LEAST_IDLE_MS), MOST_IDLE_MS)


def idle_calls_per_s(open_shards: int, calls_per_s: int = CALLS_PER_S) -> int:
    """What idle shards may really cost: the budget, or more where ten seconds would be exceeded otherwise. A
    quarter is to spare, or who has waited once would be late for ever.

    >>> idle_calls_per_s(100), idle_calls_per_s(10_000)
    (50, 1250)
    """
    return max(calls_per_s, -(-open_shards * SECOND_MS * 5 // (MOST_IDLE_MS * 4)))


def fraction(*words: object) -> float:
    """Something between 0 and 1 that looks like chance, and is always the same for the same words."""
    text = "/".join(map(str, words)).encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest()) / (1 << 64)


def pause_ms(failures: int, chance: float, retry_after_ms: int = 0) -> int:
    """How long a shard waits after that many failures in a row: full jitter, and never less than it was
    told.

    Shape:   `failures` 1 for the first; `chance` from 0 to 1.

    >>> pause_ms(1, 0.5), pause_ms(2, 1.0), pause_ms(99, 1.0), pause_ms(1, 0.0, 3_000)
    (125, 500, 10000, 3000)
    """
    most = min(FIRST_PAUSE_MS << min(failures - 1, MOST_DOUBLINGS), MOST_PAUSE_MS)
    return max(int(most * chance), retry_after_ms)


class TokenBucket:
    """So many calls a second. Each token comes back a second after the call that took it, so that no
    second at all, wherever it begins, has more calls than there are tokens.
    """

    __slots__ = ("_taken", "_tokens")

    def __init__(self, tokens: int) -> None:
        self._tokens = tokens
        self._taken: list[int] = []

    def resize(self, tokens: int) -> None:
        """From now on it has so many."""
        self._tokens = tokens

    def is_full(self, now_ms: int) -> bool:
        """Whether no token was taken within the second before a moment, nor for later."""
        return not self._taken or self._taken[-1] <= now_ms - SECOND_MS

    def book(self, now_ms: int) -> int:
        """Take a token at the next moment that has one. Returns: that moment, `now_ms` or later. Who asks
        earlier gets an earlier moment.
        """
        taken = self._taken
        del taken[: bisect_right(taken, now_ms - SECOND_MS)]
        moment = max(now_ms, taken[-1]) if taken else now_ms
        if len(taken) >= self._tokens:
            moment = max(moment, taken[-self._tokens] + SECOND_MS)
        taken.append(moment)
        return moment


class ShardPace(Struct):
    """How a shard does. Units: times of the monotonic clock.

    Shape:   `due_ms` when it rests no longer; `frontier` the position behind which the last read saw
             nothing; `is_active`: its last read had records; `read_ms` when a read of it last succeeded,
             with records or without, None before the first; `empty_ms` when one last saw that nothing is
             behind `frontier`, None when the last one saw something.
    """

    due_ms: int
    bucket: TokenBucket
    frontier: int = -1
    is_active: bool = False
    is_woken: bool = False
    asked_ms: int = 0
    failures: int = 0
    read_ms: int | None = None
    empty_ms: int | None = None


class PacingSettings(Struct, frozen=True):
    """What a second may cost. Shape: `shard_reads_per_s` None where the other side has no such bound;
    `describes_per_s` one fewer than it gives: a call that is late arrives in another second than ours.
    """

    calls_per_s: int = CALLS_PER_S
    shard_reads_per_s: int | None = SHARD_READS_PER_S
    describes_per_s: int = DESCRIBES_PER_S - 1


class Pacer:
    """When each shard of a process is read next. Shape: `seed` tells workers apart, so that they do not all
    come at once.
    """

    def __init__(self, settings: PacingSettings | None = None, seed: str = "") -> None:
        self._settings = settings or PacingSettings()
        self._seed = seed
        self._shards: dict[Place, ShardPace] = {}
        self._woken_ms: dict[str, int] = {}
        self._idle = TokenBucket(self._settings.calls_per_s)
        self._awake = TokenBucket(self._settings.calls_per_s * AWAKE)
        self._asked = TokenBucket(self._settings.calls_per_s * AWAKE)
        self._aside: dict[Place, TokenBucket] = {}
        """The last second of shards that no reader is at."""
        self.describes = TokenBucket(self._settings.describes_per_s)
        """For DescribeStream, of whichever stream."""

    @property
    def open_shards(self) -> int:
        """How many shards are read."""
        return len(self._shards)

    @property
    def idle_ms(self) -> int:
        """How long a shard without news rests now."""
        return idle_delay_ms(len(self._shards), self._settings.calls_per_s)

    def begin(self, place: Place, now_ms: int) -> ShardPace:
        """A shard that is read, from now on if it is new: then it is due at once."""
        pace = self._shards.get(place)
        if pace is None:
            bucket = self._aside.pop(place) if place in self._aside else self._bucket()
            pace = self._shards[place] = ShardPace(now_ms, bucket)
            self._count()
        pace.asked_ms = now_ms
        return pace

    def end(self, place: Place) -> None:
        """A shard that is read no more. What its last second had goes on counting. Repeatable."""
        pace = self._shards.pop(place, None)
        if pace is not None:
            self._aside[place] = pace.bucket
            self._count()

    def forget(self, before_ms: int, reading: Collection[Place]) -> None:
        """Count no more what nobody has asked for since then, and nobody waits for."""
        for place in [place for place, pace in self._shards.items() if pace.asked_ms < before_ms]:
            if place not in reading:
                self.end(place)
        for place in [place for place, bucket in self._aside.items() if bucket.is_full(before_ms)]:
            del self._aside[place]

    def _count(self) -> None:
        tokens = idle_calls_per_s(len(self._shards), self._settings.calls_per_s)
        self._idle.resize(tokens)
        self._awake.resize(tokens * AWAKE)
        self._asked.resize(tokens * AWAKE)

    def due_ms(self, place: Place, after: int, now_ms: int) -> int:
        """When a read behind a position is due. A reader that is behind what was read already need not
        wait: something is there. After an error everybody waits.
        """
        pace = self.begin(place, now_ms)
        if pace.failures or after >= pace.frontier:
            return pace.due_ms
        return now_ms

    def book(self, place: Place, after: int, now_ms: int) -> int:
        """The moment of a read that is due. Returns: `now_ms` or later; the read is counted there."""
        pace = self.begin(place, now_ms)
        moment = now_ms
        if not (pace.is_active or after < pace.frontier):
            moment = (self._awake if pace.is_woken else self._idle).book(moment)
        return pace.bucket.book(moment) if self._settings.shard_reads_per_s is not None else moment

    def book_question(self, place: Place, now_ms: int) -> int:
        """The moment of what is asked once of a shard when it is begun. Returns: `now_ms` or later. It costs
        the idle shards nothing, nor do they hold it up: else who begins thousands would wait behind those
        that are begun, for hours.
        """
        pace = self.begin(place, now_ms)
        moment = self._asked.book(now_ms)
        return pace.bucket.book(moment) if self._settings.shard_reads_per_s is not None else moment

    def book_aside(self, place: Place, now_ms: int) -> int:
        """The moment of a read for which no reader of the shard waits, such as how far a handler is. Returns:
        `now_ms` or later. It makes no shard an open one, counts among the reads of its second, and keeps the
        pause of one that fails.
        """
        pace, moment = self._shards.get(place), self._asked.book(now_ms)
        if pace is not None and pace.failures:
            moment = max(moment, pace.due_ms)
        if self._settings.shard_reads_per_s is None:
            return moment
        bucket = self._aside.setdefault(place, self._bucket()) if pace is None else pace.bucket
        return bucket.book(moment)

    def _bucket(self) -> TokenBucket:
        return TokenBucket(self._settings.shard_reads_per_s or 1)

    def page(self, place: Place, next_after: int, *, has_records: bool, now_ms: int) -> list[Place]:
        """A read has succeeded. Returns: the siblings that are due now and were not, those that were read
        longest ago first: the stream has woken up.
        """
        pace = self.begin(place, now_ms)
        has_woken = has_records and not pace.is_active
        pace.failures, pace.read_ms, pace.is_woken = 0, now_ms, False
        if next_after < pace.frontier:
            return []  # a reader that is behind: it says nothing about the end
        pace.is_active, pace.frontier = has_records, next_after
        pace.empty_ms = None if has_records else now_ms
        pace.due_ms = now_ms if has_records else now_ms + self.idle_ms
        return self._wake_siblings(place, now_ms) if has_woken else []

    def _wake_siblings(self, place: Place, now_ms: int) -> list[Place]:
        """Once in an idle delay, so that a stream that is awake costs twice the budget at most."""
        if now_ms - self._woken_ms.get(place[0], -MOST_IDLE_MS) < self.idle_ms:
            return []
        self._woken_ms[place[0]] = now_ms
        resting = [
            (pace.read_ms or 0, other)
            for other, pace in self._shards.items()
            if other[0] == place[0] and other != place and not pace.failures and pace.due_ms > now_ms
        ]
        for _, other in resting:
            self._shards[other].due_ms, self._shards[other].is_woken = now_ms, True
        return [other for _, other in sorted(resting)]

    def failed(self, place: Place, retry_after_ms: int, now_ms: int) -> None:
        """A read has failed: nobody reads the shard before its pause is over."""
        pace = self.begin(place, now_ms)
        pace.failures += 1
        chance = fraction(self._seed, *place, pace.failures, now_ms)
        pace.is_active = False
        pace.due_ms = now_ms + pause_ms(pace.failures, chance, retry_after_ms)

    def empty_ms(self, place: Place, after: int, now_ms: int) -> int | None:
        """How long ago a read of a shard saw that nothing is behind a position; None: the last one that
        succeeded saw something, or none has.
        """
        pace = self._shards.get(place)
        if pace is None or pace.empty_ms is None or after < pace.frontier:
            return None
        return now_ms - pace.empty_ms

    def unread_ms(self, place: Place, now_ms: int) -> int | None:
        """How long ago a read of a shard last succeeded, empty or not; None: none ever has."""
        pace = self._shards.get(place)
        return None if pace is None or pace.read_ms is None else now_ms - pace.read_ms
