"""The verb behind `tailrace export write`: all items of tables, as of one moment.

Rules of this file: it only reads, a page at a time and in a thread, so that a server goes on meanwhile; where
the items go is the client's affair. Nothing is told before it is durable. Registered by `verbs`.
Stands alone as every family of verbs does.
"""

from collections.abc import AsyncGenerator, Iterator
from typing import Any, Final

from tailrace.engine.engine import Engine
from tailrace.engine.standing import StandingTables
from tailrace.errors import TailraceError
from tailrace.runtime.threads import in_thread
from tailrace.server.control import Arguments, Subject, verb_of_values
from tailrace.server.tables import tables
from tailrace.values.canonical import size_bytes
from tailrace.values.types import Item

PAGE_BYTES: Final = 512 * 1024
PAGE_ITEMS: Final = 1_000


@verb_of_values("export.items", streams=True)
async def items(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    """Arguments: tables, a list of names, all of them without it; count_only. Answers: of each table what it
    is, then pages of its items, at least one, of which the last one says so. All are of the same moment.
    """
    names = _chosen(subject.engine, arguments.get("tables"))
    held = StandingTables(subject.engine, names)
    try:
        await subject.settle()
        for table in held.tables:
            yield {
                "table": table.name,
                "arn": table.arn,
                "table_id": table.table_id,
                "to_us": held.at_ms * 1_000,
                "items": table.items,
                "bytes": table.bytes,
            }
            if arguments.get("count_only"):
                continue
            rows = held.items(table)
            is_last = False
            while not is_last:
                page, is_last = await in_thread(_page, rows)
                yield {"items": page, "is_last": is_last}
    finally:
        held.close()


def _page(rows: Iterator[Item]) -> tuple[list[Item], bool]:
    """The next items, and whether they are the last. It blocks."""
    page: list[Item] = []
    size = 0
    for item in rows:
        page.append(item)
        size += size_bytes(item)
        if size >= PAGE_BYTES or len(page) == PAGE_ITEMS:
            return page, False
    return page, True


def _chosen(engine: Engine, wanted: Any) -> list[str]:
    """The tables that are meant. Raises: TailraceError naming those that there are."""
    there = sorted(tables(engine))
    if not there:
        raise TailraceError("There is no table here.", hint="tailrace status")
    if not wanted:
        return there
    for name in wanted:
        if name not in there:
            raise TailraceError(
                f"There is no table {name!r}; there are: {', '.join(there[:10])}.", hint="tailrace status"
            )
    return list(dict.fromkeys(wanted))
