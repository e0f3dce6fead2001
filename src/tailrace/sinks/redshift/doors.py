"""How transactions get to Redshift: what its two doors share, and the one of PostgreSQL's protocol.

Theory of operation: a transaction locks the schema's `tailrace_lock`, reads what it must know, writes, and
numbers itself there. Over this protocol it does so step by step; data_api.py is the other door.
Rules of this file: nothing is sent again after an error. A staged file is removed when the end of its
transaction is known. Decision 73.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from msgspec import Struct

from tailrace.errors import InternalError
from tailrace.ports import Clock
from tailrace.postgresql import Connections, shown, words
from tailrace.sinks.intercepting import missing_extra
from tailrace.sinks.redshift.dialect import RedshiftDialect
from tailrace.sinks.redshift.errors import failure
from tailrace.sinks.redshift.staging import StagingPrefix
from tailrace.sinks.redshift.values import written
from tailrace.sinks.sql.postgresql import carried_out
from tailrace.sinks.sql.statements import Ask, Begin, Load, LoadNew, Rows, Statement

if TYPE_CHECKING:
    from psycopg import AsyncConnection

S = TypeVar("S")
T = TypeVar("T")
CONNECTIONS: Final = 2


class TooManyStatements(Exception):
    """A transaction has more statements than the Data API takes: make smaller ones."""


class WarehouseDoor(Protocol):
    """How transactions get to Redshift."""

    async def apart(self, statements: Sequence[str]) -> None:
        """Carry these out as a transaction of their own, without the lock. Raises: Unavailable, Refused."""

    async def transacted(self, begin: Begin[T]) -> T:
        """Carry steps out in one transaction. Raises: Unavailable, Refused, TooManyStatements, what they
        raise.
        """

    async def close(self) -> None:
        """Give everything back. Repeatable."""


class ProtocolDoor:
    """PostgreSQL's protocol."""

    def __init__(self, url: str, dialect: RedshiftDialect, staging: StagingPrefix, clock: Clock) -> None:
        self._place = shown(url)
        self._dialect = dialect
        self._staging = staging
        self._clock = clock
        self._connections = Connections(url, CONNECTIONS)

    async def apart(self, statements: Sequence[str]) -> None:
        """Carry these out as a transaction of their own. Raises: Unavailable, Refused."""
        await self._transacted(partial(self._apart, statements))

    async def _apart(self, statements: Sequence[str], connection: "AsyncConnection[Any]") -> None:
        for statement in ["BEGIN", *statements, "COMMIT"]:
            await _asked(connection, statement)

    async def transacted(self, begin: Begin[T]) -> T:
        """Carry steps out in one transaction. Raises: Unavailable, Refused, what they raise."""
        files: list[str] = []
        try:
            done: T | _Raised = await self._transacted(partial(self._one, begin, files))
        finally:
            # Whatever became of the transaction, COPY is done with them.
            await self._staging.delete(files)
        if isinstance(done, _Raised):
            raise done.error
        return done

    async def close(self) -> None:
        """Give the connections back. Repeatable."""
        await self._connections.close()

    async def _transacted(self, carry_out: "Callable[[AsyncConnection[Any]], Awaitable[S]]") -> S:
        try:
            from psycopg import Error
        except ImportError as error:
            raise missing_extra("sinks.Redshift", "redshift") from error
        try:
            async with self._connections.lent() as connection:
                return await carry_out(connection)
        except Error as error:
            raise failure(self._place, words(error)) from error

    async def _one(
        self, begin: Begin[T], files: list[str], connection: "AsyncConnection[Any]"
    ) -> "T | _Raised":
        """The result, or what the steps raised: the connection is good either way."""
        from psycopg import Error

        answering = _Answering(connection, self._dialect, self._staging, self._clock, files)
        for statement in ("BEGIN", self._dialect.lock()):
            await _asked(connection, statement)
        try:
            result = await carried_out(answering.answer, begin(True))
        except Error:
            raise
        except Exception as error:  # the transaction is over, whatever the steps raised
            await _asked(connection, "ROLLBACK")
            return _Raised(error)
        if answering.has_written:
            await _asked(connection, self._dialect.taken_turn())
        await _asked(connection, "COMMIT")
        return result


class _Raised(Struct, frozen=True):
    """What steps raised, and not the server."""

    error: Exception


class _Answering:
    """Answers the statements of one transaction."""

    def __init__(
        self,
        connection: "AsyncConnection[Any]",
        dialect: RedshiftDialect,
        staging: StagingPrefix,
        clock: Clock,
        files: list[str],
    ) -> None:
        self._connection = connection
        self._dialect = dialect
        self._staging = staging
        self._clock = clock
        self._files = files
        self.has_written = False

    async def answer(self, statement: Statement) -> Rows:
        """One statement's rows."""
        match statement:
            case Ask():
                self.has_written |= not is_read(statement)
                return await _asked(self._connection, written(statement))
            case Load(table):
                # A staging table lasts as long as its session.
                await _asked(self._connection, f"DROP TABLE IF EXISTS {table}")
                for loading in await staged(
                    self._dialect, self._staging, self._clock, statement, self._files
                ):
                    await _asked(self._connection, loading)
            case LoadNew():
                raise InternalError("Redshift checks no primary key: rows cannot be loaded as new ones")
        return []


async def _asked(connection: "AsyncConnection[Any]", statement: str) -> Rows:
    cursor = await connection.execute(statement.encode())
    return await cursor.fetchall() if cursor.description else []


def is_read(ask: Ask) -> bool:
    """Whether it changes nothing."""
    return ask.sql.startswith("SELECT")


async def staged(
    dialect: RedshiftDialect, staging: StagingPrefix, clock: Clock, load: Load, files: list[str]
) -> Sequence[str]:
    """Write a load's file, whose name joins `files`. Returns: the statements that load it. Raises:
    Unavailable.
    """
    (columns,) = load.parts  # all rows at once: a transaction is always alone with its tables
    name = await staging.put(columns, clock, is_parquet=dialect.is_parquet(columns))
    files.append(name)
    return list(dialect.loaded(load.table, columns, staging.url_of(name)))
