"""kill -9 under writes to a table that is copied into a data stream: every change of it is there, in order.

Rules of this file: the client is this process, the node another one. A write that got no answer is sent
again, unchanged: where it had been done the second one changes nothing and has no record.
"""

import http.client
import json
import random
from base64 import b64decode
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.crash.node import Node, free_port
from tests.patience import PATIENCE_S, eventually

ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/things"
POINTS = ("write.mutated", "commit.begun", "commit.written", "commit.done", "answer.sent", "commit.written")
ITEMS = 3
Change = tuple[str, int | None, int | None]
"""Item, its number before and after."""


class Client:
    """What was written: item by item the numbers that it had, one after the other."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.numbers: dict[str, list[int]] = {f"item {number}": [0] for number in range(ITEMS)}

    def next(self) -> tuple[str, int]:
        """An item and its next number, which is sent until it is acknowledged."""
        name = self._chance.choice(list(self.numbers))
        return name, self.numbers[name][-1] + 1


def write(node: Node, name: str, number: int) -> None:
    node.call("PutItem", {"TableName": "things", "Item": {"pk": {"S": name}, "n": {"N": str(number)}}})


def write_until_death(node: Node, client: Client, pending: list[tuple[str, int]]) -> None:
    try:
        node.wait_until_answering()
        while True:
            if not pending:
                pending.append(client.next())
            write(node, *pending[0])
            name, number = pending.pop()
            client.numbers[name].append(number)
    except (AssertionError, OSError, http.client.HTTPException):
        pass  # dead: what was sent last is sent again


def kinesis(node: Node, operation: str, **payload: Any) -> Any:
    return node.call(operation, payload, "Kinesis_20131202")


def copied(node: Node) -> list[Change]:
    """What the data stream says, shard by shard."""
    changes: list[Change] = []
    for shard in kinesis(node, "ListShards", StreamName="things")["Shards"]:
        token = kinesis(
            node,
            "GetShardIterator",
            StreamName="things",
            ShardId=shard["ShardId"],
            ShardIteratorType="TRIM_HORIZON",
        )["ShardIterator"]
        while (page := kinesis(node, "GetRecords", ShardIterator=token))["Records"]:
            changes += [read(json.loads(b64decode(record["Data"]))["dynamodb"]) for record in page["Records"]]
            token = page["NextShardIterator"]
    return changes


def read(change: Any) -> Change:
    def number(image: str) -> int | None:
        return int(change[image]["n"]["N"]) if image in change else None

    return change["Keys"]["pk"]["S"], number("OldImage"), number("NewImage")


def firsts(changes: list[Change], name: str) -> list[Change]:
    """The changes of an item in the order in which each appears first."""
    return list(dict.fromkeys(change for change in changes if change[0] == name))


def history(name: str, numbers: list[int]) -> list[Change]:
    return [(name, old or None, new) for old, new in pairwise(numbers)]


def test_every_change_is_in_the_data_stream_in_the_order_of_its_item(tmp_path: Path) -> None:
    chance = random.Random(7)
    node, client = Node(tmp_path, free_port(), ("serve",)), Client(chance)
    pending: list[tuple[str, int]] = []
    node.start()
    node.wait_until_answering()
    key = [{"AttributeName": "pk", "KeyType": "HASH"}]
    kinesis(node, "CreateStream", StreamName="things", ShardCount=2)
    node.call(
        "CreateTable",
        {
            "TableName": "things",
            "KeySchema": key,
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST",
        },
    )
    node.call("EnableKinesisStreamingDestination", {"TableName": "things", "StreamArn": ARN})
    node.kill()
    for point in POINTS:
        node.start(f"{point}:{chance.randint(5, 60)}")
        write_until_death(node, client, pending)
        assert node.wait_for_death(PATIENCE_S), f"{point} was not reached:\n{node.tail()}"
    node.start()
    node.wait_until_answering()
    for name, number in pending:
        write(node, name, number)
        client.numbers[name].append(number)
    written = sum(len(numbers) - 1 for numbers in client.numbers.values())
    changes = eventually(lambda: seen if len(set(seen := copied(node))) >= written else [])
    assert written > 50
    for name, numbers in client.numbers.items():
        assert firsts(changes, name) == history(name, numbers)
    assert node.stop() == 0
