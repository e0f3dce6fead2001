"""Rows are given to the target in parts. New items are loaded as such, without a question for each; where one
of them was there after all, all of them are put under the guard, and the newest of each stays.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import orjson
import pytest
from msgspec import structs

from tailrace.app.plain import to_item
from tailrace.clocks.manual import ManualClock
from tailrace.columns.images import columnise_images
from tailrace.columns.schema import TableColumns
from tailrace.ports import RecordBatch, StreamRef, TargetPosition, Written
from tailrace.sinks.duckdb_table import DuckDB
from tailrace.sinks.messages import Failures
from tailrace.sinks.sql.changes import are_new, rows_of
from tailrace.sinks.sql.duckdb import DuckDbDialect
from tailrace.sinks.sql.sink import GUARDED
from tailrace.sinks.sql.statements import Begin, MustBeAlone, NotNew
from tailrace.sinks.sql.writing import AT_ONCE, _parts
from tailrace.streams.record import ChangeRecord, change_record
from tailrace.testing import ContractBroken, check_mirror_sink
from tests.postgres import PostgresServer, postgres
from tests.sql_targets import Target, in_files, on_server

STREAM = StreamRef("arn", "orders", "label", "NEW_AND_OLD_IMAGES")


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres() as running:
        yield running


@pytest.fixture(params=["duckdb", "postgresql"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Target]:
    """Makes a target with a table of a name."""
    if request.param == "duckdb":
        return lambda table: in_files(tmp_path, table)
    server = request.getfixturevalue("server")
    return lambda table: on_server(server, table)


def change(sequence: int, id: str, n: int | None, name: str = "INSERT") -> ChangeRecord:
    """A change of an order."""
    image = None if n is None else orjson.dumps(to_item({"id": id, "n": n}))
    record = change_record(
        sequence=sequence,
        shard=1,
        created_ms=sequence,
        partition=1,
        key=id.encode(),
        keys={"id": {"S": id}},
        old=b"{}",
        new=image,
        size_bytes=1,
    )
    return structs.replace(record, event_name=name)


def batch(*records: ChangeRecord, **others: Any) -> RecordBatch:
    return RecordBatch(records, "m", STREAM, "s", **others)


def told(target: Target, story: Callable[[Any], Any]) -> None:
    async def run() -> None:
        sink = target.make()
        await sink.open(ManualClock())
        try:
            await story(sink)
        finally:
            await sink.close()

    asyncio.run(run())


def counted(sink: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How transactions end from now on: "written", or "not new"."""
    ends: list[str] = []
    carry_out = sink._carry_out

    async def counting(begin: Begin[Any], *, alone: bool = False) -> Any:
        try:
            result = await carry_out(begin, alone=alone)
        except NotNew:
            ends.append("not new")
            raise
        ends.append("written")
        return result

    monkeypatch.setattr(sink, "_carry_out", counting)
    return ends


@pytest.mark.parametrize(
    ("records", "is_new"),
    [
        ([change(1, "a", 1), change(2, "b", 1)], True),
        ([change(1, "a", 1), change(2, "a", 2, "MODIFY")], True),
        ([change(1, "a", 1), change(2, "b", 2, "MODIFY")], False),
        ([change(1, "a", 1), change(2, "a", None, "REMOVE")], False),
        ([change(1, "a", None, "REMOVE"), change(2, "b", 1)], False),
    ],
)
def test_rows_are_new_where_the_batch_inserted_each_item(records: list[ChangeRecord], is_new: bool) -> None:
    assert are_new(batch(*records), rows_of(batch(*records), None, Failures())) is is_new


def test_rows_of_a_transform_are_not_taken_for_new_ones() -> None:
    given = batch(change(1, "a", 1), values=[{"n": 1}])
    assert not are_new(given, rows_of(given, None, Failures()))


def test_new_items_are_written_in_one_transaction(
    made: Callable[[str], Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = made("orders")

    async def story(sink: Any) -> None:
        await sink.write(batch(change(1, "z", 0)))
        ends = counted(sink, monkeypatch)
        assert await sink.write(batch(change(2, "b", 1), change(3, "a", 2))) == Written()
        assert ends == ["written"]
        assert target.ask(sink, "SELECT id, n FROM orders ORDER BY id") == [("a", 2), ("b", 1), ("z", 0)]

    told(target, story)


@pytest.mark.parametrize("later", [("MODIFY", 9), ("REMOVE", None)])
def test_an_item_that_was_there_keeps_its_newest_change_and_the_others_are_written(
    made: Callable[[str], Target], later: tuple[str, int | None]
) -> None:
    target = made("orders")
    name, n = later

    async def story(sink: Any) -> None:
        await sink.stamp("m", "label", "s", 1)
        await sink.write(batch(change(7, "b", n, name)))
        position = TargetPosition("label", "s", 1, 6)
        outcome = await sink.commit(batch(change(4, "a", 1), change(5, "b", 2), change(6, "c", 3)), position)
        assert outcome == Written()
        stays = [] if n is None else [("b", n)]
        assert target.ask(sink, "SELECT id, n FROM orders ORDER BY id") == [("a", 1), *stays, ("c", 3)]
        assert await sink.positions("m") == [position]
        assert target.ask(sink, "SELECT commits, changes FROM tailrace_positions") == [(1, 3)]

    told(target, story)


def test_after_one_that_was_there_new_items_are_put_under_the_guard_for_a_while(
    made: Callable[[str], Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream that is read again has nothing but items that are there: they are not tried each time."""

    async def story(sink: Any) -> None:
        await sink.write(batch(change(1, "a", 1)))
        ends = counted(sink, monkeypatch)
        for _ in range(GUARDED + 2):
            await sink.write(batch(change(1, "a", 1)))
        assert ends == ["not new", *["written"] * (GUARDED + 1), "not new", "written"]

    told(made("orders"), story)


def test_new_items_of_several_entities_are_in_their_tables_and_an_older_change_brings_none_back(
    made: Callable[[str], Target],
) -> None:
    target = made("")

    async def story(sink: Any) -> None:
        users = [change(1, "USER#1", 1), change(2, "USER#2", 2)]
        await sink.write(batch(*users, change(3, "ORDER#1", 3)))
        await sink.write(batch(change(4, "USER#1", None, "REMOVE")))
        await sink.write(batch(change(5, "ORDER#2", 5), *users))
        assert target.ask(sink, 'SELECT id FROM "user"') == [("USER#2",)]
        assert target.ask(sink, 'SELECT id FROM "order" ORDER BY n') == [("ORDER#1",), ("ORDER#2",)]
        assert len(await sink.rows(b"", 9)) == 4

    told(target, story)


@pytest.mark.parametrize("name", ["INSERT", "MODIFY"])
def test_rows_of_all_parts_are_written_once_also_when_columns_grow_in_the_last(
    made: Callable[[str], Target], name: str
) -> None:
    target = made("orders")

    async def story(sink: Any) -> None:
        await sink.write(batch(change(1, "before", 9_999)))
        later = [change(2 + place, f"k{place:05d}", place, name) for place in range(2 * AT_ONCE + 3)]
        later[-1] = change(9_000, "wide", 123_456, name)
        later += [change(9_001, "k00007", None, "REMOVE"), change(9_002, "never", None, "REMOVE")]
        await sink.stamp("m", "label", "s", 1)
        assert await sink.commit(batch(*later), TargetPosition("label", "s", 1, 9_002)) == Written()
        total = sum(range(2 * AT_ONCE + 2)) - 7 + 9_999 + 123_456
        asked = target.ask(sink, "SELECT count(*), sum(n), max(n) FROM orders")
        assert asked == [(2 * AT_ONCE + 3, total, 123_456)]
        assert target.ask(sink, "SELECT count(*) FROM orders_all WHERE tailrace_deleted") == [(2,)]
        assert target.ask(sink, "SELECT commits, changes FROM tailrace_positions") == [(1, len(later))]

    told(target, story)


def test_a_part_says_that_columns_must_grow_before_any_of_it_is_given() -> None:
    table = columnise_images(TableColumns("orders", "orders", ("id",)), [change(1, "a", 5).new or b""]).table
    rows = rows_of(batch(*(change(n, f"{n:05d}", n) for n in range(AT_ONCE + 10))), None, Failures())
    parts = _parts(DuckDbDialect(), table, rows[:10], Counter())
    assert [len(columns[0].values) for columns in parts] == [10]
    with pytest.raises(MustBeAlone):
        next(_parts(DuckDbDialect(), table, rows, Counter()))


class Believing(DuckDB):
    """A sink that takes what is there for written: a canary."""

    async def _carry_out(self, begin: Begin[Any], *, alone: bool = False) -> Any:
        try:
            return await super()._carry_out(begin, alone=alone)
        except NotNew:
            return {}


def test_the_contract_catches_a_sink_that_takes_what_is_there_for_written(tmp_path: Path) -> None:
    number = count()
    with pytest.raises(ContractBroken, match="After any history of changes"):
        check_mirror_sink(
            lambda: Believing(tmp_path / f"{next(number)}.duckdb", "orders"),
            lambda sink: dict(sink.query("SELECT pk, n FROM orders")[1]),
            again=lambda sink: Believing(sink.path, "orders"),
        )
