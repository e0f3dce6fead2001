"""`tailrace sql` beside a running app and on a file: real processes."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import tailrace
from tests.crash.node import Node, free_port
from tests.patience import PATIENCE_S, eventually

APP = """
from pathlib import Path

from tailrace import App, sinks

app = App("shop")
orders = app.table("orders", pk="id")
app.sink(orders, sinks.DuckDB(Path(__file__).with_name("shop.duckdb"), "orders"))
"""


def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return tailrace("sql", *arguments, "--data", str(directory / "data"))


@contextmanager
def running(directory: Path) -> Iterator[Node]:
    (directory / "app.py").write_text(APP)
    node = Node(directory, free_port(), ("dev", str(directory / "app.py"), "--no-reload"))
    node.start()
    node.wait_until_answering()
    try:
        eventually(lambda: "orders" in node.call("ListTables", {})["TableNames"])  # dev makes it meanwhile
        yield node
    finally:
        node.stop()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with running(tmp_path) as node:
        yield node


@pytest.fixture(scope="module")
def asked_only(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The directory of a node with one order, of which tests change nothing."""
    directory = tmp_path_factory.mktemp("asked")
    with running(directory) as node:
        node.call("PutItem", {"TableName": "orders", "Item": {"id": {"S": "o1"}, "total": {"N": "1"}}})
        count(directory, 1)
        yield directory


def count(directory: Path, wanted: int) -> Any:
    """The rows, as soon as there are so many."""

    def rows() -> Any:
        ran = run(directory, "--json", "select id, total from orders order by id")
        rows = json.loads(ran.stdout) if ran.returncode == 0 else []
        return rows if len(rows) == wanted else None

    return eventually(rows)


def test_a_table_is_asked_while_changes_arrive(node: Node, tmp_path: Path) -> None:
    for number in range(3):
        node.call(
            "PutItem",
            {"TableName": "orders", "Item": {"id": {"S": f"o{number}"}, "total": {"N": str(number)}}},
        )
    assert [row["id"] for row in count(tmp_path, 3)] == ["o0", "o1", "o2"]
    node.call("DeleteItem", {"TableName": "orders", "Key": {"id": {"S": "o1"}}})
    assert [row["id"] for row in count(tmp_path, 2)] == ["o0", "o2"]
    shown = run(tmp_path, "select count(*) as orders, sum(total) as turnover from orders")
    assert shown.stdout.split() == ["orders", "turnover", "2", "2"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("drop table orders",), "only one SELECT"),
        (("select totl from orders",), "totl"),
        (("--table", "nothing", "select 1"), "There is no table 'nothing'"),
    ],
)
def test_a_wrong_question_is_told_and_changes_nothing(
    asked_only: Path, arguments: tuple[str, ...], words: str
) -> None:
    ran = run(asked_only, *arguments)
    assert (ran.returncode, words in ran.stderr) == (1, True), ran.stderr
    assert "Traceback" not in ran.stderr
    assert len(count(asked_only, 1)) == 1


def test_a_file_that_nobody_writes_is_asked_by_its_name(node: Node, tmp_path: Path) -> None:
    node.call("PutItem", {"TableName": "orders", "Item": {"id": {"S": "o1"}, "total": {"N": "7"}}})
    count(tmp_path, 1)
    held = run(tmp_path, "--file", str(tmp_path / "shop.duckdb"), "select 1")
    assert (held.returncode, "one process writes a DuckDB file" in held.stderr) == (1, True), held.stderr
    node.stop()
    ran = run(tmp_path, "--file", str(tmp_path / "shop.duckdb"), "--json", "select total from orders")
    assert json.loads(ran.stdout) == [{"total": 7}]


def test_without_an_app_the_error_says_what_to_start(tmp_path: Path) -> None:
    ran = run(tmp_path, "select 1")
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr


ENDLESS = "select count(*) from range(1000000000000) a, range(1000000) b"


def test_a_question_ends_with_whoever_asked_it(node: Node, tmp_path: Path) -> None:
    node.call("PutItem", {"TableName": "orders", "Item": {"id": {"S": "o1"}, "total": {"N": "1"}}})
    count(tmp_path, 1)
    asking = [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tailrace",
                "sql",
                ENDLESS,
                "--timeout",
                "1h",
                "--data",
                str(tmp_path / "data"),
            ]
        )
        for _ in range(4)  # as many as are answered at once
    ]
    eventually(lambda: asked(node) == 4)
    for process in asking:
        process.kill()
        process.wait()
    eventually(lambda: asked(node) == 0)
    assert len(count(tmp_path, 1)) == 1


def asked(node: Node) -> int:
    """How many questions are being worked on."""
    return int(node.status()["sql"]["busy"])


def test_a_question_that_takes_too_long_is_ended_and_says_so(node: Node, tmp_path: Path) -> None:
    node.call("PutItem", {"TableName": "orders", "Item": {"id": {"S": "o1"}, "total": {"N": "1"}}})
    count(tmp_path, 1)
    ran = run(tmp_path, ENDLESS, "--timeout", "200ms")
    assert (ran.returncode, "took longer than 0.2 s" in ran.stderr) == (1, True), ran.stderr
    eventually(lambda: asked(node) == 0)
    node.stop()
    ran = run(tmp_path, ENDLESS, "--timeout", "200ms", "--file", str(tmp_path / "shop.duckdb"))
    assert (ran.returncode, "took longer than 200ms" in ran.stderr) == (1, True), ran.stderr


def test_a_node_that_is_asked_something_long_ends_all_the_same(node: Node, tmp_path: Path) -> None:
    node.call("PutItem", {"TableName": "orders", "Item": {"id": {"S": "o1"}, "total": {"N": "1"}}})
    count(tmp_path, 1)
    asking = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tailrace",
            "sql",
            ENDLESS,
            "--timeout",
            "1h",
            "--data",
            str(tmp_path / "data"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    eventually(lambda: asked(node) == 1)
    assert node.stop() == 0, node.tail()
    _, told = asking.communicate(timeout=PATIENCE_S)
    assert asking.returncode == 1
    assert b"Traceback" not in told


def test_many_rows_are_printed_in_pages_and_the_first_thousand_of_them_as_a_table(asked_only: Path) -> None:
    numbers = json.loads(run(asked_only, "--json", "select range as n, now() as at from range(1234)").stdout)
    assert [row["n"] for row in numbers] == list(range(1234))
    assert json.loads(run(asked_only, "--json", "select 1 where false").stdout) == []
    shown = run(asked_only, "select range as n from range(100000000000)")
    assert shown.stdout.split() == ["n", *map(str, range(1000))]
    assert "only the first 1,000 rows are shown" in shown.stderr


def test_an_answer_is_watched_while_changes_arrive(node: Node, tmp_path: Path) -> None:
    node.call("PutItem", {"TableName": "orders", "Item": {"id": {"S": "o0"}, "total": {"N": "1"}}})
    count(tmp_path, 1)
    question = "select 'all' as what, count(*) as n from orders"
    command = [sys.executable, "-m", "tailrace", "sql", "--watch", "--every", "100ms", question]
    for extra, first, second in (
        (["--json"], '[{"what": "all", "n": 1}]', '[{"what": "all", "n": 2}]'),
        ([], "all   2  " + "█" * 24 + "  ▁", "all   3  " + "█" * 24 + "  ▁█"),
    ):
        watching = subprocess.Popen(
            [*command, *extra, "--data", str(tmp_path / "data")], stdout=subprocess.PIPE, text=True
        )
        try:
            assert watching.stdout is not None
            said = (line.rstrip() for line in watching.stdout)
            assert next(line for line in said if "all" in line) == first
            node.call("PutItem", {"TableName": "orders", "Item": {"id": {"S": f"n{extra}"}}})
            assert next(line for line in said if "all" in line) == second
            watching.send_signal(signal.SIGINT)
            watching.wait(PATIENCE_S)
        finally:
            watching.kill()
            watching.wait()
            assert watching.stdout is not None
            watching.stdout.close()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--bar", "totl", "select 1 as n"), "the answer has no column 'totl': it has n"),
        (("--bar", "what", "select 'a' as what"), "column 'what' holds no numbers"),
        (("select totl from orders",), "totl"),
    ],
)
def test_what_cannot_be_watched_is_told(asked_only: Path, arguments: tuple[str, ...], words: str) -> None:
    ran = run(asked_only, "--watch", *arguments)
    assert (ran.returncode, words in ran.stderr) == (1, True), ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_file_that_no_app_writes_is_not_watched(tmp_path: Path) -> None:
    (tmp_path / "shop.duckdb").write_bytes(b"")
    ran = run(tmp_path, "--watch", "--file", str(tmp_path / "shop.duckdb"), "select 1")
    assert ran.returncode == 2
    assert "nothing changes in a file that no app writes" in ran.stderr
