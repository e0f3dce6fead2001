"""Two workers on one state store: what is told is told by one of them, and by the other when that has died.

Rules of this file: each scene has a canary, workers that know nothing of each other.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any

import pytest

from tailrace.app.window import WindowPlan
from tailrace.clocks.manual import ManualClock
from tailrace.deadletters.core.notice import outbox_key, outbox_prefix
from tailrace.deadletters.run.courier import Courier, FailureDocument
from tailrace.errors import StoreError
from tailrace.leases.duty import DUTY_MS
from tailrace.leases.lease import Owner
from tailrace.mapping.settings import MappingSettings
from tailrace.ports import Action, Failure
from tailrace.rows.kinds import WINDOW_TOUCHED
from tailrace.rows.writes import Write
from tailrace.runtime.duties import Duties
from tailrace.runtime.parts import Parts
from tailrace.stores.memory import MemoryStateStore
from tailrace.windows.core.rows import WindowOwner
from tailrace.windows.run.changes import WindowChanges
from tailrace.windows.run.windowing import OTHERS_MS, Closing, Tell, WindowResult, Windows
from tests.unit.deadletters.test_courier import NOTICE, stream_of
from tests.unit.windows.test_windowing import BEGUN_MS, order, plan_of_minutes

SPAN = 200
"""Turns of the loop in which everything that can happen at one moment has happened."""
OWNER = WindowOwner("shop", "minutes")


class Cut(MemoryStateStore):
    """One worker's view of a store that it shares; `is_cut`: it stands still as its process does."""

    def __init__(self, shared: MemoryStateStore) -> None:
        super().__init__()
        self._rows, self._keys = shared._rows, shared._keys
        self.is_cut = False

    async def transact(self, writes: Sequence[Action]) -> None:
        if self.is_cut:
            raise StoreError("cut off")
        await asyncio.sleep(0)
        await super().transact(writes)

    async def get(self, key: str) -> Any:
        if self.is_cut:
            raise StoreError("cut off")
        return await super().get(key)


class Told:
    """A destination that several workers tell; `asked` are those that began. Shape: `gate` holds them up."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    def of(self, worker: str) -> "Telling":
        return Telling(self, worker)


class Telling:
    """The same as one worker has it."""

    def __init__(self, told: Told, worker: str) -> None:
        self._told, self._worker = told, worker

    async def deliver(self, failure: FailureDocument) -> None:
        self._told.asked.append(self._worker)
        await self._told.gate.wait()


async def turns(count: int = SPAN) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def pass_time(clock: ManualClock, milliseconds: int, step_ms: int = 1_000) -> None:
    for _ in range(milliseconds // step_ms):
        clock.advance(step_ms)
        await turns(20)


class Scene:
    """A store, a clock, and what runs."""

    def __init__(self, *, is_claimed: bool) -> None:
        self.shared, self.clock = MemoryStateStore(), ManualClock(BEGUN_MS + 700_000)
        self.views = [Cut(self.shared), Cut(self.shared)]
        self.told = Told()
        self.is_claimed = is_claimed
        self.running: list[asyncio.Task[None]] = []

    def parts(self, number: int) -> Parts:
        owner = Owner(f"worker-{number}")
        duties = Duties(self.views[number], self.clock, owner) if self.is_claimed else None
        return Parts(self.views[number], self.clock, duties=duties)

    def begin(self, work: Awaitable[None]) -> None:
        self.running.append(asyncio.ensure_future(work))  # type: ignore[arg-type]

    async def end(self) -> None:
        for task in self.running:
            assert not task.done(), task
            task.cancel()
        await asyncio.gather(*self.running, return_exceptions=True)


# ---- notices -----------------------------------------------------------------------------------------------


class Couriers(Scene):
    """Two couriers of one app."""

    def __init__(self, *, is_claimed: bool) -> None:
        super().__init__(is_claimed=is_claimed)
        self.couriers = [
            Courier(
                "shop",
                self.parts(number),
                {"note": self.told.of(f"worker-{number}")},
                stream_of,
                "0" * 12,
            )
            for number in range(2)
        ]
        for courier in self.couriers:
            self.begin(courier.run())

    async def give_up(self) -> None:
        await self.shared.transact([Write(outbox_key("shop", NOTICE), NOTICE.fields())])
        for courier in self.couriers:
            courier.wake()


async def both_hear_of_a_notice(*, is_claimed: bool) -> list[str]:
    scene = Couriers(is_claimed=is_claimed)
    scene.told.gate.clear()
    await turns()
    await scene.give_up()
    await turns()
    scene.told.gate.set()
    await turns()
    assert await scene.shared.count(outbox_prefix("shop")) == 0
    await scene.end()
    return scene.told.asked


def test_a_notice_is_told_by_one_of_two_workers() -> None:
    assert len(asyncio.run(both_hear_of_a_notice(is_claimed=True))) == 1


def test_two_couriers_that_know_nothing_of_each_other_tell_it_twice() -> None:
    """The canary."""
    assert len(asyncio.run(both_hear_of_a_notice(is_claimed=False))) == 2


def test_a_notice_of_a_worker_that_has_died_is_told_by_another_that_has_no_news_of_its_own() -> None:
    async def story() -> list[str]:
        scene = Couriers(is_claimed=True)
        await turns()
        scene.views[0].is_cut = True
        await scene.shared.transact([Write(outbox_key("shop", NOTICE), NOTICE.fields())])
        await pass_time(scene.clock, DUTY_MS - 2_000)
        assert scene.told.asked == [], "the worker that had it may live"
        await pass_time(scene.clock, 15_000)
        await scene.end()
        return scene.told.asked

    assert asyncio.run(story()) == ["worker-1"]


def test_a_destination_that_takes_minutes_is_asked_by_no_other_worker_meanwhile() -> None:
    async def story() -> list[str]:
        scene = Couriers(is_claimed=True)
        await turns()
        scene.told.gate.clear()
        await scene.give_up()
        await pass_time(scene.clock, 5 * DUTY_MS)
        scene.told.gate.set()
        await turns()
        assert await scene.shared.count(outbox_prefix("shop")) == 0
        await scene.end()
        return scene.told.asked

    assert asyncio.run(story()) == ["worker-0"]


def test_what_was_given_up_again_while_it_was_told_keeps_its_notice() -> None:
    async def story() -> list[str]:
        scene = Couriers(is_claimed=True)
        await turns()
        scene.told.gate.clear()
        await scene.give_up()
        await turns()
        later = {**NOTICE.fields(), "at_ms": NOTICE.at_ms + 1}
        await scene.shared.transact([Write(outbox_key("shop", NOTICE), later)])
        scene.told.gate.set()
        await pass_time(scene.clock, 15_000)
        assert await scene.shared.count(outbox_prefix("shop")) == 0
        await scene.end()
        return scene.told.asked

    assert asyncio.run(story()) == ["worker-0", "worker-0"]


# ---- windows -----------------------------------------------------------------------------------------------


async def long_over() -> int:
    return BEGUN_MS + 600_000


def never(closing: Closing, failure: Failure, attempts: int) -> Write:
    raise AssertionError("no window fails here")


class Closers(Scene):
    """Two workers that fold changes of one handler's windows, and may tell them."""

    def __init__(self, *, is_claimed: bool, plan: WindowPlan | None = None) -> None:
        super().__init__(is_claimed=is_claimed)
        self.closings: list[tuple[str, list[str], int]] = []
        self.changes: list[WindowChanges] = []
        for number in range(2):
            windows = Windows(
                OWNER,
                plan or plan_of_minutes(),
                MappingSettings("minutes"),
                self.parts(number),
                watermark=long_over,
                tell=self.tell_as(f"worker-{number}"),
                give_up=never,
            )
            self.changes.append(WindowChanges(windows, self.views[number], self.clock))

    def tell_as(self, worker: str) -> Tell:
        async def tell(closing: Closing) -> WindowResult:
            ids = [str((member.image or {})["id"]["S"]) for member in closing.members]
            self.closings.append((worker, ids, closing.revision))
            await self.told.gate.wait()
            return WindowResult()

        return tell

    def run(self) -> None:
        for changes in self.changes:
            self.begin(changes.windows.run())

    async def left(self) -> int:
        return await self.shared.count(WINDOW_TOUCHED.prefix("shop"))


async def both_have_folded(*, is_claimed: bool) -> list[tuple[str, list[str], int]]:
    scene = Closers(is_claimed=is_claimed)
    scene.told.gate.clear()
    await scene.changes[0].apply([order(1)])
    await scene.changes[1].apply([order(2)])
    scene.run()
    await turns()
    scene.told.gate.set()
    await pass_time(scene.clock, 2 * OTHERS_MS)
    assert await scene.left() == 0
    await scene.end()
    return scene.closings


def test_a_window_whose_changes_two_workers_have_folded_is_told_by_one() -> None:
    assert asyncio.run(both_have_folded(is_claimed=True)) == [("worker-0", ["o1", "o2"], 1)]


def test_two_that_know_nothing_of_each_other_tell_a_window_twice() -> None:
    """The canary."""
    assert len(asyncio.run(both_have_folded(is_claimed=False))) == 2


def test_a_change_that_the_other_worker_folds_later_is_a_revision_of_the_one_that_tells() -> None:
    async def story() -> list[tuple[str, list[str], int]]:
        scene = Closers(is_claimed=True)
        await scene.changes[0].apply([order(1)])
        scene.run()
        await turns()
        await scene.changes[1].apply([order(2)])
        await pass_time(scene.clock, 2 * OTHERS_MS)
        assert await scene.left() == 0
        await scene.end()
        return scene.closings

    assert asyncio.run(story()) == [("worker-0", ["o1"], 1), ("worker-0", ["o1", "o2"], 2)]


def test_a_worker_that_stood_still_while_it_told_notes_nothing_and_another_tells_the_same_revision() -> None:
    async def story() -> list[tuple[str, list[str], int]]:
        scene = Closers(is_claimed=True)
        scene.told.gate.clear()
        await scene.changes[0].apply([order(1)])
        scene.run()
        await turns()
        assert len(scene.closings) == 1
        scene.views[0].is_cut = True
        await pass_time(scene.clock, DUTY_MS + 2 * OTHERS_MS)
        assert [worker for worker, _, _ in scene.closings] == ["worker-0", "worker-1"]
        scene.views[0].is_cut = False
        scene.told.gate.set()
        await pass_time(scene.clock, 2 * OTHERS_MS)
        assert await scene.left() == 0
        await scene.changes[0].apply([order(2)])
        await pass_time(scene.clock, 2 * OTHERS_MS)
        await scene.end()
        return scene.closings

    assert asyncio.run(story()) == [
        ("worker-0", ["o1"], 1),
        ("worker-1", ["o1"], 1),
        ("worker-1", ["o1", "o2"], 2),
    ]


def test_a_handler_that_takes_minutes_is_called_by_no_other_worker_meanwhile() -> None:
    async def story() -> list[tuple[str, list[str], int]]:
        scene = Closers(is_claimed=True)
        scene.told.gate.clear()
        await scene.changes[0].apply([order(1)])
        scene.run()
        await pass_time(scene.clock, 5 * DUTY_MS)
        scene.told.gate.set()
        await pass_time(scene.clock, 2 * OTHERS_MS)
        await scene.end()
        return scene.closings

    assert asyncio.run(story()) == [("worker-0", ["o1"], 1)]


def test_a_window_is_put_back_by_the_worker_that_tells_windows() -> None:
    async def story() -> None:
        scene = Closers(is_claimed=True)
        await scene.changes[0].apply([order(1)])
        scene.run()
        await pass_time(scene.clock, 2 * OTHERS_MS)
        first, second = (changes.windows for changes in scene.changes)
        assert (first.is_telling, second.is_telling) == (True, False)
        span = (await first._contents.spans(BEGUN_MS, "null"))[0]
        refused = await second.tell_again("null", span, 1)
        assert refused is not None
        assert "another worker" in refused.error
        await scene.end()

    asyncio.run(story())


@pytest.mark.parametrize("is_claimed", [True, False])
def test_what_one_worker_alone_does_is_the_same_with_and_without_a_duty(is_claimed: bool) -> None:
    async def story() -> list[tuple[str, list[str], int]]:
        scene = Closers(is_claimed=is_claimed)
        await scene.changes[0].apply([order(1)])
        scene.begin(scene.changes[0].windows.run())
        await turns()
        await scene.changes[0].apply([order(2)])
        await turns()
        await scene.end()
        return scene.closings

    assert [ids for _, ids, _ in asyncio.run(story())] == [["o1"], ["o1", "o2"]]
