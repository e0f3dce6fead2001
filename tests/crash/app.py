"""The application that is killed: every change of a counter is written down once, in order.

Rules of this file: the effect goes through `change.transaction` alone, and it is not idempotent on purpose:
an effect applied twice, lost or out of order shows in `seen`.
"""

from tailrace import App, Change, Park, Retry

app = App("crash")
counters = app.table("counters", pk="id")
app.table("effects", pk="id", stream=None)
app.table("accepted", pk="id", stream=None)


@app.on(counters)
def note(change: Change) -> None:
    """Append the counter's new value to what was seen of it."""
    assert change.new is not None
    change.transaction.update(
        "effects",
        {"id": change.new["id"]},
        "SET seen = list_append(if_not_exists(seen, :none), :value)",
        values={":none": [], ":value": [change.new["n"]]},
    )


@app.on(counters, retry=Retry(0), on_failure=Park(max_per_key=1_000_000))
def refuse(change: Change) -> None:
    """Accept two values of each counter and fail at the third: its key is parked, every later
    value waits behind it.
    """
    assert change.new is not None
    if change.new["n"] > 2:
        raise ValueError("a third value")
    change.transaction.update(
        "accepted",
        {"id": change.new["id"]},
        "SET seen = list_append(if_not_exists(seen, :none), :value)",
        values={":none": [], ":value": [change.new["n"]]},
    )
