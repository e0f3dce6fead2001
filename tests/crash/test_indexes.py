"""A node that is killed in the middle of a back-fill goes on with it: the index ends as the table implies.

Rules of this file: a real process, killed at moments between slices while a client writes; what was
acknowledged is noted here, outside of the node.
"""

from pathlib import Path
from typing import Any

from tests.crash.node import Node, free_port

ITEMS = 1_500
KILL_AT_COMMITS = (2, 4, 3)
"""At which commit of a life the process kills itself: with 200 rows a slice, each time
with some slices left.
"""
INDEX = {
    "IndexName": "byKind",
    "KeySchema": [{"AttributeName": "kind", "KeyType": "HASH"}, {"AttributeName": "n", "KeyType": "RANGE"}],
    "Projection": {"ProjectionType": "ALL"},
}


def item(number: int, kind: str) -> dict[str, Any]:
    return {"id": {"S": f"i{number:05}"}, "kind": {"S": kind}, "n": {"N": str(number)}}


def test_a_back_fill_survives_kills_while_items_change(tmp_path: Path) -> None:
    node = Node(tmp_path, free_port())
    node.start()
    node.wait_until_answering()
    kinds = dict.fromkeys(range(ITEMS), "old")
    create_and_load(node, kinds)
    node.stop()

    asked = False
    for died, count in enumerate(KILL_AT_COMMITS):
        node.start(f"commit.done:{count}")
        try:
            node.wait_until_answering()
            if not asked:
                asked = begin(node)
            for number in range(died, ITEMS, 97):
                node.call("PutItem", {"TableName": "things", "Item": item(number, f"new{count}")})
                kinds[number] = f"new{count}"
        except (OSError, AssertionError, ValueError):
            pass  # it died in the middle, as planned; what was not acknowledged is compared with the items
        assert node.wait_for_death(20)
    node.start()
    node.wait_until_answering()
    if not asked and not described(node):
        begin(node)
    wait_until_active(node)
    check(node, kinds)
    assert node.stop() == 0
    node.start()
    node.wait_until_answering()
    check(node, kinds)
    node.stop()


def create_and_load(node: Node, kinds: dict[int, str]) -> None:
    node.call(
        "CreateTable",
        {
            "TableName": "things",
            "BillingMode": "PAY_PER_REQUEST",
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        },
    )
    for start in range(0, ITEMS, 25):
        writes = [
            {"PutRequest": {"Item": item(number, kinds[number])}} for number in range(start, start + 25)
        ]
        node.call("BatchWriteItem", {"RequestItems": {"things": writes}})


def begin(node: Node) -> bool:
    node.call(
        "UpdateTable",
        {
            "TableName": "things",
            "GlobalSecondaryIndexUpdates": [{"Create": INDEX}],
            "AttributeDefinitions": [
                {"AttributeName": "kind", "AttributeType": "S"},
                {"AttributeName": "n", "AttributeType": "N"},
            ],
        },
    )
    return True


def described(node: Node) -> list[dict[str, Any]]:
    indexes: list[dict[str, Any]] = node.call("DescribeTable", {"TableName": "things"})["Table"].get(
        "GlobalSecondaryIndexes", []
    )
    return indexes


def wait_until_active(node: Node) -> None:
    for _ in range(10_000):
        if [index["IndexStatus"] for index in described(node)] == ["ACTIVE"]:
            return
    raise AssertionError(f"the index is never active; the end of the log:\n{node.tail()}")


def check(node: Node, kinds: dict[int, str]) -> None:
    """The index holds every item once, as it is, and acknowledged writes are there."""
    items = {item["id"]["S"]: item for item in node.scan("things")}
    assert len(items) == ITEMS
    entries: list[dict[str, Any]] = []
    start: dict[str, Any] = {}
    while True:
        page = node.call("Scan", {"TableName": "things", "IndexName": "byKind", **start})
        entries += page["Items"]
        if "LastEvaluatedKey" not in page:
            break
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    assert len(entries) == ITEMS
    assert {entry["id"]["S"]: entry for entry in entries} == items
    assert [index["ItemCount"] for index in described(node)] == [ITEMS]
    changed = {number for number, kind in kinds.items() if kind != "old"}
    assert all(items[f"i{number:05}"]["kind"]["S"] != "old" for number in changed)
