"""Nothing that remembers what it applied last refuses what is newer, when numbers begin anew: end to end,
through the whole worker.

Rules of this file: the source is scripted, so that the later numbers are smaller; the far DynamoDB is an
engine of its own, and outlives the app's. What is lost with the app's engine is the state; sinks, projections
and marks stay. One canary at least for each: without asking or without keeping, newer changes are refused.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tailrace import App, Change, sinks
from tailrace.aws.errors import AwsError, sink_error
from tailrace.aws.tables import GivenTables
from tailrace.clocks.manual import ManualClock
from tailrace.compose import create_tables
from tailrace.compose_worker import WorkerOptions, build_worker
from tailrace.engine.engine import Engine
from tailrace.engine.state import EngineStateStore
from tailrace.errors import ApiError, SinkError, StoreError, Unavailable
from tailrace.leases.generation import Generations
from tailrace.ports import Clock, Source
from tailrace.runtime import reading
from tailrace.runtime.agreeing import SourcesOfMarks, VersionedRows
from tailrace.runtime.around import Around
from tailrace.server.inprocess import InProcess
from tailrace.sinks.aws import AwsAccess
from tailrace.stores.memory import MemoryStore
from tailrace.tables.definition import TableDefinition
from tailrace.testing import ScriptedSource
from tailrace.testing.client import client
from tailrace.worker.worker import Worker
from tests.patience import PATIENCE_S
from tests.unit.engine.building import opened

LOOK_S = 0.01
LOOK_MS = 200


@dataclass(frozen=True)
class Far(AwsAccess):
    """Access to an engine of this process."""

    tables: Any = None
    story: Any = None

    async def call(self, service: str, operation: str, **parameters: Any) -> Any:
        """As AWS would, unless it is away."""
        if self.story.away == "dynamodb":
            raise Unavailable("the mirror is away")
        try:
            return await self.tables.call(operation.title().replace("_", ""), parameters)
        except AwsError as error:
            raise sink_error(error) from error


@dataclass
class FileOf(sinks.DuckDB):
    """A file that may be away."""

    story: Any = field(default=None, kw_only=True)

    async def open(self, clock: Clock) -> None:
        """Open it, unless it is away."""
        if self.story.away == "duckdb":
            raise Unavailable("the file is away")
        await super().open(clock)


class Scripted(Around):
    """A worker whose streams are a script's."""

    def __init__(self, source: ScriptedSource) -> None:
        self._source = source

    def source(self, source: Source) -> Source:
        """The script's."""
        return self._source


class Story:
    """An app, what it writes to, and what of it outlives the app's state."""

    def __init__(self, folder: Path) -> None:
        self.source = ScriptedSource("orders", digits=20)
        self.file = folder / "shop.duckdb"
        self.far = opened(MemoryStore())
        for table, partition, sort in (("mirror", "id", None), ("kept", "pk", "sk"), ("effects", "pk", "sk")):
            self.far.create_table(TableDefinition(table, partition, "S", sort, "S" if sort else None))
        self.far.committer.flush()
        self.client = client(InProcess(self.far), "dynamodb")
        self.clock = ManualClock()
        self.state: Engine = opened(MemoryStore(), self.clock)
        self.handled: list[int] = []
        self.places: Mapping[str, Callable[[], Any]] = {}
        self.away = ""
        """The place that does not answer."""

    async def flushed(self) -> None:
        """Make everything in the app's engine durable."""
        self.state.committer.flush()

    def lose_the_state(self) -> None:
        """Go on with an empty engine."""
        self.state = opened(MemoryStore(), self.clock)

    def app(self, *places: str) -> App:
        """One that writes to these places."""
        app = App("shop")
        orders = app.table("orders", pk="id")
        app.transactions(self.client, "effects")
        file, mirror = (
            FileOf(self.file, "orders", story=self),
            sinks.DynamoDB("mirror", Far(tables=GivenTables(self.client), story=self)),
        )
        answer: dict[str, Callable[[], Any]] = {
            "duckdb": lambda: _asked(file, "SELECT n FROM orders"),
            "dynamodb": self._mirrored,
            "marks": lambda: self.handled[-1],
            "in a file": lambda: _asked(rows, "SELECT state FROM sales"),
            "in a table": lambda: self._projected(app),
        }
        if "duckdb" in places:
            app.sink(orders, file, id="file")
        if "dynamodb" in places:
            app.sink(orders, mirror, id="mirror")
        if "marks" in places:

            @app.on(orders, once=True, id="note")
            def note(change: Change) -> None:
                self.handled.append(int(change.new["n"]))

        rows = sinks.DuckDB(self.file.with_name("sales.duckdb"), "sales")
        for name, into in (("in a file", rows), ("in a table", app.table("kept", pk="pk", sk="sk"))):
            if name in places:

                @app.projection(orders, by="id", initial=int, into=into, id=f"sales {name}".replace(" ", "-"))
                def sales(total: int, item: dict[str, Any], sign: int) -> int:
                    return total + sign * int(item["n"])

        self.places = {name: answer[name] for name in places}
        return app

    @asynccontextmanager
    async def running(self, *places: str) -> AsyncIterator[Worker]:
        """The app's worker, until the end of the block."""
        app, engine = self.app(*places), self.state
        create_tables(app, engine)
        engine.committer.flush()
        options = WorkerOptions("one", around=Scripted(self.source), discovery_ms=20)
        worker = build_worker(app, engine, self.flushed, options)
        await worker.check()
        task = asyncio.ensure_future(worker.run())
        try:
            yield worker
        finally:
            worker.stop()
            await task

    async def arrives(self, n: int) -> None:
        """Change the one item, and wait until it is so everywhere."""
        self.source.write("a", n=n)
        for name, seen in self.places.items():
            if name == self.away:
                continue
            async with asyncio.timeout(PATIENCE_S):
                while (there := seen_or_not(seen)) != n:
                    assert there is None or there < n, f"{name}: {there}"
                    await self.between_looks()

    async def between_looks(self) -> None:
        """Let the others work, and time pass: what failed is tried again."""
        await asyncio.sleep(LOOK_S)
        self.clock.advance(LOOK_MS)

    def _mirrored(self) -> int:
        item = self.far.get("mirror", {"id": {"S": "a"}})
        return int((item or {})["n"]["N"])

    def _projected(self, app: App) -> int:
        key = {"pk": {"S": "sales-in-a-table@v1"}, "sk": {"S": '{"S":"a"}'}}
        item = self.far.get("kept", key)
        return int((item or {})["state"]["N"])


def seen_or_not(seen: Callable[[], Any]) -> int | None:
    with suppress(LookupError, SinkError, ApiError):
        return int(seen())
    return None


def _asked(file: sinks.DuckDB, sql: str) -> Any:
    return file.query(sql)[1][0][0]


def off_and_on(source: ScriptedSource) -> None:
    """Another stream, whose numbers begin anew; the one before it is gone with its table."""
    source.end()
    source.forget_streams()
    source.begin()


ALL = ("duckdb", "dynamodb", "marks", "in a file", "in a table")


def told(story: Callable[[Story], Any], folder: Path) -> None:
    """Run a story in a loop of its own."""

    async def run() -> None:
        await story(Story(folder))

    asyncio.run(run())


@pytest.mark.parametrize("place", ALL)
def test_a_table_that_is_created_again_has_newer_changes_though_their_numbers_are_smaller(
    place: str, tmp_path: Path
) -> None:
    async def run(story: Story) -> None:
        story.source.begin()
        async with story.running(place):
            for n in (1, 2, 3):
                await story.arrives(n)
            off_and_on(story.source)
            await story.arrives(4)

    told(run, tmp_path)


@pytest.mark.parametrize("place", ALL)
def test_a_switched_source_has_newer_changes_whatever_its_streams_are_called(
    place: str, tmp_path: Path
) -> None:
    async def run(story: Story) -> None:
        story.source.begin()
        off_and_on(story.source)
        async with story.running(place):
            for n in (1, 2, 3):
                await story.arrives(n)
        story.source = ScriptedSource("orders", digits=10)
        story.source.begin()  # stream-1, where the other source had stream-2
        async with story.running(place):
            await story.arrives(4)

    told(run, tmp_path)


@pytest.mark.parametrize("place", ALL)
def test_what_was_written_with_a_state_that_is_lost_takes_the_changes_of_a_newer_stream(
    place: str, tmp_path: Path
) -> None:
    async def run(story: Story) -> None:
        story.source.begin()
        async with story.running(place):
            for n in (1, 2, 3):
                await story.arrives(n)
        story.lose_the_state()
        off_and_on(story.source)
        async with story.running(place):
            await story.arrives(4)

    told(run, tmp_path)


@pytest.mark.parametrize("place", ALL)
def test_rows_of_another_history_are_not_written_to_and_the_mapping_says_why(
    place: str, tmp_path: Path
) -> None:
    async def run(story: Story) -> None:
        story.source.begin()
        async with story.running(place):
            await story.arrives(3)
        story.lose_the_state()
        off_and_on(story.source)
        async with story.running():
            pass  # without the place: no worker asks it
        row = Generations("shop", "orders").with_labels(["stream-2"]).write()
        await EngineStateStore(story.state, story.flushed).transact([row])
        async with story.running(place) as worker:
            story.source.write("a", n=4)
            async with asyncio.timeout(PATIENCE_S):
                while not (said := [status.blocked for status in worker.status() if status.blocked]):
                    await asyncio.sleep(LOOK_S)
        assert "keeps stream stream-1 of table 'orders' as generation 1" in said[0]
        assert "has stream-2 as generation 1" in said[0]
        assert story.handled == [3] if place == "marks" else seen_or_not(story.places[place]) == 3

    told(run, tmp_path)


# ---- a place that is away when numbers begin ---------------------------------------------------------------


async def _comes_back(story: Story, n: int) -> None:
    """The place that was away has the newest change, and the next one comes everywhere."""
    story.away = ""
    async with asyncio.timeout(PATIENCE_S):
        while any(seen_or_not(seen) != n for seen in story.places.values()):
            await story.between_looks()
    await story.arrives(n + 1)


PAIRS = [("duckdb", "dynamodb"), ("dynamodb", "duckdb")]


@pytest.mark.parametrize(("away", "other"), PAIRS)
def test_a_sink_that_is_away_at_the_very_first_start_keeps_its_own_mapping_alone_waiting(
    away: str, other: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def run(story: Story) -> None:
        story.source.begin()
        story.away = away
        async with story.running(away, other):
            for n in (1, 2):
                await story.arrives(n)
            assert seen_or_not(story.places[away]) is None
            await _comes_back(story, 2)

    told(run, tmp_path)
    assert caplog.text.count("does not tell what it keeps of it, and room is left for that") == 1


async def _state_lost_while_away(story: Story, away: str, other: str) -> None:
    """Rows of the third stream are there, whose numbers no other place knows."""
    story.source.begin()
    off_and_on(story.source)
    off_and_on(story.source)
    async with story.running(away):
        for n in (1, 2, 3):
            await story.arrives(n)
        off_and_on(story.source)
        await story.arrives(4)
    story.lose_the_state()
    off_and_on(story.source)
    story.away = away


@pytest.mark.parametrize(("away", "other"), PAIRS)
def test_a_sink_that_is_away_when_the_state_was_lost_takes_what_comes_when_it_is_back(
    away: str, other: str, tmp_path: Path
) -> None:
    async def run(story: Story) -> None:
        await _state_lost_while_away(story, away, other)
        async with story.running(away, other):
            await story.arrives(5)
            assert story.away
            await _comes_back(story, 5)
        story.lose_the_state()  # the numbers of both are those of one history
        off_and_on(story.source)
        async with story.running(away, other):
            await story.arrives(7)

    told(run, tmp_path)


def test_canary_numbers_that_leave_no_room_are_of_another_history_for_a_sink_that_was_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = Generations.with_labels

    def wrong(self: Generations, labels: Any, **said: Any) -> Generations:
        return right(self, labels, all_first=said["all_first"])

    monkeypatch.setattr(Generations, "with_labels", wrong)

    async def run(story: Story) -> None:
        await _state_lost_while_away(story, "duckdb", "dynamodb")
        async with story.running("duckdb", "dynamodb") as worker:
            await story.arrives(5)
            story.away = ""
            async with asyncio.timeout(PATIENCE_S):
                while not any("generation" in (status.blocked or "") for status in worker.status()):
                    await story.between_looks()

    told(run, tmp_path)


def test_marks_that_are_away_when_numbers_begin_are_waited_for_by_all(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was done once would be done again under a number that was given without them."""
    right = SourcesOfMarks.sources

    async def run(story: Story) -> None:
        async def sources(self: SourcesOfMarks) -> Mapping[str, int]:
            if story.away == "marks":
                raise StoreError("the marks are away")
            return await right(self)

        monkeypatch.setattr(SourcesOfMarks, "sources", sources)
        story.source.begin()
        async with story.running("marks"):
            await story.arrives(1)
        story.lose_the_state()
        story.away = "marks"
        async with story.running("marks", "duckdb"):
            async with asyncio.timeout(PATIENCE_S):
                while "is not read before its marks have told" not in caplog.text:
                    await story.between_looks()
            assert seen_or_not(story.places["duckdb"]) is None
            story.away = ""
            await story.arrives(2)
        assert story.handled == [1, 2]

    told(run, tmp_path)


# ---- canaries: what goes wrong without the numbers beside the rows -----------------------------------------


async def _lost(story: Story, place: str) -> None:
    story.source.begin()
    async with story.running(place):
        for n in (1, 2, 3):
            await story.arrives(n)
    story.lose_the_state()
    off_and_on(story.source)
    async with story.running(place) as worker:
        story.source.write("a", n=4)
        async with asyncio.timeout(PATIENCE_S):
            while not any(sum(status.settled.values()) for status in worker.status()):
                await asyncio.sleep(LOOK_S)


@pytest.mark.parametrize("place", ALL)
def test_without_adoption_newer_changes_would_be_refused_for_ever(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(numbers: Generations, places: Sequence[VersionedRows]) -> tuple[Generations, Any]:
        return numbers, {}

    async def agreed(beside: VersionedRows, numbers: Generations) -> None: ...

    monkeypatch.setattr(reading, "adopt", nothing)
    monkeypatch.setattr(VersionedRows, "agree", agreed)

    async def run(story: Story) -> None:
        await _lost(story, place)
        if place == "marks":
            assert story.handled == [1, 2, 3]
        else:
            assert seen_or_not(story.places[place]) == 3

    told(run, tmp_path)
