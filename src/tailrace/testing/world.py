"""The test world: engine, handlers and clock in one process, one thread, without sockets and without sleeping.

Theory of operation: the production engine, worker and machines run on `SeededLoop`, which goes on only while a method of the world
is called, and on a `ManualClock`, which only the world moves. So a test never waits, and its seed replays it exactly.
Rules of this file: plain Python values in and out; it judges nothing. Used as the fixture `world` or in a `with` block.
"""

import asyncio
import atexit
import inspect
import os
from collections import ChainMap
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import nullcontext, suppress
from random import randrange
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar

from tailrace.app.app import App
from tailrace.app.entity import Entity
from tailrace.app.item import entity_of
from tailrace.app.retry import milliseconds
from tailrace.app.sinking import Closes
from tailrace.app.table import Table
from tailrace.clocks.manual import ManualClock
from tailrace.compose import create_tables
from tailrace.compose_worker import WorkerOptions, build_worker
from tailrace.engine.engine import Engine, EngineSettings
from tailrace.errors import ApiError, SettingsError, TailraceError
from tailrace.server.housekeeping import housekeep
from tailrace.server.inprocess import InProcess
from tailrace.server.turns import Joined, Turns
from tailrace.streams.arns import region_of
from tailrace.telemetry import PointReached, pass_by
from tailrace.testing.exploring import Exploration, ExploredAction, Explorer, Tried, check_asked
from tailrace.testing.exploring_loop import ExploringLoop
from tailrace.testing.faulting import Crashed, Laid, is_outage
from tailrace.testing.faults import MOST_SHARDS, FaultBlock, Faults
from tailrace.testing.items import Items
from tailrace.testing.journal import Journal, LazyAttributes
from tailrace.testing.keeping import KeptWrites
from tailrace.testing.looking import Looking
from tailrace.testing.loop import SeededLoop
from tailrace.testing.mortal import MortalStore
from tailrace.testing.observing import WorldObserver
from tailrace.testing.questions import Discarded, QuestionedWorker, TrimmedRecords
from tailrace.testing.schedules import Schedule
from tailrace.testing.sealing import Allowed, Network, NetworkRefused
from tailrace.testing.verbs import Verbs
from tailrace.testing.waiting import nothing_waits
from tailrace.values.types import Item

__all__ = ["Discarded", "TrimmedRecords", "Unsettled", "World"]
Result = TypeVar("Result")
CLOSED: Final = "this world is closed: nothing can be written to it or asked of it any more"
KILLED: Final = "this engine ended with the worker that was killed: world.engine is the one of now"
PACE_MS: Final = 600_000
"""How often the world's worker and housekeeping look around by themselves: seldom, so that a day is few steps."""


class Unsettled(TailraceError):
    """The world is not settled although a day has passed in it: some handler keeps failing, or waits for ever."""


class World(Items, Verbs):
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
        self, app: App | None = None, *, seed: int | None = None, shards: int = 1, start_ms: int | None = None,
        settings: EngineSettings | None = None, reached: PointReached = pass_by, network: Allowed = (),
        sinks: Literal["kept", "real"] = "kept", allow_failures: bool = False,
    ) -> None:  # fmt: skip
        """An engine and the handlers of an app. Nothing leaves it: sinks keep what they are given, connections are refused.

        Shape:   `network` names what handlers may reach all the same, "host", "host:port" or several ("localhost": all of this machine; True:
                 everything); `sinks="real"` lets sinks, on-failure destinations and `app.transactions` call, as far as `network` lets them;
                 without `allow_failures` a test fails that did not look at its dead letters.
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
        region = region_of(os.environ) if app is None else app.region
        self._settings = (settings or EngineSettings(shards=shards)).in_region(region)
        self._reached = reached
        self._store = MortalStore()
        self._running: list[QuestionedWorker] = []
        self._killed: list[App] = []
        self._clients: dict[tuple[str, str, str], Any] = {}
        self._overrides: dict[Callable[..., Any], Callable[..., Any]] = {}
        self._faults = Faults()
        self._died: str | None = None
        self._dead: tuple[MortalStore, ...] = ()
        self._begin()
        self._open()
        atexit.register(
            self.close
        )  # at a prompt nobody closes it, and the loop would complain of what still runs
        if app is not None:
            self.use(app)

    # ---- life ----------------------------------------------------------------------------------------------------

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
        """Let something stand for a provider of `Depends` in this world: `world.override(mailer, lambda: outbox)`."""
        self._overrides[provider] = replacement

    def use(self, app: App) -> None:
        """Create the app's tables and run its handlers. Raises: SettingsError."""
        create_tables(app, self.engine)
        self.engine.committer.flush()
        app.bind(self._ask)
        self._run(self._start(app))

    def kill(self) -> None:
        """End everything as `kill -9` would: what was not durable never was. Writes and time go on; handlers do not."""
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
        """End everything; files that sinks keep open are closed, so that the test may read them. Repeatable."""
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

    async def _start(self, app: App) -> None:
        worker = build_worker(
            app, self.engine, self._joined, WorkerOptions(
                owner=f"world-{len(self._running)}", reached=self._pass, around=Laid(app, self.engine, self._faults, self._journal, self._observer, self._kept),
                discovery_ms=PACE_MS, renewal_ms=PACE_MS, overrides=ChainMap(self._overrides, app.overrides),
            )
        )  # fmt: skip
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
        self._main = self.loop.create_task(work, name="world")
        with nothing_waits(self.clock, lambda: self.loop.is_inline, self._network, self._refused):
            return self.loop.run_until_complete(self._main)

    def _refused(self, error: NetworkRefused) -> None:
        self._journal.note("refused: {}", str(error.args[0]))

    # ---- items: put, update, delete and get are items.py's ---------------------------------------------------------

    def entity(self, cls: type[Any]) -> Entity[Any]:
        """The entity of a class. Raises: SettingsError."""
        for running in self._running:
            with suppress(SettingsError):
                return running.app.entity(cls)
        return entity_of(cls)

    def split(self, table: Table | str) -> int:
        """Split every open shard of a table's stream, as a growing table does. Returns: how many are open then. Raises: ApiError."""
        count = len(self.engine.split_shards(str(table)))
        self.engine.committer.flush()
        return count

    def client(self, service: str, *, region: str | None = None, account: str = "") -> Any:
        """A boto3 client ("dynamodb" or "dynamodbstreams") of this world, without sockets; it goes on after `restart`. Raises: SettingsError."""
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

    def _check_open(self) -> None:
        if self.loop.is_closed():
            raise SettingsError(CLOSED, hint="make it, and what belongs to it, in the test that uses it")

    # ---- time ----------------------------------------------------------------------------------------------------

    def settle(self, within: str = "24h") -> None:
        """Run until every change is settled; time passes only as far as retries and windows need it.

        Raises:  Unsettled, with the changes that are not, when so much time has passed in the world.
        """
        self._faults.check_entered()
        self._run(self._settle(milliseconds(within), within))

    def advance(self, time: str | int) -> None:
        """Let time pass ("25h", or milliseconds), with everything that happens meanwhile: retries, rollovers, trims."""
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
        known = (self.loop.next_event_ms, self._faults.reshard_ms)
        return min((each for each in known if each is not None), default=None)

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

    # ---- faults --------------------------------------------------------------------------------------------------

    def faults(
        self, *, duplicates: float = 0, crash: str | Collection[str] = (), reshard: str | None = None,
        throttle: float = 0, outage: str | None = None, slow: str | None = None, seed: int | None = None, **unknown: object,
    ) -> FaultBlock:  # fmt: skip
        """Inject faults into the delivery, each by chance of the seed, while the block runs; `as struck` counts how often each one does.

        Shape:   `duplicates` and `throttle` are how often, 0 to 1; `crash` is where the worker dies ("after-effect", a point of
                 telemetry, "anywhere", or several); `reshard` how often shards split ("4h"); `outage` for how long every handler
                 is unavailable, once; `slow` how long a handler takes at most. Without a seed: the world's.
        Raises:  SettingsError, with everything that there is; also from `settle` and `advance` when the block was not entered by `with`.
        """
        asked = {
            "duplicates": duplicates, "crash": crash, "reshard": reshard, "throttle": throttle, "outage": outage,
            "slow": slow, **unknown,
        }  # fmt: skip
        return FaultBlock(
            self._faults, asked, self.seed if seed is None else seed,
            lambda struck: self._journal.note("faults that struck: {}", struck),
        )  # fmt: skip

    # ---- exploring -----------------------------------------------------------------------------------------------

    def explore(
        self, action: Callable[[], object], *, check: Callable[[], object] | None = None,
        same: Callable[[], object] | None = None, schedules: int = 2_000, faults: Mapping[str, Any] | None = None,
        seed: int | None = None, replay: str | None = None,
    ) -> Exploration:  # fmt: skip
        """Play an action and its delivery in many orders, each from here; afterwards the world is where the plain order leads.

        An order is wrong when the action or `check` raises, when a handler raises, when a change is lost or never settled, or when
        what `same` returns differs from the plain order. What lies outside of the world is set back by the action itself.

        Shape:   `faults` as `world.faults` takes them, with another seed in every schedule; `replay` plays that schedule alone.
        Raises:  BrokenOrder, with the smallest schedule that fails, in at most ten lines; SettingsError.
        """
        __tracebackhide__ = True  # pytest: what it found is what matters, not where
        asked = ExploredAction(action, check, same, dict(faults or {}))
        check_asked(schedules, asked.faults)
        if self._faults.are_injected:
            raise SettingsError(
                "explore: leave the block of world.faults and give explore its own, faults={…}"
            )
        explorer = Explorer(self._play, asked, self.seed if seed is None else seed, schedules)
        explored = explorer.run() if replay is None else explorer.replay(replay)
        self._journal.note(str(explored))
        return explored

    def _play(
        self, schedule: Schedule, asked: ExploredAction, *, tells: bool = False, stays: bool = False
    ) -> Tried:
        """Go one way from here, and come back unless told to stay: what `explore` does for each schedule."""
        before = dict(self.__dict__)
        loop = self._leave(schedule, tells=tells)
        error: Exception | None = None
        answer: object = None
        try:
            with self.faults(**asked.faults, seed=schedule.fault_seed) if asked.faults else nullcontext():
                asked.action()
                self.settle()
            self._complain()
            if asked.check is not None:
                asked.check()
            answer = None if asked.same is None else asked.same()
        except Exception as raised:  # whatever a test or a handler raises: it is what is looked for
            error = raised
        struck = self.struck
        after = dict(self.__dict__)
        if stays:
            self.__dict__.update(before)
        self.close()
        self.__dict__.update(after if stays else before)
        return Tried(error, loop.ran, loop.order, struck, answer)

    def _leave(self, schedule: Schedule, *, tells: bool) -> ExploringLoop:
        """Everything anew on a copy of what is durable, as after a restart."""
        apps = [running.app for running in self._running]
        self._store = self._store.successor()
        self.clock = ManualClock(self.clock.now().wall_ms)
        self.loop = loop = ExploringLoop(schedule, self.clock, tells=tells)
        self._running, self._killed, self._clients = [], [], {}
        self._faults = Faults(only=None if schedule.faults is None else frozenset(schedule.faults))
        self._begin()
        self._journal.on_call = loop.label
        self._open()
        for app in apps:
            self.use(app)
        return loop

    def _complain(self) -> None:
        """Raises: what a handler raised, or AssertionError for what was lost."""
        for notes in self._observer.everything():
            for words, error in notes.raised:
                error.add_note(f"raised by {words}")
                raise error
        lost = self.gaps()
        assert not lost, f"changes were lost: {lost}"

    def _pass(self, point: str) -> None:
        """A worker passes a point: it may die there. What is durable now is all that is left of it."""
        self._reached(point)
        struck = self._faults.crash(point)
        if struck is None or self._died is not None:
            return
        self._journal.note(f"fault {struck}: the worker dies")
        self._died = struck
        self._die(self._main, asyncio.current_task(self.loop))
        raise Crashed(struck)

    def _die(self, *spared: asyncio.Task[Any] | None) -> None:
        """What is durable now is all that is left, and nothing goes on."""
        self._dead, self._store = (*self._dead, self._store), self._store.successor()
        for task in self.loop.tasks():
            if task not in spared:
                task.cancel()

    def _bury(self) -> None:
        """Who still holds an engine that died is told so."""
        for store in self._dead:
            store.end(KILLED)
        self._dead = ()

    def _has_died(self) -> bool:
        if self._died is not None:
            return True
        # A worker that throttling keeps from beginning ends with a PortError; whoever supervises it starts it again.
        for running in self._running:
            if self._faults.struck and running.task.done() and is_outage(running.task.exception()):
                self._journal.note("the worker ended: {}", running.task.exception())
                self._died = "throttled"
                return True
        return False

    async def _revive(self) -> None:
        """Start the workers again from what is durable."""
        apps = [running.app for running in self._running]
        await self._cancel()
        self.loop.errors.clear()
        self._died = None
        self._bury()
        self._open()
        for app in apps:
            await self._start(app)
        self._journal.note("the worker starts again from its checkpoints")

    def _written(self, words: str, content: Item) -> None:
        self._journal.note("{} {}", words, LazyAttributes(content))
        self._faults.written(self.clock.now().monotonic_ms)
        self._reshard()
        if isinstance(self.loop, ExploringLoop) and (until := self.loop.after_write()) is not None:
            self._run(self._idle() if isinstance(until, str) else self.loop.some_turns(until))

    def _reshard(self) -> bool:
        struck = self._faults.reshard(self.clock.now().monotonic_ms)
        if struck is None:
            return False
        for table in {mapping.table.name: None for run in self._running for mapping in run.app.mappings}:
            with suppress(ApiError):  # its stream is off
                shards = self.engine.shards_of(self.engine.stream_of(table).arn)
                if sum(not shard.is_closed for shard in shards) < MOST_SHARDS:
                    self._journal.note(f"fault {struck}: {{}} has {{}} open shards", table, self.split(table))
        return True

    async def _done(self, task: asyncio.Task[Any]) -> None:
        await self._idle()
        while not task.done():
            next_ms = self._next_ms
            assert next_ms is not None, f"{task.get_name()} waits for nothing"
            await self._move_to(next_ms)
