"""`tailrace check`: a damaged directory is told by table and key, a whole one is whole, a
running one is refused.

Rules of this file: directories are written through the API, damaged by another hand with SQLite alone, and
asked with the command line.
"""

import asyncio
import json
import logging
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tailrace import App, Change
from tailrace.cli.main import run
from tailrace.clocks.manual import ManualClock
from tailrace.compose import EngineOptions, open_engine, running_worker
from tailrace.engine.engine import Engine
from tailrace.rows.writes import Write
from tests.conformance.client import Conformance
from tests.patience import PATIENCE_S

START_MS = 1_780_000_000_000


def opened(directory: Path) -> Engine:
    return open_engine(EngineOptions(directory, clock="manual", clock_start_ms=START_MS))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A table `things` with a stream, an index and three items, a table `numbers` with a number for its sort
    key, and a row of state.
    """
    engine = opened(tmp_path)
    api = Conformance(engine)
    api.dynamodb.create_table(
        TableName="things",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "kind")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-kind",
                "KeySchema": [{"AttributeName": "kind", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    api.dynamodb.create_table(
        TableName="numbers",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": "pk", "AttributeType": "B"},
            {"AttributeName": "n", "AttributeType": "N"},
        ],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "n", "KeyType": "RANGE"}],
    )
    for name in ("one", "two", "three"):
        api.dynamodb.put_item(
            TableName="things", Item={"pk": {"S": name}, "kind": {"S": "k"}, "word": {"S": f"word {name}"}}
        )
    api.dynamodb.put_item(TableName="numbers", Item={"pk": {"B": b"\0\1"}, "n": {"N": "-12.5"}})
    engine.state.transact([Write("owner/here", {"v": 1, "word": "word state"})])
    engine.close()
    return tmp_path


def damage(directory: Path, table: str, column: str, holding: str) -> None:
    """Flip one bit of the first value of a column that holds a text."""
    with closing(sqlite3.connect(directory / "tailrace.db")) as file, file:
        (row, value) = file.execute(
            f"SELECT rowid, {column} FROM {table} WHERE instr({column}, CAST(? AS BLOB)) ORDER BY key",
            (holding,),
        ).fetchone()
        place = value.index(holding.encode())
        changed = value[:place] + bytes([value[place] ^ 1]) + value[place + 1 :]
        file.execute(f"UPDATE {table} SET {column}=? WHERE rowid=?", (changed, row))


def answered(directory: Path, capsys: pytest.CaptureFixture[str], code: int) -> dict[str, Any]:
    capsys.readouterr()
    assert run(["check", "--data", str(directory), "--json"]) == code
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert answer["ok"] == (code == 0)
    return answer


def test_a_whole_directory_is_whole_and_not_touched(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (directory / "tailrace.db").read_bytes()
    assert run(["check", "--data", str(directory)]) == 0
    said = capsys.readouterr().out
    assert "Nothing is damaged" in said
    assert "3 changes" in said
    answer = answered(directory, capsys, 0)
    assert (answer["damaged"], answer["without_checksum"], answer["changes"], answer["counted"]) == (
        [],
        0,
        3,
        True,
    )
    assert (directory / "tailrace.db").read_bytes() == before


@pytest.mark.parametrize(
    ("table", "column", "holding", "kind", "place"),
    [
        ("items", "value", "word two", "row", ("things", '{"pk":{"S":"two"}}')),
        ("items", "value", "-12.5", "row", ("numbers", '{"pk":{"B":"AAE="},"n":{"N":"-12.5"}}')),
        ("items", "value", "word state", "row", ("state", "owner/here")),
        ("items", "value", '"by-kind"', "row", ("catalog", "index/0000000017")),
        ("log", "new", "word one", "record", ("things", None)),
        ("log", "header", '"two"', "record", ("things", None)),
    ],
)
def test_what_is_damaged_is_named_by_table_and_key(
    directory: Path,
    capsys: pytest.CaptureFixture[str],
    table: str,
    column: str,
    holding: str,
    kind: str,
    place: tuple[str, str | None],
) -> None:
    damage(directory, table, column, holding)
    (report,) = answered(directory, capsys, 1)["damaged"]
    assert (report["kind"], report["table"]) == (kind, place[0])
    assert place[1] in (None, report["key"])
    assert run(["check", "--data", str(directory)]) == 1
    said = capsys.readouterr().out
    assert report["words"] in said
    assert "restore" in said


def test_an_entry_of_an_index_is_named_by_its_index(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(directory / "tailrace.db")) as file, file:
        file.execute(
            "UPDATE items SET value=x'7b7d' WHERE rowid=(SELECT max(rowid) FROM items WHERE "
            "substr(key,1,4)=x'00000011')"
        )
        assert file.total_changes == 1
    (damage,) = answered(directory, capsys, 1)["damaged"]
    assert damage["table"] == "things"
    assert "index by-kind" in damage["words"]


def test_what_has_vanished_is_told_by_table(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(sqlite3.connect(directory / "tailrace.db")) as file, file:
        file.execute("DELETE FROM items WHERE instr(value, CAST('-12.5' AS BLOB))")
        file.execute("DELETE FROM log WHERE instr(new, CAST('word two' AS BLOB))")
    told = answered(directory, capsys, 1)["damaged"]
    assert [(damage["kind"], damage["missing"]) for damage in told] == [("rows", 1), ("records", 1)]
    assert told[0]["of"] == "table numbers"
    assert told[1]["of"].startswith("the changes of table things in shard shardId-")


def test_a_directory_in_use_is_refused_with_what_to_do(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = opened(directory)
    try:
        assert run(["check", "--data", str(directory)]) == 1
        said = capsys.readouterr().err
        assert "in use by process" in said
        assert "stop it" in said
    finally:
        engine.close()


def test_where_there_is_no_store_none_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "--data", str(tmp_path / "none")]) == 1
    assert "There is no store" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_a_file_that_is_garbage_is_damage_and_no_trace(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (directory / "tailrace.db").write_bytes(b"these are not the bytes you are looking for" * 100)
    (damage,) = answered(directory, capsys, 1)["damaged"]
    assert "not a database" in damage["said"]


# ---- while it is served ------------------------------------------------------------------------------------


def raw(api: Conformance, operation: str, payload: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return api.raw(operation, {"TableName": "things", **payload})


def test_a_damaged_item_is_an_internal_server_error_and_the_log_names_table_and_key(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    damage(directory, "items", "value", "word two")
    engine = opened(directory)
    api = Conformance(engine)
    key = {"pk": {"S": "two"}}
    asked: list[tuple[str, dict[str, Any]]] = [
        ("GetItem", {"Key": key}),
        ("Scan", {}),
        ("Query", {"KeyConditionExpression": "pk=:p", "ExpressionAttributeValues": {":p": {"S": "two"}}}),
        ("PutItem", {"Item": {**key, "word": {"S": "new"}}}),
        ("DeleteItem", {"Key": key}),
    ]
    for operation, payload in asked:
        caplog.clear()
        with caplog.at_level(logging.ERROR):
            status, body = raw(api, operation, payload)
        assert status == 500, operation
        assert "InternalServerError" in body["__type"]
        (line,) = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert 'item {"pk":{"S":"two"}} of table things is damaged' in line.getMessage()
        assert line.exc_info is None
        assert "tailrace check" in line.__dict__["hint"]
    assert raw(api, "GetItem", {"Key": {"pk": {"S": "one"}}})[0] == 200
    engine.close()


def test_a_damaged_change_is_an_error_and_those_before_it_are_read(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    damage(directory, "log", "new", "word two")
    engine = opened(directory)
    api = Conformance(engine)
    (stream,) = api.streams.list_streams()["Streams"]
    (shard,) = api.streams.describe_stream(StreamArn=stream["StreamArn"])["StreamDescription"]["Shards"]
    iterator = api.streams.get_shard_iterator(
        StreamArn=stream["StreamArn"], ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    page = api.streams.get_records(ShardIterator=iterator)
    assert [record["dynamodb"]["Keys"]["pk"]["S"] for record in page["Records"]] == ["one"]
    for _ in range(2):
        caplog.clear()
        status, _ = api.raw(
            "GetRecords", {"ShardIterator": page["NextShardIterator"]}, "DynamoDBStreams_20120810"
        )
        assert status == 500
        assert any(
            "of table things" in record.getMessage() and "is damaged" in record.getMessage()
            for record in caplog.records
        )
    engine.close()


def test_a_damaged_change_is_trimmed_with_the_others_and_the_dropped_rows_of_a_table_too(
    directory: Path,
) -> None:
    damage(directory, "log", "new", "word two")
    damage(directory, "items", "value", "word two")
    engine = opened(directory)
    api = Conformance(engine)
    api.dynamodb.delete_table(TableName="things")
    assert isinstance(engine.clock, ManualClock)
    engine.clock.advance(26 * 3_600_000)
    for _ in range(3):
        for _ in engine.housekeeping():
            engine.committer.flush()
    engine.close()
    with closing(sqlite3.connect(directory / "tailrace.db")) as file:
        assert file.execute("SELECT count(*) FROM log").fetchone() == (0,)
        assert file.execute(
            "SELECT count(*) FROM items WHERE instr(value, CAST('word' AS BLOB)) AND key>=x'00000010'"
        ).fetchone() == (0,)
    assert run(["check", "--data", str(directory)]) == 0


def test_a_damaged_catalog_stops_the_start_by_name(directory: Path) -> None:
    damage(directory, "items", "value", '"by-kind"')
    with pytest.raises(Exception, match=r"row index/0000000017 of the catalog is damaged"):
        opened(directory)


def test_a_handler_is_told_everything_before_a_damaged_change_and_waits_there(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    damage(directory, "log", "new", "word two")
    app = App("shop")
    things = app.table("things", pk="pk")
    seen: list[str] = []

    @app.on(things, id="note")
    def note(change: Change) -> None:
        seen.append(change.key)

    def lines() -> list[str]:
        return [record.getMessage() for record in caplog.records if "is damaged" in record.getMessage()]

    async def main() -> None:
        async with running_worker(
            app, EngineOptions(directory, clock="manual", clock_start_ms=START_MS)
        ) as engine:
            assert isinstance(engine.clock, ManualClock)
            async with asyncio.timeout(PATIENCE_S):
                while not lines():
                    await asyncio.sleep(0.01)
            for _ in range(50):
                engine.clock.advance(1_000)
                await asyncio.sleep(0)

    asyncio.run(main())
    assert seen == ["one"]
    assert len(lines()) == 1
    assert lines()[0].startswith("note waits: change ")
    assert "of table things" in lines()[0]
