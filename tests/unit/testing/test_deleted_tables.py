"""What a table held unread when it was deleted: handlers that were reading it get it before the next table's
changes, or it is a gap that is told.
"""

import pytest

from tailrace.app.app import App
from tailrace.tables.definition import TableDefinition
from tailrace.testing.world import World


def shop(*names: str) -> App:
    """An app with handlers of one table."""
    app = App("shop")
    orders = app.table("orders", pk="id")
    for name in names:
        app.on(orders, id=name)(lambda change: None)
    return app


def delete(world: World) -> None:
    world.engine.delete_table("orders")
    world.engine.committer.flush()


@pytest.mark.parametrize("is_split", [False, True])
def test_what_a_deleted_table_held_unread_comes_before_the_next_table_of_that_name(is_split: bool) -> None:
    with World(shop("note"), seed=1) as world:
        world.put("orders", {"id": "seen"})
        world.settle()
        world.kill()
        world.put("orders", {"id": "same", "n": 1})
        if is_split:
            world.split("orders")
        world.put("orders", {"id": "left"})
        delete(world)
        world.restart()
        world.put("orders", {"id": "same", "n": 2})
        world.settle()
        told = world.delivered("note")
        assert sorted(told) == ["left", "same", "same", "seen"]
        assert told[-1] == "same"
        assert world.gaps() == []


def test_a_handler_that_is_new_gets_nothing_of_a_deleted_table() -> None:
    with World(shop("note"), seed=1) as world:
        world.put("orders", {"id": "seen"})
        world.settle()
        world.kill()
        world.put("orders", {"id": "left"})
        delete(world)
        world.use(shop("note", "fresh"))
        world.put("orders", {"id": "new"})
        world.settle()
        assert world.delivered("note") == ["seen", "left", "new"]
        assert world.delivered("fresh") == ["new"]
        assert world.lag() == 0


def test_a_table_that_is_deleted_while_its_handler_is_paused_is_read_to_its_end() -> None:
    with World(shop("note"), seed=1) as world:
        world.put("orders", {"id": "seen"})
        world.settle()
        world._ask("pause", {"handler": "note"})
        world.put("orders", {"id": "left"})
        delete(world)
        world.kill()
        world.restart()
        world.put("orders", {"id": "new"})
        world._ask("resume", {"handler": "note"})
        world.settle()
        assert world.delivered("note") == ["seen", "left", "new"]


@pytest.mark.parametrize("made_again", ["before its day has passed", "after it"])
def test_after_its_day_what_a_deleted_table_held_unread_is_a_gap_that_is_told(made_again: str) -> None:
    with World(shop("note"), seed=1) as world:
        world.put("orders", {"id": "seen"})
        world.settle()
        world.kill()
        world.put("orders", {"id": "lost"})
        lost = world.engine.last_sequence
        delete(world)
        definition = TableDefinition("orders", "id", "S", stream="NEW_AND_OLD_IMAGES")
        if made_again == "after it":
            world.advance("29h")
            world.kill()  # it is known after a restart, too
            world.engine.create_table(definition)
        else:
            world.engine.create_table(definition)
            world.advance("29h")
        world.put("orders", {"id": "kept"})
        world.restart()
        world.settle()
        assert world.delivered("note") == ["seen", "kept"]
        (gap,) = world.gaps()
        assert gap.first <= lost <= gap.last


def test_nothing_is_missing_when_a_deleted_table_had_been_read_to_its_end() -> None:
    with World(shop("note"), seed=1) as world:
        world.put("orders", {"id": "seen"})
        world.settle()
        delete(world)
        world.advance("29h")
        world.restart()
        world.put("orders", {"id": "kept"})
        world.settle()
        assert world.delivered("note") == ["seen", "kept"]
        assert world.gaps() == []
