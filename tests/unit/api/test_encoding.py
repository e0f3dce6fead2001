"""Compressed bodies through real sockets: both directions, both encodings, checksums of what is sent, and
what is refused.
"""

import gzip
import json
import zlib
from collections.abc import Iterator
from typing import Any

import pytest

from tailrace.api.encoding import (
    LEAST,
    MEMBER,
    MOST_ENCODINGS,
    MOST_MEMBERS,
    TooLargeInside,
    accepted,
    decoded,
    encoded,
)
from tailrace.errors import ApiError
from tests.serving import Client, Served, request, serving

CREATE = {
    "TableName": "things",
    "BillingMode": "PAY_PER_REQUEST",
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
}
ITEM = {"pk": {"S": "a"}, "text": {"S": "word " * 1_000}}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as running, Client(running.port) as client:
        assert client.ask(request("CreateTable", CREATE))[0] == 200
        assert client.ask(request("PutItem", {"TableName": "things", "Item": ITEM}))[0] == 200
        yield running


def changed(raw: bytes, body: bytes | None = None, *lines: bytes) -> bytes:
    """A request with another body and more header lines."""
    head, _, old = raw.partition(b"\r\n\r\n")
    body = old if body is None else body
    kept = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length")]
    return b"\r\n".join([*kept, *lines, b"content-length: %d" % len(body), b"", body])


GET = request("GetItem", {"TableName": "things", "Key": {"pk": {"S": "a"}}})
SMALL = request("ListTables", {})
READERS = {"gzip": gzip.decompress, "deflate": zlib.decompress}


@pytest.mark.parametrize("name", ["gzip", "deflate"])
def test_a_large_answer_is_compressed_for_who_takes_it_and_its_checksum_is_of_what_is_sent(
    served: Served, name: str
) -> None:
    with Client(served.port) as client:
        status, headers, body = client.ask(changed(GET, None, b"Accept-Encoding: " + name.encode()))
        assert (status, headers["content-encoding"], int(headers["x-amz-crc32"])) == (
            200,
            name,
            zlib.crc32(body),
        )
        assert json.loads(READERS[name](body))["Item"] == ITEM
        assert len(body) < 500
        _, headers, body = client.ask(changed(SMALL, None, b"Accept-Encoding: " + name.encode()))
        assert "content-encoding" not in headers
        assert json.loads(body) == {"TableNames": ["things"]}


@pytest.mark.parametrize(
    "line",
    [b"Accept-Encoding: identity", b"Accept-Encoding: br", b"Accept-Encoding: gzip;q=0", b"X-Nothing: 1"],
)
def test_nobody_else_gets_a_compressed_answer(served: Served, line: bytes) -> None:
    with Client(served.port) as client:
        status, headers, body = client.ask(changed(GET, None, line))
        assert (status, "content-encoding" in headers) == (200, False)
        assert json.loads(body)["Item"] == ITEM


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("gzip", gzip.compress), ("x-gzip", gzip.compress), ("deflate", zlib.compress), ("identity", bytes),
        ("GZIP", gzip.compress),
        ("deflate", lambda body: zlib.compressobj(wbits=-15).compress(body) or zlib.compress(body)[2:-4]),
    ],
)  # fmt: skip
def test_a_compressed_request_is_read(served: Served, name: str, write: Any) -> None:
    body = json.dumps({"TableName": "things", "Key": {"pk": {"S": "a"}}}).encode()
    with Client(served.port) as client:
        status, _, answer = client.ask(changed(GET, write(body), b"Content-Encoding: " + name.encode()))
        assert (status, json.loads(answer)["Item"]) == (200, ITEM)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("gzip", b"{}"),
        ("br", b"{}"),
        ("gzip", gzip.compress(b"{", mtime=0) + gzip.compress(b"}", mtime=0)[:-6]),
        ("gzip", gzip.compress(b"{", mtime=0) + MEMBER + b"}"),
        ("gzip", gzip.compress(b"{}", mtime=0) + gzip.compress(b"", mtime=0) * MOST_MEMBERS),
        ("gzip", gzip.compress(b"{}", mtime=0)[:-6]),
        ("deflate", b""),
        ("gzip, br", gzip.compress(b"{}", mtime=0)),
    ],
)
def test_what_is_not_so_encoded_is_a_fault_of_the_server_and_the_connection_goes_on(
    served: Served, name: str, body: bytes
) -> None:
    with Client(served.port) as client:
        status, _, answer = client.ask(changed(GET, body, b"Content-Encoding: " + name.encode()))
        assert (status, json.loads(answer)["__type"]) == (
            500,
            "com.amazonaws.dynamodb.v20120810#InternalServerError",
        )
        assert client.ask(GET)[0] == 200


@pytest.mark.parametrize("rest", [b"", b"\0" * 20])
def test_a_request_in_several_members_of_gzip_is_read_and_what_follows_them_is_not(
    served: Served, rest: bytes
) -> None:
    body = json.dumps({"TableName": "things", "Key": {"pk": {"S": "a"}}}).encode()
    members = b"".join(gzip.compress(body[place : place + 7]) for place in range(0, len(body), 7))
    with Client(served.port) as client:
        status, _, answer = client.ask(changed(GET, members + rest, b"Content-Encoding: gzip"))
        assert (status, json.loads(answer)["Item"]) == (200, ITEM)


def test_members_share_one_limit() -> None:
    two = gzip.compress(b"x" * 50) * 2
    assert decoded(two, b"gzip", 100) == b"x" * 100
    with pytest.raises(TooLargeInside):
        decoded(two, b"gzip", 99)


def test_answers_are_compressed_from_4096_bytes_on(served: Served) -> None:
    with Client(served.port) as client:
        for size, compressed in ((4_095, False), (4_096, True)):
            item = {
                "pk": {"S": "edge"},
                "t": {"S": "x" * (size - len('{"Item":{"pk":{"S":"edge"},"t":{"S":""}}}'))},
            }
            assert client.ask(request("PutItem", {"TableName": "things", "Item": item}))[0] == 200
            ask = request("GetItem", {"TableName": "things", "Key": {"pk": {"S": "edge"}}})
            assert len(client.ask(ask)[2]) == size
            _, headers, _ = client.ask(changed(ask, None, b"Accept-Encoding: gzip"))
            assert ("content-encoding" in headers) is compressed


@pytest.mark.parametrize("second", ["Accept-Encoding", "accept-encoding"])
def test_the_first_of_two_accept_encoding_lines_counts(served: Served, second: str) -> None:
    with Client(served.port) as client:
        for one, other, told in (
            ("gzip", "identity", "gzip"),
            ("identity", "gzip", None),
            ("deflate", "gzip", "deflate"),
        ):
            lines = (f"Accept-Encoding: {one}".encode(), f"{second}: {other}".encode())
            _, headers, _ = client.ask(changed(GET, None, *lines))
            assert headers.get("content-encoding") == told


def test_a_small_request_that_is_large_inside_is_refused(served: Served) -> None:
    bomb = gzip.compress(b" " * (16 * 1024 * 1024 + 1), 9)
    with Client(served.port) as client:
        status, _, answer = client.ask(changed(GET, bomb, b"Content-Encoding: gzip"))
        assert (status, json.loads(answer)["__type"]) == (
            413,
            "com.amazon.coral.service#RequestEntityTooLargeException",
        )
        assert client.ask(GET)[0] == 200


def test_a_limit_is_kept_at_its_bound_and_one_past_it() -> None:
    assert decoded(zlib.compress(b"x" * 100), b"deflate", 100) == b"x" * 100
    with pytest.raises(TooLargeInside):
        decoded(zlib.compress(b"x" * 101), b"deflate", 100)


def test_encodings_one_after_the_other_are_taken_off_in_their_order() -> None:
    assert decoded(gzip.compress(zlib.compress(b"{}")), b"deflate, gzip", 100) == b"{}"
    with pytest.raises(ApiError):
        decoded(gzip.compress(zlib.compress(b"{}")), b"gzip, deflate", 100)


def test_a_body_that_is_encoded_again_and_again_is_refused_before_it_is_looked_at(served: Served) -> None:
    inner = b"{}"
    for _ in range(MOST_ENCODINGS):
        inner = gzip.compress(inner)
    assert decoded(inner, b",".join([b"gzip"] * MOST_ENCODINGS), 1_000) == b"{}"
    with Client(served.port) as client:
        line = b"Content-Encoding: " + b", ".join([b"gzip"] * 200)
        assert client.ask(changed(GET, gzip.compress(b"{}"), line))[0] == 500
    with pytest.raises(ApiError):
        decoded(gzip.compress(inner), b",".join([b"gzip"] * (MOST_ENCODINGS + 1)), 1_000)


def test_what_is_compressed_is_what_it_was() -> None:
    for name in (b"gzip", b"deflate"):
        assert decoded(encoded(b"y" * LEAST, name), name, LEAST) == b"y" * LEAST
    assert accepted(b"") is None
