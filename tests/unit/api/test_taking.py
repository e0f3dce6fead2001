"""Large requests taken apart: elsewhere, with the very answers of small ones, and nothing of it
done on the loop.
"""

import gzip
import json
import zlib
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from tailrace.api.dispatch import Dispatcher, Reply
from tailrace.api.registry import find_operations
from tailrace.api.taking import LARGE, LARGE_BLOBS, is_soon_read, take
from tailrace.clocks.manual import ManualClock
from tailrace.engine.engine import Engine
from tailrace.engine.slices import at_once
from tailrace.server.frames import answer_parts, question_of, question_parts, taken_of
from tailrace.stores.memory import MemoryStore
from tailrace.tables.definition import TableDefinition
from tailrace.values import canonical
from tests.serving import START_MS, Client, Served, chunked, request, serving

LIMIT = 16 * 1024 * 1024
KEY = {"pk": {"S": "a"}}
CREATE = {
    "TableName": "things", "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
}  # fmt: skip
ITEM = {
    **KEY, "n": {"N": "1.0"}, "l": {"L": [{"M": {"z": {"NULL": True}, "a": {"N": "1e2"}}}]},
    "s": {"SS": ["b", "a"]},
}  # fmt: skip
VALUES = {":n": {"N": "01"}, ":s": {"SS": ["d", "c"]}, ":nothing": None}
REQUESTS: list[tuple[str, Any]] = [
    ("CreateTable", CREATE),
    ("PutItem", {"TableName": "things", "Item": ITEM, "Dog": {"a": [1]}, "ReturnValues": None}),
    ("GetItem", {"TableName": "things", "Key": KEY}),
    ("PutItem", {"TableName": "things", "Item": {**ITEM, "n": {"N": "x"}}}),
    ("PutItem", {"TableName": "things", "Item": {**ITEM, "n": {"N": 1}}}),
    ("PutItem", {"TableName": "things", "Item": {**ITEM, "n": {"N": "1"}}, "ReturnValues": "ALL_OLD"}),
    ("PutItem", {"TableName": "nowhere", "Item": ITEM}),
    ("PutItem", {"TableName": "things", "Item": {"n": {"N": "1"}}}),
    ("PutItem", {"TableName": "things", "Item": {**KEY, "a": {"S": "x" * 410_000}}}),
    ("PutItem", {"TableName": "things", "Item": []}),
    ("PutItem", {"TableName": "", "Item": ITEM}),
    ("PutItem", {"TableName": "things", "Item": ITEM, "ConditionExpression": "attribute_not_exists(pk)",
                 "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}),
    ("PutItem", {"TableName": "things", "Item": ITEM, "Expected": {"n": {"Value": {"N": "2"}}}}),
    ("PutItem", b"{"), ("PutItem", b"[]"), ("Nothing", {}),
    ("UpdateItem", {"TableName": "things", "Key": KEY, "UpdateExpression": "SET n = n + :n ADD s :s",
                    "ExpressionAttributeValues": VALUES, "ReturnValues": "ALL_NEW"}),
    ("UpdateItem",
     {"TableName": "things", "Key": KEY, "UpdateExpression": "SET n = :m",
      "ExpressionAttributeValues": VALUES}),
    ("UpdateItem",
     {"TableName": "things", "Key": KEY,
      "AttributeUpdates": {"b": {"Value": {"B": "AAAA"}, "Action": "PUT"}}}),
    ("BatchWriteItem", {"RequestItems": {"things": [
        {"PutRequest": {"Item": {"pk": {"S": "b"}, "n": {"N": "1.00"}}}},
        {"DeleteRequest": {"Key": {"pk": {"S": "c"}}}}]}}),
    ("BatchWriteItem", {"RequestItems": {"things": [{"PutRequest": {"Item": ITEM}}] * 2}}),
    ("BatchWriteItem", {"RequestItems": {"things": [{}]}}),
    ("TransactWriteItems", {"ClientRequestToken": "one", "TransactItems": [
        {"Put": {"TableName": "things", "Item": {"pk": {"S": "t"}, "n": {"N": "1.00"}}}},
        {"Update": {"TableName": "things", "Key": KEY, "UpdateExpression": "SET m = :n",
                    "ExpressionAttributeValues": {":n": {"N": "1.50"}}}}]}),
    ("TransactWriteItems", {"ClientRequestToken": "one", "ReturnConsumedCapacity": "TOTAL", "TransactItems": [
        {"Put": {"TableName": "things", "Item": {"n": {"N": "1"}, "pk": {"S": "t"}}}},
        {"Update": {"TableName": "things", "Key": KEY, "UpdateExpression": "SET m = :n",
                    "ExpressionAttributeValues": {":n": {"N": "1.5"}}}}]}),
    ("TransactWriteItems",
     {"TransactItems": [{"Put": {"TableName": "things", "Item": ITEM, "ConditionExpression": "n = :n",
                                                       "ExpressionAttributeValues": {":n": {"N": "77"}}}}]}),
    ("BatchGetItem", {"RequestItems": {"things": {"Keys": [KEY, {"pk": {"S": "b"}}]}}}),
    ("TransactGetItems", {"TransactItems": [{"Get": {"TableName": "things", "Key": KEY}}]}),
    ("Query",
     {"TableName": "things", "KeyConditionExpression": "pk = :p",
      "ExpressionAttributeValues": {":p": {"S": "a"}}}),
    ("Query", {"TableName": "things", "KeyConditions": {
        "pk": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "a"}]}}}),
    ("Scan",
     {"TableName": "things", "FilterExpression": "#n IN (:a)", "ExpressionAttributeNames": {"#n": "n"},
              "ExpressionAttributeValues": {":a": {"N": "1.0"}}, "ExclusiveStartKey": {"pk": {"S": "zz"}}}),
    ("DeleteItem", {"TableName": "things", "Key": KEY, "ReturnValues": "ALL_OLD"}),
    ("DescribeTable", {"TableName": "things"}), ("ListTables", {}), ("DescribeEndpoints", {}),
]  # fmt: skip


def headers(operation: str) -> dict[bytes, bytes]:
    return {
        b"x-amz-target": f"DynamoDB_20120810.{operation}".encode(),
        b"x-amz-date": b"20260101T000000Z",
        b"authorization": b"AWS4-HMAC-SHA256 Credential=x, SignedHeaders=host, Signature=0",
    }


def whole(answer: Any) -> Reply:
    reply: Reply = answer if isinstance(answer, Reply) else at_once(answer)
    return reply


def test_a_large_request_is_done_in_the_region_that_it_names_by_header_or_by_query() -> None:
    engine = Engine(MemoryStore(), ManualClock(START_MS))
    there = engine.of("eu-west-1", "000000000000")
    there.create_table(TableDefinition("things", "pk", "S"))
    dispatcher, operations = Dispatcher(engine), find_operations()
    by_header = headers("PutItem")
    by_header[b"authorization"] = by_header[b"authorization"].replace(
        b"Credential=x", b"Credential=x/20260101/eu-west-1/dynamodb/aws4_request"
    )
    by_query = headers("PutItem")
    del by_query[b"authorization"]
    query = (
        b"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=x%2F1%2Feu-west-1%2Fdynamodb%2Faws4_request"
        b"&X-Amz-Signature=1&X-Amz-SignedHeaders=host&X-Amz-Date=1"
    )
    for given, asked_by, key in ((by_header, b"", "h"), (by_query, query, "q")):
        body = json.dumps({"TableName": "things", "Item": {"pk": {"S": key}}}).encode()
        told_headers, query_again, limit, again = question_of(question_parts(given, asked_by, LIMIT, body))
        taken = taken_of(answer_parts(take(told_headers, query_again, again, limit, operations)))
        assert whole(dispatcher.execute_taken(given, taken, asked_by)).status == 200
        assert there.get("things", {"pk": {"S": key}}) is not None


@pytest.mark.parametrize("operation", ["TransactWriteItems", "BatchWriteItem"])
def test_no_slice_of_a_large_request_weighs_several_of_its_items(
    operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    weighed, of_elements, elements = [0], canonical._elements_size, 20_000

    def weighing(content: Any) -> int:
        weighed[-1] += len(content)
        return of_elements(content)

    engine = Engine(MemoryStore(), ManualClock(START_MS))
    engine.create_table(TableDefinition("things", "pk", "S"))
    items = [{"pk": {"S": key}, "l": {"L": [{"NULL": True}] * elements}} for key in "abcde"]
    puts: dict[str, Any] = {
        "TransactWriteItems": {
            "TransactItems": [{"Put": {"TableName": "things", "Item": item}} for item in items]
        },
        "BatchWriteItem": {"RequestItems": {"things": [{"PutRequest": {"Item": item}} for item in items]}},
    }
    body, given = json.dumps(puts[operation]).encode(), headers(operation)
    taken = take(given, b"", body, LIMIT, find_operations())
    monkeypatch.setattr(canonical, "_elements_size", weighing)
    work = Dispatcher(engine).execute_taken(given, taken)
    while not isinstance(work, Reply):
        weighed.append(0)
        try:
            next(work)
        except StopIteration as end:
            work = end.value
    assert work.status == 200
    assert sum(weighed) >= 5 * elements
    assert max(weighed) <= 2 * elements, "beside the stored item, one that is written"


def test_a_large_request_is_answered_and_done_as_a_small_one_is() -> None:
    engines = [Engine(MemoryStore(), ManualClock(START_MS)) for _ in range(2)]
    small, large = map(Dispatcher, engines)
    operations = find_operations()
    statuses: set[int] = set()
    for operation, payload in REQUESTS:
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        given = headers(operation)
        expected = whole(small.execute(given, b"", body))
        told_headers, query, limit, again = question_of(question_parts(given, b"", LIMIT, body))
        taken = taken_of(answer_parts(take(told_headers, query, again, limit, operations)))
        reply = whole(large.execute_taken(given, taken))
        assert (reply.status, reply.body) == (expected.status, expected.body), (operation, payload)
        statuses.add(reply.status)
        for engine in engines:
            engine.committer.flush()
    assert statuses == {200, 400}
    assert small.requests == large.requests
    logs = [
        engine.log.read(engine.shards_of(engine.stream_of("things").arn)[0], 0, 1_000).records
        for engine in engines
    ]
    assert logs[0] == logs[1]
    assert len(logs[0]) > 5


def test_what_is_wrong_before_the_members_is_said_of_large_requests_too() -> None:
    operations = find_operations()
    bare = {b"x-amz-target": b"DynamoDB_20120810.PutItem"}
    taken = take(bare, b"", b"{}", LIMIT, operations)
    assert (taken.status, b"MissingAuthenticationToken" in taken.beside) == (400, True)
    taken = take(
        {**headers("PutItem"), b"content-encoding": b"gzip"}, b"", gzip.compress(b" " * 101), 100, operations
    )
    assert (taken.status, b"RequestEntityTooLarge" in taken.beside) == (413, True)


def test_what_stands_beside_the_items_is_bounded() -> None:
    names = {f"#{number:0200d}": "a" for number in range(30_000)}
    payload = {
        "TableName": "things",
        "Key": KEY,
        "ProjectionExpression": "pk",
        "ExpressionAttributeNames": names,
    }
    taken = take(headers("GetItem"), b"", orjson.dumps(payload), LIMIT, find_operations())
    assert (taken.status, b"exceeded the maximum allowed size" in taken.beside) == (400, True)


# ---- in other processes ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as running, running.connect() as client:
        client.socket.settimeout(300)
        assert client.ask(request("CreateTable", CREATE))[0] == 200
        yield running


@pytest.fixture
def client(served: Served) -> Iterator[Client]:
    with served.connect() as connected:
        connected.socket.settimeout(300)
        yield connected


def large_put(pk: str, size: int = LARGE) -> Any:
    return {"TableName": "things", "Item": {"pk": {"S": pk}, "a": {"S": "x" * size}}}


def test_large_bodies_go_through_another_process_and_small_ones_do_not(
    served: Served, client: Client
) -> None:
    before = served.call(lambda: served.server.takers.taken)
    assert client.ask(request("PutItem", large_put("small", 100)))[0] == 200
    assert served.call(lambda: served.server.takers.taken) == before
    client.send(
        request("PutItem", large_put("one"))
        + request("GetItem", {"TableName": "things", "Key": {"pk": {"S": "one"}}})
        + chunked("PutItem", json.dumps(large_put("two")).encode())
        + request("PutItem", large_put("three", 500_000))
    )
    assert client.receive()[0] == 200
    assert len(client.receive()[2]) > LARGE
    assert [client.receive()[0], client.receive()[0]] == [200, 400]
    assert served.call(lambda: served.server.takers.taken) == before + 3
    assert served.call(lambda: (served.server.held, served.server.takers.started)) == (0, 1)


def test_a_small_body_that_is_large_inside_is_opened_in_another_process(
    served: Served, client: Client
) -> None:
    before = served.call(lambda: served.server.takers.taken)
    body = zlib.compress(json.dumps(large_put("inside")).encode())
    assert client.ask(request("PutItem", body, "Content-Encoding: deflate"))[0] == 200
    bomb = gzip.compress(b" " * (LIMIT + 1), 9)
    assert client.ask(request("PutItem", bomb, "Content-Encoding: gzip"))[0] == 413
    assert served.call(lambda: served.server.takers.taken) == before + 2


def test_a_process_that_dies_is_replaced_and_its_request_asked_again(served: Served, client: Client) -> None:
    assert client.ask(request("PutItem", large_put("before")))[0] == 200
    started = served.call(lambda: served.server.takers.started)
    for process in served.call(lambda: tuple(served.server.takers.running)):
        process.kill()
    assert client.ask(request("PutItem", large_put("after")))[0] == 200
    assert served.call(lambda: served.server.takers.started) == started + 1


def test_a_client_that_goes_while_its_request_is_taken_apart_harms_nobody(
    served: Served, client: Client
) -> None:
    assert client.ask(request("ListTables", {}))[0] == 200  # now the server knows this connection
    before = served.call(lambda: len(served.server.connections))
    for _ in range(3):
        with served.connect() as going:
            going.send(request("PutItem", large_put("going", 3_000_000)))
    while served.call(lambda: len(served.server.connections)) > before:
        pass
    assert client.ask(request("PutItem", large_put("after")))[0] == 200
    assert served.call(lambda: served.server.held) == 0


def test_processes_end_with_the_server() -> None:
    with serving() as own, own.connect() as asking:
        asking.socket.settimeout(300)
        assert asking.ask(request("PutItem", large_put("one")))[0] == 400
        processes = own.call(lambda: tuple(own.server.takers.running))
    assert [process.returncode is not None for process in processes] == [True]


def test_a_process_that_has_nothing_to_do_is_ended(served: Served, client: Client) -> None:
    assert client.ask(request("PutItem", large_put("one")))[0] == 200
    processes = served.call(lambda: tuple(served.server.takers.running))
    assert processes
    served.call(lambda: served.server.takers.sweep(served.loop.time() + 1_000))
    assert served.call(lambda: served.server.takers.running) == set()
    assert client.ask(request("PutItem", large_put("one")))[0] == 200


@pytest.mark.parametrize(
    ("target", "size", "encoding", "is_soon"),
    [
        (b"Kinesis_20131202.PutRecords", LARGE_BLOBS, {}, True),
        (b"Kinesis_20131202.PutRecords", LARGE_BLOBS + 1, {}, False),
        (b"Kinesis_20131202.PutRecords", 300_000, {b"content-encoding": b"gzip"}, False),
        (b"DynamoDB_20120810.BatchWriteItem", 300_000, {}, False),
    ],
)
def test_blobs_of_a_megabyte_are_read_where_they_came(
    target: bytes, size: int, encoding: dict[bytes, bytes], is_soon: bool
) -> None:
    assert is_soon_read({b"x-amz-target": target, **encoding}, bytes(size)) == is_soon
