"""A DuckDB table follows its items: values, types, new attributes, removals, repetitions, and
what may be asked.
"""

import asyncio
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest
from msgspec import structs

from tailrace import App, sinks
from tailrace.app.plain import to_item
from tailrace.clocks.manual import ManualClock
from tailrace.errors import SettingsError, SinkError, Unavailable
from tailrace.ports import Failed, Outcome, RecordBatch, StreamRef
from tailrace.sinks.duckdb_question import Question
from tailrace.sinks.sql.changes import key_of
from tailrace.streams.record import ChangeRecord, change_record, image
from tailrace.testing import World
from tests.patience import PATIENCE_S, eventually

STREAM = StreamRef("arn", "orders", "label", "NEW_AND_OLD_IMAGES")


@pytest.fixture
def table(tmp_path: Path) -> Iterator[sinks.DuckDB]:
    sink = sinks.DuckDB(tmp_path / "orders.duckdb", "orders")
    yield sink
    sink.close()


def change(sequence: int, id: str, new: Mapping[str, Any] | None) -> ChangeRecord:
    """A change of an order."""
    image = None if new is None else orjson.dumps(to_item({"id": id, **new}))
    return change_record(
        sequence=sequence,
        shard=1,
        created_ms=0,
        partition=1,
        key=id.encode(),
        keys={"id": {"S": id}},
        old=b"{}",
        new=image,
        size_bytes=1,
        keys_size=1,
        new_size=1,
    )


def write(table: sinks.DuckDB, *records: ChangeRecord, values: list[object] | None = None) -> Outcome:
    given = None if values is None else tuple(values)
    return asyncio.run(table.write(RecordBatch(list(records), "m", STREAM, "s", values=given)))


def rows(table: sinks.DuckDB, columns: str = "*") -> list[tuple[Any, ...]]:
    return table.query(f"SELECT {columns} FROM orders ORDER BY id")[1]


def test_the_newest_image_of_each_item_is_a_row_and_numbers_are_exact(table: sinks.DuckDB) -> None:
    write(
        table,
        change(1, "a", {"total": Decimal("10.10")}),
        change(2, "b", {"total": 3}),
        change(3, "a", {"total": Decimal("0.2")}),
    )
    assert rows(table, "id, total") == [("a", Decimal("0.2")), ("b", Decimal(3))]
    assert table.query("SELECT sum(total) AS turnover FROM orders") == (["turnover"], [(Decimal("3.2"),)])


def test_a_removed_item_is_no_row_and_comes_back_when_it_is_put_again(table: sinks.DuckDB) -> None:
    write(table, change(1, "a", {"n": 1}), change(2, "b", {"n": 1}))
    write(table, change(3, "a", None))
    assert rows(table, "id") == [("b",)]
    write(table, change(4, "a", {"n": 2}))
    assert rows(table, "id, n") == [("a", 2), ("b", 1)]


def test_a_directory_that_is_not_there_is_an_outage_that_says_so(tmp_path: Path) -> None:
    table = sinks.DuckDB(tmp_path / "away" / "orders.duckdb", "orders")
    with pytest.raises(Unavailable, match="its directory is not there") as caught:
        write(table, change(1, "a", {"n": 1}))
    assert "mkdir" in str(caught.value.hint)
    (tmp_path / "away").mkdir()
    write(table, change(1, "a", {"n": 1}))
    assert rows(table, "id") == [("a",)]
    table.close()


def test_what_comes_again_or_too_late_changes_nothing(table: sinks.DuckDB) -> None:
    write(table, change(1, "a", {"n": 1}), change(5, "a", {"n": 5}))
    write(table, change(1, "a", {"n": 1}))
    write(table, change(3, "a", None))
    assert rows(table, "id, n") == [("a", 5)]


def test_columns_come_with_attributes_and_every_type_has_a_place(table: sinks.DuckDB) -> None:
    write(table, change(1, "a", {"n": 1}))
    write(
        table,
        change(
            2, "b", {"yes": True, "raw": b"\x01", "tags": {"x", "y"}, "inner": {"k": [1, None]}, "none": None}
        ),
    )
    row = dict(zip(*[table.query("SELECT * FROM orders WHERE id = 'b'")[0], rows(table)[1]], strict=True))
    assert (row["yes"], row["raw"], row["n"]) == (True, b"\x01", None)
    assert (orjson.loads(row["tags"]), orjson.loads(row["inner"])) == (["x", "y"], {"k": [1, None]})
    assert "none" not in row


def test_a_value_of_another_type_stands_beside_its_column_and_is_counted(table: sinks.DuckDB) -> None:
    write(table, change(1, "a", {"n": 1}))
    write(table, change(2, "b", {"n": "many"}), change(3, "c", {"n": 7}))
    assert rows(table, "id, n, _extra") == [("a", 1, None), ("b", None, '{"n":{"S":"many"}}'), ("c", 7, None)]
    assert table.conflicts == {"n": 1}


def test_a_number_that_its_column_has_no_room_for_makes_it_wider_and_no_digit_is_lost(
    table: sinks.DuckDB,
) -> None:
    numbers = [
        "1",
        "2.25",
        "-12345678901234567890123456789012345678",
        "1" + "0" * 125,
        "0." + "0" * 129 + "1",
    ]
    for place, number in enumerate(numbers):
        write(table, change(place + 1, f"i{place}", {"n": Decimal(number)}))
    assert [n for _, n in rows(table, "id, n")] == numbers


def test_names_need_no_care(tmp_path: Path) -> None:
    table = sinks.DuckDB(tmp_path / "x.duckdb", 'select "order"')
    write(table, change(1, "a", {'drop "table"': 1, "order": "x"}))
    assert table.query('SELECT "order", "drop__table_" FROM "select ""order"""')[1] == [("x", 1)]
    table.close()


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE orders",
        "SELECT 1; SELECT 2",
        "COPY orders TO 'x.csv'",
        "INSERT INTO orders VALUES (1)",
        "EXPLAIN ANALYZE DELETE FROM orders",
        "EXPLAIN ANALYZE COPY orders TO 'x.csv'",
        "",
    ],
)
def test_nothing_but_one_select_can_be_asked(table: sinks.DuckDB, sql: str) -> None:
    write(table, change(1, "a", {"n": 1}))
    with pytest.raises(SinkError, match="only one SELECT"):
        table.query(sql)
    assert rows(table, "id") == [("a",)]


def test_a_select_that_writes_on_the_way_changes_nothing(table: sinks.DuckDB) -> None:
    write(table, change(1, "a", {"n": 1}))
    with pytest.raises(SinkError):
        table.query("WITH gone AS (DELETE FROM orders RETURNING *) SELECT * FROM gone")
    assert rows(table, "id") == [("a",)]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM read_parquet('https://example.com/x.parquet')",
        "SELECT * FROM postgres_scan('host=localhost', 'public', 'x')",
    ],
)
def test_nothing_but_the_files_own_tables_can_be_reached(table: sinks.DuckDB, sql: str) -> None:
    write(table, change(1, "a", {"n": 1}))
    with pytest.raises(SinkError):
        table.query(sql)
    with pytest.raises(SinkError, match="only one SELECT"):
        table.query("SET enable_external_access = true")
    settings = dict(
        table.query(
            "SELECT name, value FROM duckdb_settings() WHERE name IN ('enable_external_access', "
            "'lock_configuration', 'autoinstall_known_extensions', 'autoload_known_extensions')"
        )[1]
    )
    assert settings == {
        "enable_external_access": "false",
        "lock_configuration": "true",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }


def test_times_with_a_zone_are_asked_without_any_other_package(table: sinks.DuckDB) -> None:
    write(table, change(1, "a", {"n": 1}))
    columns, ((now, nested, n),) = table.query(
        "WITH x AS (SELECT timestamptz '2026-11-27 21:00:00+00' AS t) SELECT t, [{'at': t}] AS "
        "nested, n FROM x, orders"
    )
    assert columns == ["t", "nested", "n"]
    assert (now[:19], nested[0]["at"][:19], n) == ("2026-11-27 21:00:00", "2026-11-27 21:00:00", 1)
    assert len(table.query("SELECT now();")[1]) == 1


def test_an_answer_comes_in_pages_and_takes_the_memory_of_one(tmp_path: Path) -> None:
    table = sinks.DuckDB(tmp_path / "x.duckdb", "orders", memory_limit="100MiB", most_temporary="1MiB")
    with (
        closing(table),
        closing(table.question("SELECT range, repeat('x', 1000) FROM range(1000000000)")) as asked,
    ):
        assert len(asked.begin()) == 2
        assert [len(asked.page()) for _ in range(3)] == [500, 500, 500]


def test_a_question_that_needs_more_memory_than_it_may_have_fails_and_the_next_does_not(
    tmp_path: Path,
) -> None:
    table = sinks.DuckDB(tmp_path / "x.duckdb", "orders", memory_limit="20MiB", most_temporary="1MiB")
    with closing(table):
        with pytest.raises(SinkError, match=r"(?i)memory|temp"):
            table.query("SELECT list(range) FROM range(100000000)")
        assert table.query("SELECT 1")[1] == [(1,)]


def test_a_question_at_work_is_ended_from_another_thread(table: sinks.DuckDB) -> None:
    asked, failures = table.question("SELECT count(*) FROM range(100000000000) a, range(1000) b"), []

    def ask() -> None:
        try:
            asked.begin()
            asked.page()
        except SinkError as error:
            failures.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    eventually(asked._at_work.locked)
    asked.close()
    thread.join(PATIENCE_S)
    assert len(failures) == 1
    assert table.query("SELECT 1")[1] == [(1,)]


def test_a_sink_that_is_closed_and_opened_again_ends_no_question_and_none_keeps_it_closed(
    table: sinks.DuckDB,
) -> None:
    write(table, change(1, "a", {"total": 1}))
    with (
        closing(table.question("SELECT count(*) FROM range(100000000000) a, range(1000) b")) as at_work,
        closing(table.question("SELECT id, range FROM orders, range(1200)")) as asked,
    ):
        thread = threading.Thread(target=_refused, args=(at_work,))
        thread.start()
        eventually(at_work._at_work.locked)
        assert (asked.begin(), len(asked.page())) == (["id", "range"], 500)
        table.close()
        write(table, change(2, "b", {"total": 2}))
        table.close()
        assert (len(asked.page()), len(asked.page()), asked.page()) == (500, 200, [])
        assert thread.is_alive()
        at_work.close()
        thread.join()
    assert rows(table, "id, total") == [("a", 1), ("b", 2)]


def test_a_connection_that_refuses_to_be_closed_is_not_used_again(
    table: sinks.DuckDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(table, change(1, "a", {"total": 1}))
    connection = table._connection

    class Busy:
        def close(self) -> None:
            assert connection is not None
            connection.close()
            raise duckdb.InvalidInputException("busy")

    monkeypatch.setattr(table, "_connection", Busy())
    with pytest.raises(duckdb.InvalidInputException):
        table.close()
    write(table, change(2, "b", {"total": 2}))
    assert rows(table, "id, total") == [("a", 1), ("b", 2)]


def _refused(asked: Question) -> None:
    with pytest.raises(SinkError):
        asked.begin()
        asked.page()


def test_two_sinks_of_one_file_with_other_limits_are_refused_by_name(tmp_path: Path) -> None:
    first, second = (
        sinks.DuckDB(tmp_path / "x.duckdb", "orders", memory_limit=limit) for limit in ("1GiB", "2GiB")
    )
    with closing(first), closing(second):
        assert first.query("SELECT 1")[1] == [(1,)]
        with pytest.raises(SettingsError, match=r"x\.duckdb.*configuration"):
            second.query("SELECT 1")


def test_a_wrong_question_is_answered_in_the_words_of_duckdb(table: sinks.DuckDB) -> None:
    write(table, change(1, "a", {"n": 1}))
    with pytest.raises(SinkError, match="totl"):
        table.query("SELECT totl FROM orders")


def test_values_that_are_no_dictionaries_fail_alone(table: sinks.DuckDB) -> None:
    outcome = write(table, change(1, "a", {}), change(2, "b", {}), values=[3, {"id": "b", "n": 1}])
    assert isinstance(outcome, Failed)
    assert list(outcome.failures) == [0]
    assert rows(table, "id, n") == [("b", 1)]


def test_a_table_is_mirrored_in_a_world(tmp_path: Path) -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")
    mirror = sinks.DuckDB(tmp_path / "shop.duckdb", "orders")
    app.sink(orders, mirror, batch_size=1_000)
    with World(app, seed=1) as world:
        for number in range(200):
            world.put(orders, {"id": f"o{number:03}", "total": number})
        world.delete(orders, {"id": "o007"})
        world.settle()
        assert mirror.query("SELECT count(*), sum(total) FROM orders")[1] == [(199, sum(range(200)) - 7)]
        world.restart()
        world.put(orders, {"id": "o007", "total": 7})
        world.settle()
        assert mirror.query("SELECT sum(total) FROM orders")[1] == [(sum(range(200)),)]
        assert world.delivered("orders.DuckDB")[-1] == "o007"
    mirror.close()


def test_without_the_extra_the_error_names_it(table: sinks.DuckDB, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(Unavailable, match="extra `duckdb`"):
        write(table, change(1, "a", {"n": 1}))


class Failing(sinks.DuckDB):
    """Fails at the end of a transaction, as DuckDB would."""

    error: str = ""

    def transact(self, work: Any) -> Any:
        import duckdb

        def failing(connection: Any) -> Any:
            work(connection)
            raise getattr(duckdb, self.error)("no space left on device")

        return super().transact(failing if self.error else work)


@pytest.mark.parametrize(
    ("error", "is_outage"),
    [("IOException", True), ("OutOfMemoryException", True), ("BinderException", False)],
)
def test_a_full_disk_is_an_outage_and_nothing_of_a_failed_transaction_is_left(
    tmp_path: Path, error: str, is_outage: bool
) -> None:
    table = Failing(tmp_path / "x.duckdb", "orders")
    write(table, change(1, "a", {"n": 1}))
    table.error = error
    with pytest.raises(SinkError, match="no space left") as caught:
        write(table, change(2, "b", {"n": 1, "new": 1}))
    assert isinstance(caught.value, Unavailable) is is_outage
    table.error = ""
    write(table, change(3, "c", {"n": 1}))
    assert table.query("SELECT id, n FROM orders ORDER BY id")[1] == [("a", 1), ("c", 1)]
    table.close()


def test_memory_that_is_too_little_is_an_outage_that_names_the_limit_and_nobodys_fault(
    tmp_path: Path,
) -> None:
    """It is noticed when a transaction ends, too. What was written before stays."""
    table = sinks.DuckDB(tmp_path / "orders.duckdb", "orders", memory_limit="12MB")
    written = 0
    with closing(table), pytest.raises(Unavailable, match="memory limit") as raised:
        for first in range(0, 40_000, 4_000):
            orders = range(first, first + 4_000)
            write(table, *(change(n, f"{n:05d}", {"text": f"{n * 7_919:0160d}"}) for n in orders))
            written = first + 4_000
    assert "sinks.DuckDB(…, memory_limit=…)" in str(raised.value.hint)
    with closing(sinks.DuckDB(table.path, "orders")) as again:
        assert again.query("SELECT count(*) FROM orders")[1] == [(written,)]


def test_a_file_that_nobody_writes_is_asked_without_changing_it(tmp_path: Path) -> None:
    table = sinks.DuckDB(tmp_path / "x.duckdb", "orders")
    write(table, change(1, "a", {"n": 1}))
    table.close()
    (tmp_path / "x.duckdb").chmod(0o444)
    assert sinks.DuckDB.ask(tmp_path / "x.duckdb", "SELECT id FROM orders") == (["id"], [("a",)])


def of_generation(generation: int, record: ChangeRecord) -> ChangeRecord:
    return structs.replace(record, generation=generation)


def test_a_change_of_a_stream_that_was_switched_off_and_on_is_written_though_its_number_is_smaller(
    table: sinks.DuckDB,
) -> None:
    write(table, change(900, "a", {"total": 1}), change(901, "b", {"total": 1}))
    write(table, of_generation(2, change(7, "a", {"total": 2})), of_generation(2, change(8, "b", None)))
    write(table, change(902, "a", {"total": 3}))
    assert rows(table, "id, total") == [("a", Decimal(2))]


BEFORE = """CREATE TABLE orders (tailrace_sequence HUGEINT, id VARCHAR, total DECIMAL(38,9), mean DOUBLE,
"odd name" BOOLEAN, tags JSON, PRIMARY KEY (id));
INSERT INTO orders VALUES (900, 'a', 1.5, 0.1, true, '["x"]'), (901, 'b', NULL, NULL, NULL, NULL)"""


def keyed(record: ChangeRecord) -> ChangeRecord:
    """With the key that the engine gives an item."""
    return structs.replace(record, key=key_of([(image(record.keys) or {})["id"]]))


@pytest.mark.parametrize(
    ("later", "total"),
    [(change(899, "a", {"total": 2}), 1.5), (change(901, "a", {"total": 2}), 2),
     (of_generation(2, change(1, "a", {"total": 2})), 2)],
)  # fmt: skip
def test_a_table_of_before_versions_goes_on_and_its_numbers_are_of_the_first_generation(
    table: sinks.DuckDB, later: ChangeRecord, total: float
) -> None:
    table.transact(lambda connection: connection.execute(BEFORE))
    write(table, keyed(later))
    assert rows(table, "id, total") == [("a", Decimal(total)), ("b", None)]


def test_a_table_of_before_mirrors_is_brought_up_to_date_when_the_file_is_opened(
    table: sinks.DuckDB,
) -> None:
    table.transact(lambda connection: connection.execute(BEFORE))
    assert asyncio.run(table.sources()) == {"": 1}
    asyncio.run(table.open(ManualClock()))
    columns = 'id, total, mean, "odd name", tags, tailrace_changed_at'
    assert rows(table, columns)[0] == ("a", Decimal("1.5"), Decimal("0.1"), True, '["x"]', None)
    table.close()
    again = sinks.DuckDB(table.path, "orders")
    write(again, keyed(change(902, "a", {"odd name": False})), keyed(change(902, "b", None)))
    assert rows(again, 'id, "odd name", total') == [("a", False, None)]
    write(again, keyed(change(901, "b", {"total": 1})))
    assert rows(again, "id") == [("a",)]
    again.close()


def test_a_table_of_before_whose_numbers_fit_no_decimal_keeps_them_as_texts(table: sinks.DuckDB) -> None:
    table.transact(lambda connection: connection.execute(BEFORE))
    table.transact(lambda connection: connection.execute("UPDATE orders SET mean = 1e300"))
    asyncio.run(table.open(ManualClock()))
    assert rows(table, "mean")[0] == ("1e+300",)
