"""A projection that is added today knows what was before it: `tailrace dev`, killed while it is built.

Rules of this file: real processes; what is expected is a fold over what was written, a change at a time.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.command_line import tailrace
from tests.crash.node import Node, free_port
from tests.patience import until

APP = """
import time
from typing import Any

from tailrace import App

app = App("shop")
orders = app.table("orders", pk="id")
app.archive(orders, PLACE)
"""
ADDED = """

@app.projection(orders, by="status", history=True)
def ever(count: int, order: dict[str, Any], sign: int) -> int:
    time.sleep(0.002)  # so long that a kill comes in the middle
    return count + (sign > 0)
"""
ITEMS = 400


def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return tailrace("projection", *arguments, "--data", str(directory / "data"))


def begun(directory: Path, *added: str) -> Node:
    place = repr(str(directory / "history"))
    (directory / "app.py").write_text("".join([APP.replace("PLACE", place), *added]))
    node = Node(directory, free_port(), ("dev", str(directory / "app.py"), "--no-reload"))
    node.start()
    node.wait_until_answering()
    return node


def builds(directory: Path) -> list[dict[str, Any]]:
    answer = run(directory, "ls", "--json")
    assert answer.returncode == 0, answer.stderr
    shown: list[dict[str, Any]] = json.loads(answer.stdout)
    return shown


def counts(directory: Path) -> dict[str, int]:
    groups = json.loads(run(directory, "show", "ever", "--json").stdout)["groups"]
    return {group["key"]["S"]: int(group["state"]["N"]) for group in groups}


def put(node: Node, number: int, status: str) -> None:
    item = {"id": {"S": f"o{number}"}, "status": {"S": status}}
    node.call("PutItem", {"TableName": "orders", "Item": item})


def test_a_projection_that_is_added_has_what_was_before_it_whenever_its_rebuild_is_killed(
    tmp_path: Path,
) -> None:
    node = begun(tmp_path)
    try:
        for number in range(ITEMS):
            put(node, number, "new")
            put(node, number, "paid")
        for number in range(0, ITEMS, 2):
            node.call("DeleteItem", {"TableName": "orders", "Key": {"id": {"S": f"o{number}"}}})
        node.kill()
    finally:
        node.stop()
    node = begun(tmp_path, ADDED)
    try:
        until(lambda: any(0 < build["items"] < build["total"] for build in builds(tmp_path)), True)
        (build,) = builds(tmp_path)
        assert (build["from"], build["filled"]) == ("journal", False)
        assert ITEMS < build["total"] <= 7 * ITEMS // 2, "changes, and rows of the base"
        assert f"of {build['total']}, about " in run(tmp_path, "ls").stdout
        node.kill()
    finally:
        node.stop()
    node = begun(tmp_path, ADDED)
    try:
        for number in range(3):
            put(node, number, "sent")
        until(lambda: counts(tmp_path), {"new": ITEMS, "paid": ITEMS, "sent": 3})
        assert run(tmp_path, "verify", "ever").returncode == 0
        refused = run(tmp_path, "rebuild", "ever", "--from", "table")
        assert refused.returncode == 1
        assert "the table has only what is" in refused.stderr
        assert "from the journal, beside build 1" in run(tmp_path, "rebuild", "ever", "--dry-run").stdout
        assert "anew from the journal as build 1.1" in run(tmp_path, "rebuild", "ever").stdout
        until(lambda: [build["build"] for build in builds(tmp_path)], ["1.1"])
        assert counts(tmp_path) == {"new": ITEMS, "paid": ITEMS, "sent": 3}
    finally:
        node.stop()
