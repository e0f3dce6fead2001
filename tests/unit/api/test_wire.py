"""The wire protocol, without a server. Source of the texts: semantics §6.1."""

from zlib import crc32

import orjson
import pytest

from tailrace.api import wire
from tailrace.errors import CORAL, ApiError, validation_error

OPERATIONS = {b"DynamoDB_20120810.PutItem": "put"}
AUTHORIZATION = b"AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=c"
GOOD = {
    b"x-amz-target": b"DynamoDB_20120810.PutItem",
    b"authorization": AUTHORIZATION,
    b"x-amz-date": b"20260101T000000Z",
}


def refused(headers: dict[bytes, bytes], body: bytes = b"{}", query: bytes = b"") -> ApiError:
    with pytest.raises(ApiError) as failure:
        wire.read_call(headers, query, body, OPERATIONS)
    assert failure.value.prefix == CORAL
    return failure.value


def without(*names: bytes) -> dict[bytes, bytes]:
    return {name: value for name, value in GOOD.items() if name not in names}


def test_a_request_is_an_operation_and_a_payload() -> None:
    assert wire.read_call(GOOD, b"", b'{"a":1}', OPERATIONS) == ("put", {"a": 1})


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"x"', b"1", b'{"a":NaN}', b"\xff", b'{"a":"\\ud800"}', b"{}x"]
)
def test_what_is_no_json_object_is_a_serialization_exception_without_message(body: bytes) -> None:
    error = refused(GOOD, body)
    assert (error.code, error.message) == ("SerializationException", None)


@pytest.mark.parametrize(
    "target", [b"", b"PutItem", b"DynamoDB_20120810.Nothing", b"DynamoDB_20111205.PutItem"]
)
def test_an_unknown_target_is_an_unknown_operation(target: bytes) -> None:
    assert refused({**GOOD, b"x-amz-target": target}).code == "UnknownOperationException"


def test_json_is_judged_before_the_target_and_the_target_before_the_signature() -> None:
    assert refused({}, b"{").code == "SerializationException"
    assert refused({}).code == "UnknownOperationException"


@pytest.mark.parametrize(
    ("headers", "query", "code", "message"),
    [
        (
            without(b"authorization"),
            b"",
            "MissingAuthenticationTokenException",
            "Request is missing Authentication Token",
        ),
        (
            GOOD,
            b"X-Amz-Algorithm=x",
            "InvalidSignatureException",
            "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.",
        ),
        (
            {**GOOD, b"authorization": b"AWS4-HMAC-SHA256 Credential=a"},
            b"",
            "IncompleteSignatureException",
            "Authorization header requires 'Signature' parameter. Authorization header requires "
            "'SignedHeaders' parameter. Authorization=AWS4-HMAC-SHA256 Credential=a",
        ),
        (
            without(b"x-amz-date"),
            b"",
            "IncompleteSignatureException",
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
            f"Authorization={AUTHORIZATION.decode()}",
        ),
        (
            without(b"authorization"),
            b"X-Amz-Algorithm=x&X-Amz-Credential=c&X-Amz-Signature=s&X-Amz-Date=d",
            "IncompleteSignatureException",
            "AWS query-string parameters must include 'X-Amz-SignedHeaders'. Re-examine the "
            "query-string parameters.",
        ),
    ],
)
def test_authentication_must_have_its_form(
    headers: dict[bytes, bytes], query: bytes, code: str, message: str
) -> None:
    error = refused(headers, query=query)
    assert (error.code, error.message) == (code, message)


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        (GOOD, b"x=y"),
        ({**without(b"x-amz-date"), b"date": b"today"}, b""),
        ({**GOOD, b"authorization": AUTHORIZATION.replace(b", ", b",")}, b""),
        (
            without(b"authorization"),
            b"X-Amz-Algorithm=x&X-Amz-Credential=c&X-Amz-Signature=s&X-Amz-Date=d&X-Amz-SignedHeaders=h",
        ),
    ],
)
def test_any_credentials_in_the_right_form_will_do(headers: dict[bytes, bytes], query: bytes) -> None:
    assert wire.read_call(headers, query, b"{}", OPERATIONS) == ("put", {})


@pytest.mark.parametrize(
    ("error", "body"),
    [
        (
            validation_error("no"),
            {"__type": "com.amazon.coral.validate#ValidationException", "message": "no"},
        ),
        (
            ApiError("ResourceNotFoundException", "gone"),
            {"__type": "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException", "message": "gone"},
        ),
        (
            ApiError("SerializationException", None, prefix=CORAL),
            {"__type": "com.amazon.coral.service#SerializationException"},
        ),
        (
            ApiError("SerializationException", "x", prefix=CORAL),
            {"__type": "com.amazon.coral.service#SerializationException", "Message": "x"},
        ),
        (
            ApiError("ConditionalCheckFailedException", "no", extra={"Item": {"a": {"S": "b"}}}),
            {
                "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
                "message": "no",
                "Item": {"a": {"S": "b"}},
            },
        ),
    ],
)
def test_an_error_has_awss_body(error: ApiError, body: dict[str, object]) -> None:
    assert orjson.loads(wire.error_body(error)) == body


def test_request_ids_have_52_capitals_and_digits_and_never_repeat() -> None:
    ids = wire.RequestIds(b"seed")
    issued = [ids.next() for _ in range(3_000)]
    assert len(set(issued)) == 3_000
    assert all(len(one) == 52 and one.isalnum() and one.isupper() for one in issued)
    assert wire.RequestIds(b"other").next() != issued[0]


def test_an_answer_carries_the_checksum_of_its_bytes() -> None:
    head, _, body = wire.success_bytes(wire.stamped(0), b"ID", b'{"a":1}').partition(b"\r\n\r\n")
    assert body == b'{"a":1}'
    assert b"x-amz-crc32: %d\r\n" % crc32(body) in head
    assert head.endswith(b"Content-Length: 7")


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (b"application/x-amz-json-1.0", b"application/x-amz-json-1.0"),
        (b"Application/JSON; charset=utf-8", b"application/json"),
        (b"text/plain", None),
        (b"", None),
    ],
)
def test_two_content_types_are_read(given: bytes, kind: bytes | None) -> None:
    assert wire.content_type({b"content-type": given}) == kind
