"""Handlers in a world: what they depend on, what they return, what fits no entity,
and predicates of transitions.
"""

import logging
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Annotated, Any

import pytest

from tailrace import App, Batch, Change, Depends, Item, Retry, Unavailable, by_ttl, changed, new, old
from tailrace.ports import Failed, FailedFrom, Failure, Outcome, Written
from tailrace.ports import RecordBatch as Written_batch
from tailrace.testing import World


class Shop:
    """An app with one entity, and what its handlers saw."""

    def __init__(self) -> None:
        self.app = App("shop")
        self.table = self.app.table("shop", pk="pk", sk="sk")
        self.seen: list[Any] = []

        class Order(Item, table=self.table, pk="ORDER#{id}", sk="META"):
            id: str
            status: str = "new"
            total: Decimal = Decimal(0)

        self.order = Order


@pytest.fixture
def shop() -> Shop:
    return Shop()


# ---- predicates --------------------------------------------------------------------------------------------


def test_a_predicate_chooses_the_changes_of_a_handler(shop: Shop) -> None:
    Order = shop.order  # noqa: N806  # it is a class

    @shop.app.on(
        Order, where=changed(Order.status) & (new(Order.status) == "paid") & (new(Order.total) > 100)
    )
    def receipt(change: Change[Any]) -> None:
        shop.seen.append((change.key, change.new.total))

    @shop.app.on(Order.modified, where=new(Order.total) > old(Order.total))
    def dearer(change: Change[Any]) -> None:
        shop.seen.append((change.old.total, change.new.total))

    @shop.app.on(Order.removed, where=~by_ttl())
    def audit(change: Change[Any]) -> None:
        shop.seen.append(("gone", change.old.id))

    with World(shop.app, seed=1) as world:
        world.put(Order(id="o1", total=Decimal(150)))
        world.put(Order(id="o2", total=Decimal(50), status="paid"))
        world.update(Order, id="o1", status="paid")
        world.update(Order, id="o1", total=Decimal(200))
        world.delete(Order, id="o2")
        world.settle()
        assert world.delivered(receipt) == ["o1"]
        assert world.delivered(dearer) == ["o1"]
        assert world.delivered(audit) == ["o2"]
    assert sorted(map(str, shop.seen)) == [
        "('gone', 'o2')",
        "('o1', Decimal('150'))",
        "(Decimal('150'), Decimal('200'))",
    ]


def test_a_batch_handler_is_given_typed_changes(shop: Shop) -> None:
    @shop.app.batch(shop.order, where=new(shop.order.status) == "paid")
    async def tally(batch: Batch[Any]) -> None:
        shop.seen.append([change.new.id for change in batch])

    with World(shop.app, seed=1) as world:
        for name, status in (("a", "paid"), ("b", "new"), ("c", "paid")):
            world.put(shop.order(id=name, status=status))
        world.settle()
    assert shop.seen == [["a", "c"]]


# ---- what fits no entity -----------------------------------------------------------------------------------


def test_what_fits_no_entity_is_counted_and_logged_once_for_each_kind(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    @shop.app.on(shop.order)
    def watch(change: Change[Any]) -> None: ...

    with World(shop.app, seed=1) as world, caplog.at_level(logging.WARNING, "tailrace.unmatched"):
        world.put(shop.order(id="o1"))
        for number in range(3):
            world.put(shop.table, {"pk": f"CART#{number}", "sk": "META"})
        world.settle()
        assert world.delivered(watch) == ["o1"]
        assert world.delivered("shop.unmatched") == [
            ("CART#0", "META"),
            ("CART#1", "META"),
            ("CART#2", "META"),
        ]
    (said,) = [record.getMessage() for record in caplog.records]
    assert "INSERT shop/('CART#0', 'META') fits no entity of the table (Order: ORDER#{id}, META)" in said
    assert "@app.unmatched(shop)" in said


def test_a_handler_may_take_what_fits_no_entity(shop: Shop) -> None:
    @shop.app.unmatched(shop.table)
    def odd(change: Change) -> None:
        shop.seen.append(change.new["pk"])

    @shop.app.on(shop.order)
    def watch(change: Change[Any]) -> None: ...

    with World(shop.app, seed=1) as world:
        world.put(shop.order(id="o1"))
        world.put(shop.table, {"pk": "CART#1", "sk": "META"})
        world.settle()
    assert shop.seen == ["CART#1"]
    assert next(mapping.id for mapping in shop.app.mappings) == "shop.unmatched"


def test_an_item_that_does_not_fit_its_class_is_a_dead_letter_that_says_why(shop: Shop) -> None:
    @shop.app.on(shop.order, retry=Retry(0))
    def watch(change: Change[Any]) -> None:
        shop.seen.append(change.new.total)

    with World(shop.app, seed=1) as world:
        world.put(shop.table, {"pk": "ORDER#o1", "sk": "META", "total": "a lot"})
        world.put(shop.order(id="o2"))
        world.settle()
        (letter,) = world.dead_letters(watch)
    assert "Order.total: {'S': 'a lot'} is no Decimal" in letter.error
    assert shop.seen == [0]


# ---- dependencies ------------------------------------------------------------------------------------------


def test_dependencies_are_made_once_for_each_worker_and_cleaned_up(shop: Shop) -> None:
    def settings() -> Iterator[str]:
        shop.seen.append("settings")
        yield "smtp"
        shop.seen.append("settings closed")

    async def connection(settings: Annotated[str, Depends(settings)]) -> AsyncIterator[str]:
        shop.seen.append(f"connection to {settings}")
        yield f"{settings} connection"
        shop.seen.append("connection closed")

    async def mailer(connection: Annotated[str, Depends(connection)]) -> str:
        return f"mailer over {connection}"

    @shop.app.on(shop.order)
    async def receipt(change: Change[Any], mail: Annotated[str, Depends(mailer)]) -> None:
        shop.seen.append(f"{change.key} by {mail}")

    @shop.app.on(shop.order)
    def note(change: Change[Any], *, name: Annotated[str, Depends(settings)], fixed: int = 3) -> None:
        shop.seen.append(f"{change.key} at {name}{fixed}")

    with World(shop.app, seed=1) as world:
        world.put(shop.order(id="o1"))
        world.settle()
        world.put(shop.order(id="o2"))
        world.settle()
    assert [shop.seen.count(dependency) for dependency in ("settings", "connection to smtp")] == [1, 1]
    assert {
        "o1 by mailer over smtp connection",
        "o2 by mailer over smtp connection",
        "o1 at smtp3",
        "o2 at smtp3",
    } < set(shop.seen)
    assert shop.seen[-2:] == ["connection closed", "settings closed"]


def test_a_dependency_is_overridden_in_a_test(shop: Shop) -> None:
    def mailer() -> str:
        raise AssertionError("the real one is not called")

    @shop.app.on(shop.order)
    def receipt(change: Change[Any], mail: Annotated[str, Depends(mailer)]) -> None:
        shop.seen.append(mail)

    with World(shop.app, seed=1) as world:
        world.override(mailer, lambda: "outbox")
        world.put(shop.order(id="o1"))
        world.settle()
    assert shop.seen == ["outbox"]
    shop.app.overrides[mailer] = lambda: "another"
    with World(shop.app, seed=1) as world:
        world.put(shop.order(id="o1"))
        world.settle()
    assert shop.seen == ["outbox", "another"]


def test_a_provider_that_fails_is_an_outage_and_no_changes_fault(shop: Shop) -> None:
    moods = [ConnectionError("no route"), ConnectionError("no route"), None]

    def mailer() -> str:
        if (mood := moods.pop(0)) is not None:
            raise mood
        return "post"

    @shop.app.on(shop.order, retry=Retry(0))
    def receipt(change: Change[Any], mail: Annotated[str, Depends(mailer)]) -> None:
        shop.seen.append((change.key, mail))

    with World(shop.app, seed=1) as world:
        world.put(shop.order(id="o1"))
        world.settle()
        assert world.dead_letters(receipt) == []
    assert shop.seen == [("o1", "post")]


# ---- outputs -----------------------------------------------------------------------------------------------


class Recorder:
    """A sink that answers from a list, and remembers."""

    def __init__(self, *answers: Outcome | Exception) -> None:
        self.answers = list(answers)
        self.written: list[list[object]] = []

    async def write(self, batch: Written_batch) -> Outcome:
        assert batch.values is not None
        assert len(batch.values) == len(batch.records)
        self.written.append(list(batch.values))
        answer = self.answers.pop(0) if self.answers else Written()
        if isinstance(answer, Exception):
            raise answer
        return answer


def outputs(shop: Shop, sink: Recorder, orders: tuple[str, ...] = ("a", "b", "c")) -> World:
    """A world in which a handler returns the ids of orders, but not of b."""

    @shop.app.on(shop.order, retry=Retry(1, backoff="1s..1s"), id="ids")
    def ids(change: Change[Any]) -> str | None:
        shop.seen.append(change.key)
        return None if change.key == "b" else change.key.upper()

    shop.app.sink(ids, sink)
    world = World(shop.app, seed=1)
    for name in orders:
        world.put(shop.order(id=name))
    world.settle()
    return world


def test_what_a_handler_returns_goes_to_its_sink(shop: Shop) -> None:
    sink = Recorder()
    outputs(shop, sink).close()
    assert sink.written == [["A", "C"]]


@pytest.mark.parametrize(
    ("answer", "again"),
    [
        (Failed({1: Failure(error="refused")}), ["C"]),
        (FailedFrom(1, Failure(error="refused")), ["C"]),
        (Failed(whole=Failure(error="refused")), ["A", "C"]),
        (Unavailable("down"), ["A", "C"]),
    ],
    ids=["one", "from one on", "all", "an outage"],
)
def test_a_value_that_its_sink_refuses_is_handled_and_written_again(
    shop: Shop, answer: Outcome | Exception, again: list[str]
) -> None:
    sink = Recorder(answer)
    with outputs(shop, sink) as world:
        assert world.dead_letters("ids") == []
        assert world.lag() == 0
    assert sink.written[0] == ["A", "C"]
    assert sorted(str(value) for written in sink.written[1:] for value in written) == again


def test_a_value_that_is_refused_to_the_end_is_a_dead_letter(shop: Shop) -> None:
    refused = [Failed({0: Failure(error="malformed")})] * 2
    with outputs(shop, Recorder(*refused), ("a",)) as world:
        (letter,) = world.dead_letters("ids")
    assert (letter.change.key, letter.error) == ("a", "malformed")


def test_a_returned_value_without_a_sink_is_said_once(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    @shop.app.on(shop.order)
    def ids(change: Change[Any]) -> str:
        return str(change.key)

    with World(shop.app, seed=1) as world, caplog.at_level(logging.WARNING, "tailrace.handlers"):
        for name in "abc":
            world.put(shop.order(id=name))
            world.settle()
    (said,) = [record.getMessage() for record in caplog.records]
    assert "ids returned str, and it has no sink: app.sink(" in said
