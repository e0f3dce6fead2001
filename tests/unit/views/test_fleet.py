"""A fleet at one moment, and what lies between two."""

from collections.abc import Iterator
from typing import Any

import pytest

from tailrace import App, Change, Park, Retry
from tailrace.server.control import Subject
from tailrace.testing import World
from tailrace.views.at_once import at_once
from tailrace.views.fleet import HOT_KEYS, between, fleet


@pytest.fixture
def world() -> Iterator[World]:
    app = App("shop")
    orders = app.table("orders", pk="id")

    @app.on(orders, id="note", retry=Retry(0), on_failure=Park.key)
    def note(change: Change) -> None:
        if change.key == "bad":
            raise ValueError("no")

    app.on(orders, id="other")(lambda change: None)
    with World(app, seed=3, allow_failures=True) as world:
        yield world


def look(world: World) -> dict[str, Any]:
    return at_once(fleet(Subject(world.engine, world.clock).reading))


def test_a_moment_tells_workers_shards_and_handlers(world: World) -> None:
    world.put("orders", {"id": "a"})
    world.put("orders", {"id": "bad"})
    world.advance("10s")
    seen = look(world)
    assert [(worker["leases"], worker["lag_ms"]) for worker in seen["workers"]] == [(1, 0)]
    assert [(shard["table"], shard["waiting"], shard["finished"]) for shard in seen["shards"]] == [
        ("orders", 0, False)
    ]
    by_name = {handler["handler"]: handler for handler in seen["handlers"]}
    assert (by_name["note"]["parked_keys"], by_name["note"]["settled"]) == (1, 2)
    assert by_name["other"]["parked_keys"] == 0
    assert seen["hot_keys"] == []


def test_keys_with_most_changes_that_wait_come_first_and_so_many_of_them(world: World) -> None:
    world._ask("pause", {"handler": "note"})
    for number in range(HOT_KEYS + 1):
        for _ in range(3 if number == 7 else 1):
            world.put("orders", {"id": f"k{number:02}", "n": world.clock.now().wall_ms})
            world.advance("1s")
    seen = look(world)
    assert seen["hot_keys"][0] == {"handler": "note", "table": "orders", "key": "k07", "changes": 3}
    assert len(seen["hot_keys"]) == HOT_KEYS
    (paused,) = [handler for handler in seen["handlers"] if handler["paused"]]
    assert paused["waiting_shards"] == 1
    assert paused["lag_ms"] >= 22_000
    assert seen["workers"][0]["lag_ms"] == paused["lag_ms"]


def test_two_moments_tell_what_was_settled_and_written_between(world: World) -> None:
    world.put("orders", {"id": "a"})
    world.advance("10s")
    before = look(world)
    for name in ("b", "c"):
        world.put("orders", {"id": name})
        world.advance("5s")
    rates = between(before, look(world))
    assert rates["seconds"] == 10.0
    assert rates["settled"] == {"shop/note": 0.2, "shop/other": 0.2}
    assert rates["writes"]["checkpoints"] == 0.4
    assert between(before, before)["writes"]["checkpoints"] == 0


def test_a_new_epoch_counts_its_stamp_and_a_new_row_its_first_write() -> None:
    def at(ms: int, **rows: list[int]) -> dict[str, Any]:
        return {"monotonic_ms": ms, "handlers": [], "writes": {"checkpoints": rows}}

    assert between(at(0, a=[1, 5]), at(1_000, a=[1, 5]))["writes"] == {"checkpoints": 0.0}
    assert between(at(0, a=[1, 5]), at(1_000, a=[1, 6]))["writes"] == {"checkpoints": 1.0}
    assert between(at(0, a=[1, 5]), at(1_000, a=[2, 0]))["writes"] == {"checkpoints": 1.0}
    assert between(at(0), at(1_000, a=[1, 2]))["writes"] == {"checkpoints": 3.0}
