"""Lambda functions behind `tailrace dev`: real processes, and handlers written with AWS Lambda
Powertools, as they are.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.crash.node import Node, free_port
from tests.patience import eventually

APP = """
from tailrace import App

app = App("shop")
orders = app.table("orders", pk="id")
app.function("orders_function:lambda_handler", orders, Timeout=2, MaximumRetryAttempts=1,
             Environment={"Variables": SETTINGS}, FunctionResponseTypes=["ReportBatchItemFailures"])
"""
PLAIN = """
import os, json, threading

def lambda_handler(event, context):
    for record in event["Records"]:
        image = record["dynamodb"]["NewImage"]
        with open(os.environ["OUTPUT"], "a") as file:
            file.write(json.dumps([image["id"]["S"], os.getpid(), context.function_name]) + "\\n")
        if image["id"]["S"] == "hang":
            threading.Event().wait(30)
"""
POWERTOOLS = """
import json, os
import boto3
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import DynamoDBRecord
from aws_lambda_powertools.utilities.idempotency import (
    DynamoDBPersistenceLayer, IdempotencyConfig, idempotent_function,
)
from botocore.config import Config

processor = BatchProcessor(event_type=EventType.DynamoDBStreams)
store = DynamoDBPersistenceLayer(
    table_name="idempotency", boto_config=Config(retries={"total_max_attempts": 1})
)
config = IdempotencyConfig(event_key_jmespath="id")


@idempotent_function(data_keyword_argument="order", persistence_store=store, config=config)
def pay(order):
    with open(os.environ["OUTPUT"], "a") as file:
        file.write(json.dumps([order["id"], order["total"]]) + "\\n")
    return {"paid": True}


def take(record: DynamoDBRecord):
    image = record.dynamodb.new_image
    if image["id"] == "bad":
        raise ValueError("bad order")
    pay(order={"id": image["id"].split("/")[0], "total": str(image["total"])})


def lambda_handler(event, context):
    config.register_lambda_context(context)
    return process_partial_response(event=event, record_handler=take, processor=processor, context=context)
"""


class Shop:
    """A node whose function writes lines."""

    def __init__(self, directory: Path, function: str, **variables: str) -> None:
        self.output = directory / "output"
        port = free_port()
        settings = {"OUTPUT": str(self.output), **variables}
        if "PORT" in settings:
            settings["AWS_ENDPOINT_URL_DYNAMODB"] = f"http://127.0.0.1:{port}"
            del settings["PORT"]
        (directory / "app.py").write_text(APP.replace("SETTINGS", repr(settings)))
        (directory / "orders_function.py").write_text(function)
        self.directory = directory
        self.node = Node(directory, port, ("dev", str(directory / "app.py"), "--no-reload"))
        self.node.start()
        self.node.wait_until_answering()

    def put(self, *ids: str) -> None:
        for name in ids:
            self.node.call(
                "PutItem", {"TableName": "orders", "Item": {"id": {"S": name}, "total": {"N": "7"}}}
            )

    def lines(self, wanted: int) -> list[Any]:
        """The lines, as soon as there are so many."""

        def written() -> list[Any] | None:
            lines = self.output.read_text().splitlines() if self.output.exists() else []
            return [json.loads(line) for line in lines] if len(lines) >= wanted else None

        return eventually(written) or []


@pytest.fixture
def shops(tmp_path: Path) -> Iterator[list[Shop]]:
    """Shops that are closed afterwards."""
    shops: list[Shop] = []
    yield shops
    for shop in shops:
        shop.node.stop()


def test_a_function_runs_in_a_process_of_its_own_and_ends_with_the_node(
    shops: list[Shop], tmp_path: Path
) -> None:
    shops.append(shop := Shop(tmp_path, PLAIN))
    shop.put("a", "b")
    lines = shop.lines(2)
    assert [(name, function) for name, _, function in lines] == [
        ("a", "lambda_handler"),
        ("b", "lambda_handler"),
    ]
    pid = lines[0][1]
    assert Path(f"/proc/{pid}").exists() or not Path("/proc").exists()
    shops.remove(shop)
    assert shop.node.stop() == 0
    assert not Path(f"/proc/{pid}").exists()


def test_a_function_that_hangs_is_killed_and_what_comes_after_it_goes_on(
    shops: list[Shop], tmp_path: Path
) -> None:
    shops.append(shop := Shop(tmp_path, PLAIN))
    shop.put("a")
    assert [line[0] for line in shop.lines(1)] == ["a"]
    shop.put("hang")
    assert [line[0] for line in shop.lines(2)] == ["a", "hang"]
    shop.put("c")
    assert [line[0] for line in shop.lines(4)] == ["a", "hang", "hang", "c"]
    told = shop.node.log.read_text()
    assert "Error: Task timed out after 2.00 seconds" in told
    assert "Traceback" not in told


def test_handlers_of_powertools_run_as_they_are(shops: list[Shop], tmp_path: Path) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "POWERTOOLS_SERVICE_NAME": "shop"}
    shops.append(shop := Shop(tmp_path, POWERTOOLS, PORT="", **keys))
    shop.node.call(
        "CreateTable",
        {
            "TableName": "idempotency",
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        },
    )
    shop.put("o1", "bad", "o2", "o1/again")
    assert shop.lines(2) == [["o1", "7"], ["o2", "7"]]
    time.sleep(1)
    assert shop.lines(2) == [["o1", "7"], ["o2", "7"]], "idempotency let the second o1 pass"
