"""What a projection's declaration says, and what is refused where it is loaded."""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from tailrace import App, Item
from tailrace.app.projection import Projection
from tailrace.errors import SettingsError
from tailrace.values.types import AttributeValue

app = App("shop")
shop = app.table("shop", pk="pk", sk="sk")
plain = app.table("plain", pk="id")
keys_only = app.table("keys", pk="id", stream="KEYS_ONLY")


class Order(Item, table=shop, pk="ORDER#{id}", sk="META"):
    id: str
    country: str = "NL"
    status: str | None = None
    tags: list[str] | None = None
    total: Decimal = Decimal(0)


class Line(Item, table=shop, pk="ORDER#{order}", sk="LINE#{number}"):
    order: str
    number: int


@dataclass
class Stats:
    count: int = 0
    total: Decimal = Decimal(0)
    names: list[str] = field(default_factory=list)


def sales(total: Decimal, order: Order, sign: int) -> Decimal:
    return total + sign * order.total


def declared(function: Callable[..., Any], target: Any = None, **settings: Any) -> Projection:
    """A projection in an app of its own that has the same tables."""
    own = App("own")
    own.tables.update(app.tables)
    own.projection(target, **settings)(function)
    projection = next(mapping.projection for mapping in own.mappings if mapping.projection is not None)
    assert projection is not None
    return projection


def order(**attributes: AttributeValue) -> dict[str, AttributeValue]:
    return {"pk": {"S": "ORDER#o1"}, "sk": {"S": "META"}, **attributes}


def test_the_signature_is_the_configuration() -> None:
    projection = declared(sales, by=Order.country, version=2)
    assert (projection.id, projection.version, projection.mapping_id) == ("sales", 2, "sales@v2")
    assert projection.entity is not None
    assert projection.entity.cls is Order
    assert projection.initial == {"N": "0"}
    assert projection.group_of(order()) == '{"S":"NL"}'
    once = projection.folded(None, [(order(total={"N": "2.50"}), 1)])
    assert once == {"N": "2.5"}
    assert projection.folded(once, [(order(total={"N": "2.5"}), -1), (order(total={"N": "4"}), 1)]) == {
        "N": "4"
    }


@pytest.mark.parametrize(
    ("by", "text", "value"),
    [
        (None, '{"NULL":true}', None),
        (Order.country, '{"S":"BE"}', "BE"),
        ("country", '{"S":"BE"}', "BE"),
        (Order.status, '{"NULL":true}', None),
        ((Order.country, Order.status), '{"L":[{"S":"BE"},{"NULL":true}]}', ("BE", None)),
        (lambda item: item.total > 1, '{"BOOL":true}', True),
        (lambda item: (item.country, item.total), '{"L":[{"S":"BE"},{"N":"2"}]}', ("BE", Decimal(2))),
    ],
)
def test_a_group_is_named_by_its_key(by: Any, text: str, value: Any) -> None:
    projection = declared(sales, by=by)
    assert projection.group_of(order(country={"S": "BE"}, total={"N": "2"})) == text
    assert projection.by.value_of(text) == value
    assert projection.by.text_of(value) == text


def test_a_table_without_entities_is_projected_as_plain_values() -> None:
    def count(total: int, item: dict[str, Any], sign: int) -> int:
        return total + sign

    projection = declared(count, plain, by="city")
    assert projection.group_of({"id": {"S": "1"}}) == '{"NULL":true}'
    assert projection.group_of({"id": {"S": "1"}, "city": {"S": "Delft"}}) == '{"S":"Delft"}'


def test_a_state_may_be_a_dataclass_and_is_made_anew_for_each_group() -> None:
    def stats(all: Stats, order: Order, sign: int) -> Stats:
        all.count += sign
        (all.names.append if sign > 0 else all.names.remove)(order.id)
        return all

    projection = declared(stats, by=Order.country)
    first = projection.folded(None, [(order(), 1)])
    assert projection.state.decode(first) == Stats(1, Decimal(0), ["o1"])
    assert projection.state.decode(projection.folded(None, [(order(), 1)])) == Stats(1, Decimal(0), ["o1"])
    assert projection.folded(first, [(order(), -1)]) == projection.initial


def test_an_item_may_be_taken_as_something_wider() -> None:
    def of_any(total: int, item: Any, sign: int) -> int:
        return total + sign

    def of_a_mapping(total: int, item: Mapping[str, Any], sign: int) -> int:
        return total + sign

    assert declared(of_any, Order).entity is not None
    assert declared(of_a_mapping, plain).entity is None
    with pytest.raises(SettingsError, match="say of what"):
        declared(of_any)


def test_an_initial_state_may_be_given_as_a_value_or_made() -> None:
    def lowest(state: Decimal | None, order: Order, sign: int) -> Decimal | None:
        return state

    assert declared(lowest, initial=None).initial == {"NULL": True}
    assert declared(lowest, initial=lambda: Decimal(7)).initial == {"N": "7"}


# ---- refusals ----------------------------------------------------------------------------------------------


async def waits(total: Decimal, order: Order, sign: int) -> Decimal:
    return total


def too_few(total: Decimal, order: Order) -> Decimal:
    return total


def too_many(total: Decimal, order: Order, sign: int, more: str) -> Decimal:
    return total


def by_keyword(total: Decimal, order: Order, *, sign: int) -> Decimal:
    return total


def untyped(total, order: Order, sign: int):  # type: ignore[no-untyped-def]
    return total


def of_nothing(total: Decimal, order, sign: int) -> Decimal:  # type: ignore[no-untyped-def]
    return total


def wrong_sign(total: Decimal, order: Order, sign: str) -> Decimal:
    return total


def unkeepable(total: complex, order: Order, sign: int) -> complex:
    return total


def with_numbers_as_keys(total: dict[int, int], order: Order, sign: int) -> dict[int, int]:
    return total


def no_beginning(total: Decimal | None, order: Order, sign: int) -> Decimal | None:
    return total


def of_a_line(total: Decimal, line: Line, sign: int) -> Decimal:
    return total


REFUSED: list[tuple[Callable[..., Any], Any, dict[str, Any], str]] = [
    (waits, None, {}, "waits for nothing: def sales.total: Decimal"),
    (too_few, None, {},
     "is called with the state, the item and the sign .* takes .total: .*Decimal, order: .*Order.: def"),
    (too_many, None, {}, "is called with the state, the item and the sign"),
    (by_keyword, None, {}, "is called with the state, the item and the sign"),
    (untyped, None, {}, "say what 'total' is, as in total: Decimal"),
    (of_nothing, None, {},
     "say of what: @app.projection.orders, …., or an entity as its second parameter, order: Order"),
    (wrong_sign, None, {}, "'sign' is the sign, .1 or −1: sign: int"),
    (unkeepable, None, {},
     "its state cannot be kept: complex has no place in DynamoDB: use str, int, .* a dataclass"),
    (with_numbers_as_keys, None, {}, "its state cannot be kept: a dict of int"),
    (no_beginning, None, {}, "makes no state to begin with .* give initial=…"),
    (sales, None, {"initial": "nought"}, "initial='nought' is not Decimal"),
    (sales, Line, {}, "declared on Line, whose items are Line, and wants Order: let both name the same"),
    (sales, Order.removed, {},
     "follows every change of its items.* declare it on Order, not on some kinds of changes"),
    (sales, None, {"by": "contry"}, "by='contry': .* did you mean 'country'"),
    (sales, None, {"by": Line.order}, "by=Line.order is a field of Line, and the projection is of Order"),
    (sales, None, {"by": Order.tags}, "by=Order.tags: it is list of str . None, and a group's key is a text"),
    (sales, None, {"by": 7}, "by=7 is nothing to group by: write by=Order.country"),
    (sales, None, {"by": ("country",)}, "name several fields, or one without brackets"),
    (sales, None, {"by": lambda: "NL"}, "is called with one argument, the item, and takes 0"),
    (sales, None, {"by": waits}, "is `async def`: a group is computed"),
    (sales, None, {"version": 0}, "version=0 is not allowed; it is a whole number from 1 up"),
    (sales, None, {"version": True}, "version=True is not allowed"),
    (sales, None, {"id": "a@b"}, "id='a@b' is not allowed: @ stands before the version"),
    (sales, None, {"swap": "never"}, "swap='never' is not allowed; it is 'auto'"),
    (sales, None, {"into": shop}, "into='shop' is the table that it follows"),
    (sales, None, {"into": plain}, "into='plain' needs a partition key and a sort key, both texts"),
    (sales, None, {"into": "sales"}, "into='sales' keeps no projections: leave it out, or give an app.table"),
    (sales, None, {"combine": 7}, "combine=7 is no function that makes one state of two, as operator.add"),
    (sales, None, {"combine": waits}, "combine=.* is no function that makes one state of two"),
    (sales, None, {"combine": operator.add, "into": app.table("kept", pk="pk", sk="sk")},
     "combine= keeps groups in parts, and who reads into='kept' would find parts"),
    (sales, None, {"wrong": 1}, "wrong: no such setting"),
]  # fmt: skip


@pytest.mark.parametrize(("function", "target", "settings", "words"), REFUSED)
def test_what_is_wrong_is_refused_when_the_app_is_loaded(
    function: Callable[..., Any], target: Any, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(SettingsError, match=words) as refused:
        declared(function, target, **settings)
    if "setting" not in words:
        assert f"projection {settings.get('id', function.__qualname__)!r} (test_projection.py:" in str(
            refused.value
        )


def test_a_stream_without_new_images_cannot_be_projected() -> None:
    def count(total: int, item: dict[str, Any], sign: int) -> int:
        return total

    with pytest.raises(SettingsError, match="stream='KEYS_ONLY', and a projection needs the new image"):
        declared(count, keys_only)


def test_what_a_function_returns_is_checked() -> None:
    def forgets(total: Decimal, order: Order, sign: int) -> Decimal:
        return None  # type: ignore[return-value]

    with pytest.raises(
        TypeError, match=r"'.*forgets' \(test_projection.py:.* returned None: has it no return\?"
    ):
        declared(forgets, id="forgets").folded(None, [(order(), 1)])


def test_parts_are_combined_into_one_state_and_what_comes_of_it_is_checked() -> None:
    summed = declared(sales, combine=operator.add)
    assert summed.combined([{"N": "1"}, {"N": "2.5"}, {"N": "-1"}]) == {"N": "2.5"}
    assert summed.combined([{"N": "7"}]) == {"N": "7"}
    assert summed.fingerprint != declared(sales).fingerprint
    forgets = declared(sales, combine=lambda one, other: None, id="forgets")
    with pytest.raises(TypeError, match=r"'forgets' \(test_projection.py:.* returned None: has it no return"):
        forgets.combined([{"N": "1"}, {"N": "2"}])


def test_the_same_version_twice_is_refused_and_another_is_beside_it() -> None:
    own = App("own")
    own.tables.update(app.tables)
    own.projection(by=Order.country, id="sales")(sales)
    own.projection(by=Order.country, id="sales", version=2)(sales)
    with pytest.raises(SettingsError, match="two handlers of app 'own' have the id 'sales@v2'"):
        own.projection(by=Order.country, id="sales", version=2)(sales)
    with pytest.raises(SettingsError, match="projected: app 'own' is declared and not connected to any data"):
        own.projected("sales")
