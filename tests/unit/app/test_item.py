"""Item classes: what they declare, what becomes of their instances, and typed handlers in the world."""

from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest

from tailrace import App, Attribute, Change, Epoch, Item
from tailrace.app.entity import Entity
from tailrace.app.item import entity_of
from tailrace.errors import ItemError
from tailrace.testing import World

app = App("shop")
shop = app.table("shop", pk="pk", sk="sk")


class Status(StrEnum):
    NEW = "new"
    PAID = "paid"


class Level(Enum):
    LOW = 1
    HIGH = 2


class Address(Item):
    city: str
    zip: str = ""


class Line(Item):
    sku: str
    count: int = 1


class Order(Item, table=shop, pk="ORDER#{id}", sk="META"):
    id: str
    status: Status = Status.NEW
    total: Decimal = Decimal(0)
    placed_at: datetime | None = None
    address: Address | None = None
    lines: list[Line] = []  # noqa: RUF012  # copied for every instance
    tags: set[str] = set()  # noqa: RUF012  # copied for every instance
    note: str | None = "none yet"
    modified_at: Annotated[datetime | None, Attribute("modified")] = None


class OrderLine(Item, table=shop, pk="ORDER#{order}", sk="LINE#{number:04}"):
    order: str
    number: int


order_entity: Entity[Order] = entity_of(Order)
NOON = datetime(2026, 11, 23, 12, 0, 0, 5, tzinfo=UTC)


def test_fields_are_given_by_keyword_and_have_defaults() -> None:
    order = Order(id="o1")
    assert (order.id, order.status, order.total, order.lines) == ("o1", Status.NEW, 0, [])
    assert order == Order(id="o1")
    assert order != Order(id="o2")
    assert repr(Line(sku="a")) == "Line(sku='a', count=1)"


def test_a_default_that_can_change_is_every_instances_own() -> None:
    first, second = Order(id="o1"), Order(id="o1")
    first.lines.append(Line(sku="a"))
    assert second.lines == []


def test_a_field_that_is_missing_or_none_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(TypeError, match=r"Order: id= is missing"):
        Order()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"no field 'totl'; did you mean 'total'"):
        Order(id="o1", totl=1)  # type: ignore[call-arg]


def test_the_item_holds_the_key_and_leaves_out_what_is_none_or_empty() -> None:
    assert order_entity.encode(Order(id="o1", address=Address(city="Delft"), note=None)) == {
        "pk": {"S": "ORDER#o1"},
        "sk": {"S": "META"},
        "id": {"S": "o1"},
        "status": {"S": "new"},
        "total": {"N": "0"},
        "address": {"M": {"city": {"S": "Delft"}, "zip": {"S": ""}}},
        "lines": {"L": []},
        "note": {"NULL": True},
    }


def test_an_attribute_may_have_another_name() -> None:
    item = order_entity.encode(Order(id="o1", modified_at=NOON))
    assert item["modified"] == {"S": "2026-11-23T12:00:00.000005Z"}
    assert order_entity.decode(item).modified_at == NOON


def test_what_is_unknown_survives_a_round_trip() -> None:
    item = order_entity.encode(Order(id="o1"))
    item |= {"campaign": {"S": "xmas"}, "tags": {"NULL": True}}
    order = order_entity.decode(item)
    order.total = Decimal(5)
    assert order_entity.encode(order) == item | {"total": {"N": "5"}}


def test_a_field_is_read_out_of_the_key_where_its_attribute_is_absent() -> None:
    line = entity_of(OrderLine).decode({"pk": {"S": "ORDER#o1"}, "sk": {"S": "LINE#0012"}})
    assert (line.order, line.number) == ("o1", 12)


def test_numbers_in_keys_are_padded_so_that_they_sort() -> None:
    keys = [entity_of(OrderLine).encode(OrderLine(order="o1", number=n))["sk"]["S"] for n in (2, 10)]
    assert keys == ["LINE#0002", "LINE#0010"] == sorted(keys)


def test_the_key_says_which_entity_an_item_is() -> None:
    order, line = (
        order_entity.encode(Order(id="o1")),
        entity_of(OrderLine).encode(OrderLine(order="o1", number=3)),
    )
    assert [order_entity.fits(order), order_entity.fits(line)] == [True, False]
    assert [entity_of(OrderLine).fits(order), entity_of(OrderLine).fits(line)] == [False, True]
    assert not entity_of(OrderLine).fits({"pk": {"S": "ORDER#o1"}, "sk": {"S": "LINE#x"}})


VALUES: list[tuple[Any, Any, Any]] = [
    (str, "ü", {"S": "ü"}),
    (int, -3, {"N": "-3"}),
    (int, 10**37, {"N": "1" + "0" * 37}),
    (Decimal, Decimal("1.50"), {"N": "1.5"}),
    (float, 0.1, {"N": "0.1"}),
    (float, 1e-7, {"N": "0.0000001"}),
    (bool, True, {"BOOL": True}),
    (bytes, b"\x00\xff", {"B": "AP8="}),
    (datetime, NOON, {"S": "2026-11-23T12:00:00.000005Z"}),
    (datetime, NOON.replace(tzinfo=None), {"S": "2026-11-23T12:00:00.000005"}),
    (Epoch, NOON.replace(microsecond=0), {"N": "1795435200"}),
    (date, NOON.date(), {"S": "2026-11-23"}),
    (time, time(9, 30), {"S": "09:30:00.000000"}),
    (UUID, UUID(int=5), {"S": "00000000-0000-0000-0000-000000000005"}),
    (Status, Status.PAID, {"S": "paid"}),
    (Level, Level.HIGH, {"N": "2"}),
    (Literal["a", "b"], "b", {"S": "b"}),
    (list[int], [1, 2], {"L": [{"N": "1"}, {"N": "2"}]}),
    (list[int | None], [1, None], {"L": [{"N": "1"}, {"NULL": True}]}),
    (tuple[int, str], (1, "a"), {"L": [{"N": "1"}, {"S": "a"}]}),
    (tuple[int, ...], (1, 2), {"L": [{"N": "1"}, {"N": "2"}]}),
    (set[str], {"b", "a"}, {"SS": ["a", "b"]}),
    (frozenset[Decimal], frozenset({Decimal(1)}), {"NS": ["1"]}),
    (set[bytes], {b"a"}, {"BS": ["YQ=="]}),
    (set[Status], {Status.PAID}, {"SS": ["paid"]}),
    (dict[str, Decimal], {"a": Decimal(1)}, {"M": {"a": {"N": "1"}}}),
    (dict[str, Any], {"a": [None, True]}, {"M": {"a": {"L": [{"NULL": True}, {"BOOL": True}]}}}),
    (Any, {Decimal(1)}, {"NS": ["1"]}),
    (int | str, "a", {"S": "a"}),
    (int | str | None, 7, {"N": "7"}),
    (Address, Address(city="Delft"), {"M": {"city": {"S": "Delft"}, "zip": {"S": ""}}}),
    (list[Address], [Address(city="a")], {"L": [{"M": {"city": {"S": "a"}, "zip": {"S": ""}}}]}),
]  # fmt: skip


def holder(annotation: Any) -> Entity[Any]:
    """An entity with one field of a type."""
    table = App("values").table("values", pk="id")
    return entity_of(
        type(Item)("Holder", (Item,), {"__annotations__": {"id": str, "value": annotation}}, table=table)
    )


def in_words(value: Any) -> str:
    """A case's name: the same in every process, where the order of a set is not."""
    return str(sorted(value, key=repr) if isinstance(value, set | frozenset) else value)[:30]


@pytest.mark.parametrize(("annotation", "value", "attribute"), VALUES, ids=in_words)
def test_a_value_is_written_and_read_as_its_type(annotation: Any, value: Any, attribute: Any) -> None:
    entity = holder(annotation)
    item = entity.encode(entity.cls(id="a", value=value))
    assert item["value"] == attribute
    read = entity.decode(item).value
    assert read == value
    assert type(read) is type(value)


NO_VALUES: list[tuple[Any, Any, str]] = [
    (str, 1, "1 is no str"),
    (int, True, "True is no int"),
    (Decimal, 0.1, r"write Decimal\('0.1'\)"),
    (Decimal, Decimal("NaN"), "no number"),
    (float, float("inf"), "no number"),
    (datetime, date(2026, 1, 1), "no datetime"),
    (date, NOON, "is a datetime"),
    (Epoch, NOON.replace(tzinfo=None), "no time zone"),
    (Status, "sent", "'sent' is not Status"),
    (Literal["a"], "b", "'b' is not one of 'a'"),
    (list[str], "ab", "no list"),
    (tuple[int, int], (1,), "tuple of 2"),
    (set[str], {1}, "no str"),
    (dict[str, int], {1: 1}, "1 is no str"),
    (Address, Line(sku="a"), "no Address"),
    (set[str] | None, set(), "use None"),
    (int | str, 1.5, "1.5 is not int . str"),
    (Decimal, Decimal(10) ** 130, "Number overflow"),
]


@pytest.mark.parametrize(("annotation", "value", "words"), NO_VALUES, ids=lambda value: str(value)[:30])
def test_a_value_of_another_type_is_refused_with_its_field(annotation: Any, value: Any, words: str) -> None:
    entity = holder(annotation)
    with pytest.raises(ItemError, match=words) as refused:
        entity.encode(entity.cls(id="a", value=value))
    assert "Holder" in str(refused.value)


@pytest.mark.parametrize(
    ("annotation", "attribute"),
    [(str, {"N": "1"}), (int, {"N": "1.5"}), (Status, {"S": "sent"}), (datetime, {"S": "noon"}),
     (Address, {"M": {}}), (set[str], {"S": "a"})],
    ids=str,
)  # fmt: skip
def test_an_attribute_of_another_type_is_refused_with_its_field(annotation: Any, attribute: Any) -> None:
    with pytest.raises(ItemError, match=r"Holder\.value"):
        holder(annotation).decode({"id": {"S": "a"}, "value": attribute})


def test_a_typed_handler_is_given_typed_changes() -> None:
    app = App("typed")
    table = app.table("shop", pk="pk", sk="sk")

    class Parcel(Item, table=table, pk="PARCEL#{id}", sk="META"):
        id: str
        weight: Decimal = Decimal(1)

    seen: list[tuple[Any, ...]] = []

    @app.on(Parcel)
    def watch(change: Change[Parcel]) -> None:
        seen.append((change.event_name, change.key, change.old, change.new, change.diff(), change.origin))

    with World(app, seed=1) as world:
        world.put(Parcel(id="p1"))
        world.update(Parcel, id="p1", weight=Decimal("2.5"))
        assert world.get(Parcel, id="p1") == Parcel(id="p1", weight=Decimal("2.5"))
        world.delete(Parcel, id="p1")
        world.settle()
        assert world.get(Parcel, id="p1") is None
        assert world.delivered(watch) == ["p1", "p1", "p1"]
    light, heavy = Parcel(id="p1"), Parcel(id="p1", weight=Decimal("2.5"))
    assert seen == [
        ("INSERT", "p1", None, light, {"id": (None, "p1"), "weight": (None, 1)}, "user"),
        ("MODIFY", "p1", light, heavy, {"weight": (1, Decimal("2.5"))}, "user"),
        ("REMOVE", "p1", heavy, None, {"id": ("p1", None), "weight": (Decimal("2.5"), None)}, "user"),
    ]
