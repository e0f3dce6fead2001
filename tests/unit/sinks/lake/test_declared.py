"""A lake whose entities are the classes that an app declares."""

from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from tailrace import App, Item, sinks
from tailrace.errors import SettingsError
from tailrace.testing import World

app = App("shop")
shop = app.table("shop", pk="pk", sk="sk")


class Order(Item, table=shop, pk="ORDER#{id}", sk="META"):
    id: str
    total: Decimal = Decimal(0)
    note: str | None = None


class Line(Item, table=shop, pk="ORDER#{order}", sk="LINE#{number}"):
    order: str
    number: int


def filled(lake: sinks.ParquetLake | sinks.ParquetLog) -> None:
    """The lake of an app with these classes, after a few changes."""
    mirror = App("mirror")
    table = mirror.table("shop", pk="pk", sk="sk")
    mirror.sink(table, lake, id="lake")
    with World(mirror) as world:
        world.put("shop", {"pk": "ORDER#o1", "sk": "META", "id": "o1", "total": Decimal("1.5")})
        world.put("shop", {"pk": "ORDER#o1", "sk": "LINE#1", "order": "o1", "number": 1})
        world.put("shop", {"pk": "ORDER#o2", "sk": "META", "id": "o2", "total": Decimal(7)})
        world.put("shop", {"pk": "VISIT#7", "sk": "x", "by": "nobody"})
        world.delete("shop", {"pk": "ORDER#o2", "sk": "META"})
        world.settle()


def test_a_class_stands_for_all_classes_of_its_table(tmp_path: Path) -> None:
    lake = sinks.ParquetLake(tmp_path, "shop", entities=Order)
    filled(lake)
    for _ in range(2):
        assert [row["id"] for row in lake.read("Order").to_pylist()] == ["o1"]
        assert [row["number"] for row in lake.read("Line").to_pylist()] == [1]
        assert [row["by"] for row in lake.read("_other").to_pylist()] == ["nobody"]
        lake.compact()


def test_a_class_has_its_columns_from_the_start(tmp_path: Path) -> None:
    log = sinks.ParquetLog(tmp_path, "shop", entities=Line)
    filled(log)
    schema = log.read("Order").schema
    assert schema.field("total").type == pa.decimal128(10, 9)
    assert schema.field("note").type == pa.string()
    assert log.read("Line").schema.field("number").type == pa.int64()


def test_a_table_that_was_made_with_other_classes_is_refused(tmp_path: Path) -> None:
    filled(sinks.ParquetLake(tmp_path, "shop", entities=Order))
    with pytest.raises(SettingsError, match=r"rules=(.|\n)*Order"):
        sinks.ParquetLake(tmp_path, "shop").files()


def test_a_class_without_a_table_is_refused(tmp_path: Path) -> None:
    class Loose(Item):
        id: str

    with pytest.raises(SettingsError, match="Loose is in no table"):
        sinks.ParquetLake(tmp_path, "shop", entities=Loose).files()
