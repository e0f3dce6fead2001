"""Sinks as a worker has them: open whenever they are written to, timed, and what it means when one raises
instead of answering.

Theory of operation: a sink is opened before a worker's first write, and closed when the last mapping that
writes to it is withdrawn, or the worker ends. One sink may be declared for several mappings, so it is held by
their names; it is opened once, by the first that writes, and closed by the last that lets go. What opening
raises is an outage whatever it is: no change is at fault, so none uses up an attempt. Raising is also a
sink's way to say that a whole batch failed, and no sink ends anything by it.
Rules of this file: it changes nothing of what a sink says, and retries nothing. `attempt` is called by
driver.py and redriver.py; the rest is made by compose for the sinks that users declare, and by worker.py for
each mapping.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Final, TypeVar

from tailrace.app.fence import escape, told
from tailrace.app.sinking import Writes, whole
from tailrace.errors import LeaseLost, PortError, Refused, SinkOutage, Throttled, Unavailable
from tailrace.mapping.batch import well_formed
from tailrace.ports import (
    Clock,
    Failed,
    Failure,
    FailureKind,
    Outcome,
    RecordBatch,
    Sink,
    TargetPosition,
    Transactional,
    Written,
)
from tailrace.runtime.attempts import Tally
from tailrace.runtime.threads import CURRENT, SHARED, Threads
from tailrace.runtime.traces import trace_of

T = TypeVar("T")
CUT_OFF: Final = Failed(whole=Failure(error="it was cut off"))
_log: Final = logging.getLogger("tailrace.handlers")


async def attempt(sink: Sink, batch: RecordBatch) -> Outcome:
    """What the sink says of a batch. Guarantee: it raises nothing but our own cancellation, an operator's
    interrupt and a test's `Death`; LeaseLost for a batch that is committed with its position.
    """
    try:
        try:
            return await sink.write(batch)
        except BaseException as error:  # what is meant for our own task goes on
            escape(error)
            raise
    except PortError as error:
        if isinstance(error, LeaseLost) and batch.position is not None:
            raise
        return Failed(whole=said_by_port(error))
    except Exception as error:  # whatever a sink raises, the port says: the whole batch failed
        text = trace_of(error, error.__traceback__)
        error.__traceback__ = None  # the next time that this very object is raised its trace begins anew
        return Failed(whole=Failure(FailureKind.RECORD, told(error), text))


def said_by_port(error: PortError) -> Failure:
    """What a sink says that raises instead of answering."""
    match error:
        case Refused():
            return Failure(FailureKind.RECORD, str(error), final=True)
        case Throttled():
            return Failure(FailureKind.THROTTLED, str(error), retry_after_ms=error.retry_after_ms)
    return unavailable(error)


def unavailable(error: PortError) -> Failure:
    """What a port's failure is to the machine: it waits at least as long as the port says."""
    return Failure(FailureKind.UNAVAILABLE, str(error), retry_after_ms=error.retry_after_ms)


QUESTIONS: Final = count(1)


# ---- open, and timed ---------------------------------------------------------------------------------------


class Opening:
    """One sink, and who holds it open. Shape: a holder need not ask again while it `is_open`."""

    def __init__(self, sink: Sink, clock: Clock) -> None:
        self._sink = sink
        self._clock = clock
        self._holders: set[str] = set()
        self.is_open = False
        self._turn = asyncio.Lock()

    async def hold(self, holder: str) -> None:
        """Open it unless it is open. Raises: SinkOutage."""
        self._holders.add(holder)
        if self.is_open:
            return
        async with self._turn:
            if not self.is_open:
                await _opened(self._sink, self._clock)
                self.is_open = True

    async def release(self, holder: str) -> None:
        """Close it when no other mapping holds it. What closing raises is said: there is nothing to be done
        about it.
        """
        self._holders.discard(holder)
        async with self._turn:
            if self.is_open and not self._holders:
                self.is_open = False
                await _closed(self._sink)

    async def end(self) -> None:
        """Close it, even if mappings still hold it."""
        for holder in [*self._holders]:
            await self.release(holder)


class TimedSink:
    """A sink, the tally of its attempts, and the threads that its work blocks."""

    def __init__(
        self, sink: Sink, clock: Clock, tally: Tally | None = None, threads: Threads | None = None
    ) -> None:
        self.sink = sink
        self._opening = Opening(sink, clock)
        self.threads = threads or SHARED
        self.tally = tally or Tally()
        self._clock = clock

    async def open(self, clock: Clock) -> None:
        """Open the sink unless it is open. Raises: SinkOutage."""
        await self._opening.hold("")

    async def write(self, batch: RecordBatch) -> Outcome:
        """What the sink says, timed; a failure takes its time too. A position alone is no attempt."""
        if batch.position is not None and not batch.records:
            with self.threads.used():
                await self._opening.hold("")
                return await self.sink.write(batch)
        started = self._clock.now()
        self.tally.begin(batch, started.wall_ms)
        outcome: Outcome = CUT_OFF
        token = CURRENT.set(self.threads)  # as threads.used(), for every batch
        try:
            if not self._opening.is_open:
                await self._opening.hold("")
            outcome = await self.sink.write(batch)
        except Exception as error:  # it goes on to the driver, which makes the same of it
            outcome = Failed(whole=Failure(error=str(error), traceback=repr(error)))
            raise
        finally:
            CURRENT.reset(token)
            took_ms = self._clock.now().monotonic_ms - started.monotonic_ms
            self.tally.end(len(batch.records), outcome, took_ms)
        return outcome

    async def close(self) -> None:
        """Close the sink if it is open."""
        with self.threads.used():
            await self._opening.release("")

    async def end(self) -> None:
        """Close the sink, and end its threads when they are done."""
        await self.close()
        self.threads.shutdown(wait=False)


class OpenedSink:
    """A sink that is open whenever it is written to."""

    def __init__(self, opening: Opening, holder: str, sink: Sink) -> None:
        self._opening = opening
        self._holder = holder
        self.sink = sink

    async def open(self, clock: Clock) -> None:
        """Hold it open. Raises: SinkOutage."""
        await self._opening.hold(self._holder)

    async def write(self, batch: RecordBatch) -> Outcome:
        """What the sink says. Raises: SinkOutage when it cannot be opened; what it raises."""
        await self._opening.hold(self._holder)
        return await self.sink.write(batch)

    @asynccontextmanager
    async def asked(self) -> AsyncIterator[None]:
        """Open for a question, whether or not it is written to. Raises: SinkOutage."""
        holder = f"question {next(QUESTIONS)} of {self._holder}"  # the end of one ends no other
        try:
            await self._opening.hold(holder)
            yield
        finally:
            await self._opening.release(holder)

    async def close(self) -> None:
        """Hold it no longer."""
        await self._opening.release(self._holder)


class CommittingSink:
    """A declared sink that owns the checkpoint: a batch with a position is committed, any other is written.
    Shape: `sink` is both.
    """

    def __init__(self, sink: Sink, target: Transactional) -> None:
        self.sink = sink
        self._target = target

    async def open(self, clock: Clock) -> None:
        """Open it. Raises: what it raises."""
        await self.sink.open(clock)

    async def write(self, batch: RecordBatch) -> Outcome:
        """What the sink says. Guarantee: of a batch with a position, that it is Written or failed in a record
        that is in it, or as a whole. Raises: LeaseLost; what the sink raises.
        """
        if batch.position is None:
            return await self.sink.write(batch)
        outcome = await self._target.commit(batch, batch.position)
        if isinstance(outcome, Written):
            return outcome
        return well_formed(outcome, len(batch.records)) or Failed(
            whole=Failure(FailureKind.UNAVAILABLE, "the target has not said that the transaction is written")
        )

    def close(self) -> Awaitable[None]:
        """As `ports.Sink.close`."""
        return self.sink.close()


class OpenedTarget:
    """The positions in a target, which is open whenever it is asked. What it raises is an outage: LeaseLost,
    or Unavailable.
    """

    def __init__(self, opened: OpenedSink, target: Transactional) -> None:
        self._opened = opened
        self._target = target

    async def positions(self, mapping_id: str) -> Sequence[TargetPosition]:
        """What the target has of a mapping, in any order."""
        async with self._opened.asked():
            return await _answered(self._target.positions(mapping_id))

    async def stamp(self, mapping_id: str, stream: str, shard_id: str, epoch: int) -> TargetPosition:
        """Take a shard."""
        async with self._opened.asked():
            return await _answered(self._target.stamp(mapping_id, stream, shard_id, epoch))

    async def put_position(self, mapping_id: str, position: TargetPosition) -> None:
        """Let the target have a position."""
        async with self._opened.asked():
            await _answered(self._target.put_position(mapping_id, position))


async def _answered(asked: Awaitable[T]) -> T:
    try:
        return await asked
    except PortError:
        raise
    except Exception as error:  # whatever a user's target raises, no change is at fault
        raise Unavailable(f"{type(error).__name__}: {error}") from error


class Openings:
    """The declared sinks of one worker."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._of: dict[int, tuple[Writes, Opening]] = {}
        """By the identity of what was declared, which is kept, so that nothing else gets it."""

    def of(self, holder: str, declared: Writes, laid: Writes) -> OpenedSink:
        """A declared sink for one mapping. Shape: `laid` is what stands around it, or itself; all mappings of
        one sink open the first one's.
        """
        sink = whole(laid)
        _, opening = self._of.setdefault(id(declared), (declared, Opening(sink, self._clock)))
        return OpenedSink(opening, holder, sink)

    async def close(self) -> None:
        """Close all of them."""
        for _, opening in [*self._of.values()]:
            await opening.end()


async def _opened(sink: Sink, clock: Clock) -> None:
    try:
        await sink.open(clock)
    except SinkOutage:
        raise
    except PortError as error:
        raise Unavailable(str(error), hint=error.hint, retry_after=error.retry_after_ms / 1_000) from error
    except Exception as error:  # whatever keeps a sink from being opened is no change's fault
        raise Unavailable(f"the sink cannot be opened: {type(error).__name__}: {error}") from error


async def _closed(sink: Sink) -> None:
    try:
        await sink.close()
    except Exception as error:  # it is closed as far as it can be, and the others are still to be closed
        _log.warning("%s could not be closed: %s: %s", type(sink).__name__, type(error).__name__, error)
