"""The test world: engine, handlers and clock in one process and thread, without sockets and without sleeping.

Theory of operation: the production engine, worker and machines run on `SeededLoop`, which goes on only while
a method of the world is called, and on a `ManualClock`, which only the world moves. So a test never waits,
and its seed replays it exactly.
Rules of this file: the world's life and its time; what a test writes is items.py, what it asks questions.py
and verbs.py, what befalls it perils.py and branching.py. It judges nothing.
"""

import asyncio
import atexit
import inspect
import os
from collections import ChainMap
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from random import randrange
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeVar

from tailrace.app.app import App
from tailrace.app.client import Attached, Door, unprovided
from tailrace.app.entity import Entity
from tailrace.app.item import entity_of
from tailrace.app.mapping import HandlerMapping
from tailrace.app.retry import milliseconds
from tailrace.app.sinking import Closes
from tailrace.archives import MemoryArchive
from tailrace.clocks.manual import ManualClock
from tailrace.compose import create_tables
from tailrace.compose_worker import WorkerOptions, build_worker
from tailrace.engine.engine import Engine, EngineSettings
from tailrace.engine.state import EngineStateStore
from tailrace.errors import SettingsError, TailraceError
from tailrace.runtime.causing import CAUSE
from tailrace.server.handler_door import DoorAtOnce
from tailrace.server.housekeeping import housekeep, replicate
from tailrace.server.inprocess import InProcess
from tailrace.server.turns import Joined, Turns
from tailrace.streams.arns import region_of
from tailrace.telemetry import PointReached, pass_by
from tailrace.testing.branching import Branching
from tailrace.testing.faulting import KinesisWeather, Laid
from tailrace.testing.faults import Faults
from tailrace.testing.items import Items
from tailrace.testing.journal import Journal
from tailrace.testing.keeping import KeptWrites
from tailrace.testing.looking import Looking
from tailrace.testing.loop import SeededLoop
from tailrace.testing.mortal import MortalStore
from tailrace.testing.observing import WorldObserver
from tailrace.testing.questions import Discarded, QuestionedWorker, TrimmedRecords
from tailrace.testing.replays import WorldReplays
from tailrace.testing.sealing import Allowed, Network, NetworkRefused
from tailrace.testing.waiting import nothing_waits
from tailrace.worker.worker import Worker

if TYPE_CHECKING:
    from tailrace.journal.run.past import PastReader

__all__ = ["Discarded", "TrimmedRecords", "Unsettled", "World"]
Result = TypeVar("Result")
CLOSED: Final = "this world is closed: nothing can be written to it or asked of it any more"
PACE_MS: Final = 600_000
"""How often worker and housekeeping look around by themselves: seldom, so that a day is few steps."""


ALERTS_MS: Final = 60_000
"""How often a world looks for alerts, where its app tells them."""


class Unsettled(TailraceError):
    """A day has passed, and the world is not settled: some handler keeps failing, or waits for ever."""


class World(Branching, Items):
    """An engine and the handlers of an app, under a clock and an order that the test chooses.

    >>> from tailrace import App, Change
    >>> app = App("doctest")
    >>> orders = app.table("orders", pk="id")
    >>> @app.on(orders)
    ... def seen(change: Change) -> None: ...
    >>> with World(app, seed=1) as world:
    ...     world.put(orders, {"id": "o1"})
    ...     world.settle()
    ...     world.delivered(seen)
    ['o1']
    """

    def __init__(
        self,
        app: App | None = None,
        *,
        seed: int | None = None,
        shards: int = 1,
        start_ms: int | None = None,
        settings: EngineSettings | None = None,
        reached: PointReached = pass_by,
        network: Allowed = (),
        sinks: Literal["kept", "real"] = "kept",
        allow_failures: bool = False,
    ) -> None:
        """An engine and the handlers of an app. Nothing leaves it: sinks keep, connections are refused.

        Shape:   `network` names what handlers may reach all the same, "host", "host:port" or several
                 ("localhost": all of this machine; True: everything); `sinks="real"` lets sinks, on-failure
                 destinations and `app.transactions` call, as far as `network` lets them; without
                 `allow_failures` a test fails that did not look at its dead letters.
        Raises:  SettingsError.
        """
        if sinks not in ("kept", "real"):
            raise SettingsError(f"sinks={sinks!r} is not allowed; it is 'kept' or 'real'")
        self._network = Network(network)
        self._keeps = sinks == "kept"
        self._looking = Looking(allows_all=allow_failures)
        if asyncio._get_running_loop() is not None:
            raise SettingsError(
                "the world runs a loop of its own: write the test as a plain function, not `async def`"
            )
        self.seed = randrange(1 << 32) if seed is None else seed
        self.clock = ManualClock() if start_ms is None else ManualClock(start_ms)
        self.loop = SeededLoop(self.seed, self.clock)
        self.loop.descriptors.is_open = not self._keeps
        region = region_of(os.environ) if app is None else app.region
        self._settings = (settings or EngineSettings(shards=shards)).in_region(region)
        self._reached = reached
        self._store = MortalStore()
        self._archives: dict[str, MemoryArchive] = {}
        self._running: list[QuestionedWorker] = []
        self._killed: list[App] = []
        self._clients: dict[tuple[str, str, str], Any] = {}
        self._overrides: dict[Callable[..., Any], Callable[..., Any]] = {}
        self._faults = Faults()
        self._died: str | None = None
        self._names_given = 0
        self._dead: tuple[MortalStore, ...] = ()
        self._begin()
        self._open()
        # At a prompt it is not closed, and the loop would complain of what still runs.
        atexit.register(self.close)
        if app is not None:
            self.use(app)

    # ---- life ----------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            error.add_note(f"tailrace: World(seed={self.seed}) replays this")
        try:
            if error is None:
                self.check_failures()
        finally:
            self.close()

    def override(self, provider: Callable[..., Any], replacement: Callable[..., Any]) -> None:
        """Let something stand for a provider of `Depends` here: `world.override(mailer, lambda: outbox)`."""
        self._overrides[provider] = replacement

    def use(self, app: App) -> None:
        """Create the app's tables and run its handlers. Raises: SettingsError."""
        create_tables(app, self.engine)
        self.engine.committer.flush()
        app.bind(self._ask)
        app.bind_door(Attached(self._door_of_test, lambda: self.clock.now().wall_ms, self._new_name))
        app.bind_past(self._past_of)
        app.bind_replays(self._replays_of(app))
        self._run(self._start(app))
        if self._has_died():  # a worker that ran already: what is written next must not go to a dead engine
            self._run(self._idle())

    def _past_of(self, mapping: HandlerMapping) -> "PastReader":
        """What reads a journal of this world, and on from there the engine's stream."""
        from tailrace.archives.opening import archive_at
        from tailrace.journal.core.places import journaled_table
        from tailrace.journal.run.past import PastReader
        from tailrace.sources.embedded_log import EmbeddedLog

        plan, settings = mapping.archive, self.engine.settings
        assert plan is not None
        archive = plan.archive or (
            archive_at(plan.place, plan.access)
            if self._kept is None
            else self._archives.setdefault(plan.place, MemoryArchive())
        )
        table = journaled_table(mapping.table.name, settings.region, settings.account)
        return PastReader(archive, table, self.clock, EmbeddedLog(self.engine))

    def _replays_of(self, app: App) -> WorldReplays:
        def worker() -> Worker:
            return next(running.worker for running in self._running if running.app is app)

        def let(replay: Awaitable[Any]) -> Any:
            async def finish() -> Any:
                task = self.loop.create_task(self._awaited(replay), name="replay")
                await self._done(task)
                return task.result()

            return self._run(finish())

        return WorldReplays(
            self.clock, self._past_of, worker, lambda: EngineStateStore(self.engine, self._joined), let,
            self._new_name, ChainMap(self._overrides, app.overrides),
        )  # fmt: skip

    @staticmethod
    async def _awaited(work: Awaitable[Result]) -> Result:
        return await work

    def kill(self) -> None:
        """End everything as `kill -9` would: what is not durable is gone. Handlers wait for `restart`."""
        self._journal.note("killed")
        self._die()
        self._killed += [running.app for running in self._running]
        self._run(self._cancel())
        self._bury()
        self._open()

    def restart(self) -> None:
        """Run the handlers again after `kill` (which this does first when they still run)."""
        self._check_open()
        if self._running:
            self.kill()
        apps, self._killed = self._killed, []
        for app in apps:
            self.use(app)

    def close(self) -> None:
        """End everything; files that sinks keep open are closed: the test may read them. Repeatable."""
        atexit.unregister(self.close)
        if self.loop.is_closed():
            return
        used = {id(running.app): running.app for running in self._running}.values()
        sinks = [mapping.sink for app in (*used, *self._killed) for mapping in app.mappings]
        try:
            self._run(self._end(sinks))
        finally:
            self.loop.close()
            self.engine.close()
            self._store.end(CLOSED)

    def _begin(self) -> None:
        """Notes of what happens from here on."""
        self._journal = Journal(self.clock)
        self._observer = WorldObserver()
        self._kept = KeptWrites(self._journal) if self._keeps else None
        self._looking = self._looking.again()

    def _open(self) -> None:
        self.engine = Engine(self._store, self.clock, self._settings, self._reached)
        self._observer.resolve(self.engine.state)
        self._joined = Joined(Turns(self.engine, self.loop), self.loop)
        self._door: InProcess | None = None
        self._tasks = [
            self.loop.create_task(housekeep(self.engine, self._joined, PACE_MS), name="housekeeping")
        ]
        # A task more draws another order of all: a world has it when there is something to copy.
        deliveries = self.engine.destinations.deliveries
        deliveries.on_work = self._replicate
        deliveries.replication.weather = KinesisWeather(self._faults, self._journal.note)
        if deliveries.catalog.by_log:
            self._replicate()

    def _replicate(self) -> None:
        """Copy changes into data streams from now on."""
        task = self.loop.create_task(replicate(self.engine, self._joined), name="destinations")
        self._tasks.append(task)

    async def _start(self, app: App) -> None:
        worker = build_worker(
            app,
            self.engine,
            self._joined,
            WorkerOptions(
                owner=f"world-{len(self._running)}",
                reached=self._pass,
                around=Laid(
                    app, self.engine, self._faults, self._journal, self._observer, self._kept, self._archives
                ),
                discovery_ms=PACE_MS,
                renewal_ms=PACE_MS,
                alerts_ms=ALERTS_MS,
                overrides=ChainMap(self._overrides, app.overrides),
            ),
        )
        with self._faults.calm():  # a worker that cannot even start is started again, which shows nothing
            await worker.check()
        task = self.loop.create_task(worker.run(), name=f"worker of {app.name}")
        self._running.append(QuestionedWorker(app, worker, task))

    async def _cancel(self) -> None:
        tasks = [*self._tasks, *(running.task for running in self._running)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._running.clear()
        self._tasks.clear()

    async def _end(self, sinks: Sequence[object]) -> None:
        await self._cancel()
        for sink in sinks:
            if isinstance(sink, Closes) and inspect.isawaitable(closing := sink.close()):
                await closing

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        if self.loop.is_closed():
            work.close()
            self._check_open()
        task = self.loop.create_task(work, name="world")
        self._main = task
        with nothing_waits(self.clock, lambda: self.loop.is_inline, self._network, self._refused):
            return self.loop.run_until_complete(task)

    def _refused(self, error: NetworkRefused) -> None:
        self._journal.note("refused: {}", str(error.args[0]))

    # ---- items and clients ---------------------------------------------------------------------------------

    def entity(self, cls: type[Any]) -> Entity[Any]:
        """The entity of a class. Raises: SettingsError."""
        for running in self._running:
            with suppress(SettingsError):
                return running.app.entity(cls)
        return entity_of(cls)

    def client(self, service: str, *, region: str | None = None, account: str = "") -> Any:
        """A boto3 client ("dynamodb", "dynamodbstreams" or "kinesis") of this world, without sockets.

        Guarantee: it goes on after `restart`.
        Raises:    SettingsError.
        """
        key = (service, region or self.engine.settings.region, account)
        if key not in self._clients:
            from tailrace.testing.client import client

            self._clients[key] = client(self._door_of_now, *key)
        return self._clients[key]

    def _door_of_now(self) -> InProcess:
        """Where clients of this world speak to the engine that there is now, whenever they were made."""
        self._check_open()
        if self._door is None:
            self._door = InProcess(self.engine)
        return self._door

    def _door_of_test(self) -> Door:
        """What aggregates are handled through by the test itself, in the engine that there is now."""
        self._check_open()
        if CAUSE.get():  # elsewhere a handler has no world
            raise unprovided("Client", "client")
        return DoorAtOnce(self.engine)

    def _new_name(self) -> str:
        self._names_given += 1
        return f"world-{self.seed}-{self._names_given}"

    def _check_open(self) -> None:
        if self.loop.is_closed():
            raise SettingsError(CLOSED, hint="make it, and what belongs to it, in the test that uses it")

    # ---- time ----------------------------------------------------------------------------------------------

    def settle(self, within: str = "24h") -> None:
        """Run until every change is settled; time passes only as far as retries and windows need it.

        Raises:  Unsettled, with the changes that are not, when so much time has passed in the world.
        """
        self._faults.check_entered()
        self._run(self._settle(milliseconds(within), within))

    def advance(self, time: str | int) -> None:
        """Let time pass ("25h", or milliseconds), and what happens meanwhile: retries, rollovers, trims."""
        self._faults.check_entered()
        self._run(self._advance(milliseconds(time) if isinstance(time, str) else time))

    async def _settle(self, within_ms: int, words: str) -> None:
        until_ms = self.clock.now().monotonic_ms + within_ms
        await self._idle()
        while not await self._is_settled():
            next_ms = self._next_ms
            if next_ms is None or next_ms > until_ms:
                raise Unsettled(self._unsettled(words), hint="world.advance(…) lets more time pass")
            await self._move_to(next_ms)

    async def _advance(self, time_ms: int) -> None:
        if time_ms < 0:
            raise SettingsError(f"advance: {time_ms} is not allowed; time does not go back")
        until_ms = self.clock.now().monotonic_ms + time_ms
        await self._idle()
        while (next_ms := self._next_ms) is not None and next_ms <= until_ms:
            await self._move_to(next_ms)
        await self._move_to(until_ms)

    async def _move_to(self, monotonic_ms: int) -> None:
        self.clock.advance(max(0, monotonic_ms - self.clock.now().monotonic_ms))
        await self._idle()

    @property
    def _next_ms(self) -> int | None:
        times = (self.loop.next_event_ms, self._faults.reshard_ms)
        return min((time_ms for time_ms in times if time_ms is not None), default=None)

    async def _idle(self) -> None:
        await self.loop.idle()
        while self._has_died() or self._reshard():
            if self._has_died():
                await self._revive()
            await self.loop.idle()
        for task in (*self._tasks, *(running.task for running in self._running)):
            if task.done():
                task.result()
        if self.loop.errors:
            raise self.loop.errors.pop(0)

    async def _done(self, task: asyncio.Task[Any]) -> None:
        await self._idle()
        while not task.done():
            next_ms = self._next_ms
            assert next_ms is not None, f"{task.get_name()} waits for nothing"
            await self._move_to(next_ms)
