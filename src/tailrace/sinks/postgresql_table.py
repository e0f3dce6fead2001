"""Tables of a PostgreSQL database as a sink: the newest image of each item.

Theory of operation: a batch is one transaction of the core in sinks/sql/. Several workers write at once, each
with connections of its own: the database's guard decides which change of an item is the newest, and positions
are locked, so whoever lost a lease writes nothing.
Rules of this file: nothing is retried here. Needs the extra `postgres`. Declared as `sinks.PostgreSQL(…)`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

from tailrace.app.plain import to_plain_item
from tailrace.ports import Clock, Outcome, RecordBatch, TargetPosition, Written
from tailrace.postgresql import Connections, shown
from tailrace.sinks.intercepting import KEEPER, ServiceCall, missing_extra
from tailrace.sinks.messages import Failures
from tailrace.sinks.sql.catalog import SinkCatalog
from tailrace.sinks.sql.kept_positions import KeptPositions
from tailrace.sinks.sql.postgresql import BEGIN, PostgresDialect, answered, carried_out, told
from tailrace.sinks.sql.sink import SqlSink
from tailrace.sinks.sql.statements import Begin, MustBeAlone, Steps

T = TypeVar("T")
CONNECTIONS: Final = 4
"""Of one sink in one process, at most."""
SHARED: Final = ""
"""Whose lock is held while the tables that all sinks of a schema share are made."""


@dataclass
class PostgreSQL(SqlSink):
    """Tables in a PostgreSQL database.

    Shape:   `url` as libpq takes it: postgresql://user@host/database; what it leaves out libpq finds in PG…
             variables and ~/.pgpass. `table` is the name that is asked, a view of the rows that are there;
             the rows, deleted ones too, are in the table beside it, `orders_all`. Without a name every entity
             has a table of its own: those of the classes of `item`'s table by their names, others by what
             their keys or an attribute say. With a name the columns of `item`, a class, are there from the
             start. All of it is made in `schema`, which is there.
    """

    url: str = field(repr=False)
    table: str = ""
    schema: str = "public"
    item: type[Any] | None = None
    conflicts: Counter[str] = field(default_factory=Counter, init=False, repr=False, compare=False)
    _clock: Clock | None = field(default=None, init=False, repr=False, compare=False)
    _kept: KeptPositions | None = field(default=None, init=False, repr=False, compare=False)
    _connections: Connections | None = field(default=None, init=False, repr=False, compare=False)
    _catalog: SinkCatalog | None = field(default=None, init=False, repr=False, compare=False)
    _is_made: bool = field(default=False, init=False, repr=False, compare=False)

    @property
    def catalog(self) -> SinkCatalog:
        """The tables of this sink."""
        if self._catalog is None:
            place = f"{self.schema}.{self.table} of {shown(self.url)}"
            self._catalog = SinkCatalog(PostgresDialect(self.schema), place, self.table, self.item)
        return self._catalog

    async def open(self, clock: Clock) -> None:
        """Connect, and make the tables that sinks share. Raises: Unavailable."""
        if KEEPER.get() is None:
            self._kept = None
            await self._made()
        elif self._kept is None or self._clock is not clock:
            self._kept = KeptPositions()
        self._clock = clock

    async def write(self, batch: RecordBatch) -> Outcome:
        """Write the batch; in a test world its rows are kept there. Raises: Unavailable, SettingsError."""
        if (keep := KEEPER.get()) is None:
            return await super().write(batch)
        failures = Failures()
        for row in self._rows_of(batch, failures):
            item, keys = row.decoded().item, to_plain_item(row.keys)
            body = None if item is None else to_plain_item(item)
            place = {"url": shown(self.url), "table": self.table, "schema": self.schema}
            operation = "delete" if item is None else "put"
            keep(ServiceCall("postgresql", operation, {**place, "keys": keys, "body": body}))
        return failures.outcome

    async def positions(self, mapping_id: str) -> Sequence[TargetPosition]:
        """What the target has of a mapping. Raises: Unavailable."""
        return await super().positions(mapping_id) if self._kept is None else self._kept.of(mapping_id)

    async def stamp(self, mapping_id: str, stream: str, shard_id: str, epoch: int) -> TargetPosition:
        """Raise the epoch. Raises: LeaseLost, Unavailable."""
        if self._kept is not None:
            return self._kept.stamp(mapping_id, TargetPosition(stream, shard_id, epoch))
        return await super().stamp(mapping_id, stream, shard_id, epoch)

    async def put_position(self, mapping_id: str, position: TargetPosition) -> None:
        """Write a position as told. Raises: LeaseLost, Unavailable."""
        if self._kept is not None:
            return self._kept.put(mapping_id, position)
        return await super().put_position(mapping_id, position)

    async def commit(self, batch: RecordBatch, position: TargetPosition) -> Outcome:
        """Write rows and position, or neither. Raises: LeaseLost, Unavailable, SettingsError."""
        if self._kept is None:
            return await super().commit(batch, position)
        if self._kept.has(batch.mapping_id, position):
            return Written()
        outcome = await self.write(batch)
        if isinstance(outcome, Written):
            self._kept.put(batch.mapping_id, position)
        return outcome

    async def close(self) -> None:
        """Give all connections back. Repeatable."""
        connections, self._connections = self._connections, None
        self._is_made = False
        if connections is not None:
            await connections.close()

    async def _carry_out(self, begin: Begin[T], *, alone: bool = False) -> T:
        await self._made()
        try:
            return await self._transacted(begin, self.table, alone=alone)
        except MustBeAlone:
            return await self._transacted(begin, self.table, alone=True)

    async def _made(self) -> None:
        if not self._is_made:
            await self._transacted(lambda _: self.catalog.made(), SHARED, alone=True)
            self._is_made = True

    async def _transacted(self, begin: Begin[T], lock: str, *, alone: bool) -> T:
        """Steps in one transaction, which holds the lock. Raises: Unavailable, Refused, what they raise."""
        if self._connections is None:
            self._connections = Connections(self.url, CONNECTIONS)
        try:
            async with told(self.url), self._connections.lent() as connection:
                await connection.execute(BEGIN.encode())
                try:
                    steps = self._locked(begin, lock, alone=alone)
                    result = await carried_out(partial(answered, connection), steps)
                except Exception as error:  # the transaction is over, whatever the steps raised
                    if _is_of_server(error):
                        raise
                    await connection.execute(b"ROLLBACK")
                    raised: Exception = error
                else:
                    await connection.execute(b"COMMIT")
                    return result
        except ImportError as error:
            raise missing_extra("sinks.PostgreSQL", "postgres") from error
        raise raised

    def _locked(self, begin: Begin[T], lock: str, *, alone: bool) -> Steps[T]:
        yield from self.catalog.dialect.locked(lock, alone=alone)
        return (yield from begin(alone))


def _is_of_server(error: Exception) -> bool:
    from psycopg import Error

    return isinstance(error, Error)
