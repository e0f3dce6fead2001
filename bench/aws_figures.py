"""Calls of DynamoDB that one core makes in a second: our client beside boto3's, against the same
`tailrace serve`.

Rules of this file: a second is one of this process's CPU, so that neither the server nor what else runs
here counts. boto3 has threads, ours has tasks of one uvloop, as a worker has; both as many calls at once,
each of them a put or a get of one small item. They take turns, in the same run, and the best turn of each
counts: their ratio means something on any machine.
"""

import asyncio
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import uvloop

from bench.serving import LOAD_CORE, tailrace
from tailrace.aws.client import call
from tailrace.aws.places import Access

AT_ONCE = 16
TABLE = "bench"
ITEM = {"pk": {"S": "0"}, "n": {"N": "1"}, "text": {"S": "x" * 300}}
KEY = {"pk": {"S": "0"}}
OPERATIONS = {"PutItem": ("put_item", {"Item": ITEM}), "GetItem": ("get_item", {"Key": KEY})}
ACCOUNT = {
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def figures(quick: bool) -> Iterator[tuple[str, float]]:
    """Calls that a second of this process's CPU makes, by both clients, and the ratio of ours to boto3's."""
    os.sched_setaffinity(0, LOAD_CORE)
    os.environ.update(ACCOUNT)
    seconds, turns = (0.5, 3) if quick else (2.0, 5)
    with tailrace() as server:
        access = Access("us-east-1", f"http://127.0.0.1:{server.port}")
        asyncio.run(_make_table(access))
        for operation in OPERATIONS:
            theirs, ours = 0.0, 0.0
            for _ in range(turns):
                theirs = max(theirs, _boto3(access, operation, seconds))
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    ours = max(ours, runner.run(_ours(access, operation, seconds)))
            yield f"boto3 {operation}", theirs
            yield f"our client {operation}", ours
            yield f"our client {operation}, against boto3", ours / theirs


async def _make_table(access: Access) -> None:
    keys = {"KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}], "BillingMode": "PAY_PER_REQUEST"}
    names = [{"AttributeName": "pk", "AttributeType": "S"}]
    await call(
        access, "dynamodb", "create_table", {"TableName": TABLE, "AttributeDefinitions": names, **keys}
    )


async def _ours(access: Access, operation: str, seconds: float) -> float:
    name, members = OPERATIONS[operation]
    parameters = {"TableName": TABLE, **members}
    await call(access, "dynamodb", name, parameters)
    calls, begun, spent = 0, time.perf_counter(), time.process_time()

    async def go_on() -> None:
        nonlocal calls
        while time.perf_counter() < begun + seconds:
            await call(access, "dynamodb", name, parameters)
            calls += 1

    await asyncio.gather(*(go_on() for _ in range(AT_ONCE)))
    return calls / (time.process_time() - spent)


def _boto3(access: Access, operation: str, seconds: float) -> float:
    import boto3
    from botocore.config import Config

    client: Any = boto3.client(
        "dynamodb",
        endpoint_url=access.endpoint_url,
        region_name=access.region,
        config=Config(max_pool_connections=AT_ONCE),
    )
    name, members = OPERATIONS[operation]
    method = getattr(client, name)
    method(TableName=TABLE, **members)
    begun, spent = time.perf_counter(), time.process_time()

    def go_on(_: int) -> int:
        calls = 0
        while time.perf_counter() < begun + seconds:
            method(TableName=TABLE, **members)
            calls += 1
        return calls

    with ThreadPoolExecutor(AT_ONCE) as threads:
        calls = sum(threads.map(go_on, range(AT_ONCE)))
    return calls / (time.process_time() - spent)
