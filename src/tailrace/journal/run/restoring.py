"""Restoring: the items of a moment of the past are written to a table, one conditional write each.

Theory of operation: core/restoring.py says what each item needs by what is in the table now; a few are at
work at once. Nothing is kept of how far a restore is: what is there already is what it was, and is passed
over, so a restore that was cut off is started again. A request that is throttled or not answered is repeated;
what it may have done is seen when the item is read again.
Rules of this file: no other table is touched, and no item that was not asked for. Whoever writes meanwhile
wins, and is counted.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final

import orjson
from msgspec import Struct, field

from tailrace.errors import ApiError, SinkOutage
from tailrace.journal.core.restoring import RestoreStep, restore_step, undoing_step
from tailrace.ports import Clock
from tailrace.tables.schema import TableSchema
from tailrace.values.types import Item
from tailrace.values.wire import read_item

AT_ONCE: Final = 16
MOST_TURNS: Final = 8
PAUSE_MS: Final = 200
TOLD: Final = 20
"""Keys that are named of those that were left."""
Call = Callable[[str, Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
FAILED: Final = "ConditionalCheckFailedException"


class RestoreReport(Struct):
    """How far a restore is. Shape: `counts` by action, with `overtaken`: others wrote meanwhile; `left` are
    the first keys that differ and were left; `total` is how many items there are.
    """

    counts: Counter[str] = field(default_factory=Counter)
    left: list[Mapping[str, Any]] = field(default_factory=list)
    total: int = 0

    @property
    def done(self) -> int:
        """Items that were looked at."""
        return self.counts.total()

    @property
    def written(self) -> int:
        """Items that were written."""
        return sum(self.counts[action] for action in ("put", "replace", "delete"))


class Restorer:
    """Writes to one table. Shape: `call` is a DynamoDB client's: operation and members; `report` is filled,
    so that it tells how far a restore was that is cut off.
    """

    def __init__(
        self,
        call: Call,
        table: str,
        schema: TableSchema,
        clock: Clock,
        *,
        overwrite: bool,
        dry_run: bool,
        report: RestoreReport | None = None,
    ) -> None:
        self._call = call
        self._table = table
        self._schema = schema
        self._clock = clock
        self._overwrite = overwrite
        self._dry_run = dry_run
        self.report = RestoreReport() if report is None else report

    async def restore(self, items: AsyncIterator[tuple[bytes, bytes | None]]) -> RestoreReport:
        """Make these items what they were: by key bytes their images, None: there was none. Raises: ApiError,
        SinkOutage, and what `items` raises; what was done until then stays.
        """
        waiting: set[asyncio.Task[None]] = set()
        try:
            async for key, image in items:
                waiting.add(asyncio.ensure_future(self._one(key, image)))
                if len(waiting) >= AT_ONCE:
                    done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        task.result()
            await asyncio.gather(*waiting)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        return self.report

    async def _one(self, key_bytes: bytes, image: bytes | None) -> None:
        key = self._schema.read_key(key_bytes)
        wanted = None if image is None else orjson.loads(image)
        for turn in range(MOST_TURNS):
            try:
                read = {"TableName": self._table, "Key": key, "ConsistentRead": True}
                current = _canonical((await self._call("GetItem", read)).get("Item"))
                step = restore_step(
                    self._table, self._schema.key_names, wanted, current, overwrite=self._overwrite
                )
                self._count(await self._written(step, wanted, current), key)
                return
            except SinkOutage as error:
                await self._pause(error, turn)

    async def _pause(self, error: SinkOutage, turn: int) -> None:
        """Wait before the next turn. Raises: the error, at the last one."""
        if turn + 1 == MOST_TURNS:
            raise error
        pause_ms = max(error.retry_after_ms, PAUSE_MS << turn)
        await self._clock.sleep_until(self._clock.now().monotonic_ms + pause_ms)

    async def _written(self, step: RestoreStep, wanted: Item | None, current: Item | None) -> str:
        """What came of it. Raises: ApiError, SinkOutage."""
        if not step.operation or self._dry_run:
            return step.action
        answer = await self._called(step)
        if answer is None:
            return "overtaken"
        if current is not None:
            replaced = _canonical(answer.get("Attributes"))
            undoing = undoing_step(self._table, self._schema.key_names, wanted, current, replaced)
            if undoing.operation:
                await self._put_back(undoing)
                return "overtaken"
        return step.action

    async def _put_back(self, step: RestoreStep) -> None:
        """Undo a write, here and not when the item is read again: it would be taken for what was wanted."""
        for turn in range(MOST_TURNS):
            try:
                await self._called(step)
                return
            except SinkOutage as error:
                await self._pause(error, turn)

    async def _called(self, step: RestoreStep) -> Mapping[str, Any] | None:
        """The answer to a write; None: its condition failed. Raises: ApiError, SinkOutage."""
        try:
            return await self._call(step.operation, step.members)
        except ApiError as error:
            if error.code != FAILED:
                raise
            return None

    def _count(self, action: str, key: Mapping[str, Any]) -> None:
        self.report.counts[action] += 1
        if action in ("differs", "overtaken") and len(self.report.left) < TOLD:
            self.report.left.append(key)


def _canonical(item: Any) -> Item | None:
    """An item as journals have it: a table may give the elements of a set in any order."""
    return None if item is None else read_item(item)
