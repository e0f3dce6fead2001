"""A handler that calls itself: what it writes is told from what others write, it is stopped at the bound, and
nothing is lost.
"""

from typing import Any

import pytest

from tailrace import App, Batch, Change, Retry
from tailrace.runtime import recursion
from tailrace.runtime.recursion import Lines
from tailrace.testing import World
from tests.unit.mapping.records import record

BOUND = 16


def looping(how: str, bound: int = BOUND, until: int = 10**9) -> tuple[App, Any, list[int], list[World]]:
    """An app whose handler writes its own item again, one higher, in one of the ways to do that."""
    app, seen, world = App("shop"), [], list[World]()
    orders = app.table("orders", pk="id")

    def answer(number: int, change: Change) -> None:
        item = {"id": change.key, "n": number + 1}
        match how:
            case "transaction":
                change.transaction.put(orders, item)
            case "client":
                raw = {"id": {"S": change.key}, "n": {"N": str(number + 1)}}
                world[0].client("dynamodb").put_item(TableName="orders", Item=raw)
            case "world":
                world[0].put(orders, item)

    def handle(change: Change) -> None:
        number = int(change.new["n"])
        seen.append(number)
        if number < until:
            answer(number, change)

    match how:
        case "batch":

            @app.batch(orders, id="handle", max_generations=bound)
            def handle_batch(batch: Batch) -> None:
                for change in batch:
                    seen.append(int(change.new["n"]))
                    change.transaction.put(orders, {"id": change.key, "n": int(change.new["n"]) + 1})
        case "function":

            def lambda_handler(event: Any, context: Any) -> None:
                for record in event["Records"]:
                    number = int(record["dynamodb"]["NewImage"]["n"]["N"])
                    seen.append(number)
                    world[0].put(orders, {"id": "o1", "n": number + 1})

            app.function(lambda_handler, orders, id="handle", max_generations=bound)
        case _:
            app.on(orders, id="handle", max_generations=bound)(handle)
    return app, orders, seen, world


@pytest.mark.parametrize("how", ["transaction", "client", "world", "batch", "function"])
def test_a_handler_that_calls_itself_is_stopped_at_the_bound_and_nothing_is_lost(how: str) -> None:
    app, orders, seen, worlds = looping(how)
    with World(app, seed=1) as world:
        worlds.append(world)
        world.put(orders, {"id": "o1", "n": 0})
        world.advance("10m")
        assert seen == list(range(BOUND))
        assert world.get(orders, {"id": "o1"})["n"] == BOUND  # what it wrote last waits for it
        (worker,) = [running.worker for running in world._running]
        assert worker.guards.own == {"handle": BOUND - 1}
        assert all(status.paused for status in worker.status())
        assert world.lag() > 0


def test_one_that_is_stopped_stays_stopped_after_a_restart_and_goes_on_when_it_is_resumed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app, orders, seen, worlds = looping("transaction", bound=3, until=5)
    with World(app, seed=1) as world:
        worlds.append(world)
        world.put(orders, {"id": "o1", "n": 0})
        world.advance("10m")
        assert seen == [0, 1, 2]
        assert "handle writes to orders, which it reads" in caplog.text
        assert "o1" in caplog.text
        world.kill()
        world.restart()
        world.advance("10m")
        assert seen == [0, 1, 2]
        world._ask("resume", {"handler": "handle"})
        world.settle()
        assert seen == [0, 1, 2, 3, 4, 5]
        assert world.lag() == 0


def test_what_was_resumed_is_stopped_again_after_as_many_generations_and_a_restart_does_not_forget_that() -> (
    None
):
    app, orders, seen, worlds = looping("transaction", bound=3)
    with World(app, seed=1) as world:
        worlds.append(world)
        world.put(orders, {"id": "o1", "n": 0})
        world.advance("10m")
        (told,) = world._ask("resume", {"handler": "handle"})
        assert (told["was_paused"], told["paused"]) == (True, False)
        world.kill()
        world.restart()
        world.advance("10m")
        assert seen == [0, 1, 2, 3, 4, 5]
        (status,) = world._ask("status", {})
        (handler,) = status["handlers"]
        assert handler["paused"]
        assert "the change of o1 is number 6" in handler["pause_reason"]


def test_a_pause_by_a_person_meanwhile_does_not_forget_why_it_was_stopped() -> None:
    app, orders, seen, worlds = looping("transaction", bound=2, until=3)
    with World(app, seed=1) as world:
        worlds.append(world)
        world.put(orders, {"id": "o1", "n": 0})
        world.advance("10m")
        world._ask("pause", {"handler": "handle"})
        world._ask("resume", {"handler": "handle"})
        world.settle()
        assert seen == [0, 1, 2, 3]


def test_a_handler_whose_own_writes_settle_is_counted_and_not_stopped() -> None:
    app, orders, seen, worlds = looping("transaction", until=BOUND - 1)
    with World(app, seed=1) as world:
        worlds.append(world)
        world.put(orders, {"id": "o1", "n": 0})
        world.settle()
        assert seen == list(range(BOUND))
        (running,) = world._running
        assert running.worker.guards.own == {"handle": BOUND - 1}


def test_changes_from_outside_are_never_counted_however_many_there_are_of_one_item() -> None:
    app = App("shop")
    orders, notes = app.table("orders", pk="id"), app.table("notes", pk="id")

    @app.on(orders, max_generations=1)
    def note(change: Change) -> None:
        change.transaction.put(notes, {"id": change.key, "n": change.new["n"]})

    with World(app, seed=1) as world:
        for number in range(100):
            world.put(orders, {"id": "o1", "n": number})
        world.settle()
        assert world.get(notes, {"id": "o1"}) == {"id": "o1", "n": 99}
        assert world._running[0].worker.guards.own == {}


def test_two_handlers_that_call_each_other_through_two_tables_are_stopped() -> None:
    app, seen = App("shop"), []
    ping, pong = app.table("ping", pk="id"), app.table("pong", pk="id")

    @app.on(ping, max_generations=4)
    def to_pong(change: Change) -> None:
        seen.append("ping")
        change.transaction.put(pong, {"id": change.key, "n": len(seen)})

    @app.on(pong, max_generations=9)
    def to_ping(change: Change) -> None:
        seen.append("pong")
        change.transaction.put(ping, {"id": change.key, "n": len(seen)})

    with World(app, seed=1) as world:
        world.put(ping, {"id": "o1", "n": 0})
        world.advance("10m")
        assert seen == ["ping", "pong"] * 4
        assert {status.mapping_id for status in world._running[0].worker.status() if status.paused} == {
            "test_two_handlers_that_call_each_other_through_two_tables_are_stopped.<locals>.to_pong"
        }


def test_other_items_of_one_that_is_stopped_wait_and_are_handled_after_the_resume() -> None:
    app, seen = App("shop"), []
    orders = app.table("orders", pk="id")

    @app.on(orders, id="handle", max_generations=2)
    def handle(change: Change) -> None:
        seen.append((change.key, int(change.new["n"])))
        if change.key == "loop" and change.new["n"] < 3:
            change.transaction.put(orders, {"id": "loop", "n": change.new["n"] + 1})

    with World(app, seed=1) as world:
        world.put(orders, {"id": "loop", "n": 0})
        world.advance("10m")
        world.put(orders, {"id": "other", "n": 0})
        world.advance("10m")
        assert ("other", 0) not in seen
        world._ask("resume", {"handler": "handle"})
        world.settle()
        assert sorted(seen) == [("loop", 0), ("loop", 1), ("loop", 2), ("loop", 3), ("other", 0)]


def test_a_dead_letter_remembers_what_it_descends_from() -> None:
    app, seen, broken = App("shop"), [], [True]
    orders = app.table("orders", pk="id")

    @app.on(orders, id="handle", max_generations=3, retry=Retry(0))
    def handle(change: Change) -> None:
        number = int(change.new["n"])
        if number == 2 and broken[0]:
            raise ValueError("not yet")
        seen.append(number)
        change.transaction.put(orders, {"id": "o1", "n": number + 1})

    with World(app, seed=1) as world:
        world.put(orders, {"id": "o1", "n": 0})
        world.settle()
        broken[0] = False
        world.dlq(handle).redrive()
        world.advance("10m")
        assert seen == [0, 1, 2]


def test_handlers_whose_changes_multiply_are_stopped_long_before_one_line_is_that_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recursion, "WIDTH", 4)
    app, calls = App("shop"), [0]
    orders = app.table("orders", pk="id")
    for name in (
        "left",
        "right",
        "middle",
    ):  # three answers to each change: 3 ** 16 changes before a line has sixteen of one

        @app.on(orders, id=name)
        def answer(change: Change, name: str = name) -> None:
            calls[0] += 1
            change.transaction.update(orders, {"id": change.key}, "ADD n :one", values={":one": 1})

    with World(app, seed=1) as world:
        world.put(orders, {"id": "o1", "n": 0})
        world.advance("1m")
        (worker,) = [running.worker for running in world._running]
        assert all(status.paused for status in worker.status())
        reasons = [row.fields["reason"] for row in world.engine.state.query("pause/")]
        assert all("descend from its own by 4 steps or more, for " in reason for reason in reasons)
        assert calls[0] < 10_000
        assert world.lag() > 0  # and nothing is lost


def test_a_line_that_settles_is_no_loop_however_many_there_are() -> None:
    lines = Lines()
    for root in range(10_000):  # six steps each: the changes of generations 4 and 5 are deep
        made = [record(root * 10 + generation + 1) for generation in range(6)]
        lines.add(made, {record.sequence: generation for generation, record in enumerate(made)})
        assert not lines.multiply(BOUND)
    assert (lines.outside, lines.deep) == (10_000, 20_000)


def test_what_is_tried_again_is_counted_once() -> None:
    lines = Lines()
    deep = [record(sequence) for sequence in range(1, 1_026)]
    for _ in range(3):
        lines.add(deep[:-1], {record.sequence: 4 for record in deep})
    assert (lines.deep, lines.multiply(BOUND)) == (1_024, False)
    lines.add(deep, {record.sequence: 4 for record in deep})
    assert (lines.deep, lines.multiply(BOUND)) == (1_025, True)
