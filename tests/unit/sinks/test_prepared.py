"""What a mapping without a handler would write of a batch: nothing is written, a scan's rows are judged here,
and what could not be judged before is judged now.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from tailrace import App, Change, Retry, sinks
from tailrace.app.app import HandlerMapping
from tailrace.ports import RecordBatch
from tailrace.runtime.preparing import Prepared
from tailrace.sinks.streamed import StreamedSink
from tailrace.testing import World
from tests.unit.sinks.batches import batch


class Writes:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.batches: list[RecordBatch] = []

    async def write(self, batch: RecordBatch) -> None:
        self.batches.append(batch)


def mapping_with(declare: Callable[[App, Any, Writes], None]) -> tuple[HandlerMapping, Writes]:
    """The one mapping of an app that declares a sink, and the sink."""
    app, sink = App("shop"), Writes()
    declare(app, app.table("orders", pk="id"), sink)
    (mapping,) = app.mappings
    return mapping, sink


def prepared(mapping: HandlerMapping, given: RecordBatch) -> Prepared:
    """What it would write."""
    return asyncio.run(StreamedSink(mapping).prepared(given))


def test_where_nothing_is_to_be_done_it_is_the_batch_itself() -> None:
    mapping, sink = mapping_with(lambda app, orders, sink: app.sink(orders, sink))
    given = batch("ab")
    assert prepared(mapping, given).batch is given
    assert list(prepared(mapping, given).places) == [0, 1]
    assert sink.batches == []


def test_values_stand_at_the_places_that_they_are_of_and_nothing_is_written() -> None:
    def values(change: Change[Any]) -> object:
        match change.keys["id"]:
            case "none":
                return None
            case "two":
                return [1, 2]
            case "bad":
                raise ValueError("no such thing")
        return 3

    mapping, sink = mapping_with(lambda app, orders, sink: app.sink(orders, sink, transform=values))
    made = prepared(mapping, batch(["none", "two", "bad", "one"]))
    assert (list(made.places), made.batch.values) == ([1, 1, 3], (1, 2, 3))
    assert [record.key for record in made.batch.records] == [b"two", b"two", b"one"]
    assert [(place, failure.error) for place, failure in made.failures.items()] == [
        (2, "ValueError: no such thing")
    ]
    assert sink.batches == []


def test_an_enrichment_that_fails_fails_all_of_it() -> None:
    mapping, _ = mapping_with(lambda app, orders, sink: app.sink(orders, sink, enrich=lambda values: [1]))
    made = prepared(mapping, batch("ab"))
    assert made.whole is not None
    assert "enrich was given 2 values" in made.whole.error
    assert not made.batch.records


@pytest.mark.parametrize("transform", [None, lambda change: change.new["n"]])
def test_rows_of_a_scan_are_judged_by_where_and_changes_are_not_again(transform: Any) -> None:
    mapping, _ = mapping_with(
        lambda app, orders, sink: app.sink(
            orders, sink, where=lambda change: change.new["n"] > 1, transform=transform
        )
    )
    given = batch("abc")
    assert list(prepared(mapping, given).places) == [0, 1, 2]
    scanned = prepared(mapping, replace(given, is_snapshot=True))
    assert list(scanned.places) == [1, 2]
    assert scanned.batch.values == (None if transform is None else (2, 3))


def test_rows_of_a_scan_are_judged_one_by_one_though_they_have_one_version() -> None:
    def judged(change: Change[Any]) -> bool:
        if change.keys["id"] != "ok":
            raise ValueError(change.keys["id"])
        return True

    mapping, _ = mapping_with(lambda app, orders, sink: app.sink(orders, sink, where=judged))
    given = batch(["x", "ok", "y"])
    same = [replace(record, sequence=7) for record in given.records]
    made = prepared(mapping, replace(given, records=same, is_snapshot=True))
    assert list(made.places) == [1]
    assert {place: failure.error for place, failure in made.failures.items()} == {
        0: "ValueError: x",
        2: "ValueError: y",
    }


def test_a_kind_of_change_that_is_not_asked_for_is_not_wanted_of_a_scan() -> None:
    mapping, _ = mapping_with(lambda app, orders, sink: app.sink(orders.removed, sink))
    assert not prepared(mapping, replace(batch("a"), is_snapshot=True)).batch.records


def test_a_where_that_raises_is_the_failure_of_its_change_in_a_sink_too() -> None:
    """The machine's filter may not raise: it lets such a change through, and the sink judges it."""
    app, seen = App("shop"), list[Any]()
    orders = app.table("orders", pk="id")

    def judged(change: Change[Any]) -> bool:
        return bool(change.new["n"] > 1)

    app.sink(
        orders,
        sinks.Function(lambda value: seen.append(value["keys"])),
        id="out",
        where=judged,
        retry=Retry(0),
    )
    with World(app, seed=1) as world:
        world.put(orders, {"id": "a", "n": 5})
        world.put(orders, {"id": "b"})
        world.put(orders, {"id": "c", "n": 0})
        world.settle()
        assert seen == [{"id": "a"}]
        (letter,) = world.dead_letters("out")
        assert "KeyError" in str(letter)
