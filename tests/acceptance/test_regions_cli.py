"""The commands about a table that is in another region than its app: real processes."""

import json
import subprocess
import sys
from collections.abc import Iterator

import boto3
import pytest

from tests.command_line import tailrace
from tests.crash.node import Node, free_port
from tests.patience import PATIENCE_S, until

ARN = "arn:aws:dynamodb:eu-west-1:000000000000:table/orders"
APP = """
from tailrace import App, Change, Retry

app = App("shop")
orders = app.table("orders", pk="id", region="eu-west-1")


@app.on(orders, retry=Retry(1, backoff="10ms..20ms"))
def note(change: Change) -> None:
    if change.key == "bad":
        raise ValueError("no such country: 17")
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    directory = tmp_path_factory.mktemp("regions")
    (directory / "app.py").write_text(APP)
    running = Node(directory, free_port(), ("dev", str(directory / "app.py"), "--no-reload"))
    running.start()
    running.wait_until_answering()
    client = boto3.client(
        "dynamodb",
        region_name="eu-west-1",
        endpoint_url=f"http://127.0.0.1:{running.port}",
        aws_access_key_id="any",
        aws_secret_access_key="thing",
    )
    for key in ("good", "bad"):
        client.put_item(TableName="orders", Item={"id": {"S": key}})
    yield running
    running.stop()


def run(node: Node, *arguments: str) -> str:
    """What a command prints."""
    answer = tailrace(*arguments, "--data", str(node.directory / "data"))
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_tail_prints_the_changes_of_the_table_that_its_arn_names(node: Node) -> None:
    command = [sys.executable, "-m", "tailrace", "tail", ARN, "--from-start", "--json"]
    tail = subprocess.Popen([*command, "--data", str(node.directory / "data")], stdout=subprocess.PIPE)
    try:
        assert tail.stdout is not None
        changes = [json.loads(tail.stdout.readline()) for _ in range(2)]
    finally:
        tail.terminate()
        tail.communicate(timeout=PATIENCE_S)
    assert [change["new"]["id"]["S"] for change in changes] == ["good", "bad"]


def test_shards_are_listed_and_split_by_the_arn(node: Node) -> None:
    before = json.loads(run(node, "shards", "ls", ARN, "--json"))
    run(node, "shards", "split", ARN)
    after = json.loads(run(node, "shards", "ls", ARN, "--json"))
    assert len(after["shards"]) > len(before["shards"]) > 0


def test_status_and_dlq_call_the_table_by_its_arn(node: Node) -> None:
    def letters() -> int:
        return len(json.loads(run(node, "dlq", "ls", "--json"))["letters"])

    until(letters, 1)
    letter = json.loads(run(node, "dlq", "ls", "--json"))["letters"][0]
    assert letter["table"] == ARN
    assert ARN in run(node, "status")
    assert "no such country: 17" in run(node, "why", f"{ARN}/bad")
