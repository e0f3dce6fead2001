"""A database that is put back to an earlier moment while a real worker writes to it: nothing stays missing,
and each change counts once.

Rules of this file: a real node, a real PostgreSQL server, a file of DuckDB. The backup is a copy of all
tables of the sink, put back in one transaction: so no session ends, and no epoch changes.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from msgspec import structs

from tailrace import App, sinks
from tailrace.compose import EngineOptions, Node
from tailrace.errors import SinkError
from tailrace.ports import TargetPosition
from tailrace.runtime.delivering import Settling
from tailrace.server.http import HttpSettings
from tailrace.sinks.sql.sink import SqlSink
from tailrace.tables.mutate import Put
from tests.patience import BETWEEN_LOOKS_S, PATIENCE_S
from tests.postgres import PostgresServer, postgres

TABLES = (
    "SELECT table_name FROM information_schema.tables WHERE table_schema = '{}' AND table_type = 'BASE TABLE'"
)
Ask = Callable[[Sequence[str]], list[tuple[Any, ...]]]
"""Several statements in one transaction. Returns: the rows of the last one."""


class Database(NamedTuple):
    """One sink, and its database as another session has it."""

    sink: SqlSink
    ask: Ask
    schema: str

    def back_up(self) -> list[str]:
        """Copy all tables. Returns: what puts the copies back."""
        names = [name for (name,) in self.ask([TABLES.format(self.schema)])]
        self.ask(
            [
                "CREATE SCHEMA backup",
                *(f'CREATE TABLE backup."{name}" AS SELECT * FROM {self.schema}."{name}"' for name in names),
            ]
        )
        return [
            statement
            for name in names
            for statement in (
                f'DELETE FROM {self.schema}."{name}"',
                f'INSERT INTO {self.schema}."{name}" SELECT * FROM backup."{name}"',
            )
        ]

    def rows(self) -> list[str]:
        """The ids of all items that are shown; none before there is a table."""
        try:
            return sorted(shown for (shown,) in self.ask([f"SELECT id FROM {self.schema}.orders"]))
        except (SinkError, psycopg.errors.UndefinedTable):
            return []

    def counted(self) -> tuple[int, int]:
        """How many changes were counted, and through which record."""
        statement = f"SELECT changes, watermark FROM {self.schema}.tailrace_positions"
        ((changes, watermark),) = self.ask([statement])
        return int(changes), int(watermark)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres() as running:
        yield running


def on_the_server(server: PostgresServer) -> Database:
    url = server.database()

    def ask(statements: Sequence[str]) -> list[tuple[Any, ...]]:
        with psycopg.connect(url) as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    return Database(sinks.PostgreSQL(url, "orders"), ask, "public")


def in_a_file(folder: Path) -> Database:
    sink = sinks.DuckDB(folder / "shop.duckdb", "orders")

    def ask(statements: Sequence[str]) -> list[tuple[Any, ...]]:
        return sink.transact(lambda session: [session.execute(text).fetchall() for text in statements][-1])

    return Database(sink, ask, "main")


@pytest.fixture(params=["postgresql", "duckdb"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    if request.param == "duckdb":
        return in_a_file(tmp_path)
    return on_the_server(request.getfixturevalue("server"))


async def until(condition: Callable[[], bool]) -> None:
    """Give the loop back until something holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(BETWEEN_LOOKS_S)


def restored_in_the_middle(database: Database) -> None:
    """Three times two items; the second two are after the backup, which is put back before the third."""

    async def story() -> None:
        app = App("shop")
        app.sink(app.table("orders", pk="id"), database.sink, batch_size=1)
        node = Node(EngineOptions(), HttpSettings(port=0), app)
        await node.start()
        try:
            await write_and_restore(node)
        finally:
            await node.stop()

    def put(node: Node, *names: str) -> None:
        for name in names:
            node.engine.put(Put("orders", {"id": {"S": name}}))
        node.engine.committer.flush()

    async def write_and_restore(node: Node) -> None:
        put(node, "a", "b")
        await until(lambda: database.rows() == ["a", "b"])
        back = await asyncio.to_thread(database.back_up)
        put(node, "c", "d")
        await until(lambda: len(database.rows()) == 4)
        await asyncio.to_thread(database.ask, back)
        assert database.rows() == ["a", "b"]
        put(node, "e", "f")
        await until(lambda: {"e", "f"} <= set(database.rows()))

    asyncio.run(story())


def test_a_database_that_is_restored_while_it_is_written_lacks_nothing(database: Database) -> None:
    restored_in_the_middle(database)
    changes, watermark = database.counted()
    assert database.rows() == ["a", "b", "c", "d", "e", "f"]
    assert changes == 6, "each change of the source is counted once by what the database has now"
    assert watermark >= 6


def test_canary_without_what_the_worker_knows_the_database_has_a_hole(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    right = Settling.position_at

    def wrong(self: Settling, through: int) -> TargetPosition | None:
        position = right(self, through)
        return position and structs.replace(position, after=0)

    monkeypatch.setattr(Settling, "position_at", wrong)
    database = in_a_file(tmp_path)
    restored_in_the_middle(database)
    assert database.rows() == ["a", "b", "e", "f"]
