"""The live stream behind a journal: what was acknowledged is in the answer, once, or it is said that not.

Rules of this file: the engine of a world is the stream, and its archiver lags as long as nothing settles.
"""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tailrace import App
from tailrace.app.table import schema_of
from tailrace.archives import DirectoryArchive
from tailrace.errors import SourceError
from tailrace.journal.core.places import journaled_table
from tailrace.journal.run.past import PastReader
from tailrace.journal.run.reading import JournalReader
from tailrace.journal.run.tail import MARGIN_US, TailBounds
from tailrace.ports import ReadDone, Shard, StreamRef
from tailrace.sources.embedded_log import EmbeddedLog
from tailrace.testing import World

ELSEWHERE_MS = 1_767_225_600_001
"""When another engine begins: a stream is named by its time."""


class Watched:
    """A log that says what it was asked, and does something first."""

    def __init__(self, world: World) -> None:
        self._log = EmbeddedLog(world.engine)
        self.reads: list[tuple[str, str]] = []
        self.listings = 0
        self.before_listing: Callable[[], Any] = lambda: None
        self.before_read: Callable[[Shard], Any] = lambda shard: None
        """Called in a thread, for a world has a loop of its own."""
        self.is_slow = False

    async def streams(self, table: str | None = None) -> list[StreamRef]:
        self.listings += 1
        await asyncio.to_thread(self.before_listing)
        return await self._log.streams(table)

    async def shards(self, stream: StreamRef) -> list[Shard]:
        return await self._log.shards(stream)

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        self.reads.append(shard.place)
        await asyncio.to_thread(self.before_read, shard)
        if self.is_slow:
            await asyncio.Event().wait()
        return await self._log.read(shard, after, limit)

    async def pending_since(self, shard: Shard) -> int | None:
        return await self._log.pending_since(shard)


class Lagging:
    """A table whose archiver lags, and what reads its past."""

    def __init__(self, world: World, app: App, place: Path) -> None:
        self.world = world
        self.orders = app.tables["orders"]
        self.key = schema_of(self.orders).key_bytes({"id": {"S": "o1"}})
        self.place = place
        self.log = Watched(world)
        self.past = self.reader()

    def reader(self, log: Any = None, **bounds: Any) -> PastReader:
        settings = self.world.engine.settings
        table = journaled_table("orders", settings.region, settings.account)
        archive = DirectoryArchive(self.place)
        return PastReader(archive, table, self.world.clock, log or self.log, TailBounds(**bounds))

    def put(self, status: str, key: str = "o1") -> None:
        self.world.put(self.orders, {"id": key, "status": status})

    def statuses(self, past: PastReader | None = None) -> list[str]:
        entries = asyncio.run((past or self.past).history(self.key))
        return [status_of(entry.change.new) for entry in entries]

    def status_at(self, at_us: int, past: PastReader | None = None) -> str:
        async def look() -> str:
            then = await (past or self.past).at(at_us)
            state = await then.state(self.key)
            assert state.is_known, state.unknown
            return status_of(state.item) if state.item else "-"

        return asyncio.run(look())

    @property
    def now_us(self) -> int:
        return self.world.clock.now().wall_ms * 1_000 + 999


def status_of(image: bytes | None) -> str:
    import orjson

    return "-" if image is None else str(orjson.loads(image)["status"]["S"])


@pytest.fixture
def lagging(tmp_path: Path) -> Iterator[Lagging]:
    """Two changes are archived."""
    app = App("shop")
    orders = app.table("orders", pk="id")
    app.archive(orders, DirectoryArchive(tmp_path / "history"))
    with World(app, seed=1, shards=2) as world:
        told = Lagging(world, app, tmp_path / "history")
        told.put("new")
        world.settle()
        world.advance("1m")
        told.put("paid")
        world.settle()
        world.advance("1m")
        yield told


# ---- it is in the answer, once -----------------------------------------------------------------------------


def test_what_was_written_before_the_question_is_in_every_answer(lagging: Lagging) -> None:
    lagging.put("sent")
    assert lagging.statuses() == ["new", "paid", "sent"]
    assert lagging.status_at(lagging.now_us) == "sent"
    assert lagging.past.unread == ""
    blamed = {one.name: one.value for one in asyncio.run(lagging.past.blame(lagging.key))}
    assert blamed["status"] == {"S": "sent"}

    async def differing() -> list[Any]:
        since_us = lagging.now_us - 30_000_000
        return [one async for one in lagging.past.diff(since_us, lagging.now_us)]

    ((one,)) = asyncio.run(differing())
    assert (status_of(one.before), status_of(one.after)) == ("paid", "sent")


def test_the_archive_alone_lacks_it_and_says_so(lagging: Lagging) -> None:
    lagging.put("sent")
    settings = lagging.world.engine.settings
    table = journaled_table("orders", settings.region, settings.account)
    alone = PastReader(DirectoryArchive(lagging.place), table, lagging.world.clock)
    assert lagging.statuses(alone) == ["new", "paid"]
    assert "does not have yet" in asyncio.run(alone.at(lagging.now_us)).later
    assert asyncio.run(lagging.past.at(lagging.now_us)).later == ""


def test_a_change_that_is_archived_while_the_stream_is_read_counts_once(lagging: Lagging) -> None:
    lagging.put("sent")
    for moment in ("before_listing", "before_read"):
        setattr(lagging.log, moment, lambda *_: lagging.world.settle())
        assert lagging.statuses() == ["new", "paid", "sent"]
        assert lagging.statuses() == ["new", "paid", "sent"]
    lagging.log.before_listing = lagging.log.before_read = lambda *_: None
    lagging.put("back")
    assert lagging.statuses() == ["new", "paid", "sent", "back"]


def test_a_reader_that_counts_what_is_archived_meanwhile_twice_is_caught(
    lagging: Lagging, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = JournalReader.live

    def from_the_beginning(self: JournalReader, reached: Any, **more: Any) -> Any:
        reached.clear()
        return live(self, reached, **more)

    monkeypatch.setattr(JournalReader, "live", from_the_beginning)
    assert lagging.statuses() != ["new", "paid"]


# ---- it is said where it is not ----------------------------------------------------------------------------


def test_a_stream_that_fails_in_any_shard_is_named_and_nothing_of_it_counts(
    lagging: Lagging, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(8):  # in both shards
        lagging.put("sent", f"p{number}")
    lagging.put("sent")

    def fail(shard: Shard) -> None:
        if len(set(lagging.log.reads)) == 2:
            raise SourceError("throttled by the stream")

    lagging.log.before_read = fail
    assert lagging.statuses() == ["new", "paid"]
    assert lagging.past.unread == "throttled by the stream"
    later = asyncio.run(lagging.past.at(lagging.now_us)).later
    assert later.endswith("The live stream was not read: throttled by the stream")
    assert [record.message for record in caplog.records] == [
        "orders: The live stream was not read: throttled by the stream; its journal alone was asked"
    ]
    lagging.log.before_read = lambda shard: None
    assert lagging.statuses() == ["new", "paid", "sent"]
    assert lagging.past.unread == ""


def test_a_stream_that_does_not_answer_is_not_waited_for_without_end(lagging: Lagging) -> None:
    lagging.put("sent")
    lagging.log.is_slow = True
    past = lagging.reader(patience_s=0.01)
    assert lagging.statuses(past) == ["new", "paid"]
    assert past.unread == "it did not answer within 0.01 s"


def test_as_many_changes_as_the_bound_are_read_and_one_more_is_not(lagging: Lagging) -> None:
    for number in range(3):
        lagging.put(f"sent {number}")
    past = lagging.reader(most_changes=3)
    assert lagging.statuses(past)[-1] == "sent 2"
    lagging.put("back")
    assert lagging.statuses(past) == ["new", "paid"]
    assert past.unread == "it is more than 3 changes ahead of the journal"


def test_as_many_bytes_as_the_bound_are_read_and_one_more_is_not(lagging: Lagging) -> None:
    lagging.put("sent")
    change = asyncio.run(lagging.past.history(lagging.key))[-1].change
    size = len(change.old or b"") + len(change.new or b"")
    assert lagging.statuses(lagging.reader(most_bytes=size))[-1] == "sent"
    past = lagging.reader(most_bytes=size - 1)
    assert lagging.statuses(past) == ["new", "paid"]
    assert past.unread.startswith("it is more than")


@pytest.mark.parametrize("has_table", [True, False])
def test_the_stream_of_another_table_of_that_name_is_not_mixed_in(lagging: Lagging, has_table: bool) -> None:
    other = App("other")
    if has_table:
        other.table("orders", pk="id")
    with World(other, seed=2, start_ms=ELSEWHERE_MS) as world:
        if has_table:
            world.put("orders", {"id": "o1", "status": "elsewhere"})
        past = lagging.reader(EmbeddedLog(world.engine), is_sure=False)
        assert lagging.statuses(past) == ["new", "paid"]
        assert past.unread.endswith("there, and the journal is of another one")
    lagging.put("sent")
    assert lagging.statuses(lagging.reader(is_sure=False)) == ["new", "paid", "sent"]


def test_a_reader_that_does_not_ask_whose_stream_it_is_is_caught(
    lagging: Lagging, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = App("other")
    other.table("orders", pk="id")
    with World(other, seed=2, start_ms=ELSEWHERE_MS) as world:
        world.put("orders", {"id": "o1", "status": "elsewhere"})

        async def unasked(self: JournalReader, log: Any, *_: Any) -> Any:
            return log

        monkeypatch.setattr(JournalReader, "_its_own", unasked)
        past = lagging.reader(EmbeddedLog(world.engine), is_sure=False)
        assert "elsewhere" in lagging.statuses(past)


# ---- it is not asked for what is known ---------------------------------------------------------------------


def test_a_time_that_the_journal_knows_completely_asks_no_stream(lagging: Lagging) -> None:
    world = lagging.world
    then_us = lagging.now_us
    world.advance("5m")
    assert lagging.status_at(then_us) == "paid"
    asked = lagging.log.listings
    assert asked == 1
    assert lagging.status_at(then_us) == "paid"
    assert asyncio.run(lagging.past.at(then_us)).later == ""
    assert lagging.log.listings == asked
    lagging.put("sent")
    assert lagging.status_at(lagging.now_us) == "sent"
    assert lagging.log.listings == asked + 1


def test_the_last_time_that_needs_no_stream_and_the_first_that_does(lagging: Lagging) -> None:
    asked_us = lagging.world.clock.now().wall_ms * 1_000
    lagging.status_at(asked_us)
    lagging.status_at(asked_us - MARGIN_US - 1)
    assert lagging.log.listings == 1
    lagging.status_at(asked_us - MARGIN_US)
    assert lagging.log.listings == 2


def test_what_the_stream_alone_has_is_asked_again_until_it_is_archived(lagging: Lagging) -> None:
    lagging.put("sent")
    then_us = lagging.now_us
    lagging.log.before_listing = lambda: None
    past = lagging.past
    lagging.world.engine.clock.advance(60_000)  # time passes, and the archiver does nothing
    assert lagging.status_at(then_us) == "sent"
    assert lagging.status_at(then_us) == "sent"
    assert lagging.log.listings == 2
    lagging.world.settle()
    assert lagging.status_at(then_us, past) == "sent"
    assert lagging.log.listings == 2


def test_shards_that_are_archived_to_their_end_are_not_read(lagging: Lagging) -> None:
    lagging.world.advance("5h")  # shards roll over after four hours
    lagging.world.settle()
    assert lagging.statuses() == ["new", "paid"]
    listed = asyncio.run(shards_of(lagging))
    assert len(listed) > len([shard for shard in listed if not shard.is_closed]) > 0
    lagging.log.reads.clear()
    assert lagging.statuses() == ["new", "paid"]
    assert {*lagging.log.reads} == {shard.place for shard in listed if not shard.is_closed}


async def shards_of(lagging: Lagging) -> list[Shard]:
    return [
        shard for stream in await lagging.log.streams("orders") for shard in await lagging.log.shards(stream)
    ]


def test_a_closed_shard_that_is_not_archived_is_read_again(lagging: Lagging) -> None:
    lagging.put("sent")
    lagging.world.engine.clock.advance(5 * 3_600_000)
    for _ in range(2):
        assert lagging.statuses() == ["new", "paid", "sent"]


def test_an_answer_is_given_again_as_long_as_it_is_fresh(lagging: Lagging) -> None:
    past = lagging.reader(fresh_ms=1_000)
    assert lagging.statuses(past) == ["new", "paid"]
    lagging.put("sent")
    lagging.world.engine.clock.advance(999)
    assert lagging.statuses(past) == ["new", "paid"]
    assert lagging.log.listings == 1
    lagging.world.engine.clock.advance(1)
    assert lagging.statuses(past) == ["new", "paid", "sent"]
    assert lagging.log.listings == 2
