"""The application of tests/crash/search.py: a table that an index follows.

Rules of this file: nothing but the sink; the cluster's address comes from the environment.
"""

import os

from tailrace import App, sinks

app = App("search")
counters = app.table("counters", pk="id")
app.sink(counters, sinks.OpenSearch(os.environ["TAILRACE_CRASH_SEARCH"], "counters"))
