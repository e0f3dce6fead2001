"""`tailrace schema`: of a data directory, of a server, of an endpoint; real processes."""

import json
import runpy
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import tailrace
from tests.crash.node import Node, free_port

APP = """
from tailrace import App, Item

app = App("shop")
shop = app.table("shop", pk="pk", sk="sk")


class Purchase(Item, table=shop, pk="ORDER#{id}", sk="META"):
    id: str
    total: int
"""
TABLE = {
    "TableName": "shop",
    "BillingMode": "PAY_PER_REQUEST",
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    "AttributeDefinitions": [
        {"AttributeName": "pk", "AttributeType": "S"},
        {"AttributeName": "sk", "AttributeType": "S"},
    ],
}


def items() -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    for number in range(12):
        key = {"pk": {"S": f"ORDER#o{number}"}, "id": {"S": f"o{number}"}}
        total = {"S": "none"} if number == 7 else {"N": f"{number}.5"}
        made.append({**key, "sk": {"S": "META"}, "total": total})
        made.append(
            {
                **key,
                "sk": {"S": f"LINE#{number:03}"},
                "number": {"N": str(number)},
                "tags": {"SS": ["a", "b"]},
            }
        )
    return made


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    running = Node(tmp_path_factory.mktemp("schema"), free_port())
    running.start()
    running.wait_until_answering()
    running.call("CreateTable", TABLE)
    running.call("CreateTable", {**TABLE, "TableName": "empty"})
    for item in items():
        running.call("PutItem", {"TableName": "shop", "Item": item})
    yield running
    running.stop()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    credentials = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "thing"}
    return tailrace("schema", *arguments, environment=credentials)


def directory(node: Node) -> tuple[str, ...]:
    return ("--data", str(node.directory / "data"))


def test_entities_columns_shares_and_conflicts_are_shown(node: Node) -> None:
    shown = run("shop", *directory(node))
    assert shown.returncode == 0, shown.stderr
    lines = [line.split() for line in shown.stdout.splitlines()]
    assert lines[0] == ["shop:", "24", "items", "read"]
    assert ["order", "12", "items", "ORDER#{},", "META"] in lines
    assert ["order_line", "12", "items", "ORDER#{},", "LINE#{}"] in lines
    assert ["total", "decimal(38,1)", "100%", "1"] in [line[:4] for line in lines]
    assert ["tags", "json", "100%", "-"] in [line[:4] for line in lines]
    assert '"total": {"S": "none"}' in shown.stdout


def test_the_written_module_reads_and_writes_the_items(node: Node, tmp_path: Path) -> None:
    written = run("shop", "--items", *directory(node))
    assert written.returncode == 0, written.stderr
    assert "24 items read" in written.stderr
    (tmp_path / "items.py").write_text(written.stdout)
    module = runpy.run_path(str(tmp_path / "items.py"))
    table = module["table"]
    for item in items():
        (entity,) = [entity for entity in table.entities if entity.parts and entity.fits(item)]
        assert entity.encode(entity.decode(item)) == item


def test_an_endpoint_is_sampled_from_all_over_and_says_what_it_cost(node: Node) -> None:
    asked = run(
        "shop",
        "--endpoint",
        f"http://127.0.0.1:{node.port}",
        "--region",
        "us-east-1",
        "--sample",
        "16",
        "--json",
    )
    assert asked.returncode == 0, asked.stderr
    answer = json.loads(asked.stdout)
    assert answer["keys"] == [{"name": "pk", "type": "S"}, {"name": "sk", "type": "S"}]
    assert 8 <= answer["read"]["items"] <= 16
    assert answer["read"]["of"] == 24
    assert answer["read"]["read_units"] >= 4
    assert answer["read"]["usd"] == 0
    assert {entity["entity"] for entity in answer["entities"]} == {"order", "order_line"}


def test_a_sample_of_a_directory_is_bounded(node: Node) -> None:
    answer = json.loads(run("shop", "--sample", "5", "--json", *directory(node)).stdout)
    assert answer["read"] == {"items": 5, "of": 24, "read_units": None, "usd": None}


def test_declared_classes_come_first(node: Node, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    asked = run("shop", "--app", str(tmp_path / "app.py"), "--json", *directory(node))
    assert asked.returncode == 0, asked.stderr
    entities = {entity["entity"]: entity for entity in json.loads(asked.stdout)["entities"]}
    assert entities.keys() == {"Purchase", "order_line"}
    kinds = {column["attribute"]: column["kind"] for column in entities["Purchase"]["columns"]}
    assert kinds == {"pk": "text", "sk": "text", "id": "text", "total": "decimal(38,1)"}
    written = run("shop", "--app", str(tmp_path / "app.py"), "--items", *directory(node))
    assert "class OrderLine(" in written.stdout
    assert "class Order(" not in written.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nothing",), "There is no table 'nothing'; there are: "),
        (("empty",), "has no items, so there is nothing to infer from"),
        (("shop", "--items", "--json"), "give one of them"),
        (("shop", "--sample", "0"), "--sample"),
        (("shop", "--app", "gone.py"), "There is no file gone.py"),
        (("shop", "--endpoint", "nowhere"), "no URL of an endpoint"),
        (
            ("shop", "--region", "eu-west-1"),
            "--data names a node, --endpoint and --region a server of tables",
        ),
    ],
)
def test_what_is_wrong_is_said_with_the_reason(node: Node, arguments: tuple[str, ...], words: str) -> None:
    refused = run(*arguments, *directory(node))
    assert refused.returncode in (1, 2)
    assert words in refused.stderr
    assert refused.stdout == ""
    assert "Traceback" not in refused.stderr


def test_a_table_that_the_app_lacks_is_told_apart_from_one_that_is_not_there(
    node: Node, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(APP)
    refused = run("empty", "--app", str(tmp_path / "app.py"), *directory(node))
    assert "declares no table 'empty'; there are: shop" in refused.stderr


def test_a_table_that_is_not_at_the_endpoint_is_said(node: Node) -> None:
    refused = run("nothing", "--endpoint", f"http://127.0.0.1:{node.port}", "--region", "us-east-1")
    assert refused.returncode == 1
    assert f"There is no table 'nothing' at http://127.0.0.1:{node.port}" in refused.stderr
    assert "delivery" not in refused.stderr, "no worker runs here"
