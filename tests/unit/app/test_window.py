"""What a window's declaration says, and what is refused where it is loaded."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tailrace import App, Epoch, Item, Window
from tailrace.app.window import WindowPlan
from tailrace.errors import SettingsError
from tailrace.windows.core.shapes import Fixed, Session

MINUTE = 60_000
app = App("shop")
shop = app.table("shop", pk="pk", sk="sk")
plain = app.table("plain", pk="id")
keys_only = app.table("keys", pk="id", stream="KEYS_ONLY")


class Order(Item, table=shop, pk="ORDER#{id}", sk="META"):
    id: str
    country: str = "NL"
    placed: datetime | None = None
    seen: Epoch | None = None
    total: Decimal = Decimal(0)
    tags: list[str] | None = None


class Line(Item, table=shop, pk="ORDER#{order}", sk="LINE#{number}"):
    order: str
    number: int
    at: int = 0


def count(window: Window[Order]) -> dict[str, int]:
    return {"count": len(window)}


def declared(handler: Callable[..., Any] = count, target: Any = Order, **settings: Any) -> WindowPlan:
    """A window in an app of its own that has the same tables."""
    own = App("own")
    own.tables.update(app.tables)
    own.window(target, **settings)(handler)
    (window,) = [mapping.window for mapping in own.mappings if mapping.window is not None]
    return window


@pytest.mark.parametrize(
    ("settings", "shape"),
    [
        ({"every": "1m"}, Fixed(MINUTE, MINUTE)),
        ({"every": "1m", "length": "5m"}, Fixed(MINUTE, 5 * MINUTE)),
        ({"every": "1s", "length": "1000s"}, Fixed(1_000, 1_000_000)),
        ({"gap": "30m"}, Session(30 * MINUTE)),
    ],
)
def test_the_arguments_say_which_windows(settings: dict[str, str], shape: Fixed | Session) -> None:
    assert declared(**settings).shape == shape


def test_a_window_is_told_when_it_is_over_and_corrected_for_a_day_unless_something_else_is_said() -> None:
    window = declared(every="1m")
    assert (window.lateness_ms, window.keep_ms) == (0, 24 * 60 * MINUTE)
    window = declared(every="1m", lateness="30s", keep="0s")
    assert (window.lateness_ms, window.keep_ms, window.delay_ms) == (30_000, 0, 30_000)


NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
IMAGE = {
    "pk": {"S": "ORDER#o1"}, "sk": {"S": "META"}, "id": {"S": "o1"}, "country": {"S": "BE"},
    "total": {"N": "1.5"},
    "placed": {"S": NOON.isoformat()}, "seen": {"N": str(int(NOON.timestamp()))},
}  # fmt: skip
NOON_MS = int(NOON.timestamp() * 1_000)


@pytest.mark.parametrize(
    ("at", "time_ms"),
    [
        (None, 77),
        (Order.placed, NOON_MS),
        ("placed", NOON_MS),
        (Order.seen, NOON_MS),
        (Order.total, 1_500),
        (lambda order: order.placed, NOON_MS),
        (lambda order: order.placed.replace(tzinfo=None), NOON_MS),
        (lambda order: 12, 12_000),
        (lambda order: 0.25, 250),
        (lambda order: "2026-01-01T12:00:00Z", NOON_MS),
    ],
)
def test_at_says_when_an_item_happened(at: Any, time_ms: int) -> None:
    plan = declared(every="1m", by=Order.country, at=at)
    assert plan.place_of(IMAGE, 77) == ('{"S":"BE"}', time_ms)
    assert plan.by.value_of('{"S":"BE"}') == "BE"


def test_a_table_without_entities_gives_plain_items_and_names_attributes() -> None:
    plan = declared(lambda window: None, plain, every="1m", by="kind", at="when")
    image = {"id": {"S": "a"}, "kind": {"S": "x"}, "when": {"N": "3"}}
    assert plan.place_of(image, 77) == ('{"S":"x"}', 3_000)
    assert plan.instance(image) == {"id": "a", "kind": "x", "when": Decimal(3)}


@pytest.mark.parametrize(
    ("at", "error", "words"),
    [
        (lambda order: datetime(1969, 12, 31, tzinfo=UTC), ValueError, "lies before 1970 or too far ahead"),
        (lambda order: 10**13, ValueError, "lies before 1970 or too far ahead"),
        (lambda order: True, TypeError, "is no time: a datetime, or seconds since 1970"),
        (lambda order: ["x"], TypeError, "is no time: a datetime, or seconds since 1970"),
        (lambda order: "yesterday", ValueError, "yesterday"),
    ],
)
def test_what_is_no_time_says_so(at: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        declared(every="1m", at=at).place_of(IMAGE, 77)


@pytest.mark.parametrize("at", [Order.placed, "placed", lambda order: order.placed])
def test_an_item_without_a_time_happened_when_it_was_changed_last(at: Any) -> None:
    without = {name: value for name, value in IMAGE.items() if name != "placed"}
    assert declared(every="1m", at=at).place_of(without, 77)[1] == 77


def of_lines(window: Window[Line]) -> None: ...
def of_orders(order: Order) -> None: ...
def of_any(window: Window[Any]) -> None: ...
def of_nothing() -> None: ...


REFUSALS: list[tuple[Callable[..., Any], Any, dict[str, Any], str]] = [
    (count, Order, {},
     'say which windows: every="1m" (tumbling), every="1m", length="5m" (sliding) or gap="30m" (session)'),
    (count, Order, {"every": "1m", "gap": "1m"}, "say which windows"),
    (count, Order, {"gap": "1m", "length": "2m"},
     "a session has no length=: it ends when gap='1m' has passed"),
    (count, Order, {"every": "a minute"},
     "every='a minute' is not allowed; it is a duration such as '30s', '5m' or '1h'"),
    (count, Order, {"every": "0s"}, "every='0s' is not allowed"),
    (count, Order, {"every": 60}, "every=60 is not allowed"),
    (count, Order, {"every": "9000h"}, "every='9000h' is not allowed"),
    (count, Order, {"gap": "-1m"}, "gap='-1m' is not allowed"),
    (count, Order, {"every": "1m", "length": "90s"},
     "length='90s' is not allowed with every='1m': it is a multiple of it, at most 1000 times"),
    (count, Order, {"every": "1s", "length": "1001s"}, "length='1001s' is not allowed with every='1s'"),
    (count, Order, {"every": "1m", "lateness": "-5s"}, "lateness='-5s' is not allowed"),
    (count, Order, {"every": "1m", "keep": "for ever"}, "keep='for ever' is not allowed"),
    (count, Order, {"every": "1m", "at": Order.country},
     "and a time is a datetime, an Epoch or a number of seconds"),
    (count, Order, {"every": "1m", "at": Line.at}, "is a field of Line, and the window is of Order"),
    (count, Order, {"every": "1m", "at": "place"}, "at='place': "),
    (count, Order, {"every": "1m", "at": 5}, "at=5 says no time: write at=Order.placed_at"),
    (count, Order, {"every": "1m", "at": datetime}, "says no time"),
    (count, Order, {"every": "1m", "by": Line.number}, "Line"),
    (of_any, plain, {"every": "1m", "at": Order.placed}, "is a field of Order, and the window is of a table"),
    (of_any, Order.removed, {"every": "1m"}, "a window follows every change of its items"),
    (of_any, keys_only, {"every": "1m"}, "has stream='KEYS_ONLY', and a window needs the new image"),
    (of_lines, Order, {"every": "1m"}, "it is declared on Order and wants Window[Line]: write Window[Order]"),
    (of_orders, Order, {"every": "1m"}, "it is given a Window, not Order: window: Window[Order]"),
    (of_nothing, Order, {"every": "1m"}, "window"),
    (count, Order, {"every": "1m", "batch_size": 0}, "batch_size"),
    (count, Order, {"every": "1m", "colour": "red"}, "colour"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("handler", "target", "settings", "words"),
    REFUSALS,
    ids=[f"{case[2]}, {case[3][:40]}" for case in REFUSALS],
)
def test_what_cannot_be_is_refused_where_it_is_declared(
    handler: Callable[..., Any], target: Any, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(SettingsError) as told:
        declared(handler, target, **settings)
    assert words in str(told.value)
    assert handler.__qualname__ in str(told.value)


def test_a_window_is_a_sequence_of_its_items() -> None:
    window = Window("NL", NOON, NOON, ("a", "b"))
    assert (len(window), list(window), window[1], window[:1], "b" in window) == (
        2,
        ["a", "b"],
        "b",
        ("a",),
        True,
    )
    assert not window.is_correction
    assert Window("NL", NOON, NOON, (), revision=2).is_correction
