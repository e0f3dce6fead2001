"""Positions that a target has beside its rows, as people see and set them: `tailrace dev` with a file of
DuckDB.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.command_line import tailrace
from tests.crash.node import Node, free_port
from tests.patience import eventually

APP = """
from pathlib import Path

from tailrace import App, sinks

app = App("shop")
orders = app.table("orders", pk="id")
app.sink(orders, sinks.DuckDB(Path(__file__).with_name("shop.duckdb"), "orders"))
"""
NAME = "orders.DuckDB"


def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return tailrace(*arguments, "--data", str(directory / "data"))


def asked(directory: Path, *arguments: str) -> Any:
    ran = run(directory, *arguments, "--json")
    return json.loads(ran.stdout) if ran.returncode == 0 else None


def shown(directory: Path) -> dict[str, Any]:
    (handler,) = asked(directory, "checkpoint", "show", NAME)
    return dict(handler)


def counted(directory: Path, changes: int) -> Any:
    """Whether the target has committed so many changes."""
    rows = asked(directory, "sql", "select sum(changes) as n, sum(commits) as c from tailrace_positions")
    return rows if rows and int(rows[0]["n"] or 0) == changes else None


def test_a_checkpoint_that_is_set_to_the_beginning_brings_every_change_again(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    node = Node(tmp_path, free_port(), ("dev", str(tmp_path / "app.py"), "--no-reload"))
    node.start()
    try:
        node.wait_until_answering()
        for number in range(3):
            item = {"id": {"S": f"o{number}"}, "total": {"N": str(number)}}
            node.call("PutItem", {"TableName": "orders", "Item": item})
        node.call("DeleteItem", {"TableName": "orders", "Key": {"id": {"S": "o1"}}})
        first = eventually(lambda: counted(tmp_path, 4))
        handler = shown(tmp_path)
        assert handler["target"] == {"error": None}
        answer = asked(tmp_path, "checkpoint", "set", NAME, "beginning")
        assert answer["repeated"] == 4
        again = eventually(lambda: counted(tmp_path, 8))
        assert int(again[0]["c"]) > int(first[0]["c"])
        assert asked(tmp_path, "sql", "select id, total from orders order by id") == [
            {"id": "o0", "total": 0},
            {"id": "o2", "total": 2},
        ]
        (shard,) = eventually(lambda: [s for s in shown(tmp_path)["shards"] if s["target"] and s["begun"]])
        assert shard["target"]["watermark"] >= handler["shards"][0]["target"]["watermark"]
        assert "TARGET" in run(tmp_path, "checkpoint", "show", NAME).stdout
    finally:
        node.stop()
    offline = run(tmp_path, "checkpoint", "show", NAME)
    assert "where its target stands is not known: no worker that runs the handler" in offline.stdout
    dropped = run(tmp_path, "mapping", "drop", NAME, "--yes")
    assert f"its target keeps the positions of {NAME}" in dropped.stdout
    assert f"DELETE FROM tailrace_positions WHERE mapping = '{NAME}'" in dropped.stdout
