"""A worker that is told of other mappings: what stays the same goes on untouched, the rest
is drained and begun.
"""

import asyncio
from typing import Any

from tailrace import App, Change
from tailrace.app.table import Table
from tailrace.testing import World
from tailrace.worker.worker import Worker


class Ground:
    """An app with two handlers of one table, whose calls are noted."""

    def __init__(self) -> None:
        self.app = App("shop")
        self.orders = self.app.table("orders", pk="id")
        self.seen: list[tuple[str, str]] = []
        self.declare("first")
        self.declare("second")

    def declare(self, name: str, table: Table | None = None) -> None:
        """A handler that notes what it is called for."""

        def note(change: Change) -> None:
            self.seen.append((name, change.key))

        self.app.on(table or self.orders, id=name)(note)

    def of(self, name: str) -> list[str]:
        """What one of them was called for."""
        return [key for handler, key in self.seen if handler == name]


def worker_of(world: World) -> Worker:
    """The only worker."""
    worker: Worker = world._running[0].worker
    return worker


def drivers(world: World) -> dict[str, Any]:
    """The drivers by the handlers they run."""
    return {driver._mapping_id: driver for driver in worker_of(world).drivers}


def test_a_mapping_that_stays_goes_on_with_the_same_driver_while_others_come_and_go() -> None:
    ground = Ground()
    with World(ground.app, seed=1) as world:
        world.put(ground.orders, {"id": "1"})
        world.settle()
        before = drivers(world)["first"]
        ground.app.withdraw("second")
        ground.declare("third")
        world._run(worker_of(world).change())
        world.put(ground.orders, {"id": "2"})
        world.settle()
        assert drivers(world)["first"] is before
        assert set(drivers(world)) == {"first", "third"}
        assert (ground.of("first"), ground.of("second"), ground.of("third")) == (
            ["1", "2"],
            ["1"],
            ["1", "2"],
        )


def test_one_that_is_declared_anew_goes_on_at_its_checkpoint() -> None:
    ground = Ground()
    with World(ground.app, seed=1) as world:
        world.put(ground.orders, {"id": "1"})
        world.settle()
        before = drivers(world)
        ground.app.withdraw("second")
        ground.declare("second")
        world._run(worker_of(world).change())
        world.put(ground.orders, {"id": "2"})
        world.settle()
        assert ground.of("second") == ["1", "2"]
        assert drivers(world)["second"] is not before["second"]
        assert drivers(world)["first"] is before["first"]


def test_a_withdrawn_mapping_that_comes_back_later_has_missed_nothing() -> None:
    ground = Ground()
    with World(ground.app, seed=1) as world:
        world.put(ground.orders, {"id": "1"})
        world.settle()
        ground.app.withdraw("second")
        world._run(worker_of(world).change())
        world.put(ground.orders, {"id": "2"})
        world.settle()
        assert ground.of("second") == ["1"]
        ground.declare("second")
        world._run(worker_of(world).change())
        world.settle()
        assert ground.of("second") == ["1", "2"]


def test_every_mapping_may_go_and_one_of_another_table_may_come() -> None:
    ground = Ground()
    notes = ground.app.table("notes", pk="id")
    with World(ground.app, seed=1) as world:
        world.put(ground.orders, {"id": "1"})
        world.settle()
        for name in ("first", "second"):
            ground.app.withdraw(name)
        world._run(worker_of(world).change())
        assert drivers(world) == {}
        ground.declare("third", notes)
        world._run(worker_of(world).change())
        world.put(notes, {"id": "n"})
        world.settle()
        assert ground.of("third") == ["n"]


def test_a_mapping_that_hangs_is_waited_for_and_the_others_go_on_meanwhile() -> None:
    ground, hung = Ground(), asyncio.Event()

    @ground.app.on(ground.orders, id="slow")
    async def slow(change: Change) -> None:
        await hung.wait()
        ground.seen.append(("slow", change.key))

    with World(ground.app, seed=1) as world:
        world.put(ground.orders, {"id": "1"})
        world.advance("1s")
        ground.app.withdraw("slow")
        changing = world.loop.create_task(worker_of(world).change())
        world.advance("1s")
        world.put(ground.orders, {"id": "2"})
        world.advance("1s")
        assert not changing.done()
        assert (ground.of("first"), ground.of("slow")) == (["1", "2"], [])
        hung.set()
        world.advance("1s")
        assert changing.done()
        assert ground.of("slow") == ["1"]
        assert set(drivers(world)) == {"first", "second"}


def test_a_mapping_that_is_withdrawn_while_it_begins_does_not_run() -> None:
    ground = Ground()
    with World(ground.app, seed=1) as world:
        world.put(ground.orders, {"id": "1"})
        world.settle()
        worker = worker_of(world)

        async def come_and_go() -> None:
            ground.declare("third")
            await worker.change()
            worker._look.set()
            await asyncio.sleep(0)  # the discovery has begun
            ground.app.withdraw("third")
            await worker.change()
            ground.declare("third")
            await worker.change()

        world._run(come_and_go())
        world.put(ground.orders, {"id": "2"})
        world.settle()
        assert ground.of("third") == ["1", "2"]
        assert sorted(drivers(world)) == ["first", "second", "third"]
