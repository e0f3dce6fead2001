"""The machine's clock, beside the machine's own functions."""

import asyncio
import logging
import time

import pytest

from tailrace.clocks import system
from tailrace.clocks.system import SystemClock

NOON_MS = 1_800_000_000_000
YEARS_MS = 3_650 * 86_400_000


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


def test_the_system_clock_says_in_the_log_what_it_does_not_believe(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shown = {"wall": NOON_MS, "monotonic": 0}
    monkeypatch.setattr(time, "time_ns", lambda: shown["wall"] * 1_000_000)
    monkeypatch.setattr(time, "monotonic_ns", lambda: shown["monotonic"] * 1_000_000)
    monkeypatch.setattr(system, "BOOT_TIME", None)
    clock = SystemClock()
    with caplog.at_level(logging.WARNING, "tailrace.clock"):
        shown.update(wall=NOON_MS + YEARS_MS, monotonic=5_000)
        assert [clock.now().wall_ms for _ in range(3)] == [NOON_MS + 5_000] * 3
        shown.update(wall=NOON_MS + 6_000, monotonic=6_000)
        assert clock.now() == (NOON_MS + 6_000, 6_000)
    assert [record.getMessage()[:32] for record in caplog.records] == [
        "the system clock jumped ahead by",
        "the system clock is back: what i",
    ]


def test_the_sleep_of_this_machine_can_be_asked_for() -> None:
    assert system._asleep_ms(time.monotonic_ns() // 1_000_000) >= -1
