"""Whatever arrives, the answer is AWS's error or a clean close: never a fault, a hang or a leaked connection.

`in-process` properties look at every operation with arbitrary members; `socket` properties at
bytes, pieces and closing.
"""

import contextlib
import itertools
import json
import string
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tailrace.api.registry import DYNAMODB, STREAMS, Operation, find_operations
from tailrace.api.shapes import AnyValue, AttributeMap, Flag, Many, Shape, String, StringMap, Structure, Whole
from tailrace.clocks.manual import ManualClock
from tailrace.engine.engine import Engine
from tailrace.server.inprocess import InProcess
from tailrace.stores.memory import MemoryStore
from tests.conformance.client import SIGNED, Conformance
from tests.serving import HEAD, START_MS, Served, chunked, request, serving

QUIET = settings(deadline=None, max_examples=120, suppress_health_check=list(HealthCheck))
OPERATIONS = [entry for entry in find_operations((DYNAMODB, STREAMS)).values() if entry.emulated]
"""Those of Kinesis are in test_kinesis.py."""
LIST = request("ListTables", {})

SELDOM_RIGHT = (
    "DescribeStream",
    "GetShardIterator",
    "GetRecords",
    "DeleteTable",
    "UpdateTable",
    "CreateTable",
    "GetResourcePolicy",
    "PutResourcePolicy",
    "EnableKinesisStreamingDestination",
    "DisableKinesisStreamingDestination",
    "UpdateKinesisStreamingDestination",
)
"""No generator guesses an ARN, a token, a policy, or (on purpose) the one table there is."""

ARN = "arn:aws:dynamodb:us-east-1:000000000000:table/things"
SILENT = ("DynamoDB_20120810.TagResource", "DynamoDB_20120810.UntagResource")
"""What AWS answers these with, when they do what they are asked for, is an empty body."""

ONE_OF = ("WriteRequest", "TransactWriteItem")
"""Structures without a required member, which need exactly one all the same."""

# ---- in process --------------------------------------------------------------------------------------------

texts = st.text(max_size=8) | st.sampled_from(
    ["things", "pk", "sk", "a", ":v", "#n", "S", "ALL_OLD", "1e999", "-0", "AA=="]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=12,
)
kinds = st.sampled_from(["S", "N", "B", "SS", "NS", "BS", "M", "L", "NULL", "BOOL", "X"])
values = st.dictionaries(kinds, anything, min_size=1, max_size=2) | st.fixed_dictionaries({"S": texts})
items = st.dictionaries(texts, values, max_size=4) | st.fixed_dictionaries(
    {"pk": st.fixed_dictionaries({"S": texts}), "sk": st.fixed_dictionaries({"S": texts})},
    optional={"a": values},
)
words = ["pk", "sk", "a", ":v", "#n", "=", "<", "AND", "OR", "NOT", "(", ")", ",", ".", "[0]", "SET",
         "REMOVE", "ADD", "+", "size", "contains", "begins_with", "BETWEEN", "IN", "attribute_exists",
         "if_not_exists", "list_append"]  # fmt: skip
expressions = st.lists(st.sampled_from(words), max_size=9).map(" ".join) | texts


def fitting(shape: Shape) -> st.SearchStrategy[Any]:
    """Values of about the right shape."""
    match shape:
        case String(choices=choices) if choices:
            return st.sampled_from(choices)
        case String(is_table=True):
            return st.just("things") | texts
        case String():
            return expressions
        case Whole():
            return st.integers(-1, 200)
        case Flag():
            return st.booleans()
        case Many(of):
            return st.lists(fitting(of), max_size=3)
        case StringMap(of, key=key):
            return st.dictionaries(
                st.sampled_from(["#n", "#a", "b"]) if not key.is_table else fitting(key),
                fitting(of),
                max_size=3,
            )
        case Structure(members, required):
            return st.fixed_dictionaries(
                {name: fitting(one) for name, one in members.items() if name in required},
                optional={name: fitting(one) for name, one in members.items() if name not in required},
            )
        case AttributeMap():
            return items | st.dictionaries(st.sampled_from([":v", ":w"]), values, max_size=2)
        case AnyValue():
            return values
        case _:
            return anything


keys = st.fixed_dictionaries(
    {name: st.fixed_dictionaries({"S": st.sampled_from(["pk", "sk", "x"])}) for name in ("pk", "sk")}
)


def barely(shape: Shape) -> st.SearchStrategy[Any]:
    """Nothing but what is required, and that right: for members whose parts must fit each other."""
    match shape:
        case String(is_table=True):
            return st.just("things")
        case Many(of):
            return st.lists(barely(of), min_size=1, max_size=2)
        case StringMap(of, key=key):
            return st.dictionaries(barely(key), barely(of), min_size=1, max_size=1)
        case Structure(members, required, name):
            wanted = required or (st.sampled_from(sorted(members)) if name in ONE_OF else frozenset())
            if isinstance(wanted, frozenset):
                return st.fixed_dictionaries(
                    {one: st.just(ARN) if one == "ResourceArn" else barely(members[one]) for one in wanted}
                )
            return wanted.flatmap(lambda one: st.fixed_dictionaries({one: barely(members[one])}))
        case AttributeMap():
            return keys
        case _:
            return fitting(shape)


def payloads(entry: Operation) -> st.SearchStrategy[Any]:
    """Requests of one operation: about right, or with a member that is anything."""
    right = fitting(entry.input.structure)
    members = sorted(entry.input.structure.members) or ["Anything"]
    wrong = st.dictionaries(st.sampled_from(members), anything, max_size=3)
    bare = barely(entry.input.structure)
    if entry.name == "Query":
        condition = {"KeyConditionExpression": "pk = :v", "ExpressionAttributeValues": {":v": {"S": "pk"}}}
        bare = bare.map(lambda payload: {**payload, **condition})
    mixed = st.builds(lambda good, bad: {**good, **bad}, right, wrong)
    # Bare ones half of the time: with one in four, the rarest right request came about once in a run, or not
    # at all.
    return st.integers(0, 5).flatmap(lambda which: (bare, bare, bare, right, mixed, anything)[which])


@pytest.fixture(scope="module")
def server() -> InProcess:
    """An engine with a table and an item."""
    api = Conformance(Engine(MemoryStore(), ManualClock(START_MS)))
    api.table(view="NEW_AND_OLD_IMAGES")
    api.put("pk", "sk", a={"N": "1"})
    return api.server


def judged(server: InProcess, target: str, body: bytes) -> dict[str, Any]:
    """Send a request; whatever it was, the answer must be a proper one."""
    headers = {**SIGNED, "Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": target}
    answer = server.call(headers, body)
    assert answer.status in (200, 400), (answer, body)
    if answer.status == 200 and target in SILENT:
        assert answer.body == b""
        return {}
    decoded: dict[str, Any] = json.loads(answer.body)
    if answer.status == 400:
        prefix, _, code = decoded["__type"].partition("#")
        assert prefix.startswith("com.amazon")
        assert code.endswith("Exception")
        message = decoded.get("message", decoded.get("Message", ""))
        assert "Traceback" not in message
        assert "tailrace." not in message
    return decoded


@pytest.mark.parametrize("entry", OPERATIONS, ids=lambda entry: entry.name)
@settings(QUIET, max_examples=60)
@given(data=st.data())
def test_any_payload_of_any_operation_is_answered(
    server: InProcess, entry: Operation, data: st.DataObject
) -> None:
    if entry.name in ("DeleteTable", "UpdateTable", "CreateTable"):
        payload = data.draw(
            payloads(entry).filter(
                lambda given: not isinstance(given, dict) or given.get("TableName") != "things"
            )
        )
    else:
        payload = data.draw(payloads(entry))
    judged(server, entry.target.decode(), json.dumps(payload).encode())


def test_the_payloads_reached_both_answers(server: InProcess) -> None:
    """A strategy that only ever makes refusals would prove nothing."""
    for entry in OPERATIONS:
        statuses = {status for name, status in server.requests if name == entry.name}
        wanted = {"400"} if entry.name in SELDOM_RIGHT else {"200", "400"}
        if not entry.input.structure.members:
            wanted = {"200"}  # nothing that it takes can be wrong
        assert statuses >= wanted, entry.name


@QUIET
@given(
    body=st.binary(max_size=60), target=st.sampled_from([one.target.decode() for one in OPERATIONS]) | texts
)
def test_any_bytes_are_answered(server: InProcess, body: bytes, target: str) -> None:
    judged(server, target.encode("ascii", "ignore").decode(), body)


@QUIET
@given(
    token=st.text(min_size=1, max_size=60)
    | st.text(string.ascii_letters + string.digits + "+/=", min_size=1, max_size=300)
)
def test_no_made_up_iterator_reads_anything(server: InProcess, token: str) -> None:
    answer = judged(
        server, "DynamoDBStreams_20120810.GetRecords", json.dumps({"ShardIterator": token}).encode()
    )
    assert answer["__type"] == "com.amazon.coral.validate#ValidationException"


@pytest.mark.parametrize("opening", [b'{"a":', b"["])
@pytest.mark.parametrize("depth", [33, 500, 1_023, 100_000])
def test_no_depth_is_too_deep_for_an_answer(server: InProcess, opening: bytes, depth: int) -> None:
    inner = opening * depth + b"1" + (b"}" if opening[:1] == b"{" else b"]") * depth
    judged(server, "DynamoDB_20120810.PutItem", b'{"TableName":"things","Item":%b}' % inner)
    typed = b'{"L":[' * depth + b'{"S":"x"}' + b"]}" * depth
    item = b'{"pk":{"S":"p"},"sk":{"S":"s"},"a":%b}' % typed
    assert "__type" in judged(server, "DynamoDB_20120810.PutItem", b'{"TableName":"things","Item":%b}' % item)
    nested = b"(" * depth + b"a = b" + b")" * depth
    body = b'{"TableName":"things","FilterExpression":"%b"}' % nested
    assert "__type" in judged(server, "DynamoDB_20120810.Scan", body)


# ---- sockets -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """A real server that all examples share: what one leaves behind, the next would see."""
    with serving() as running:
        yield running


def answers(served: Served, pieces: list[bytes]) -> list[int]:
    """The status of each answer to these pieces until the server closes; the client closes
    its side after sending.
    """
    statuses = []
    with served.connect() as client:
        for piece in pieces:
            client.send(piece)
        with contextlib.suppress(OSError):
            client.socket.shutdown(1)
        with contextlib.suppress(EOFError):
            while True:
                statuses.append(client.receive()[0])
    return statuses


def test_connections_are_counted_down(served: Served) -> None:
    assert answers(served, [LIST]) == [200]


@QUIET
@given(pieces=st.lists(st.binary(max_size=80), max_size=4))
def test_any_bytes_end_in_an_answer_or_a_close(served: Served, pieces: list[bytes]) -> None:
    assert set(answers(served, pieces)) <= {400, 404}
    assert answers(served, [LIST]) == [200]


@QUIET
@given(data=st.data())
def test_a_damaged_request_ends_in_an_answer_or_a_close(served: Served, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(LIST) - 1))
    damaged = LIST[:place] + data.draw(st.binary(max_size=3)) + LIST[place + data.draw(st.integers(0, 3)) :]
    assert set(answers(served, [damaged, LIST])) <= {100, 200, 400, 403, 404, 413}


@QUIET
@given(cuts=st.lists(st.integers(0, 2_000), max_size=5), count=st.integers(1, 4))
def test_pieces_of_any_size_make_the_same_requests(served: Served, cuts: list[int], count: int) -> None:
    whole = (LIST + chunked("ListTables", b"{", b"}")) * count
    places = sorted({min(cut, len(whole)) for cut in cuts} | {0, len(whole)})
    pieces = [whole[start:end] for start, end in itertools.pairwise(places)]
    assert answers(served, pieces) == [200] * (2 * count)


ONE_OF_EACH = {
    "good": (LIST, [200]),
    "chunked": (chunked("ListTables", b"{}"), [200]),
    "unknown": (request("Nothing", {}), [400]),
    "no json": (request("ListTables", b"{"), [400]),
    "wrong type": (request("ListTables", {"Limit": "1"}), [400]),
    "no table": (request("GetItem", {"TableName": "nothing", "Key": {"a": {"S": "b"}}}), [400]),
    "unsigned": (LIST.replace(b"Authorization", b"X-Nothing"), [400]),
    "text": (LIST.replace(b"x-amz-json-1.0", b"xml"), [404]),
    "health": (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", [200]),
    "foreign": (LIST.replace(b"Host: localhost", b"Host: evil.example"), [403]),
    "expecting": (request("ListTables", {}, "Expect: 100-continue"), [100, 200]),
    "slash": (b"PATCH /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc", [404]),
}


@QUIET
@given(names=st.lists(st.sampled_from(sorted(ONE_OF_EACH)), min_size=1, max_size=12))
def test_a_pipeline_is_answered_in_order(served: Served, names: list[str]) -> None:
    sent = b"".join(ONE_OF_EACH[name][0] for name in names)
    assert answers(served, [sent]) == [status for name in names for status in ONE_OF_EACH[name][1]]


@QUIET
@given(length=st.integers(0, len(LIST)), before=st.integers(0, 2))
def test_a_request_that_is_cut_off_is_forgotten(served: Served, length: int, before: int) -> None:
    expected = before + (length == len(LIST))
    assert answers(served, [LIST * before, LIST[:length]]) == [200] * expected


@settings(QUIET, max_examples=40)
@given(line=st.binary(min_size=1, max_size=40).filter(lambda line: b"\n" not in line and b"\r" not in line))
def test_any_header_line_is_read_or_refused(served: Served, line: bytes) -> None:
    head = HEAD.format(operation="ListTables").encode()
    statuses = answers(served, [head + line + b"\r\nContent-Length: 2\r\n\r\n{}"])
    assert len(statuses) <= 1
    assert set(statuses) <= {200, 400, 403, 404, 413}


def test_nothing_is_left_behind(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    assert answers(served, [LIST]) == [200]
    assert served.call(lambda: len(served.server.connections)) <= 1
    assert not any(status == "500" for _, status in served.server.requests)
    assert caplog.records == []
