"""A sink that is given its table out of the table's journal: it equals the table, whatever it had before and
whatever happens meanwhile, and nothing of the table is read.
"""

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from tailrace import App
from tailrace.errors import Refused
from tailrace.journal.run import bringing
from tailrace.journal.run.reading import JournalView
from tailrace.snapshots.core.snapshot import JOURNAL
from tailrace.sources.embedded_scan import EmbeddedScan
from tailrace.testing import World
from tailrace.testing.mirrors import MirrorMemory, SimulatedMirror
from tests.unit.snapshots.test_worlds import delete, items, put, table_of


def shop(target: SimulatedMirror | None, *, is_archived: bool = True) -> App:
    app = App("shop")
    orders = app.table("orders", pk="id")
    if is_archived:
        app.archive(orders, "history/")
    if target is not None:
        app.sink(orders, MirrorMemory(target), id="mirror")
    return app


@pytest.fixture
def target() -> SimulatedMirror:
    return SimulatedMirror()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A table with a journal that knows more of it than its stream; small pages."""
    monkeypatch.setattr(bringing, "PAGE", 2)
    with World(shop(None), seed=1) as world:
        for number in range(9):
            put(world, f"o{number}")
        delete(world, "o3")
        world.settle()
        world.advance("26h")
        put(world, "o1", "paid")
        world.settle()
        yield world


def started(world: World) -> dict[str, Any]:
    world._ask("snapshot.start", {"handler": "mirror", "source": JOURNAL, "yes": True})
    world.advance("1m")
    ((value,),) = world._ask("snapshot.status", {})
    return dict(value)


def test_a_sink_that_is_added_today_is_given_what_the_stream_has_forgotten(
    world: World, target: SimulatedMirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.kill()
    world.use(shop(target))
    world.settle()
    assert len(items(target)) < len(table_of(world))

    async def scanned(*_: Any) -> Any:
        raise AssertionError("the table is not read")

    monkeypatch.setattr(EmbeddedScan, "page", scanned)
    value = started(world)
    assert (value["state"], value["items"]) == ("done", 9)
    assert items(target) == table_of(world)


def test_a_target_that_was_restored_shows_the_table_again(world: World, target: SimulatedMirror) -> None:
    world.kill()
    world.use(shop(target))
    world.settle()
    started(world)
    backup = dict(target.rows)
    delete(world, "o4")
    put(world, "o5", "paid")
    put(world, "new")
    world.settle()
    world.advance("26h")
    target.rows.clear()
    target.rows.update(backup)
    assert items(target) != table_of(world)
    assert started(world)["state"] == "done"
    assert items(target) == table_of(world)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_written_and_killed_meanwhile(world: World, target: SimulatedMirror, seed: int) -> None:
    choose = Random(seed)
    world.kill()
    world.use(shop(target))
    world._ask("snapshot.start", {"handler": "mirror", "source": JOURNAL, "yes": True})
    for _ in range(12):
        name = f"o{choose.randrange(12)}"
        put(world, name, choose.choice(["new", "paid"])) if choose.random() < 0.7 else delete(world, name)
        match choose.randrange(3):
            case 0:
                world.kill()
                world.use(shop(target))
            case 1:
                world.advance(choose.choice(["1s", "7s"]))
    world.settle()
    world.advance("2m")
    ((value,),) = world._ask("snapshot.status", {})
    assert value["state"] == "done"
    assert items(target) == table_of(world)


def test_what_it_reads_is_planned(world: World, target: SimulatedMirror) -> None:
    world.kill()
    world.use(shop(target))
    world.settle()
    (planned,) = world._ask("snapshot.plan", {"handler": "mirror", "source": JOURNAL})
    assert planned["words"].startswith("reads the journal of table orders: ")
    assert (planned["read_units"], planned["items"]) == (0, 9)


def test_what_cannot_be_the_table_is_refused_in_words(
    world: World, target: SimulatedMirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.kill()
    world.use(shop(target))
    world.settle()
    asked = {"handler": "mirror", "source": JOURNAL}
    with pytest.raises(Refused, match="exports and journals hold whole tables"):
        world._ask("snapshot.start", {**asked, "segment": [0, 2]})
    monkeypatch.setattr(JournalView, "base", None)
    with pytest.raises(Refused, match="does not know everything: items that were never changed"):
        world._ask("snapshot.start", asked)
    assert world._ask("snapshot.status", {}) == [[]], "nothing is wanted"


def test_a_table_without_a_journal_is_refused(target: SimulatedMirror) -> None:
    with World(shop(target, is_archived=False), seed=2) as world:
        put(world, "o1")
        world.settle()
        with pytest.raises(Refused, match="table orders has no journal"):
            world._ask("snapshot.start", {"handler": "mirror", "source": JOURNAL})
