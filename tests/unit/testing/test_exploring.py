"""Exploring orders: a planted race is found and told in ten lines, its repaired twin passes, a replay
is the same everywhere.
"""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tailrace import App, Change
from tailrace.errors import SettingsError
from tailrace.testing import World
from tailrace.testing.exploring import BrokenOrder
from tailrace.testing.schedules import HeldStep, Schedule, read_schedule, shrunk
from tests.unit.testing import racing


def broken(world: World, **options: Any) -> BrokenOrder:
    """What exploring the planted race finds."""
    with pytest.raises(BrokenOrder) as raised:
        world.explore(racing.paying(world), check=racing.check, **options)
    return raised.value


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("shards", [1, 4])
def test_a_planted_race_is_found_and_told_in_at_most_ten_lines(seed: int, shards: int) -> None:
    with World(racing.app, seed=seed, shards=shards) as world:
        failure = broken(world)
        assert len(failure.schedule) <= 10
        assert "AssertionError: the balance is 1" in str(failure)
        assert "\n  at racing.py:" in str(failure)
        assert "move ← a" in str(failure)
        assert failure.schedule[-1] == f'replay: world.explore(…, replay="{failure.replay}")'


def test_the_line_where_a_step_was_held_is_shown() -> None:
    with World(racing.app, seed=1, shards=4) as world:
        failure = broken(world)
    held = [line for line in failure.schedule if "held" in line]
    assert len(held) == len(read_schedule(failure.replay).holds) == 1
    assert "racing.py" in held[0]


@pytest.mark.parametrize("schedules", [200, pytest.param(2_000, marks=pytest.mark.slow)])
def test_the_repaired_twin_passes_every_schedule(schedules: int) -> None:
    with World(racing.app, seed=1) as world:
        explored = world.explore(racing.paying(world, locked=True), check=racing.check, schedules=schedules)
        assert explored.schedules == schedules
        assert explored.orders > 2
        assert explored.per_second > 20
        assert world.events()[-1].endswith(str(explored))
        assert sorted(world.delivered(racing.move)) == ["a", "b"]


def test_a_replay_breaks_it_the_same_way_without_searching() -> None:
    with World(racing.app, seed=1, shards=4) as world:
        failure = broken(world)
    with World(racing.app, seed=2, shards=4) as world:
        again = broken(world, replay=failure.replay)
    assert (again.schedule, again.order) == (failure.schedule, failure.order)
    assert str(again).startswith("the replayed schedule breaks it: AssertionError: the balance is 1")


def test_a_replay_is_the_same_in_every_process() -> None:
    def played(hash_seed: int, *arguments: str) -> list[str]:
        ran = subprocess.run(
            [sys.executable, "-W", "error", racing.__file__, *arguments],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
            cwd=Path(racing.__file__).parent,
        )
        return ran.stdout.splitlines()

    first = played(1)
    assert first == played(2)
    assert played(3, first[-1]) == first


def test_a_replay_of_what_was_repaired_passes() -> None:
    with World(racing.app, seed=1, shards=4) as world:
        failure = broken(world)
    with World(racing.app, seed=1, shards=4) as world:
        passed = world.explore(racing.paying(world, locked=True), check=racing.check, replay=failure.replay)
        assert passed.schedules == 1


def test_afterwards_the_world_is_where_the_plain_order_leads() -> None:
    with World(racing.app, seed=1) as world:
        world.put(racing.transfers, {"id": "before", "amount": 0})
        world.settle()
        world.explore(racing.paying(world, locked=True), schedules=20)
        assert world.get(racing.transfers, {"id": "b"}) is not None
        assert world.get(racing.transfers, {"id": "before"}) is not None
        assert world.lag() == 0
        world.put(racing.transfers, {"id": "after", "amount": 1})
        world.settle()
        assert "after" in world.delivered(racing.move)


class Shop:
    """An app of which each test declares the handlers."""

    def __init__(self) -> None:
        self.app = App("shop")
        self.orders = self.app.table("orders", pk="id")


@pytest.fixture
def shop() -> Shop:
    return Shop()


def test_an_exception_of_a_handler_in_some_order_is_found(shop: Shop) -> None:
    open_keys: set[str] = set()

    @shop.app.on(shop.orders, concurrency=4)
    async def exclusive(change: Change) -> None:
        if change.key == "b" and open_keys:
            raise RuntimeError("somebody is here already")
        open_keys.add(change.key)
        await asyncio.sleep(0)
        open_keys.discard(change.key)

    with World(shop.app, seed=1, shards=2) as world:

        def action() -> None:
            open_keys.clear()
            world.put(shop.orders, {"id": "a", "n": len(open_keys)})
            world.put(shop.orders, {"id": "b", "n": 1})

        with pytest.raises(BrokenOrder, match="somebody is here already") as raised:
            world.explore(action)
        assert "raised by" in str(raised.value)
        assert isinstance(raised.value.__cause__, RuntimeError)


def test_orders_that_lead_to_different_ends_are_found_without_a_check(shop: Shop) -> None:
    seen: list[str] = []

    @shop.app.on(shop.orders, concurrency=4)
    async def last_wins(change: Change) -> None:
        await asyncio.sleep(0)
        seen.append(change.key)

    with World(shop.app, seed=1, shards=2) as world:

        def action() -> None:
            seen.clear()
            for key in "abcd":
                world.put(shop.orders, {"id": key})

        with pytest.raises(BrokenOrder, match="in the order in which nothing is held"):
            world.explore(action, same=lambda: seen[-1])
        world.explore(action, same=lambda: sorted(seen), schedules=50)


def test_a_delivery_between_two_writes_is_tried(shop: Shop) -> None:
    seen: list[Any] = []

    @shop.app.on(shop.orders)
    def note(change: Change) -> None:
        seen.append(world.get(shop.orders, {"id": change.key}))

    with World(shop.app, seed=1) as world:

        def action() -> None:
            seen.clear()
            world.put(shop.orders, {"id": "a", "n": 1})
            world.put(shop.orders, {"id": "a", "n": 2})

        def check() -> None:
            assert [item["n"] for item in seen] == [2, 2], "a handler saw the item of a write before the last"

        with pytest.raises(BrokenOrder, match="before the last") as raised:
            world.explore(action, check=check)
        assert raised.value.replay == "write.1s"
        assert "delivery goes on until nothing else could go on after write 1" in str(raised.value)


def test_a_race_over_time_is_found(shop: Shop) -> None:
    """The slower one always comes last, unless it is held until the timer of the other."""
    seen: list[str] = []

    @shop.app.on(shop.orders, concurrency=4)
    async def wait(change: Change) -> None:
        await asyncio.sleep(0.1 if change.key == "a" else 0.2)
        seen.append(change.key)

    with World(shop.app, seed=1, shards=2) as world:

        def action() -> None:
            seen.clear()
            world.put(shop.orders, {"id": "a"})
            world.put(shop.orders, {"id": "b"})

        def check() -> None:
            assert seen == ["a", "b"]

        with pytest.raises(BrokenOrder):
            world.explore(action, check=check)


def test_faults_that_do_not_matter_are_left_out_of_a_failure(shop: Shop) -> None:
    calls: list[str] = []

    @shop.app.on(shop.orders)
    def mail(change: Change) -> None:
        calls.append(change.key)

    faults = {"duplicates": 0.5, "throttle": 0.3, "crash": "before-effect", "slow": "10s"}

    def explored(**options: Any) -> BrokenOrder:
        with World(shop.app, seed=3) as world:

            def action() -> None:
                calls.clear()
                world.put(shop.orders, {"id": "a"})
                world.put(shop.orders, {"id": "b"})

            def check() -> None:
                assert len(calls) == len(set(calls)), "mailed twice"

            with pytest.raises(BrokenOrder, match="mailed twice") as raised:
                world.explore(action, check=check, faults=faults, **options)
        return raised.value

    failure = explored()
    schedule = read_schedule(failure.replay)
    assert schedule.faults is not None
    assert [fault.split(".")[0] for fault in schedule.faults] == ["duplicate"]
    assert len(failure.schedule) <= 10
    assert any(line.startswith("faults: duplicate.") for line in failure.schedule)
    assert explored(replay=failure.replay).order == failure.order


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"schedules": 0}, "schedules=0"),
        ({"schedules": True}, "schedules=True"),
        ({"faults": {"flood": 1}}, "flood"),
        ({"faults": {"seed": 1}}, "seed"),
        ({"replay": "nonsense"}, "copied from a failure"),
        ({"replay": "write.1s | what"}, "copied from a failure"),
    ],
)
def test_what_cannot_be_explored_is_refused(options: dict[str, Any], words: str) -> None:
    with World(racing.app, seed=1) as world, pytest.raises(SettingsError, match=words):
        world.explore(racing.paying(world), **options)


def test_faults_of_a_block_are_not_silently_left_out() -> None:
    refused = pytest.raises(SettingsError, match="faults=")
    with World(racing.app, seed=1) as world, world.faults(duplicates=1), refused:
        world.explore(racing.paying(world))


@pytest.mark.parametrize(
    "schedule",
    [
        Schedule(),
        Schedule(
            (HeldStep("0123abcd", 4, "still"), HeldStep("write", 1, 12), HeldStep("deadbeef", 1, "later"))
        ),
        Schedule((HeldStep("write", 2, "still"),), 9, ("duplicate.1", "crash-invoke.done.3")),
        Schedule((), 4, ()),
    ],
)
def test_a_schedule_is_read_as_it_was_written(schedule: Schedule) -> None:
    assert read_schedule(str(schedule)) == schedule


def test_shrinking_keeps_what_matters_and_stops_at_its_bound() -> None:
    asked: list[int] = []

    def fails(chosen: Any) -> bool:
        asked.append(len(chosen))
        return {3, 11} <= set(chosen)

    kept, left = shrunk(range(16), fails, 1_000)
    assert kept == [3, 11]
    assert left == 1_000 - len(asked)
    assert shrunk(range(16), fails, 0) == (list(range(16)), 0)
    assert shrunk([], fails, 10) == ([], 10)


TICKS = 3


async def ticks(count: int = TICKS) -> None:
    """What a call over a network does: others go on."""
    for _ in range(count):
        await asyncio.sleep(0)


def stale_cache(shop: Shop, state: dict[str, Any]) -> None:
    """A reader fills the cache with what a writer has changed and thrown out meanwhile."""

    @shop.app.on(shop.orders, concurrency=4)
    async def serve(change: Change) -> None:
        if change.key == "a":
            stored = state["stored"]
            await ticks()
            state["cache"] = stored
        else:
            state["stored"] = change.key
            await ticks()
            state.pop("cache", None)


def two_handlers(shop: Shop, state: dict[str, Any]) -> None:
    """One handler counts on another one having been faster."""

    @shop.app.on(shop.orders)
    async def prepares(change: Change) -> None:
        await ticks(1)
        state.setdefault("prepared", []).append(change.key)

    @shop.app.on(shop.orders)
    async def uses(change: Change) -> None:
        await ticks(8)
        if change.key not in state.get("prepared", []):
            state["cache"] = "missing"


def nested(shop: Shop, state: dict[str, Any]) -> None:
    """One change must begin before another one and end after it: two steps must be held."""

    @shop.app.on(shop.orders, concurrency=4)
    async def enters(change: Change) -> None:
        log = state.setdefault("log", [])
        log.append(change.key)
        await ticks()
        log.append(change.key)
        if log == ["b", "a", "a", "b"]:
            state["cache"] = "nested"


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("race", [stale_cache, two_handlers, nested])
def test_typical_races_need_few_schedules(shop: Shop, race: Any, seed: int) -> None:
    state: dict[str, Any] = {}
    race(shop, state)

    def check() -> None:
        assert state.get("cache", state["stored"]) == state["stored"]

    with World(shop.app, seed=seed) as world:

        def action() -> None:
            state.clear()
            state["stored"] = "old"
            for key in "ab":
                world.put(shop.orders, {"id": key})

        with pytest.raises(BrokenOrder) as raised:
            world.explore(action, check=check, schedules=200)
    assert len(raised.value.schedule) <= 10
    assert 1 <= len(read_schedule(raised.value.replay).holds) <= 2
