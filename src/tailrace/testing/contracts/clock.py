"""The contract of `Clock`.

Rules of this file: a clock that passes by itself is waited for, a driven one is driven; nothing else differs.
Called by tests/contracts and by users.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from tailrace.ports import Clock, Now
from tailrace.testing.contracts.rules import PATIENCE_S, holds, run_async, same

STEP_MS: Final = 10
Elapse = Callable[[Clock, int], object]


def check_clock(make: Callable[[], Clock], *, elapse: Elapse | None = None) -> None:
    """Whether a clock keeps the contract of `ports.Clock`.

    Shape:   `make` gives a clock; it is called inside a running loop. `elapse(clock, milliseconds)` drives a
             clock that does not pass by itself.
    Raises:  ContractBroken, naming the rule.
    """
    bound = [partial(rule, elapse=elapse) for rule in RULES]
    for rule, bound_rule in zip(RULES, bound, strict=True):
        bound_rule.__doc__ = rule.__doc__
    run_async(bound, make)


async def the_present_is_whole_milliseconds(clock: Clock, elapse: Elapse | None) -> None:
    """now() is two whole numbers of milliseconds, and monotonic time never goes back."""
    first = last = clock.now()
    holds(isinstance(first, Now), f"now() is {first!r}, not a Now")
    for round_number in range(1_000):
        now = clock.now()
        holds(type(now.wall_ms) is int and type(now.monotonic_ms) is int, f"{now!r} are not whole numbers")
        holds(now.monotonic_ms >= last.monotonic_ms, f"monotonic time went back from {last} to {now}")
        if elapse is not None and round_number % 100 == 0:
            elapse(clock, 1)
        last = now
    holds(first.wall_ms > 0, f"{first.wall_ms} is not a time since the epoch")


async def time_passes(clock: Clock, elapse: Elapse | None) -> None:
    """Both times move on, by as much as each other."""
    before = clock.now()
    await _until(clock, before.monotonic_ms + 5 * STEP_MS, elapse)
    after = clock.now()
    passed = after.monotonic_ms - before.monotonic_ms
    holds(passed >= 5 * STEP_MS, f"only {passed} of {5 * STEP_MS} ms passed")
    # Steps of the machine's own wall clock are not the clock's fault; they are seldom as large as this.
    holds(abs(after.wall_ms - before.wall_ms - passed) <= 1_000, f"from {before} to {after}")


async def sleeping_until_the_past_returns_at_once(clock: Clock, elapse: Elapse | None) -> None:
    """sleep_until a time that has passed, or is now, returns without time passing."""
    now = clock.now().monotonic_ms
    for target in (now, now - 1, now - 100_000, -1):
        async with asyncio.timeout(PATIENCE_S):
            await clock.sleep_until(target)


async def no_sleeper_wakes_early(clock: Clock, elapse: Elapse | None) -> None:
    """Sleepers wake in the order of their times, none before its time, each exactly once."""
    start = clock.now().monotonic_ms
    targets = [start + STEP_MS * factor for factor in (3, 1, 2, 1)]
    woken: list[tuple[int, int]] = []

    async def sleeper(target: int) -> None:
        await clock.sleep_until(target)
        woken.append((target, clock.now().monotonic_ms))

    sleepers = [asyncio.ensure_future(sleeper(target)) for target in targets]
    for moment in range(start, start + 3 * STEP_MS + 1, 2):  # small steps, so that waking early is seen
        await _until(clock, moment, elapse)
    await asyncio.wait_for(asyncio.gather(*sleepers), PATIENCE_S)
    for target, at in woken:
        holds(at >= target, f"woken at {at}, before {target}")
    same([target for target, _ in woken], sorted(targets), "the order of waking")


async def a_cancelled_sleeper_disturbs_no_other(clock: Clock, elapse: Elapse | None) -> None:
    """A sleep can be cancelled, and the other sleepers wake as if it had never been."""
    target = clock.now().monotonic_ms + STEP_MS
    cancelled = asyncio.ensure_future(clock.sleep_until(target))
    remaining = asyncio.ensure_future(clock.sleep_until(target))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.wait([cancelled], timeout=PATIENCE_S)
    holds(cancelled.cancelled(), "the sleep could not be cancelled")
    await _until(clock, target, elapse)
    await asyncio.wait([remaining], timeout=PATIENCE_S)
    holds(remaining.done() and not remaining.cancelled(), "the other sleeper did not wake")


async def _until(clock: Clock, monotonic_ms: int, elapse: Elapse | None) -> None:
    """Let the clock reach a time, and its sleepers run."""
    await asyncio.sleep(0)
    if elapse is not None:
        elapse(clock, max(0, monotonic_ms - clock.now().monotonic_ms))
    while clock.now().monotonic_ms < monotonic_ms:
        await asyncio.sleep(0.001)
    for _ in range(3):
        await asyncio.sleep(0)


RULES: Final = (
    the_present_is_whole_milliseconds,
    time_passes,
    sleeping_until_the_past_returns_at_once,
    no_sleeper_wakes_early,
    a_cancelled_sleeper_disturbs_no_other,
)
