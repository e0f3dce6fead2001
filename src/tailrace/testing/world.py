"""The test world: engine, handlers and clock in one process, one thread, without sockets and without sleeping.

Theory of operation: the production engine, worker and machines run on `SeededLoop`, which goes on only while a method of the world
is called, and on a `ManualClock`, which only the world moves. So a test never waits, and its seed replays it exactly.
Rules of this file: plain Python values in and out; it judges nothing. Used as the fixture `world` or in a `with` block.
"""

import asyncio
from collections import ChainMap
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from random import randrange
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from tailrace.app.app import App
from tailrace.app.app import Mapping as Handler
from tailrace.app.change import Change
from tailrace.app.entity import Entity
from tailrace.app.item import entity_of
from tailrace.app.retry import milliseconds
from tailrace.app.table import Table
from tailrace.clocks.manual import ManualClock
from tailrace.compose import build_worker, create_tables, housekeep, mark_name
from tailrace.engine.engine import Engine, EngineSettings
from tailrace.errors import SettingsError, TailraceError
from tailrace.leases.rows import key_of
from tailrace.ports import Sink
from tailrace.runtime.worker import Worker
from tailrace.server.audit import note
from tailrace.server.control import Subject, find_verb
from tailrace.server.joining import Joined
from tailrace.server.letters import letters as kept_letters
from tailrace.server.progress import MappingName, Position, positions
from tailrace.server.turns import Turns
from tailrace.stores.memory import MemoryStore
from tailrace.telemetry import PointReached, pass_by
from tailrace.testing.items import Items
from tailrace.testing.loop import SeededLoop
from tailrace.testing.observing import Deliveries, ObservingSink

Result = TypeVar("Result")
PACE_MS: Final = 600_000
"""How often the world's worker and housekeeping look around by themselves: seldom, so that a day is few steps."""


class Unsettled(TailraceError):
    """The world is not settled although a day has passed in it: some handler keeps failing, or waits for ever."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Records that a handler never saw, because they were trimmed before. Shape: sequence numbers, inclusive."""

    handler: str
    shard_id: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Discarded:
    """A change that a handler was given up on."""

    change: Change[Any]
    condition: str
    attempts: int
    error: str
    traceback: str


@dataclass(slots=True)
class _Running:
    """An app's worker."""

    app: App
    worker: Worker
    task: asyncio.Task[None]


class World(Items):
    """An engine and the handlers of an app, under a clock and an order that the test chooses.

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
        settings: EngineSettings | None = None, reached: PointReached = pass_by,
    ) -> None:  # fmt: skip
        if asyncio._get_running_loop() is not None:
            raise SettingsError(
                "the world runs a loop of its own: write the test as a plain function, not `async def`"
            )
        self.seed = randrange(1 << 32) if seed is None else seed
        self.clock = ManualClock() if start_ms is None else ManualClock(start_ms)
        self.loop = SeededLoop(self.seed, self.clock)
        self._settings = settings or EngineSettings(shards=shards)
        self._reached = reached
        self._store = MemoryStore()
        self._running: list[_Running] = []
        self._killed: list[App] = []
        self._deliveries: dict[str, Deliveries] = {}
        self._clients: dict[str, Any] = {}
        self._overrides: dict[Callable[..., Any], Callable[..., Any]] = {}
        self._open()
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
        self.close()

    def override(self, provider: Callable[..., Any], replacement: Callable[..., Any]) -> None:
        """Let something stand for a provider of `Depends` in this world: `world.override(mailer, lambda: outbox)`."""
        self._overrides[provider] = replacement

    def use(self, app: App) -> None:
        """Create the app's tables and run its handlers. Raises: SettingsError."""
        create_tables(app, self.engine)
        self.engine.committer.flush()
        app.bind(self._ask)
        for mapping in app.mappings:
            self._deliveries.setdefault(mapping.id, Deliveries())
        self._run(self._start(app))

    def kill(self) -> None:
        """End everything as `kill -9` would: what was not durable never was. Writes and time go on; handlers do not."""
        self._killed += [running.app for running in self._running]
        self._run(self._cancel())
        self._open()

    def restart(self) -> None:
        """Run the handlers again after `kill` (which this does first when they still run)."""
        if self._running:
            self.kill()
        apps, self._killed = self._killed, []
        for app in apps:
            self.use(app)

    def close(self) -> None:
        """End everything. Repeatable."""
        if self.loop.is_closed():
            return
        try:
            self._run(self._cancel())
        finally:
            self.loop.close()
            self.engine.close()

    def _open(self) -> None:
        self.engine = Engine(self._store, self.clock, self._settings, self._reached)
        self._joined = Joined(Turns(self.engine, self.loop), self.loop)
        self._clients.clear()
        self._tasks = [
            self.loop.create_task(housekeep(self.engine, self._joined, PACE_MS), name="housekeeping")
        ]

    async def _start(self, app: App) -> None:
        def observed(mapping: Handler, sink: Sink) -> Sink:
            notes = self._deliveries[mapping.id]
            return ObservingSink(sink, notes, self.engine, mark_name(app, mapping), mapping.entity)

        worker = build_worker(
            app, self.engine, self._joined, owner="world", reached=self._reached, wrapped=observed,
            discovery_ms=PACE_MS, renewal_ms=PACE_MS, overrides=ChainMap(self._overrides, app.overrides),
        )  # fmt: skip
        await worker.check()
        task = self.loop.create_task(worker.run(), name=f"worker of {app.name}")
        self._running.append(_Running(app, worker, task))

    async def _cancel(self) -> None:
        tasks = [*self._tasks, *(running.task for running in self._running)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._running.clear()
        self._tasks.clear()

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return self.loop.run_until_complete(work)

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

    def client(self, service: str) -> Any:
        """A boto3 client ("dynamodb" or "dynamodbstreams") of this engine, without sockets. Raises: SettingsError."""
        if service not in self._clients:
            from tailrace.server.inprocess import InProcess
            from tailrace.testing.client import client

            self._clients[service] = client(InProcess(self.engine), service, self.engine.settings.region)
        return self._clients[service]

    # ---- time ----------------------------------------------------------------------------------------------------

    def settle(self, within: str = "24h") -> None:
        """Run until every change is settled; time passes only as far as retries and windows need it.

        Raises:  Unsettled, with the changes that are not, when so much time has passed in the world.
        """
        self._run(self._settle(milliseconds(within), within))

    def advance(self, time: str | int) -> None:
        """Let time pass ("25h", or milliseconds), with everything that happens meanwhile: retries, rollovers, trims."""
        self._run(self._advance(milliseconds(time) if isinstance(time, str) else time))

    async def _settle(self, within_ms: int, words: str) -> None:
        until_ms = self.clock.now().monotonic_ms + within_ms
        await self._idle()
        while not self._is_settled():
            next_ms = self.loop.next_event_ms
            if next_ms is None or next_ms > until_ms:
                raise Unsettled(self._unsettled(words), hint="world.advance(…) lets more time pass")
            await self._move_to(next_ms)

    async def _advance(self, time_ms: int) -> None:
        if time_ms < 0:
            raise SettingsError(f"advance: {time_ms} is not allowed; time does not go back")
        until_ms = self.clock.now().monotonic_ms + time_ms
        await self._idle()
        while (next_ms := self.loop.next_event_ms) is not None and next_ms <= until_ms:
            await self._move_to(next_ms)
        await self._move_to(until_ms)

    async def _move_to(self, monotonic_ms: int) -> None:
        self.clock.advance(max(0, monotonic_ms - self.clock.now().monotonic_ms))
        await self._idle()

    async def _idle(self) -> None:
        await self.loop.idle()
        for task in (*self._tasks, *(running.task for running in self._running)):
            if task.done():
                task.result()
        if self.loop.errors:
            raise self.loop.errors.pop(0)

    def _ask(self, name: str, arguments: Mapping[str, Any]) -> list[Any]:
        """What a verb answers, as on the command line; time passes as far as it needs."""
        return self._run(self._answers(name, arguments))

    async def _answers(self, name: str, arguments: Mapping[str, Any]) -> list[Any]:
        asked = find_verb(name)
        app = next(
            (each for each in self._running if arguments.get("handler") in each.worker.sinks),
            self._running[0],
        )
        subject = Subject(self.engine, self.clock, app.worker, flushed=self._joined)
        note(self.engine, asked.name, arguments, asked.changes)

        async def collect() -> list[Any]:
            return [value async for value in asked.run(subject, arguments)]

        task = self.loop.create_task(collect(), name=name)
        await self._idle()
        while not task.done():
            next_ms = self.loop.next_event_ms
            assert next_ms is not None, f"{name} waits for nothing"
            await self._move_to(next_ms)
        return task.result()

    # ---- questions -----------------------------------------------------------------------------------------------

    def lag(self) -> int:
        """Age of the oldest change that some handler has not settled, 0 when there is none. Units: milliseconds."""
        now_ms = self.clock.now().wall_ms
        return max(
            (now_ms - each.oldest.created_ms for each in self._open_positions() if each.oldest), default=0
        )

    def gaps(self) -> list[Lost]:
        """What handlers never saw, because it was trimmed before they came to it."""
        found: list[Lost] = []
        for name in self._mappings():
            for row in self.engine.state_query(key_of("ledger", name.app, name.handler, "")):
                shard_id = row.key.rsplit("/", 1)[1]
                found += [
                    Lost(name.handler, shard_id, first, last)
                    for first, last, _, outcome in row.fields["ranges"]
                    if outcome == "trimmed"
                ]
        return found

    def delivered(self, handler: Callable[..., Any] | str) -> list[Any]:
        """The keys of the changes that a handler accepted, in that order; a change twice if it had an effect twice."""
        return [change.key for change in self._deliveries[self._named(handler)[1].id].delivered]

    def dead_letters(self, handler: Callable[..., Any] | str) -> list[Discarded]:
        """The changes that were given up on, parked ones too, in the order of their sequence numbers."""
        app, mapping = self._named(handler)
        letters = [
            letter for letter in kept_letters(self.engine, app.name, mapping.id) if not letter.is_waiting
        ]
        letters.sort(key=lambda letter: letter.record.sequence)
        return [
            Discarded(
                Change(letter.record, mapping.table.name, mapping.entity), letter.condition, letter.attempts, letter.error,
                letter.traceback,
            )
            for letter in letters
        ]  # fmt: skip

    def _named(self, handler: Callable[..., Any] | str) -> tuple[App, Handler]:
        for running in self._running:
            for mapping in running.app.mappings:
                if handler in (mapping.id, mapping.target):
                    return running.app, mapping
        raise SettingsError(f"{handler!r} is no handler of this world", hint="world.use(app) runs an app")

    def _mappings(self) -> list[MappingName]:
        return [
            MappingName(running.app.name, mapping.id, mapping.table.name)
            for running in self._running
            for mapping in running.app.mappings
        ]

    def _open_positions(self) -> list[Position]:
        return [each for each in positions(self.engine, self._mappings()) if each.oldest is not None]

    def _is_settled(self) -> bool:
        is_busy = any(status.in_flight for running in self._running for status in running.worker.status())
        return not is_busy and not self._open_positions()

    def _unsettled(self, words: str) -> str:
        lines = [f"not settled after {words} (seed {self.seed}):"]
        for position in self._open_positions():
            record = position.oldest
            assert record is not None
            mapping, change = position.mapping, Change(record, position.mapping.table)
            notes = self._deliveries[mapping.handler]
            failure = notes.failures.get(record.sequence)
            said = "it was never given to the handler" if failure is None else failure.error
            lines.append(
                f"  {mapping.handler} ← {change.event_name} {mapping.table}/{change.key}: "
                f"{notes.attempts[record.sequence]} attempts, {said}"
            )
        lines += [
            f"  {status.mapping_id} in {status.shard_id}: {status.blocked}"
            for running in self._running
            for status in running.worker.status()
            if status.blocked
        ]
        return "\n".join(lines)
