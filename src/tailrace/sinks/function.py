"""Handlers as sinks: a call for each change, a call for a batch, a Lambda function.

Rules of this file: a returned value is success, an exception is failure; which records failed is told as exactly as the
handler's form allows. Coroutines run on the loop; other functions run in a thread, one hop for many records. What
they recorded on `change.transaction` is committed before the outcome is told. Made by `compose`.
"""

import asyncio
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tailrace.app.app import Mapping, predicate_of
from tailrace.app.change import Batch as ChangeBatch
from tailrace.app.change import Change
from tailrace.ports import Batch, Failed, Failure, FailureKind, Outcome, Written
from tailrace.runtime.driver import failure_of
from tailrace.runtime.effects import Effects
from tailrace.telemetry import PointReached, pass_by

Indexed = tuple[int, Change]


class HandlerSink:
    """`@app.on`: the handler is called for one change at a time.

    Guarantee: changes of one item one after the other, each with its transaction committed before the next one's call;
               after a failure the later ones of that item in the batch are not attempted.
    """

    def __init__(self, mapping: Mapping, effects: Effects, reached: PointReached = pass_by) -> None:
        self._handler = mapping.target
        self._timeout_s = mapping.timeout_s
        self._is_async = inspect.iscoroutinefunction(mapping.target)
        self._where = predicate_of(mapping.settings)
        self._effects = effects
        self._reached = reached

    @property
    def suppressed(self) -> int:
        """Transactions that were applied before, by this worker or by one before it."""
        return self._effects.suppressed

    async def write(self, batch: Batch) -> Outcome:
        """Call the handler for every record."""
        failures: dict[int, Failure] = {}
        failed_keys: set[bytes] = set()
        for wave in waves(batch):
            chosen = [each for each in wave if each[1].record.key not in failed_keys]
            failed = await self._call_all(chosen)
            self._reached("invoke.done")
            failed |= await self._effects.apply([each for each in chosen if each[0] not in failed])
            failed_keys |= {batch.records[index].key for index in failed}
            failures |= failed
        return Failed(failures) if failures else Written()

    async def _call_all(self, changes: Sequence[Indexed]) -> dict[int, Failure]:
        if not self._is_async:
            return await asyncio.get_running_loop().run_in_executor(None, self._call_in_thread, changes)
        failures: dict[int, Failure] = {}
        for index, change in changes:
            failure = await self._call(change)
            if failure is not None:
                failures[index] = failure
        return failures

    def _call_in_thread(self, changes: Sequence[Indexed]) -> dict[int, Failure]:
        failures: dict[int, Failure] = {}
        for index, change in changes:
            try:
                if self._where is None or self._where(change):
                    self._handler(change)
            except Exception as error:  # an exception of the handler is its way to say that it failed
                failures[index] = failure_of(error)
        return failures

    async def _call(self, change: Change) -> Failure | None:
        try:
            if self._where is None or self._where(change):
                async with asyncio.timeout(self._timeout_s):
                    await self._handler(change)
        except TimeoutError as error:
            return Failure(
                FailureKind.TIMEOUT, f"no answer within {self._timeout_s} s", failure_of(error).traceback
            )
        except Exception as error:  # an exception of the handler is its way to say that it failed
            return failure_of(error)
        return None


class BatchSink:
    """`@app.batch`: the handler is called with the whole batch, so a failure is the whole batch's."""

    def __init__(self, mapping: Mapping, effects: Effects, reached: PointReached = pass_by) -> None:
        self._handler = mapping.target
        self._timeout_s = mapping.timeout_s
        self._effects = effects
        self._reached = reached

    @property
    def suppressed(self) -> int:
        """Transactions that were applied before, by this worker or by one before it."""
        return self._effects.suppressed

    async def write(self, batch: Batch) -> Outcome:
        """Call the handler once."""
        changes = [Change(record, batch.stream.table) for record in batch.records]
        try:
            async with asyncio.timeout(self._timeout_s):
                await call(self._handler, ChangeBatch(changes, batch.shard_id, batch.attempt))
        except TimeoutError as error:
            traceback = failure_of(error).traceback
            return Failed(
                whole=Failure(FailureKind.TIMEOUT, f"no answer within {self._timeout_s} s", traceback)
            )
        except Exception as error:  # an exception of the handler is its way to say that it failed
            return Failed(whole=failure_of(error))
        self._reached("invoke.done")
        failures = await self._effects.apply(list(enumerate(changes)))
        return Failed(failures) if failures else Written()


def waves(batch: Batch) -> Iterable[list[Indexed]]:
    """The changes of a batch in waves that hold each item at most once, so that a wave may run in any order."""
    pending = [(index, Change(record, batch.stream.table)) for index, record in enumerate(batch.records)]
    while pending:
        seen: set[bytes] = set()
        wave: list[Indexed] = []
        later: list[Indexed] = []
        for each in pending:
            key = each[1].record.key
            (later if key in seen else wave).append(each)
            seen.add(key)
        yield wave
        pending = later


async def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Await a coroutine function, or run another one in a thread."""
    if inspect.iscoroutinefunction(function):
        return await function(*arguments)
    return await asyncio.get_running_loop().run_in_executor(None, function, *arguments)
