"""The application of tests/crash/places.py: one handler that never fails, and one that fails until
a person mends it.

Rules of this file: effects go through `change.transaction` alone and are not idempotent, as in app.py.
"""

import os
from pathlib import Path

from tailrace import App, Change, Park, Retry

app = App("places")
counters = app.table("counters", pk="id")
app.table("effects", pk="id", stream=None)
app.table("accepted", pk="id", stream=None)
MENDED = Path(os.environ["TAILRACE_CRASH_MENDED"])


def append(table: str, change: Change) -> None:
    """One value more of what was seen of a counter."""
    assert change.new is not None
    change.transaction.update(
        table,
        {"id": change.new["id"]},
        "SET seen = list_append(if_not_exists(seen, :none), :value)",
        values={":none": [], ":value": [change.new["n"]]},
    )


@app.on(counters)
def note(change: Change) -> None:
    """Write down every value."""
    append("effects", change)


@app.on(counters, retry=Retry(0), on_failure=Park(max_per_key=1_000_000))
def picky(change: Change) -> None:
    """Write down every value, but fail at each fifth unless it is mended: the key is parked, what follows
    waits behind it.
    """
    assert change.new is not None
    if change.new["n"] % 5 == 0 and not MENDED.exists():
        raise ValueError("a fifth value")
    append("accepted", change)
