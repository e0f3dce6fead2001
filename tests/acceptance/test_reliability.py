"""What goes wrong with a disk, on real processes: a clear error that names what to do, and no further damage.

Rules of this file: a full disk is a limit that the kernel puts on the size of the server's files; what was
acknowledged before is counted after it.
"""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import tailrace
from tests.crash.node import Node, free_port
from tests.patience import PATIENCE_S

TABLE = {
    "TableName": "things", "BillingMode": "PAY_PER_REQUEST",
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
}  # fmt: skip
PADDING = "x" * 20_000


def node_in(directory: Path) -> Node:
    return Node(directory, free_port(), ("serve",))


def put(node: Node, number: int) -> bool:
    """Whether it was acknowledged."""
    item = {"id": {"S": f"t{number:04}"}, "padding": {"S": PADDING}}
    try:
        answer = node.call("PutItem", {"TableName": "things", "Item": item})
    except AssertionError:  # what a node answers with 500
        return False
    return "__type" not in answer


def stored(node: Node) -> set[int]:
    """The numbers of the items that are there."""
    numbers: set[int] = set()
    start: dict[str, Any] | None = None
    while True:
        asked = {"TableName": "things", "ProjectionExpression": "id"}
        page = node.call("Scan", asked if start is None else {**asked, "ExclusiveStartKey": start})
        numbers.update(int(item["id"]["S"][1:]) for item in page["Items"])
        start = page.get("LastEvaluatedKey")
        if start is None:
            return numbers


def test_a_full_disk_loses_nothing_that_was_acknowledged_and_room_is_all_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = node_in(tmp_path)
    popen = subprocess.Popen

    def limited(*arguments: Any, **options: Any) -> Any:
        size = 2_000_000
        return popen(
            *arguments, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)), **options
        )

    monkeypatch.setattr(subprocess, "Popen", limited)
    node.start()
    monkeypatch.undo()
    node.wait_until_answering()
    node.call("CreateTable", TABLE)
    acknowledged = {number for number in range(300) if put(node, number)}
    assert 20 < len(acknowledged) < 300
    assert stored(node) >= acknowledged, "what is there is read while nothing can be written"
    assert "free space" in node.log.read_text(), "the log says what to do"
    node.kill()
    node.start()
    node.wait_until_answering()
    assert stored(node) >= acknowledged
    assert put(node, 500)
    assert node.stop() == 0


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A directory with a hundred items, and no process in it."""
    node = node_in(tmp_path)
    node.start()
    node.wait_until_answering()
    node.call("CreateTable", TABLE)
    assert all(put(node, number) for number in range(100))
    assert node.stop() == 0
    return tmp_path


def served(directory: Path) -> subprocess.CompletedProcess[str]:
    """A server that cannot start."""
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "tailrace",
            "serve",
            "--data",
            str(directory / "data"),
            "--port",
            str(free_port()),
        ],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def test_a_directory_that_is_served_is_not_served_twice(filled: Path) -> None:
    node = node_in(filled)
    node.start()
    node.wait_until_answering()
    second = served(filled)
    assert second.returncode == 1
    assert str(node._process.pid) in second.stderr  # type: ignore[union-attr]
    assert "next:" in second.stderr
    assert stored(node) == set(range(100))
    node.stop()


@pytest.mark.parametrize("damage", ["truncated", "garbage", "another program's", "a later format"])
def test_a_damaged_file_is_refused_with_what_to_do_and_left_as_it_is(filled: Path, damage: str) -> None:
    database = filled / "data" / "tailrace.db"
    whole = database.read_bytes()
    match damage:
        case "truncated":
            database.write_bytes(whole[: len(whole) // 2 + 100])
        case "garbage":
            database.write_bytes(b"garbage" * 1_000)
        case "another program's":
            database.unlink()
            subprocess.run(
                [
                    sys.executable,
                    "-c",
                    "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('create table t(x)')",
                    str(database),
                ],
                check=True,
            )
        case "a later format":
            (filled / "data" / "format").write_text("99\n")
    before = database.read_bytes()
    refused = served(filled)
    assert refused.returncode == 1, refused.stdout
    assert "Traceback" not in refused.stderr
    assert "next:" in refused.stderr, refused.stderr
    assert str(filled / "data") in refused.stderr
    assert database.read_bytes() == before


def test_a_log_that_was_cut_off_gives_back_every_whole_commit(filled: Path) -> None:
    node = node_in(filled)
    node.start()
    node.wait_until_answering()
    acknowledged = {number for number in range(100, 140) if put(node, number)}
    node.kill()
    log = filled / "data" / "tailrace.db-wal"
    whole = log.read_bytes()
    assert len(whole) > 100_000
    log.write_bytes(whole[:-50_000])
    node.start()
    node.wait_until_answering()
    numbers = stored(node)
    assert numbers >= set(range(100))
    newest = [number for number in sorted(acknowledged) if number in numbers]
    assert newest == sorted(acknowledged)[: len(newest)], "a commit is there only with all before it"
    assert put(node, 900)
    node.stop()


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_directory_that_may_only_be_read_is_refused(filled: Path) -> None:
    data = filled / "data"
    for path in (data, *data.iterdir()):
        path.chmod(0o555 if path.is_dir() else 0o444)
    refused = served(filled)
    assert refused.returncode == 1
    assert "next:" in refused.stderr
    data.chmod(0o755)


def test_the_error_of_a_refused_start_is_json_when_it_is_asked_for(filled: Path) -> None:
    (filled / "data" / "format").write_text("99\n")
    ran = tailrace("status", "--json", "--data", str(filled / "data"))
    assert ran.returncode == 1
    told = json.loads(ran.stdout or ran.stderr)
    assert "99" in told["error"]["message"]
