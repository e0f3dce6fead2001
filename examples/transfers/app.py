"""Account transfers as changes: each is applied once, and the balances agree to the cent, whatever is killed
when.

    tailrace dev examples/transfers/app.py
    python examples/transfers/send.py 1000        in another terminal: a thousand transfers

A transfer is an item that is written once. Its change moves the money in `change.transaction`: both accounts
and the mark of the transfer are one commit, so a repeated delivery moves nothing. Kill the process as often
as you like.
"""

from decimal import Decimal

from tailrace import App, Batch, Change

app = App("transfers")
transfers = app.table("transfers", pk="id")
accounts = app.table("accounts", pk="id")
OPENING = Decimal("1000.00")
moved = {"changes": 0, "cents": 0}


@app.on(transfers.inserted, concurrency=4)
def move(change: Change) -> None:
    """Take the amount from one account and give it to the other, and count the transfer on both."""
    assert change.new is not None
    amount = change.new["amount"]
    for account, change_of_balance in ((change.new["source"], -amount), (change.new["target"], amount)):
        change.transaction.update(
            accounts,
            {"id": account},
            "SET balance = if_not_exists(balance, :opening) + :change ADD applied :one",
            values={":opening": OPENING, ":change": change_of_balance, ":one": 1},
        )


@app.batch(accounts, batch_size=1_000)
def invariant(batch: Batch) -> None:
    """Say what has moved since the process began: between accounts money only moves, so the sum is 0."""
    for change in batch:
        before = change.old["balance"] if change.old else OPENING
        after = change.new["balance"] if change.new else OPENING
        moved["cents"] += int((after - before) * 100)
        moved["changes"] += 1
    verdict = "balanced to the cent" if moved["cents"] == 0 else "a transfer is between two batches"
    print(f"{moved['changes']:>7,} movements, sum {moved['cents'] / 100:+.2f}: {verdict}", flush=True)
