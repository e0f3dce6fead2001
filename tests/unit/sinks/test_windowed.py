"""Windows in a test world: when they are told, how often, what comes of a handler that fails, and what is
kept of them.

Rules of this file: nothing sleeps; the world begins on a whole minute, so that windows end
where the tests say.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from tailrace import App, Item, Retry, Window
from tailrace.errors import StoreError
from tailrace.ports import ItemWrite, RecordBatch, StateStore, Written
from tailrace.rows.writes import Check, StateRow, Write
from tailrace.testing import World
from tailrace.values.types import Item as Image


class Values:
    """A sink that keeps what it is given: (event name, event id, value)."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str, Any]] = []

    async def write(self, batch: RecordBatch) -> Written:
        for record, value in zip(batch.records, batch.values or (), strict=True):
            self.got.append((record.event_name, record.key.decode(), value))
        return Written()


class Orders:
    """An app of one table of orders with a window over it, and what the window's handler was told."""

    def __init__(self, **settings: Any) -> None:
        self.app = App("shop")
        table = self.app.table("orders", pk="id")

        class Order(Item, table=table):
            id: str
            country: str = "NL"
            placed: datetime
            total: int = 1

        self.Order = Order
        self.told: list[tuple[str, int, int, list[str]]] = []
        """Country, minute of the start, revision, ids."""
        self.breaks: Callable[[], None] = lambda: None
        self.values = Values()
        self.begun: datetime | None = None

        def spike(window: Window[Order]) -> dict[str, int] | None:
            self.breaks()
            assert self.begun is not None
            minute = int((window.start - self.begun).total_seconds() // 60)
            self.told.append((window.key, minute, window.revision, [order.id for order in window]))
            return {"total": sum(order.total for order in window)} if window else None

        self.spike = spike
        chosen = {"every": "1m", "by": Order.country, "at": Order.placed, **settings}
        self.app.window(Order, **chosen)(spike)
        self.app.sink(spike, self.values)

    def order(self, id: str, second: float, **fields: Any) -> Any:
        assert self.begun is not None
        return self.Order(id=id, placed=self.begun + timedelta(seconds=second), **fields)

    def new(self) -> list[tuple[str, int, int, list[str]]]:
        """What was told since the last question."""
        told, self.told[:] = list(self.told), []
        return told


@pytest.fixture
def begin(world: World) -> Callable[[Orders], Orders]:
    def begin(orders: Orders) -> Orders:
        orders.begun = world.moment
        assert orders.begun.second == 0
        world.use(orders.app)
        return orders

    return begin


Begin = Callable[[Orders], Orders]


def paused(world: World, is_paused: bool) -> None:
    """What `tailrace pause` and `resume` do to the one window of the one app."""
    (running,) = world._running
    (mapping,) = [own for own in running.app.mappings if own.window is not None]
    world._ask("pause" if is_paused else "resume", {"handler": mapping.id})


def test_a_window_is_told_once_when_it_is_over(world: World, begin: Begin) -> None:
    orders = begin(Orders())
    for name, second in (("a", 0), ("b", 59), ("c", 60)):
        world.put(orders.order(name, second))
    world.put(orders.order("d", 1, country="BE"))
    world.settle()
    assert orders.new() == []
    world.advance("59s")
    assert orders.new() == []
    world.advance("2s")
    assert orders.new() == [("BE", 0, 1, ["d"]), ("NL", 0, 1, ["a", "b"])]
    world.advance("1m")
    assert orders.new() == [("NL", 1, 1, ["c"])]
    world.advance("1h")
    assert orders.new() == []


def test_lateness_waits_for_changes_that_come_late(world: World, begin: Begin) -> None:
    orders = begin(Orders(lateness="30s"))
    world.put(orders.order("a", 0))
    world.advance("85s")
    assert orders.new() == []
    world.put(orders.order("late", 30))
    world.advance("10s")
    assert orders.new() == [("NL", 0, 1, ["a", "late"])]


@pytest.mark.parametrize("change", ["another", "changed", "moved", "removed"])
def test_a_change_after_the_window_was_told_corrects_it(world: World, begin: Begin, change: str) -> None:
    orders = begin(Orders())
    world.put(orders.order("a", 0))
    world.put(orders.order("b", 10))
    world.advance("2m")
    assert orders.new() == [("NL", 0, 1, ["a", "b"])]
    match change:
        case "another":
            world.put(orders.order("c", 20))
            expected = [("NL", 0, 2, ["a", "b", "c"])]
        case "changed":
            world.put(orders.order("b", 10, total=5))
            expected = [("NL", 0, 2, ["a", "b"])]
        case "moved":
            world.put(orders.order("b", 70))
            expected = [("NL", 0, 2, ["a"]), ("NL", 1, 1, ["b"])]
        case _:
            world.delete(orders.Order, id="b")
            expected = [("NL", 0, 2, ["a"])]
    world.settle()
    assert orders.new() == expected


def test_a_window_that_nothing_is_left_of_is_told_empty(world: World, begin: Begin) -> None:
    orders = begin(Orders())
    world.put(orders.order("a", 0))
    world.advance("2m")
    world.delete(orders.Order, id="a")
    world.settle()
    assert orders.new() == [("NL", 0, 1, ["a"]), ("NL", 0, 2, [])]
    world.put(orders.order("a", 0))
    world.settle()
    assert orders.new() == [("NL", 0, 3, ["a"])]


class NotesOfTellingFail:
    """A window's state that refuses the next notes of how a telling ended."""

    def __init__(self, state: StateStore, failures: int) -> None:
        self._state = state
        self.failures = failures

    async def get(self, key: str) -> StateRow | None:
        return await self._state.get(key)

    async def query(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[StateRow]:
        return await self._state.query(prefix, after=after, limit=limit)

    async def count(self, prefix: str) -> int:
        return await self._state.count(prefix)

    async def transact(self, writes: Sequence[Write | Check | ItemWrite]) -> None:
        for write in writes:
            is_note = isinstance(write, Write) and write.key.startswith("window-told/")
            if self.failures and is_note and "attempt" not in (write.fields or {}):
                self.failures -= 1
                raise StoreError("not now")
        await self._state.transact(writes)


def note_fails(world: World, failures: int = 1) -> None:
    """The next note of a telling is refused."""
    (running,) = world._running
    (windows,) = running.worker.windows
    windows._state = NotesOfTellingFail(windows._state, failures)


@pytest.mark.parametrize("change", ["moved", "removed"])
def test_a_window_that_was_told_and_not_noted_is_told_empty_when_nothing_is_left_of_it(
    world: World, begin: Begin, change: str
) -> None:
    orders = begin(Orders())
    note_fails(world)
    world.put(orders.order("o1", 0))
    world.advance("60s")
    assert orders.new() == [("NL", 0, 1, ["o1"])]
    if change == "moved":
        world.put(orders.order("o1", 600))
    else:
        world.delete(orders.Order, id="o1")
    world.advance("1m")
    assert orders.new() == [("NL", 0, 2, [])]


def test_a_session_that_was_told_and_not_noted_is_told_empty_when_nothing_is_left_of_it(
    world: World, begin: Begin
) -> None:
    orders = begin(Orders(every=None, gap="1m"))
    note_fails(world)
    world.put(orders.order("o1", 0))
    world.advance("60s")
    assert orders.new() == [("NL", 0, 1, ["o1"])]
    world.delete(orders.Order, id="o1")
    world.advance("1m")
    assert orders.new() == [("NL", 0, 2, [])]


def test_a_window_that_was_told_and_not_noted_is_repeated_under_its_revision_when_it_holds_the_same(
    world: World, begin: Begin
) -> None:
    orders = begin(Orders())
    note_fails(world, 2)
    world.put(orders.order("o1", 0))
    world.advance("2m")
    assert orders.new() == [("NL", 0, 1, ["o1"])] * 3
    world.put(orders.order("o2", 1))
    world.settle()
    assert orders.new() == [("NL", 0, 2, ["o1", "o2"])]


def test_a_window_that_was_told_and_not_noted_takes_the_next_revision_when_it_holds_something_else(
    world: World, begin: Begin
) -> None:
    orders = begin(Orders())
    note_fails(world)
    world.put(orders.order("o1", 0))
    world.advance("60s")
    world.put(orders.order("o2", 1))
    world.advance("1m")
    assert orders.new() == [("NL", 0, 1, ["o1"]), ("NL", 0, 2, ["o1", "o2"])]


def test_values_go_to_the_sink_and_only_when_they_are_others_than_before(world: World, begin: Begin) -> None:
    orders = begin(Orders())
    world.put(orders.order("a", 0, total=2))
    world.put(orders.order("b", 1, total=3))
    world.advance("2m")
    world.put(orders.order("a", 5, total=2))
    world.settle()
    assert [revision for _, _, revision, _ in orders.told] == [1, 2]
    world.put(orders.order("b", 1, total=9))
    world.settle()
    assert [(name, value) for name, _, value in orders.values.got] == [
        ("INSERT", {"total": 5}),
        ("MODIFY", {"total": 11}),
    ]


def test_what_changes_while_a_window_is_told_is_told_after_it(world: World) -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")
    told: list[list[Any]] = []

    @app.window(orders, every="1m")
    async def slow(window: Window[dict[str, Any]]) -> None:
        seen = [order["id"] for order in window]
        await asyncio.sleep(5)
        told.append(seen)

    world.use(app)
    world.put(orders, {"id": "a"})
    world.advance("62s")
    assert told == []
    world.delete(orders, {"id": "a"})
    world.put(orders, {"id": "b"})
    world.advance("10s")
    assert told == [["a"], []]
    world.advance("2m")
    assert told == [["a"], [], ["b"]]


def test_after_a_restart_windows_go_on_and_nothing_is_told_twice(world: World, begin: Begin) -> None:
    orders = begin(Orders())
    world.put(orders.order("a", 0))
    world.put(orders.order("b", 70))
    world.advance("61s")
    assert orders.new() == [("NL", 0, 1, ["a"])]
    world.restart()
    world.settle()
    assert orders.new() == []
    world.advance("1m")
    assert orders.new() == [("NL", 1, 1, ["b"])]


def test_what_waits_after_a_restart_is_not_late_although_numbers_run_ahead_of_the_clock(
    world: World, begin: Begin
) -> None:
    orders = begin(Orders(keep="5m"))
    world.put(orders.order("o1", 0))
    world.settle()
    world.restart()
    paused(world, True)
    world.put(orders.order("o2", 1))
    world.advance("30m")
    assert orders.new() == []
    paused(world, False)
    world.settle()
    assert orders.new() == [("NL", 0, 1, ["o1", "o2"])]
    assert world.late(orders.spike) == 0


def test_a_window_is_not_over_while_a_change_from_before_its_end_waits(world: World, begin: Begin) -> None:
    orders = begin(Orders(keep="0s"))
    world.put(orders.order("a", 0))
    world.settle()
    paused(world, True)
    world.put(orders.order("b", 59))
    world.advance("10m")
    assert orders.new() == []
    paused(world, False)
    world.advance("2s")
    assert orders.new() == [("NL", 0, 1, ["a", "b"])]
    assert world.late(orders.spike) == 0


def test_a_session_ends_with_its_gap_and_two_that_meet_become_one(world: World, begin: Begin) -> None:
    orders = begin(Orders(every=None, gap="1m"))
    world.put(orders.order("a", 0))
    world.put(orders.order("b", 90))
    world.advance("3m")
    assert orders.new() == [("NL", 0, 1, ["a"]), ("NL", 1, 1, ["b"])]
    world.put(orders.order("between", 50))
    world.settle()
    assert orders.new() == [("NL", 0, 2, ["a", "between", "b"]), ("NL", 1, 2, [])]


def test_sliding_windows_tell_an_item_in_each_of_them(world: World, begin: Begin) -> None:
    orders = begin(Orders(length="3m"))
    world.put(orders.order("a", 0))
    world.advance("4m")
    assert orders.new() == [("NL", -2, 1, ["a"]), ("NL", -1, 1, ["a"]), ("NL", 0, 1, ["a"])]


def test_a_handler_that_fails_is_tried_again_and_then_a_dead_letter_that_can_be_put_back(
    world: World, begin: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    orders = begin(Orders(retry=Retry(2, "1s..5s")))
    tries: list[None] = []

    def fail() -> None:
        tries.append(None)
        raise ValueError("the spike is broken")

    orders.breaks = fail
    world.put(orders.order("a", 0))
    world.put(orders.order("b", 1, country="BE"))
    world.advance("3m")
    assert len(tries) == 6
    letters = sorted(world.dead_letters(orders.spike), key=lambda letter: str(letter.change.key))
    assert [(letter.change.key, letter.error) for letter in letters] == [
        ((country, "2026-01-01T00:00:00.000Z"), "ValueError: the spike is broken") for country in ("BE", "NL")
    ]
    name = "Orders.__init__.<locals>.spike"
    of_the_netherlands = [
        record.getMessage() for record in caplog.records if "of 'NL'" in record.getMessage()
    ]
    assert of_the_netherlands == [
        f"{name} failed at its window 2026-01-01 00:00:00 to 00:01:00 of 'NL': ValueError: "
        f"the spike is broken",
        f"{name}: its window 2026-01-01 00:00:00 to 00:01:00 of 'NL' is given up after 3 attempts: "
        f"ValueError: the spike is broken; it is kept as a dead letter, and told anew when it changes",
    ]
    orders.breaks = lambda: None
    world.put(orders.order("c", 2))
    world.settle()
    assert orders.new() == [("NL", 0, 2, ["a", "c"])]
    world.dlq(orders.spike).redrive()
    world.settle()
    assert sorted(orders.new()) == [("BE", 0, 1, ["b"]), ("NL", 0, 2, ["a", "c"])]
    assert world.dead_letters(orders.spike) == []


def test_when_a_window_is_told_at_last_no_pane_of_it_waits_any_more(world: World, begin: Begin) -> None:
    orders = begin(Orders(length="3m", retry=Retry(5, "1s..5s")))
    failures = iter(range(4))

    def fail_at_first() -> None:
        if next(failures, None) is not None:
            raise ValueError("not yet")

    orders.breaks = fail_at_first
    for minute in range(3):
        world.put(orders.order(f"o{minute}", 60 * minute))
    world.advance("10m")
    assert [(minute, len(ids)) for _, minute, _, ids in sorted(orders.new())] == [
        (-2, 1),
        (-1, 2),
        (0, 3),
        (1, 2),
        (2, 1),
    ]
    assert [row for row in rows(world) if row.startswith("window-touched")] == []


def test_an_item_whose_time_cannot_be_read_is_parked_and_the_others_go_on(world: World, begin: Begin) -> None:
    def broken(order: Any) -> datetime:
        if order.id == "bad":
            raise ValueError("no time at all")
        return order.placed  # type: ignore[no-any-return]

    orders = begin(Orders(at=broken, retry=Retry(0)))
    world.put(orders.order("bad", 0))
    world.put(orders.order("good", 1))
    world.advance("2m")
    assert orders.new() == [("NL", 0, 1, ["good"])]
    (letter,) = world.dead_letters(orders.spike)
    assert "no time at all" in letter.error


def rows(world: World) -> list[str]:
    """The keys of what is kept of windows."""
    return [row.key for row in world.engine.state.query("window-")]


def test_what_is_closed_for_good_is_forgotten_and_a_change_after_it_is_counted(
    world: World, begin: Begin
) -> None:
    orders = begin(Orders(keep="1h"))
    world.put(orders.order("a", 0))
    world.put(orders.order("gone", 0))
    world.delete(orders.Order, id="gone")
    world.advance("30h")
    assert orders.new() == [("NL", 0, 1, ["a"])]
    world.put(orders.order("late", 5))
    world.settle()
    world.advance("60h")
    assert orders.new() == []
    assert world.late(orders.spike) == 1
    assert rows(world) == []


def test_an_image_is_kept_once_for_each_item(world: World, begin: Begin) -> None:
    orders = begin(Orders(length="5m"))
    for second in range(3):
        world.put(orders.order("a", second))
    world.settle()
    images: list[Image] = [
        row.fields["image"] for row in world.engine.state.query("window-") if row.fields.get("image")
    ]
    assert len(images) == 1
