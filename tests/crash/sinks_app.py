"""The application of tests/crash/sinks.py: a table that several sinks follow, each of which can be killed at
any of its calls.

Theory of operation: what a sink asks of the world (a statement, a request, a blob) is counted, and before the
call that the environment names, or after it, the process kills itself: so nothing is between two calls that
no kill can hit. Pages of a snapshot come late, as those of a slow table do: changes of the same items pass
them.
Rules of this file: what it runs with comes from the environment. The faulty sinks are for the test of the
harness alone.
"""

import asyncio
import json
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from psycopg import AsyncConnection

from tailrace import App, sinks
from tailrace.archives.directory import DirectoryArchive
from tailrace.ports import Blob, Outcome, RecordBatch, TargetPosition
from tailrace.sinks.redshift.data_api import StatementRunner
from tailrace.sinks.search.client import SearchClient
from tailrace.sources import embedded_scan

Result = TypeVar("Result")
SINKS: dict[str, str] = json.loads(os.environ["TAILRACE_CRASH_SINKS"])
"""Kind → place."""
CALL = os.environ.get("TAILRACE_CRASH_CALL", "::0").split(":")
"""Which kind's call, `before` or `after` it, and its number."""
FAULT = os.environ.get("TAILRACE_CRASH_FAULT", "")
LATE_S = 0.4 if FAULT else 0.15
"""A page of a snapshot comes so late; where a fault must be caught, so late that changes pass it for sure."""
BETWEEN_S = 0.3
embedded_scan.PAGE = 25  # type: ignore[misc]  # a snapshot is of many pages, though the table is small


class Calls:
    """The calls of one kind of sink, from 1."""

    def __init__(self, kind: str) -> None:
        aimed, self._moment, number = CALL
        self._left = int(number) if aimed == kind else 0
        self._lock = threading.Lock()

    @contextmanager
    def one(self) -> Iterator[None]:
        """A call is made inside."""
        with self._lock:
            is_last = self._left == 1
            self._left -= 1
        if is_last and self._moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        yield
        if is_last:
            os.kill(os.getpid(), signal.SIGKILL)


def counted(calls: Calls, made: Callable[..., Awaitable[Result]]) -> Callable[..., Awaitable[Result]]:
    """A method whose calls are counted."""

    async def call(*arguments: Any, **named: Any) -> Result:
        with calls.one():
            return await made(*arguments, **named)

    return call


class CountedConnection:
    """A connection to a DuckDB file whose statements are counted."""

    def __init__(self, connection: Any, calls: Calls) -> None:
        self._connection, self._calls = connection, calls

    def __getattr__(self, name: str) -> Any:
        made = getattr(self._connection, name)
        if name not in ("begin", "commit", "execute"):
            return made

        def call(*arguments: Any) -> Any:
            with self._calls.one():
                return made(*arguments)

        return call


class CountedArchive:
    """A directory whose calls are counted."""

    def __init__(self, place: str, calls: Calls) -> None:
        self._archive, self._calls = DirectoryArchive(place), calls

    async def get(self, name: str, start: int = 0, length: int | None = None) -> Blob | None:
        """As the archive."""
        with self._calls.one():
            return await self._archive.get(name, start, length)

    async def list(self, prefix: str, *, after: str = "", limit: int | None = None) -> Sequence[str]:
        """As the archive."""
        with self._calls.one():
            return await self._archive.list(prefix, after=after, limit=limit)

    async def put_if_absent(self, name: str, data: bytes) -> str | None:
        """As the archive."""
        with self._calls.one():
            return await self._archive.put_if_absent(name, data)

    async def compare_and_put(self, name: str, data: bytes, tag: str) -> str | None:
        """As the archive."""
        with self._calls.one():
            return await self._archive.compare_and_put(name, data, tag)

    async def delete(self, name: str) -> None:
        """As the archive."""
        with self._calls.one():
            await self._archive.delete(name)


class Late:
    """Pages of a snapshot come late."""

    async def write(self, batch: RecordBatch) -> Outcome:
        """As the sink, late."""
        if batch.is_snapshot:
            await asyncio.sleep(LATE_S)
        outcome: Outcome = await super().write(batch)  # type: ignore[misc]
        return outcome


class LatePostgreSQL(Late, sinks.PostgreSQL):
    """PostgreSQL."""


class LateOpenSearch(Late, sinks.OpenSearch):
    """OpenSearch."""


class LateLake(Late, sinks.ParquetLake):
    """A lake."""


class LateLog(Late, sinks.ParquetLog):
    """A log of changes."""


class LateRedshift(Late, sinks.Redshift):
    """Redshift's stand-in."""


class LateDuckDB(Late, sinks.DuckDB):
    """DuckDB, its statements counted."""

    def _connected(self, read_only: bool) -> Any:
        return CountedConnection(super()._connected(read_only), CALLS["duckdb"])


class PositionFirst(LateDuckDB):
    """A fault: the position is saved, and then the rows."""

    async def commit(self, batch: RecordBatch, position: TargetPosition) -> Outcome:
        """Twice a transaction."""
        await self.put_position(batch.mapping_id, position)
        await asyncio.sleep(BETWEEN_S)
        return await self.write(batch)


class NoDeletions(LateDuckDB):
    """A fault: deleted rows are gone, with their versions."""

    async def commit(self, batch: RecordBatch, position: TargetPosition) -> Outcome:
        """And delete."""
        outcome = await super().commit(batch, position)
        self.transact(lambda connection: connection.execute("DELETE FROM items_all WHERE tailrace_deleted"))
        return outcome


CALLS = {kind: Calls(kind) for kind in SINKS}
DUCKDBS: dict[str, type[LateDuckDB]] = {
    "": LateDuckDB,
    "position first": PositionFirst,
    "no deletions": NoDeletions,
}
if "postgres" in SINKS:
    AsyncConnection.execute = counted(CALLS["postgres"], AsyncConnection.execute)  # type: ignore[assignment]
if "redshift" in SINKS:
    StatementRunner._call = counted(CALLS["redshift"], StatementRunner._call)  # type: ignore[method-assign]
if "search" in SINKS:
    SearchClient.ask = counted(CALLS["search"], SearchClient.ask)  # type: ignore[method-assign]


def sink_of(kind: str, place: str) -> Any:
    """The sink of a kind, at its place."""
    match kind:
        case "postgres":
            return LatePostgreSQL(place, "items")
        case "duckdb":
            return DUCKDBS[FAULT](place, "items")
        case "search":
            return LateOpenSearch(place, "items")
        case "redshift":
            access = sinks.AwsAccess(region="us-east-1")
            door = sinks.RedshiftDataApi("dev", workgroup="analytics")
            return LateRedshift(door, "items", place, staging="s3://staging/crash", access=access)
        case "lake":
            archive = CountedArchive(place, CALLS[kind])
            return LateLake(place, "items", buckets=2, compact_files=8, archive=archive)
        case _:
            return LateLog(place, "items", compact_files=8, archive=CountedArchive(place, CALLS[kind]))


app = App("sinks")
items = app.table("items", pk="id")
for name, where in SINKS.items():
    app.sink(items, sink_of(name, where), id=name, snapshot=True)
