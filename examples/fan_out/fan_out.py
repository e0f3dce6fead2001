"""One stream, three handlers of different speeds: none waits for another.
`tailrace dev examples/fan_out/fan_out.py`.

Every handler has a checkpoint, retries and a lag of its own: `tailrace status` shows the three side by side.
On Lambda two readers of one shard are the limit, and a third is throttled; here the table is read once for
all of them.
"""

import asyncio
from decimal import Decimal

from tailrace import App, Batch, Change, Item, Retry

app = App("fan-out")
orders = app.table("orders", pk="id")
stock = app.table("stock", pk="sku", stream=None)


class Order(Item, table=orders):
    """An order of some pieces of one article."""

    id: str
    sku: str
    count: int = 1
    total: Decimal = Decimal(0)


REVENUE: dict[str, Decimal] = {}


@app.batch(Order.inserted, batch_size=500)
def revenue(batch: Batch[Order]) -> None:
    """At once: keep what each article brought in, in memory, hundreds at a time."""
    for change in batch:
        REVENUE[change.new.sku] = REVENUE.get(change.new.sku, Decimal(0)) + change.new.total


@app.on(Order.inserted, batch_size=5)
async def reserve(change: Change[Order]) -> None:
    """A tenth of a second: ask the warehouse, then take the pieces out of the stock, once for each order.

    Five orders are committed together: a crash makes it ask for at most five of them again, and take none
    twice.
    """
    await asyncio.sleep(0.1)
    change.transaction.update(
        stock, {"sku": change.new.sku}, "ADD pieces :taken", values={":taken": -change.new.count}
    )


@app.on(Order.inserted, concurrency=4, retry=Retry(3, backoff="1s..30s"))
async def partner(change: Change[Order]) -> None:
    """Two seconds: tell a partner's slow server, four orders at a time, never two of one key."""
    await asyncio.sleep(2)
    if change.new.sku == "forbidden":
        raise ValueError(f"the partner refuses order {change.new.id}")
