"""Which page a Query or Scan asks for: of the table or of one of its indexes, as long as both are there.

Rules of this file: reads only. Called by `engine.engine`. Source: semantics §6.6.
Stands alone because pages know nothing of tables that come and go.
"""

from typing import Protocol

from tailrace.engine.catalog import TableState
from tailrace.engine.committer import Committer
from tailrace.engine.index_query import query_index, scan_index
from tailrace.engine.paging import Paging, QueryRequest, ScanRequest
from tailrace.engine.query import query, scan
from tailrace.errors import ApiError, validation_error
from tailrace.tables.indexes import TableIndexSchema


class Readable(Protocol):
    """Where tables are looked up."""

    def readable(self, name: str) -> TableState:
        """A table that can be read. Raises: ApiError."""


def open_page(committer: Committer, tables: Readable, request: QueryRequest | ScanRequest) -> Paging:
    """One page, to be read whole or in slices. Raises: ApiError, between two slices too, when what is read
    has gone.
    """
    table = tables.readable(request.table)
    schema = table.schema
    if request.index is not None:
        index = readable_index(table, request.index)
        if isinstance(request, QueryRequest):
            paging = query_index(committer, schema, index, request)
        else:
            paging = scan_index(committer, schema, index, request)
    elif isinstance(request, QueryRequest):
        paging = query(committer, schema, request)
    else:
        paging = scan(committer, schema, request)
    paging.still_there = lambda: _require_same(tables, request, schema.number)
    return paging


def _require_same(tables: Readable, request: QueryRequest | ScanRequest, number: int) -> None:
    """Require that the table, and the index, are those that a page was begun on. Raises: ApiError."""
    table = tables.readable(request.table)
    if table.schema.number != number:
        raise ApiError("ResourceNotFoundException", "Requested resource not found")
    if request.index is not None:
        readable_index(table, request.index)


def readable_index(table: TableState, name: str) -> TableIndexSchema:
    """An index that can be read. Raises: ApiError."""
    for index in table.indexes:
        if index.schema.name == name:
            if index.document.status != "ACTIVE":
                raise validation_error(f"Cannot read from backfilling global secondary index: {name}")
            return index.schema
    raise validation_error(f"The table does not have the specified index: {name}")
