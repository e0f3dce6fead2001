"""The composition root: the only place that picks implementations and joins the parts.

Rules of this file: no behaviour of its own. `open_engine` for a program that only reads, `Node` for all
that `tailrace serve` and `dev` run in one process; an app's worker is joined in compose_worker.py.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from socket import gethostname
from typing import TYPE_CHECKING, Final

from tailrace.clocks.manual import ManualClock
from tailrace.clocks.system import SystemClock
from tailrace.engine.engine import Engine
from tailrace.server import node
from tailrace.server.http import HttpSettings
from tailrace.server.turns import Joined, Turns
from tailrace.stores.opened import EngineOptions as EngineOptions
from tailrace.stores.opened import OpenEngine
from tailrace.telemetry import PointReached, pass_by
from tailrace.worker.ending import DRAIN_S

if TYPE_CHECKING:
    from tailrace.app.app import App
    from tailrace.app.function_settings import NamedFunction
    from tailrace.app.mapping import HandlerMapping
    from tailrace.functions.pool import ProcessRunner
    from tailrace.journal.run.past import PastReader
    from tailrace.ports import Clock
    from tailrace.worker.worker import Worker


def open_engine(options: EngineOptions, reached: PointReached = pass_by) -> OpenEngine:
    """Open an engine. Raises: StoreError, SettingsError."""
    clock: Clock = SystemClock()
    if options.clock == "manual":
        start_ms = options.clock_start_ms
        clock = ManualClock() if start_ms is None else ManualClock(start_ms)
    return OpenEngine(options, clock, reached)


# ---- applications ------------------------------------------------------------------------------------------


def incarnation() -> str:
    """A name that no other worker has, here or elsewhere: process numbers are the same in every container."""
    return os.urandom(8).hex()


def create_tables(app: "App", engine: Engine) -> None:
    """Make the app's tables that are not there yet. Raises: SettingsError when one is there and differs."""
    # Imported here: with it comes the app, which `serve` does not need.
    from tailrace.sources.app_tables import create_tables as create

    create(app, engine)


def prepare(app: "App", engine: Engine) -> None:
    """The same, and let tables be copied into the data streams over which the app reads them. A test's world
    leaves that to the test. Raises: SettingsError.
    """
    from tailrace.sources.app_tables import copy_changes

    create_tables(app, engine)
    copy_changes(app, engine)


PAST_S: Final = 10.0
"""How long a question of the past waits for the engine's loop: a handler may hold it."""

# ---- a node ------------------------------------------------------------------------------------------------


class Node(node.RunningNode):
    """Everything that `tailrace serve` and `dev` run in one process."""

    def __init__(
        self,
        options: EngineOptions,
        http: HttpSettings | None = None,
        app: "App | None" = None,
        functions: "Mapping[str, NamedFunction] | None" = None,
        drain_s: float = DRAIN_S,
    ) -> None:
        super().__init__(CHOICES, options, http, app, functions, drain_s)


def _worker(beginning: node.Beginning) -> "Worker":
    from tailrace.alerts.run.load import LOOK_MS as LOAD_MS
    from tailrace.compose_worker import WorkerOptions, build_worker

    options = WorkerOptions(
        owner=incarnation(),
        host=gethostname(),
        pid=os.getpid(),
        reached=beginning.reached,
        in_processes=True,
        tallies=beginning.tallies,
        changes=beginning.changes,
        load_ms=LOAD_MS,
    )
    beginning.app.bind_past(_past_of(beginning.engine))
    return build_worker(beginning.app, beginning.engine, beginning.flushed, options)


def _past_of(engine: Engine) -> "Callable[[HandlerMapping], PastReader]":
    """What reads the past in this process, whose engine has the streams."""
    from tailrace.journal.run.opened_past import LiveStream, open_past
    from tailrace.journal.run.tail import TailBounds
    from tailrace.sources.embedded_log import EmbeddedLog
    from tailrace.sources.loop_log import LoopLog

    stream = LiveStream(LoopLog(EmbeddedLog(engine)), engine.clock, TailBounds(patience_s=PAST_S))
    return partial(open_past, engine.settings.region, stream=stream, account=engine.settings.account)


def _runner() -> "type[ProcessRunner]":
    from tailrace.functions.pool import ProcessRunner

    return ProcessRunner


CHOICES: Final = node.NodeOptions(open_engine, prepare, _worker, _runner)
"""What nodes run. Modules of apps and of Lambda's API are loaded when there is one: the start is measured."""


@asynccontextmanager
async def running_worker(app: "App", options: EngineOptions) -> AsyncIterator[Engine]:
    """An engine and the app's worker without a server, for benchmarks and tools; it is drained at the end."""
    from tailrace.compose_worker import WorkerOptions, build_worker

    engine = open_engine(options)
    loop = asyncio.get_running_loop()
    turns = Turns(engine, loop, in_thread=options.sync == "full")
    try:
        create_tables(app, engine)
        worker_options = WorkerOptions(owner=incarnation(), in_processes=True)
        worker = build_worker(app, engine, Joined(turns, loop), worker_options)
        await worker.check()
        working = loop.create_task(worker.run())
        yield engine
        worker.stop()
        await working
        await turns.settle()
    finally:
        turns.close()
        engine.close()
