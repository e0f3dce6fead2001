"""The machine's clock, beside the machine's own functions."""

import asyncio
import time

import pytest

from tailrace.clocks.system import SystemClock


def test_the_present_is_the_machines() -> None:
    before = (time.time_ns() // 1_000_000, time.monotonic_ns() // 1_000_000)
    now = SystemClock().now()
    after = (time.time_ns() // 1_000_000, time.monotonic_ns() // 1_000_000)
    assert before[1] <= now.monotonic_ms <= after[1]
    assert before[0] - 1_000 <= now.wall_ms <= after[0] + 1_000


def test_a_sleep_that_the_loop_ends_early_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SystemClock()
    real_sleep = asyncio.sleep
    asked: list[float] = []

    async def half(seconds: float) -> None:
        asked.append(seconds)
        await real_sleep(seconds / 2)

    monkeypatch.setattr(asyncio, "sleep", half)
    target = clock.now().monotonic_ms + 20
    asyncio.run(clock.sleep_until(target))
    assert clock.now().monotonic_ms >= target
    assert len(asked) > 1
