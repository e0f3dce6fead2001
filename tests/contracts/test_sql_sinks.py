"""Mirrors in SQL keep every contract of sinks: DuckDB in files, PostgreSQL on a real server.

Rules of this file: a target is a new file, or a new schema of one server.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from psycopg import sql

from tailrace import sinks
from tailrace.errors import SinkError
from tailrace.ports import Failed, Mirror, Outcome, RecordBatch, Sink, Transactional, Versioned
from tailrace.sinks.sql.sink import SqlSink
from tailrace.streams.version import Version
from tailrace.testing import check_mirror_sink, check_sink, check_transactional_sink, check_versioned_sink
from tailrace.testing.contracts.sink import STREAM
from tailrace.values.types import Item
from tests.postgres import PostgresServer, postgres

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


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres() as running:
        yield running


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


@pytest.fixture(params=["duckdb orders", "postgresql orders", "duckdb", "postgresql"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Target:
    """One table, or one an entity: without rules all items are of one."""
    kind, _, table = request.param.partition(" ")
    if kind == "duckdb":
        return in_files(tmp_path, table)
    return on_server(request.getfixturevalue("server"), table)


def view(sink: Any) -> str:
    """What is asked."""
    return str(sink.table) or STREAM.table


def versions(target: Target) -> Callable[[Any], Mapping[str, Version]]:
    def read(sink: Any) -> dict[str, Version]:
        rows = target.ask(sink, f"SELECT pk, tailrace_version FROM {view(sink)}")
        return {key: Version.from_text(text) for key, text in rows}

    return read


def test_a_mirror_keeps_its_contract(target: Target) -> None:
    check_mirror_sink(
        target.make,
        lambda sink: dict(target.ask(sink, f"SELECT pk, n FROM {view(sink)}")),
        again=target.again,
    )


def test_versions_and_sources_are_kept(target: Target) -> None:
    check_versioned_sink(target.make, versions(target), again=target.again)


def test_rows_and_positions_change_together(target: Target) -> None:
    def make(refused: frozenset[int]) -> Any:
        sink = target.make()
        sink.refused = refused
        return sink

    def arrived(sink: Any) -> Iterable[int]:
        return [version.sequence for version in versions(target)(sink).values()]

    check_transactional_sink(make, arrived, again=target.again)


def test_it_is_a_sink_as_any_other(target: Target) -> None:
    def make(refused: frozenset[int]) -> Sink:
        sink = target.make()
        sink.refused = refused
        return sink

    check_sink(make, lambda sink: getattr(sink, "accepted", []))


@pytest.mark.parametrize("port", [Sink, Versioned, Mirror, Transactional])
@pytest.mark.parametrize("sink", [sinks.DuckDB("shop.duckdb", "orders"), sinks.PostgreSQL("", "orders")])
def test_it_has_all_ports(sink: Any, port: Any) -> None:
    assert isinstance(sink, port)
