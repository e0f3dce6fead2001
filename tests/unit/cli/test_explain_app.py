"""`tailrace explain --on lambda APP.PY` and `--iam`: what an app is elsewhere, and what it needs there."""

import json
from pathlib import Path
from typing import Any

import pytest

from tailrace.cli.main import cli, run

SHOP = """
from tailrace import App, sinks

app = App("shop")
orders = app.table("orders", pk="id")

@app.on(orders)
def audit(change): ...

@app.on(orders, batching_window_ms=2_500)
def mail(change): ...

@app.projection(orders)
def totals(total: int, order: dict, sign: int) -> int:
    return total + sign

app.sink(orders.removed, sinks.Sqs("arn:aws:sqs:us-east-1:123456789012:removed"))
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.delenv("TAILRACE_STATE", raising=False)
    (tmp_path / "shop_to_explain.py").write_text(SHOP)
    return str(tmp_path / "shop_to_explain.py")


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    cli(["explain", *arguments], standalone_mode=False)
    return capsys.readouterr().out


def test_what_lambda_refuses_and_does_otherwise_is_said(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = printed(capsys, "--on", "lambda", file)
    assert "totals@v1 ← orders: is refused" in said
    assert "a projection is filled from the table" in said
    assert "audit ← orders: runs" in said
    assert "there is no state table" in said
    assert "MaximumBatchingWindowInSeconds 3" in said
    assert said.count("calls itself without end") == 1  # of several handlers once


def test_a_state_table_changes_what_is_said(
    file: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    named = printed(capsys, "--on", "lambda", file, "--state", "dynamodb:state")
    monkeypatch.setenv("TAILRACE_STATE", "dynamodb:state")
    assert printed(capsys, "--on", "lambda", file) == named
    assert "there is no state table" not in named
    assert "app.lambda_redriver tries it again" in named


def test_the_same_as_json(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    value: Any = json.loads(printed(capsys, "--on", "lambda", file, "--json"))
    assert (value["on"], value["state"]) == ("lambda", None)
    by_id = {entry["handler"]: entry for entry in value["handlers"]}
    assert {name for name, entry in by_id.items() if not entry["runs"]} == {"totals@v1"}
    assert by_id["totals@v1"]["refused"]
    assert by_id["audit"]["refused"] == []
    assert value["mappings"]["orders"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_iam_prints_two_policies(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    value: Any = json.loads(
        printed(capsys, "--iam", file, "--json", "--state", "dynamodb:state", "--account", "123456789012")
    )
    for role in ("worker", "function"):
        by_sid = {entry["Sid"]: entry for entry in value[role]["Statement"]}
        assert by_sid["KeepState"]["Resource"] == ["arn:aws:dynamodb:us-east-1:123456789012:table/state"]
        assert by_sid["SendToQueues"]["Resource"] == ["arn:aws:sqs:us-east-1:123456789012:removed"]
    words = printed(capsys, "--iam", file)
    assert "the role of a worker" in words
    assert "dynamodb:DescribeStream, GetRecords, GetShardIterator" in words
    assert "note: what audit, mail call themselves" in words
    assert "arn:aws:dynamodb:us-east-1:*:table/orders/stream/*" in words


def test_iam_is_of_worker_and_function_and_takes_no_place(
    file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["explain", "--iam", "--on", "lambda", file]) == 2
    assert "leave out --on" in capsys.readouterr().err
