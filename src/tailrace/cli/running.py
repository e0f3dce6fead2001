"""Running a node in this process until a signal ends it: the drain, and the words about it.

Rules of this file: what ends it is ending.py. Called by `serve` and `dev`.
"""

import asyncio
import errno
import gc
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import click
from msgspec import Struct

from tailrace.cli.ending import Ending
from tailrace.cli.failures import CommandFailure
from tailrace.stores.directory import DirectoryInUse

if TYPE_CHECKING:
    from tailrace.app.app import App
    from tailrace.app.function_settings import NamedFunction
    from tailrace.compose import Node
    from tailrace.engine.settings import KinesisFaults

Result = TypeVar("Result")
LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
QUESTION_S: Final = 5.0
"""How long a question may hold a directory that a server wants."""


class Serving(Struct, frozen=True):
    """What was chosen on the command line of `serve` or `dev`.

    Units:   clock_start in ms since the epoch, drain in ms.
    """

    port: int
    host: str
    directory: Path
    memory: bool
    sync: Literal["normal", "full"]
    clock: Literal["system", "manual"]
    clock_start: int | None
    shards: int
    aws_delays: bool
    cors: str | None
    allow_unsigned: bool
    log_format: Literal["text", "json"]
    as_json: bool
    verbose: bool = False
    drain: int = 30_000
    checksums: Literal["on", "off"] = "on"
    one_namespace: bool = False
    shard_limits: bool = False
    kinesis_faults: "KinesisFaults | None" = None

    def check(self) -> None:
        """Refuse what cannot be or is open to a network by accident. Raises: CommandFailure."""
        if self.host not in LOOPBACK and not self.allow_unsigned:
            raise CommandFailure(
                f"Listening on {self.host} would open every table to everyone who reaches this machine: "
                "signatures are not checked yet.",
                hint=f"leave --host out, or accept that: tailrace serve --host {self.host} --allow-unsigned",
            )
        if self.clock_start is not None and self.clock != "manual":
            raise CommandFailure(
                "--clock-start needs a clock that can be set.",
                hint="add --clock manual, or leave --clock-start out",
            )


def build_node(
    serving: Serving, app: "App | None" = None, functions: "Mapping[str, NamedFunction] | None" = None
) -> "Node":
    """The node that was chosen. Raises: StoreError and SettingsError when it is started."""
    from tailrace.compose import EngineOptions, Node
    from tailrace.engine.settings import EngineSettings
    from tailrace.server.http import HttpSettings
    from tailrace.streams.arns import region_of

    options = EngineOptions(
        directory=None if serving.memory else serving.directory,
        sync=serving.sync,
        checksums=serving.checksums == "on",
        clock=serving.clock,
        clock_start_ms=serving.clock_start,
        settings=EngineSettings(
            region=region_of(os.environ) if app is None else app.region,
            one_namespace=serving.one_namespace,
            shards=serving.shards,
            aws_delays=serving.aws_delays,
            shard_limits=serving.shard_limits,
            kinesis_faults=serving.kinesis_faults,
        ),
    )
    http = HttpSettings(
        host=serving.host, port=serving.port, cors=serving.cors, sync=serving.sync, seed=os.urandom(8)
    )
    return Node(options, http, app, functions, serving.drain / 1_000)


def run_loop(main: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine on the fastest loop there is."""
    try:
        import uvloop
    except ImportError:  # Windows has none
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


async def run_until_stopped(
    node: "Node",
    serving: Serving,
    announce: Callable[[int], None],
    beside: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Start, announce, wait, drain. Raises: CommandFailure when the port is taken; what `beside` raises."""
    stopping, ending = node.stopping, Ending(serving.drain / 1_000, quiet=serving.as_json)
    ending.stop_at_signals(stopping)
    try:
        port = await _started(node, serving.directory)
    except OSError as error:
        raise port_failure(error, serving.host, serving.port) from error
    announce(port)
    sys.stdout.flush()
    end_of_start()
    try:
        await _until(stopping, beside)
    finally:
        ending.begin()
        ending.leave(await node.stop())
        # what is frozen is never taken apart, and extension modules (DuckDB's) complain of that at the exit
        gc.unfreeze()
    if not serving.as_json:
        click.echo(
            "drained: every request is answered, every checkpoint saved, the data directory free", err=True
        )


async def _started(node: "Node", directory: Path) -> int:
    """Start; a question that holds the directory for a moment (`tailrace status`) is waited for.

    Returns: the port.
    """
    from tailrace.cli.connection import LOOK_S
    from tailrace.server.nodes import is_answering

    loop = asyncio.get_running_loop()
    deadline = loop.time() + QUESTION_S
    while True:
        try:
            return await node.start()
        except DirectoryInUse:
            if is_answering(directory) or loop.time() > deadline:
                raise
        await asyncio.sleep(LOOK_S)


def begin_of_start() -> None:
    """Collect no garbage while modules are imported: there is none, and looking is a tenth of the start."""
    gc.disable()


def end_of_start() -> None:
    """Collect again, but never look at what the start has made: it stays.

    A request makes a few hundred containers and no circle of them, so collecting after every 700, Python's
    default, is work for nothing: a fortieth of a PutItem.
    """
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)
    gc.enable()


async def _until(stopping: asyncio.Event, beside: Callable[[], Awaitable[None]] | None) -> None:
    waiting = asyncio.ensure_future(stopping.wait())
    tasks: set[asyncio.Future[Any]] = {waiting}
    if beside is not None:
        tasks.add(asyncio.ensure_future(beside()))
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def port_failure(error: OSError, host: str, port: int) -> BaseException:
    """Why nothing listens, in words; another error stays what it is."""
    match error.errno:
        case errno.EADDRINUSE:
            return CommandFailure(
                f"Port {port} of {host} is taken by another process.",
                hint="the same command with --port 0 (any free port), or end the other process",
            )
        case errno.EACCES | errno.EADDRNOTAVAIL:
            return CommandFailure(
                f"{host}:{port} cannot be listened on: {error.strerror}.",
                hint="the same command with --port 8000",
            )
        case _:
            return error
