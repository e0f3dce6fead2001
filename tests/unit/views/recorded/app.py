"""The app whose data directory is recorded: one of every feature that keeps rows."""

from tailrace import App, Discard, Item, Retry, Window, new

app = App("shop")
orders = app.table("orders", pk="id")
lines = app.table("lines", pk="order", sk="number")


class Order(Item, table=orders):
    id: str
    country: str = "NL"
    total: int = 1


@app.on(orders, id="mail", retry=Retry(2))
def mail(change):
    if change.key.startswith("bad"):
        raise ValueError(f"no address: {change.key}")


@app.on(Order, where=new(Order.total) >= 5, id="large", retry=Retry(1), on_failure=Discard())
def large(change):
    if change.key.endswith("7"):
        raise RuntimeError("seven\nof all")


@app.on(orders, id="once", once=True)
def once(change):
    pass


@app.on(orders, id="slow")
def slow(change):
    pass


@app.window(Order, id="minutes", every="1m", by=Order.country)
def minutes(window: Window[Order]):
    if "xx" in str(window.key):
        raise ValueError("no such country")


def tumbling(event, context):
    if event.get("isFinalInvokeForWindow"):
        raise ValueError("no total")
    return {"state": {}}


app.function(
    tumbling, orders, id="tumbling", TumblingWindowInSeconds=30, MaximumRetryAttempts=1, batch_size=10
)


@app.on(lines, id="index")
def index(change):
    pass


@app.projection(Order, by=Order.country, id="sales")
def sales(count: int, order: Order, sign: int) -> int:
    return count + sign
