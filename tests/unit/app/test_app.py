"""Declarations: what they become, and what is refused where it is written."""

from collections.abc import Callable
from typing import Any

import pytest

from tailrace import App, Batch, Change, Discard, Retry
from tailrace.app.app import HandlerMapping
from tailrace.app.filtering import Filter
from tailrace.app.table import Changes, Table
from tailrace.errors import SettingsError
from tailrace.mapping.settings import INFINITE, Backoff
from tests.unit.app.test_change import A, B, record


def handler(change: Change) -> None: ...


def lambda_handler(event: Any, context: Any) -> None: ...


def declared(declare: Callable[[App, Any], object]) -> HandlerMapping:
    """The mapping that a declaration makes."""
    app = App("shop")
    declare(app, app.table("orders", pk="id"))
    (mapping,) = app.mappings
    return mapping


def test_a_handler_has_safe_defaults() -> None:
    mapping = declared(lambda app, orders: app.on(orders)(handler))
    settings = mapping.settings
    assert (mapping.id, mapping.kind, mapping.target) == ("handler", "on", handler)
    assert (settings.order, settings.maximum_retry_attempts) == ("key", 5)
    assert settings.backoff == Backoff(1_000, 2.0, 300_000)
    assert settings.breaker is not None
    assert settings.accepts is None


def test_a_batch_handler_bisects() -> None:
    def tally(batch: Batch) -> None: ...

    settings = declared(lambda app, orders: app.batch(orders, batch_size=1_000, id="tally")(tally)).settings
    assert (settings.batch_size, settings.bisect_batch_on_function_error, settings.order) == (
        1_000,
        True,
        "key",
    )


def test_a_function_has_awss_names_and_defaults() -> None:
    mapping = declared(
        lambda app, orders: app.function(
            lambda_handler,
            orders,
            BatchSize=10,
            MaximumBatchingWindowInSeconds=5,
            FunctionResponseTypes=["ReportBatchItemFailures"],
        )
    )
    settings = mapping.settings
    assert (mapping.id, mapping.function_name, settings.order) == ("lambda_handler", "lambda_handler", "lane")
    assert (settings.batch_size, settings.batching_window_ms, settings.report_batch_item_failures) == (
        10,
        5_000,
        True,
    )
    assert (settings.maximum_retry_attempts, settings.bisect_batch_on_function_error) == (INFINITE, False)


@pytest.mark.parametrize(
    "name", ["tests.unit.app.test_app:lambda_handler", "tests.unit.app.test_app.lambda_handler"]
)
def test_a_function_may_be_named(name: str) -> None:
    assert declared(lambda app, orders: app.function(name, orders)).target.__name__ == "lambda_handler"


def test_the_decorator_returns_the_function_itself() -> None:
    app = App("shop")
    assert app.on(app.table("orders", pk="id"))(handler) is handler


def test_retries_are_written_in_words() -> None:
    settings = declared(
        lambda app, orders: app.on(orders, retry=Retry(3, backoff="200ms..1h", factor=3))(handler)
    ).settings
    assert settings.maximum_retry_attempts == 3
    assert settings.backoff == Backoff(200, 3.0, 3_600_000)


REFUSED: list[tuple[str, Callable[[App, Any], object], str]] = [
    ("an id twice", lambda app, orders: [app.on(orders, id="a")(handler), app.on(orders, id="a")(handler)],
     "id 'a'"),
    ("a table twice", lambda app, orders: app.table("orders", pk="id"), "declared twice"),
    ("a batch of nothing", lambda app, orders: app.on(orders, batch_size=0)(handler),
     "batch_size: 0 .* 1 to 10000"),
    ("a setting that is none", lambda app, orders: app.on(orders, size=3)(handler), "size: no such setting"),
    ("a setting of AWS in Python", lambda app, orders: app.on(orders, BatchSize=3)(handler),
     "BatchSize: no such setting"),
    ("a park of its own", lambda app, orders: app.on(orders, on_failure="x")(handler),
     "on_failure: 'x' is not allowed"),
    ("an order", lambda app, orders: app.on(orders, order="lane")(handler), "order: no such setting"),
    ("AWS's setting out of range", lambda app, orders: app.function(lambda_handler, orders, BatchSize=10_001),
     "BatchSize: 10001"),
    ("an unknown setting of AWS", lambda app, orders: app.function(lambda_handler, orders, Batch=1),
     "Batch: no such setting"),
    ("a function that is not there", lambda app, orders: app.function("nowhere:f", orders), "nowhere:f"),
    ("an attribute that is not there", lambda app, orders: app.function("json:f", orders), "json:f"),
    ("an attribute that is no function", lambda app, orders: app.function("json:__name__", orders),
     "no function"),
    ("no module at all", lambda app, orders: app.function("f", orders), "'f'"),
    ("a typed entity", lambda app, orders: app.on(dict)(handler),
     "dict is in no table of app 'shop': class dict.Item, table=shop"),
    ("no table", lambda app, orders: app.on("orders")(handler), "is no table"),
    ("a table of another app", lambda app, orders: app.on(App("other").table("orders", pk="id"))(handler),
     "another app"),
    ("a table without a stream", lambda app, orders: app.on(app.table("dry", pk="id", stream=None))(handler),
     "no stream"),
    ("a handler without an argument", lambda app, orders: app.on(orders)(lambda: None), "one argument"),
    ("a handler with two", lambda app, orders: app.on(orders)(lambda a, b: None), "nothing provides .b."),
    ("a time-out of a thread", lambda app, orders: app.on(orders, timeout=3)(handler), "async def"),
    ("a time-out that is none", lambda app, orders: app.on(orders, timeout="3s")(handler), "timeout: '3s'"),
    ("a time-out of zero", lambda app, orders: app.on(orders, timeout=0)(handler), "timeout: 0"),
    ("a view type that is none", lambda app, orders: app.table("other", pk="id", stream="NEW"),
     "stream: 'NEW'"),
    ("a key type that is none", lambda app, orders: app.table("other", pk="id", pk_type="X"), "pk_type: 'X'"),
    ("an empty key", lambda app, orders: app.table("other", pk=""), "the key ''"),
    ("one key twice", lambda app, orders: app.table("other", pk="id", sk="id"), "both 'id'"),
    ("a table name that AWS refuses", lambda app, orders: app.table("a b", pk="id"), "table 'a b'"),
    ("a TTL", lambda app, orders: app.table("other", pk="id", ttl="id"), "beside the key"),
    ("an app without a name", lambda app, orders: App(""), "name"),
    ("a back-off that is none", lambda app, orders: Retry(backoff="1s"), "1s..5m"),
    ("a duration that is none", lambda app, orders: Retry(backoff="1..2"), "no duration"),
    ("fewer retries than none", lambda app, orders: Retry(-2), "retries: -2"),
    ("a number for a retry", lambda app, orders: app.on(orders, retry=5)(handler),
     "retry: 5 is not allowed; write Retry"),  # type: ignore[arg-type]
    ("a first wait beyond the longest", lambda app, orders: Retry(backoff="5m..1s"),
     "the first wait is longer than the longest"),
    ("a destination that is none", lambda app, orders: Discard(to="late"),
     "Discard: to: 'late' is not allowed; it is the ARN of"),
    ("a FIFO queue for a destination", lambda app, orders: Discard(to="arn:aws:sqs:us-east-1:1:q.fifo"),
     "FIFO"),
    ("a destination that cannot deliver", lambda app, orders: Discard(to=5), "async def deliver"),
    ("a position of Kinesis",
     lambda app, orders: app.function(lambda_handler, orders, StartingPosition="AT_TIMESTAMP"),
     "StartingPosition"),
    ("half a retry", lambda app, orders: Retry(1.5), "retries: 1.5"),  # type: ignore[arg-type]
]  # fmt: skip


@pytest.mark.parametrize(
    ("declare", "words"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_what_is_wrong_is_refused_where_it_is_written(
    declare: Callable[[App, Any], object], words: str
) -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")
    with pytest.raises(SettingsError, match=words):
        declare(app, orders)


INSERT, MODIFY, REMOVE = record(None, A), record(A, B), record(B, None)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("inserted", [True, False, False]),
        ("modified", [False, True, False]),
        ("removed", [False, False, True]),
    ],
)
def test_some_kinds_of_changes_are_chosen(kind: str, expected: list[bool]) -> None:
    accepts = declared(lambda app, orders: app.on(getattr(orders, kind))(handler)).settings.accepts
    assert accepts is not None
    assert [accepts(record) for record in (INSERT, MODIFY, REMOVE)] == expected


def test_a_function_can_be_given_some_kinds_too() -> None:
    accepts = declared(lambda app, orders: app.function(lambda_handler, orders.removed)).settings.accepts
    assert accepts is not None
    assert [accepts(record) for record in (INSERT, REMOVE)] == [False, True]


def test_where_sees_the_change() -> None:
    accepts = declared(
        lambda app, orders: app.on(orders, where=lambda change: "came" in change.diff())(handler)
    ).settings.accepts
    assert accepts is not None
    assert [accepts(record) for record in (INSERT, MODIFY, REMOVE)] == [False, True, True]


def test_a_where_that_raises_lets_through_and_is_judged_again() -> None:
    moods = iter([ValueError("first"), True])

    def where(change: Change) -> bool:
        mood = next(moods)
        if isinstance(mood, Exception):
            raise mood
        return mood

    chosen = Filter(Changes(Table("orders", "id"), ("INSERT",)), where)
    assert chosen(INSERT)
    assert chosen.judge(Change(INSERT, "t"))
    assert chosen.judge(Change(INSERT, "t")), "asked once more only after it raised"
