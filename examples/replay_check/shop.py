"""A shop that mails a receipt for every paid order, and takes what was sold out of the stock."""

from decimal import Decimal
from typing import Annotated, Any

from tailrace import App, Change, Client, Depends, Item, changed, new, sinks

app = App("shop")
table = app.table("shop", pk="pk")
app.archive(table, "history/")


class Order(Item, table=table, pk="ORDER#{id}"):
    id: str
    mail: str
    sku: str
    count: int
    total: Decimal
    status: str = "new"


class Stock(Item, table=table, pk="STOCK#{sku}"):
    sku: str
    left: int


def rate(currency: str) -> Decimal:
    """What a euro is worth; asks a service of others."""
    raise NotImplementedError(f"a client of a service that knows {currency}")


@app.on(Order, where=changed(Order.status) & (new(Order.status) == "paid"))
def receipt(change: Change[Order], db: Annotated[Client, Depends(app.client)]) -> dict[str, Any]:
    order = change.new
    stock = db.get(Stock, sku=order.sku)
    left = (0 if stock is None else stock.left) - order.count
    change.transaction.put(Stock(sku=order.sku, left=left))
    return {"to": order.mail, "total": order.total, "dollars": order.total * rate("USD"), "left": left}


app.sink(receipt, sinks.EventBridge(bus="ops", detail_type="Receipt"))
