"""An app's Lambda entries, called by event source mappings of `tailrace serve` through AWS's own runtime
client, in real processes.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.acceptance.lambda_shop import new_table
from tests.crash.node import Node, free_port
from tests.patience import eventually, until

pytest.importorskip("awslambdaric")
SHOP = """
import os
from pathlib import Path
from tailrace import App, Retry

here = Path(__file__).parent
app = App("shop")
tables = {name: app.table(name, pk="id") for name in ("parking", "holding", "unread")}
totals = app.table("totals", pk="id")

def note(name, line):
    with open(here / f"{name}.txt", "a") as file:
        file.write(f"{line}\\n")

def handle(change):
    key, number = change.keys["id"], int(change.new["n"])
    if key.startswith("poison") and not (here / "mended").exists():
        raise ValueError(f"no such order: {key}")
    if os.environ.get("TAILRACE_STATE"):
        change.transaction.update(
            totals, {"id": key}, "ADD changes :one", values={":one": 1}
        )
    note(change.table, f"{key}:{number}")

for name, table in tables.items():
    app.on(table, id=name, retry=Retry(1, backoff="50ms..1s"))(handle)

handler = app.lambda_handler
redriver = app.lambda_redriver
"""
FUNCTIONS = ("parking", "holding", "unread", "redriver")


class Served:
    """A server with the app's functions, in their own processes."""

    def __init__(self, directory: Path) -> None:
        (directory / "shop.py").write_text(SHOP)
        self.directory = directory
        port = free_port()
        functions = [
            f"--function={name}=shop:{'redriver' if name == 'redriver' else 'handler'}" for name in FUNCTIONS
        ]
        self.node = Node(directory, port, ("serve", *functions))
        given: dict[str, Any] = {
            "endpoint_url": f"http://127.0.0.1:{port}", "region_name": "us-east-1",
            "aws_access_key_id": "any", "aws_secret_access_key": "any",
            "config": Config(retries={"total_max_attempts": 1}, read_timeout=120),
        }  # fmt: skip
        self.functions, self.tables = boto3.client("lambda", **given), boto3.client("dynamodb", **given)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", str(directory), prepend=":")
            patch.setenv("TAILRACE_RUNTIME", "awslambdaric")
            patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
            for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
                patch.setenv(name, "any")
            self.node.start()
        self.node.wait_until_answering()
        self.arns = {name: self.table(name) for name in ("parking", "holding", "unread")}
        self.table("totals")
        self.table("state", "pk", "sk")
        for name in FUNCTIONS:
            variables = {"TAILRACE_STATE": "dynamodb:state"} if name in ("parking", "redriver") else {}
            chosen = {} if name == "redriver" else {"TAILRACE_HANDLERS": name}
            self.functions.update_function_configuration(
                FunctionName=name, Timeout=60, Environment={"Variables": {**variables, **chosen}}
            )

    def table(self, name: str, *keys: str) -> str:
        """Make a table with a stream; returns the stream's ARN."""
        return new_table(self.tables, name, keys or ("id",))

    def follow(self, name: str, **settings: Any) -> str:
        """An event source mapping from a table to the function of its name."""
        uuid = self.functions.create_event_source_mapping(
            EventSourceArn=self.arns[name], FunctionName=name, StartingPosition="TRIM_HORIZON", **settings
        )["UUID"]
        until(lambda: self.functions.get_event_source_mapping(UUID=uuid)["State"], "Enabled")
        return str(uuid)

    def put(self, table: str, key: str, number: int) -> None:
        """Write an item."""
        self.tables.put_item(TableName=table, Item={"id": {"S": key}, "n": {"N": str(number)}})

    def lines(self, name: str) -> list[str]:
        """What the handler of a table has handled."""
        file = self.directory / f"{name}.txt"
        return file.read_text().split() if file.exists() else []

    def changes(self, key: str) -> int:
        """How often transactions have counted a key."""
        item = self.tables.get_item(TableName="totals", Key={"id": {"S": key}}).get("Item")
        return 0 if item is None else int(item["changes"]["N"])

    def redrive(self) -> Any:
        """What a schedule's call of the redriver answers."""
        answer = self.functions.invoke(FunctionName="redriver", Payload=b"{}")
        assert "FunctionError" not in answer, answer["Payload"].read()
        return json.loads(answer["Payload"].read())

    def mend(self) -> None:
        """Nothing is poison any more."""
        (self.directory / "mended").touch()

    def break_again(self) -> None:
        """As it was."""
        (self.directory / "mended").unlink(missing_ok=True)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One server for all tests."""
    made = Served(tmp_path_factory.mktemp("entry"))
    yield made
    made.node.stop()


def test_with_a_state_table_a_poison_key_is_parked_and_redriven_by_the_schedule(served: Served) -> None:
    served.break_again()
    for number in range(1, 4):
        for key in ("poison", "a", "b"):
            served.put("parking", key, number)
    served.follow(
        "parking", BisectBatchOnFunctionError=True, FunctionResponseTypes=["ReportBatchItemFailures"]
    )
    others = [f"{key}:{number}" for number in (1, 2, 3) for key in ("a", "b")]
    until(lambda: served.lines("parking"), others)
    served.put("parking", "poison", 4)
    served.put("parking", "a", 4)
    until(lambda: served.lines("parking"), [*others, "a:4"])
    served.mend()
    redriven = until_over(served)
    assert redriven["handlers"]["parking"]["done"] == 4
    assert served.lines("parking") == [*others, "a:4", *(f"poison:{number}" for number in (1, 2, 3, 4))]
    served.put("parking", "poison", 5)
    until(lambda: served.lines("parking")[-1], "poison:5")
    assert {key: served.changes(key) for key in ("poison", "a", "b")} == {"poison": 5, "a": 4, "b": 3}


def until_over(served: Served) -> Any:
    """The answer of the run that finds everything handled."""
    answer = served.redrive()
    assert answer["is_over"], answer
    return answer


def test_without_a_state_table_a_partial_response_holds_the_batch(served: Served) -> None:
    served.break_again()
    for number, key in enumerate(("a", "poison", "b", "poison"), 1):
        served.put("holding", key, number)
    served.follow("holding", FunctionResponseTypes=["ReportBatchItemFailures"])
    until(lambda: served.lines("holding"), ["a:1", "b:3"])
    served.put("holding", "c", 5)
    served.mend()
    until(lambda: served.lines("holding"), ["a:1", "b:3", "poison:2", "poison:4", "c:5"])


def test_a_mapping_that_does_not_read_failures_gets_an_error_and_sends_the_batch_again(
    served: Served,
) -> None:
    served.break_again()
    for number, key in enumerate(("poison", "a"), 1):
        served.put("unread", key, number)
    served.follow("unread")
    eventually(lambda: "does not read batch item failures" in served.node.log.read_text())
    served.mend()
    until(lambda: served.lines("unread"), ["a:2", "poison:1"])
