"""State in PostgreSQL keeps the contract, against a real server, also when connections are lost at the worst
moment.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest

from tailrace.errors import OutcomeUnknown, SettingsError, StateConflict, StoreError
from tailrace.ports import Action, ItemWrite, StateStore
from tailrace.postgresql import Connections, shown
from tailrace.rows.kinds import HEAD
from tailrace.rows.writes import Absent, Check, Equals, StateRow, Write
from tailrace.stores import postgresql
from tailrace.stores.postgresql import (
    PostgresStateStore,
    RowLock,
    create_schema,
    judge_schema,
    locks_of,
)
from tailrace.testing import check_state_store
from tailrace.testing.contracts import state_writers
from tailrace.testing.contracts.state_writers import is_written
from tests.contracts.breaking import breaks
from tests.postgres import PORT, PostgresServer, postgres


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres() as running:
        yield running


@pytest.fixture
def url(server: PostgresServer) -> str:
    """A database with the tables of state."""
    url = server.database()
    assert asyncio.run(create_schema(url)).is_ready
    return url


def emptied(server: PostgresServer, url: str) -> Callable[[], StateStore]:
    """What makes stores over an empty table."""
    database = url.partition("@/")[2].partition("?")[0]

    def make() -> StateStore:
        server.execute("TRUNCATE tailrace_state", database)
        return PostgresStateStore(url)

    return make


def again(store: PostgresStateStore) -> StateStore:
    return PostgresStateStore(store._url)


def test_it_keeps_the_contract_with_two_workers(server: PostgresServer, url: str) -> None:
    check_state_store(emptied(server, url), again=again)


@pytest.mark.parametrize(
    "isolation", ["serializable", pytest.param("repeatable%20read", marks=pytest.mark.slow)]
)
def test_it_keeps_the_contract_where_the_database_has_a_stricter_isolation(
    server: PostgresServer, url: str, isolation: str
) -> None:
    database = url.partition("@/")[2].partition("?")[0]
    words = isolation.replace("%20", " ")
    server.execute(f"ALTER DATABASE {database} SET default_transaction_isolation = '{words}'")
    check_state_store(emptied(server, url), again=again)


# ---- canaries: what PostgreSQL itself does not give --------------------------------------------------------


class SlowToWrite(PostgresStateStore):
    """Between its look and its write there is time for another worker, as there may be at any moment."""

    async def _written(self, *arguments: Any) -> None:
        await asyncio.sleep(WINDOW_S)
        await super()._written(*arguments)


WINDOW_S = 0.02


@pytest.fixture
def slow(server: PostgresServer, url: str) -> Callable[[], None]:
    """The check of stores that are slow to write."""

    def make() -> StateStore:
        server.execute("TRUNCATE tailrace_state", url.partition("@/")[2].partition("?")[0])
        return SlowToWrite(url)

    return lambda: check_state_store(make, again=lambda store: SlowToWrite(store._url))


def test_a_store_that_is_only_slow_keeps_the_contract(slow: Callable[[], None]) -> None:
    slow()


def test_a_store_that_takes_no_locks_is_caught(
    slow: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "LOCK", "SELECT %(numbers)s::bigint[], %(writes)s::boolean[]")
    breaks(state_writers.of_two_takers_one_wins, slow)


def test_a_store_that_reads_what_was_there_before_it_waited_is_caught(
    slow: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ")
    breaks(state_writers.a_condition_on_another_row_holds_at_the_write, slow)


def test_a_store_that_locks_only_what_it_writes_is_caught(
    slow: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def only_writes(writes: Sequence[Action]) -> list[RowLock]:
        return locks_of([write for write in writes if isinstance(write, Write)])

    monkeypatch.setattr(postgresql, "locks_of", only_writes)
    breaks(state_writers.a_condition_on_another_row_holds_at_the_write, slow)


# ---- connections -------------------------------------------------------------------------------------------


class Line:
    """Everything between store and server passes here, and is cut at a message. Shape: `cut` sees what the
    store sends; None: it passes; else the line is cut, and the value says whether the server still gets it.
    """

    def __init__(self, server: PostgresServer, directory: Path) -> None:
        self.directory = directory
        self.server = server
        self.cut: Callable[[bytes], bool | None] = lambda data: None

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far = await asyncio.open_unix_connection(f"{self.server.directory}/.s.PGSQL.{PORT}")
        is_cut = asyncio.Event()

        async def back() -> None:
            while (data := await far_reader.read(65_536)) and not is_cut.is_set():
                writer.write(data)
                await writer.drain()

        answers = asyncio.create_task(back())
        try:
            while data := await reader.read(65_536):
                passes = self.cut(data)
                if passes is not None:
                    is_cut.set()
                if passes is not False:
                    far.write(data)
                    await far.drain()
                if passes:
                    await answers  # the server has done it, and its answer is lost
                if passes is not None:
                    break
        finally:
            answers.cancel()
            far.close()
            writer.close()


@contextlib.asynccontextmanager
async def line(server: PostgresServer) -> AsyncIterator[Line]:
    with TemporaryDirectory(prefix="line-") as name:
        passing = Line(server, Path(name))
        listener = await asyncio.start_unix_server(passing.carry, f"{name}/.s.PGSQL.{PORT}")
        try:
            yield passing
        finally:
            listener.close()


def story(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(work())


@pytest.mark.parametrize("is_done", [True, False])
def test_a_connection_that_is_lost_after_commit_was_sent_leaves_it_unknown(
    server: PostgresServer, url: str, is_done: bool
) -> None:
    async def work() -> None:
        async with line(server) as passing:
            store = PostgresStateStore(url.replace(str(server.directory), str(passing.directory)))
            other = PostgresStateStore(url)
            await store.transact([Write("a", {"epoch": 1})])
            passing.cut = lambda data: is_done if b"; COMMIT" in data else None
            with pytest.raises(OutcomeUnknown, match="not known whether it was written"):
                await store.transact([Write("a", {"epoch": 2}, Equals("epoch", 1))])
            passing.cut = lambda data: None
            assert await is_written(other, [Check("z", Absent())])
            assert await other.get("a") == StateRow("a", {"epoch": 2 if is_done else 1})
            await store.transact([Write("a", {"epoch": 3})])
            await store.close()
            await other.close()

    story(work)


def test_one_that_is_lost_before_commit_has_written_nothing_and_says_so(
    server: PostgresServer, url: str
) -> None:
    async def work() -> None:
        async with line(server) as passing:
            store = PostgresStateStore(url.replace(str(server.directory), str(passing.directory)))
            await store.transact([Write("a", {"epoch": 1})])
            passing.cut = lambda data: True if b"pg_advisory" in data else None
            with pytest.raises(StoreError) as lost:
                await store.transact([Write("a", {"epoch": 2})])
            assert not isinstance(lost.value, OutcomeUnknown)
            assert lost.value.retryable
            passing.cut = lambda data: None
            assert await store.get("a") == StateRow("a", {"epoch": 1})
            await store.close()

    story(work)


def test_a_worker_that_stands_still_amid_a_transaction_keeps_nobody_waiting_and_writes_nothing(
    url: str,
) -> None:
    class StandsStill(PostgresStateStore):
        async def _written(self, *arguments: Any) -> None:
            reached.set()
            await goes_on.wait()
            await super()._written(*arguments)

    reached, goes_on = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        stopped, other = StandsStill(url, patience_ms=200), PostgresStateStore(url)
        await other.transact([Write("checkpoint", {"epoch": 1})])
        save = asyncio.create_task(
            stopped.transact([Write("checkpoint", {"epoch": 1, "n": 1}, Equals("epoch", 1))])
        )
        await reached.wait()
        await other.transact([Write("checkpoint", {"epoch": 2}, Equals("epoch", 1))])
        goes_on.set()
        with pytest.raises(StoreError):
            await save
        assert await other.get("checkpoint") == StateRow("checkpoint", {"epoch": 2})
        with pytest.raises(StateConflict):
            await other.transact([Write("checkpoint", {"n": 1}, Equals("epoch", 1))])
        await other.close()

    story(work)


def test_whoever_waits_too_long_for_another_writer_is_told_and_may_come_again(url: str) -> None:
    async def work() -> None:
        store = PostgresStateStore(url, patience_ms=50)
        async with await psycopg.AsyncConnection.connect(url) as holder:
            await holder.execute("SELECT pg_advisory_xact_lock(%s)", (locks_of([Write("a", {})])[0].number,))
            with pytest.raises(StoreError, match="lock timeout") as waited:
                await store.transact([Write("a", {"v": 1})])
            assert not isinstance(waited.value, OutcomeUnknown)
            await store.transact([Write("b", {"v": 1})])
        await store.transact([Write("a", {"v": 1})])
        await store.close()

    story(work)


def test_connections_that_the_server_has_ended_are_replaced(server: PostgresServer, url: str) -> None:
    async def work() -> None:
        store = PostgresStateStore(url)
        await asyncio.gather(*(store.transact([Write(f"row/{number}", {"v": 1})]) for number in range(20)))
        assert 0 < len(store._connections._idle) <= postgresql.CONNECTIONS
        server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname LIKE 'state%'"
        )
        with pytest.raises(StoreError):
            await store.get("row/1")
        assert await store.count("row/") == 20
        await store.close()

    story(work)


def test_a_cancelled_transaction_leaves_no_lock_behind(url: str) -> None:
    async def work() -> None:
        store = PostgresStateStore(url)
        async with await psycopg.AsyncConnection.connect(url) as holder:
            await holder.execute("SELECT pg_advisory_xact_lock(%s)", (locks_of([Write("a", {})])[0].number,))
            waiting = asyncio.create_task(store.transact([Write("a", {"v": 1}), Write("b", {"v": 1})]))
            while not await (await holder.execute("SELECT 1 FROM pg_locks WHERE NOT granted")).fetchone():
                await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        await is_written(store, [Write("a", {"v": 2}, Absent()), Write("b", {"v": 2}, Absent())])
        assert await store.get("b") == StateRow("b", {"v": 2})
        await store.close()

    story(work)


# ---- the schema --------------------------------------------------------------------------------------------


def test_a_store_makes_no_table_and_names_the_command_that_does(server: PostgresServer) -> None:
    async def work() -> None:
        empty = server.database()
        assert ((await judge_schema(empty)).finding, (await judge_schema(empty)).hint) == (
            "absent",
            f"tailrace state create {shown(empty)}",
        )
        with pytest.raises(StoreError, match="tailrace state create") as absent:
            await PostgresStateStore(empty).get("a")
        assert "secret" not in str(absent.value)
        assert (await judge_schema(empty)).finding == "absent"
        verdicts = await asyncio.gather(*(create_schema(empty) for _ in range(4)))
        assert {verdict.finding for verdict in verdicts} == {"ready"}
        assert (await judge_schema(empty)).figures == {"format": 1, "rows": 0}

    story(work)


def test_a_table_of_something_else_and_a_later_format_are_refused(server: PostgresServer, url: str) -> None:
    async def work() -> None:
        other = server.database()
        database = other.partition("@/")[2].partition("?")[0]
        server.execute("CREATE TABLE tailrace_state (id int)", database)
        assert (await create_schema(other)).finding == "foreign"
        assert "id integer" in (await judge_schema(other)).words
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            await connection.execute("UPDATE tailrace_state_format SET format = 2")
        assert (await judge_schema(url)).finding == "newer"
        with pytest.raises(SettingsError, match="format 2; this version writes 1"):
            (await create_schema(url)).refuse()

    story(work)


def test_two_schemas_of_one_database_are_two_states(server: PostgresServer) -> None:
    async def work() -> None:
        url = server.database()
        database = url.partition("@/")[2].partition("?")[0]
        for name in ("one", "two"):
            server.execute(f"CREATE SCHEMA {name}", database)
            there = f"{url}&options=-csearch_path%3D{name}"
            assert (await create_schema(there)).is_ready
            store = PostgresStateStore(there)
            await store.transact([Write("a", {"in": name}, Absent())])
            assert await store.query("") == [StateRow("a", {"in": name})]
            await store.close()

    story(work)


def test_a_users_item_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="give app"):
        asyncio.run(PostgresStateStore(url).transact([ItemWrite("Put", {"TableName": "t", "Item": {}})]))


def test_a_server_that_is_not_there_is_an_outage_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="see that the server runs") as away:
        asyncio.run(PostgresStateStore(f"postgresql://me:secret@/shop?host={tmp_path}").get("a"))
    assert "secret" not in str(away.value)


def test_people_can_read_the_rows(server: PostgresServer, url: str) -> None:
    head = HEAD.key("shop", "mail", "ab" * 3_072)

    async def work() -> None:
        store = PostgresStateStore(url)
        await store.transact([Write("lease/shop/x", {"owner": "me"}), Write(head, {"v": 2})])
        await store.close()

    story(work)
    database = url.partition("@/")[2].partition("?")[0]
    rows = server.execute(
        "SELECT key, whole_key, fields->>'owner' FROM tailrace_state ORDER BY key", database
    )
    assert rows[1] == ("lease/shop/x", None, "me")
    assert (len(rows[0][0]), rows[0][1]) == (480, head)


def test_every_row_has_one_lock_and_all_take_them_in_one_order() -> None:
    writes = [Write("b", {}), Check("a", Absent()), Write("a", None), Check("c", Absent())]
    locks = locks_of(writes)  # type: ignore[arg-type]
    assert [lock.number for lock in locks] == sorted({lock.number for lock in locks})
    assert {lock.number: lock.writes for lock in locks} == {
        locks_of([Write(key, {})])[0].number: key != "c" for key in "abc"
    }


def test_a_connection_that_is_lent_while_all_are_closed_is_closed_when_it_comes_back(
    server: PostgresServer,
) -> None:
    async def run() -> tuple[bool, bool]:
        connections = Connections(server.url(), 2)
        async with connections.lent() as connection:
            await connections.close()
            await connection.execute(b"SELECT 1")
        async with connections.lent() as another:
            pass
        await connections.close()
        return connection.closed, another is not connection

    assert asyncio.run(run()) == (True, True)
