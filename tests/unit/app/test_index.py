"""Secondary indexes as an app declares them: checked as keys are, made with their table or added to it, never
changed in silence.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from tailrace import App, Index, Item
from tailrace.app.index import key_types
from tailrace.app.table import Table
from tailrace.compose import EngineOptions, create_tables, open_engine
from tailrace.engine.settings import EngineSettings
from tailrace.errors import ItemError, SettingsError
from tailrace.testing import World


def table(**given: Any) -> Table:
    """A table of an app of its own."""
    return App("shop").table("orders", **{"pk": "id", **given})


def made(**given: Any) -> App:
    """An app with one table."""
    app = App("shop")
    app.table("orders", **{"pk": "id", "sk": "at", **given})
    return app


BY_COUNTRY = {"by_country": Index("country", "total", sk_type="N")}


def test_the_indexes_are_made_with_their_table() -> None:
    indexes = {**BY_COUNTRY, "by_status": Index(sk="status", projection=("total",))}
    with World(made(indexes=indexes), seed=1) as world:
        shown = world.client("dynamodb").describe_table(TableName="orders")["Table"]
    (country,), (status,) = shown["GlobalSecondaryIndexes"], shown["LocalSecondaryIndexes"]
    assert (country["IndexName"], country["Projection"]) == ("by_country", {"ProjectionType": "ALL"})
    assert [element["AttributeName"] for element in country["KeySchema"]] == ["country", "total"]
    assert [element["AttributeName"] for element in status["KeySchema"]] == ["id", "status"]
    assert status["Projection"] == {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["total"]}
    types = {
        attribute["AttributeName"]: attribute["AttributeType"] for attribute in shown["AttributeDefinitions"]
    }
    assert types == {"id": "S", "at": "S", "status": "S", "country": "S", "total": "N"}


def test_a_key_of_the_table_has_its_type_in_an_index_too() -> None:
    types = key_types(table(sk="at", sk_type="N", indexes={"by_time": Index("country", "at")}))
    assert types == {"id": "S", "at": "N", "country": "S"}


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("no index", {"indexes": {"by_country": ("country", "total")}},
     "is no index: from tailrace import Index"),
    ("a name that is too short", {"indexes": {"by": Index("country")}}, "3 to 255"),
    ("a local one of a table without a sort key", {"indexes": {"by_total": Index(sk="total")}},
     "a table with one"),
    ("nothing", {"indexes": {"by_total": Index()}}, "sort key of its own"),
    ("the table's own key again", {"sk": "at", "indexes": {"by_time": Index(sk="at")}},
     "sort key of its own"),
    ("a type for the table's partition key", {"sk": "at", "indexes": {"by_x": Index(sk="x", pk_type="N")}},
     "has the table's partition key"),
    ("a type of nothing", {"indexes": {"by_x": Index("x", sk_type="N")}}, "it has no sort key"),
    ("one attribute twice", {"indexes": {"by_x": Index("x", "x")}}, "both 'x'"),
    ("no attribute", {"indexes": {"by_x": Index("")}}, "1 to 255 bytes"),
    ("an unknown type", {"indexes": {"by_x": Index("x", pk_type="SS")}}, "'S', 'N' or 'B'"),  # type: ignore[arg-type]
    ("two types",
     {"indexes": {"by_x": Index("id", "x"), "by_y": Index("x", pk_type="N"),
                  "by_z": Index("x", pk_type="S")}}, "of type S, and of type N"),
    ("another type than the table's", {"indexes": {"by_id": Index("x", "id", sk_type="N")}},
     "in another key"),
    ("an unknown projection", {"indexes": {"by_x": Index("x", projection="NOTHING")}},
     "projection='NOTHING'"),  # type: ignore[arg-type]
    ("an empty projection", {"indexes": {"by_x": Index("x", projection=())}}, "names of attributes"),
    ("a name twice", {"indexes": {"by_x": Index("x", projection=("a", "a"))}}, "different names"),
    ("too many", {"indexes": {f"by_{number}": Index("x") for number in range(21)}}, "at most 20"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "words"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_what_is_no_index_is_refused_where_it_is_declared(given: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError) as refused:
        table(**given)
    assert words in str(refused.value)
    assert "'orders'" in str(refused.value)


def test_a_table_that_is_there_gets_its_new_indexes_and_they_are_filled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    with World(made(), seed=1) as world:
        for number in range(20):
            world.put(
                "orders", {"id": f"o{number}", "at": "1", "weekday": "1", "country": "NL", "total": number}
            )
        more = {**BY_COUNTRY, "by_day": Index("weekday", projection="KEYS_ONLY")}
        create_tables(made(indexes=more), world.engine)
        create_tables(made(indexes=more), world.engine)
        world.advance("1m")
        client = world.client("dynamodb")
        for index, name in (("by_country", "country"), ("by_day", "weekday")):
            answer = client.query(
                TableName="orders",
                IndexName=index,
                KeyConditionExpression=f"{name} = :v",
                ExpressionAttributeValues={":v": {"S": "NL" if name == "country" else "1"}},
            )
            assert answer["Count"] == 20
    assert "index by_country is added" in caplog.text


def test_one_index_is_added_at_a_time_and_the_others_are_told(caplog: pytest.LogCaptureFixture) -> None:
    with World(made(), seed=1, settings=EngineSettings(aws_delays=True)) as world:
        world.advance("1m")
        more = made(indexes={**BY_COUNTRY, "by_day": Index("at")})
        create_tables(more, world.engine)
        shown = world.engine.describe_table("orders")["GlobalSecondaryIndexes"]
        assert [index["IndexName"] for index in shown] == ["by_country"]
        assert "takes one index at a time: by_day is added at the next start" in caplog.text
        world.advance("1m")
        create_tables(more, world.engine)
        shown = world.engine.describe_table("orders")["GlobalSecondaryIndexes"]
        assert {index["IndexName"] for index in shown} == {"by_country", "by_day"}


OTHERS: list[tuple[str, dict[str, Index], str]] = [
    ("another key", {"by_country": Index("country")}, "another index 'by_country': global, country (S), "
     "total (N), projection ALL instead of global, country (S)"),
    ("another type", {"by_country": Index("country", "total")},
     "total (N), projection ALL instead of global, country (S), total (S)"),
    ("another projection", {"by_country": Index("country", "total", sk_type="N", projection=("x",))},
     "projection INCLUDE x"),
    ("a local one", {"by_country": Index(sk="country")}, "instead of local, id (S), country (S)"),
    ("a new local one", {**BY_COUNTRY, "by_status": Index(sk="status")},
     "without the local index 'by_status'"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("indexes", "words"), [case[1:] for case in OTHERS], ids=[case[0] for case in OTHERS]
)
def test_an_index_that_differs_is_refused_in_words(indexes: dict[str, Index], words: str) -> None:
    engine = open_engine(EngineOptions())
    try:
        create_tables(made(indexes=BY_COUNTRY), engine)
        create_tables(made(), engine)  # one that no app declares stays
        with pytest.raises(SettingsError) as refused:
            create_tables(made(indexes=indexes), engine)
        assert words in str(refused.value)
        assert refused.value.hint
    finally:
        engine.close()


def test_an_attribute_of_another_type_cannot_become_a_key_of_an_index() -> None:
    engine = open_engine(EngineOptions())
    try:
        create_tables(made(indexes=BY_COUNTRY), engine)
        with pytest.raises(SettingsError, match="index 'by_total' cannot be added"):
            create_tables(made(indexes={"by_total": Index("total", pk_type="S")}), engine)
    finally:
        engine.close()


# ---- classes -----------------------------------------------------------------------------------------------


SHOP = {"gsi1": Index("gsi1pk", "gsi1sk"), "by_total": Index("kind", "total", sk_type="N")}


def shop() -> Table:
    """A table for several entities, with two indexes."""
    return App("shop").table("shop", pk="pk", sk="sk", indexes=SHOP)


def test_templates_make_the_keys_of_indexes_out_of_fields() -> None:
    class Order(
        Item,
        table=shop(),
        pk="ORDER#{id}",
        sk="META",
        keys={"gsi1pk": "COUNTRY#{country}", "gsi1sk": "{number:06}"},
    ):
        id: str
        country: str | None = None
        number: int = 0
        total: Decimal = Decimal(0)

    entity = App("other").entity(Order)
    item = entity.encode(Order(id="o1", country="NL", number=12))
    assert (item["gsi1pk"], item["gsi1sk"]) == ({"S": "COUNTRY#NL"}, {"S": "000012"})
    assert entity.decode(item) == Order(id="o1", country="NL", number=12)
    assert "gsi1pk" not in entity.encode(Order(id="o1"))  # without a country it is not in the index
    assert entity.split({"id": "o1", "country": "BE"})[1]["gsi1pk"] == {"S": "COUNTRY#BE"}
    assert entity.split({"id": "o1", "country": None})[1] == {"country": None, "gsi1pk": None}
    assert "gsi1pk" not in entity.split({"id": "o1", "total": Decimal(1)})[1]


def test_an_update_of_one_field_of_an_index_key_asks_for_the_others() -> None:
    class Order(Item, table=shop(), pk="ORDER#{id}", sk="META", keys={"gsi1pk": "{country}#{city}"}):
        id: str
        country: str
        city: str

    entity = App("other").entity(Order)
    with pytest.raises(ItemError, match=r"made of country, city .* give city too"):
        entity.split({"id": "o1", "country": "BE"})
    assert entity.split({"id": "o1", "country": "BE", "city": "Gent"})[1]["gsi1pk"] == {"S": "BE#Gent"}


def _number_where_a_text_is_due(shop: Table) -> None:
    class Order(Item, table=shop, pk="ORDER#{id}", sk="META"):
        id: str
        kind: int


def _text_where_a_number_is_due(shop: Table) -> None:
    class Order(Item, table=shop, pk="ORDER#{id}", sk="META"):
        id: str
        total: str


def _null_in_a_key(shop: Table) -> None:
    class Order(Item, table=shop, pk="ORDER#{id}", sk="META"):
        id: str
        kind: str | None = "order"


def _no_key_of_an_index(shop: Table) -> None:
    class Order(Item, table=shop, pk="ORDER#{id}", sk="META", keys={"gsi2pk": "{id}"}):
        id: str


def _no_field(shop: Table) -> None:
    class Order(Item, table=shop, pk="ORDER#{id}", sk="META", keys={"gsi1pk": "{contry}"}):
        id: str
        country: str


def _keys_without_a_table(shop: Table) -> None:
    class Order(Item, keys={"gsi1pk": "{id}"}):
        id: str


def _a_dataclass(shop: Table) -> None:
    @dataclass
    class Order:
        id: str
        total: str

    App("shop").entity(Order, shop, pk="ORDER#{id}", sk="META")


@pytest.mark.parametrize(
    ("declare", "words"),
    [
        (_number_where_a_text_is_due, "Order.kind is int (N), and the attribute 'kind' is a key of type S"),
        (_text_where_a_number_is_due, "Order.total is str (S), and the attribute 'total' is a key of type N"),
        (_null_in_a_key, "Order.kind may be None and would be kept as NULL"),
        (_no_key_of_an_index, "'gsi2pk' is no key of an index of table 'shop'"),
        (_no_field, "Order has no field 'contry'"),
        (_keys_without_a_table, "a key without a table"),
        (_a_dataclass, "Order.total is str (S)"),
    ],
)
def test_a_class_that_does_not_fit_an_index_is_refused(declare: Callable[[Table], None], words: str) -> None:
    with pytest.raises(SettingsError) as refused:
        declare(shop())
    assert words in str(refused.value)
