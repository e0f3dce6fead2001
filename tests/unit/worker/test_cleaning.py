"""What only a store knows of is removed once an hour, by one worker."""

import asyncio
import logging

import pytest

from tailrace.clocks.manual import ManualClock
from tailrace.errors import StoreError
from tailrace.leases.lease import Owner
from tailrace.rows.kinds import DUTY
from tailrace.runtime.duties import Duty
from tailrace.stores.memory import MemoryStateStore
from tailrace.worker.cleaning import BETWEEN_MS, EVERY_MS, Cleaner


class Cleaned(MemoryStateStore):
    """A store that notes when it is cleaned, and by which worker."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__()
        self.looks: list[int] = []
        self._clock = clock
        self.fails = 0

    async def clean(self) -> int:
        if self.fails:
            self.fails -= 1
            raise StoreError("throttled")
        self.looks.append(self._clock.now().monotonic_ms)
        return 2 if len(self.looks) == 2 else 0


class Fleet:
    """Workers that clean one store."""

    def __init__(self, count: int) -> None:
        self.clock = ManualClock()
        self.store, self.state = Cleaned(self.clock), MemoryStateStore()
        self.cleaners = [
            Cleaner(
                {"dynamodb:state": self.store, "the table with the marks": self.state},
                Duty(DUTY.key("shop", "cleaning"), self.state, self.clock, Owner(f"worker-{number}")),
                self.clock,
            )
            for number in range(count)
        ]

    async def run(self, milliseconds: int) -> None:
        running = [asyncio.ensure_future(cleaner.run()) for cleaner in self.cleaners]
        for _ in range(milliseconds // 1_000):
            for _ in range(10):
                await asyncio.sleep(0)
            self.clock.advance(1_000)
        for task in running:
            assert not task.done()
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def test_of_three_workers_one_cleans_and_looks_twice_an_hour(caplog: pytest.LogCaptureFixture) -> None:
    fleet = Fleet(3)
    with caplog.at_level(logging.INFO, logger="tailrace.worker"):
        asyncio.run(fleet.run(EVERY_MS + 2 * BETWEEN_MS))
    assert fleet.store.looks == [EVERY_MS, EVERY_MS + BETWEEN_MS]
    assert [cleaner.removed["dynamodb:state"] for cleaner in fleet.cleaners] == [2, 0, 0]
    assert [record.getMessage() for record in caplog.records] == [
        "dynamodb:state: removed the pieces of 2 large rows that writers which were killed had left"
    ]


def test_a_store_that_fails_is_cleaned_the_next_hour() -> None:
    fleet = Fleet(1)
    fleet.store.fails = 1
    asyncio.run(fleet.run(2 * EVERY_MS + 2 * BETWEEN_MS))
    assert fleet.store.looks == [2 * EVERY_MS, 2 * EVERY_MS + BETWEEN_MS]


def test_where_nothing_can_be_cleaned_there_is_nothing_to_do() -> None:
    clock = ManualClock()
    duty = Duty(DUTY.key("shop", "cleaning"), MemoryStateStore(), clock, Owner("worker"))
    asyncio.run(Cleaner({"sqlite:state": MemoryStateStore()}, duty, clock).run())
