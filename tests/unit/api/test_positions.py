"""The position of a page over the wire: told with the header of a request that asks for it, and with no
other.
"""

import json
from typing import Any

import pytest

from tailrace.api.dispatch import Dispatcher, Reply
from tailrace.clocks.manual import ManualClock
from tailrace.engine.engine import Engine
from tailrace.engine.slices import at_once
from tailrace.server.inprocess import InProcess
from tailrace.stores.memory import MemoryStore
from tailrace.streams.positions import POSITION_HEADER, position_value
from tailrace.tables.definition import TableDefinition
from tailrace.tables.mutate import Put
from tests.serving import START_MS, request, serving

ASKED = f"{POSITION_HEADER}: wanted"
SCAN = {"TableName": "orders"}
QUERY = {
    **SCAN, "KeyConditionExpression": "id = :i", "ExpressionAttributeValues": {":i": {"S": "o1"}},
}  # fmt: skip


def filled(rows: int = 3, text: str = "x") -> Engine:
    engine = Engine(MemoryStore(), ManualClock(START_MS))
    table = TableDefinition("orders", "id", "S", stream="NEW_AND_OLD_IMAGES")
    engine.create_table(table)
    for number in range(rows):
        engine.put(Put("orders", {"id": {"S": f"o{number}"}, "s": {"S": text}}))
    engine.committer.flush()
    return engine


def executed(engine: Engine, operation: str, payload: Any, *, asked: bool = True) -> tuple[Reply, int]:
    """The answer, and in how many slices."""
    headers = {
        b"x-amz-target": f"DynamoDB_20120810.{operation}".encode(),
        b"x-amz-date": b"20260101T000000Z",
        b"authorization": b"AWS4-HMAC-SHA256 Credential=x, SignedHeaders=host, Signature=0",
        **({POSITION_HEADER.encode(): b"wanted"} if asked else {}),
    }
    answer = Dispatcher(engine).execute(headers, b"", json.dumps(payload).encode())
    return (answer, 1) if isinstance(answer, Reply) else (at_once(answer), 2)


@pytest.mark.parametrize(
    ("operation", "payload"),
    [
        ("Scan", SCAN),
        ("Scan", {**SCAN, "Limit": 1, "Segment": 0, "TotalSegments": 1}),
        ("Query", QUERY),
    ],
    ids=["whole table", "page of a segment", "query"],
)  # fmt: skip
def test_a_page_says_its_position_to_who_asks(operation: str, payload: Any) -> None:
    engine = filled()
    reply, _ = executed(engine, operation, payload)
    assert reply.status == 200
    assert reply.lines.decode() == f"{POSITION_HEADER}: {position_value(engine.last_sequence)}\r\n"
    plain, _ = executed(engine, operation, payload, asked=False)
    assert (plain.status, plain.body, plain.lines) == (200, reply.body, b"")


def test_a_page_in_slices_says_the_position_that_it_began_at() -> None:
    engine = filled(60, "x" * 40_000)
    reply, slices = executed(engine, "Scan", SCAN)
    assert slices == 2
    assert reply.lines.decode() == f"{POSITION_HEADER}: {position_value(engine.last_sequence)}\r\n"


@pytest.mark.parametrize(
    ("operation", "payload", "status"),
    [("GetItem", {**SCAN, "Key": {"id": {"S": "o1"}}}, 200), ("Scan", {"TableName": "none"}, 400),
     ("ListTables", {}, 200), ("Nothing", {}, 400)],
)  # fmt: skip
def test_what_is_no_page_says_none(operation: str, payload: Any, status: int) -> None:
    engine = filled()
    reply, _ = executed(engine, operation, payload)
    assert (reply.status, reply.lines) == (status, b"")
    assert engine.of("us-east-1", "000000000000").as_of is None


def test_the_position_is_a_header_over_http_also_of_a_compressed_answer_and_not_unless_asked_for() -> None:
    with serving() as served, served.connect() as client:
        table = TableDefinition("orders", "id", "S", stream="NEW_AND_OLD_IMAGES")
        rows = [Put("orders", {"id": {"S": f"o{n}"}, "s": {"S": "x" * 40_000}}) for n in range(60)]

        def fill() -> int:
            served.engine.create_table(table)
            for row in rows:
                served.engine.put(row)
            served.engine.committer.flush()
            return served.engine.last_sequence

        wanted = position_value(served.call(fill))
        few = {**SCAN, "Limit": 2}
        for payload, lines in ((few, ()), (SCAN, ()), (few, ("Accept-Encoding: gzip",)),
                               (SCAN, ("Accept-Encoding: gzip",))):  # fmt: skip
            status, headers, _ = client.ask(request("Scan", payload, ASKED, *lines))
            assert (status, headers[POSITION_HEADER]) == (200, wanted)
            status, headers, _ = client.ask(request("Scan", payload, *lines))
            assert (status, POSITION_HEADER in headers) == (200, False)


def test_a_client_in_the_process_is_told_too() -> None:
    engine = filled()
    headers = {
        "X-Amz-Target": "DynamoDB_20120810.Scan", "X-Amz-Date": "20260101T000000Z",
        "Content-Type": "application/x-amz-json-1.0",
        "Authorization": "AWS4-HMAC-SHA256 Credential=x, SignedHeaders=host, Signature=0",
    }  # fmt: skip
    door = InProcess(engine)
    answer = door.call({**headers, POSITION_HEADER: "wanted"}, json.dumps(SCAN).encode())
    assert answer.headers[POSITION_HEADER] == position_value(engine.last_sequence)
    assert POSITION_HEADER not in door.call(headers, json.dumps(SCAN).encode()).headers
