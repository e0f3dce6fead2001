"""Figures over HTTP: what one core of server does for clients on the other.

Rules of this file: `serve`'s defaults, full validation, a NEW_AND_OLD_IMAGES stream, 300-byte items with
distinct keys. Each operation runs against Tailrace, the limit and the peers with the very same requests.
"""

import itertools
import statistics
from collections.abc import Iterator
from tempfile import TemporaryDirectory

from bench.load import Load, Requests, request, run
from bench.serving import Server, limit, tailrace

TABLE = "bench"
PARTITIONS = 10_000
PADDING = "x" * 180


def item(number: int) -> dict[str, dict[str, str]]:
    """An item of about 300 bytes."""
    return {
        "pk": {"S": f"customer#{number:09d}"},
        "sk": {"S": "profile"},
        "name": {"S": f"Customer number {number}"},
        "n": {"N": str(number)},
        "country": {"S": "NL"},
        "padding": {"S": PADDING},
    }


def key(number: int) -> dict[str, dict[str, str]]:
    """The key of an item."""
    return {"pk": {"S": f"customer#{number:09d}"}, "sk": {"S": "profile"}}


def create_table(name: str = TABLE) -> bytes:
    """The table of every figure here."""
    return request(
        "CreateTable",
        {
            "TableName": name,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "S"},
            ],
            "KeySchema": [
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
            "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        },
    )


def puts(start: int, count: int | None = None) -> Requests:
    """PutItem with distinct keys from `start` on, spread over the connections."""
    numbers = itertools.count(start) if count is None else iter(range(start, start + count))

    def requests(connection: int) -> Iterator[bytes]:
        return (request("PutItem", {"TableName": TABLE, "Item": item(number)}) for number in numbers)

    return requests


def cycling(operation: str, payloads: list[dict[str, object]]) -> Requests:
    """Ready-made requests, over and over, each connection from another place."""
    ready = [request(operation, payload) for payload in payloads]

    def requests(connection: int) -> Iterator[bytes]:
        start = connection * 617 % len(ready)
        return itertools.cycle(ready[start:] + ready[:start])

    return requests


def gets(items: int = PARTITIONS) -> Requests:
    """GetItem over items that exist."""
    step = max(1, items // PARTITIONS)
    return cycling("GetItem", [{"TableName": TABLE, "Key": key(number)} for number in range(0, items, step)])


def updates() -> Requests:
    """`SET n = n + :one` over items that exist."""
    return cycling(
        "UpdateItem",
        [
            {
                "TableName": TABLE,
                "Key": key(number),
                "UpdateExpression": "SET n = n + :one",
                "ExpressionAttributeValues": {":one": {"N": "1"}},
            }
            for number in range(PARTITIONS)
        ],
    )


def line_puts() -> Requests:
    """Ten items in each of a thousand partitions, for queries."""
    numbers = iter(range(10_000))

    def requests(connection: int) -> Iterator[bytes]:
        return (
            request(
                "PutItem",
                {
                    "TableName": TABLE,
                    "Item": {
                        **item(number),
                        "pk": {"S": f"order#{number // 10:06d}"},
                        "sk": {"S": f"line#{number % 10}"},
                    },
                },
            )
            for number in numbers
        )

    return requests


def queries() -> Requests:
    """Query of one partition with ten items."""
    return cycling(
        "Query",
        [
            {
                "TableName": TABLE,
                "KeyConditionExpression": "pk = :pk",
                "ExpressionAttributeValues": {":pk": {"S": f"order#{number:06d}"}},
            }
            for number in range(1_000)
        ],
    )


def checked(load: Load, operation: str) -> Load:
    """The load, if every answer was 200. Raises: RuntimeError with the first that was not."""
    if load.errors:
        raise RuntimeError(
            f"{operation}: {load.errors} errors, the first: {load.first_error[:500].decode(errors='replace')}"
        )
    return load


def fill(port: int, start: int = 0, count: int = PARTITIONS) -> None:
    """Put so many items."""
    checked(run(port, puts(start, count), 16), "filling")


def rate(port: int, requests: Requests, connections: int, seconds: float, operation: str) -> float:
    """The median rate of three runs."""
    return statistics.median(
        checked(run(port, requests, connections, seconds / 3), operation).rate for _ in range(3)
    )


def basic_figures(seconds: float) -> Iterator[tuple[str, float]]:
    """The four operations at 16 connections and two of them at one."""
    with tailrace() as server:
        yield from operations(server, seconds)


def operations(server: Server, seconds: float) -> Iterator[tuple[str, float]]:
    """The four operations against a server that speaks DynamoDB's protocol, a peer's too."""
    port = server.port
    checked(run(port, lambda _: iter([create_table()]), 1), "CreateTable")
    yield "PutItem, 16 connections", rate(port, puts(1_000_000), 16, seconds, "PutItem")
    fill(port)
    checked(run(port, line_puts(), 16), "filling lines")
    yield "GetItem, 16 connections", rate(port, gets(), 16, seconds, "GetItem")
    yield "UpdateItem, 16 connections", rate(port, updates(), 16, seconds, "UpdateItem")
    yield "Query of 10 items, 16 connections", rate(port, queries(), 16, seconds, "Query")
    yield "PutItem, 1 connection", rate(port, puts(3_000_000), 1, seconds, "PutItem")
    yield "GetItem, 1 connection", rate(port, gets(), 1, seconds, "GetItem")


def limit_figures(seconds: float) -> Iterator[tuple[str, float]]:
    """The same requests against the bare server."""
    with limit() as server:
        port = server.port
        yield "put", rate(port, puts(1_000_000), 16, seconds, "limit put")
        fill(port)
        yield "get", rate(port, gets(), 16, seconds, "limit get")
        checked(run(port, line_puts(), 16), "limit lines")
        yield "query", rate(port, queries(), 16, seconds, "limit query")
        yield "put, 1 connection", rate(port, puts(3_000_000), 1, seconds, "limit put")
        yield "get, 1 connection", rate(port, gets(), 1, seconds, "limit get")


def full_sync_figures(seconds: float) -> Iterator[tuple[str, float]]:
    """PutItem that survives power loss."""
    with tailrace("--sync", "full") as server:
        checked(run(server.port, lambda _: iter([create_table()]), 1), "CreateTable")
        yield "PutItem, --sync full, 16 connections", rate(server.port, puts(0), 16, seconds, "PutItem full")


def stream_figures() -> Iterator[tuple[str, float]]:
    """GetRecords over HTTP: a reader that catches up on 50,000 records."""
    with tailrace() as server:
        checked(run(server.port, lambda _: iter([create_table()]), 1), "CreateTable")
        fill(server.port, count=50_000)
        from bench.stream_reader import read_all

        records, taken = read_all(server.port, TABLE)
        if records != 50_000:
            raise RuntimeError(f"the stream holds {records} records, not 50,000")
        yield "GetRecords over HTTP", records / taken


def table_figures(tables: int) -> Iterator[tuple[str, float]]:
    """What a thousand tables with streams cost: a put beside them, and the next start."""
    with TemporaryDirectory(prefix="tailrace-bench-") as directory:
        with tailrace("--data", directory) as server:
            port, alone = server.port, server.started_in
            checked(run(port, lambda _: iter([create_table()]), 1), "CreateTable")
            before = rate(port, puts(1_000_000), 16, 3, "PutItem")
            made = run(port, lambda _: (create_table(f"beside{number}") for number in range(tables)), 1)
            checked(made, "CreateTable")
            after = rate(port, puts(2_000_000), 16, 3, "PutItem")
        with tailrace("--data", directory) as server:
            yield "PutItem beside 1,000 tables, against none", before / after
            yield "start with 1,000 tables, against none", server.started_in / alone


def growth_figures(items: int) -> Iterator[tuple[str, float]]:
    """What a hundred times more items cost."""
    with tailrace() as server:
        port = server.port
        checked(run(port, lambda _: iter([create_table()]), 1), "CreateTable")
        fill(port)
        small_put = rate(port, puts(50_000_000), 16, 3, "PutItem")
        small_get = rate(port, gets(), 16, 3, "GetItem")
        fill(port, PARTITIONS, items - PARTITIONS)
        large_put = rate(port, puts(80_000_000), 16, 3, "PutItem")
        large_get = rate(port, gets(items), 16, 3, "GetItem")
        yield "PutItem at 1,000,000 items, against 10,000", small_put / large_put
        yield "GetItem at 1,000,000 items, against 10,000", small_get / large_get
        yield "memory after 1,000,000 items", server.memory_mib()
