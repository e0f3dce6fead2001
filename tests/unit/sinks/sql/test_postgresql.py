"""What PostgreSQL does otherwise: other sessions at once, outages, grants and views of users, and what is a
row's own fault.
"""

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from typing import Any

import orjson
import psycopg
import pytest
from msgspec import structs

from tailrace.app.plain import to_item
from tailrace.clocks.manual import ManualClock
from tailrace.errors import LeaseLost, Unavailable
from tailrace.ports import Failed, RecordBatch, StreamRef, TargetPosition, Written
from tailrace.sinks.postgresql_table import PostgreSQL
from tailrace.sinks.sql.dialect import NEWER, NONE_THERE
from tailrace.streams.record import ChangeRecord, change_record
from tests.postgres import PostgresServer, postgres

STREAM = StreamRef("arn", "orders", "label", "NEW_AND_OLD_IMAGES")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres() as running:
        yield running


@pytest.fixture
def url(server: PostgresServer) -> str:
    return server.database()


def change(
    sequence: int, id: str, new: dict[str, Any] | None, generation: int = 1, *, is_insert: bool = False
) -> ChangeRecord:
    """A change of an order."""
    made = change_record(
        sequence=sequence,
        shard=1,
        created_ms=sequence,
        partition=1,
        key=id.encode(),
        keys={"id": {"S": id}},
        old=None if is_insert else b"{}",
        new=None if new is None else orjson.dumps(to_item({"id": id, **new})),
        size_bytes=1,
    )
    return structs.replace(made, generation=generation)


def batch(*records: ChangeRecord, is_snapshot: bool = False) -> RecordBatch:
    return RecordBatch(records, "m", STREAM, "s", is_snapshot=is_snapshot)


def ask(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def told(story: Any) -> None:
    asyncio.run(story())


@pytest.mark.parametrize("guard", [NEWER, NONE_THERE])
@pytest.mark.parametrize("scan_first", [True, False])
def test_a_scans_row_and_a_deletion_of_one_key_do_not_pass_each_other(
    url: str, scan_first: bool, guard: str
) -> None:
    """The first transaction stands still before its commit; the second waits for its row, and looks again."""

    async def story() -> None:
        first, second = PostgreSQL(url, "orders"), PostgreSQL(url, "orders")
        for sink in (first, second):
            await sink.open(ManualClock())
        await first.write(batch(change(1, "other", {"n": 1})))
        scanned = change(5, "a", {"n": 1}, generation=0, is_insert=guard == NONE_THERE)
        scan = batch(scanned, is_snapshot=True)
        deletion = batch(change(7, "a", None))
        begun, going_on = asyncio.Event(), asyncio.Event()

        async def stands_still() -> None:
            rows = scan if scan_first else deletion
            async with first._connections.lent() as connection:  # type: ignore[union-attr]
                await connection.execute("BEGIN")
                steps = first._put(rows, first_rows(first, rows), guard, alone=False)
                from tailrace.sinks.sql.postgresql import answered, carried_out

                await carried_out(partial(answered, connection), steps)
                begun.set()
                await going_on.wait()
                await connection.execute("COMMIT")

        async def comes_between() -> None:
            await begun.wait()
            await second.write(deletion if scan_first else scan)

        async def lets_go() -> None:
            await begun.wait()
            while not await asyncio.to_thread(ask, url, "SELECT 1 FROM pg_locks WHERE NOT granted"):
                await asyncio.sleep(0)
            going_on.set()

        await asyncio.gather(stands_still(), comes_between(), lets_go())
        assert ask(url, "SELECT id FROM orders WHERE id = 'a'") == []
        ((version, is_deleted),) = ask(
            url, "SELECT tailrace_version, tailrace_deleted FROM orders_all WHERE tailrace_key = 'a'"
        )
        assert (version[:10], is_deleted) == ("0000000001", True)
        for sink in (first, second):
            await sink.close()

    told(story)


def first_rows(sink: PostgreSQL, rows: RecordBatch) -> Any:
    from tailrace.sinks.messages import Failures
    from tailrace.sinks.sql.changes import rows_of

    return rows_of(rows, sink.item_of, Failures())


def test_many_writers_that_let_the_table_grow_at_once_lose_nothing(url: str) -> None:
    async def story() -> None:
        made = [PostgreSQL(url, "orders") for _ in range(4)]

        async def writes(number: int, sink: PostgreSQL) -> None:
            for turn in range(6):
                n = 1 if turn < 3 else Decimal(f"{turn}.5")
                record = change(
                    turn + 1, f"k{turn % 2}-{number}", {f"a{(number + turn) % 5}": number, "n": n}
                )
                assert await sink.write(batch(record)) == Written()

        await asyncio.gather(*(writes(number, sink) for number, sink in enumerate(made)))
        assert ask(url, "SELECT count(*), sum(n) FROM orders") == [(8, Decimal("40.0"))]
        for sink in made:
            await sink.close()

    told(story)


def test_each_change_is_counted_once_whatever_is_repeated(url: str) -> None:
    async def story() -> None:
        sink = PostgreSQL(url, "orders")
        await sink.stamp("m", "label", "s", 3)
        for begin in (1, 11, 11, 1, 21):
            records = [change(begin + place, f"k{place}", {"n": begin}) for place in range(10)]
            position = TargetPosition("label", "s", 3, begin + 9)
            assert await sink.commit(batch(*records), position) == Written()
        counts = ask(url, "SELECT changes, commits, watermark FROM tailrace_positions")
        assert counts == [(30, 3, "30")]
        with pytest.raises(LeaseLost, match="epoch 3"):
            await sink.commit(batch(), TargetPosition("label", "s", 2, 99))
        await sink.close()

    told(story)


def test_a_commit_whose_answer_is_lost_is_repeated_harmlessly(
    server: PostgresServer, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        sink = PostgreSQL(url, "orders")
        await sink.stamp("m", "label", "s", 1)
        records = batch(change(1, "a", {"n": 1}), change(2, "b", {"n": 2}))
        position = TargetPosition("label", "s", 1, 2)
        execute = psycopg.AsyncConnection.execute

        async def lost(connection: Any, query: Any, *arguments: Any, **named: Any) -> Any:
            answer = await execute(connection, query, *arguments, **named)
            if query == b"COMMIT":
                raise psycopg.OperationalError("the connection is lost")
            return answer

        with monkeypatch.context() as patch:
            patch.setattr(psycopg.AsyncConnection, "execute", lost)
            with pytest.raises(Unavailable, match="the connection is lost"):
                await sink.commit(records, position)
        assert await sink.commit(records, position) == Written()
        assert ask(url, "SELECT changes, commits FROM tailrace_positions") == [(2, 1)]
        await sink.close()

    told(story)


def test_a_row_that_the_database_refuses_fails_alone(url: str) -> None:
    """A key that does not fit its index: only its record is refused, and for good, among new items, too."""

    async def story() -> None:
        sink = PostgreSQL(url, "orders")
        random_key = "".join(chr(0x4E00 + (n * 7919) % 20_000) for n in range(1_000))
        records = [change(n, f"k{n}", {"n": n}, is_insert=True) for n in range(1, 6)]
        records[2] = change(3, random_key, {"n": 3}, is_insert=True)
        outcome = await sink.write(batch(*records))
        assert isinstance(outcome, Failed)
        assert list(outcome.failures) == [2]
        assert outcome.failures[2].final
        assert "index row size" in outcome.failures[2].error
        assert ask(url, "SELECT n FROM orders ORDER BY n") == [(1,), (2,), (4,), (5,)]
        await sink.stamp("m", "label", "s", 1)
        later = [change(10 + n, f"k{n}", {"n": 10 + n}, is_insert=True) for n in (1, 2)]
        outcome = await sink.commit(batch(*later, records[2]), TargetPosition("label", "s", 1, 12))
        assert isinstance(outcome, Failed)
        assert list(outcome.failures) == [2]
        assert ask(url, "SELECT max(n) FROM orders") == [(5,)]
        await sink.close()

    told(story)


def test_grants_and_views_of_users_stay_when_columns_come_and_a_view_in_the_way_is_named(url: str) -> None:
    async def story() -> None:
        sink = PostgreSQL(url, "orders")
        await sink.write(batch(change(1, "a", {"n": 1})))
        ask(url, "CREATE ROLE reader; GRANT SELECT ON orders TO reader; GRANT SELECT ON orders TO PUBLIC")
        ask(url, "CREATE VIEW report AS SELECT sum(n) AS n FROM orders")
        await sink.write(batch(change(2, "b", {"n": 2, "later": "x"})))
        assert ask(url, "SELECT n FROM report") == [(Decimal(3),)]
        wide = batch(change(3, "c", {"n": Decimal("0.5")}))
        with pytest.raises(Unavailable, match=r"report depends on view orders(?s:.*)DROP VIEW"):
            await sink.write(wide)
        ask(url, "DROP VIEW report")
        assert await sink.write(wide) == Written()
        assert ask(url, "SELECT id, n, later FROM orders ORDER BY id") == [
            ("a", Decimal(1), None), ("b", Decimal(2), "x"), ("c", Decimal("0.5"), None),
        ]  # fmt: skip
        ask(url, "SET ROLE reader; SELECT n FROM orders")
        await sink.close()

    told(story)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("database", "database"),
        ("schema", "CREATE SCHEMA"),
        ("role", "GRANT"),
        ("server", "see that the server runs"),
        ("read only", "takes no writes"),
        ("foreign", "not the sink's"),
    ],
)
def test_what_keeps_it_from_writing_is_an_outage_with_the_next_step(
    url: str, setting: str, words: str
) -> None:
    schema = "public"
    match setting:
        case "database":
            url = url.replace("/state_", "/missing_")
        case "schema":
            schema = "warehouse"
        case "role":
            ask(url, "REVOKE ALL ON SCHEMA public FROM PUBLIC")
            ask(url, "CREATE ROLE stranger LOGIN")
            url = url.replace("tests:secret", "stranger:secret")
        case "server":
            url = url.replace("port=5432", "port=5433")
        case "read only":
            url += "&options=-cdefault_transaction_read_only%3Don"
        case "foreign":
            ask(url, "CREATE TABLE orders (id text)")

    async def story() -> None:
        sink = PostgreSQL(url, "orders", schema)
        with pytest.raises(Unavailable) as raised:
            await sink.open(ManualClock())
            await sink.write(batch(change(1, "a", {"n": 1})))
        assert words in str(raised.value)
        assert "secret" not in str(raised.value)
        await sink.close()

    told(story)


def test_a_server_that_was_away_is_written_to_again(server: PostgresServer, url: str) -> None:
    async def story() -> None:
        sink = PostgreSQL(url, "orders")
        await sink.write(batch(change(1, "a", {"n": 1})))
        server.cut()
        with pytest.raises(Unavailable):
            await sink.write(batch(change(2, "a", {"n": 2})))
        assert await sink.write(batch(change(2, "a", {"n": 2}))) == Written()
        assert ask(url, "SELECT n FROM orders") == [(2,)]
        await sink.close()

    told(story)


def test_names_that_sql_reads_otherwise_are_names(url: str) -> None:
    async def story() -> None:
        ask(url, 'CREATE SCHEMA "odd %s"')
        sink = PostgreSQL(url, 'per%cent "x"', "odd %s")
        await sink.write(batch(change(1, "a", {"n%s": 1}, is_insert=True)))
        await sink.write(batch(change(2, "a", {"n%s": Decimal("1.5")})))
        assert ask(url, 'SELECT id, n_s FROM "odd %s"."per%cent ""x"""') == [("a", Decimal("1.5"))]
        await sink.close()

    told(story)
