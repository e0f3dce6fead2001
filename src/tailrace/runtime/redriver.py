"""Puts dead letters back to their handlers, beside the live traffic of the same worker.

Rules of this file: it performs the steps of putting_back.py and decides nothing about a change. What was asked for is a row
first, so that a redrive goes on after a restart. Made by `worker/worker.py`'s owner
(compose), called by the `dlq` verbs.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Protocol

from tailrace.errors import InternalError
from tailrace.ports import Batch, Clock, Outcome, Shard, Sink, StateStore, StreamRef
from tailrace.runtime.attempting import attempt
from tailrace.runtime.driver import Performer
from tailrace.runtime.putting_back import Live as LiveMachines
from tailrace.runtime.putting_back import PuttingBack
from tailrace.runtime.redrive_requests import Plan, Progress, Request
from tailrace.streams.record import ReadDone


class Live(LiveMachines, Protocol):
    """The machines that run here, and what they read, as the redriver needs them: the worker."""

    async def stream_of(self, mapping_id: str, shard_id: str) -> StreamRef:
        """The stream that a shard of a mapping's table is of."""


class _Handler:
    """The handler of one request, to which changes come one by one."""

    def __init__(self, write: Callable[[Batch], Awaitable[Outcome]]) -> None:
        self._write = write

    async def write(self, batch: Batch) -> Outcome:
        """One attempt."""
        return await self._write(batch)

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        """Never called."""
        raise InternalError(f"a redrive reads no shard: {shard.shard_id} after {after}, {limit}")


class Redriver:
    """Redrives for one app."""

    def __init__(
        self, app: str, state: StateStore, clock: Clock, live: Live | None, sinks: Mapping[str, Sink],
        again_sink: Callable[[str, str], Sink] | None = None, guarded: Callable[[str, Sink], Sink] = lambda _, sink: sink,
    ) -> None:  # fmt: skip
        self._state = state
        self._clock = clock
        self._live = live
        self._sinks = sinks
        self._again_sink = again_sink
        self._guarded = guarded
        self._steps = PuttingBack(app, live)

    async def note(self, request: Request) -> None:
        """Make the request durable: whoever runs the handler next carries it out."""
        await self._performer.perform(self._steps.note(request))

    async def pending(self) -> list[Request]:
        """Requests that are not finished, the oldest first."""
        return await self._performer.perform(self._steps.pending())

    async def plan(self, request: Request) -> Plan:
        """What a request means now. Raises: StoreError."""
        return await self._performer.perform(self._steps.plan(request))

    async def carry_out(self, request: Request, progress: Progress) -> None:
        """Do what no other worker is doing, and forget the request when nothing of it is left to anybody. Raises: StoreError."""
        stream_of = None if self._live is None else partial(self._live.stream_of, request.handler)
        handler = _Handler(partial(self._write, request))
        performer = Performer(self._state, self._clock, delivers=handler, stream_of=stream_of)
        await performer.perform(self._steps.carry_out(request, progress))

    @property
    def _performer(self) -> Performer:
        return Performer(self._state, self._clock)

    async def _write(self, request: Request, batch: Batch) -> Outcome:
        sink = self._sinks[request.handler]
        if request.even_if_overtaken and self._again_sink is not None:
            # A mark of a later change would suppress its recorded writes: they are applied under a run of their own.
            sink = self._again_sink(request.handler, f"redrive-{batch.records[0].sequence}")
        return await attempt(self._guarded(request.handler, sink), batch)
