"""What waits longer than a stream keeps it is saved before the trim, and handled in its order when the
mapping goes on.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tailrace import Unavailable
from tailrace.app.app import App
from tailrace.app.change import Change
from tailrace.app.on_failure import Park
from tailrace.app.retry import Retry
from tailrace.app.table import Table
from tailrace.ports import ReadDone
from tailrace.rows.kinds import EVACUATED, EVACUATION, kind_of
from tailrace.runtime.reading import SharedReads
from tailrace.testing.world import World


class Shop:
    """An app with one handler, which is away or broken for as long as `raises` says so."""

    def __init__(self, **settings: object) -> None:
        self.app = App("shop")
        self.orders: Table = self.app.table("orders", pk="id")
        self.raises: type[BaseException] | None = None
        self.only: int | None = None
        """The version at which it is broken; None: at all."""
        self.handled: list[tuple[str, int]] = []

        @self.app.on(self.orders, id="note", **settings)  # type: ignore[arg-type]
        def note(change: Change) -> None:
            if self.raises is not None and (self.only is None or change.new["n"] == self.only):
                raise self.raises("no")
            self.handled.append((str(change.keys["id"]), int(change.new["n"]) if change.new else -1))


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def world(shop: Shop) -> Iterator[World]:
    with World(shop.app) as world:
        yield world


def put(world: World, keys: int, versions: int) -> list[tuple[str, int]]:
    """Write so many versions of so many items, one version of all of them after the other."""
    written = [(f"o{key}", version) for version in range(versions) for key in range(keys)]
    for name, version in written:
        world.put("orders", {"id": name, "n": version})
    return written


def saved(world: World) -> int:
    return len(world.engine.state.query(EVACUATED.prefix("shop", "note")))


def assert_whole(shop: Shop, written: list[tuple[str, int]]) -> None:
    """Everything was handled, and the changes of each item in their order."""
    assert sorted(set(shop.handled)) == sorted(written)
    for name in {name for name, _ in written}:
        versions = [version for key, version in dict.fromkeys(shop.handled) if key == name]
        assert versions == sorted(versions)


def test_an_outage_of_thirty_hours_loses_nothing(shop: Shop, world: World) -> None:
    """Fault 1.10: after 26 hours nothing was handled, `gaps` was empty, and lag was none."""
    shop.raises = Unavailable
    written = put(world, 20, 3)
    world.advance("30h")
    assert saved(world) == 60
    assert all(kind_of(row.key) is not None for row in world.engine.state.query(""))
    assert world.lag() > 29 * 3_600_000, "lag counts what waits, wherever it is kept"
    shop.raises = None
    world.settle()
    assert_whole(shop, written)
    assert not world.gaps()
    assert world.lag() == 0


def test_a_restart_after_an_outage_reads_what_was_saved_first(shop: Shop, world: World) -> None:
    shop.raises = Unavailable
    written = put(world, 20, 3)
    world.advance("26h")
    written += [(name, version + 3) for name, version in put_later(world, 20, 2)]
    world.restart()
    shop.raises = None
    world.settle()
    assert_whole(shop, written)
    assert not world.gaps()


def put_later(world: World, keys: int, versions: int) -> list[tuple[str, int]]:
    for version in range(versions):
        for key in range(keys):
            world.put("orders", {"id": f"o{key}", "n": version + 3})
    return [(f"o{key}", version) for version in range(versions) for key in range(keys)]


def test_a_pause_of_thirty_hours_loses_nothing(shop: Shop, world: World) -> None:
    world._ask("pause", {"handler": "note"})
    written = put(world, 5, 2)
    world.advance("30h")
    world._ask("resume", {"handler": "note"})
    world.settle()
    assert_whole(shop, written)
    assert not world.gaps()


def test_a_shard_that_waits_for_its_failing_change_loses_nothing() -> None:
    shop = Shop(on_failure=Park.shard, retry=Retry(1, backoff="30m..30m"))
    with World(shop.app) as world:
        shop.raises = ValueError
        written = put(world, 5, 2)
        world.advance("30h")
        shop.raises = None
        world.settle()
        assert_whole(shop, written)
        assert not world.gaps()


def test_children_of_a_shard_that_waits_are_saved_too(shop: Shop, world: World) -> None:
    """A child is not begun while its parent waits, so no worker reads it."""
    shop.raises = Unavailable
    written: list[tuple[str, int]] = []
    for version in range(10):
        world.put("orders", {"id": "o", "n": version})
        written.append(("o", version))
        world.advance("5h")
    shop.raises = None
    world.settle()
    assert shop.handled == written
    assert not world.gaps()


def test_streams_that_were_switched_off_and_on_are_saved_too(shop: Shop, world: World) -> None:
    shop.raises = Unavailable
    written = put(world, 3, 1)
    world.advance("1h")
    world.engine.update_stream("orders", False)
    world.engine.committer.flush()
    world.engine.update_stream("orders", True, "NEW_AND_OLD_IMAGES")
    world.engine.committer.flush()
    for key in range(3):
        world.put("orders", {"id": f"o{key}", "n": 1})
        written.append((f"o{key}", 1))
    world.advance("40h")
    world.restart()
    world.advance("40h")
    shop.raises = None
    world.settle()
    assert_whole(shop, written)
    assert not world.gaps()


def test_what_was_saved_comes_before_the_shards_whose_lineage_is_lost(shop: Shop, world: World) -> None:
    """The shards between the one that was saved and the one of the next change are gone: no parent says any
    more which comes first.
    """
    world._ask("pause", {"handler": "note"})
    written = put(world, 3, 1)
    world.advance("22h")
    for key in range(3):
        world.put("orders", {"id": f"o{key}", "n": 1})
        written.append((f"o{key}", 1))
    world.advance("1h")
    assert saved(world) == 3, "the later changes are too young"
    world.kill()
    world.clock.advance(12 * 3_600_000)
    shop.raises = Unavailable
    shop.only = 0
    world.restart()
    world._ask("resume", {"handler": "note"})
    world.advance("10m")
    assert not shop.handled, "they would overtake what was saved"
    shop.raises = None
    world.settle()
    assert_whole(shop, written)
    assert not world.gaps()


def test_what_was_saved_is_forgotten_when_it_is_handled(shop: Shop, world: World) -> None:
    shop.raises = Unavailable
    put(world, 20, 3)
    world.advance("30h")
    shop.raises = None
    world.settle()
    world.advance("1h")
    assert saved(world) == 0
    assert not world.engine.state.query(EVACUATION.prefix("shop"))


def test_a_handler_that_keeps_up_saves_nothing(shop: Shop, world: World) -> None:
    for _ in range(30):
        put(world, 2, 1)
        world.advance("1h")
    assert saved(world) == 0


def test_what_was_trimmed_while_no_worker_ran_is_a_gap_and_the_rest_is_handled(
    shop: Shop, world: World
) -> None:
    """A new mapping that had handled nothing was told of no gap: it had written no checkpoint yet."""
    shop.raises = Unavailable
    put(world, 3, 1)
    world.advance("1h")
    world.kill()
    world.clock.advance(30 * 3_600_000)
    shop.raises = None
    world.restart()
    world.put("orders", {"id": "late", "n": 1})
    world.settle()
    assert shop.handled == [("late", 1)]
    assert len(world.gaps()) == 1
    assert world.lag() >= 24 * 3_600_000, "the alarm does not end with the data"
    world._ask("gaps.acknowledge", {"handler": "note"})
    assert not world.gaps()
    assert world.lag() == 0
    (gap,) = world._ask("gaps", {"handler": "note"})[0]
    assert gap["acknowledged_ms"] == world.clock.now().wall_ms, "it stays listed"


def test_what_a_handlers_own_read_never_hears_of_is_saved(
    shop: Shop, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read that hangs at the end of what was read looks like one that waits for a
    change (simulation, seed 6809).
    """
    right, hangs = SharedReads.read, [True]

    async def read(self: SharedReads, mapping_id: str, *rest: Any) -> ReadDone:
        if hangs[0]:
            await asyncio.Event().wait()
        return await right(self, mapping_id, *rest)

    monkeypatch.setattr(SharedReads, "read", read)
    written = put(world, 3, 2)
    world.advance("30h")
    assert saved(world) == len(written)
    hangs[0] = False
    world.restart()
    world.settle()
    assert_whole(shop, written)
    assert not world.gaps()
