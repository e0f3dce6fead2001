"""`tailrace snapshot` beside a running app: what it comes to is said first, asked for beyond the bound, and
refused where nobody can be asked.
"""

import contextlib
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tailrace.testing.search import SearchServer
from tests.command_line import tailrace
from tests.crash.node import Node, free_port
from tests.fleet import ENVIRONMENT
from tests.patience import PATIENCE_S, eventually

APP = """
from tailrace import App, Snapshots, sinks

app = App("shop")
orders = app.table("orders", pk="id")
app.sink(
    orders, sinks.OpenSearch("URL", "orders"), id="copy", snapshot=Snapshots(automatic=False, ask_after="0s")
)
app.sink(orders, sinks.OpenSearch("URL", "small"), id="small")
"""
SAID = "copy: reads about 3 items, 0.0 MB of table orders: nothing is charged, about 1 second"
NONE_YET = "No snapshot was ever wanted: app.sink(…, snapshot=True), or tailrace snapshot start HANDLER.\n"


@pytest.fixture
def cluster() -> Iterator[SearchServer]:
    with SearchServer() as running:
        yield running


class Shop:
    """A running app, and what is typed beside it."""

    def __init__(
        self, directory: Path, cluster: SearchServer, app: str = APP, reload: str = "--no-reload"
    ) -> None:
        self.directory = directory
        self.url = cluster.url
        self.declare(app)
        self.node = Node(directory, free_port(), ("dev", str(directory / "app.py"), reload))
        self.node.start()
        self.node.wait_until_answering()
        for number in range(3):
            self.node.call("PutItem", {"TableName": "orders", "Item": {"id": {"S": f"o{number}"}}})

    def declare(self, app: str) -> None:
        (self.directory / "app.py").write_text(app.replace("URL", self.url))

    def line(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "tailrace", "snapshot", *arguments, *self.node.place]

    def run(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        line = ("snapshot", *arguments, *self.node.place)
        answer = tailrace(*line, cwd=self.directory, environment=ENVIRONMENT)
        assert answer.returncode == code, answer.stdout + answer.stderr
        return answer.stdout, answer.stderr

    def tailrace(self, command: str) -> str:
        answer = tailrace(command, *self.node.place)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    def metrics(self) -> dict[str, float]:
        connection = HTTPConnection("127.0.0.1", self.node.port, timeout=PATIENCE_S)
        try:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        finally:
            connection.close()
        samples = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in samples}

    def statuses(self) -> list[dict[str, Any]]:
        return list(json.loads(self.run("status", "--json")[0]))

    def status(self) -> dict[str, Any]:
        (value,) = [value for value in self.statuses() if value["handler"] == "copy"]
        return value

    def until_done(self) -> dict[str, Any]:
        return eventually(lambda: value if (value := self.status())["state"] == "done" else None)


@pytest.fixture
def shop(tmp_path: Path, cluster: SearchServer) -> Iterator[Shop]:
    shop = Shop(tmp_path, cluster)
    try:
        yield shop
    finally:
        shop.node.kill()


def test_what_is_much_is_begun_only_when_somebody_says_so(shop: Shop) -> None:
    out, said = shop.run("start", "copy", code=1)
    assert (out, said.splitlines()[0]) == ("", SAID)
    assert "so much is not begun unasked" in said
    assert "next: tailrace snapshot start copy --yes, or with --read-units for a pace" in said
    out, said = shop.run("start", "copy", "--json", code=1)
    assert (out, "so much is not begun unasked" in json.loads(said)["error"]["message"]) == ("", True)

    assert shop.run("start", "copy", "--dry-run") == (f"{SAID}\n", "")
    planned = json.loads(shop.run("start", "copy", "--dry-run", "--json")[0])
    assert {
        "items": 3,
        "asks": True,
        "charged": False,
        "usd": 0,
        "table": "orders",
    }.items() <= planned.items()
    assert shop.run("status")[0] == NONE_YET, "a refused or planned one is not wanted"

    out, said = shop.run("start", "copy", "--yes")
    assert said == f"{SAID}\n"
    assert out.splitlines()[1].split()[:3] == ["copy", "1", "asked"]
    assert shop.until_done()["items"] == 3
    shop.run("start", "copy", "--json", "--yes")
    assert shop.status()["number"] == 2


def test_progress_is_watched_until_the_end_and_stands_where_people_look(shop: Shop) -> None:
    shop.run("start", "copy", "--yes")
    shop.run("pause", "copy")
    out, _ = shop.run("start", "small")
    assert out.splitlines()[0].split() == [
        "HANDLER", "NUMBER", "WHY", "STATE", "READ", "ITEMS", "RATE", "TIME", "DELETED", "FAILED",
    ]  # fmt: skip
    lines = shop.run("status", "small", "--watch", "--json")[0].splitlines()
    (last,) = json.loads(lines[-1])
    assert (last["state"], last["items"], last["share"], last["still_ms"]) == ("done", 3, 1.0, 0)
    assert last["begun_ms"] <= last["ended_ms"]
    assert "ended 20" in shop.run("status", "small", "--watch")[0].splitlines()[-1]

    answer = shop.run("resume", "copy")[0]
    assert "copy" in answer
    done = shop.until_done()
    assert done["ended_ms"] >= done["begun_ms"]
    shop.run("start", "copy", "--yes")
    shop.run("pause", "copy")
    paused = shop.status()
    if paused["state"] == "paused":  # else it was done before it was to stand still
        assert f"copy: snapshot {paused['number']} is paused" in shop.tailrace("status")
        assert "next: tailrace snapshot status copy" in shop.tailrace("status")
    assert "small: snapshot" not in shop.tailrace("status"), "one that is done is no news"
    metrics = shop.metrics()
    assert metrics['tailrace_snapshot_state{handler="small",state="done"}'] == 1
    assert metrics['tailrace_snapshot_state{handler="small",state="failed"}'] == 0
    assert metrics['tailrace_snapshot_done_ratio{handler="small"}'] == 1
    assert metrics['tailrace_snapshot_items{handler="small"}'] == 3
    assert metrics['tailrace_snapshot_rcu{handler="small"}'] == 0
    assert metrics['tailrace_snapshot_still_seconds{handler="small"}'] == 0
    assert metrics['tailrace_snapshot_end_timestamp_seconds{handler="small"}'] == last["ended_ms"] / 1_000


def test_what_is_little_is_begun_after_it_was_said(shop: Shop) -> None:
    assert shop.run("start", "small")[1] == f"{SAID.replace('copy', 'small')}\n"


@pytest.mark.parametrize(("typed", "code", "wanted"), [(b"n\n", 130, []), (b"y\n", 0, ["copy"])])
def test_at_a_terminal_it_is_asked(shop: Shop, typed: bytes, code: int, wanted: list[str]) -> None:
    main, terminal = pty.openpty()
    process = subprocess.Popen(
        shop.line("start", "copy"), cwd=shop.directory, env={**os.environ, **ENVIRONMENT}, stdin=terminal,
        stdout=terminal, stderr=terminal,
    )  # fmt: skip
    os.close(terminal)
    os.set_blocking(main, False)
    drawn = bytearray()

    def shows(words: bytes) -> bool:
        with contextlib.suppress(OSError):  # nothing is there, or the other side has ended
            drawn.extend(os.read(main, 65_536))
        return words in drawn

    try:
        eventually(lambda: shows(b"Begin it? [y/N]"))
        os.write(main, typed)
        assert process.wait(PATIENCE_S) == code, bytes(drawn)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(main)
    assert drawn.decode().startswith(SAID)
    assert [value["handler"] for value in json.loads(shop.run("status", "--json")[0])] == wanted


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("start",), "Missing argument 'HANDLER'"),
        (("start", "copy", "--read-price", "-1"), "--read-price"),
        (("start", "copy", "--read-units", "0"), "--read-units"),
        (("start", "copy", "--segment", "4/4"), "--segment 4/4 is none"),
        (("start", "copy", "--values", "{}"), "--names and --values are those of --where"),
        (("start", "copy", "--where", "a = :a", "--values", "[1]"), "--values [1] is no JSON object"),
        (("start", "copy", "--from", "x", "--segment", "0/4"), "--from reads whole exports"),
    ],
)
def test_a_wrong_command_line_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    from tailrace.cli.main import run

    assert run(["snapshot", *arguments, "--data", str(tmp_path)]) == 2
    assert words in capsys.readouterr().err


def test_a_mirror_that_is_added_while_dev_runs_is_given_its_table(
    tmp_path: Path, cluster: SearchServer
) -> None:
    shop = Shop(tmp_path, cluster, APP.partition("app.sink")[0], "--reload")
    try:
        assert shop.run("status", code=0)[0] == NONE_YET
        added = 'app.sink(orders, sinks.OpenSearch("URL", "late"), id="late", snapshot=True)\n'
        shop.declare(APP.partition("app.sink")[0] + added)
        done = eventually(lambda: [one for one in shop.statuses() if one["state"] == "done"])
        assert [(one["handler"], one["why"], one["items"]) for one in done] == [("late", "first", 3)]
    finally:
        shop.node.kill()
