"""Tables of a Redshift warehouse as a sink: the newest image of each item.

Theory of operation: a batch is one transaction of the core in sinks/sql/, through one of two doors. Sinks of
one schema take turns, by a lock that only they know; readers of their tables wait for nothing.
Rules of this file: nothing is retried here. Needs the extra `redshift`. Declared as `sinks.Redshift(…)`.
No server of Redshift was ever asked: docs/redshift.md says what it was tested against. Decision 73.
"""

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from typing import Any, Final, TypeVar

from msgspec.structs import replace

from tailrace.errors import InternalError, SettingsError
from tailrace.ports import Clock, Failed, Outcome, RecordBatch, TargetPosition
from tailrace.postgresql import shown
from tailrace.sinks.aws import EVERYWHERE, AwsAccess
from tailrace.sinks.messages import Failures
from tailrace.sinks.redshift.data_api import DataApiDoor, RedshiftDataApi, StatementRunner
from tailrace.sinks.redshift.dialect import RedshiftDialect
from tailrace.sinks.redshift.doors import ProtocolDoor, TooManyStatements, WarehouseDoor
from tailrace.sinks.redshift.staging import StagingPrefix
from tailrace.sinks.sql.catalog import SinkCatalog
from tailrace.sinks.sql.changes import KeyedChange
from tailrace.sinks.sql.sink import SqlSink
from tailrace.sinks.sql.statements import Begin
from tailrace.streams.version import Version

T = TypeVar("T")
NAME: Final = re.compile(r"[a-z_][a-z0-9_]*")
"""Of a schema or a table: Redshift makes all others lower case."""
ROLE: Final = re.compile(r"default|arn:[^\s',]+(,arn:[^\s',]+)*")
"""One role, or several of which each is assumed by the one before."""


@dataclass
class Redshift(SqlSink):
    """Tables in a Redshift warehouse.

    Shape:   `warehouse` is a URL as libpq takes it, postgresql://user@host:5439/database, or a
             `RedshiftDataApi`. `table` is the name that is asked, a view of the rows that are there; the
             rows, deleted ones too, are in the table beside it, `orders_all`. Without a name every entity has
             one. Both are made in `schema`, which is there. `staging` is s3://bucket/prefix, in the
             warehouse's region; COPY reads it as `role` (an ARN, or the warehouse's default), and the worker
             writes it with `access`, which calls the Data API, too. `item` as in `sinks.PostgreSQL`.
    """

    warehouse: str | RedshiftDataApi = field(repr=False)
    table: str = ""
    schema: str = "public"
    staging: str = field(kw_only=True)
    role: str = field(default="default", kw_only=True)
    access: AwsAccess = field(default=EVERYWHERE, kw_only=True)
    item: type[Any] | None = field(default=None, kw_only=True)
    conflicts: Counter[str] = field(default_factory=Counter, init=False, repr=False, compare=False)
    _clock: Clock | None = field(default=None, init=False, repr=False, compare=False)
    _door: WarehouseDoor | None = field(default=None, init=False, repr=False, compare=False)
    _prefix: StagingPrefix = field(init=False, repr=False, compare=False)
    _dialect: RedshiftDialect = field(init=False, repr=False, compare=False)
    _catalog: SinkCatalog = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check_name("schema", self.schema)
        if self.table:
            _check_name("table", self.table)
        if ROLE.fullmatch(self.role) is None:
            raise SettingsError(f"role={self.role!r}: it is the ARN of an IAM role, or 'default'")
        self._prefix = StagingPrefix(self.staging, self.access)
        self._dialect = RedshiftDialect(self.schema, self.role, can_parquet=find_spec("pyarrow") is not None)
        place = f"{self.schema}.{self.table} of {self._place}"
        self._catalog = SinkCatalog(self._dialect, place, self.table, self.item)

    @property
    def catalog(self) -> SinkCatalog:
        """The tables of this sink."""
        return self._catalog

    @property
    def _place(self) -> str:
        return shown(self.warehouse) if isinstance(self.warehouse, str) else str(self.warehouse)

    async def open(self, clock: Clock) -> None:
        """Connect, make the tables that sinks share, and remove old staged files. Raises: Unavailable."""
        self._clock = clock
        await self._opened()

    async def close(self) -> None:
        """Give all connections back. Repeatable."""
        door, self._door = self._door, None
        if door is not None:
            await door.close()

    async def commit(self, batch: RecordBatch, position: TargetPosition) -> Outcome:
        """Write rows and position, or neither. Raises: LeaseLost, Unavailable, SettingsError.

        Off by one: through the Data API a batch with the items of so many entities that their statements are
        too many for one transaction is written first, in several, and then its position. Versions keep the
        rows right, and the position counts each change once; between the two, rows are newer than it.
        """
        try:
            return await super().commit(batch, position)
        except TooManyStatements:
            outcome = await self.write(batch)
            return outcome if isinstance(outcome, Failed) else await super().commit(batch, position)

    async def sweep(
        self, first: bytes, last: bytes | None, below: Version, tombstone: Version, limit: int
    ) -> int:
        """As others; in several transactions where one has no room for all tables. Raises: Unavailable."""
        return await _counted(partial(super().sweep, first, last, below, tombstone), limit)

    async def forget(self, before_us: int, limit: int) -> int:
        """As others; in several transactions where one has no room for all tables. Raises: Unavailable."""
        return await _counted(partial(super().forget, before_us), limit)

    async def mend(self, batch: RecordBatch, seen: Sequence[Version | None]) -> Sequence[bool]:
        """Compare and set, in several transactions where one has no room for all tables. Raises: Unavailable,
        SinkError.
        """
        try:
            return await super().mend(batch, seen)
        except TooManyStatements:
            middle = len(seen) // 2
            parts = [(batch.records[:middle], seen[:middle]), (batch.records[middle:], seen[middle:])]
            return [
                was_written
                for records, versions in parts
                for was_written in await self.mend(replace(batch, records=records), versions)
            ]

    async def _write(self, batch: RecordBatch, rows: Sequence[KeyedChange], failures: Failures) -> None:
        try:
            await super()._write(batch, rows, failures)
        except TooManyStatements as error:
            if len(rows) == 1:
                raise InternalError(f"one row of {self._place} takes {error}") from error
            middle = len(rows) // 2
            await self._write(batch, rows[:middle], failures)
            await self._write(batch, rows[middle:], failures)

    async def _carry_out(self, begin: Begin[T], *, alone: bool = False) -> T:
        """Alone, as every transaction of a schema is."""
        return await (await self._opened()).transacted(begin)

    async def _opened(self) -> WarehouseDoor:
        """The door, when all that sinks share is there. Raises: Unavailable."""
        if self._door is not None:
            return self._door
        door = self._made_door()
        try:
            made, begun = self._dialect.lock_made()
            await door.apart([made])
            await door.apart([self._dialect.lock(), begun])
            await door.transacted(lambda _: self._catalog.made())
            await self._prefix.sweep(self._time)
        except BaseException:
            await door.close()
            raise
        self._door = door
        return door

    def _made_door(self) -> WarehouseDoor:
        if isinstance(self.warehouse, str):
            return ProtocolDoor(self.warehouse, self._dialect, self._prefix, self._time)
        runner = StatementRunner(self.access, self.warehouse, self._time)
        return DataApiDoor(self._place, runner, self._dialect, self._prefix, self._time)

    @property
    def _time(self) -> Clock:
        if self._clock is None:
            raise InternalError("a sink is opened before it is used")
        return self._clock


async def _counted(change: Callable[[int], Awaitable[int]], limit: int) -> int:
    """What changes at most so many rows at once, in parts where one transaction has no room for all."""
    try:
        return await change(limit)
    except TooManyStatements:
        part = limit // 2
        changed = await _counted(change, part)
        return changed if changed < part else changed + await _counted(change, limit - part)


def _check_name(what: str, name: str) -> None:
    if NAME.fullmatch(name) is None:
        raise SettingsError(
            f"{what}={name!r}: Redshift makes names lower case; letters, digits and _ are taken",
            hint=f"{what}={re.sub('[^a-z0-9_]', '_', name.lower())!r}",
        )
