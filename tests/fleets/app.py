"""The application of a fleet that is disturbed: it writes down who handled what, and under which epoch.

Theory of operation: `note` keeps what it saw through `change.transaction` alone, in order and counted:
nothing of it is idempotent, so an effect that is applied twice, lost or out of order shows. `ledger` is a
sink of our own that appends a line for each batch to a file, in one write, before it accepts it: when, whose
process, which shard, under which epoch (a batch's request begins with the shard's digest and the epoch of the
lease under which it is made), which changes. The lines of all workers stand there in the order in which their
batches began. `sums` is a projection, which every worker builds and keeps with the others.
"""

import asyncio
import os
import time
from decimal import Decimal
from typing import Any

from tailrace import App, Change
from tailrace.ports import Clock, Outcome, RecordBatch, Written
from tailrace.streams.record import image

BATCH = 10
GROUPS = 7

app = App("fleet")
counters = app.table("counters", pk="id")
app.table("effects", pk="id", stream=None)
app.table("tallies", pk="id", stream=None)


def group_of(counter: str) -> str:
    """The group of a counter."""
    return f"group-{int(counter.rpartition('-')[2]) % GROUPS}"


@app.on(counters, batch_size=BATCH)
def note(change: Change) -> None:
    """Append the counter's new value to what was seen of it, and count it in its group."""
    counter, value = change.new["id"], change.new["n"]
    before = change.old["n"] if change.old else 0
    change.transaction.update(
        "effects",
        {"id": counter},
        "SET seen = list_append(if_not_exists(seen, :none), :value)",
        values={":none": [], ":value": [value]},
    )
    change.transaction.update(
        "tallies",
        {"id": group_of(counter)},
        "ADD changes :one, advance :more",
        values={":one": 1, ":more": value - before},
    )


class Ledger:
    """A file with a line for each batch that was begun."""

    def __init__(self) -> None:
        self._file = -1

    async def open(self, clock: Clock) -> None:
        """Open the file."""
        if self._file < 0:
            self._file = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def write(self, batch: RecordBatch) -> Outcome:
        """Write the line, and accept all of it a moment later."""
        epoch = int(batch.request.split("-")[1], 16)
        changes = []
        for record in batch.records:
            item = image(record.new) or {}
            changes.append(f"{item['id']['S']}:{item['n']['N']}:{int(record.sequence_number)}")
        line = f"{time.time():.3f} {os.getpid()} {batch.shard_id} {epoch} {' '.join(changes)}\n"
        os.write(self._file, line.encode())
        await asyncio.sleep(0.002)
        return Written()

    async def close(self) -> None:
        """Close it."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


app.sink(counters, Ledger(), id="ledger", batch_size=BATCH)


@app.projection(counters, by=lambda item: group_of(item["id"]), id="sums")
def sums(total: Decimal, item: dict[str, Any], sign: int) -> Decimal:
    """What the counters of a group come to, kept by the changes of each."""
    return total + sign * item["n"]
