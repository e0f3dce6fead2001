"""Dataclasses, attrs classes and pydantic models as entities, as they are."""

import sys
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any

import attrs
import pydantic
import pytest

from tailrace import App, Attribute, Change, Item, Retry, changed, new
from tailrace.app.entity import Entity
from tailrace.errors import ItemError
from tailrace.testing import World


@dataclass
class Size:
    width: int
    height: int = 1


@dataclass(frozen=True, slots=True, weakref_slot=True)
class FrozenOrder:
    id: str
    size: Size
    total: Decimal = Decimal(0)
    tags: set[str] = field(default_factory=set)
    note: Annotated[str | None, Attribute("remark")] = None
    cached: int = field(init=False, default=0, compare=False)


@attrs.define
class AttrsOrder:
    id: str
    size: Size
    total: Decimal = Decimal(0)
    _tags: set[str] = attrs.field(factory=set)
    first: str = attrs.field(default=attrs.Factory(lambda self: self.id[:1], takes_self=True))


class PydanticOrder(pydantic.BaseModel):
    id: str
    size: Size
    total: Decimal = pydantic.Field(default=Decimal(0), ge=0)
    tags: set[str] = pydantic.Field(default_factory=set)
    created_by: str = pydantic.Field(default="me", alias="createdBy")
    page: pydantic.HttpUrl | None = None


MODELS: list[tuple[Any, Any, dict[str, Any]]] = [
    (
        FrozenOrder,
        FrozenOrder("o1", Size(2), Decimal("1.5"), {"a"}, "hi"),
        {"tags": {"SS": ["a"]}, "remark": {"S": "hi"}},
    ),
    (AttrsOrder, AttrsOrder("o1", Size(2), Decimal("1.5"), {"a"}),
     {"_tags": {"SS": ["a"]}, "first": {"S": "o"}}),
    (
        PydanticOrder,
        PydanticOrder(id="o1", size=Size(2), total=Decimal("1.5"), createdBy="you",
                      page="https://example.com/a"),  # type: ignore[arg-type]
        {"createdBy": {"S": "you"}, "page": {"S": "https://example.com/a"}},
    ),
]  # fmt: skip


def entity_of(cls: Any) -> tuple[App, Entity[Any]]:
    """A class in a table."""
    app = App("shop")
    return app, app.entity(cls, app.table("shop", pk="pk", sk="sk"), pk="ORDER#{id}", sk="META")


@pytest.mark.parametrize(("cls", "instance", "own"), MODELS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_class_is_written_and_read_as_it_is(cls: Any, instance: Any, own: dict[str, Any]) -> None:
    _, entity = entity_of(cls)
    item = entity.encode(instance)
    assert item == {
        "pk": {"S": "ORDER#o1"},
        "sk": {"S": "META"},
        "id": {"S": "o1"},
        "total": {"N": "1.5"},
        "size": {"M": {"width": {"N": "2"}, "height": {"N": "1"}}},
        **own,
    }
    assert entity.decode(item) == instance
    item["campaign"] = {"S": "xmas"}
    assert entity.encode(entity.decode(item)) == item


@pytest.mark.parametrize(("cls", "instance", "own"), MODELS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_class_is_given_to_its_handlers(cls: Any, instance: Any, own: dict[str, Any]) -> None:
    app, entity = entity_of(cls)
    seen: list[Any] = []

    @app.on(cls, where=changed(entity["total"]) & (new(entity["total"]) > 1))
    def watch(change: Change[Any]) -> None:
        seen.append((change.key, change.old, change.new))

    with World(app, seed=1) as world:
        world.put(instance)
        world.update(cls, id="o1", total=Decimal(3))
        world.update(cls, id="o1", total=Decimal(1))
        world.settle()
        assert world.get(cls, id="o1").total == 1
    assert [(key, old, new.total) for key, old, new in seen] == [
        ("o1", None, Decimal("1.5")),
        ("o1", instance, 3),
    ]


def test_what_a_model_refuses_is_a_dead_letter_that_says_why() -> None:
    app, entity = entity_of(PydanticOrder)

    @app.on(entity, retry=Retry(0))
    def watch(change: Change[PydanticOrder]) -> None:
        assert change.new.total >= 0

    with World(app, seed=1) as world:
        item = entity.encode(MODELS[2][1]) | {"total": {"N": "-1"}}
        world.client("dynamodb").put_item(TableName="shop", Item=item)
        world.settle()
        (letter,) = world.dead_letters(watch)
    assert "PydanticOrder refuses" in letter.error


def test_a_slotted_class_without_room_forgets_what_is_unknown() -> None:
    @dataclass(slots=True)
    class Bare:
        id: str

    app = App("shop")
    entity = app.entity(Bare, app.table("bare", pk="id"))
    assert entity.encode(entity.decode({"id": {"S": "a"}, "x": {"S": "?"}})) == {"id": {"S": "a"}}


def test_a_model_may_hold_itself() -> None:
    app = App("shop")
    entity = app.entity(Node, app.table("nodes", pk="name"))
    tree = Node(name="a", inside=[Node(name="b", inside=[Node(name="c")])])
    assert entity.decode(entity.encode(tree)) == tree


class Node(Item):
    name: str
    inside: "list[Node]" = []  # noqa: RUF012  # copied for every instance


def test_a_missing_attribute_is_named() -> None:
    _, entity = entity_of(FrozenOrder)
    with pytest.raises(
        ItemError, match=r"FrozenOrder\.size: the item has no attribute 'size'; give the field a default"
    ):
        entity.decode({"pk": {"S": "ORDER#o1"}, "sk": {"S": "META"}})


def test_no_library_is_imported_for_somebody_who_does_not_use_it() -> None:
    import subprocess

    program = (
        "import sys\nfrom tailrace import App, Item, Change, Depends, changed, new\napp = App('shop')\n"
        "t = app.table('shop', pk='id')\n"
        "class Order(Item, table=t):\n    id: str\n"
        "app.on(Order, where=changed(Order.id))(lambda change: None)\n"
        "heavy = {name for name in sys.modules if name.split('.')[0] in ('pydantic', 'attr', "
        "'attrs', 'boto3', 'botocore', 'aiohttp', 'asyncio', 'rich', 'click', 'socket', 'sqlite3') "
        "or name.startswith(('tailrace.server', 'tailrace.engine', 'tailrace.runtime', "
        "'tailrace.stores', 'tailrace.cli', 'tailrace.testing'))}\nassert not heavy, heavy\n"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
