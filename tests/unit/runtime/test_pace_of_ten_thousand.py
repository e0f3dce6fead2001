"""Ten thousand shards that nobody writes to, read by one process: what a second costs, how late a change is
seen, and what it takes.

Rules of this file: time is driven, the source answers at once, and every call is noted with its moment.
"""

import asyncio
import random
import sys
from collections import Counter, defaultdict

import pytest

from tailrace.clocks.manual import ManualClock
from tailrace.errors import SourceError
from tailrace.ports import ReadDone, Shard, StreamRef
from tailrace.runtime.pacing import AWAKE, Pacer, PacingSettings, Place
from tailrace.runtime.polling import PolledSource, ShardPage
from tailrace.streams.record import ChangeRecord

STREAM = StreamRef("arn", "orders", "label", "NEW_AND_OLD_IMAGES")


class QuietStream:
    """A stream of many shards. Shape: `failing` how often in a hundred reads fail."""

    def __init__(self, shards: int, clock: ManualClock, failing: int = 0) -> None:
        self.all = [Shard(f"shard-{number:05d}", 1, stream="label") for number in range(shards)]
        self.clock = clock
        self.failing = failing
        self.chance = random.Random(7)
        self.written: dict[Place, list[int]] = defaultdict(list)
        self.reads: list[tuple[int, Place]] = []
        self.pages: list[int] = []

    async def stream(self) -> StreamRef:
        return STREAM

    async def earlier(self) -> list[StreamRef]:
        return []

    async def shards(self, stream: StreamRef | None = None) -> list[Shard]:
        raise AssertionError("a whole listing at once is asked by nobody here")

    async def shard_page(self, stream: StreamRef, start: str) -> ShardPage:
        self.pages.append(self.clock.now().monotonic_ms)
        begin = 1 + next((place for place, shard in enumerate(self.all) if shard.shard_id == start), -1)
        page = self.all[begin : begin + 100]
        return ShardPage(page, page[-1].shard_id if begin + 100 < len(self.all) else "", True)

    async def children(self, stream: StreamRef, shard_id: str) -> list[Shard]:
        return []

    async def can_be_read(self, stream: StreamRef, shard_id: str) -> bool:
        return True

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        self.reads.append((self.clock.now().monotonic_ms, shard.place))
        if self.chance.randrange(100) < self.failing:
            raise SourceError("it fails")
        numbers = [number for number in self.written[shard.place] if number > after][:limit]
        records = [ChangeRecord(number, 1, "INSERT", 0, 0, 0, b"", b"{}") for number in numbers]
        return ReadDone(records, numbers[-1] if numbers else after)


def most_in_a_second(moments: list[int]) -> int:
    """The most calls that any second has, wherever it begins."""
    most, first = 0, 0
    for last, moment in enumerate(moments):
        while moments[first] <= moment - 1_000:
            first += 1
        most = max(most, last - first + 1)
    return most


async def follow(
    source: PolledSource, shard: Shard, seen: dict[Place, list[int]], clock: ManualClock
) -> None:
    after = 0
    while True:
        try:
            page = await source.read(shard, after, 1_000)
        except SourceError:
            continue
        seen[shard.place] += [clock.now().monotonic_ms for _ in page.records]
        after = page.next_after


async def played(
    stream: QuietStream, seconds: int, writes: dict[int, Shard], settings: PacingSettings
) -> dict[Place, list[int]]:
    """Read all shards for so long; at some milliseconds something is written. Returns: when each shard's
    changes were seen.
    """
    clock = stream.clock
    source = PolledSource(stream, clock, Pacer(settings, "one"))
    seen: dict[Place, list[int]] = defaultdict(list)
    listing = asyncio.ensure_future(source.shards())
    while not listing.done():
        await asyncio.sleep(0)
        if clock.next_wake_ms is not None:
            clock.advance(clock.next_wake_ms - clock.now().monotonic_ms)
    begun_ms = clock.now().monotonic_ms
    tasks = [asyncio.ensure_future(follow(source, shard, seen, clock)) for shard in listing.result()]
    marks = sorted(writes)
    while (now_ms := clock.now().monotonic_ms) < begun_ms + seconds * 1_000:
        for _ in range(6):
            await asyncio.sleep(0)
        ends = [begun_ms + seconds * 1_000, clock.next_wake_ms or now_ms + 1_000]
        if marks:
            ends.append(begun_ms + marks[0])
        clock.advance(max(0, min(ends) - now_ms))
        if marks and clock.now().monotonic_ms >= begun_ms + marks[0]:
            stream.written[writes[marks.pop(0)].place].append(len(stream.reads) + 1)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return seen


@pytest.mark.slow
def test_ten_thousand_idle_shards_keep_to_every_bound_and_a_change_is_seen_within_ten_seconds() -> None:
    clock = ManualClock()
    stream = QuietStream(10_000, clock)
    settings = PacingSettings()
    shard = stream.all[4_711]
    seen = asyncio.run(played(stream, 32, {21_000: shard}, settings))
    moments = [moment for moment, _ in stream.reads]
    begun_ms = moments[0]
    asleep = [moment for moment in moments if moment < begun_ms + 21_000]
    assert most_in_a_second(stream.pages) == 9
    assert len(stream.pages) == 200  # the first listing is made twice
    assert most_in_a_second(asleep) == 1_250
    assert most_in_a_second(moments) <= 1_250 * (1 + AWAKE) + 5
    assert len(asleep) > 20_000
    of_shards = Counter(place for _, place in stream.reads)
    assert len(of_shards) == 10_000
    assert set(of_shards.values()) == {3, 4}
    assert 0 <= seen[shard.place][0] - begun_ms - 21_000 <= 10_000


def test_a_busy_shard_among_idle_ones_is_read_five_times_a_second() -> None:
    clock = ManualClock()
    stream = QuietStream(300, clock)
    busy = stream.all[7]
    stream.written[busy.place] = list(range(1, 100_001))
    asyncio.run(played(stream, 10, {}, PacingSettings()))
    moments = [moment for moment, place in stream.reads if place == busy.place]
    assert most_in_a_second(moments) == 5
    assert len(moments) >= 45


def read_within(stream: QuietStream, first_ms: int, span_ms: int) -> int:
    """How many shards were read in a span of time."""
    return len({place for moment, place in stream.reads if 0 <= moment - first_ms < span_ms})


def test_a_change_wakes_the_siblings_of_its_shard() -> None:
    clock = ManualClock()
    stream = QuietStream(100, clock)
    seen = asyncio.run(played(stream, 45, {20_300: stream.all[0]}, PacingSettings(calls_per_s=10)))
    woken_ms = seen[stream.all[0].place][0]
    assert read_within(stream, woken_ms, 3_000) == 100
    assert read_within(stream, woken_ms - 3_000, 3_000) < 50


def test_shards_that_fail_now_and_then_are_all_read_for_ever() -> None:
    clock = ManualClock()
    stream = QuietStream(500, clock, failing=60)
    asyncio.run(played(stream, 120, {}, PacingSettings()))
    late = Counter(place for moment, place in stream.reads if moment > stream.reads[-1][0] - 60_000)
    assert len(late) == 500


def test_what_a_shard_takes_is_little() -> None:
    pacer = Pacer()
    for number in range(100):
        place = ("label", f"shard-{number}")
        for _ in range(5):
            pacer.book(place, 0, 0)
    pace = pacer.begin(("label", "shard-1"), 0)
    assert sum(sys.getsizeof(part) for part in (pace, pace.bucket, pace.bucket._taken)) < 1_000


class Impatient(Pacer):
    """A canary: it never rests."""

    def due_ms(self, place: Place, after: int, now_ms: int) -> int:
        return now_ms

    def book(self, place: Place, after: int, now_ms: int) -> int:
        self.begin(place, now_ms)
        return now_ms + 1


def test_a_reader_without_a_pace_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ManualClock()
    stream = QuietStream(20, clock)
    monkeypatch.setitem(globals(), "Pacer", Impatient)
    asyncio.run(played(stream, 2, {}, PacingSettings()))
    assert most_in_a_second([moment for moment, _ in stream.reads]) > 50
