"""Verbs about items: a sample of a table.

Rules of this file: it only reads, a page a turn, so that a server goes on meanwhile. Registered by `verbs`.
Stands alone as every family of verbs does.
"""

from collections.abc import AsyncGenerator
from typing import Final

from tailrace.engine.query import ScanRequest
from tailrace.errors import ApiError, TailraceError
from tailrace.server.control import Arguments, Subject, verb_of_values
from tailrace.server.shards import table_of
from tailrace.server.tables import tables

PAGE: Final = 500
"""A page of so many items is a turn of some milliseconds."""


@verb_of_values("items.sample")
async def sample(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    """Arguments: table, limit. First what the table is, then pages of items."""
    table, engine, left = table_of(arguments), subject.engine, arguments.get("limit")
    if not isinstance(left, int) or left < 1:
        raise TailraceError("This needs a limit: how many items are read.", hint=f"tailrace schema {table}")
    try:
        schema = engine.schema(table)
    except ApiError as error:
        names = ", ".join(sorted(tables(engine))[:10]) or "none"
        raise TailraceError(
            f"There is no table {table!r}; there are: {names}.", hint="tailrace status"
        ) from error
    types = [schema.hash_type, schema.range_type]
    keys = [{"name": name, "type": type_} for name, type_ in zip(schema.key_names, types, strict=False)]
    yield {"keys": keys, "items": (await subject.table_size(table))[0]}
    start = None
    while left > 0:
        page = engine.scan(ScanRequest(table, limit=min(left, PAGE), start=start))
        left -= len(page.items)
        yield {"page": page.decoded()}
        start = page.last_key
        if start is None:
            return
