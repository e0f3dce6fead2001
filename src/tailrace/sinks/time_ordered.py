"""`@app.merged`: the handler is called for one change at a time, in order of time over all shards of a table.

Theory of operation: the machine of each shard hands over one batch, in sequence (order="shard"), and its
answer waits here until every change of it has had its turn (mapping/time_order.py) and was handled. So what
waits is unsettled in its shard: a crash repeats it and loses nothing, and no position is kept but the
checkpoints. Where changes stood before is read from them, so what comes late after a restart is marked, too.
Whoever waits lets the next change go when its turn has come, one at a time.
Rules of this file: no order is decided here, and no retry: a change that fails is answered for, and its
machine sends it again or gives it up. Made by making.py; told by compose_worker.py which shards there are.
"""

import asyncio
from collections.abc import Callable, Collection
from typing import Any, Final

from tailrace.app.change import Change
from tailrace.app.mapping import HandlerMapping
from tailrace.leases.checkpoint import read_row
from tailrace.mapping.batch import lowest, well_formed
from tailrace.mapping.outcomes import FailedFrom
from tailrace.mapping.time_order import OfferedBatch, Place, ReleasedChange, TimeOrder
from tailrace.ports import Failed, Failure, FailureKind, Outcome, RecordBatch
from tailrace.rows.kinds import CHECKPOINT
from tailrace.runtime.dependencies import Dependencies
from tailrace.runtime.effects import Effects
from tailrace.runtime.pages import rows
from tailrace.runtime.parts import Parts
from tailrace.sinks.function import WRITTEN, HandlerSink
from tailrace.streams.record import MILLISECOND

LOOK_MS: Final = 1_000
"""How often it is looked whether shards have ended, while a change that failed holds everything."""
STOPPING: Final = Failed(
    whole=Failure(FailureKind.EARLY, "an older change of another shard failed, and the worker ends")
)


class ReadShards:
    """Which shards of a mapping may bring something yet, as its worker knows it. Shape: before it is told by
    whom it is asked, nothing is known.
    """

    def __init__(self) -> None:
        self._unfinished: Callable[[str], Collection[Place] | None] = lambda mapping_id: None
        self._is_ending: Callable[[], bool] = lambda: False

    def ask(
        self, unfinished: Callable[[str], Collection[Place] | None], is_ending: Callable[[], bool]
    ) -> None:
        """From now on these are asked."""
        self._unfinished, self._is_ending = unfinished, is_ending

    def of(self, mapping_id: str) -> Collection[Place] | None:
        """Those of a mapping; None: it is not known now."""
        return self._unfinished(mapping_id)

    @property
    def is_ending(self) -> bool:
        """Whether the worker drains."""
        return self._is_ending()


class TimeOrderedSink(HandlerSink):
    """Hands over changes of all shards in order of time.

    Guarantee: as HandlerSink, and no change is handed over before one with an earlier time of any shard,
               unless it is marked late (`change.is_late`).
    """

    def __init__(
        self,
        mapping: HandlerMapping,
        effects: Effects,
        needed: Dependencies,
        parts: Parts,
        shards: ReadShards,
        app: str,
    ) -> None:
        super().__init__(mapping, effects, parts.reached, needed)
        self._shards, self._state, self._clock, self._app = shards, parts.state, parts.clock, app
        self._order: TimeOrder | None = None
        self._turn = asyncio.Lock()
        self._answers: dict[OfferedBatch, Outcome] = {}
        self._news: set[asyncio.Future[None]] = set()
        self._is_late = False

    async def write(self, batch: RecordBatch) -> Outcome:
        """Wait until every change of the batch has gone."""
        if batch.window is not None or not batch.records:
            return WRITTEN
        order = await self._ordered()
        offered = order.offer((batch.stream.label, batch.shard_id), batch.records, self._clock.now())
        self._tell()
        try:
            while offered not in self._answers:
                if await self._go_on(order, batch, offered):
                    continue
                if order.is_failing and self._shards.is_ending:
                    self._answers[offered] = STOPPING
                    break
                await self._rest(order)
            return self._answers[offered]
        finally:
            order.withdraw(offered)
            self._answers.pop(offered, None)
            self._tell()

    async def _ordered(self) -> TimeOrder:
        """The order, which begins where the checkpoints of its shards stand. Raises: StoreError."""
        if self._order is None:
            begun_ms = 0
            async for row in rows(self._state, CHECKPOINT.prefix(self._app, self._mapping.id)):
                begun_ms = max(begun_ms, read_row(row.fields).created_ms)
            if self._order is None:  # another shard may have asked meanwhile
                wait_ms = self._mapping.order_wait_ms
                assert wait_ms is not None
                self._order = TimeOrder(wait_ms, begun_ms * MILLISECOND)
        return self._order

    async def _go_on(self, order: TimeOrder, batch: RecordBatch, offered: OfferedBatch) -> bool:
        """Hand over the next change if its turn has come. Returns: whether one was, or another task does."""
        if self._turn.locked():
            async with self._turn:
                return True
        async with self._turn:
            order.know(self._shards.of(self._mapping.id))
            released = order.next(self._clock.now())
            if released is None or released.batch is not offered:
                return False
            await self._hand_over(order, batch, released)
        self._tell()
        return True

    async def _hand_over(self, order: TimeOrder, batch: RecordBatch, released: ReleasedChange) -> None:
        """Call the handler for it alone. Raises: what keeps it from being called; then it comes again."""
        place, self._is_late = released.batch.next, released.is_late
        alone = RecordBatch(
            [released.record], batch.mapping_id, batch.stream, batch.shard_id, batch.attempt, batch.request
        )
        try:
            failed = well_formed(await super().write(alone), 1)
        except BaseException:
            order.failed(released, self._clock.now(), comes_again=True)
            raise
        if failed is None:
            order.gone(released, self._clock.now())
            if released.batch.is_over:
                self._answers[released.batch] = WRITTEN
            return
        match lowest(failed):
            case FailedFrom(_, failure) | (Failure() as failure):
                again = self._comes_again(batch, failure)
                order.failed(released, self._clock.now(), comes_again=again)
                self._answers[released.batch] = FailedFrom(place, failure)

    def _comes_again(self, batch: RecordBatch, failure: Failure) -> bool:
        """Whether the machine sends the failed change again: as mapping/contiguous.py decides it, which tries
        a change alone once it has failed.
        """
        settings = self._mapping.settings
        attempts = batch.attempt if len(batch.records) == 1 else 1
        is_last = failure.final or attempts > settings.maximum_retry_attempts >= 0
        return settings.on_failure == "block" or failure.kind is not FailureKind.RECORD or not is_last

    def _changes_of(self, batch: RecordBatch) -> list[Change[Any]]:
        changes = super()._changes_of(batch)
        for change in changes:
            change.is_late = self._is_late
        return changes

    # ---- waiting -------------------------------------------------------------------------------------------

    def _tell(self) -> None:
        """Something has changed: those who wait look again."""
        waiting, self._news = self._news, set()
        for news in waiting:
            if not news.done():
                news.set_result(None)

    async def _rest(self, order: TimeOrder) -> None:
        """Wait for news, or until the oldest change has waited long enough."""
        now_ms = self._clock.now().monotonic_ms
        wake_ms = order.wake_ms()
        until_ms = now_ms + LOOK_MS if wake_ms is None else max(wake_ms, now_ms + 1)
        news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._news.add(news)
        over = asyncio.ensure_future(self._clock.sleep_until(until_ms))
        try:
            await asyncio.wait((over, news), return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.cancel()
            self._news.discard(news)
