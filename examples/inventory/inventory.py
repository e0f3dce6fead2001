"""Inventory with alerts: sales take from the stock, and the buyer hears once of what runs low.
`tailrace dev …/inventory.py`.

A sale changes the stock on `change.transaction`, with the condition that there is enough: the condition, the
stock and the mark of the sale are one commit, so nothing is sold twice and nothing below zero. A sale that
cannot be taken is parked until there is stock again. The alert compares the item before and after: it is
about the moment when the stock falls below its minimum, not about being there.
"""

from typing import Any

from tailrace import App, Change, Item, Park, Retry, new, old
from tailrace.ports import RecordBatch, Written

app = App("inventory")
sales = app.table("sales", pk="id")
stock = app.table("stock", pk="sku")


class Sale(Item, table=sales):
    """Some pieces of one article, sold."""

    id: str
    sku: str
    count: int = 1


class Stock(Item, table=stock):
    """How many pieces there are, and how many there should be at least."""

    sku: str
    pieces: int = 0
    minimum: int = 0


class Pager:
    """Where alerts go. A sink has one method."""

    def __init__(self) -> None:
        self.alerts: list[Any] = []

    async def write(self, batch: RecordBatch) -> Written:
        """Tell what the handler returned for each change."""
        for value in batch.values or ():
            self.alerts.append(value)
            print(value, flush=True)
        return Written()


pager = Pager()


@app.on(Sale.inserted, retry=Retry(2, backoff="1s..10s"), on_failure=Park.key)
def take(change: Change[Sale]) -> None:
    """Take the pieces out of the stock, if it has them."""
    sale = change.new
    change.transaction.update(
        Stock,
        {"sku": sale.sku},
        "SET pieces = pieces - :count",
        condition="pieces >= :count",
        values={":count": sale.count},
    )


@app.on(Stock, where=(new(Stock.pieces) < new(Stock.minimum)) & ~(old(Stock.pieces) < old(Stock.minimum)))
def running_low(change: Change[Stock]) -> dict[str, object]:
    """What is returned goes to this handler's sink: one alert for each fall below the minimum."""
    return {"order": change.new.sku, "left": change.new.pieces, "because of": change.event_id}


app.sink(running_low, pager)
