"""Watching as one of several workers: who tells, what a sink that fails or hangs does, what is never lost."""

import asyncio
import logging
from collections.abc import Iterator, Sequence

import orjson
import pytest

from tailrace.alerts.core.signs import AlertBounds, HandlerSigns
from tailrace.alerts.run.watch import LOOKS_TO_END, TRY_MS, AlertWatch
from tailrace.app.alerting import AlertPlan
from tailrace.app.sinking import AlwaysOpen
from tailrace.clocks.manual import ManualClock
from tailrace.errors import StoreError, Unavailable
from tailrace.rows.kinds import ALERT
from tailrace.stores.memory import MemoryStateStore
from tailrace.testing.loop import SeededLoop

LOOK_MS = 1_000
END_MS = LOOKS_TO_END * LOOK_MS
LATE = HandlerSigns("mail", "orders", lag_ms=900_001)
WELL = HandlerSigns("mail", "orders")


class Pager(AlwaysOpen):
    """A sink that keeps what it is told, fails so often, or hangs."""

    def __init__(self, fails: int = 0, hangs: ManualClock | None = None) -> None:
        self.told: list[tuple[str, str]] = []
        self.ids: list[str] = []
        self.tries = 0
        self.fails = fails
        self.hangs = hangs

    async def tell(self, id: str, subject: str, body: bytes) -> None:
        self.tries += 1
        if self.hangs is not None:
            await self.hangs.sleep_until(1 << 50)
        if self.fails:
            self.fails -= 1
            raise Unavailable("the pager is away")
        document = orjson.loads(body)
        self.ids.append(id)
        self.told.append((document["alert"], document["state"]))


class Failing(MemoryStateStore):
    """A state that fails when told."""

    is_away = False

    async def transact(self, writes: object) -> None:  # type: ignore[override]
        if self.is_away:
            raise StoreError("away")
        await super().transact(writes)  # type: ignore[arg-type]


class Stage:
    """Workers that watch one app under a clock that the test drives."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.loop = SeededLoop(1, self.clock)
        self.state = Failing()
        self.signs: dict[str, Sequence[HandlerSigns]] = {}
        self.workers: dict[str, asyncio.Task[None]] = {}

    def watch(self, name: str, *sinks: Pager, signs: Sequence[HandlerSigns] = (WELL,)) -> None:
        self.signs[name] = signs

        async def look() -> Sequence[HandlerSigns]:
            return self.signs[name]

        watch = AlertWatch(
            "shop", self.state, self.clock, name, AlertPlan(sinks, AlertBounds()), look, LOOK_MS
        )
        self.workers[name] = self.loop.create_task(watch.run())

    def kill(self, name: str) -> None:
        self.workers[name].cancel()
        self.loop.run_until_complete(self.loop.idle())

    def pass_by(self, milliseconds: int) -> None:
        until_ms = self.clock.now().monotonic_ms + milliseconds
        self.loop.run_until_complete(self.loop.idle())
        while (next_ms := self.loop.next_event_ms) is not None and next_ms <= until_ms:
            self.clock.advance(max(0, next_ms - self.clock.now().monotonic_ms))
            self.loop.run_until_complete(self.loop.idle())
        self.clock.advance(max(0, until_ms - self.clock.now().monotonic_ms))
        self.loop.run_until_complete(self.loop.idle())

    def close(self) -> None:
        for name in self.workers:
            self.kill(name)
        self.loop.close()

    @property
    def rows(self) -> int:
        return self.loop.run_until_complete(self.state.count(ALERT.prefix("shop")))


@pytest.fixture
def stage() -> Iterator[Stage]:
    begun = Stage()
    yield begun
    begun.close()


def test_of_three_workers_that_see_it_one_tells_once_when_it_begins_and_once_when_it_ends(
    stage: Stage,
) -> None:
    pager = Pager()
    for name in ("w1", "w2", "w3"):
        stage.watch(name, pager, signs=(LATE,))
    stage.pass_by(20_000)
    assert pager.told == [("late", "began")]
    stage.signs = dict.fromkeys(stage.signs, (WELL,))
    stage.pass_by(20_000)
    assert pager.told == [("late", "began"), ("late", "ended")]
    assert stage.rows == 0


def test_it_goes_on_while_one_worker_of_three_sees_it(stage: Stage) -> None:
    pager = Pager()
    stage.watch("w1", pager, signs=(LATE,))
    stage.watch("w2", pager)
    stage.watch("w3", pager)
    stage.pass_by(60_000)
    assert pager.told == [("late", "began")]
    stage.kill("w1")
    stage.pass_by(END_MS + 2 * LOOK_MS)
    assert pager.told == [("late", "began"), ("late", "ended")]


def test_a_sink_that_is_away_is_told_in_the_log_once_and_tried_again(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tailrace.alerts")
    away, well = Pager(fails=4), Pager()
    stage.watch("w1", away, well, signs=(LATE,))
    stage.pass_by(3_000)
    assert (away.told, well.told) == ([], [("late", "began")])
    stage.pass_by(60_000)
    assert (away.told, well.told) == ([("late", "began")], [("late", "began")])
    said = [record.getMessage() for record in caplog.records]
    assert said == [
        "mail is late: its oldest change waits for 15m",
        "Pager takes no alerts: the pager is away; it is tried again",
        "Pager takes alerts again",
    ]


def test_a_sink_that_hangs_is_cut_off_and_holds_up_neither_looks_nor_others(stage: Stage) -> None:
    hanging, well = Pager(hangs=stage.clock), Pager()
    stage.watch("w1", hanging, well, signs=(LATE,))
    stage.pass_by(TRY_MS - 1)
    assert (hanging.tries, well.told) == (1, [("late", "began")])
    stage.signs["w1"] = (WELL,)
    stage.pass_by(10_000)
    assert well.told == [("late", "began"), ("late", "ended")]
    hanging.hangs = None
    stage.pass_by(60_000)
    assert hanging.told == [("late", "began"), ("late", "ended")]  # late, and in order


def test_what_a_killed_worker_had_to_tell_another_one_tells(stage: Stage) -> None:
    pager = Pager(fails=1 << 30)
    stage.watch("w1", pager, signs=(LATE,))
    stage.pass_by(5_000)
    stage.kill("w1")
    other = Pager()
    stage.watch("w2", other, signs=(LATE,))
    stage.pass_by(100_000)
    assert other.told == []  # the first one may still live
    stage.pass_by(60_000)
    assert other.told == [("late", "began")]


def test_a_notice_that_the_row_cannot_say_was_taken_is_not_told_again(stage: Stage) -> None:
    pager = Pager()

    class Cutting(Pager):
        async def tell(self, id: str, subject: str, body: bytes) -> None:
            await super().tell(id, subject, body)
            stage.state.is_away = True

    pager = Cutting()
    stage.watch("w1", pager, signs=(LATE,))
    stage.pass_by(10_000)
    assert pager.told == [("late", "began")]
    stage.state.is_away = False
    stage.pass_by(10_000)
    assert pager.told == [("late", "began")]
    stage.state.is_away = False


def test_a_state_that_is_away_ends_nothing(stage: Stage) -> None:
    pager = Pager()
    stage.state.is_away = True
    stage.watch("w1", pager, signs=(LATE,))
    stage.pass_by(10_000)
    assert pager.told == []
    stage.state.is_away = False
    stage.pass_by(2_000)
    assert pager.told == [("late", "began")]


def test_dead_letters_that_grow_are_told_with_each_growth_of_a_new_time(stage: Stage) -> None:
    pager = Pager()
    stage.watch("w1", pager, signs=(HandlerSigns("mail", "orders", dead_letters=2),))
    stage.pass_by(5_000)
    assert pager.told == [("dead letters", "began")]
    stage.pass_by(16 * 60_000)
    assert pager.told == [("dead letters", "began"), ("dead letters", "ended")]
    stage.pass_by(3_600_000)
    assert len(pager.told) == 2  # they are still there, and no more came
    stage.signs["w1"] = (HandlerSigns("mail", "orders", dead_letters=3),)
    stage.pass_by(5_000)
    assert pager.told[2:] == [("dead letters", "began")]


def test_an_alert_that_lasts_is_told_every_hour(stage: Stage) -> None:
    pager = Pager()
    stage.watch("w1", pager, signs=(LATE,))
    stage.pass_by(2 * 3_600_000 + 5_000)
    assert pager.told == [("late", "began"), ("late", "goes on"), ("late", "goes on")]
    assert len(set(pager.ids)) == 3
