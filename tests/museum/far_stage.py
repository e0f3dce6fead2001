"""The stage of the exhibits over HTTP: a server in a thread, and our worker before it, which reads its stream
through the proxy.

Rules of this file: what a stage can do, this one can; the models read the same stream through a client of
boto3's and a proxy of their own. Time is driven, for the server and for the worker alike; between two moments
the worker is let run until nothing of it runs any more and no call of it is open, so nothing depends on how
fast anything is.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from types import SimpleNamespace, TracebackType
from typing import Any, NamedTuple, Self

import boto3
from botocore.config import Config

from tailrace import App, Change
from tailrace.app.plain import to_item
from tailrace.app.retry import milliseconds
from tailrace.aws import client
from tailrace.aws.places import Access
from tailrace.compose_worker import WorkerOptions, build_worker
from tailrace.engine.engine import Engine
from tailrace.engine.state import state_of
from tailrace.ports import Source
from tailrace.runtime.around import Around
from tailrace.runtime.pacing import Pacer
from tailrace.runtime.polling import PolledSource
from tailrace.runtime.watermark import MappingName
from tailrace.sources.dialects import Dialect
from tailrace.sources.dynamodb_streams import DynamoDbStreamsSource
from tailrace.stores.memory import MemoryStore
from tailrace.tables.definition import TableDefinition
from tailrace.tables.mutate import Delete, Put
from tailrace.testing.proxy import Proxy
from tailrace.views.at_once import at_once
from tailrace.views.gaps import open_gaps
from tailrace.worker.worker import Worker
from tests.far_streams import far
from tests.museum.stage import Stage, Written

STEP_MS = 60_000
LONG_STEP_MS = 300_000
"""The same where much time passes at once."""
LONG_MS = 1_800_000
AWAY_STEP_MS = 1_800_000
"""How far time goes at once: nobody is there to see it."""
CALM_ROUNDS = 10


class FarGap(NamedTuple):
    """What a handler never saw."""

    handler: str
    first: int
    last: int


class Running(NamedTuple):
    """A worker that runs."""

    owner: str
    worker: Worker
    task: asyncio.Task[None]


class FromFar(Around):
    """Reads a table's stream from another server."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def source(self, source: Source) -> Source:
        return self._source


class FarWorld:
    """What a test world can do, for a server at the other end of a connection."""

    def __init__(self, app: App, shards: int, dialect: Dialect | None) -> None:
        self.app = app
        self.dialect = dialect
        self.stack = ExitStack()
        self.served, access = self.stack.enter_context(far(shards))
        self.proxy = self.stack.enter_context(Proxy(str(access.endpoint_url)))
        """Before our worker."""
        self.theirs = self.stack.enter_context(Proxy(str(access.endpoint_url)))
        """Before the models."""
        self.clock = self.served.clock
        self.loop = asyncio.new_event_loop()
        self.state = Engine(MemoryStore(), self.clock)
        self._running: list[Running] = []
        self._started = 0
        self.alarms: set[int] = set()
        """When handlers are through: time stops there."""
        self._open_calls = 0
        self._answered = asyncio.Event()
        self._clients: dict[str, Any] = {}
        self.create("orders")

    def begin(self) -> None:
        """Count the calls that are open, and start our worker."""
        call = client.call

        async def counted(*arguments: Any) -> dict[str, Any]:
            self._open_calls += 1
            try:
                return await call(*arguments)
            finally:
                self._open_calls -= 1
                self._answered.set()

        client.call = counted
        self.stack.callback(setattr, client, "call", call)
        self.restart()

    def close(self) -> None:
        """End everything."""
        self.kill()
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.stack.close()
        self.loop.close()
        self.state.close()

    # ---- the server ----------------------------------------------------------------------------------------

    @property
    def engine(self) -> Any:
        """The server's engine, called in its thread."""
        served = self.served
        return SimpleNamespace(stream_of=lambda table: served.call(lambda: served.engine.stream_of(table)))

    @property
    def moment(self) -> Any:
        """Now."""
        return SimpleNamespace(timestamp=lambda: self.clock.now().wall_ms / 1_000)

    def _change(self, change: Callable[[Engine], object]) -> None:
        def changing() -> None:
            change(self.served.engine)
            self.served.engine.committer.flush()

        self.served.call(changing)

    def create(self, table: str) -> None:
        """Make a table with a stream."""
        definition = TableDefinition(table, "id", "S", stream="NEW_AND_OLD_IMAGES")
        self._change(lambda engine: engine.create_table(definition))

    def make_again(self, table: str) -> None:
        """Delete a table, and make one of its name some seconds later."""
        self._change(lambda engine: engine.delete_table(table))
        self.advance(10_000)
        self.create(table)
        self.advance("20m")

    def put(self, table: object, item: dict[str, Any]) -> None:
        """Write an item."""
        self._change(lambda engine: engine.put(Put(str(table), to_item(item))))

    def delete(self, table: object, key: dict[str, Any]) -> None:
        """Delete an item."""
        self._change(lambda engine: engine.delete(Delete(str(table), to_item(key))))

    def split(self, table: str) -> None:
        """Split every open shard."""
        self._change(lambda engine: engine.split_shards(table))

    def client(self, service: str) -> Any:
        """A client of boto3's, through the models' proxy."""
        if service not in self._clients:
            self._clients[service] = boto3.client(
                service,
                endpoint_url=self.theirs.url,
                region_name="us-east-1",
                config=Config(retries={"total_max_attempts": 1}),
            )
        return self._clients[service]

    # ---- our worker ----------------------------------------------------------------------------------------

    def restart(self) -> None:
        """Run our handlers again, in another process."""
        self.kill()
        self._started += 1
        owner = f"worker-{self._started}"
        access = Access("us-east-1", self.proxy.url)
        bare = DynamoDbStreamsSource(access, "orders", self.clock, self.dialect)
        options = WorkerOptions(owner, around=FromFar(PolledSource(bare, self.clock, Pacer(seed=owner))))

        async def flushed() -> None:
            self.state.committer.flush()

        async def start() -> None:
            worker = build_worker(self.app, self.state, flushed, options)
            await worker.check()
            self._running.append(Running(owner, worker, asyncio.ensure_future(worker.run())))

        self._do(start())
        self._do(self._calm())

    def kill(self) -> None:
        """End our worker as `kill -9` would."""

        async def end() -> None:
            for running in self._running:
                running.task.cancel()
            await asyncio.gather(*(running.task for running in self._running), return_exceptions=True)

        self._do(end())
        for running in self._running:
            self.state.workers.discard(running.owner)
        self._running.clear()
        self.alarms.clear()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        self.loop.run_until_complete(work)

    async def _calm(self) -> None:
        """Let the worker run until nothing of it runs any more, and no call is open."""
        calm = 0
        while calm < 3:
            await asyncio.sleep(0)
            for running in self._running:
                if running.task.done() and running.task.exception() is not None:
                    raise AssertionError("our worker has ended") from running.task.exception()
            if self.loop._ready:
                calm = 0
            elif self._open_calls:
                calm = 0
                self._answered.clear()
                await self._answered.wait()
            else:
                calm += 1

    def advance(self, time: str | int) -> None:
        """Let time pass."""
        left_ms = milliseconds(time) if isinstance(time, str) else time
        step_ms = AWAY_STEP_MS if not self._running else STEP_MS if left_ms <= LONG_MS else LONG_STEP_MS
        while left_ms > 0:
            now_ms = self.clock.now().monotonic_ms
            soon = [alarm - now_ms for alarm in self.alarms if alarm > now_ms]
            next_ms = min([left_ms, step_ms, *soon])
            left_ms -= next_ms
            self._change(lambda engine: self._pass(engine, next_ms))  # noqa: B023 - called before it changes
            self._do(self._calm())

    def _pass(self, engine: Engine, step_ms: int) -> None:
        self.clock.advance(step_ms)
        for stream in engine.list_streams(None, None, None)["Streams"]:
            engine.describe_stream(stream["StreamArn"], None, None, None)

    def settle(self) -> None:
        """Let time pass until our worker has nothing to do any more."""
        calm, before = 0, -1
        for _ in range(1_000):
            if calm >= CALM_ROUNDS:
                return
            self.advance(60_000)
            unsettled = sum(
                status.unsettled for running in self._running for status in running.worker.status()
            )
            records = len(self.proxy.calls) and self.handled()
            calm = calm + 1 if not unsettled and records == before else 0
            before = records
        raise AssertionError("our worker does not come to rest")

    handled: Callable[[], int]

    def gaps(self) -> list[FarGap]:
        """What handlers never saw."""
        name = MappingName(self.app.name, "ours", "orders")
        return [FarGap("ours", gap.first, gap.last) for gap in at_once(open_gaps(state_of(self.state), name))]


class FarStage(Stage):
    """A table, its stream at the other end of a connection, our handler."""

    world: FarWorld  # type: ignore[assignment]

    def __init__(
        self, *, shards: int = 1, settings: dict[str, Any] | None = None, dialect: Dialect | None = None
    ) -> None:
        self.app = App("museum")
        self.orders = self.app.table("orders", pk="id")
        self.written: list[Written] = []
        self.ours: list[str] = []
        self.refused = set()
        self.takes_s = 0.0
        self.documents: dict[object, Any] = {}
        """What a target would have of each item, the newest change by its number."""
        self.newest: dict[object, Any] = {}
        self.world = FarWorld(self.app, shards, dialect)
        self.world.handled = lambda: len(self.ours)

        @self.app.on(self.orders, id="ours", **(settings or {}))
        async def handle(change: Change) -> None:
            if self.takes_s:
                clock = self.world.clock
                through_ms = clock.now().monotonic_ms + round(self.takes_s * 1_000)
                self.world.alarms.add(through_ms)
                await clock.sleep_until(through_ms)
                self.world.alarms.discard(through_ms)
            image = change.new or change.old
            self.ours.append(f"{change.key}{image['n']}")
            if change.sequence_number > self.newest.get(change.key, ""):
                self.newest[change.key] = change.sequence_number
                self.documents[change.key] = change.new

        self.handler = handle

    @property
    def proxy(self) -> Proxy:
        """Before our worker."""
        return self.world.proxy

    def __enter__(self) -> Self:
        self.world.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.world.close()
