"""The clock that a test drives."""

import asyncio
import threading

import pytest

from tailrace.clocks.manual import ManualClock
from tailrace.errors import SettingsError
from tailrace.ports import Now
from tests.patience import PATIENCE_S

START_MS = 1_357_000_000_000


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_time_stands_still_until_somebody_moves_it() -> None:
    clock = ManualClock(START_MS)
    assert clock.now() == clock.now() == Now(START_MS, 0)
    clock.advance(90_000_000)
    assert clock.now() == Now(START_MS + 90_000_000, 90_000_000)


def test_time_does_not_advance_backwards() -> None:
    with pytest.raises(SettingsError, match="-1"):
        ManualClock().advance(-1)


def test_setting_the_clock_forward_lets_time_pass() -> None:
    clock = ManualClock(START_MS)
    clock.set(START_MS + 5_000)
    assert clock.now() == Now(START_MS + 5_000, 5_000)


def test_setting_the_clock_back_moves_the_wall_clock_only() -> None:
    clock = ManualClock(START_MS)
    clock.advance(5_000)
    clock.set(START_MS - 1)
    assert clock.now() == Now(START_MS - 1, 5_000)


def test_sleepers_wake_in_the_order_of_their_times_and_of_their_coming() -> None:
    woken: list[str] = []

    async def sleeper(name: str, at_ms: int) -> None:
        await clock.sleep_until(at_ms)
        woken.append(name)

    async def main() -> None:
        sleepers = [
            asyncio.ensure_future(sleeper(name, at_ms))
            for name, at_ms in (("late", 30), ("b", 20), ("a", 10), ("b too", 20), ("never", 9_999))
        ]
        await turns()
        assert clock.next_wake_ms == 10
        clock.advance(9)
        await turns()
        assert woken == []
        clock.advance(100)
        await turns()
        assert clock.next_wake_ms == 9_999
        sleepers[-1].cancel()
        await asyncio.wait(sleepers)
        assert clock.next_wake_ms is None

    clock = ManualClock(START_MS)
    asyncio.run(main())
    assert woken == ["a", "b", "b too", "late"]


def test_a_sleeper_that_sleeps_again_waits_for_the_next_move() -> None:
    clock = ManualClock()
    woken: list[int] = []

    async def ticking() -> None:
        for at_ms in (10, 20, 30):
            await clock.sleep_until(at_ms)
            woken.append(clock.now().monotonic_ms)

    async def main() -> None:
        task = asyncio.ensure_future(ticking())
        for _ in range(3):
            await turns()
            clock.advance(10)
        await task

    asyncio.run(main())
    assert woken == [10, 20, 30]


def test_a_clock_outlives_the_loop_of_its_sleepers() -> None:
    clock = ManualClock()
    loop = asyncio.new_event_loop()
    sleeper = loop.create_task(clock.sleep_until(10))
    loop.run_until_complete(asyncio.sleep(0))
    sleeper.add_done_callback(lambda _: None)
    loop.close()
    clock.advance(10)  # no task sleeps, and that is no error
    sleeper._log_destroy_pending = False  # type: ignore[attr-defined]  # the loop is gone on purpose
    assert clock.next_wake_ms is None

    async def again() -> None:
        later = asyncio.ensure_future(clock.sleep_until(20))
        await turns()
        clock.advance(10)
        await asyncio.wait_for(later, PATIENCE_S)

    asyncio.run(again())


def test_another_thread_may_move_the_clock() -> None:
    clock = ManualClock()

    async def main() -> None:
        sleeper = asyncio.ensure_future(clock.sleep_until(10))
        await turns()
        threading.Thread(target=clock.advance, args=(10,)).start()
        await asyncio.wait_for(sleeper, PATIENCE_S)

    # In debug mode a loop refuses the calls of another thread that might not wake it.
    asyncio.run(main(), debug=True)
