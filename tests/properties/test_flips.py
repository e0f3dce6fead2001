"""Single bits flipped in real database files: none in a value is ever served, and each that changes anything
is found by the check.

Rules of this file: a whole data directory is written through the API; each flip is made in a copy of its
bytes, at places drawn from a seed that a failure names. What counts as a change is judged by reading the file
with SQLite alone, without any code of ours.
"""

import json
import random
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from tailrace.compose import EngineOptions, open_engine
from tailrace.errors import StoreError
from tailrace.rows.writes import Write
from tailrace.stores.checking import check_file
from tests.conformance.client import Conformance

START_MS = 1_780_000_000_000
ITEMS = 60
SEEDS = range(2)
FLIPS = 40
"""A seed's flips: each costs an engine that is opened and asked for everything."""
INDEX = {
    "IndexName": "by-kind",
    "KeySchema": [{"AttributeName": "kind", "KeyType": "HASH"}],
    "Projection": {"ProjectionType": "ALL"},
}


def options(directory: Path, *, checksums: bool = True) -> EngineOptions:
    return EngineOptions(directory, checksums=checksums, clock="manual", clock_start_ms=START_MS)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A store with items, an index, changes, removals, free pages and state rows, as it is
    when it was closed.
    """
    directory = tmp_path_factory.mktemp("written")
    engine = open_engine(options(directory))
    api = Conformance(engine)
    api.dynamodb.create_table(
        TableName="things",
        BillingMode="PAY_PER_REQUEST",
        GlobalSecondaryIndexes=[INDEX],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "kind")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    for number in range(ITEMS):
        text = f"text of {number} " * (400 if number % 10 == 0 else 5)
        api.dynamodb.put_item(TableName="things", Item=item(number, text))
    for number in range(0, ITEMS, 3):
        api.dynamodb.put_item(TableName="things", Item=item(number, f"again {number}"))
    for number in range(0, ITEMS, 7):
        api.dynamodb.delete_item(TableName="things", Key={"pk": {"S": f"item {number}"}})
    engine.state.transact([Write(f"owner/{number}", {"v": 1, "n": number}) for number in range(50)])
    engine.close()
    return (directory / "tailrace.db").read_bytes()


def item(number: int, text: str) -> dict[str, Any]:
    return {
        "pk": {"S": f"item {number}"},
        "kind": {"S": f"kind {number % 5}"},
        "text": {"S": text},
        "n": {"N": str(number)},
    }


def content(path: Path) -> object:
    """Everything in the file that means something, as SQLite alone reads it: by the tables,
    and by the indexes.
    """
    with closing(sqlite3.connect(path)) as file:
        file.text_factory = lambda data: ("text", data)
        try:
            names = [
                name
                for _, name in file.execute(
                    "SELECT 1, CAST(name AS BLOB) FROM sqlite_master WHERE type='table'"
                )
            ]
            tables = {name: file.execute(f'SELECT * FROM "{name.decode()}"').fetchall() for name in names}
            keys = {
                name: file.execute(f"SELECT key FROM {name} ORDER BY key").fetchall()
                for name in ("items", "log")
            }
            return file.execute("SELECT * FROM sqlite_master ORDER BY name").fetchall(), tables, keys
        except (sqlite3.Error, UnicodeDecodeError) as error:
            return str(error)


def answers(directory: Path, *, checksums: bool = True) -> Iterator[tuple[str, Any]]:
    """What a client is answered, a name and the answer each; of those that fail nothing but that."""
    try:
        engine = open_engine(options(directory, checksums=checksums))
    except StoreError:
        yield "opening", None
        return
    try:
        api = Conformance(engine)
        asked: list[tuple[str, str, dict[str, Any]]] = [
            (f"get {number}", "GetItem", {"TableName": "things", "Key": {"pk": {"S": f"item {number}"}}})
            for number in range(ITEMS)
        ]
        asked.append(("scan", "Scan", {"TableName": "things"}))
        asked += [
            (
                f"query {kind}",
                "Query",
                {
                    "TableName": "things",
                    "IndexName": "by-kind",
                    "KeyConditionExpression": "kind=:k",
                    "ExpressionAttributeValues": {":k": {"S": f"kind {kind}"}},
                },
            )
            for kind in range(5)
        ]
        for name, operation, parameters in asked:
            status, body = api.raw(operation, parameters)
            yield name, body if status == 200 else None
        yield "changes", changes(api)
        try:
            yield "state", [(row.key, row.fields) for row in engine.state.query("owner/")]
        except StoreError:
            yield "state", None
    finally:
        with suppress(StoreError):
            engine.close()


def changes(api: Conformance) -> list[str]:
    """Every record that the stream shows, up to the first one that it refuses to."""
    service = "DynamoDBStreams_20120810"
    status, streams = api.raw("ListStreams", {}, service)
    records: list[str] = []
    for stream in streams.get("Streams", ()) if status == 200 else ():
        arn = {"StreamArn": stream["StreamArn"]}
        status, described = api.raw("DescribeStream", arn, service)
        for shard in described["StreamDescription"]["Shards"] if status == 200 else ():
            start = {**arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
            status, answer = api.raw("GetShardIterator", start, service)
            iterator = answer.get("ShardIterator")
            while iterator:
                status, page = api.raw("GetRecords", {"ShardIterator": iterator, "Limit": 50}, service)
                if status != 200 or not page["Records"]:
                    break
                records += [json.dumps(record) for record in page["Records"]]
                iterator = page.get("NextShardIterator")
    return records


def parts(name: str, answer: Any) -> set[str]:
    """The items, records and rows of an answer, each of which is right or wrong by itself."""
    if answer is None:
        return set()
    if isinstance(answer, list):
        return {json.dumps(item) for item in answer}
    items = answer["Items"] if "Items" in answer else [answer["Item"]] if "Item" in answer else []
    return {json.dumps(item) for item in items}


def flipped(data: bytes, place: int, bit: int) -> bytes:
    changed = bytearray(data)
    changed[place] ^= 1 << bit
    return bytes(changed)


def put(directory: Path, data: bytes) -> Path:
    directory.mkdir()
    path = directory / "tailrace.db"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("seed", SEEDS)
def test_no_flipped_bit_is_ever_served_and_each_that_changes_anything_is_found(
    tmp_path: Path, written: bytes, seed: int
) -> None:
    chosen = random.Random(seed)
    whole = put(tmp_path / "whole", written)
    before = content(whole)
    right = {name: parts(name, answer) for name, answer in answers(tmp_path / "whole")}
    met: Counter[str] = Counter()
    for number in range(FLIPS):
        place, bit = chosen.randrange(len(written)), chosen.randrange(8)
        where = f"seed {seed}: bit {bit} of byte {place}"
        path = put(tmp_path / str(number), flipped(written, place, bit))
        try:
            damages = check_file(path, lambda done, total: None).damages
        except StoreError as error:
            damages = [error]
        is_changed = content(path) != before
        assert damages or not is_changed, where
        is_same = True
        for name, answer in answers(tmp_path / str(number)):
            if name == "opening":
                is_same = False
                continue
            said = parts(name, answer)
            assert said <= right[name], f"{where}: {name} answers {sorted(said - right[name])}"
            is_same = is_same and said == right[name]
        assert damages or is_same, where
        met["changed" if is_changed else "nothing"] += 1
        met["found"] += bool(damages)
        met["seen by a client"] += not is_same
    assert met["changed"] > 5, met
    assert met["seen by a client"] > 2, met


def test_without_checksums_a_flipped_bit_is_served(tmp_path: Path, written: bytes) -> None:
    """The canary: the flips of the test above reach clients where nothing stops them."""
    place = written.index(b"text of 11") + len("text of 1")
    put(tmp_path / "flipped", flipped(written, place, 1))
    served = {
        text
        for name, answer in answers(tmp_path / "flipped", checksums=False)
        for text in parts(name, answer)
    }
    assert any("text of 13" in text and "item 11" in text for text in served)


def test_a_whole_file_has_no_damage(tmp_path: Path, written: bytes) -> None:
    report = check_file(put(tmp_path / "whole", written), lambda done, total: None)
    assert report.damages == []
    assert report.rows > 2 * ITEMS
    assert report.records > ITEMS
    assert report.unchecked == 0
