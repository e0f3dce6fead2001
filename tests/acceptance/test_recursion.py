"""Handlers that call themselves through real clients and real processes: stopped, told about,
and put on again.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.command_line import tailrace
from tests.crash.node import Node, free_port
from tests.patience import until

APP = """
import boto3
from tailrace import App

app = App("shop")
orders = app.table("orders", pk="id")
notes = app.table("notes", pk="id")
client = boto3.client("dynamodb")


def again(table, item):
    raised = {**item, "n": {"N": str(int(item["n"]["N"]) + 1)}}
    client.put_item(TableName=table, Item=raised)


@app.on(orders, max_generations=5)
def in_thread(change):
    again("orders", change.raw_new)


def lambda_handler(event, context):
    for record in event["Records"]:
        again("notes", record["dynamodb"]["NewImage"])


app.function(
    lambda_handler, notes, id="in_process", BatchSize=10, MaximumRetryAttempts=3, MaximumRecordAgeInSeconds=60
)
"""


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    """`tailrace dev` of both handlers, whose clients speak to it."""
    (tmp_path / "looping.py").write_text(APP)
    port = free_port()
    for name, value in (
        ("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}"), ("AWS_ACCESS_KEY_ID", "any"),
        ("AWS_SECRET_ACCESS_KEY", "any"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    node = Node(tmp_path, port, ("dev", str(tmp_path / "looping.py"), "--no-reload", "--quiet"))
    node.start()
    node.wait_until_answering()
    yield node
    node.stop()


def asked(node: Node, *words: str) -> Any:
    """What the command line answers beside the running node."""
    answer = tailrace(*words, "--data", str(node.directory / "data"), "--json")
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def paused(node: Node) -> dict[str, Any]:
    """Why each handler is paused."""
    return {handler["handler"]: handler["pause_reason"] for handler in asked(node, "status")["handlers"]}


def number(node: Node, table: str) -> int:
    """How far the item of a table has come."""
    import boto3

    client = boto3.client("dynamodb", endpoint_url=f"http://127.0.0.1:{node.port}")
    return int(client.get_item(TableName=table, Key={"id": {"S": "o1"}})["Item"]["n"]["N"])


def test_handlers_that_write_to_their_own_tables_through_boto3_are_stopped_and_resumed(node: Node) -> None:
    import boto3

    client = boto3.client("dynamodb", endpoint_url=f"http://127.0.0.1:{node.port}")
    for table in ("orders", "notes"):
        client.put_item(TableName=table, Item={"id": {"S": "o1"}, "n": {"N": "0"}})
    until(lambda: {name for name, reason in paused(node).items() if reason}, {"in_thread", "in_process"})
    assert (number(node, "orders"), number(node, "notes")) == (5, 16)
    reasons = paused(node)
    assert "the change of o1 is number 5 in one line of its own changes" in reasons["in_thread"]
    assert "in_process writes to notes, which it reads" in reasons["in_process"]
    assert "tailrace resume in_thread" in node.log.read_text()
    with urlopen(f"http://127.0.0.1:{node.port}/metrics") as answer:
        metrics = answer.read().decode()
    assert 'tailrace_own_changes_total{handler="in_process"} 15.0' in metrics
    told = asked(node, "resume", "in_thread")
    assert (told["was_paused"], told["paused"]) == (True, False)
    until(lambda: number(node, "orders"), 10)
    until(lambda: "number 10" in (paused(node)["in_thread"] or ""), True)
