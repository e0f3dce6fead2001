"""Signatures: AWS's published vectors, and botocore's signer as an oracle for any request."""

from datetime import UTC, datetime
from typing import Any
from unittest import mock
from urllib.parse import quote

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as Theirs
from hypothesis import example, given
from hypothesis import strategies as st

from tailrace.aws.signing import (
    EMPTY_HASH,
    UNSIGNED_PAYLOAD,
    Credentials,
    Scope,
    payload_hash_of,
    signed_headers,
)

SUITE = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
TOKEN = (
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeo"
    "IYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5V"
    "SXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yj"
    "c8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
)
WITH_TOKEN = Credentials(SUITE.access_key, SUITE.secret_key, TOKEN)
OBJECTS = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
FORM = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
PLAIN_FORM = {"content-type": "application/x-www-form-urlencoded"}
DATE = {"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"}

# AWS's Signature Version 4 test suite ("service", 30 August 2015), and the examples of the IAM User Guide.
PUBLISHED: dict[str, tuple[Credentials, str, str, str, list[tuple[str, str]], dict[str, str], bytes, str]] = {
    "get-vanilla": (SUITE, "service", "GET", "/", [], {}, b"",
                    "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    "get-vanilla-query-order-key-case": (
        SUITE, "service", "GET", "/", [("Param2", "value2"), ("Param1", "value1")], {}, b"",
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    "get-unreserved": (
        SUITE, "service", "GET", "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", [],
        {}, b"",
        "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
    ),
    "get-header-value-trim": (
        SUITE, "service", "GET", "/", [], {"my-header1": " value1", "my-header2": ' "a   b   c"'}, b"",
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    ),
    "post-vanilla": (SUITE, "service", "POST", "/", [], {}, b"",
                     "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    "post-sts-header-before": (
        WITH_TOKEN, "service", "POST", "/", [], {}, b"",
        "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
    ),
    "post-x-www-form-urlencoded": (
        SUITE, "service", "POST", "/", [], PLAIN_FORM, b"Param1=value1",
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ),
    "ListUsers": (
        SUITE, "iam", "GET", "/", [("Action", "ListUsers"), ("Version", "2010-05-08")],
        {**FORM, "host": "iam.amazonaws.com"}, b"",
        "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
    ),
}  # fmt: skip
# S3 API Reference, "Signature Calculations for the Authorization Header", the examples.
OF_S3: dict[str, tuple[str, str, list[tuple[str, str]], dict[str, str], bytes, str]] = {
    "GET object": ("GET", "/test.txt", [], {"range": "bytes=0-9"}, b"",
                   "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
    "PUT object": ("PUT", "/test%24file.text", [], DATE, b"Welcome to Amazon S3.",
                   "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"),
    "GET lifecycle": ("GET", "/", [("lifecycle", "")], {}, b"",
                      "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
    "GET bucket": ("GET", "/", [("max-keys", "2"), ("prefix", "J")], {}, b"",
                   "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
}  # fmt: skip


def signature_in(headers: dict[str, str]) -> str:
    return headers["authorization"].rpartition("Signature=")[2]


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_request_of_awss_suite_is_signed_as_published(name: str) -> None:
    who, service, method, path, query, headers, body, expected = PUBLISHED[name]
    scope = Scope("us-east-1", service)
    given = {"host": "example.amazonaws.com", **headers}
    signed = signed_headers(who, scope, "20150830T123600Z", method, path, query, given, payload_hash_of(body))
    assert signature_in(signed) == expected


@pytest.mark.parametrize("name", OF_S3)
def test_a_request_of_s3s_reference_is_signed_as_published(name: str) -> None:
    method, path, query, headers, body, expected = OF_S3[name]
    given = {"host": "examplebucket.s3.amazonaws.com", **headers}
    scope = Scope("us-east-1", "s3")
    signed = signed_headers(
        OBJECTS, scope, "20130524T000000Z", method, path, query, given, payload_hash_of(body)
    )
    assert signature_in(signed) == expected
    assert signed["x-amz-content-sha256"] == payload_hash_of(body)


def test_another_secret_day_region_service_path_header_or_body_is_another_signature() -> None:
    def made(**changed: Any) -> str:
        given = {
            "credentials": SUITE, "scope": Scope("us-east-1", "service"), "stamp": "20150830T123600Z",
            "method": "GET", "path": "/a",
            "query": [("b", "1")], "headers": {"host": "h"}, "payload_hash": EMPTY_HASH, **changed,
        }  # fmt: skip
        return signature_in(signed_headers(**given))

    others = [
        made(credentials=Credentials("AKIDEXAMPLE", "x")), made(scope=Scope("eu-west-1", "service")),
        made(scope=Scope("us-east-1", "sqs")),
        made(stamp="20150831T123600Z"), made(stamp="20150830T123601Z"), made(method="PUT"), made(path="/b"),
        made(query=[("b", "2")]),
        made(headers={"host": "g"}), made(payload_hash=UNSIGNED_PAYLOAD), made(credentials=WITH_TOKEN),
    ]  # fmt: skip
    assert len({made(), *others}) == len(others) + 1
    assert made(headers={"host": "h", "user-agent": "x"}) == made(), "what others may change is not signed"


def test_a_secret_is_not_shown() -> None:
    assert "wJalr" not in repr(WITH_TOKEN)
    assert "AQoD" not in repr(WITH_TOKEN)


TEXT = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x2FFF, blacklist_categories=("Cs",)), max_size=12
)
PATH = st.lists(st.one_of(TEXT, st.sampled_from(["", ".", "..", "a b", "%", "+", "ü"])), max_size=5)
QUERY = st.lists(st.tuples(st.text("abAB-_~ /&=+%ü", min_size=1, max_size=5), TEXT), max_size=4)
NAMES = st.sampled_from(
    ["x-amz-target", "content-type", "x-amz-meta-a", "if-none-match", "user-agent", "range"]
)
VALUES = st.text("abc \t;,=/\"'019", max_size=12).map(str.strip)


@given(
    path=PATH,
    query=QUERY,
    headers=st.dictionaries(NAMES, VALUES, max_size=4),
    body=st.binary(max_size=20),
    token=st.none() | st.just("a token"),
    service=st.sampled_from(["dynamodb", "lambda", "s3"]),
    method=st.sampled_from(["GET", "POST", "PUT"]),
)
@example(path=["a", "..", ""], query=[], headers={}, body=b"", token=None, service="lambda", method="GET")
@example(path=["a", "b", ".."], query=[], headers={}, body=b"", token=None, service="lambda", method="GET")
@example(path=["", "", "a"], query=[], headers={}, body=b"", token=None, service="lambda", method="GET")
def test_any_request_is_signed_as_botocore_signs_it(
    path: list[str],
    query: list[tuple[str, str]],
    headers: dict[str, str],
    body: bytes,
    token: str | None,
    service: str,
    method: str,
) -> None:
    where = "/" + "/".join(quote(part, safe="-._~") for part in path)
    escaped = [(quote(name, safe="-._~"), quote(value, safe="-._~")) for name, value in query]
    credentials, scope = Credentials("AKID", "secret", token), Scope("eu-west-1", service)
    ours = signed_headers(
        credentials,
        scope,
        "20260131T235959Z",
        method,
        where,
        escaped,
        {"host": "example.test", **headers},
        payload_hash_of(body),
    )
    url = f"https://example.test{where}" + (f"?{'&'.join(f'{n}={v}' for n, v in escaped)}" if escaped else "")
    request = AWSRequest(method=method, url=url, data=body, headers=headers)
    request.context["payload_signing_enabled"] = True
    signer = (S3SigV4Auth if service == "s3" else SigV4Auth)(
        Theirs("AKID", "secret", token), service, "eu-west-1"
    )
    moment = datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)
    with mock.patch("botocore.auth.get_current_datetime", return_value=moment):
        signer.add_auth(request)
    assert ours["authorization"] == request.headers["Authorization"]
