"""The commands about dead letters, beside a running server and without one: real processes."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tailrace import connect
from tailrace.app.loading import load_app
from tests.command_line import tailrace
from tests.crash.node import Node, free_port
from tests.patience import until

APP = """
from pathlib import Path

from tailrace import App, Change, Retry

app = App("shop")
orders = app.table("orders", pk="id")


@app.on(orders, retry=Retry(1, backoff="10ms..20ms"))
def NAME(change: Change) -> None:
    if not Path(__file__).with_name("mended").exists() and change.key == "bad":
        raise ValueError("no such country: 17")
"""


def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return tailrace(*arguments, "--data", str(directory / "data"))


def asked(directory: Path, *arguments: str) -> Any:
    answer = run(directory, *arguments, "--json")
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP.replace("NAME", "note"))
    return tmp_path


def begun(directory: Path) -> Node:
    node = Node(directory, free_port(), ("dev", str(directory / "app.py"), "--no-reload"))
    node.start()
    node.wait_until_answering()
    return node


def put(node: Node, key: str) -> None:
    node.call("PutItem", {"TableName": "orders", "Item": {"id": {"S": key}, "at": {"N": str(len(key))}}})


def until_letters(directory: Path, letters: int) -> list[dict[str, Any]]:
    parked: list[dict[str, Any]] = []

    def number() -> int:
        parked[:] = asked(directory, "dlq", "ls")["letters"]
        return len(parked)

    until(number, letters)
    return parked


def test_a_parked_item_is_seen_redriven_and_gone(directory: Path) -> None:
    node = begun(directory)
    try:
        put(node, "good")
        put(node, "bad")
        (letter,) = until_letters(directory, 1)
        assert (letter["handler"], letter["key"], letter["state"]) == ("note", "bad", "parked")
        event = letter["event_id"]
        assert "no such country" in run(directory, "dlq", "ls").stdout
        assert "raise ValueError" in run(directory, "dlq", "show", event).stdout
        assert "the item is as it was then" in run(directory, "dlq", "diff", event).stdout
        assert "parked" in run(directory, "why", event).stdout
        assert (
            "would be put back: 1 changes of 1 parked items"
            in run(directory, "dlq", "redrive", "note", "--dry-run").stdout
        )
        assert asked(directory, "dlq", "redrive", "note")["failed"] == 1
        (directory / "mended").touch()
        assert asked(directory, "dlq", "redrive", "note", "--rate", "100/s")["done"] == 1
        assert asked(directory, "dlq", "ls") == {
            "groups": [],
            "count": 0,
            "waiting": 0,
            "lost_windows": 0,
            "letters": [],
            "windows": [],
        }
        assert asked(directory, "pause", "note")["paused"] is True
        assert asked(directory, "mapping", "ls")[0]["paused"] is True
        assert asked(directory, "resume", "note")["was_paused"] is True
        told = run(directory, "audit").stdout
        assert [word in told for word in ("dlq.redrive", "pause", "resume")] == [True] * 3
        refused = run(directory, "dlq", "drop", "note")
        assert (refused.returncode, "--all" in refused.stderr) == (2, True)
        assert "There is no handler 'nobody'" in run(directory, "dlq", "redrive", "nobody").stderr
    finally:
        assert node.stop() == 0


def test_without_a_server_a_redrive_waits_for_the_next_start_and_a_handler_can_be_renamed(
    directory: Path,
) -> None:
    node = begun(directory)
    put(node, "bad")
    until_letters(directory, 1)
    assert node.stop() == 0
    assert [letter["key"] for letter in asked(directory, "dlq", "ls", "note")["letters"]] == ["bad"]
    assert asked(directory, "dlq", "redrive", "note")["state"] == "requested"
    assert asked(directory, "mapping", "rename", "note", "receipt", "--dry-run")["dry_run"] is True
    assert asked(directory, "mapping", "rename", "note", "receipt")["rows"] >= 4
    (directory / "app.py").write_text(APP.replace("NAME", "receipt"))
    (directory / "mended").touch()
    node = begun(directory)
    try:
        until_letters(directory, 0)
        assert [mapping["handler"] for mapping in asked(directory, "mapping", "ls")] == ["receipt"]
    finally:
        assert node.stop() == 0


def test_what_is_dropped_without_a_server_is_gone(directory: Path) -> None:
    node = begun(directory)
    put(node, "bad")
    until_letters(directory, 1)
    app = load_app(str(directory / "app.py"))
    connect(app, directory / "data")
    assert [letter["key"] for letter in app.dlq("note").where(error="ValueError*")] == [
        "bad"
    ]  # from Python, beside the server
    assert node.stop() == 0
    for letter in app.dlq("note"):  # and without it; one question inside another
        assert app.dlq("note").show(letter["event_id"])["new"]["id"] == {"S": "bad"}
    assert len(app.dlq("note")) == app.dlq("note").groups()[0]["count"] == 1
    assert asked(directory, "dlq", "drop", "note", "--all", "--dry-run")["parked_changes"] == 1
    assert asked(directory, "dlq", "drop", "note", "--all")["done"] == 1
    assert asked(directory, "dlq", "ls")["letters"] == []
