"""Processes that take large requests apart: few, started by the first request, ended when idle.

Rules of this file: requests wait for a free process in the order of arrival. One that dies is replaced,
and its request asked once more. What a request weighs here is counted where its connection is. Owned by
`server.http`.
"""

import asyncio
import contextlib
import logging
import os
import sys
from asyncio.subprocess import PIPE, Process
from typing import Final

from tailrace.api.taking import Taken
from tailrace.api.wire import Request
from tailrace.errors import InternalError
from tailrace.server.frames import LENGTH, framed, lengths_of, question_parts, taken_of

_log = logging.getLogger("tailrace.server")

MOST_PROCESSES: Final = 2
IDLE_S: Final = 20.0
"""How long a process is kept that has nothing to do: it holds the memory that its largest request took."""
TRIES: Final = 2
READ_BYTES: Final = 1_048_576
END_S: Final = 5.0


class Takers:
    """A small pool of processes. Shape: `started` counts them, `taken` requests; `running` are alive."""

    def __init__(self, most: int = MOST_PROCESSES) -> None:
        self.started = self.taken = 0
        self.running: set[Process] = set()
        self._free = asyncio.Semaphore(most)
        self._idle: list[tuple[float, Process]] = []
        self._is_closed = False

    async def take(self, request: Request, query: bytes, limit: int) -> Taken:
        """Take a request apart in another process. Raises: InternalError when processes die of it."""
        async with self._free:
            for _ in range(TRIES):
                process = await self._process()
                try:
                    taken = await _exchanged(
                        process, question_parts(request.headers, query, limit, request.body)
                    )
                except (OSError, EOFError):
                    code = await self._end(process)
                    _log.warning("a process that takes requests apart has died", extra={"status": code})
                    continue
                except BaseException:
                    # The client has gone: the process's answer would be taken for another request's.
                    self._kill(process)
                    raise
                self._idle.append((asyncio.get_running_loop().time(), process))
                self.taken += 1
                return taken
        raise InternalError("The processes that take large requests apart die of this one.")

    def sweep(self, now: float) -> None:
        """End what has had nothing to do for long."""
        while self._idle and now - self._idle[0][0] > IDLE_S:
            self._kill(self._idle.pop(0)[1])

    async def close(self) -> None:
        """End every process. Repeatable."""
        self._is_closed = True
        self._idle.clear()
        running = tuple(self.running)
        for process in running:
            self._kill(process)
        for process in running:
            await process.wait()

    async def _process(self) -> Process:
        if self._is_closed:
            raise InternalError("The server has been closed.")
        while self._idle:
            _, process = self._idle.pop()  # the one that was used last: the others may end
            if process.returncode is None:
                return process
            self.running.discard(process)
        paths = os.pathsep.join(entry or os.getcwd() for entry in sys.path if not entry.endswith(".zip"))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tailrace.server.taking_process",
            stdin=PIPE,
            stdout=PIPE,
            limit=READ_BYTES,
            env={**os.environ, "PYTHONPATH": paths},
            start_new_session=True,
        )
        self.started += 1
        self.running.add(process)
        return process

    async def _end(self, process: Process) -> int:
        self._kill(process)
        return await process.wait()

    def _kill(self, process: Process) -> None:
        self.running.discard(process)
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()  # it holds nothing that is not here


async def _exchanged(process: Process, parts: list[bytes]) -> Taken:
    """One question and its answer. Raises: OSError or EOFError when the process is gone."""
    assert process.stdin is not None
    assert process.stdout is not None
    for piece in framed(parts):
        process.stdin.write(piece)
        await process.stdin.drain()
    reader = process.stdout
    count = LENGTH.unpack(await reader.readexactly(LENGTH.size))[0]
    lengths = lengths_of(await reader.readexactly(count * LENGTH.size))
    return taken_of([await reader.readexactly(length) for length in lengths])
