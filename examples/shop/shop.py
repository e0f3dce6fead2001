"""A shop on one table: typed entities, an index, predicates, dependencies, a projection, a window, a batch.
`tailrace dev examples/shop/shop.py`.

Rules of this file: the normative form of the API: what is written here is how an application is written, and
it is checked by mypy --strict and pyright. Tested by test_shop.py beside it.
"""

from collections import Counter
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from tailrace import (
    App,
    Batch,
    Change,
    Client,
    Depends,
    Epoch,
    Index,
    Item,
    Park,
    Retry,
    Window,
    by_ttl,
    changed,
    new,
    old,
    sinks,
)

app = App("shop")
shop = app.table(
    "shop",
    pk="pk",
    sk="sk",
    ttl="expires_at",
    indexes={"by_country": Index("country", "placed_at")},
)


class Order(Item, table=shop, pk="ORDER#{id}", sk="META"):
    """An order. Its lines are entities of their own, under the same partition key."""

    id: str
    country: str = "NL"
    status: str = "new"
    total: Decimal = Decimal(0)
    placed_at: datetime | None = None
    expires_at: Epoch | None = None


class Line(Item, table=shop, pk="ORDER#{order}", sk="LINE#{number:04}"):
    """One line of an order."""

    order: str
    number: int
    sku: str
    count: int = 1


class Latest(Item, table=shop, pk="COUNTRY#{of}", sk="LATEST"):
    """The newest orders of a country."""

    of: str
    orders: list[str]


class Mailer:
    """Where mails go: here into a list; the key makes a repeated one harmless."""

    def __init__(self) -> None:
        self.sent: dict[str, str] = {}

    async def send(self, to: str, text: str, *, key: str) -> None:
        """Send a mail once for each key."""
        self.sent.setdefault(key, f"{to}: {text}")


def mailer() -> Mailer:
    """The mailer of this worker."""
    return Mailer()


@app.on(
    Order,
    where=changed(Order.status) & (new(Order.status) == "paid") & (new(Order.total) > 100),
    retry=Retry(5, backoff="1s..5m"),
    on_failure=Park.key,
    once=True,
)
async def receipt(change: Change[Order], mail: Annotated[Mailer, Depends(mailer)]) -> None:
    """Mail a receipt when an order of some size becomes paid."""
    await mail.send(change.new.id, f"thank you for {change.new.total}", key=change.event_id)


@app.on(Order.removed, where=~by_ttl())
def audit(change: Change[Order]) -> dict[str, object]:
    """A person deleted it, not TTL; what is returned goes to this handler's sink."""
    return {"order": change.key, "was": change.old, "at": change.at}


app.sink(audit, sinks.EventBridge(bus="ops", detail_type="OrderDeleted"))


@app.on(Order.modified, where=new(Order.total) < old(Order.total))
def cheaper(change: Change[Order]) -> None:
    """Keep the number of price cuts of each order beside it, once for each cut."""
    change.transaction.update(
        shop, {"pk": f"ORDER#{change.key}", "sk": "CUTS"}, "ADD cuts :one", values={":one": 1}
    )


@app.on(Order.inserted)
def latest(change: Change[Order], db: Annotated[Client, Depends(app.client)]) -> None:
    """Keep the three newest orders of each country: read as they are now, written once together."""
    country = change.new.country
    newest = db.query(Order, index="by_country", country=country, reverse=True, limit=3)
    change.transaction.put(Latest(of=country, orders=[order.id for order in newest]))


@app.projection(by=Order.country, version=2)
def sales(total: Decimal, order: Order, sign: int) -> Decimal:
    """What is sold in each country. The old image comes with −1, in its old country; the new with +1."""
    return total + sign * order.total


@app.window(Order, every="1m", by=Order.country, at=Order.placed_at, lateness="5m")
def spike(window: Window[Order]) -> dict[str, object] | None:
    """Alert of a minute with ten orders or more in a country; the returned value goes to the sink."""
    if len(window) < 10:
        return None
    return {"country": window.key, "minute": window.start, "orders": len(window)}


app.sink(spike, sinks.EventBridge(bus="ops", detail_type="OrderSpike"))


SOLD: Counter[str] = Counter()


@app.batch(Line.inserted, batch_size=1000)
def tally(batch: Batch[Line]) -> None:
    """Count what is sold, a batch at a time."""
    for change in batch:
        SOLD[change.new.sku] += change.new.count


@app.unmatched(shop)
def others(change: Change) -> None:
    """What fits no entity: the counters that `cheaper` keeps, and whatever else comes into the table."""
    if change.keys["sk"] != "CUTS":
        raise ValueError(f"{change.key} is of no known kind")


def legacy(event: dict[str, Any], context: object) -> dict[str, list[dict[str, str]]]:
    """A Lambda function that was there before: AWS's event, AWS's answer."""
    return {"batchItemFailures": []}


app.function(
    legacy,
    shop,
    BatchSize=100,
    BisectBatchOnFunctionError=True,
    MaximumRetryAttempts=3,
    FunctionResponseTypes=["ReportBatchItemFailures"],
)
