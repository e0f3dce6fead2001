"""Pools of threads: bounded, each for itself, and no pool waits for one that hangs."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, wait
from pathlib import Path

import pytest

from tailrace.runtime.dependencies import Dependencies
from tailrace.runtime.threads import CURRENT, Threads, in_thread

LONG_S = 300


@pytest.fixture
def pool() -> Iterator[Threads]:
    made = Threads("mail", 3)
    yield made
    made.shutdown()


def until(reached: threading.Event) -> bool:
    return reached.wait(LONG_S)


def test_a_pool_has_as_many_threads_as_are_needed_and_no_more_than_it_may(pool: Threads) -> None:
    seen: set[str] = set()

    def name() -> None:
        seen.add(threading.current_thread().name)

    for _ in range(5):
        pool.submit(name).result(LONG_S)
        while pool.busy:  # the thread idles a moment after its answer
            pass
    assert seen == {"tailrace mail 1"}
    release = threading.Event()
    held: list[Future[bool]] = [pool.submit(until, release) for _ in range(5)]
    while pool.busy < 3:
        pass
    assert (pool.busy, pool.most, pool.waiting) == (3, 3, 2)
    release.set()
    assert all(future.result(LONG_S) for future in held)


def test_one_that_hangs_costs_its_own_pool_and_nobody_else(pool: Threads) -> None:
    release, other = threading.Event(), Threads("good", 1)
    hung = [pool.submit(until, release) for _ in range(10)]
    assert [other.submit(str, number).result(LONG_S) for number in range(200)] == [str(n) for n in range(200)]
    release.set()
    wait(hung, LONG_S)
    other.shutdown()


def test_what_is_cancelled_while_it_waits_is_never_called(pool: Threads) -> None:
    release = threading.Event()
    hung = [pool.submit(until, release) for _ in range(3)]
    waiting = pool.submit(str, 1)
    assert waiting.cancel()
    release.set()
    wait(hung, LONG_S)
    assert pool.submit(str, 2).result(LONG_S) == "2"


@pytest.mark.parametrize(
    ("raised", "told"), [(KeyboardInterrupt, KeyboardInterrupt), (StopIteration, RuntimeError)]
)
def test_whatever_is_raised_is_told_and_the_thread_goes_on(
    pool: Threads, raised: type[BaseException], told: type[BaseException]
) -> None:
    def fails() -> None:
        raise raised

    assert isinstance(pool.submit(fails).exception(LONG_S), told)
    assert pool.submit(str, 1).result(LONG_S) == "1"


def test_a_pool_that_is_closed_takes_nothing_and_its_threads_end() -> None:
    pool = Threads("closed", 1)
    assert pool.submit(str, 1).result(LONG_S) == "1"
    (thread,) = [running for running in threading.enumerate() if running.name == "tailrace closed 1"]
    pool.shutdown()
    thread.join(LONG_S)
    assert not thread.is_alive()
    with pytest.raises(RuntimeError, match="the threads closed have ended"):
        pool.submit(str, 2)


def test_what_blocks_runs_in_the_threads_of_whom_it_is_done_for(pool: Threads) -> None:
    async def asked() -> tuple[str, str, str]:
        def name() -> str:
            return threading.current_thread().name

        with pool.used():
            task = asyncio.ensure_future(in_thread(name))
            mine = await in_thread(name)
        return mine, await task, await in_thread(name)

    mine, begun, shared = asyncio.run(asked())
    assert mine.startswith("tailrace mail")
    assert begun.startswith("tailrace mail")
    assert shared.startswith("tailrace shared")
    assert CURRENT.get() is None


def test_a_provider_that_hangs_holds_up_nobody_who_does_not_need_it() -> None:
    from tailrace.app.depends import Depends

    async def hangs() -> None:
        await asyncio.Event().wait()

    def fast() -> str:
        return "value"

    async def resolved() -> dict[str, object]:
        needed = Dependencies()
        hung = asyncio.ensure_future(needed.resolve({"a": Depends(hangs)}))
        await asyncio.sleep(0)
        async with asyncio.timeout(LONG_S):
            resolved = await needed.resolve({"b": Depends(fast)})
        hung.cancel()
        return resolved

    assert asyncio.run(resolved()) == {"b": "value"}


def test_a_process_ends_although_a_thread_hangs() -> None:
    script = (
        "import threading; from tailrace.runtime.threads import Threads; begun = threading.Event()\n"
        "def hang(): begun.set(); threading.Event().wait()\n"
        "Threads('mail').submit(hang); begun.wait(); print('over')"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=LONG_S,
        check=True,
    )
    assert ran.stdout == "over\n"
