"""The application of tests/crash/journals.py and replays.py: a table that is archived, one that its past is
restored to, and a handler of its changes that is replayed.

Rules of this file: what it runs with comes from the environment. A process has one role: `node` has the
tables and keeps the journal, `live` (a worker) and `replay` call the handler. No node calls it: its state is
not the one that has their marks.
"""

import os

from tailrace import App, Change
from tests.crash import journals_calls
from tests.crash.journals_calls import CALLS

assert journals_calls.KEEP_MS
ROLE = os.environ.get("TAILRACE_CRASH_ROLE", "node")
app = App("journals")
items = app.table("items", pk="id")
copies = app.table("copies", pk="id")
counts = app.table("counts", pk="id")
if ROLE != "live":
    app.archive(items, os.environ["TAILRACE_CRASH_JOURNAL"])

if ROLE != "node":
    log = os.open(os.environ["TAILRACE_CRASH_HANDLED"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    @app.on(items, batch_size=5 if ROLE == "replay" else 100)
    def count(change: Change) -> None:
        """Say that it is called, and record which change of its item this is."""
        run, number = change.replay_id or "live", change.record.sequence
        with CALLS.one("handler"):
            os.write(log, f"{run} {number} {change.key}\n".encode())
            change.transaction.update(
                counts,
                {"id": f"{run}|{change.key}"},
                "SET applied = list_append(if_not_exists(applied, :none), :this)",
                values={":none": [], ":this": [str(number)]},
            )
