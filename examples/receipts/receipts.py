"""Receipts through an outbox: decided once, mailed with a key that makes a repetition harmless.
`tailrace dev …/receipts.py`.

`decide` writes the receipt into a table, in one commit with the mark that the order's change was seen: each
paid order has exactly one receipt, whatever crashes when. `deliver` mails it: no program can send a mail and
commit in one step, so it may be sent twice, with the same key both times. A mail server that is down is an
outage: nothing is given up. An address that it refuses parks that receipt alone.
"""

from decimal import Decimal
from typing import Annotated, Protocol

from tailrace import App, Change, Depends, Item, Park, Retry, Unavailable, changed, new

app = App("receipts")
orders = app.table("orders", pk="id")
outbox = app.table("outbox", pk="id")


class Order(Item, table=orders):
    """An order."""

    id: str
    address: str = ""
    status: str = "new"
    total: Decimal = Decimal(0)


class Receipt(Item, table=outbox):
    """A mail that is to be sent. Its id is that of the change that it is for."""

    id: str
    address: str
    text: str


class Refused(Exception):
    """The mail server does not know the address."""


class Mailer(Protocol):
    """A mail server."""

    async def send(self, address: str, text: str, *, key: str) -> None:
        """Send a mail, once for each key. Raises: Refused, ConnectionError."""


class Printer:
    """A mail server for a first look."""

    async def send(self, address: str, text: str, *, key: str) -> None:
        """Print it."""
        print(f"to {address}: {text}  [{key}]", flush=True)


def mailer() -> Mailer:
    """The mailer of this worker. A test puts another one in its place."""
    return Printer()


@app.on(Order, where=changed(Order.status) & (new(Order.status) == "paid"))
def decide(change: Change[Order]) -> None:
    """One receipt for each time that an order becomes paid, in the commit that marks the change."""
    order = change.new
    change.transaction.put(
        outbox,
        {
            "id": change.event_id,
            "address": order.address,
            "text": f"{order.id}: {order.total} paid, thank you",
        },
    )


@app.on(Receipt.inserted, retry=Retry(3, backoff="1s..1m"), on_failure=Park.key, timeout=10)
async def deliver(change: Change[Receipt], mail: Annotated[Mailer, Depends(mailer)]) -> None:
    """Mail it. An absent server is waited for without end; what it refuses is parked after three retries."""
    receipt = change.new
    try:
        await mail.send(receipt.address, receipt.text, key=receipt.id)
    except ConnectionError as error:
        raise Unavailable(f"the mail server is not there: {error}") from error
