"""Sinks of tables and entities in a world: transform, enrichment, several values, failures
by their record, refusals.
"""

from collections.abc import Sequence
from typing import Any

import pytest

from tailrace import App, Change, Item, Retry, changed, sinks
from tailrace.errors import SettingsError
from tailrace.testing import World


class Shop:
    """Orders, and a sink that keeps what it is given."""

    def __init__(self) -> None:
        self.app = App("shop")
        table = self.app.table("shop", pk="pk", sk="sk")

        class Order(Item, table=table, pk="ORDER#{id}", sk="META"):
            id: str
            status: str = "new"

        self.table, self.order = table, Order
        self.seen: list[Any] = []
        self.bad: set[str] = set()
        self.sink = sinks.Function(self.take)

    def take(self, value: Any) -> None:
        if isinstance(value, dict) and value.get("id") in self.bad:
            raise ValueError(value["id"])
        self.seen.append(value)


def test_every_change_of_a_table_is_a_document() -> None:
    shop = Shop()
    shop.app.sink(shop.table, shop.sink)
    with World(shop.app, seed=1) as world:
        world.put(shop.table, {"pk": "a", "sk": "b", "n": 1})
        world.delete(shop.table, {"pk": "a", "sk": "b"})
        world.settle()
    put, gone = shop.seen
    assert (put["event_name"], put["keys"], put["new"]) == (
        "INSERT",
        {"pk": "a", "sk": "b"},
        {"pk": "a", "sk": "b", "n": 1},
    )
    assert (gone["event_name"], "new" in gone, gone["table"]) == ("REMOVE", False, "shop")


def test_an_entity_is_transformed_into_none_one_or_several() -> None:
    shop = Shop()

    def documents(change: Change[Any]) -> object:
        if change.new.status == "new":
            return None
        one = {"id": change.new.id, "status": change.new.status}
        return [one, {**one, "copy": True}] if change.new.status == "paid" else one

    shop.app.sink(shop.order.modified, shop.sink, transform=documents, where=changed(shop.order.status))
    with World(shop.app, seed=1) as world:
        world.put(shop.order(id="o1"))
        for status in ("paid", "sent", "new"):
            world.update(shop.order, id="o1", status=status)
        world.put(shop.table, {"pk": "else", "sk": "x"})
        world.settle()
    assert shop.seen == [
        {"id": "o1", "status": "paid"},
        {"id": "o1", "status": "paid", "copy": True},
        {"id": "o1", "status": "sent"},
    ]


def test_enrichment_is_given_the_values_of_a_batch_at_once() -> None:
    shop = Shop()
    sizes: list[int] = []

    async def with_names(values: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        sizes.append(len(values))
        return [{**value, "name": value["id"].upper()} for value in values]

    shop.app.sink(shop.order, shop.sink, transform=lambda change: {"id": change.key}, enrich=with_names)
    with World(shop.app, seed=1) as world:
        for number in range(5):
            world.put(shop.order(id=f"o{number}"))
        world.settle()
    assert sizes == [5]
    assert [value["name"] for value in shop.seen] == ["O0", "O1", "O2", "O3", "O4"]


def test_a_value_that_fails_holds_only_its_own_item() -> None:
    shop = Shop()
    shop.bad.add("bad")
    shop.app.sink(
        shop.order,
        shop.sink,
        id="out",
        transform=lambda change: {"id": change.key},
        retry=Retry(2, backoff="1s..1s"),
    )
    with World(shop.app, seed=1) as world:
        for name in ("a", "bad", "c"):
            world.put(shop.order(id=name))
        world.settle()
        assert [value["id"] for value in shop.seen] == ["a", "c"]
        assert world.delivered("out") == ["a", "c"]
        (letter,) = world.dead_letters("out")
        assert "bad" in str(letter)


def test_an_enrichment_that_loses_a_value_is_an_error_and_nothing_is_written() -> None:
    shop = Shop()
    shop.app.sink(
        shop.order, shop.sink, id="out", transform=lambda change: 1, enrich=lambda values: [], retry=Retry(0)
    )
    with World(shop.app, seed=1) as world:
        world.put(shop.order(id="a"))
        world.settle()
        (letter,) = world.dead_letters("out")
        assert "enrich was given 1 values and answered 0 values" in str(letter)
    assert shop.seen == []


def test_a_sink_has_an_id_that_says_what_it_is() -> None:
    shop = Shop()
    shop.app.sink(shop.order.removed, sinks.Function(print))
    shop.app.sink(shop.table, sinks.EventBridge())
    ids = [mapping.id for mapping in shop.app.mappings]
    assert ids[:2] == ["Order.removed.Function", "shop.EventBridge"]


def test_what_belongs_to_a_mapping_of_its_own_is_refused_for_a_handler() -> None:
    shop = Shop()

    @shop.app.on(shop.order)
    def audit(change: Change[Any]) -> None: ...

    with pytest.raises(SettingsError, match="what it returns goes to the sink as it is"):
        shop.app.sink(audit, shop.sink, transform=lambda change: 1)
    with pytest.raises(SettingsError, match="is no sink"):
        shop.app.sink(shop.order, "sqs")  # type: ignore[arg-type]
    shop.app.sink(shop.order, shop.sink)
    with pytest.raises(SettingsError, match="give one of them another with id="):
        shop.app.sink(shop.order, shop.sink)
