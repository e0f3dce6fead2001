"""Tables as they are at one moment, to be read for long while writers go on.

Theory of operation: between two statements of the owner's loop the committed rows are held by a transaction
of the store, and those that are pending are copied beside them: a turn's writes at most. From then on nothing
of the engine is needed, so pages are read in any thread.
Rules of this file: it only reads. Whoever made it waits until what was pending is durable before a row is
told, and closes it.
"""

from collections.abc import Iterator, Mapping, Sequence
from heapq import merge
from operator import itemgetter
from types import TracebackType
from typing import Any, Final

import orjson
from msgspec import Struct

from tailrace.engine.engine import Engine
from tailrace.errors import InternalError
from tailrace.ports import Standing, StandingRows
from tailrace.values.types import Item

PAGE: Final = 500


class StandingTable(Struct, frozen=True):
    """A table that is held. Shape: `name` as people call it. Units: bytes as DynamoDB counts them."""

    name: str
    arn: str
    table_id: str
    items: int
    bytes: int
    number: int


class StandingTables:
    """Tables of an engine as they are when it is made; a context, that closes it.

    Guarantee: every write that was answered before is in it, and no later one; what is written later is
               created at `at_ms` or after it, and what is in it before.
    Raises:    ApiError for a table that is not there, StoreError.
    """

    def __init__(self, engine: Engine, names: Sequence[str]) -> None:
        described = [(name, engine.describe_table(name), engine.schema(name)) for name in names]
        self.tables = [
            StandingTable(
                name, one["TableArn"], one["TableId"], one["ItemCount"], one["TableSizeBytes"], schema.number
            )
            for name, one, schema in described
        ]
        store = engine.committer.store
        if not isinstance(store, Standing):
            raise InternalError(f"a {type(store).__name__} holds no moment")
        self._rows: StandingRows = store.standing()
        self._pending: Mapping[int, Mapping[bytes, bytes | None]] = {
            table.number: engine.committer.pending(table.number) for table in self.tables
        }
        self.at_ms = engine.log.moment_behind()

    def items(self, table: StandingTable) -> Iterator[Item]:
        """Every item of a table, in the order of its keys. It blocks. Raises: StoreError."""
        pending = self._pending[table.number]
        written = sorted((key, value) for key, value in pending.items() if value is not None)
        for _, value in merge(self._stored(table.number, pending), written, key=itemgetter(0)):
            item: Item = orjson.loads(value)
            yield item

    def _stored(self, number: int, pending: Mapping[bytes, Any]) -> Iterator[tuple[bytes, bytes]]:
        first = b""
        while rows := self._rows.query(number, first, PAGE):
            yield from (row for row in rows if row[0] not in pending)
            first = rows[-1][0] + b"\0"

    def close(self) -> None:
        """Give everything back. Repeatable."""
        self._rows.close()

    def __enter__(self) -> "StandingTables":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
