"""Connections to a PostgreSQL server: made, lent to one user at a time, given up after an error.

Theory of operation: what had an error is not used again, and neither are those that idle beside it, for they
may have lost their server, too. No prepared statements: a pooler between us and the server may give each
transaction another session.
Rules of this file: it raises psycopg's errors as they are; whoever borrows says what they mean to his own.
Nothing is retried. Needs the extra `postgres`. Used by stores/postgresql.py and sinks/sql/postgresql.py.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import blake2b
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from psycopg import AsyncConnection, Error


class Connections:
    """Connections to one database, at most so many.

    Shape:   `url` as libpq takes it: postgres://user@host/database; what it leaves out libpq finds in PG…
             variables and ~/.pgpass. `harmless` are exceptions that a borrower may raise when his transaction
             is over: the connection is kept then.
    """

    def __init__(self, url: str, most: int, harmless: tuple[type[BaseException], ...] = ()) -> None:
        self.url = url
        self._harmless = harmless
        self._idle: list[AsyncConnection[Any]] = []
        self._closings = 0
        self._seats = asyncio.Semaphore(most)

    @asynccontextmanager
    async def lent(self) -> "AsyncIterator[AsyncConnection[Any]]":
        """A connection that nobody else uses meanwhile. Raises: psycopg's errors; ImportError without the
        extra.
        """
        from psycopg import Error

        async with self._seats:
            closings = self._closings
            connection = self._idle.pop() if self._idle else await connected(self.url)
            try:
                yield connection
            except self._harmless:
                await self._given_back(connection, closings)
                raise
            except BaseException as error:  # whatever it was, nobody knows what this connection is amid
                await connection.close()
                if isinstance(error, Error):
                    await self.close()  # those that idle may have lost their server, too
                raise
            await self._given_back(connection, closings)

    async def _given_back(self, connection: "AsyncConnection[Any]", closings: int) -> None:
        """Keep it, unless all were closed while it was lent: nobody would close it any more."""
        if closings == self._closings:
            self._idle.append(connection)
        else:
            await connection.close()

    async def close(self) -> None:
        """Give all that idle back, and those that are lent as soon as they are no longer. Repeatable."""
        self._closings += 1
        while self._idle:
            await self._idle.pop().close()


async def connected(url: str) -> "AsyncConnection[Any]":
    """A new connection. Raises: psycopg's errors; ImportError without the extra `postgres`."""
    from psycopg import AsyncConnection

    return await AsyncConnection.connect(url, autocommit=True, prepare_threshold=None)


def shown(url: str) -> str:
    """A URL without its password.

    >>> shown("postgres://me:secret@db.example/shop?sslmode=require")
    'postgres://me:***@db.example/shop?sslmode=require'
    """
    parts = urlsplit(url)
    account, at, place = parts.netloc.rpartition("@")
    name, colon, _ = account.partition(":")
    return urlunsplit(parts._replace(netloc=f"{name}:***{at}{place}" if colon else parts.netloc))


def words(error: "Error") -> str:
    """What PostgreSQL says, on one line."""
    return " ".join(str(error).split())


def lock_number(name: str) -> int:
    """The advisory lock of a name. Units: 64 bits, with a sign."""
    digest = blake2b(name.encode(), digest_size=8, person=b"tailrace").digest()
    return int.from_bytes(digest, "big", signed=True)
