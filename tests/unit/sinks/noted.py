"""A sink that notes in order what is done to it."""

import asyncio

from tailrace.ports import Clock, Outcome, RecordBatch, Written


class Noted:
    """Accepts everything; `fails` is what its next openings raise."""

    def __init__(self, *fails: Exception) -> None:
        self.done: list[str] = []
        self.clocks: list[Clock] = []
        self.fails = list(fails)

    async def open(self, clock: Clock) -> None:
        await asyncio.sleep(0)  # so that another writer may come between
        self.done.append("open")
        self.clocks.append(clock)
        if self.fails:
            raise self.fails.pop(0)

    async def write(self, batch: RecordBatch) -> Outcome:
        self.done.append("write")
        return Written()

    async def close(self) -> None:
        self.done.append("close")
