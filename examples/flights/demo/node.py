"""The demo's own server and worker: one child process on a free port of this machine, with a clock of 2013.

Rules of this file: it starts, asks, kills by process id and stops; what it runs is `tailrace dev` as anybody
would run it. Called by `replaying`.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

import orjson

from tailrace.cli.durations import format_instant
from tailrace.compose import EngineOptions, open_engine
from tailrace.engine.state import state_of
from tailrace.ports import LogReader, StateStore
from tailrace.runtime.watermark import HandlerPosition, positions
from tailrace.server.control_socket import socket_path
from tailrace.sources.embedded_log import EmbeddedLog
from tailrace.views.at_once import at_once
from tailrace.views.progress import known_mappings

from . import data_stream
from .writing import DemoFailure

PATIENCE_S: Final = 60.0
DRAIN_S: Final = 15.0
"""How long a start may take, on a machine that is busy."""
POLL_S: Final = 0.01


def free_port() -> int:
    """A loopback port that is free at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Node:
    """A data directory, a port, and a process that comes and goes.

    Shape:   with `kinesis_seed` handlers read a data stream, whose faults it decides.
    Raises:  DemoFailure with the end of its log.
    """

    def __init__(self, directory: Path, app: Path, kinesis_seed: int | None = None) -> None:
        self.data = directory / "data"
        self.calls = directory / "calls"
        self.mirror = directory / "flights.duckdb"
        self.port = free_port()
        self._app = app
        self._kinesis_seed = kinesis_seed
        self._log = directory / "node.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._control: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._turn = asyncio.Lock()

    def start(self, wall_ms: int, crash_at: str | None = None, *, note_calls: bool = False) -> None:
        """Start a process whose clock stands at that time, told where to kill itself."""
        environment = {name: value for name, value in os.environ.items() if name != "TAILRACE_CRASH_AT"}
        environment["FLIGHTS_DUCKDB"] = str(self.mirror)
        if crash_at:
            environment["TAILRACE_CRASH_AT"] = crash_at
        if note_calls:
            environment["FLIGHTS_CALLS"] = str(self.calls)
        faults: tuple[str, ...] = ()
        if self._kinesis_seed is not None:
            environment["FLIGHTS_KINESIS"] = data_stream.STREAM
            environment["FLIGHTS_DISORDER"] = f"{data_stream.DISORDER_MINUTES}m"
            faults = data_stream.option(self._kinesis_seed)
        command = [
            sys.executable,
            "-m",
            "tailrace",
            "dev",
            str(self._app),
            "--no-reload",
            "--quiet",
            "--data",
            str(self.data),
            "--port",
            str(self.port),
            "--clock",
            "manual",
            "--clock-start",
            format_instant(wall_ms),
            *faults,
        ]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def wait_until_answering(self) -> bool:
        """Whether it answers; False when it killed itself before that."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if self.is_dead():
                return False
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
                return True
            except OSError:
                await asyncio.sleep(POLL_S)
        raise DemoFailure(f"The server has not started for {PATIENCE_S:g} s:\n{self.tail()}")

    def is_dead(self) -> bool:
        """Whether the process was killed. Raises: DemoFailure when it ended in any other way."""
        assert self._process is not None
        code = self._process.poll()
        if code is None:
            return False
        if code != -signal.SIGKILL:
            raise DemoFailure(f"The server ended by itself with {code}:\n{self.tail()}")
        return True

    def kill(self) -> None:
        """SIGKILL, now."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    async def ask(self, verb: str, **arguments: object) -> Any:
        """One question over the control socket. Returns: the last value. Raises: OSError while the process is
        away; DemoFailure.
        """
        return (await self.ask_all(verb, **arguments))[-1]

    async def ask_all(self, verb: str, **arguments: object) -> list[Any]:
        """One question. Returns: all values. Raises: as `ask`."""
        async with self._turn:
            try:
                if self._control is None:
                    self._control = await asyncio.open_unix_connection(str(socket_path(self.data)))
                reader, writer = self._control
                writer.write(orjson.dumps({"v": 1, "verb": verb, "arguments": arguments}) + b"\n")
                return await self._answer(reader)
            except OSError:
                self._forget()
                raise

    async def _answer(self, reader: asyncio.StreamReader) -> list[Any]:
        values: list[Any] = []
        while line := await reader.readline():
            answer = orjson.loads(line)
            if "error" in answer:
                raise DemoFailure(
                    f"The server says: {answer['error']['message']}", hint=answer["error"]["hint"]
                )
            if "done" in answer:
                return values
            values.append(answer["value"])
        raise ConnectionResetError("the server has gone")

    def _forget(self) -> None:
        if self._control is not None:
            self._control[1].close()
            self._control = None

    def positions(self, wall_ms: int) -> list[HandlerPosition]:
        """Where each handler stands, read from the store of a dead process, at the time that it had."""
        engine = open_engine(EngineOptions(self.data, clock="manual", clock_start_ms=wall_ms))
        try:
            return at_once(_positions(state_of(engine), EmbeddedLog(engine)))
        finally:
            engine.close()

    def stop(self) -> None:
        """Ask it to drain; kill it when it does not. Repeatable."""
        self._forget()
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        watchdog = threading.Timer(DRAIN_S, self._process.kill)
        watchdog.start()
        self._process.wait()
        watchdog.cancel()

    def tail(self, lines: int = 20) -> str:
        """The end of its log, without the clock."""
        lines_of_log = self._log.read_text(errors="replace").splitlines()
        return "\n".join([line for line in lines_of_log if "admin: clock.set" not in line][-lines:])


async def _positions(state: StateStore, log: LogReader) -> list[HandlerPosition]:
    return [place async for place in positions(state, log, await known_mappings(state, log))]
