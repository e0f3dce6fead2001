"""What is done to a good request: to its members at any depth, to its bytes, to its headers.

Rules of this file: pure; the same random numbers do the same. A mutation says what it did, so that a report
can be read.
"""

import gzip
import json
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from tests.fuzz.words import NUMBER_TEXTS, TEXTS, hostile, mangled

SIGNED = {
    "Content-Type": "application/x-amz-json-1.0",
    "X-Amz-Date": "20260101T000000Z",
    "Authorization": "AWS4-HMAC-SHA256 Credential=fuzz/20260101/us-east-1/dynamodb/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature=0",
}
STRANGE_HEADERS = (
    ("Content-Type", "text/plain"), ("Content-Type", ""),
    ("Content-Type", "application/x-amz-json-1.0; charset=x"), ("Content-Type", "application/json"),
    ("Authorization", ""), ("Authorization", "AWS4-"), ("Authorization", "Basic AAAA"),
    ("Authorization", "AWS4-HMAC-SHA256 Credential=,Signature,=="),
    ("X-Amz-Date", "yesterday"), ("X-Amzn-Trace-Id", "Root=1-x;Parent=y"),
    ("X-Amzn-Trace-Id", "Root=;;;=;Self"), ("X-Amzn-Trace-Id", "\xff" * 300),
    ("X-Amz-Target", ""), ("X-Amz-Target", "DynamoDB_20120810."),
    ("X-Amz-Target", "DynamoDB_20111205.GetItem"), ("X-Amz-Target", "\xe9"),
    ("X-Amz-Security-Token", "x" * 5_000), ("X-Amz-Invocation-Type", "Perhaps"),
    ("X-Amz-Client-Context", "e30"), ("X-Amz-Client-Context", "!!!"),
    ("Accept-Encoding", "gzip;q=,*"), ("Expect", "200-ok"), ("Range", "bytes=9-1"),
)  # fmt: skip
STRANGE_QUERIES = (
    "X-Amz-Algorithm=AWS4-HMAC-SHA256",
    "a=b&a=c&=&&",
    "%zz=%ff",
    "X-Amz-Signature",
    "MaxItems=x&Marker=%00",
    "MaxItems=-1",
    "Qualifier=" + "x" * 3_000,
)


@dataclass(frozen=True, slots=True)
class Request:
    """One request. Shape: `done` are the words of its mutations; `may_fail`: AWS answers 500, too."""

    operation: str
    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    done: tuple[str, ...] = field(default=())
    may_fail: bool = False


# ---- members -----------------------------------------------------------------------------------------------


DEEPEST = 40
"""Places below are left alone: nothing that was put in there tells more."""


def slots(value: Any, places: list[tuple[Any, Any]] | None = None, depth: int = 0) -> list[tuple[Any, Any]]:
    """Every place in a tree: (container, key or index)."""
    places = [] if places is None else places
    if depth > DEEPEST:
        return places
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for place, one in inside:
        places.append((value, place))
        slots(one, places, depth + 1)
    return places


def mutate(members: dict[str, Any], random: Random) -> tuple[Any, str]:
    """One mutation of a tree, which it takes over. Returns: the tree and what was done."""
    places = slots(members)
    if not places or random.random() < 0.03:
        members[random.choice(("Dog", "", "TableName", "é", "Limit"))] = hostile(random)
        return members, "a member at the top"
    container, place = random.choice(places)
    value = container[place]
    match random.randrange(13):
        case 0:
            del container[place]
            return members, f"{place} deleted"
        case 1 if isinstance(container, dict):
            container[random.choice(("Dog", "", str(place).lower(), f"{place} ", str(place)[::-1]))] = (
                container.pop(place)
            )
            return members, f"{place} renamed"
        case 2 if isinstance(container, dict):
            container[random.choice(("Dog", "", str(random.choice(places)[1])))] = hostile(random)
            return members, f"a member beside {place}"
        case 3 if isinstance(container, list):
            container[place:place] = [json.loads(json.dumps(value))] * random.choice((1, 2, 25, 101))
            return members, f"element {place} repeated"
        case 4:
            other, there = random.choice(places)
            container[place] = json.loads(json.dumps(other[there]))
            return members, f"{place} is what {there} was"
        case 5 if isinstance(value, str):
            container[place] = mangled(value, random)
            return members, f"{place} mangled"
        case 6 if isinstance(value, str):
            container[place] = random.choice(TEXTS + NUMBER_TEXTS)
            return members, f"{place} is another text"
        case 7:
            container[place] = random.choice(([value], {"Dog": value}, [value, value], {str(place): value}))
            return members, f"{place} wrapped"
        case 8 if isinstance(value, dict) and value:
            container[place] = {}
            return members, f"{place} emptied"
        case 9 if isinstance(value, dict):
            value[random.choice(("N", "S", "B", "SS", "NS", "BS", "M", "L", "NULL", "BOOL", "Dog"))] = (
                hostile(random)
            )
            return members, f"{place} has one more kind"
        case 10 if isinstance(value, str) and "xpression" in str(place):
            container[place] = mangled(mangled(value, random), random)
            return members, f"{place} mangled twice"
        case _:
            container[place] = hostile(random)
            return members, f"{place} is hostile"


# ---- bytes and headers -------------------------------------------------------------------------------------


def mutate_bytes(body: bytes, random: Random) -> tuple[bytes, str]:
    """The text of the body changed."""
    place = random.randrange(len(body) + 1)
    match random.randrange(10):
        case 0:
            return body[:place], "cut"
        case 1:
            return body[:place] + random.randbytes(random.choice((1, 2, 9))) + body[place:], "bytes put in"
        case 2:
            return body.replace(
                b'":',
                b'":' + random.choice((b"NaN", b"Infinity", b"1e999", b"-", b"01", b"1e5")) + b',"x":',
                1,
            ), "a number that is none"
        case 3:
            return body.replace(
                b'"a"',
                random.choice(
                    (b'"\\ud800"', b'"\\udfff\\ud800"', b'"\xed\xa0\x80"', b'"\\u0000"', b'"\xff"')
                ),
            ), "surrogates"
        case 4:
            depth = random.choice((100, 900, 1_100, 100_000))
            return b'{"TableName":' + b"[" * depth + b"]" * depth + b"}", "deep lists"
        case 5:
            depth = random.choice((100, 900, 1_100, 20_000))
            return b'{"a":' * depth + b"1" + b"}" * depth, "deep objects"
        case 6:
            return b"\xef\xbb\xbf" + body, "a byte order mark"
        case 7:
            return random.choice(
                (b"", b"null", b"[]", b'"x"', b"0", b"{}", b" ", b"{}{}", b"\x00")
            ), "another document"
        case 8:
            return body[:-1] + b"," + body[1:] if len(body) > 2 else body, "every member twice"
        case _:
            return body[:place] + body[place + 1 :], "a byte gone"


def mutate_wire(request: Request, random: Random) -> Request:
    """Headers, URL or encoding changed."""
    headers = dict(request.headers)
    match random.randrange(6):
        case 0 if headers:
            gone = random.choice(list(headers))
            del headers[gone]
            return replace(request, headers=headers, done=(*request.done, f"no {gone}"))
        case 1:
            joint = "&" if "?" in request.url else "?"
            return replace(
                request,
                url=request.url + joint + random.choice(STRANGE_QUERIES),
                done=(*request.done, "a query"),
            )
        case 2:
            headers["Content-Encoding"] = random.choice(("gzip", "gzip, gzip", "br", "", "identity"))
            body = gzip.compress(request.body, 1) if random.random() < 0.5 else request.body
            if random.random() < 0.3:
                body = body[: len(body) // 2] + random.randbytes(4)
            return replace(
                request, headers=headers, body=body, done=(*request.done, "encoded"), may_fail=True
            )
        case 3:
            url = request.url.replace("/", random.choice(("//", "/%2f", "/../", "/é", "/%")), 1)
            return replace(
                request, url=url.encode("ascii", "replace").decode(), done=(*request.done, "another path")
            )
        case _:
            name, value = random.choice(STRANGE_HEADERS)
            headers[name] = value
            return replace(request, headers=headers, done=(*request.done, f"{name} is {value[:20]!r}"))
