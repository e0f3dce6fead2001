"""What is wrong with an app is refused when it is loaded, in words that name the handler and say how to fix
it: a test for each refusal.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any

import pytest

from tailrace import App, Attribute, Batch, Change, Depends, Item, Park, by_ttl, changed, new, old, sinks
from tailrace.app.item import entity_of
from tailrace.app.table import Table
from tailrace.errors import ItemError, SettingsError

app = App("shop")
shop = app.table("shop", pk="pk", sk="sk")


class Colour(Enum):
    RED = "red"


class Order(Item, table=shop, pk="ORDER#{id}", sk="META"):
    id: str
    status: str = "new"
    total: Decimal = Decimal(0)
    placed_at: datetime | None = None
    colour: Colour = Colour.RED


class Line(Item, table=shop, pk="ORDER#{order}", sk="{kind}#{number:04}"):
    order: str
    kind: str
    number: int


class Customer(Item, table=shop, pk="CUSTOMER#{id}", sk="META"):
    id: str
    name: str = ""


class Loose(Item):
    x: int = 0


@dataclass
class Twin:
    id: str


def handler(change: Change[Order]) -> None: ...


def entity(
    annotations: dict[str, Any],
    pk: str | None = None,
    sk: str | None = None,
    table: dict[str, Any] | None = None,
) -> Callable[[], object]:
    """The declaration of a class in a table of its own."""
    given: dict[str, Any] = {"pk": "pk", "sk": "sk"} | (table or {})

    def declare() -> object:
        made = Table("other", **given)
        return type(Item)("Thing", (Item,), {"__annotations__": annotations}, table=made, pk=pk, sk=sk)

    return declare


def twice(first: dict[str, Any], second: dict[str, Any]) -> Callable[[], object]:
    """Two classes in one table."""

    def declare() -> None:
        table = App("other").table("other", pk="pk", sk="sk")
        for name, keys in (("First", first), ("Second", second)):
            type(Item)(name, (Item,), {"__annotations__": {"id": str, "n": int}}, table=table, **keys)

    return declare


ITEMS: list[tuple[str, Callable[[], object], str]] = [
    ("two templates that fit one key", twice({"pk": "A#{id}", "sk": "META"}, {"pk": "A#{n}", "sk": "META"}),
     r"Second and First cannot be told apart in table 'other': the key pk='A#x', sk='META' fits both "
     r".* differently"),
    ("a template that swallows the other", twice({"pk": "A#{id}", "sk": "M"}, {"pk": "{id}", "sk": "{n}"}),
     "cannot be told apart"),
    ("a template without its field", entity({"id": str}, "A#{key}", "M"),
     r"Thing: template 'A#\{key\}': Thing has no field 'key'; it has id"),
    ("a slip in a template", entity({"customer": str}, "A#{custmer}", "M"), "did you mean 'customer'"),
    ("fields without a separator", entity({"a": str, "b": str}, "{a}{b}", "M"),
     r"nothing stands between \{a\} and \{b\}.* separate them"),
    ("a field twice", entity({"a": str}, "{a}#{a}", "M"), "names 'a' twice"),
    ("a brace that does not close", entity({"a": str}, "{a", "M"), "written twice"),
    ("an expression in a template", entity({"a": str}, "{a.b}", "M"), "write a field's name alone"),
    ("a format in a template", entity({"a": int}, "{a:>5}", "M"), "only a width of zeros"),
    ("a text that is padded", entity({"a": str}, "{a:05}", "M"), "only an int can be padded"),
    ("an empty template", entity({"a": str}, "", "M"), "a key template is empty"),
    ("a key of a model", entity({"a": Loose}, "{a}", "M"),
     "a key is made of a text, a number, a date or an enum"),
    ("a key that may be None", entity({"a": str | None}, "{a}", "M"), "always there"),
    ("a key of bytes in a text", entity({"a": bytes}, "A#{a}", "M"), "the key is a text"),
    ("a template for a number", entity({"a": int}, "A#{a}", None, table={"sk": None, "pk_type": "N"}),
     "one field of that type alone"),
    ("a sort key of a table without one", entity({"a": str}, "{a}", "META", table={"sk": None}),
     r"no sort key: app\.table\(…, sk='sk'\)"),
    ("no template and no such field", entity({"a": str}, None, "M"), "has no field 'pk'"),
    ("a field in the key's place", entity({"pk": str}, "A#{pk}", "M"), r"make the template '\{pk\}'"),
    ("an annotation that is unknown", entity({"a": complex}, "{a}", "M"),
     r"Thing\.a: complex has no place in DynamoDB: use str"),
    ("a set of anything", entity({"id": str, "a": set[list[int]]}, "{id}", "M"),
     "sets hold texts, numbers or bytes; a list holds"),
    ("a set of nothing said", entity({"id": str, "a": set}, "{id}", "M"), r"say of what, as in set\[str\]"),
    ("a dict of numbers", entity({"id": str, "a": dict[int, str]}, "{id}", "M"), "texts as keys"),
    ("a union that cannot be told apart", entity({"id": str, "a": str | datetime}, "{id}", "M"),
     "both are kept as S"),
    ("an enum of anything", entity({"id": str, "a": Enum("Odd", {"A": 1.5})}, "{id}", "M"),
     "neither all str nor all int"),
    ("a field that means something else", entity({"removed": str}, "{removed}", "M"),
     r"already means its removals.*Attribute\('removed'\)"),
    ("a field with an underscore", entity({"_a": str}, "x", "M"), "begins with a letter"),
    ("two fields in one attribute",
     entity({"id": str, "a": str, "b": Annotated[str, Attribute("a")]}, "{id}", "M"),
     "kept in one attribute"),
    ("a TTL that is no number", entity({"id": str, "ends": datetime}, "{id}", "M", table={"ttl": "ends"}),
     "ends: Epoch"),
    ("a table that is none",
     lambda: type(Item)("Thing", (Item,), {"__annotations__": {"id": str}}, table="shop"), "is no table"),
    ("a key without a table",
     lambda: type(Item)("Thing", (Item,), {"__annotations__": {"id": str}}, pk="{id}"),
     "a key without a table"),
    ("a class without fields", lambda: App("o").entity(int, App("o").table("oth", pk="id"), pk="x"),
     "no class with fields"),
    ("an attribute without a name", lambda: Attribute(""), "not empty"),
]  # fmt: skip


@pytest.mark.parametrize(("declare", "words"), [case[1:] for case in ITEMS], ids=[case[0] for case in ITEMS])
def test_a_wrong_entity_is_refused_where_it_is_declared(declare: Callable[[], object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        declare()


def mailer() -> str:
    return "post"


def first_of_two(b: Annotated[str, Depends(lambda a: a)]) -> str:
    return b


def chicken(egg: Annotated[Any, Depends(lambda egg: egg)]) -> None: ...


def wants_itself(again: "Annotated[Any, Depends(wants_itself)]") -> None: ...


def not_a_field() -> Any:
    return "paid"


HANDLERS: list[tuple[str, Callable[[], object], str]] = [
    ("a handler of no argument", lambda: app.on(Order)(lambda: None), "is called with one argument"),
    ("a handler of a dependency alone", lambda: app.on(Order)(only_mail),
     r"only_mail.*\(test_refusals\.py:\d+\) is called with one argument"),
    ("a dependency that nothing provides", lambda: app.on(Order)(two),
     r"'two' \(test_refusals\.py:\d+\): nothing provides 'mail'"),
    ("a dependency as a default", lambda: app.on(Order)(by_default),
     r"write mail: Annotated\[…, Depends\(mailer\)\]"),
    ("a dependency without its provider", lambda: app.on(Order)(unprovided),
     r"one Depends\(provider\) is needed"),
    ("a dependency that is no function", lambda: Depends("mailer"), "a function, not its result"),  # type: ignore[arg-type]
    ("a provider that nothing provides for", lambda: app.on(Order)(deep), r"provider .*nothing provides 'a'"),
    ("providers that need each other", lambda: app.on(Order)(endless),
     "these providers need each other: wants_itself → wants_itself"),
    ("a name that only type checkers know", lambda: app.on(Order)(unknown_name), "outside of TYPE_CHECKING"),
    ("the item itself", lambda: app.on(Order)(the_item),
     r"given a Change, not the item itself: change: Change\[Order\]"),
    ("a batch for single changes", lambda: app.on(Order)(a_batch),
     r"gives it a Change: write Change\[Order\], or declare it with @app\.batch"),
    ("a change for a batch", lambda: app.batch(Order)(handler),
     r"write Batch\[Order\], or declare it with @app\.on"),
    ("changes of another entity", lambda: app.on(Customer)(handler),
     r"declared on Customer and wants Change\[Order\]"),
    ("changes of a table as an entity's", lambda: app.on(shop)(handler),
     r"declared on 'shop' and wants Change\[Order\].* declare it on Order"),
    ("a predicate of another entity", lambda: app.on(Customer, where=changed(Order.status))(plain),
     "its predicate asks for Order.status: declare it on Order"),
    ("a predicate of an entity on a table", lambda: app.on(shop, where=changed(Order.status))(plain),
     "declared on table 'shop'"),
    ("a predicate that is none", lambda: app.on(Order, where=True)(plain), "where=True is no predicate"),  # type: ignore[arg-type]
    ("a predicate that can never be true",
     lambda: app.on(Order, where=(new(Order.status) == "a") & (new(Order.status) == "b"))(plain),
     r"plain.*can never be true of Order"),
    ("a transition that excludes its predicate",
     lambda: app.on(Order.removed, where=new(Order.status) == "a")(plain),
     "can never be true of Order.removed"),
    ("an entity without a table", lambda: app.on(Loose)(plain),
     r"Loose is in no table of app 'shop': class Loose\(Item, table=shop"),
    ("its transitions", lambda: Loose.removed, "Loose is in no table"),
    ("something else", lambda: app.on("shop")(plain), "is no table and no entity"),  # type: ignore[arg-type]
    ("a handler of unmatched records of an entity", lambda: app.unmatched(Order)(plain), "it is a table"),  # type: ignore[arg-type]
    ("two handlers of unmatched records", lambda: [app.unmatched(shop)(plain), app.unmatched(shop)(plain)],
     "two handlers .* 'shop.unmatched'"),
    ("a sink of no handler", lambda: app.sink(handler, Sink()),
     "is no handler of app 'shop'; declared so far"),
    ("a sink that is none", lambda: App("x") and app.sink(sunk, print), "is no sink"),  # type: ignore[arg-type]
    ("a back-fill", lambda: app.sink(Order, Sink(), snapshot=True),
     "snapshot=True, and Sink keeps no versions and deletions.*a snapshot takes a mirror"),
    ("a second sink", lambda: [app.sink(sunk, Sink()), app.sink(sunk, Sink())], "has a sink already"),
    ("a sink of a batch", lambda: app.sink(batched, Sink()), "no handler of single changes"),
    ("a handler that Python cannot read", lambda: app.on(shop)(min),
     "handler 'min'.*: its signature cannot be read"),
    ("a dependency in place of a type", lambda: app.on(Order)(bare),
     r"mail: write Annotated\[the type, Depends\(provider\)\]"),
    ("an entity twice",
     lambda: [app.entity(Twin, shop, pk="TWIN#{id}", sk="META"),
              app.entity(Twin, shop, pk="T#{id}", sk="META")],
     "Twin is declared twice in table 'shop'"),
    ("dead letters of no handler", lambda: app.dlq(print),
     "dlq: <built-in function print> is no handler of app 'shop'"),
    ("dead letters of one of two", lambda: app.dlq(double), "is several handlers of app 'shop'"),
    ("a projection that Python cannot read", lambda: app.projection()(min),
     "projection 'min'.*: its signature cannot be read"),
    ("a state that is not there", lambda: app.projection()(stateless), "projection 'stateless'"),
    ("a projection without data", lambda: app.projected("nothing"),
     "projected: app 'shop' is declared and not connected to any data"),
    ("no room to park", lambda: Park(max_keys=0),
     "Park: max_keys: 0 is not allowed; it is a whole number from 1 to"),
    ("a truth value as a bound", lambda: Park(max_per_key=True), "Park: max_per_key: True is not allowed"),
    ("a webhook of no place", lambda: sinks.Webhook("shop.example"),
     "'shop.example' is not allowed; it begins with https:// or http://"),
    ("a secret beyond ASCII", lambda: sinks.Webhook("https://shop.example", secret="whsec_é"), "no base64"),
    ("a secret that is none", lambda: sinks.Webhook("https://shop.example", secret="whsec_?"), "no base64"),
    ("a sink of one of two", lambda: app.sink(double, Sink()),
     "declared 2 times: name one by its id: 'two', 'one'"),
]  # fmt: skip


def only_mail(mail: Annotated[str, Depends(mailer)]) -> None: ...
def two(change: Change[Order], mail: str) -> None: ...
def by_default(change: Change[Order], mail: str = Depends(mailer)) -> None: ...  # type: ignore[assignment]
def unprovided(change: Change[Order], mail: Annotated[str, Depends]) -> None: ...
def bare(change: Change[Order], mail: Depends(mailer)) -> None: ...  # type: ignore[valid-type]
def stateless(total: "NotThere", order: Order, sign: int) -> Any: ...  # type: ignore[name-defined]  # noqa: F821
def deep(change: Change[Order], mail: Annotated[str, Depends(first_of_two)]) -> None: ...
def endless(change: Change[Order], mail: Annotated[str, Depends(wants_itself)]) -> None: ...
def unknown_name(change: Change[Order], mail: "Annotated[Nowhere, Depends(mailer)]") -> None: ...  # type: ignore[name-defined]  # noqa: F821
def the_item(change: Order) -> None: ...
def a_batch(batch: Batch[Order]) -> None: ...
def plain(change: Change[Any]) -> None: ...


class Sink:
    async def write(self, batch: Any) -> Any: ...


@app.on(shop)
def sunk(change: Change) -> None: ...


@app.batch(shop)
def batched(batch: Batch) -> None: ...


@app.on(Order, id="one")
@app.on(Order, id="two")
def double(change: Change[Order]) -> None: ...


@pytest.mark.parametrize(
    ("declare", "words"), [case[1:] for case in HANDLERS], ids=[case[0] for case in HANDLERS]
)
def test_a_wrong_handler_is_refused_where_it_is_declared(declare: Callable[[], object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        declare()


PREDICATES: list[tuple[str, Callable[[], object], str]] = [
    ("a field that is none", lambda: changed("status"),
     r"changed\('status'\): it takes a field of an entity, as in changed\(Order.status\)"),
    ("a value for a field", lambda: new(not_a_field()), r"new\('paid'\)"),
    ("the field itself", lambda: Order.status == "paid",
     r"write new\(Order.status\) for the value after the change"),
    ("an order of the field itself", lambda: Order.total > 100, "is the field, not its value"),
    ("a comparison with the field itself", lambda: new(Order.total) > Order.total,
     r"write old\(Order.total\) or new\(Order.total\)"),
    ("and", lambda: (new(Order.status) == "a") and (new(Order.total) > 1), "write & for and"),
    ("brackets that are missing", lambda: new(Order.status) == "a" & changed(Order.total), "brackets"),  # type: ignore[operator]
    ("a comparison without brackets", lambda: changed(Order.status) & new(Order.status) == "a", "brackets"),  # type: ignore[operator]
    ("brackets that are missing around or", lambda: new(Order.status) == "a" | changed(Order.total),
     "brackets"),  # type: ignore[operator]
    ("one of the values before", lambda: new(Order.status).in_(old(Order.status)), "is no constant"),  # type: ignore[arg-type]
    ("a value of another type", lambda: new(Order.total) > "100",
     "Order.total is Decimal, and '100' is no value of it"),  # type: ignore[operator]
    ("a float", lambda: new(Order.total) == 0.1, r"write Decimal\('0.1'\)"),  # type: ignore[arg-type]
    ("a number for a text", lambda: new(Order.status) == 5, "Order.status is str, and 5 is no value of it"),
    ("a member that is none", lambda: new(Order.colour) == "blue", "'blue' is not Colour"),  # type: ignore[arg-type]
    ("an order of an enum", lambda: new(Order.colour) > Colour.RED, "Colour has no order; == and .in_"),
    ("an order against None", lambda: new(Order.placed_at) > None, r"\.exists\(\) asks whether it is there"),
    ("values of two types", lambda: new(Order.total) > old(Order.status),
     "Decimal and str cannot be compared"),
    ("one of a list", lambda: new(Order.status).in_(["a"]),
     r"write the values one by one: \.in_\(\*values\)"),  # type: ignore[arg-type]
    ("one of nothing", lambda: new(Order.status).in_(), "can never be true"),
    ("a beginning of a number", lambda: new(Order.total).startswith("1"), "only a str begins with something"),
    ("an empty beginning", lambda: new(Order.status).startswith(""), "not empty"),
    ("no predicate beside one", lambda: by_ttl() & "x", "'x' is no predicate"),  # type: ignore[operator]
]  # fmt: skip


@pytest.mark.parametrize(
    ("declare", "words"), [case[1:] for case in PREDICATES], ids=[case[0] for case in PREDICATES]
)
def test_a_wrong_predicate_is_refused_where_it_is_written(declare: Callable[[], object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        declare()


KEYS: list[tuple[str, Callable[[], object], str]] = [
    ("a part that is missing", lambda: entity_of(Order).key_item({}),
     "Order: id= is missing: the key ORDER#{id}, META is made of it"),
    ("a part that is none", lambda: entity_of(Order).key_item({"id": 5}), "Order"),
    ("a part that ends its place",
     lambda: entity_of(Line).key_item({"order": "a", "kind": "x#1", "number": 3}), "Line"),
    ("a value that is none", lambda: entity_of(Order).model.attribute_value("total", "ten"),
     r"Order\.total: "),
    ("a number that is too long", lambda: entity_of(Order).model.attribute_value("total", Decimal("1" * 39)),
     r"Order\.total: .*38 significant digits"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "words"), [case[1:] for case in KEYS], ids=[case[0] for case in KEYS])
def test_a_value_that_has_no_place_is_refused_with_its_field(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ItemError, match=words):
        make()


def test_a_field_that_is_not_there_is_an_attribute_error_with_the_nearest_one() -> None:
    with pytest.raises(AttributeError, match="Order has no field 'stauts'; did you mean 'status'"):
        Order.stauts  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"Order\.status has no field 'code': it is str"):
        Order.status.code  # type: ignore[attr-defined]


def test_a_refused_class_leaves_its_table_as_it_was() -> None:
    table = Table("other", "pk")
    with pytest.raises(SettingsError):
        type(Item)("Thing", (Item,), {"__annotations__": {"id": complex}}, table=table, pk="{id}")
    assert table.entities == []


def test_an_annotation_may_be_defined_further_down_but_not_later_than_the_first_handler() -> None:
    other = App("other")
    table = other.table("other", pk="id")
    later = type(Item)(
        "Later",
        (Item,),
        {"__annotations__": {"id": str, "next": "NotYet"}, "__module__": __name__},
        table=table,
    )
    with pytest.raises(
        SettingsError, match=r"Later: name 'NotYet' is not defined: .* before the first handler"
    ):
        other.on(later)(plain)
