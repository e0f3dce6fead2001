"""Transactions on a node that is killed: each takes effect whole and once, or is repeated until it does.

Rules of this file: the client is this process, the node another one. Every transaction adds one to the same
items of two tables under a token of its own; one that got no answer is sent again, unchanged, after the node
is back. So every item and every item's records must count the same.
"""

import http.client
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tailrace.telemetry import WRITE_POINTS
from tests.crash.node import Node, free_port

TABLES = ("left", "right")
ITEMS = ("a", "b", "c")
MOST_SENT = 400
"""A point that is not passed in so many transactions is never passed."""


@dataclass(slots=True)
class Outcome:
    """What happened, and what should not have."""

    acknowledged: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


def run(
    directory: Path,
    seed: int,
    kills: int,
    tell: Callable[[str], None],
    points: Sequence[str] = WRITE_POINTS,
    tokens: Callable[[int], str] = "token-{}".format,
) -> Outcome:
    """Kill a node `kills` times, at each of the points in turn, while transactions are sent to it."""
    outcome = Outcome()
    chance = random.Random(seed)
    node = Node(directory, free_port(), ("serve",))
    node.start()
    node.wait_until_answering()
    for table in TABLES:
        _create(node, table)
    node.kill()
    number = 0
    for kill in range(kills):
        point = points[kill % len(points)]
        # The items are decided one after the other: "mutated" passes in the middle of a transaction.
        node.start(f"{point}:{chance.randint(2, 40)}")
        number = _send_until_death(node, number, tokens, outcome)
        if node.wait_for_death(5):
            outcome.kills[point] += 1
        else:
            outcome.violations.append(f"{point} was not reached; the end of its log:\n{node.tail()}")
        tell(f"transactions: {kill + 1} kills, last at {point}")
    node.start()
    node.wait_until_answering()
    node.call("TransactWriteItems", transaction(tokens(number)))
    _check(node, number, outcome)
    if (code := node.stop()) != 0:
        outcome.violations.append(f"the last node ended with exit code {code}:\n{node.tail()}")
    return outcome


def _create(node: Node, table: str) -> None:
    node.call(
        "CreateTable",
        {
            "TableName": table,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        },
    )


def transaction(token: str) -> dict[str, Any]:
    """One more on every item, once for a token."""
    actions = [
        {
            "Update": {
                "TableName": table,
                "Key": {"id": {"S": item}},
                "UpdateExpression": "ADD n :one",
                "ExpressionAttributeValues": {":one": {"N": "1"}},
            }
        }
        for table in TABLES
        for item in ITEMS
    ]
    return {"ClientRequestToken": token, "TransactItems": actions}


def _send_until_death(node: Node, number: int, tokens: Callable[[int], str], outcome: Outcome) -> int:
    """Send one transaction after the other until the node dies. Returns: the first without an answer."""
    try:
        node.wait_until_answering()
    except AssertionError:  # dead before the first answer
        return number
    try:
        for _ in range(MOST_SENT):
            node.call("TransactWriteItems", transaction(tokens(number)))
            outcome.acknowledged += 1
            number += 1
    except (OSError, http.client.HTTPException):
        pass  # dead: what was sent last is sent again
    return number


def _check(node: Node, last: int, outcome: Outcome) -> None:
    wanted = last + 1
    for table in TABLES:
        items = {item["id"]["S"]: int(item["n"]["N"]) for item in node.scan(table)}
        if items != dict.fromkeys(ITEMS, wanted):
            outcome.violations.append(
                f"{table}: {wanted} transactions were acknowledged, the items have {items}"
            )
        records: dict[str, list[int]] = {item: [] for item in ITEMS}
        for record in node.records(table):
            image = record["dynamodb"]["NewImage"]
            records[image["id"]["S"]].append(int(image["n"]["N"]))
        for item, values in records.items():
            if values != list(range(1, wanted + 1)):
                outcome.violations.append(f"{table}/{item}: the stream has {len(values)} records of {wanted}")
