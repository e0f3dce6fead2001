"""Facts of declared columns: what a class says of the columns of its items."""

from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest

from tailrace import App, Attribute, Epoch, Index, Item
from tailrace.app.codec import codec_of
from tailrace.app.columns import declared_entities, kind_of_field
from tailrace.columns.batches import columnise
from tailrace.columns.entities import EntityRules, EntitySorter
from tailrace.columns.kinds import BINARY, BOOL, INT64, JSON, NOTHING, TEXT, Kind
from tailrace.columns.naming import Naming

DECIMAL = Kind("decimal", 0, 9)


class Size(Enum):
    SMALL = 1
    LARGE = 2


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        (str, TEXT), (str | None, TEXT), (int, INT64), (int | None, INT64), (Decimal, DECIMAL),
        (Decimal | None, DECIMAL), (float, DECIMAL), (bool, BOOL), (bytes, BINARY), (datetime, TEXT),
        (date, TEXT), (UUID, TEXT), (Epoch, INT64), (Size, INT64), (Literal["a", "b"], TEXT),
        (list[str], JSON), (dict[str, int], JSON), (set[str], JSON), (set[str] | None, JSON),
        (int | str, JSON), (Any, JSON), (None, NOTHING),
    ],
)  # fmt: skip
def test_every_annotation_has_a_kind(annotation: Any, kind: Kind) -> None:
    assert kind_of_field(codec_of(annotation, lambda _: None)) == kind


def shop() -> App:
    app = App("shop")
    table = app.table("shop", pk="pk", sk="sk", sk_type="N", indexes={"by_country": Index("gsi1pk")})

    class Order(Item, table=table, pk="ORDER#{id}", sk="{number}", keys={"gsi1pk": "COUNTRY#{country}"}):
        id: str
        number: int
        country: str
        total: Decimal = Decimal(0)
        placed: Annotated[datetime | None, Attribute("placed-at")] = None

    class Note(Item, table=table, pk="NOTE#{id}", sk="{number}"):
        id: str
        number: int

    return app


def test_a_class_has_key_columns_first_then_its_fields_in_order() -> None:
    order, note = declared_entities(shop().tables["shop"])
    assert (order.name, order.key_words) == ("Order", "ORDER#{id}, {number}")
    assert order.kinds == {
        "pk": TEXT, "sk": INT64, "gsi1pk": TEXT, "id": TEXT, "number": INT64, "country": TEXT,
        "total": DECIMAL, "placed-at": TEXT,
    }  # fmt: skip
    assert list(order.kinds)[:4] == ["pk", "sk", "gsi1pk", "id"]
    assert note.name == "Note"


def test_items_of_declared_classes_find_their_columns_ready() -> None:
    app = shop()
    declared = declared_entities(app.tables["shop"])
    sorter = EntitySorter(EntityRules("shop", ("pk", "sk")), declared)
    orders = app.tables["shop"].entities[0]
    item = orders.encode(orders.cls(id="o1", number=7, country="NL", total=Decimal("1.25")))
    other = {"pk": {"S": "x"}, "sk": {"N": "1"}}
    assert sorter.rows_of([item, other, {**other, "pk": {"S": "NOTE#1"}}]) == {
        "Order": [0], "_other": [1], "Note": [2],
    }  # fmt: skip
    table = sorter.new_tables(["Order"], Naming(folds=True))["Order"]
    batch = columnise(table, [item])
    assert (table.name, [column.name for column in table.columns][-1]) == ("order", "placed_at")
    assert [values[0] for values in batch.values] == [
        "ORDER#o1", 7, "COUNTRY#NL", "o1", 7, "NL", Decimal("1.25"), None,
    ]  # fmt: skip
    assert batch.table.changes_from(table) == []


def test_a_whole_number_that_is_none_widens_the_column_of_an_int() -> None:
    declared = declared_entities(shop().tables["shop"])
    table = EntitySorter(EntityRules("shop", ("pk", "sk")), declared).new_tables(["Note"])["Note"]
    batch = columnise(table, [{"pk": {"S": "NOTE#1"}, "sk": {"N": "1"}, "number": {"N": "1.5"}}])
    assert str(batch.table.column("number").kind) == "decimal(38,1)"  # type: ignore[union-attr]
    assert batch.conflicts == {}
