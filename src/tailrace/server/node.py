"""A node: everything that `tailrace serve` and `dev` run in one process, from its start to its end.

Theory of operation: engine, HTTP server, control socket and housekeeping begin together; a worker begins when
there is an app, or with the first event source mapping that is made through Lambda's API, and may be followed
by another one of a newer version of the app. Whatever fails on the way, what is open is given back.
Rules of this file: it knows of no implementation: what it runs is chosen by its maker (`compose.Node`).
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from tailrace.engine.engine import Engine
from tailrace.engine.state import state_of
from tailrace.errors import StoreError
from tailrace.server.admin import Admin
from tailrace.server.control import Subject
from tailrace.server.crash_points import crash_points
from tailrace.server.housekeeping import fill_indexes, housekeep, replicate
from tailrace.server.http import HttpServer, HttpSettings
from tailrace.server.preface import Newcomer
from tailrace.server.remembered import recall_time, remember_time
from tailrace.server.scrape import routes
from tailrace.server.turns import Joined
from tailrace.stores.opened import EngineOptions, OpenEngine
from tailrace.telemetry import PointReached
from tailrace.version import __version__
from tailrace.worker.ending import DRAIN_S, end_within, end_worker, still_at_work

if TYPE_CHECKING:
    from tailrace.api.lambdas.service import LambdaService
    from tailrace.app.app import App
    from tailrace.app.function_settings import NamedFunction
    from tailrace.runtime.attempts import Tallies
    from tailrace.server.observe import Observed
    from tailrace.worker.worker import Worker

_log = logging.getLogger("tailrace.server")


class Beginning(Struct, frozen=True):
    """A worker that is to begin. Shape: what it saves is durable when `flushed` returns; the app `changes`
    when it will be told to declare something else.
    """

    app: "App"
    engine: Engine
    flushed: Callable[[], Awaitable[None]]
    tallies: "Tallies"
    reached: PointReached
    changes: bool


class NodeOptions(Struct, frozen=True):
    """What a node runs. Shape: `runner` gives what runs a function of Lambda's API."""

    open_engine: Callable[[EngineOptions, PointReached], OpenEngine]
    create_tables: Callable[["App", Engine], None]
    worker: Callable[[Beginning], "Worker"]
    runner: Callable[[], Any]


class RunningNode:
    """Everything in one process: engine, HTTP server, control socket, housekeeping, and the app's worker."""

    def __init__(
        self,
        choices: NodeOptions,
        options: EngineOptions,
        http: HttpSettings | None = None,
        app: "App | None" = None,
        functions: "Mapping[str, NamedFunction] | None" = None,
        drain_s: float = DRAIN_S,
    ) -> None:
        self._choices = choices
        self._functions = functions
        self._drain_s = drain_s
        self._lambdas: LambdaService | None = None
        self._options = options
        self._http_settings = http
        self.app = app
        self.reached = crash_points()
        self._tasks: list[asyncio.Task[Any]] = []
        self._tallies: Tallies | None = None
        self._worker: Worker | None = None
        self._working: asyncio.Task[None] | None = None
        self.stopping = asyncio.Event()
        self._preparing: Callable[[App], Awaitable[None]] | None = None

    def prepare_with(self, preparing: "Callable[[App], Awaitable[None]]") -> None:
        """Do this before each version of the app is checked and begins."""
        self._preparing = preparing

    async def start(self) -> int:
        """Open everything and listen. Returns: the port. Raises: StoreError, SettingsError, OSError."""
        self.engine = self._choices.open_engine(self._options, self.reached)
        if self.engine.directory is not None and self.engine.directory.exposure is not None:
            _log.warning(
                self.engine.directory.exposure, extra={"hint": f"chmod 700 {self.engine.directory.path}"}
            )
        try:
            if self._options.clock_start_ms is None:
                await recall_time(state_of(self.engine), self.engine.clock)
            await remember_time(state_of(self.engine), self.engine.clock)
            self.http = HttpServer(
                self.engine,
                self._http_settings or HttpSettings(),
                routes(self._observed),
                self.reached,
                guest=Newcomer,
            )
            port = await self.http.start()
            loop = asyncio.get_running_loop()
            self.engine.listens_at(f"localhost:{port}")
            self.engine.share_reads(loop)
            self.turns = self.http.turns
            self._joined = Joined(self.turns, loop)
            self.subject = Subject(
                self.engine,
                self.engine.clock,
                stop=self.stopping.set,
                flushed=self._joined,
                about=self._about(),
            )
            self._admin = Admin(self.subject, self._options.directory, port)
            await self._admin.start()
            await self._start_beside()
        except BaseException:  # whatever it was, what is open is given back before it goes on
            await self.stop()
            raise
        return port

    async def _start_beside(self) -> None:
        loop = asyncio.get_running_loop()
        self._tasks.append(loop.create_task(housekeep(self.engine, self._joined)))
        self._tasks.append(loop.create_task(fill_indexes(self.engine, self._joined)))
        self._tasks.append(loop.create_task(replicate(self.engine, self._joined)))
        if self.app is not None:
            await self._start_worker(self.app)
        if self._functions:
            await self._start_lambdas(self._functions)

    async def _start_lambdas(self, functions: "Mapping[str, NamedFunction]") -> None:
        from tailrace.api.lambdas.service import LambdaService
        from tailrace.api.registry import LAMBDA

        self._lambdas = LambdaService(
            self.engine,
            self.subject.state,
            functions,
            partial(self._choices.runner(), region=self.engine.settings.region),
            self._use,
            lambda: self._worker,
        )
        await self._lambdas.load()
        self.http.dispatcher.serve(LAMBDA, self._lambdas)
        await self._lambdas.start()

    async def _use(self, app: "App") -> None:
        """Run the event source mappings that this app declares now; without any there is no worker."""
        if self._worker is not None:
            await self._worker.change()
        elif app.mappings:  # unchecked: one that is disabled is declared no longer on purpose
            await self._start_worker(app, checked=False)

    async def _observed(self) -> "Observed":
        # Imported at the first request: the start is measured, and many servers are never scraped.
        from tailrace.server.snapshot import observed

        return await observed(
            self.subject, self.http, __version__, None if self._lambdas is None else self._lambdas.invoked.all
        )

    def _about(self) -> dict[str, object]:
        return {
            "version": __version__,
            "pid": os.getpid(),
            "app": None if self.app is None else self.app.name,
        }

    async def _start_worker(self, app: "App", *, checked: bool = True) -> None:
        from tailrace.runtime.attempts import Tallies

        if checked:
            self._choices.create_tables(app, self.engine)
        self._tallies = self._tallies or Tallies()  # they go on being counted when a worker follows another
        beginning = Beginning(
            app, self.engine, self._joined, self._tallies, self.reached, changes=not checked
        )
        worker = self._choices.worker(beginning)
        if checked and self._preparing is not None:
            await self._preparing(app)
        if checked:
            await worker.check()
        self._worker = worker
        self.subject.runs(worker)
        self._working = asyncio.get_running_loop().create_task(worker.run())
        self._working.add_done_callback(self._worker_ended)

    def _worker_ended(self, working: "asyncio.Task[None]") -> None:
        # A worker that ends by itself is a fault of ours: the node must not go on as if all were well.
        if not working.cancelled() and working.exception() is not None:
            self.stopping.set()

    async def _stop_worker(self, within_s: float) -> list[str]:
        worker, working = self._worker, self._working
        if worker is None or working is None:
            return []
        self._worker = self._working = None
        self.subject.runs(None)
        return await end_worker(worker, working, within_s, self.turns.commit_error)

    async def replace_app(self, app: "App") -> None:
        """Hand over to another version of the app: the old one drains, the new one goes on behind it."""
        for words in await self._stop_worker(self._drain_s):
            _log.warning("left behind by the reload: %s", words)
        try:
            await self._start_worker(app)
        except BaseException:  # whatever it was, what is open is given back before it goes on
            if self.app is not None:
                await self._start_worker(self.app)
            raise
        self.app = app

    async def changes(self) -> AsyncIterator[dict[str, Any]]:
        """Every change of every table from now on."""
        from tailrace.server.tables import tables
        from tailrace.server.tail import Follower, follow

        followers: dict[str, Follower] = {}

        def current() -> list[Follower]:
            for table in tables(self.engine):
                if table not in followers:
                    followers[table] = Follower(self.engine, table)
            return list(followers.values())

        for follower in current():
            follower.skip_to_now()
        async for change in follow(self.engine, current):
            yield change

    async def stop(self) -> list[str]:
        """Drain within the bound and close everything, in the order in which one needs the other. Repeatable.

        Returns: what was left, in words: then this process should end at once, for some of it may go on.
        """
        loop, left = asyncio.get_running_loop(), []
        due = loop.time() + self._drain_s
        http = getattr(self, "http", None)
        if http is not None and hasattr(http, "turns"):
            await http.drain(self._drain_s)
        try:
            if self._lambdas is not None and not await end_within(self._lambdas.close(), due - loop.time()):
                left.append("invocations and changes of event source mappings did not end")
            left += await self._stop_worker(due - loop.time())
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            if hasattr(self, "_admin"):
                await self._admin.close()
            if http is not None and hasattr(http, "turns"):
                await http.close()
            try:
                self.engine.close()
            except StoreError as error:  # nothing of it was answered
                left.append(f"the last state of what runs here is not saved: {error.args[0]}")
        return left or await still_at_work()
