"""Both clocks keep the contract of Clock, and the check catches one that does not.

Rules of this file: one canary a rule.
"""

import asyncio
from collections.abc import Callable

import pytest

from tailrace.clocks.manual import ManualClock
from tailrace.clocks.system import SystemClock
from tailrace.ports import Clock, Now
from tailrace.testing import check_clock
from tailrace.testing.contracts import clock
from tests.contracts.breaking import breaks


def advance(driven: Clock, milliseconds: int) -> None:
    assert isinstance(driven, ManualClock)
    driven.advance(milliseconds)


def test_the_systems_clock_keeps_the_contract() -> None:
    check_clock(SystemClock)


def test_the_manual_clock_keeps_the_contract() -> None:
    check_clock(ManualClock, elapse=advance)


# ---- canaries ----------------------------------------------------------------------------------------------


class TellsSeconds(ManualClock):
    def now(self) -> Now:
        present = super().now()
        return Now(present.wall_ms, present.monotonic_ms / 1)  # type: ignore[arg-type]


class GoesBack(ManualClock):
    calls = 0

    def now(self) -> Now:
        present = super().now()
        self.calls += 1
        return Now(present.wall_ms, present.monotonic_ms - self.calls % 2)


class WallRunsAway(ManualClock):
    def now(self) -> Now:
        present = super().now()
        return Now(present.wall_ms + present.monotonic_ms * 1_000, present.monotonic_ms)


class SleepsInThePast(ManualClock):
    async def sleep_until(self, monotonic_ms: int) -> None:
        await super().sleep_until(max(monotonic_ms, self._monotonic_ms + 1))


class WakesEarly(ManualClock):
    async def sleep_until(self, monotonic_ms: int) -> None:
        await super().sleep_until(monotonic_ms - 5)


class WakesNobodyAfterACancel(ManualClock):
    async def sleep_until(self, monotonic_ms: int) -> None:
        try:
            await super().sleep_until(monotonic_ms)
        except asyncio.CancelledError:
            for _, _, sleeper in self._sleepers:
                sleeper.cancel()
            raise


CANARIES: list[tuple[Callable[[], Clock], Callable[..., object]]] = [
    (TellsSeconds, clock.the_present_is_whole_milliseconds),
    (GoesBack, clock.the_present_is_whole_milliseconds),
    (WallRunsAway, clock.time_passes),
    (SleepsInThePast, clock.sleeping_until_the_past_returns_at_once),
    (WakesEarly, clock.no_sleeper_wakes_early),
    (WakesNobodyAfterACancel, clock.a_cancelled_sleeper_disturbs_no_other),
]


@pytest.mark.parametrize(("make", "rule"), CANARIES)
def test_a_broken_clock_is_caught(
    make: Callable[[], Clock], rule: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "PATIENCE_S", 0.05)  # a canary that hangs need not hang long
    breaks(rule, lambda: check_clock(make, elapse=advance))


def test_every_rule_has_a_canary() -> None:
    assert {rule for _, rule in CANARIES} == set(clock.RULES)
