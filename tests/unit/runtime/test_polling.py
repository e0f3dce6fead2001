"""A paced reader: what it keeps, what it asks again, and whom it wakes.

Rules of this file: time is driven; the stream is a script of answers.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from msgspec import structs

from tailrace.clocks.manual import ManualClock
from tailrace.errors import SourceError
from tailrace.ports import ReadDone, Shard, StreamRef
from tailrace.runtime.pacing import Pacer, PacingSettings
from tailrace.runtime.polling import PAGES_MS, STREAMS_MS, PolledSource, ShardPage
from tailrace.streams.record import ChangeRecord

ROOT = Shard("root", 10, last=19, stream="label")
LEFT, RIGHT = Shard("left", 20, ("root",), stream="label"), Shard("right", 21, ("root",), stream="label")


class Scripted:
    """A stream of another server, whose every answer is told before. Shape: `pages` by the id that they begin
    behind.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.present: StreamRef | None = StreamRef("arn", "orders", "label", "NEW_AND_OLD_IMAGES")
        self.ended: list[StreamRef] = []
        self.pages: dict[str, ShardPage] = {"": ShardPage([ROOT], "", True)}
        self.continuing: dict[str, list[Shard]] = {}
        self.records: dict[str, list[int]] = {}
        self.failing = 0

    def _note(self, call: str) -> None:
        self.calls.append(call)
        if self.failing:
            self.failing -= 1
            raise SourceError(call, retry_after_ms=2_000)

    async def stream(self) -> StreamRef:
        self._note("stream")
        if self.present is None:
            raise SourceError("it is off")
        return self.present

    async def earlier(self) -> list[StreamRef]:
        self._note("earlier")
        return list(self.ended)

    async def shards(self, stream: StreamRef | None = None) -> list[Shard]:
        raise AssertionError("a page at a time")

    async def shard_page(self, stream: StreamRef, start: str) -> ShardPage:
        self._note(f"page behind {start or 'nothing'}")
        return self.pages.get(start, ShardPage([], "", True))

    async def children(self, stream: StreamRef, shard_id: str) -> list[Shard]:
        self._note(f"children of {shard_id}")
        return self.continuing.get(shard_id, [])

    async def can_be_read(self, stream: StreamRef, shard_id: str) -> bool:
        self._note(f"is {shard_id} there")
        return False

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        self._note(f"read {shard.shard_id} behind {after}")
        numbers = [number for number in self.records.get(shard.shard_id, []) if number > after][:limit]
        records = [ChangeRecord(number, 1, "INSERT", 0, 0, 0, b"", b"{}") for number in numbers]
        reached = numbers[-1] if numbers else after
        return ReadDone(records, reached, closed=shard.is_closed and reached >= (shard.last or 0))


class Pace:
    """A paced reader of a script."""

    def __init__(self, **settings: Any) -> None:
        self.script, self.clock = Scripted(), ManualClock()
        self.pacer = Pacer(PacingSettings(**settings))
        self.source = PolledSource(self.script, self.clock, self.pacer, confirm=False)

    async def rest(self, times: int = 20) -> None:
        """Let what can run run."""
        for _ in range(times):
            await asyncio.sleep(0)

    async def asked(self, work: Coroutine[Any, Any, Any]) -> list[str]:
        """What was asked to answer something."""
        self.script.calls.clear()
        await work
        return list(self.script.calls)


def told(story: Callable[[Pace], Coroutine[Any, Any, None]], **settings: Any) -> None:
    asyncio.run(story(Pace(**settings)))


def test_a_listing_that_was_broken_off_goes_on_where_it_was() -> None:
    async def story(pace: Pace) -> None:
        pace.script.pages = {
            "": ShardPage([ROOT], "root", True),
            "root": ShardPage([LEFT], "left", True),
            "left": ShardPage([RIGHT], "", True),
        }
        stream = await pace.source.stream()
        pace.script.calls.clear()
        for _ in range(2):
            pace.script.failing = 1 if len(pace.script.calls) == 0 else 0
            if pace.script.failing:
                with pytest.raises(SourceError):
                    await pace.source.shards(stream)
                continue
            shards = await pace.source.shards(stream)
        assert [shard.shard_id for shard in shards] == ["root", "left", "right"]
        assert pace.script.calls == ["page behind nothing"] * 2 + ["page behind root", "page behind left"]

    told(story)


def test_pages_that_were_listed_before_an_error_are_not_asked_again_unless_they_are_old() -> None:
    async def story(pace: Pace) -> None:
        pages = {"": ShardPage([ROOT], "root", True), "root": ShardPage([LEFT, RIGHT], "", True)}
        stream = await pace.source.stream()
        for age_ms, expected in (
            (PAGES_MS - 1, ["page behind root"]),
            (PAGES_MS, ["page behind nothing", "page behind root"]),
        ):
            fresh = PolledSource(pace.script, pace.clock, Pacer(), confirm=False)

            async def broken(_: StreamRef, start: str) -> ShardPage:
                if start:
                    raise SourceError("throttled")
                return pages[start]

            whole = pace.script.shard_page
            pace.script.shard_page = broken  # type: ignore[method-assign]
            with pytest.raises(SourceError):
                await fresh.shards(stream)
            pace.script.shard_page = whole  # type: ignore[method-assign]
            pace.script.pages = pages
            pace.clock.advance(age_ms)
            assert await pace.asked(fresh.shards(stream)) == expected

    told(story)


def test_a_page_that_went_between_the_pages_ends_a_listing() -> None:
    async def story(pace: Pace) -> None:
        pace.script.pages = {"": ShardPage([ROOT], "vanished", True)}
        shards = await pace.source.shards()
        assert [shard.shard_id for shard in shards] == ["root"]

    told(story)


def test_listings_keep_to_nine_calls_a_second() -> None:
    async def story(pace: Pace) -> None:
        many = [Shard(f"s{number:02}", number + 1, stream="label") for number in range(25)]
        pace.script.pages = {
            many[place - 1].shard_id if place else "": ShardPage(
                [many[place]], many[place].shard_id if place < 24 else "", True
            )
            for place in range(25)
        }
        listing = asyncio.ensure_future(pace.source.shards())
        counts = []
        while not listing.done():
            await pace.rest(60)
            counts.append(sum(call.startswith("page") for call in pace.script.calls))
            pace.clock.advance(1_000)
        assert counts == [8, 17, 25]  # the look at the table, which describes its stream, is one of them

    told(story)


def test_the_end_of_a_shard_asks_for_its_children_and_lists_nothing() -> None:
    async def story(pace: Pace) -> None:
        (root,) = await pace.source.shards()
        pace.script.records["root"] = [12, 19]
        pace.script.continuing["root"] = [LEFT, RIGHT]
        page = await pace.source.read(root, 9, 100)
        assert page.closed
        assert await pace.asked(pace.source.shards()) == ["children of root"]
        assert [shard.shard_id for shard in await pace.source.shards()] == ["root", "left", "right"]
        assert pace.pacer.open_shards == 0

    told(story)


def test_the_present_stream_is_asked_for_now_and_then() -> None:
    async def story(pace: Pace) -> None:
        for wait_ms, expected in ((0, ["stream"]), (STREAMS_MS - 1, []), (1, ["stream"])):
            pace.clock.advance(wait_ms)
            assert await pace.asked(pace.source.stream()) == expected

    told(story)


def test_a_stream_that_is_named_no_more_has_ended_at_once() -> None:
    async def story(pace: Pace) -> None:
        stream = await pace.source.stream()
        assert await pace.source.earlier() == []
        pace.script.present, pace.script.ended = None, [stream]
        pace.clock.advance(STREAMS_MS - 1)
        assert await pace.source.stream() == stream
        assert await pace.source.earlier() == []
        pace.clock.advance(1)
        with pytest.raises(SourceError):
            await pace.source.stream()
        assert await pace.source.earlier() == [stream]

    told(story)


def test_a_read_waits_until_something_comes_and_a_sibling_wakes_it() -> None:
    async def story(pace: Pace) -> None:
        reads = [asyncio.ensure_future(pace.source.read(shard, 30, 100)) for shard in (LEFT, RIGHT)]
        await pace.rest()
        assert len(pace.script.calls) == 2
        pace.clock.advance(249)
        await pace.rest()
        assert len(pace.script.calls) == 2
        pace.clock.advance(1)
        await pace.rest()
        assert len(pace.script.calls) == 4
        pace.script.records |= {"left": [31], "right": [32]}
        pace.clock.advance(250)
        await pace.rest()
        assert [[record.sequence for record in (await read).records] for read in reads] == [[31], [32]]

    told(story)


def test_progress_without_records_is_told() -> None:
    async def story(pace: Pace) -> None:
        async def dropping(shard: Shard, after: int, limit: int) -> ReadDone:
            return ReadDone([], after + 5)

        pace.script.read = dropping  # type: ignore[method-assign]
        assert await pace.source.read(LEFT, 30, 100) == ReadDone([], 35)

    told(story)


def test_after_an_error_a_shard_rests_as_long_as_it_was_told_whoever_reads() -> None:
    async def story(pace: Pace) -> None:
        pace.script.failing, pace.script.records["left"] = 1, [31]
        with pytest.raises(SourceError):
            await pace.source.read(LEFT, 30, 100)
        reads = [asyncio.ensure_future(pace.source.read(LEFT, after, 100)) for after in (30, 20)]
        pace.clock.advance(1_999)
        await pace.rest()
        assert len(pace.script.calls) == 1
        pace.clock.advance(8_001)
        assert [(await read).next_after for read in reads] == [31, 31]

    told(story)


def test_a_read_that_is_broken_off_is_counted_no_more() -> None:
    async def story(pace: Pace) -> None:
        read = asyncio.ensure_future(pace.source.read(LEFT, 30, 100))
        await pace.rest()
        assert (pace.pacer.open_shards, pace.source.unread_ms(LEFT)) == (1, 0)
        read.cancel()
        await pace.rest()
        assert (pace.pacer.open_shards, pace.source.unread_ms(LEFT)) == (0, None)

    told(story)


def test_whether_something_is_gone_is_answered_without_waiting() -> None:
    async def story(pace: Pace) -> None:
        assert await pace.source.read(LEFT, 30, 0) == ReadDone([], 30)
        assert await pace.source.read(LEFT, 30, 0) == ReadDone([], 30)

    told(story)


def test_while_a_listing_contradicts_itself_nothing_is_shown() -> None:
    async def story(pace: Pace) -> None:
        pace.script.pages = {"": ShardPage([LEFT, RIGHT], "", True)}
        young = [structs.replace(shard, created_ms=pace.clock.now().wall_ms) for shard in (LEFT, RIGHT)]
        pace.script.pages = {"": ShardPage(young, "", True)}
        listing = asyncio.ensure_future(PolledSource(pace.script, pace.clock, pace.pacer).shards())
        for _ in range(3):
            await pace.rest()
            assert not listing.done()
            pace.clock.advance(500)
        pace.script.pages = {"": ShardPage([ROOT, *young], "", True)}
        await pace.rest()
        pace.clock.advance(500)
        await pace.rest()
        assert [shard.shard_id for shard in listing.result()] == ["root", "left", "right"]

    told(story)
