"""Targets of mirrors in SQL for tests: DuckDB in files, PostgreSQL in schemas of one server.

Rules of this file: what is in a target is read by a connection of its own, in the target's words.
"""

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql

from tailrace import sinks
from tailrace.errors import SinkError
from tailrace.ports import Failed, Outcome, RecordBatch
from tailrace.sinks.sql.sink import SqlSink
from tailrace.values.types import Item
from tests.postgres import PostgresServer

NUMBER: Final = count()


class Refusing(SqlSink):
    """Refuses some changes, and notes what it took, in order."""

    refused: frozenset[int] = frozenset()

    def item_of(self, batch: RecordBatch, place: int) -> Item | None:
        if batch.records[place].sequence in self.refused:
            raise SinkError("refused")
        return super().item_of(batch, place)

    async def write(self, batch: RecordBatch) -> Outcome:
        outcome = await super().write(batch)
        failed = outcome.failures if isinstance(outcome, Failed) else {}
        first: dict[bytes, int] = {}
        for index in sorted(failed):
            first.setdefault(batch.records[index].key, index)
        self.accepted: list[int] = [
            *getattr(self, "accepted", []),
            *(
                record.sequence
                for index, record in enumerate(batch.records)
                if record.key not in first or index < first[record.key]
            ),
        ]
        return outcome


class RefusingDuckDB(Refusing, sinks.DuckDB):
    pass


class RefusingPostgreSQL(Refusing, sinks.PostgreSQL):
    pass


class Target:
    """Where sinks are made, and how what is in them is read by somebody else."""

    def __init__(
        self,
        make: Callable[[], Any],
        again: Callable[[Any], Any],
        ask: Callable[[Any, str], list[tuple[Any, ...]]],
    ) -> None:
        self.make, self.again, self._ask = make, again, ask

    def ask(self, sink: Any, statement: str) -> list[tuple[Any, ...]]:
        """The answer; nothing where there is no table yet."""
        try:
            return self._ask(sink, statement)
        except (SinkError, psycopg.errors.UndefinedTable):
            return []


def in_files(folder: Path, table: str) -> Target:
    def make() -> RefusingDuckDB:
        return RefusingDuckDB(folder / f"{next(NUMBER)}.duckdb", table)

    return Target(
        make,
        lambda sink: RefusingDuckDB(sink.path, sink.table),
        lambda sink, statement: sink.query(statement)[1],
    )


def on_server(server: PostgresServer, table: str) -> Target:
    url = server.database()

    def make() -> RefusingPostgreSQL:
        schema = f"s{next(NUMBER)}"
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
        return RefusingPostgreSQL(url, table, schema)

    def ask(sink: Any, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(sql.SQL("SET search_path = {}").format(sql.Identifier(sink.schema)))
            return connection.execute(statement.encode()).fetchall()

    return Target(make, lambda sink: RefusingPostgreSQL(url, table, sink.schema), ask)
