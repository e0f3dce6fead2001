"""Puts dead letters back to their handlers, beside the live traffic of the same worker.

Rules of this file: it performs the steps of putting_back.py and decides nothing about a change. What was
asked for is a row before it is a task, so that the next start goes on with it: what an operator asks for,
what the last run had left, what another version of the code failed at. The `Redriver` is made where workers
are joined, the `Redrives` of a worker by it; called by the `dlq` verbs.
"""

import asyncio
from collections.abc import Awaitable, Callable, Container, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Protocol

from tailrace.deadletters.core.requests import Progress, RedrivePlan, RedriveRequest, for_another_version
from tailrace.deadletters.run.putting_back import LiveMachines as LiveMachines
from tailrace.deadletters.run.putting_back import PuttingBack
from tailrace.errors import InternalError, PortError
from tailrace.leases.checkpoint import Reason
from tailrace.ports import Clock, Outcome, RecordBatch, Shard, Sink, StateStore, StreamRef
from tailrace.runtime.attempting import attempt
from tailrace.runtime.driver import Performer
from tailrace.streams.record import ReadDone


class LiveWorker(LiveMachines, Protocol):
    """The machines that run here, and what they read, as the redriver needs them: the worker."""

    async def stream_of(self, mapping_id: str, shard_id: str) -> StreamRef:
        """The stream that a shard of a mapping's table is of."""


class _Handler:
    """The handler of one request, to which changes come one by one."""

    def __init__(self, write: Callable[[RecordBatch], Awaitable[Outcome]]) -> None:
        self._write = write

    async def write(self, batch: RecordBatch) -> Outcome:
        """One attempt of the change that is put back."""
        return await self._write(batch)

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        """Never called."""
        raise InternalError(f"a redrive reads no shard: {shard.shard_id} after {after}, {limit}")


class Redriver:
    """Redrives for one app."""

    def __init__(
        self,
        app: str,
        state: StateStore,
        clock: Clock,
        live: LiveWorker | None,
        sinks: Mapping[str, Sink],
        again_sink: Callable[[str, str], Sink] | None = None,
        guarded: Callable[[str, Sink], Sink] = lambda _, sink: sink,
    ) -> None:
        self._state = state
        self._clock = clock
        self._live = live
        self._sinks = sinks
        self._again_sink = again_sink
        self._guarded = guarded
        self._steps = PuttingBack(app, live)

    async def note(self, request: RedriveRequest) -> None:
        """Make the request durable: the worker that runs the handler next carries it out."""
        await self._performer.perform(self._steps.note(request))

    async def pending(self) -> list[RedriveRequest]:
        """Requests that are not finished, the oldest first."""
        return await self._performer.perform(self._steps.pending())

    async def plan(self, request: RedriveRequest) -> RedrivePlan:
        """What a request means now. Raises: StoreError."""
        return await self._performer.perform(self._steps.planner.plan(request))

    async def carry_out(self, request: RedriveRequest, progress: Progress) -> None:
        """Do what no other worker is doing, and forget the request when nothing of it is left to another.
        Raises: StoreError.
        """
        stream_of = None if self._live is None else partial(self._live.stream_of, request.handler)
        handler = _Handler(partial(self._write, request))
        performer = Performer(self._state, self._clock, delivers=handler, stream_of=stream_of)
        await performer.perform(self._steps.carry_out(request, progress))

    @property
    def _performer(self) -> Performer:
        return Performer(self._state, self._clock)

    async def _write(self, request: RedriveRequest, batch: RecordBatch) -> Outcome:
        sink = self._sinks[request.handler]
        if request.even_if_overtaken and self._again_sink is not None:
            # A mark of a later change would suppress its recorded writes: they are applied under a run of
            # their own.
            sink = self._again_sink(request.handler, f"redrive-{batch.records[0].sequence}")
        return await attempt(self._guarded(request.handler, sink), batch)


class Redrives:
    """The redrives of one worker. Shape: without a `redriver` nothing is redriven. `threads_of` a handler are
    those that its calls run in.
    """

    def __init__(
        self, redriver: Redriver | None, threads_of: Callable[[str], AbstractContextManager[object]]
    ) -> None:
        self.redriver = redriver
        self._threads_of = threads_of
        self._tasks: dict[asyncio.Task[None], RedriveRequest] = {}
        self._group: asyncio.TaskGroup | None = None

    def begin(self, group: asyncio.TaskGroup) -> None:
        """Run them in this group from now on."""
        self._group = group

    def carry_out(
        self, request: RedriveRequest, progress: Progress, *, is_noted: bool = False
    ) -> asyncio.Task[None]:
        """Do what was asked, beside everything else: a row first. What is under way already is only waited
        for.
        """
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
        """Another version of the code has paused by itself for this reason: ask once for what it failed at.
        Raises: StoreError.
        """
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
