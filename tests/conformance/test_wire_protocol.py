"""The wire, sentence by sentence of semantics §6.1, below any client: headers, checksums, prefixes,
the order of checks.

What needs a socket (keep-alive, pipelining, chunks, 100-continue, encodings, the limits of a connection) is
in tests/unit/server/test_http.py and test_encoding.py.
"""

import json
import re
from typing import Any
from zlib import crc32

import pytest

from tailrace.api.wire import Answer
from tailrace.clocks.manual import ManualClock
from tailrace.streams.dates import http_date
from tests.conformance.client import SIGNED, Conformance, key

AMZ = "application/x-amz-json-1.0"
VALIDATE, CORAL, SERVICE = (
    "com.amazon.coral.validate#",
    "com.amazon.coral.service#",
    "com.amazonaws.dynamodb.v20120810#",
)
BAD_HEADER = SIGNED["Authorization"].replace(", Signature=0", "")


def post(api: Conformance, body: bytes, query: str = "", **headers: str | None) -> Answer:
    """A POST with the usual headers, but for those named here; None takes one away."""
    usual = {**SIGNED, "Content-Type": AMZ, "X-Amz-Target": "DynamoDB_20120810.PutItem"}
    changes = {name.replace("_", "-"): value for name, value in headers.items()}
    merged = {**usual, **changes}
    return api.server.call({name: value for name, value in merged.items() if value is not None}, body, query)


def said(answer: Answer) -> tuple[str, str | None]:
    """`__type` and text."""
    body = json.loads(answer.body)
    return body["__type"], body.get("message", body.get("Message"))


GOOD = {"TableName": "things", "Item": key("p")}

LADDER: list[tuple[bytes, str, dict[str, str | None], str, str | None]] = [
    (b"{", "X-Amz-Algorithm=a", {"X_Amz_Target": "No"}, f"{CORAL}SerializationException", None),
    (b"{}", "X-Amz-Algorithm=a", {"X_Amz_Target": "No"}, f"{CORAL}UnknownOperationException", None),
    (b"{}", "X-Amz-Algorithm=a", {}, f"{CORAL}InvalidSignatureException",
     "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."),
    (b"{}", "", {"Authorization": None, "X_Amz_Date": None}, f"{CORAL}MissingAuthenticationTokenException",
     "Request is missing Authentication Token"),
    (b"{}", "", {"Authorization": "Basic abc", "X_Amz_Date": None},
     f"{CORAL}MissingAuthenticationTokenException", "Request is missing Authentication Token"),
    (b"{}", "", {"Authorization": "AWS4-HMAC-SHA256", "X_Amz_Date": None},
     f"{CORAL}IncompleteSignatureException",
     "Authorization header requires 'Credential' parameter. Authorization header requires "
     "'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. Authorization "
     "header requires existence of either a 'X-Amz-Date' or "
     "a 'Date' header. Authorization=AWS4-HMAC-SHA256"),
    (b"{}", "", {"Authorization": BAD_HEADER}, f"{CORAL}IncompleteSignatureException",
     f"Authorization header requires 'Signature' parameter. Authorization={BAD_HEADER}"),
    (b"{}", "X-Amz-Algorithm&X-Amz-Date=1", {"Authorization": None}, f"{CORAL}IncompleteSignatureException",
     "".join(f"AWS query-string parameters must include 'X-Amz-{name}'. " for name in ("Algorithm",
         "Credential", "Signature", "SignedHeaders"))
     + "Re-examine the query-string parameters."),
    (b"", "", {}, f"{CORAL}SerializationException", None),
    (b'{"TableName":1}', "", {}, f"{CORAL}SerializationException",
     "NUMBER_VALUE cannot be converted to String"),
    (b'{"ExpressionAttributeNames":{}}', "", {}, f"{VALIDATE}ValidationException",
     "2 validation errors detected: Value null at 'tableName' failed to satisfy constraint: Member "
     "must not be null; Value null at 'item' failed to satisfy constraint: Member must not be null"),
    (b'{"TableName":"nothing","Item":{},"ExpressionAttributeNames":{}}', "", {},
     f"{VALIDATE}ValidationException",
     "1 validation error detected: ExpressionAttributeNames can only be specified when using expressions"),
    (b'{"TableName":"nothing","Item":{}}', "", {}, f"{SERVICE}ResourceNotFoundException",
     "Requested resource not found"),
    (b'{"TableName":"things","Item":{}}', "", {}, f"{VALIDATE}ValidationException",
     "One or more parameter values were invalid: Missing the key pk in the item"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "query", "headers", "kind", "text"), LADDER)
def test_checks_come_in_awss_order(
    things: Conformance, body: bytes, query: str, headers: dict[str, str | None], kind: str, text: str | None
) -> None:
    answer = post(things, body, query, **headers)
    assert answer.status == 400
    assert said(answer) == (kind, text)


@pytest.mark.parametrize("body", [b"", b"{}"])
def test_without_a_body_the_content_type_does_not_matter(things: Conformance, body: bytes) -> None:
    answer = post(things, body, Content_Type="text/plain")
    if body:
        assert (answer.status, answer.body) == (404, b"<UnknownOperationException/>\n")
    else:
        assert said(answer) == (f"{CORAL}SerializationException", None)


def answers(api: Conformance) -> dict[str, Answer]:
    """An answer of each sort."""
    good = json.dumps(GOOD).encode()
    return {
        "done": post(api, good),
        "refused": post(api, b"{}"),
        "no JSON": post(api, b"{"),
        "unknown": post(api, good, X_Amz_Target=None),
        "no content type": post(api, good, Content_Type=None),
        "too large": post(api, b"{}".ljust(16 * 1024 * 1024 + 1)),
    }


def test_every_answer_has_an_identity_and_the_checksum_of_its_bytes(things: Conformance) -> None:
    seen = set()
    for name, answer in answers(things).items():
        assert answer.headers["x-amz-crc32"] == str(crc32(answer.body)), name
        assert re.fullmatch("[0-9A-Z]{52}", answer.headers["x-amzn-RequestId"]), name
        assert answer.headers["Content-Length"] == str(len(answer.body)), name
        seen.add(answer.headers["x-amzn-RequestId"])
    assert len(seen) == 6


@pytest.mark.parametrize("kind", [AMZ, "application/json", f"{AMZ}; charset=utf-8"])
def test_the_answer_has_the_content_type_of_the_request(things: Conformance, kind: str) -> None:
    for body in (json.dumps(GOOD).encode(), b"{", b"{}"):
        assert post(things, body, Content_Type=kind).headers["Content-Type"] == kind.partition(";")[0]


# ---- prefixes ----------------------------------------------------------------------------------------------

CREATE = {
    "TableName": "things",
    "BillingMode": "PAY_PER_REQUEST",
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
}
FAILING = {"Put": {"TableName": "things", "Item": key("p"), "ConditionExpression": "attribute_exists(a)"}}
TWO_INDEXES = {
    "TableName": "things",
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "GlobalSecondaryIndexUpdates": [
        {
            "Create": {
                "IndexName": name,
                "KeySchema": CREATE["KeySchema"],
                "Projection": {"ProjectionType": "ALL"},
            }
        }
        for name in ("one", "two")
    ],
}
ITERATOR = {"ShardIterator": "x" * 40}
STREAMS = "DynamoDBStreams_20120810"
PREFIXES: list[tuple[str, str, dict[str, Any], str]] = [
    ("DynamoDB_20120810", "GetItem", {"TableName": "things", "Key": {}}, f"{VALIDATE}ValidationException"),
    ("DynamoDB_20120810", "GetItem", {"TableName": 1}, f"{CORAL}SerializationException"),
    ("DynamoDB_20120810", "GetItem", {"TableName": "nothing", "Key": key("a")},
     f"{SERVICE}ResourceNotFoundException"),
    ("DynamoDB_20120810", "DescribeTable", {"TableName": "nothing"}, f"{SERVICE}ResourceNotFoundException"),
    ("DynamoDB_20120810", "CreateTable", CREATE, f"{SERVICE}ResourceInUseException"),
    ("DynamoDB_20120810", "UpdateTable", TWO_INDEXES, f"{SERVICE}LimitExceededException"),
    ("DynamoDB_20120810", "DeleteItem",
     {"TableName": "things", "Key": key("a"), "ConditionExpression": "attribute_exists(a)"},
     f"{SERVICE}ConditionalCheckFailedException"),
    ("DynamoDB_20120810", "TransactWriteItems", {"TransactItems": [FAILING]},
     f"{SERVICE}TransactionCanceledException"),
    ("DynamoDB_20120810", "GetResourcePolicy",
     {"ResourceArn": "arn:aws:dynamodb:us-east-1:000000000000:table/things"},
     f"{SERVICE}PolicyNotFoundException"),
    ("DynamoDB_20120810", "Nothing", {}, f"{CORAL}UnknownOperationException"),
    (STREAMS, "GetRecords", ITERATOR, f"{VALIDATE}ValidationException"),
    (STREAMS, "DescribeStream",
     {"StreamArn": "arn:aws:dynamodb:us-east-1:000000000000:table/nothing/stream/2026-01-01T00:00:00.000"},
     f"{SERVICE}ResourceNotFoundException"),
    (STREAMS, "Nothing", {}, f"{CORAL}UnknownOperationException"),
]  # fmt: skip


@pytest.mark.parametrize(("service", "operation", "payload", "kind"), PREFIXES)
def test_an_error_says_where_it_comes_from(
    things: Conformance, service: str, operation: str, payload: dict[str, Any], kind: str
) -> None:
    status, answer = things.raw(operation, payload, service)
    assert (status, answer["__type"]) == (400, kind)
    spoken = [name for name in ("message", "Message") if name in answer]
    capital = kind.endswith(("SerializationException", "TransactionCanceledException"))
    assert spoken == ([] if "Unknown" in kind else ["Message" if capital else "message"])


def test_of_many_violations_ten_are_told(things: Conformance) -> None:
    wrong = {"IndexName": "a;", "KeySchema": [], "Projection": {}}
    message = things.invalid(
        "CreateTable", **{**CREATE, "TableName": "a;", "GlobalSecondaryIndexes": [wrong] * 4}
    )
    assert message.startswith("10 validation errors detected: ")
    assert message.count("failed to satisfy constraint") == 10


def test_credentials_are_not_looked_into(things: Conformance) -> None:
    header = "AWS4-HMAC-SHA256 Credential=a/b/us-east-1/d/e, SignedHeaders=x, Signature=y"
    assert post(things, json.dumps(GOOD).encode(), Authorization=header).status == 200
    query = (
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=c&X-Amz-Signature=s&X-Amz-SignedHeaders=h"
        "&X-Amz-Date=d"
    )
    assert post(things, json.dumps(GOOD).encode(), query, Authorization=None, X_Amz_Date=None).status == 200
    assert post(things, json.dumps(GOOD).encode(), X_Amz_Date=None, Date="today").status == 200


def test_an_answer_says_who_and_when_by_the_engines_clock(things: Conformance, clock: ManualClock) -> None:
    for body, status in ((b"{}", 200), (b"[", 400), (b"{}", 200)):
        answer = post(things, body, X_Amz_Target="DynamoDB_20120810.ListTables")
        assert (answer.status, answer.headers["Server"]) == (status, "Server")
        assert answer.headers["Date"] == http_date(clock.now().wall_ms)
        clock.advance(86_400_999)
