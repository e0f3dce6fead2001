"""The `sql` verb: a question to a DuckDB table that a sink or a projection of the running app keeps.

Rules of this file: it only reads; the process that writes a DuckDB file is the only one that can open it, so it answers. In a thread: a long
question holds nobody. Registered by `verbs`.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Protocol, runtime_checkable

from tailrace.errors import TailraceError
from tailrace.server.control import Arguments, Subject, verb


@runtime_checkable
class Queryable(Protocol):
    """A sink that can be asked."""

    path: Any
    table: str

    def query(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Columns and rows."""


@verb("sql")
async def sql(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    """Arguments: sql; table, which one's file is asked where sinks keep several."""
    if subject.worker is None:
        raise TailraceError("No app runs here, so no sink keeps a table.", hint="tailrace dev app.py")
    sink = _chosen(subject.worker.app.mappings, arguments.get("table"))
    loop = asyncio.get_running_loop()
    columns, rows = await loop.run_in_executor(None, sink.query, str(arguments.get("sql")))
    yield {"columns": columns, "rows": [list(row) for row in rows]}


def _chosen(mappings: Any, table: object) -> Queryable:
    places = [mapping.sink for mapping in mappings]
    places += [mapping.projection.into for mapping in mappings if mapping.projection is not None]
    found = {(str(each.path), each.table): each for each in places if isinstance(each, Queryable)}
    if not found:
        raise TailraceError(
            "No sink of this app keeps a table that can be asked.",
            hint="app.sink(orders, sinks.DuckDB('shop.duckdb', 'orders'))",
        )
    if table is not None:
        found = {place: sink for place, sink in found.items() if place[1] == table}
    files = {place[0] for place in found}
    if len(files) != 1:
        words = ", ".join(sorted({place[1] for place in found})) or "none"
        raise TailraceError(
            f"{'Several files keep tables' if found else f'There is no table {table!r}'}: {words}.",
            hint='tailrace sql --table NAME "select …"',
        )
    return next(iter(found.values()))
