"""What a scan has shown, on disk while a comparison runs: a digest for each item's key, and the suspects.

Theory of operation: a scan answers in the order of the table's own hashes and a sink in the order of keys, so
one of the two is kept until the other can be laid beside it, key by key. It is a private temporary database
of SQLite (the empty name): a cache of a few MB, the rest in a file of TMPDIR that has no name from the moment
it is opened, so nothing is left, also after a kill.
Rules of this file: its work blocks and runs in threads, one at a time. What a digest means is not known here.
Stands alone because a comparison decides what is looked at, not where that is kept. Source: ADR 72.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from tempfile import gettempdir
from typing import Any, Final, TypeVar

from tailrace.errors import StoreError
from tailrace.runtime.threads import in_thread

T = TypeVar("T")

CACHE_KB: Final = 16_384


class WorkingSet:
    """Digests by key, and suspects. Raises: StoreError when the disk is full."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        for statement in (
            f"PRAGMA cache_size = -{CACHE_KB}",
            "PRAGMA journal_mode = OFF",
            "PRAGMA synchronous = OFF",
            "CREATE TABLE items (key BLOB PRIMARY KEY, digest BLOB) WITHOUT ROWID",
            "CREATE TABLE suspects (key BLOB PRIMARY KEY) WITHOUT ROWID",
        ):
            self._database.execute(statement)

    async def keep(self, digests: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Keep what items are to show; of one that a scan has shown twice the later."""
        await self._many("INSERT OR REPLACE INTO items VALUES (?, ?)", [*digests])

    async def items(self, after: bytes, limit: int) -> list[tuple[bytes, bytes | None]]:
        """The next of them, in the order of their keys."""
        return await self._rows(
            "SELECT key, digest FROM items WHERE key > ? ORDER BY key LIMIT ?", after, limit
        )

    async def suspect(self, keys: Iterable[bytes]) -> None:
        """These are to be looked at again."""
        await self._many("INSERT OR IGNORE INTO suspects VALUES (?)", [(key,) for key in keys])

    async def suspects(self, after: bytes, limit: int) -> list[bytes]:
        """The next of them, in order."""
        rows = await self._rows("SELECT key FROM suspects WHERE key > ? ORDER BY key LIMIT ?", after, limit)
        return [key for (key,) in rows]

    async def suspect_count(self) -> int:
        """How many are to be looked at again."""
        ((count,),) = await self._rows("SELECT count(*) FROM suspects")
        return int(count)

    def close(self) -> None:
        """Give the disk back."""
        self._database.close()

    async def _many(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        def run() -> None:
            self._database.execute("BEGIN")
            self._database.executemany(statement, rows)
            self._database.execute("COMMIT")

        async with self._turn:
            await in_thread(_said, run)

    async def _rows(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        async with self._turn:
            return await in_thread(_said, lambda: self._database.execute(statement, parameters).fetchall())


def _said(work: Callable[[], T]) -> T:
    try:
        return work()
    except sqlite3.Error as error:
        raise StoreError(
            f"what a comparison keeps in {gettempdir()} cannot be kept: {error}",
            hint="make room there, or name another place with TMPDIR",
        ) from error
