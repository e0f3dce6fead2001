"""The app of the recorded data directories: it ran with the old version when they were recorded, and goes on
with this one.

Rules of this file: only what the oldest recorded version has; nothing in it changes, or the recordings no
longer fit it. What a handler did is noted by event id, in order. Used by record.py and by test_recorded.py.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tailrace import App, Change, Discard, Park, Retry, Unavailable, Window

FUNCTION = "tests.upgrade.shop:lambda_handler"
QUEUE = "arn:aws:sqs:us-east-1:123456789012:given-up"
FEW = Retry(2, backoff="1s..2s")


class Broken(Exception):
    """What a handler raises at a key that is broken."""


@dataclass(slots=True)
class Notes:
    """What handlers did, and at which keys they fail.

    Shape:   `handled` by handler: event ids in the order in which they were handled; `broken` by handler:
             keys; `windows` by key and start: the keys in it, the newest revision; `tumbled` what the
             function of tumbling windows was given.
    """

    handled: dict[str, list[str]] = field(default_factory=dict)
    broken: dict[str, set[str]] = field(default_factory=dict)
    windows: dict[str, list[str]] = field(default_factory=dict)
    tumbled: list[dict[str, Any]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    unreachable: bool = False

    def handle(self, handler: str, event_id: str, key: str) -> None:
        """One change. Raises: Broken."""
        if key in self.broken.get(handler, ()):
            raise Broken(f"{handler} fails")
        self.handled.setdefault(handler, []).append(event_id)


NOTES = Notes()
"""Those of the functions, which are found by their names."""


@dataclass(frozen=True, slots=True)
class Post:
    """An on-failure destination that may be out of reach."""

    notes: Notes

    async def deliver(self, failure: Any) -> None:
        """Note the message. Raises: Unavailable."""
        if self.notes.unreachable:
            raise Unavailable("the post is closed")
        self.notes.told.append(failure.message.decode())


def lambda_handler(event: dict[str, Any], context: Any) -> None:
    """A function of Lambda's API. Raises: Broken."""
    for record in event["Records"]:
        NOTES.handle("lambda", record["eventID"], record["dynamodb"]["Keys"]["id"]["S"])


def lane(event: dict[str, Any], context: Any) -> None:
    """A function in the order of lanes. Raises: Broken."""
    for record in event["Records"]:
        if record["dynamodb"]["Keys"]["id"]["S"] in NOTES.broken.get("lane", ()):
            raise Broken("lane fails")
    for record in event["Records"]:
        NOTES.handle("lane", record["eventID"], record["dynamodb"]["Keys"]["id"]["S"])


def tumble(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """A function of tumbling windows: how many changes each had."""
    count = (event.get("state") or {}).get("count", 0) + len(event["Records"])
    for record in event["Records"]:
        NOTES.handle("tumble", record["eventID"], record["dynamodb"]["Keys"]["id"]["S"])
    if event["isFinalInvokeForWindow"]:
        NOTES.tumbled.append({"shard": event["shardId"], "start": event["window"]["start"], "count": count})
    return {"state": {"count": count}}


def shop(notes: Notes, *, version: int) -> App:
    """The app. Shape: `version` is that of its projection."""
    app = App("shop")
    orders = app.table("orders", pk="id")
    app.table("stock", pk="id", stream=None)

    def noted(handler: str) -> Callable[[Change], None]:
        return lambda change: notes.handle(handler, change.event_id, change.key)

    app.on(orders, id="charge", retry=FEW, on_failure=Park.key)(noted("charge"))
    app.on(orders, id="late")(noted("late"))
    app.on(orders, id="stuck", retry=FEW, on_failure=Park(max_keys=2, max_per_key=4))(noted("stuck"))
    app.on(orders, id="mail", retry=FEW, on_failure=Discard(to=Post(notes)))(noted("mail"))
    app.on(orders, id="brand", where=lambda change: change.key.startswith("n"))(noted("brand"))

    @app.on(orders, id="ship")
    def ship(change: Change) -> None:
        notes.handle("ship", change.event_id, change.key)
        change.transaction.update("stock", {"id": change.key}, "ADD n :one", values={":one": 1})

    @app.projection(orders, by=lambda item: item["country"], version=version, id="sales")
    def sales(total: Decimal, item: dict[str, Any], sign: int) -> Decimal:
        return total + sign * item["total"]

    @app.window(orders, every="1h", by=lambda item: item["country"], at="placed", lateness="10m", id="hourly")
    def hourly(window: Window) -> None:
        notes.windows[f"{window.key}/{window.start:%dT%H}"] = sorted(item["id"] for item in window)

    app.function(
        lane,
        orders,
        id="lane",
        BatchSize=10,
        MaximumRetryAttempts=1,
        BisectBatchOnFunctionError=True,
        DestinationConfig={"OnFailure": {"Destination": QUEUE}},
    )
    app.function(tumble, orders, id="tumble", BatchSize=10, TumblingWindowInSeconds=900)
    return app
