"""The commands about projections, beside a running server and without one: real processes,
killed and started again.
"""

import json
import runpy
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

from tailrace import connect
from tests.command_line import tailrace
from tests.crash.node import Node, free_port
from tests.patience import until

APP = """
from decimal import Decimal
from typing import Any

from tailrace import App

app = App("shop")
orders = app.table("orders", pk="id")


@app.projection(orders, by="country", version=VERSION)
def sales(total: Decimal, order: dict[str, Any], sign: int) -> Decimal:
    return total + sign * order["total"] * VERSION
"""


def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return tailrace("projection", *arguments, "--data", str(directory / "data"))


def asked(directory: Path, *arguments: str) -> Any:
    answer = run(directory, *arguments, "--json")
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def begun(directory: Path, version: int) -> Node:
    (directory / "app.py").write_text(APP.replace("VERSION", str(version)))
    node = Node(directory, free_port(), ("dev", str(directory / "app.py"), "--no-reload"))
    node.start()
    node.wait_until_answering()
    return node


def put(node: Node, key: str, country: str, total: int) -> None:
    item = {"id": {"S": key}, "country": {"S": country}, "total": {"N": str(total)}}
    node.call("PutItem", {"TableName": "orders", "Item": item})


def until_groups(directory: Path, expected: dict[str, int]) -> None:
    def shown() -> dict[str, int]:
        groups = asked(directory, "show", "sales")["groups"]
        return {group["key"]["S"]: int(group["state"]["N"]) for group in groups}

    until(shown, expected)


def test_a_projection_lives_through_a_kill_a_version_and_a_person(tmp_path: Path) -> None:
    node = begun(tmp_path, 1)
    try:
        for number in range(20):
            put(node, f"o{number % 4}", "NL" if number % 3 else "BE", number)
        node.kill()
    finally:
        node.stop()
    node = begun(tmp_path, 1)
    try:
        put(node, "o9", "FR", 5)
        until_groups(tmp_path, {"BE": 18, "NL": 16 + 17 + 19, "FR": 5})
        verdict = run(tmp_path, "verify", "sales")
        assert (verdict.returncode, verdict.stdout) == (
            0,
            "sales, build 1: 5 items, 3 groups: as the table has them\n",
        )
        assert run(tmp_path, "swap", "sales").returncode == 1
        assert (
            "beside build 1; the new build is served when"
            in run(tmp_path, "rebuild", "sales", "--dry-run").stdout
        )
        waited = run(tmp_path, "rebuild", "sales", "--wait")
        assert waited.returncode == 0, waited.stderr
        assert "is built anew as build 1.1" in waited.stdout
        assert waited.stdout.endswith("sales: build 1.1 is served\n")
        again = asked(tmp_path, "rebuild", "sales", "--wait")
        assert (again["build"], again["served"], again["items"]) == ("1.2", True, 5)
        assert asked(tmp_path, "rebuild", "sales", "--wait", "--dry-run")["served"] == "1.2"
    finally:
        node.stop()
    node = begun(tmp_path, 2)
    try:
        until_groups(tmp_path, {"BE": 36, "NL": 104, "FR": 10})
        app = runpy.run_path(str(tmp_path / "app.py"))["app"]
        connect(app, tmp_path / "data")
        assert dict(app.projected("sales")) == {"BE": 36, "NL": 104, "FR": 10}
        assert (app.projected("sales")["FR"], app.projected("sales").count("BE")) == (Decimal(10), 1)
        (build,) = asked(tmp_path, "ls")
        assert (build["build"], build["served"], build["handler"]) == ("2", True, "sales@v2")
    finally:
        node.stop()
    offline = run(tmp_path, "show", "sales")
    assert offline.stdout.splitlines()[0] == "sales: 3 groups in build 2"
    refused = run(tmp_path, "verify", "sales")
    assert refused.returncode == 1
    assert "needs the function of 'sales', and no app that declares it runs here" in refused.stderr
