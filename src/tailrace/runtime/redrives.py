"""The redrives that a worker carries out: those that somebody asks for, those that its last run had left, and those of another version of the code.

Rules of this file: a redrive is a task beside everything else; a request is a row before it is a task, so that the next start goes on with it. What is
put back, and how, is redriver.py's. Made by worker/worker.py.
"""

import asyncio
from collections.abc import Callable, Container
from contextlib import AbstractContextManager

from tailrace.errors import PortError
from tailrace.leases.checkpoint import Reason
from tailrace.runtime.redrive_requests import Progress, Request, for_another_version
from tailrace.runtime.redriver import Redriver


class Redrives:
    """The redrives of one worker. Shape: without a `redriver` nothing is redriven. `threads_of` a handler are those that its calls run in."""

    def __init__(
        self, redriver: Redriver | None, threads_of: Callable[[str], AbstractContextManager[object]]
    ) -> None:
        self.redriver = redriver
        self._threads_of = threads_of
        self._tasks: dict[asyncio.Task[None], Request] = {}
        self._group: asyncio.TaskGroup | None = None

    def begin(self, group: asyncio.TaskGroup) -> None:
        """Run them in this group from now on."""
        self._group = group

    def carry_out(
        self, request: Request, progress: Progress, *, is_noted: bool = False
    ) -> asyncio.Task[None]:
        """Do what was asked, beside everything else: a row first. What is under way already is only waited for."""
        assert self.redriver is not None
        assert self._group is not None
        redriver = self.redriver
        for task, under_way in self._tasks.items():
            if under_way.id == request.id:
                return task

        async def carry_out() -> None:
            try:
                if not is_noted:
                    await redriver.note(request)
                with self._threads_of(request.handler):
                    await redriver.carry_out(request, progress)
            except PortError as error:
                progress.stopped = str(error)

        task = self._group.create_task(carry_out(), name=f"redrive {request.id}")
        self._tasks[task] = request
        task.add_done_callback(self._tasks.pop)
        return task

    async def go_on(self, handlers: Container[str]) -> None:
        """Carry out what was asked of these handlers and is not done. Raises: StoreError."""
        if self.redriver is not None:
            for request in await self.redriver.pending():
                if request.handler in handlers:
                    self.carry_out(request, Progress(), is_noted=True)

    async def renew(self, mapping_id: str, reason: Reason, code_version: str, *, at_once: bool) -> None:
        """Another version of the code has paused by itself for this reason: ask once for what it failed at. Raises: StoreError."""
        if self.redriver is None:
            return
        await self.redriver.note(for_another_version(mapping_id, reason[0], code_version))
        if at_once:
            await self.go_on({mapping_id})

    def cancel(self, handler: str | None = None) -> None:
        """End them, of one handler or of all; the next start goes on with them."""
        for task, request in list(self._tasks.items()):
            if handler in (None, request.handler):
                task.cancel()
