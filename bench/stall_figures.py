"""The longest stall: how long the worst requests hold up another client, in processor time of the server's
loop.

Rules of this file: a client asks for one item again and again while one of the worst requests is under way on
another connection. What counts is the processor time that the thread of the server's loop uses between
question and answer, so that a busy machine makes no stall. The limit is issue 10's: 100 ms.
`python -m bench --only stall` prints each request's share.
"""

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.http_figures import checked, create_table, item, key
from bench.load import request, run
from bench.serving import Server, tailrace

LIMIT_MS = 100.0
TABLE = "bench"
BODY = 16 * 1024 * 1024 - 1_000
PATIENCE_S = 300
console = Console(stderr=True)


@dataclass(slots=True)
class Stall:
    """What a healthy client met. Units: milliseconds of processor time, seconds."""

    status: int = 0
    longest_ms: float = 0.0
    asked: int = 0
    seconds: float = 0.0


def placed(number: int, **more: Any) -> dict[str, Any]:
    """An item of the partition `large`."""
    return {"pk": {"S": "large"}, "sk": {"S": f"{number:04d}"}, **more}


def put(**more: Any) -> bytes:
    """PutItem of the one item that conditions and updates are tried on."""
    return request("PutItem", {"TableName": TABLE, "Item": {"pk": {"S": "one"}, "sk": {"S": "one"}, **more}})


def update(text: str, values: Any) -> bytes:
    """UpdateItem of that item."""
    return request(
        "UpdateItem",
        {
            "TableName": TABLE,
            "Key": {"pk": {"S": "one"}, "sk": {"S": "one"}},
            "UpdateExpression": text,
            "ExpressionAttributeValues": values,
        },
    )


def batch(**more: Any) -> bytes:
    """BatchWriteItem of 25 such items."""
    return request(
        "BatchWriteItem",
        {"RequestItems": {TABLE: [{"PutRequest": {"Item": placed(number, **more)}} for number in range(25)]}},
    )


def transaction(count: int, **more: Any) -> bytes:
    """TransactWriteItems of so many such items."""
    return request(
        "TransactWriteItems",
        {
            "TransactItems": [
                {"Put": {"TableName": TABLE, "Item": placed(number, **more)}} for number in range(count)
            ]
        },
    )


def nested(count: int) -> dict[str, Any]:
    """A list of many small maps."""
    return {"L": [{"M": {"a": {"L": [{"NULL": True}]}}} for _ in range(count)]}


def gzipped(raw: bytes, times: int) -> bytes:
    """A request that is said to be compressed so many times."""
    head, _, body = raw.partition(b"\r\n\r\n")
    body = gzip.compress(body)
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length")]
    lines += [b"Content-Encoding: " + b",".join([b"gzip"] * times), b"Content-Length: %d" % len(body)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def padded(raw: bytes, size: int = BODY) -> bytes:
    """A request whose body is blanks to that size."""
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length")]
    lines.append(b"Content-Length: %d" % size)
    return b"\r\n".join(lines) + b"\r\n\r\n" + body + b" " * (size - len(body))


def worst() -> Iterator[tuple[str, Callable[[], list[bytes]]]]:
    """The worst requests by name, made when they are sent; all but the last of each only prepare."""
    one_of = {f":v{number}": {"S": f"no {number}"} for number in range(100)}
    nulls = {"l": {"L": [{"NULL": True}] * 200_000}}
    large = {"s": {"S": "x" * 390_000}}
    scan = {
        "TableName": "tiny",
        "FilterExpression": f"s IN ({', '.join(one_of)})",
        "ExpressionAttributeValues": one_of,
    }
    keys = [{"pk": {"S": "large"}, "sk": {"S": f"{number:04d}"}} for number in range(25)]
    get = {"RequestItems": {TABLE: {"Keys": keys}}}
    query = {
        "TableName": TABLE,
        "KeyConditionExpression": "pk = :p",
        "ExpressionAttributeValues": {":p": {"S": "large"}},
    }
    yield "Scan of tiny items, IN of 100", lambda: [request("Scan", scan)]
    yield "Scan of tiny items as they are", lambda: [request("Scan", {"TableName": "tiny"})]
    yield "BatchWriteItem of 25 nested items", lambda: [batch(l=nested(12_000))]
    yield "BatchWriteItem of 25 × 390 KB", lambda: [batch(**large)]
    yield "BatchGetItem of 25 × 390 KB", lambda: [request("BatchGetItem", get)]
    yield (
        "Query of 1 MB, compressed",
        lambda: [request("Query", query).replace(b"X-Amz-Date", b"Accept-Encoding: gzip\r\nX-Amz-Date")],
    )
    yield "PutItem of 16 MB of lists", lambda: [put(l={"L": [{"L": []}] * (BODY // 9)})]
    yield (
        "PutItem of a 16 MB number set",
        lambda: [put(n={"NS": [str(number) for number in range(1_600_000)]})],
    )
    yield "PutItem of 16 MB of blanks", lambda: [padded(put(a={"S": "x"}))]
    yield "PutItem of 200,000 elements", lambda: [put(**nulls)]
    yield "UpdateItem of 200,000 elements", lambda: [update("SET a = :a", {":a": {"S": "x"}})]
    yield "a condition of 140 operators on them", lambda: [update_if(" OR ".join(["contains(l, :a)"] * 140))]
    yield (
        "list_append of them, 100 times",
        lambda: [
            update(
                "SET " + ", ".join(f"a{number} = list_append(l, l)" for number in range(100)) + ", b = :a",
                {":a": {"S": "x"}},
            )
        ],
    )
    yield "TransactWriteItems of 10 × 390 KB", lambda: [transaction(10, a={"S": "y"}, **large)]
    yield "TransactWriteItems of 5 × 200,000 elements", lambda: [transaction(5, **nulls)]
    yield "the same again, changed", lambda: [transaction(5, a={"S": "y"}, **nulls)]
    yield (
        "TransactGetItems of 10 × 390 KB",
        lambda: [
            request(
                "TransactGetItems",
                {"TransactItems": [{"Get": {"TableName": TABLE, "Key": key}} for key in keys[10:20]]},
            )
        ],
    )
    yield "gzip two hundred times", lambda: [gzipped(padded(put(a={"S": "x"})), 200)]
    yield "gzip of 16 MB of blanks", lambda: [gzipped(padded(put(a={"S": "x"})), 1)]
    yield "DeleteTable of tiny items", lambda: [request("DeleteTable", {"TableName": "tiny"})]


def update_if(condition: str) -> bytes:
    """UpdateItem of that item under a condition."""
    return request(
        "UpdateItem",
        {
            "TableName": TABLE,
            "Key": {"pk": {"S": "one"}, "sk": {"S": "one"}},
            "UpdateExpression": "SET a = :a",
            "ConditionExpression": condition,
            "ExpressionAttributeValues": {":a": {"S": "x"}},
        },
    )


def figures() -> Iterator[tuple[str, float]]:
    """The longest stall over all of them, and what a healthy client is answered beside them."""
    with tailrace() as server:
        checked(run(server.port, lambda _: iter([create_table(), create_table("tiny")]), 1), "CreateTable")
        checked(
            run(server.port, lambda _: iter([request("PutItem", {"TableName": TABLE, "Item": item(0)})]), 1),
            "PutItem",
        )
        checked(run(server.port, lambda _: tiny(30_000), 1), "filling")
        yield from measured(server)


def tiny(count: int) -> Iterator[bytes]:
    """So many items of a few bytes."""
    for first in range(0, count, 25):
        yield request(
            "BatchWriteItem",
            {
                "RequestItems": {
                    "tiny": [
                        {
                            "PutRequest": {
                                "Item": {
                                    "pk": {"S": f"{number % 8}"},
                                    "sk": {"S": f"{number:x}"},
                                    "s": {"S": "a"},
                                }
                            }
                        }
                        for number in range(first, first + 25)
                    ]
                }
            },
        )


def measured(server: Server) -> Iterator[tuple[str, float]]:
    """Every request in turn."""
    whole = Stall()
    for name, make in worst():
        *before, last = make()
        for request_before in before:
            ask(server.port, request_before)
        met = beside(server, last)
        console.print(
            f"    {name} ({met.status}): {met.longest_ms:,.1f} ms, beside it "
            f"{met.asked / met.seconds:,.0f} answers/s",
            highlight=False,
        )
        whole.longest_ms = max(whole.longest_ms, met.longest_ms)
        whole.asked += met.asked
        whole.seconds += met.seconds
    yield "longest stall", whole.longest_ms
    yield "a healthy client beside the worst requests", whole.asked / whole.seconds


def beside(server: Server, raw: bytes) -> Stall:
    """What a healthy client meets while a request is under way."""
    met = Stall()

    def send() -> None:
        met.status = int(ask(server.port, raw).split()[1])

    asking = threading.Thread(target=send)
    question = request("GetItem", {"TableName": TABLE, "Key": key(0)})
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE_S) as client:
        exchange(client, question)
        begun = time.perf_counter()
        asking.start()
        while asking.is_alive():
            used = used_ms(server.process.pid)
            exchange(client, question)
            met.longest_ms = max(met.longest_ms, used_ms(server.process.pid) - used)
            met.asked += 1
        met.seconds = time.perf_counter() - begun
    asking.join()
    return met


def used_ms(pid: int) -> float:
    """Processor time of the thread of the server's loop. Units: milliseconds."""
    return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0]) / 1e6


def ask(port: int, raw: bytes) -> bytes:
    """One request on a connection of its own; any answer will do."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as client:
        return exchange(client, raw)


def exchange(client: socket.socket, raw: bytes) -> bytes:
    """Send, then receive one whole answer."""
    client.sendall(raw)
    data = bytearray()
    while b"\r\n\r\n" not in data:
        data += client.recv(1_048_576) or end()
    head, _, body = bytes(data).partition(b"\r\n\r\n")
    left = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]) - len(body)
    while left > 0:
        left -= len(client.recv(1_048_576) or end())
    return head


def end() -> bytes:
    """The server has closed."""
    raise ConnectionError("the server closed the connection without an answer")
