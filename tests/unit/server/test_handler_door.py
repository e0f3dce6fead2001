"""A handler's client: typed reads and writes of the attached engine or of another DynamoDB, the same wherever
the handler runs.
"""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any

import pytest

from tailrace import App, AsyncClient, Change, Client, Depends, Index, Item, Retry, Unavailable
from tailrace.app.client import Door, answered, awaited
from tailrace.app.typed import entity_among
from tailrace.compose import EngineOptions, running_worker
from tailrace.errors import ApiError, ItemError, SettingsError
from tailrace.runtime.causing import trace_clients
from tailrace.server.handler_door import DoorAtOnce
from tailrace.sinks.dynamodb_door import DynamoDbDoor
from tailrace.tables.mutate import Put
from tailrace.testing import World
from tests.patience import PATIENCE_S


class Shop:
    """A table of two entities with an index of each kind, beside one of plain values."""

    def __init__(self) -> None:
        self.app = App("shop")
        self.shop = self.app.table(
            "shop",
            pk="pk",
            sk="sk",
            indexes={"by_country": Index("country", "amount", sk_type="N"), "by_place": Index(sk="place")},
        )
        self.plain = self.app.table("plain", pk="id", sk="n", sk_type="N", stream=None)

        class Order(Item, table=self.shop, pk="ORDER#{id}", sk="META"):
            id: str
            country: str | None = None
            amount: Decimal = Decimal(0)
            seal: bytes = b""

        class Line(
            Item, table=self.shop, pk="ORDER#{order}", sk="LINE#{part}#{number:04}", keys={"place": "{shelf}"}
        ):
            order: str
            part: str
            number: int
            shelf: str | None = None

        self.order, self.line = Order, Line


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture(params=["the embedded engine", "boto3"])
def db(request: pytest.FixtureRequest, shop: Shop) -> Any:
    """A client of an engine, directly and through boto3."""
    with World(shop.app, seed=1) as world:
        door: Door = DoorAtOnce(world.engine)
        if request.param == "boto3":
            door = DynamoDbDoor(world.client("dynamodb"))
        yield Client(door, entity_among(shop.app.tables))


def test_what_is_put_is_read_back_with_its_types(db: Client, shop: Shop) -> None:
    order = shop.order(id="o1", country="NL", amount=Decimal("1.50"), seal=b"\x00\xff")
    db.put(order)
    assert db.get(shop.order, id="o1") == order
    assert db.get(shop.order, {"id": "o1"}) == order
    assert db.get(shop.order, id="o2") is None
    db.put(shop.plain, {"id": "a", "n": 1, "deep": [b"\x01", {"x": {Decimal(1), Decimal(2)}}]})
    assert db.get(shop.plain, {"id": "a", "n": 1}) == {"id": "a", "n": 1, "deep": [b"\x01", {"x": {1, 2}}]}


def test_an_update_sets_and_removes_and_a_delete_takes_away(db: Client, shop: Shop) -> None:
    db.put(shop.order(id="o1", country="NL"))
    db.update(shop.order, id="o1", amount=Decimal(3), country=None)
    db.update(shop.order, {"id": "o1"}, "ADD amount :more", values={":more": 4})
    assert db.get(shop.order, id="o1") == shop.order(id="o1", amount=Decimal(7))
    db.update("plain", {"id": "a", "n": 1}, "SET x = :x", values={":x": b"\x01"})
    assert db.get("plain", {"id": "a", "n": 1}) == {"id": "a", "n": 1, "x": b"\x01"}
    db.delete(shop.order, id="o1")
    db.delete(shop.order, id="o1")
    assert db.get(shop.order, id="o1") is None


def test_a_condition_that_fails_is_an_error_with_awss_code(db: Client, shop: Shop) -> None:
    db.put(shop.order(id="o1"))
    for write in (
        lambda: db.put(shop.order(id="o1"), condition="attribute_not_exists(pk)"),
        lambda: db.update(shop.order, id="o1", country="BE", condition="amount > :t", values={":t": 5}),
        lambda: db.delete(
            shop.order, id="o1", condition="#c = :c", names={"#c": "country"}, values={":c": "NL"}
        ),
    ):
        with pytest.raises(ApiError) as refused:
            write()
        assert refused.value.code == "ConditionalCheckFailedException"
    assert db.get(shop.order, id="o1") == shop.order(id="o1")


def test_a_query_asks_by_the_fields_of_the_key_and_answers_one_entity(db: Client, shop: Shop) -> None:
    db.put(shop.order(id="o1"))
    lines = [shop.line(order="o1", part=part, number=number) for part in "ab" for number in (2, 10)]
    for line in lines:
        db.put(line)
    assert db.query(shop.order, id="o1") == [shop.order(id="o1")]
    assert db.query(shop.line, order="o1") == lines
    assert db.query(shop.line, order="o1", part="b") == lines[2:]
    assert db.query(shop.line, order="o1", part="b", number=10) == lines[3:]
    assert db.query(shop.line, order="o1", reverse=True, limit=3) == [*reversed(lines)][:3]
    assert db.query(shop.line, order="o2") == []
    assert db.query(shop.line, "sk > :sk", order="o1", values={":sk": "LINE#a#0002"}) == lines[1:]


def test_indexes_are_asked_by_name(db: Client, shop: Shop) -> None:
    orders = [shop.order(id=f"o{number}", country="NL", amount=Decimal(number)) for number in range(5)]
    for order in (*orders, shop.order(id="far", country="JP"), shop.order(id="nowhere")):
        db.put(order)
    db.put(shop.line(order="o1", part="a", number=1, shelf="s7"))
    assert db.query(shop.order, index="by_country", country="NL") == orders
    assert db.query(shop.order, index="by_country", country="NL", amount=3) == orders[3:4]
    assert (
        db.query(shop.order, "amount >= :t", index="by_country", country="NL", values={":t": 3}) == orders[3:]
    )
    assert [line.number for line in db.query(shop.line, index="by_place", order="o1", shelf="s7")] == [1]
    assert db.query(shop.line, index="by_place", order="o1", shelf="s8") == []
    raw = db.query(shop.shop, "country = :c", index="by_country", values={":c": "JP"})
    assert [item["id"] for item in raw] == ["far"]


def test_a_query_reads_page_after_page(db: Client, shop: Shop) -> None:
    for number in range(9):
        db.put(shop.plain, {"id": "a", "n": number, "filling": "x" * 350_000})
    items = db.query(shop.plain, "id = :id", values={":id": "a"})
    assert [item["n"] for item in items] == list(range(9))
    assert len(db.query(shop.plain, "id = :id", values={":id": "a"}, limit=4)) == 4


Ask = Callable[[Client, Shop], object]
WRONG: list[tuple[str, Ask, type[Exception], str]] = [
    ("no partition key", lambda db, shop: db.query(shop.line, part="a"), SettingsError, "order= is missing"),
    ("a field of no key", lambda db, shop: db.query(shop.order, id="o1", amount=1), SettingsError,
     "amount= is no part of the key"),
    ("a field that comes later", lambda db, shop: db.query(shop.line, order="o1", number=1), SettingsError,
     "number= is no part"),
    ("no field at all", lambda db, shop: db.query(shop.line, ordr="o1"), ItemError, "did you mean 'order'"),
    ("an index that is not declared", lambda db, shop: db.query(shop.order, index="by_city", id="o1"),
     SettingsError, "no index 'by_city'"),
    ("an index that the class is not in",
     lambda db, shop: db.query(shop.line, index="by_country", order="o1"), SettingsError,
     "has nothing in 'country'"),
    ("fields and an expression",
     lambda db, shop: db.query(shop.line, "sk > :s", order="o1", part="a", values={":s": "x"}), SettingsError,
     "both ask the sort key"),
    ("a table without an expression", lambda db, shop: db.query(shop.plain), SettingsError,
     "asked by an expression"),
    ("no limit", lambda db, shop: db.query(shop.order, id="o1", limit=0), SettingsError, "limit=0"),
    ("a table that is not there", lambda db, shop: db.get("nothing", {"id": "a"}), ApiError,
     "resource not found"),
    ("a key of another type", lambda db, shop: db.get("plain", {"id": 1, "n": 1}), ApiError, "key element"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("ask", "kind", "words"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG]
)
def test_what_cannot_be_asked_is_refused_in_words(
    shop: Shop, ask: Ask, kind: type[Exception], words: str
) -> None:
    with World(shop.app, seed=1) as world, pytest.raises(kind, match=words):
        ask(Client(DoorAtOnce(world.engine), entity_among(shop.app.tables)), shop)


# ---- handlers ----------------------------------------------------------------------------------------------


def counting(kind: str) -> tuple[App, Any, Any]:
    """An app whose handler keeps, by reads and writes of its own, how many orders a country has."""
    app = App("counting")
    orders = app.table("orders", pk="id")
    countries = app.table("countries", pk="country", stream=None)

    class Order(Item, table=orders):
        id: str
        country: str

    class Country(Item, table=countries):
        country: str
        orders: int = 0

    if kind == "def":

        @app.on(Order.inserted)
        def count(change: Change[Order], db: Annotated[Client, Depends(app.client)]) -> None:
            country = db.get(Country, country=change.new.country) or Country(country=change.new.country)
            db.put(Country(country=country.country, orders=country.orders + 1))
    else:

        @app.on(Order.inserted)
        async def count(change: Change[Order], db: Annotated[AsyncClient, Depends(app.async_client)]) -> None:
            country = await db.get(Country, country=change.new.country) or Country(country=change.new.country)
            await db.put(Country(country=country.country, orders=country.orders + 1))

    return app, Order, Country


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_a_handler_in_a_world_reads_and_writes_its_engine_also_after_a_restart(kind: str) -> None:
    app, order, country = counting(kind)
    with World(app, seed=1) as world:
        for number in range(3):
            world.put(order(id=f"o{number}", country="NL"))
        world.settle()
        world.restart()
        world.put(order(id="o3", country="NL"))
        world.settle()
        assert world.get(country, country="NL") == country(country="NL", orders=4)
        assert world.query(country, country="NL") == [country(country="NL", orders=4)]


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_the_same_handler_runs_in_a_real_worker_in_a_thread_or_on_the_loop(kind: str) -> None:
    app, _, _ = counting(kind)

    async def main() -> None:
        async with running_worker(app, EngineOptions()) as engine:
            for number in range(20):
                engine.put(Put("orders", {"id": {"S": f"o{number}"}, "country": {"S": "NL"}}))
            engine.committer.flush()
            async with asyncio.timeout(PATIENCE_S):
                while (item := engine.get("countries", {"country": {"S": "NL"}})) is None or item[
                    "orders"
                ] != {"N": "20"}:
                    await asyncio.sleep(0.005)

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_with_transactions_elsewhere_the_client_is_of_that_dynamodb(kind: str) -> None:
    app, _, _ = counting(kind)
    with World(counting(kind)[0], seed=1) as far:
        client = far.client("dynamodb")
        app.transactions(client, "marks")

        async def main() -> None:
            async with running_worker(app, EngineOptions()) as engine:
                for number in range(3):
                    engine.put(Put("orders", {"id": {"S": f"o{number}"}, "country": {"S": "NL"}}))
                engine.committer.flush()
                async with asyncio.timeout(PATIENCE_S):
                    while _count(far) < 3:
                        await asyncio.sleep(0.005)
                assert engine.get("countries", {"country": {"S": "NL"}}) is None

        asyncio.run(main())
        item = far.get("countries", {"country": "NL"})
    assert item == {"country": "NL", "orders": 3}


def _count(far: World) -> int:
    item = far.engine.get("countries", {"country": {"S": "NL"}})
    return 0 if item is None else int(item["orders"]["N"])


def test_words_of_a_call_that_are_fields_too_go_in_the_mapping() -> None:
    app = App("words")
    notes = app.table("notes", pk="key")

    class Note(Item, table=notes):
        key: str
        condition: str = ""
        names: str | None = None

    with World(app, seed=1) as world:
        db = Client(DoorAtOnce(world.engine), entity_among(app.tables))
        db.put(Note(key="a", names="x"))
        db.update(Note, {"key": "a", "condition": "good", "names": None})
        assert db.get(Note, {"key": "a"}) == Note(key="a", condition="good")
        db.delete(Note, {"key": "a"})
        assert db.get(Note, {"key": "a"}) is None


@pytest.mark.parametrize("kind", ["def", "async def", "boto3"])
def test_a_handler_that_calls_itself_through_its_client_is_stopped(kind: str) -> None:
    app = App("loop")
    orders = app.table("orders", pk="id")

    class Order(Item, table=orders):
        id: str
        turns: int = 0

    if kind == "async def":

        @app.on(Order, id="turn")
        async def turn(change: Change[Order], db: Annotated[AsyncClient, Depends(app.async_client)]) -> None:
            await db.update(Order, id=change.new.id, turns=change.new.turns + 1)
    else:

        @app.on(Order, id="turn")
        def turn_here(change: Change[Order], db: Annotated[Client, Depends(app.client)]) -> None:
            db.update(Order, id=change.new.id, turns=change.new.turns + 1)

    with World(app, seed=1) as world:
        if kind == "boto3":
            trace_clients()
            client = Client(DynamoDbDoor(world.client("dynamodb")), entity_among(app.tables))
            world.override(app.client, lambda: client)
        world.put(Order(id="o1"))
        world.advance("1m")
        order = world.get(Order, id="o1")
        assert order is not None
        assert order.turns == 16


def test_an_engine_that_is_away_is_an_outage_and_uses_up_no_attempt() -> None:
    app = App("away")
    orders = app.table("orders", pk="id")
    asked: list[str] = []

    @app.on(orders, retry=Retry(0))
    def look(change: Change, db: Annotated[Client, Depends(app.client)]) -> None:
        asked.append(change.key)
        db.get(orders, {"id": change.key})

    class Away:
        def call(self, operation: str, members: Any) -> Any:
            if len(asked) < 3:
                raise Unavailable("no answer")
            return {}

        async def begin(self, operation: str, members: Any) -> Any:
            return self.call(operation, members)

    with World(app, seed=1) as world:
        world.override(app.client, lambda: Client(Away(), entity_among(app.tables)))
        world.put(orders, {"id": "o1"})
        world.settle()
        assert world.delivered(look) == ["o1"]
        assert world.dead_letters(look) == []
    assert asked == ["o1"] * 3


def test_a_client_of_the_other_kind_is_refused_where_the_handler_is_declared() -> None:
    app = App("kinds")
    orders = app.table("orders", pk="id")
    with pytest.raises(SettingsError, match="Client is for def handlers"):

        @app.on(orders)
        async def wait(change: Change, db: Annotated[Client, Depends(app.client)]) -> None: ...

    with pytest.raises(SettingsError, match="AsyncClient is for coroutines"):

        @app.on(orders)
        def here(change: Change, db: Annotated[AsyncClient, Depends(app.async_client)]) -> None: ...

    with pytest.raises(SettingsError, match="a worker provides it"):
        app.client()


def test_the_steps_of_a_call_are_carried_out_alike_by_both_kinds_of_clients(shop: Shop) -> None:
    def steps() -> Any:
        first = yield "GetItem", {"n": 1}
        second = yield "PutItem", {"n": first["n"] + 1}
        return second["n"]

    class Echo:
        def call(self, operation: str, members: Any) -> Any:
            return members

        async def begin(self, operation: str, members: Any) -> Any:
            return members

    assert answered(steps(), Echo()) == 2
    assert asyncio.run(awaited(steps(), Echo())) == 2
