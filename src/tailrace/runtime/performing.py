"""The interpreter of steps for asyncio: carries calls out at the ports, one after the other.

Rules of this file: no decision, no retry; what a port raises goes to the steps, what cancels goes through. Stands alone because everything that the runtime
does as steps is performed here. Made by runtime/worker.py.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar, assert_never

from tailrace.errors import InternalError, PortError
from tailrace.mapping.commands import ReadDone
from tailrace.ports import Batch, Clock, Outcome, Shard, StateStore
from tailrace.runtime.steps import (
    AskTime,
    Call,
    Get,
    Horizon,
    Query,
    ReadShard,
    Steps,
    Transact,
    WriteBatch,
)
from tailrace.telemetry import PointReached, pass_by

T = TypeVar("T")


class Delivers(Protocol):
    """What one mapping in one shard reads from and writes to."""

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        """Records after a position; waits while there are none and the shard is open. Raises: PortError."""

    async def write(self, batch: Batch) -> Outcome:
        """What came of a batch. Raises nothing."""


class Performer:
    """Performs steps over a state store and a clock; with `delivers` also those that read a shard and write to a sink, with `horizon` those that begin there."""

    def __init__(
        self,
        state: StateStore,
        clock: Clock,
        reached: PointReached = pass_by,
        delivers: Delivers | None = None,
        horizon: Callable[[Shard], Awaitable[int]] | None = None,
    ) -> None:
        self._state = state
        self._clock = clock
        self._reached = reached
        self._delivers = delivers
        self._horizon = horizon

    async def perform(self, steps: Steps[T]) -> T:
        """Carry steps out to their end. Raises: what they raise."""
        try:
            call = next(steps)
            while True:
                try:
                    answer = await self._answer(call)
                except PortError as error:
                    call = steps.throw(error)
                else:
                    call = steps.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            steps.close()

    async def _answer(self, call: Call) -> Any:
        match call:
            case WriteBatch(batch) if self._delivers is not None:
                self._reached("invoke.begun")
                return await self._delivers.write(batch)
            case ReadShard(shard, after, limit) if self._delivers is not None:
                done = await self._delivers.read(shard, after, limit)
                self._reached("read.done")
                return done
            case Transact(writes, begun, done):
                if begun:
                    self._reached(begun)
                await self._state.transact(writes)
                if done:
                    self._reached(done)
                return None
            case Get(key):
                return await self._state.get(key)
            case Query(prefix, after, limit):
                return await self._state.query(prefix, after=after, limit=limit)
            case AskTime():
                return self._clock.now()
            case Horizon(shard) if self._horizon is not None:
                return await self._horizon(shard)
            case WriteBatch() | ReadShard() | Horizon():
                raise InternalError(f"nothing is there for {call}")
            case _:
                assert_never(call)
