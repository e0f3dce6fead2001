"""The time of a manual clock is kept with the data."""

from tailrace.clocks.manual import ManualClock
from tailrace.clocks.system import SystemClock
from tailrace.engine.engine import Engine
from tailrace.engine.state import state_of
from tailrace.ports import Clock
from tailrace.server.remembered import recall_time, remember_time
from tailrace.stores.memory import MemoryStore
from tailrace.views.at_once import at_once
from tests.unit.server.admin import Ground


def engine_on(store: MemoryStore, clock: Clock) -> Engine:
    return Engine(store, clock)


def test_a_later_clock_begins_where_the_last_one_was_left_forward_or_back() -> None:
    store, first = MemoryStore(), ManualClock(1_357_000_000_000)
    engine = engine_on(store, first)
    first.advance(5_000)
    at_once(remember_time(state_of(engine), engine.clock))
    for start_ms in (0, 1_900_000_000_000):
        later = ManualClock(start_ms)
        at_once(recall_time(state_of(engine_on(store, later)), later))
        assert later.now().wall_ms == 1_357_000_005_000


def test_the_systems_clock_leaves_no_time_behind() -> None:
    store = MemoryStore()
    engine = engine_on(store, ManualClock(7))
    at_once(remember_time(state_of(engine), engine.clock))
    engine = engine_on(store, SystemClock())
    at_once(remember_time(state_of(engine), engine.clock))
    later = ManualClock(99)
    at_once(recall_time(state_of(engine_on(store, later)), later))
    assert later.now().wall_ms == 99


def test_moving_the_clock_keeps_its_time() -> None:
    ground = Ground()
    moved = ground.ask("clock.advance", ms=60_000)["wall_ms"]
    fields = ground.engine.state.get("clock")
    assert fields is not None
    assert fields["wall_ms"] == moved
