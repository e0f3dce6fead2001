"""Slices on the loop: one every few turns; other clients are answered in between, and slices take turns.

Rules of this file: no clock: where a slice ends is counted where the work is done. Owned by `server.http`.
Stands alone because it knows the loop and nothing of HTTP.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final, TypeVar

from tailrace.engine.slices import Slices

Result = TypeVar("Result")
RESTS: Final = 2
"""Turns of the loop between two slices: one that reads, and one that commits and answers."""


class Slicing:
    """Runs work in slices.

    Shape:   `slices` counts those that were run; `after` is called after each of them.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, after: Callable[[], None]) -> None:
        self.slices = 0
        self._loop = loop
        self._after = after
        self._jobs: deque[tuple[Slices[Any], asyncio.Future[Any]]] = deque()

    async def run(self, work: Slices[Result]) -> Result:
        """What the work comes to. Raises: what it raises. Cancelled, it is not continued."""
        done: asyncio.Future[Result] = self._loop.create_future()
        self._jobs.append((work, done))
        if len(self._jobs) == 1:
            self._loop.call_soon(self._step)
        try:
            return await done
        finally:
            work.close()

    def _step(self) -> None:
        """One slice of the one that has waited longest."""
        work, done = self._jobs[0]
        if not done.done():
            self.slices += 1
            try:
                next(work)
            except StopIteration as end:
                done.set_result(end.value)
            except Exception as error:  # it is raised where the work was asked for
                done.set_exception(error)
            self._after()
        self._jobs.popleft()
        if not done.done():
            self._jobs.append((work, done))
        if self._jobs:
            self._rest(RESTS)

    def _rest(self, turns: int) -> None:
        """Let requests that came during the slice be read in one turn and answered in the next: a step that
        is due comes before both.
        """
        if turns:
            self._loop.call_soon(self._rest, turns - 1)
        else:
            self._loop.call_soon(self._step)
