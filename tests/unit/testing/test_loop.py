"""The seeded loop: its order, its time, and what it refuses."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tailrace.clocks.manual import ManualClock
from tailrace.errors import InternalError, SettingsError
from tailrace.testing.loop import REFUSED, SeededLoop


def order(seed: int, tasks: int = 8) -> list[int]:
    """In which order tasks that are all ready run."""
    seen: list[int] = []

    async def note(number: int) -> None:
        await asyncio.sleep(0)
        seen.append(number)

    async def main() -> None:
        await asyncio.gather(*(note(number) for number in range(tasks)))

    run(main, seed)
    return seen


def run(main: Callable[[], Awaitable[Any]], seed: int = 0, clock: ManualClock | None = None) -> Any:
    """Run on a fresh loop."""
    loop = SeededLoop(seed, clock)
    try:
        return loop.run_until_complete(main())
    finally:
        loop.close()


def test_the_same_seed_gives_the_same_order() -> None:
    assert order(7) == order(7)


def test_some_seed_gives_every_order_of_two_tasks() -> None:
    assert {tuple(order(seed, 2)) for seed in range(20)} == {(0, 1), (1, 0)}


def test_nothing_is_lost_by_shuffling() -> None:
    assert all(sorted(order(seed)) == list(range(8)) for seed in range(30))


def test_time_jumps_to_the_next_timer_and_no_further() -> None:
    clock = ManualClock(0)

    async def main() -> list[str]:
        seen: list[str] = []

        async def after(seconds: float, name: str) -> None:
            await asyncio.sleep(seconds)
            seen.append(f"{name} at {clock.now().monotonic_ms}")

        await asyncio.gather(after(3_600, "late"), after(0.25, "early"))
        return seen

    assert run(main, clock=clock) == ["early at 250", "late at 3600000"]


def test_sleepers_of_the_clock_and_timers_of_the_loop_share_one_time() -> None:
    clock = ManualClock(0)

    async def main() -> list[int]:
        times: list[int] = []

        async def sleeper() -> None:
            await clock.sleep_until(2_000)
            times.append(clock.now().monotonic_ms)

        async def timer() -> None:
            await asyncio.sleep(1)
            times.append(clock.now().monotonic_ms)

        await asyncio.gather(sleeper(), timer())
        return times

    assert run(main, clock=clock) == [1_000, 2_000]


def test_a_time_out_fires_in_virtual_time() -> None:
    async def main() -> None:
        async with asyncio.timeout(600):
            await asyncio.sleep(3_600)

    with pytest.raises(TimeoutError):
        run(main)


def test_who_waits_for_what_never_comes_is_told_so() -> None:
    loop = SeededLoop()
    forever = loop.create_future()
    waiting = loop.create_task(_wait(forever), name="the one that waits")
    with pytest.raises(InternalError, match="the one that waits"):
        loop.run_until_complete(waiting)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(waiting)
    loop.close()


async def _wait(future: "asyncio.Future[None]") -> None:
    await future


def test_idle_returns_when_only_time_could_bring_more() -> None:
    clock = ManualClock(0)
    loop = SeededLoop(3, clock)
    seen: list[int] = []

    async def background() -> None:
        for number in range(5):
            await asyncio.sleep(0)
            seen.append(number)
        await clock.sleep_until(10)
        seen.append(10)

    task = loop.create_task(background())
    loop.run_until_complete(loop.idle())
    assert (seen, clock.now().monotonic_ms, loop.next_event_ms) == ([0, 1, 2, 3, 4], 0, 10)
    loop.run_until_complete(task)
    assert seen[-1] == 10
    loop.close()


def test_what_runs_in_circles_is_told_so() -> None:
    loop = SeededLoop(most_turns=100)

    async def circle() -> None:
        while True:
            await asyncio.sleep(0)

    task = loop.create_task(circle())
    with pytest.raises(InternalError, match="100 turns"):
        loop.run_until_complete(loop.idle())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    loop.close()


def test_functions_for_threads_run_here() -> None:
    import threading

    async def main() -> tuple[int, int]:
        return await asyncio.to_thread(threading.get_ident), threading.get_ident()

    there, here = run(main)
    assert there == here


def test_a_function_for_a_thread_may_raise() -> None:
    async def main() -> None:
        await asyncio.to_thread(int, "x")

    with pytest.raises(ValueError, match="invalid literal"):
        run(main)


@pytest.mark.parametrize("name", REFUSED)
def test_what_reaches_the_world_is_refused(name: str) -> None:
    loop = SeededLoop()
    with pytest.raises(SettingsError, match=name):
        getattr(loop, name)()
    loop.close()


def test_a_connection_is_refused_before_a_socket_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", None)  # making one would raise TypeError

    async def main() -> None:
        await asyncio.open_connection("localhost", 80)

    with pytest.raises(SettingsError, match="no sockets"):
        run(main)


@pytest.mark.parametrize("start_ms", [0, 10**11])
def test_time_never_passes_over_a_timer_that_rounding_puts_a_little_later(start_ms: int) -> None:
    loop = SeededLoop()
    loop.clock.advance(start_ms)
    woken: list[int] = []

    async def sleep_often() -> None:
        for _ in range(50):
            await asyncio.sleep(0.1)
            woken.append(loop.clock.now().monotonic_ms - start_ms)

    async def main() -> None:
        task = loop.create_task(sleep_often())
        loop.call_later(600, lambda: None)  # what time must not jump to
        while not task.done():
            await loop.idle()
            if (next_ms := loop.next_event_ms) is not None:
                loop.clock.advance(max(0, next_ms - loop.clock.now().monotonic_ms))

    loop.run_until_complete(main())
    loop.close()
    assert woken == [100 * number for number in range(1, 51)]


def test_a_task_that_nobody_awaits_does_not_fail_silently() -> None:
    import gc

    loop = SeededLoop()

    async def fail() -> None:
        raise ValueError("unseen")

    async def main() -> None:
        asyncio.get_running_loop().create_task(fail())
        await asyncio.sleep(0.001)

    loop.run_until_complete(main())
    gc.collect()
    assert [str(error) for error in loop.errors] == ["unseen"]
    loop.close()
