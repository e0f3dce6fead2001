"""The rounds of a worker at which changes are saved from the trim: when it looks, how patiently, and what
people are told.

Stands alone because what is saved is decided by steps (evacuation.py), which nothing here touches. Rules of
this file: no decision about changes; what fails is told and tried again at the next round. Made and run by
worker/worker.py.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, TypeAlias

from tailrace.errors import PortError
from tailrace.ports import Clock, ReadDone, Source, StateStore
from tailrace.runtime.driver import Performer
from tailrace.runtime.evacuation import Evacuator, Unfinished
from tailrace.runtime.steps import Peek

LOG: Final = logging.getLogger("tailrace.handlers")
ROUND_MS: Final = 900_000
"""How often it looks: a quarter of an hour, of two hours that there are."""
AT_ONCE: Final = 8
"""How many shards are looked at beside each other, so that those which have nothing do not keep the others
waiting.
"""

Waiting: TypeAlias = tuple[Unfinished, Source, int]
"""A shard that a mapping is not done with and that is this worker's to save, where it is read, and in which
part of the time before the trim (`lead_share`).
"""


class Rounds:
    """What one worker saves for the mappings of an app. Shape: `evacuator` is what it knows;
    `holds_trim`: streams keep what an archive has not.
    """

    def __init__(
        self, app: str, state: StateStore, clock: Clock, retention_ms: int, holds_trim: bool = False
    ) -> None:
        self.evacuator = Evacuator(app, retention_ms, begins=_begins)
        self.holds_trim = holds_trim
        self._state = state
        self._clock = clock
        self.failed_ms: int | None = None
        """When a shard could not be saved last, monotonic."""

    async def load(self) -> None:
        """Learn what is saved by now, whichever worker saved it. Raises: StoreError."""
        await Performer(self._state, self._clock).perform(self.evacuator.load())

    async def run(self, waiting: Callable[[], Awaitable[Sequence[Waiting]]]) -> None:
        """Look now and then, until cancelled."""
        while True:
            at_once = asyncio.Semaphore(AT_ONCE)
            with suppress(PortError):  # the store is failing: the next round tries again
                await self.load()
            async with asyncio.TaskGroup() as tasks:
                for shard in await waiting():
                    tasks.create_task(self._try(*shard, at_once))
            await self._clock.sleep_until(self._clock.now().monotonic_ms + ROUND_MS)

    async def _try(
        self, unfinished: Unfinished, source: Source, share: int, at_once: asyncio.Semaphore
    ) -> None:
        async with at_once:
            try:
                await self.save(unfinished, source, share)
            except PortError as error:
                self.failed_ms = self._clock.now().monotonic_ms
                LOG.warning(
                    "%s: changes could not be saved from the trim: %s", unfinished.place.mapping_id, error
                )

    async def save(self, unfinished: Unfinished, source: Source, share: int = 1) -> int:
        """Save what is due of one shard. Returns: how many changes were copied. Raises: PortError."""

        async def peek(call: Peek) -> ReadDone | None:
            now_ms = self._clock.now().monotonic_ms
            reading = asyncio.ensure_future(source.read(call.shard, call.after, call.limit))
            waiting = asyncio.ensure_future(self._clock.sleep_until(now_ms + call.patience_ms))
            try:
                await asyncio.wait({reading, waiting}, return_when=asyncio.FIRST_COMPLETED)
                return reading.result() if reading.done() else None
            finally:
                reading.cancel()
                waiting.cancel()

        saving = self.evacuator.save(unfinished, share)
        return await Performer(self._state, self._clock, peek=peek).perform(saving)


def _begins(unfinished: Unfinished) -> None:
    place = unfinished.place
    LOG.warning(
        "%s has not handled changes of %s that the stream is about to forget: they are kept until it goes on",
        place.mapping_id,
        place.table,
        extra={"handler": place.mapping_id, "shard": place.shard_id, "hint": "tailrace status"},
    )
