"""The application that is killed: every change of a counter is written down once, in order.

Rules of this file: the effect goes through `change.transaction` alone, and it is not idempotent on purpose: an effect
applied twice, lost or out of order shows in `seen`.
"""

from tailrace import App, Change

app = App("crash")
counters = app.table("counters", pk="id")
app.table("effects", pk="id", stream=None)


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
