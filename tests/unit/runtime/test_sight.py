"""Lag without asking: each thing that a reader may know, and what it makes of it."""

import asyncio
import contextlib
from typing import Any

import pytest

from tailrace.clocks.manual import ManualClock
from tailrace.errors import SourceError
from tailrace.ports import StreamRef
from tailrace.runtime.driver import ReadSoFar, Status
from tailrace.runtime.outages import Outages, WatchedSource
from tailrace.runtime.pacing import Pacer
from tailrace.runtime.sight import Sight

PLACE = "label", "shard-1"
MINUTE_MS = 60_000


class Look:
    """A sight, its clock and its pacer, and one reader."""

    def __init__(self) -> None:
        self.clock, self.pacer = ManualClock(), Pacer()
        self.sight = Sight(self.clock, self.pacer)

    @property
    def now_ms(self) -> int:
        return self.clock.now().monotonic_ms

    def read(self, next_after: int, *, records: bool) -> None:
        self.pacer.page(PLACE, next_after, has_records=records, now_ms=self.now_ms)

    def lag_ms(self, position: int, read: ReadSoFar) -> int:
        status = Status(
            "shop", "mail", "orders", PLACE[1], 0, 0, 0, 0, {}, 0, None, label=PLACE[0], position=position,
            read=read,
        )  # fmt: skip
        return self.sight.lag_ms(status)


@pytest.fixture
def look() -> Look:
    return Look()


def test_the_oldest_change_that_is_known_comes_before_all_else(look: Look) -> None:
    look.read(7, records=False)
    oldest_ms = look.clock.now().wall_ms - 5_000
    look.clock.advance(1_000)
    assert look.lag_ms(7, ReadSoFar(oldest_ms, oldest_ms, look.now_ms)) == 6_000


def test_where_nothing_is_known_it_is_the_age_of_the_read_that_saw_nothing(look: Look) -> None:
    written_ms = look.clock.now().wall_ms - 3_600_000
    look.read(7, records=True)
    look.read(7, records=False)
    assert look.lag_ms(7, ReadSoFar(None, written_ms, 0)) == 0
    look.clock.advance(9_000)
    assert look.lag_ms(7, ReadSoFar(None, written_ms, 0)) == 9_000


def test_a_reader_that_has_just_read_a_page_is_where_the_page_ended(look: Look) -> None:
    """Between two pages of a backlog nothing is unsettled, and the handler is hours late all the same."""
    written_ms = look.clock.now().wall_ms - 3_600_000
    look.read(7, records=True)
    assert look.lag_ms(7, ReadSoFar(None, written_ms, look.now_ms)) == 3_600_000


def test_a_reader_behind_another_one_does_not_borrow_what_that_one_saw(look: Look) -> None:
    written_ms = look.clock.now().wall_ms - 60_000
    look.read(7, records=False)
    assert look.lag_ms(6, ReadSoFar(None, written_ms, look.now_ms)) == 60_000
    assert look.lag_ms(7, ReadSoFar(None, written_ms, look.now_ms)) == 0


def test_before_the_first_answer_lag_grows_from_the_start(look: Look) -> None:
    begun_ms = look.now_ms
    look.clock.advance(70_000)
    assert look.lag_ms(0, ReadSoFar(None, None, begun_ms)) == 70_000


def test_reads_that_fail_leave_the_age_of_the_last_one_that_saw_nothing(look: Look) -> None:
    look.read(7, records=False)
    look.clock.advance(1_000)
    look.pacer.failed(PLACE, 0, look.now_ms)
    look.clock.advance(1_000)
    assert look.lag_ms(7, ReadSoFar(None, None, look.now_ms)) == 2_000


# ---- listings ----------------------------------------------------------------------------------------------


class Streams:
    """A source with these streams, on and ended; it fails when told."""

    def __init__(self) -> None:
        self.on: str | None = "b"
        self.ended = ["a"]
        self.fails = False

    async def stream(self) -> StreamRef:
        if self.on is None:
            raise SourceError("the stream is off")
        return StreamRef(self.on, "orders", self.on, "KEYS_ONLY")

    async def earlier(self) -> list[StreamRef]:
        return [StreamRef(label, "orders", label, "KEYS_ONLY") for label in self.ended]

    async def shards(self, stream: StreamRef | None = None) -> list[Any]:
        if self.fails:
            raise SourceError("throttled")
        return []


def followed(source: WatchedSource) -> None:
    """List as a worker does."""

    async def following() -> None:
        present = []
        with contextlib.suppress(SourceError):
            present = [await source.stream()]
        for stream in [*await source.earlier(), *present]:
            await source.shards(stream)

    with contextlib.suppress(SourceError):
        asyncio.run(following())


def test_a_table_is_as_old_as_the_listing_of_its_streams_that_is_oldest(look: Look) -> None:
    streams = Streams()
    source = WatchedSource(streams, Outages(look.clock), "orders", look.sight)  # type: ignore[arg-type]
    look.clock.advance(5_000)
    assert look.sight.unlisted_ms("orders") == 5_000  # never: since the start
    followed(source)
    assert look.sight.unlisted_ms("orders") == 0
    streams.fails = True
    look.clock.advance(MINUTE_MS)
    followed(source)
    assert look.sight.unlisted_ms("orders") == MINUTE_MS
    streams.fails = False
    followed(source)
    assert look.sight.unlisted_ms("orders") == 0


def test_a_stream_that_is_gone_does_not_age_and_one_that_is_off_is_no_outage(look: Look) -> None:
    streams = Streams()
    source = WatchedSource(streams, Outages(look.clock), "orders", look.sight)  # type: ignore[arg-type]
    followed(source)
    look.clock.advance(MINUTE_MS)
    streams.on, streams.ended = None, ["b"]
    followed(source)
    assert look.sight.unlisted_ms("orders") == 0
