"""PutRecords and GetRecords of data streams, and the same of moto's server in the same run.

Rules of this file: both servers on one core, one after the other, the same requests over one connection that
is opened again where the server closes it. Calls take turns with a whole page or a whole put; the figure is
records a second. moto's server is a development dependency; without it the group says so.
"""

import base64
import http.client
import os
import sys
import time
from collections.abc import Callable, Iterator

import orjson

from bench.load import HEAD
from bench.serving import LOAD_CORE, free_port, started, tailrace

STREAM = "bench"
SHARD = "shardId-000000000000"
RECORDS_A_PUT = 500
RECORDS_A_PAGE = 5_000
PUT = "PutRecords of 500 records of 1 KB"
GET = "GetRecords of 5,000 records of 1 KB"


class Client:
    """Asks one server, over one connection as long as that stays."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port)
        head = HEAD.replace("/dynamodb/", "/kinesis/").format(service="Kinesis_20131202", operation="?")
        lines = head.split("\r\n")[1:-1]  # moto knows its services by what requests are signed for
        self._headers = dict(line.split(": ", 1) for line in lines)

    def ask(self, operation: str, **members: object) -> bytes:
        """One call. Raises: RuntimeError when it is refused."""
        headers = {
            **self._headers,
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": f"Kinesis_20131202.{operation}",
        }
        self._connection.request("POST", "/", orjson.dumps(members), headers)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(body.decode())
        return body


def measured(port: int, seconds: float) -> dict[str, float]:
    """Records a second, put and read."""
    client = Client(port)
    client.ask("CreateStream", StreamName=STREAM, ShardCount=1)
    data = base64.b64encode(b"x" * 1_000).decode()
    records = [{"Data": data, "PartitionKey": f"k{number}"} for number in range(RECORDS_A_PUT)]
    while b'"ACTIVE"' not in client.ask("DescribeStreamSummary", StreamName=STREAM):
        time.sleep(0.1)
    puts = _calls(seconds, lambda: client.ask("PutRecords", StreamName=STREAM, Records=records))
    for _ in range(RECORDS_A_PAGE // RECORDS_A_PUT):
        client.ask("PutRecords", StreamName=STREAM, Records=records)
    token = orjson.loads(
        client.ask("GetShardIterator", StreamName=STREAM, ShardId=SHARD, ShardIteratorType="TRIM_HORIZON")
    )["ShardIterator"]
    gets = _calls(seconds, lambda: client.ask("GetRecords", ShardIterator=token, Limit=RECORDS_A_PAGE))
    return {PUT: puts * RECORDS_A_PUT, GET: gets * RECORDS_A_PAGE}


def _calls(seconds: float, call: Callable[[], bytes]) -> float:
    """Calls a second."""
    begun = time.perf_counter()
    count = 0
    while (spent := time.perf_counter() - begun) < seconds:
        call()
        count += 1
    return count / spent


def figures(quick: bool) -> Iterator[tuple[str, float]]:
    """All figures of data streams."""
    os.sched_setaffinity(0, LOAD_CORE)
    seconds = 2.0 if quick else 8.0
    with tailrace() as server:
        ours = measured(server.port, seconds)
    yield from ours.items()
    port = free_port()
    with started([sys.executable, "-m", "moto.server", "-p", str(port)], port):
        theirs = measured(port, seconds)
    for name, value in ours.items():
        yield f"{name}, against moto", value / theirs[name]
