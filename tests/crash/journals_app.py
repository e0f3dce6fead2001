"""The application of tests/crash/journals.py: a table that is archived, and one that its past is restored to.

Rules of this file: what it runs with comes from the environment.
"""

import os

from tailrace import App
from tests.crash import journals_calls

assert journals_calls.KEEP_MS
app = App("journals")
items = app.table("items", pk="id")
copies = app.table("copies", pk="id")
app.archive(items, os.environ["TAILRACE_CRASH_JOURNAL"])
