"""A server with Lambda functions, in a real process, for the tests of its API."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.crash.node import Node, free_port

FUNCTIONS = """
import json, os

def tally(event, context):
    with open(os.path.join(os.path.dirname(__file__), "output"), "a") as file:
        for record in event["Records"]:
            file.write(record["dynamodb"]["Keys"]["id"]["S"] + "\\n")

def windows(event, context):
    seen = event["state"].get("seen", [])
    names = [record["dynamodb"]["Keys"]["id"]["S"] for record in event["Records"]]
    with open(os.path.join(os.path.dirname(__file__), "output"), "a") as file:
        for name in names or ["final"]:
            file.write(json.dumps([name, seen]) + "\\n")
    return {"state": {"seen": seen + names}}

def arns(event, context):
    with open(os.path.join(os.path.dirname(__file__), "arns"), "a") as file:
        for record in event["Records"]:
            file.write(record["eventSourceARN"] + " " + record["dynamodb"]["Keys"]["id"]["S"] + "\\n")

def echo(event, context):
    return {"event": event, "name": context.function_name}

def fail(event, context):
    print("looking")
    raise LookupError("no such country")

def talk(event, context):
    print("hello from", context.function_name)
    os.system("echo hello from a child")
    print("x" * event.get("more", 0))
    return {"region": os.environ.get("PLACE"), "timeout": context.get_remaining_time_in_millis() // 1000,
            "custom": context.client_context and context.client_context.custom}

def linger(event, context):
    import threading
    with open(os.path.join(os.path.dirname(__file__), "lingered"), "a") as file:
        print(os.getpid(), file=file)
    while not os.path.exists(os.path.join(os.path.dirname(__file__), "go")):
        threading.Event().wait(0.02)

def sleep(event, context):
    print("sleeping", flush=True)
    import threading
    threading.Event().wait(event.get("seconds", 0))
"""
ORDERS = {
    "TableName": "orders", "BillingMode": "PAY_PER_REQUEST",
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
}  # fmt: skip


NAMES = ("tally", "echo", "fail", "talk", "linger", "sleep")


class Shop:
    """A server with functions, and clients of it."""

    def __init__(self, directory: Path, more: tuple[str, ...] = (), serving: tuple[str, ...] = ()) -> None:
        (directory / "functions.py").write_text(FUNCTIONS)
        self.output = directory / "output"
        options = [f"--function={name}=functions:{name}" for name in (*NAMES, *more)]
        self.node = Node(directory, free_port(), ("serve", *options, *serving))
        self.start()

    def start(self) -> None:
        """Begin, or begin again."""
        self.node.start()
        self.node.wait_until_answering()
        given: dict[str, Any] = {
            "endpoint_url": f"http://127.0.0.1:{self.node.port}",
            "region_name": "us-east-1",
            "aws_access_key_id": "any",
            "aws_secret_access_key": "any",
            "config": Config(retries={"total_max_attempts": 1}, parameter_validation=False),
        }
        self.client = boto3.client("lambda", **given)
        self.tables = boto3.client("dynamodb", **given)

    def stream(self) -> str:
        """A table's stream."""
        return str(self.tables.create_table(**ORDERS)["TableDescription"]["LatestStreamArn"])

    def put(self, name: str) -> None:
        """Write an order."""
        self.tables.put_item(TableName="orders", Item={"id": {"S": name}})

    def lines(self) -> list[str]:
        """What the function was given."""
        return self.output.read_text().split() if self.output.exists() else []

    def state(self, uuid: str) -> str:
        """A mapping's state; "gone" when there is none."""
        try:
            return str(self.client.get_event_source_mapping(UUID=uuid)["State"])
        except self.client.exceptions.ResourceNotFoundException:
            return "gone"


def new_table(
    client: Any, name: str, keys: Sequence[str], indexes: Mapping[str, tuple[str, str]] | None = None
) -> str:
    """Make a table with these keys, texts, and a stream that shows both images; returns the stream's ARN."""
    schema = list(zip(keys, ("HASH", "RANGE"), strict=False))
    global_indexes = [
        {
            "IndexName": index,
            "KeySchema": [
                {"AttributeName": key, "KeyType": kind}
                for key, kind in zip(of, ("HASH", "RANGE"), strict=True)
            ],
            "Projection": {"ProjectionType": "ALL"},
        }
        for index, of in (indexes or {}).items()
    ]
    more = {"GlobalSecondaryIndexes": global_indexes} if global_indexes else {}
    keys = [*keys, *(key for of in (indexes or {}).values() for key in of)]
    made = client.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in schema],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        **more,
    )
    return str(made["TableDescription"]["LatestStreamArn"])


def refused(call: Callable[..., Any], **given: Any) -> tuple[str, str, int]:
    """An error's code, words and status."""
    with pytest.raises(ClientError) as caught:
        call(**given)
    answer: Any = caught.value.response
    return (
        answer["Error"]["Code"],
        answer["Error"]["Message"],
        answer["ResponseMetadata"]["HTTPStatusCode"],
    )


@contextmanager
def opened(directory: Path) -> Iterator[Shop]:
    """A shop whose functions are importable, until the block ends."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(directory), prepend=":")
        shop = Shop(directory)
        yield shop
        shop.node.stop()
