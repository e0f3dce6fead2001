"""A client that reads a whole stream over one HTTP connection, as fast as it is answered."""

import http.client
import time
from typing import Any

import orjson

from bench.load import HEAD

FIELDS = dict(
    line.split(": ", 1)
    for line in HEAD.split("\r\n")[1:]
    if ": " in line and "{" not in line and "Length" not in line
)
STREAMS = "DynamoDBStreams_20120810"


def call(connection: http.client.HTTPConnection, service: str, operation: str, payload: object) -> Any:
    """One request."""
    headers = {**FIELDS, "X-Amz-Target": f"{service}.{operation}"}
    connection.request("POST", "/", orjson.dumps(payload), headers)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{operation} answered {answer.status}: {body[:500].decode(errors='replace')}")
    return orjson.loads(body)


def read_all(port: int, table: str) -> tuple[int, float]:
    """Records of all shards, and the seconds that reading them took."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    arn = call(connection, "DynamoDB_20120810", "DescribeTable", {"TableName": table})["Table"][
        "LatestStreamArn"
    ]
    shards = call(connection, STREAMS, "DescribeStream", {"StreamArn": arn})["StreamDescription"]["Shards"]
    begun = time.perf_counter()
    count = sum(_read_shard(connection, arn, shard["ShardId"]) for shard in shards)
    connection.close()
    return count, time.perf_counter() - begun


def _read_shard(connection: http.client.HTTPConnection, arn: str, shard_id: str) -> int:
    iterator = call(
        connection,
        STREAMS,
        "GetShardIterator",
        {
            "StreamArn": arn,
            "ShardId": shard_id,
            "ShardIteratorType": "TRIM_HORIZON",
        },
    )["ShardIterator"]
    count = 0
    while iterator:
        page = call(connection, STREAMS, "GetRecords", {"ShardIterator": iterator})
        if not page["Records"]:
            break
        count += len(page["Records"])
        iterator = page.get("NextShardIterator")
    return count
