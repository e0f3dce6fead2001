"""The commands about sinks: real processes, a search cluster in this one, beside a running app and of a
fleet; rows are damaged where they lie, and commands and servers are killed in the middle.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opensearchpy import OpenSearch as Reader

from tailrace.testing.search import SearchServer
from tests.crash.node import Node, free_port
from tests.fleet import ENVIRONMENT, fleet
from tests.patience import PATIENCE_S, eventually, until

APP = """
import asyncio
import os
from pathlib import Path

from tailrace import App, sinks

SLOW = Path(__file__).with_name("slow")


class Slow(sinks.OpenSearch):
    async def rows(self, after, limit):
        while SLOW.exists():
            SLOW.with_name("waits").touch()
            await asyncio.sleep(0.02)
        return await super().rows(after, limit)


app = App("fleet")
orders = app.table("orders", pk="id")
app.sink(orders, Slow("URL", "orders"), id="search")
app.sink(orders, sinks.Function(lambda change: None), id="seen")
app.sink(orders.removed, sinks.OpenSearch("URL", "gone"), id="gone")
"""


@pytest.fixture
def cluster() -> Iterator[SearchServer]:
    with SearchServer() as running:
        yield running


class Place:
    """An app's file beside its data, and the commands that are typed there."""

    def __init__(self, directory: Path, cluster: SearchServer, *asked: str) -> None:
        self.directory = directory
        self.cluster = cluster
        self.asked = asked
        (directory / "app.py").write_text(APP.replace("URL", cluster.url))

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "tailrace", *arguments, *self.asked]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            cwd=self.directory,
            env={**os.environ, **ENVIRONMENT},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def report(self, *arguments: str, code: int) -> dict[str, Any]:
        answer = self.run("sink", *arguments, "--json")
        assert answer.returncode == code, answer.stdout + answer.stderr
        report: dict[str, Any] = json.loads(answer.stdout)
        return report

    def slow(self) -> subprocess.Popen[str]:
        """A comparison that waits for the rows until `hurry`."""
        (self.directory / "slow").touch()
        begun = subprocess.Popen(
            self.command("sink", "verify", "search"),
            cwd=self.directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        eventually((self.directory / "waits").exists)
        return begun

    def hurry(self) -> None:
        for name in ("slow", "waits"):
            (self.directory / name).unlink()

    def damage(self) -> None:
        """Delete the row of o1, and change that of o2."""
        with Reader(self.cluster.url) as reader:
            reader.indices.refresh(index="orders-all")
            hits = reader.search(index="orders-all", body={"size": 100})["hits"]["hits"]
            ids = {hit["_source"]["id"]: hit["_id"] for hit in hits if "id" in hit["_source"]}
            reader.bulk(
                index="orders-all",
                body=[{"delete": {"_id": ids["o1"]}}, {"update": {"_id": ids["o2"]}}, {"doc": {"n": 777}}],
            )


def put(node: Node, keys: int) -> None:
    for number in range(keys):
        item = {"id": {"S": f"o{number}"}, "n": {"N": str(number)}}
        node.call("PutItem", {"TableName": "orders", "Item": item})


@pytest.fixture
def node(tmp_path: Path, cluster: SearchServer) -> Iterator[tuple[Node, Place]]:
    place = Place(tmp_path, cluster, "--data", str(tmp_path / "data"))
    node = Node(tmp_path, free_port(), ("dev", str(tmp_path / "app.py"), "--no-reload"))
    node.start()
    try:
        node.wait_until_answering()
        yield node, place
    finally:
        node.kill()


KINDS = ("missing", "different", "extra", "waits", "failed", "unjudged")


def counts(report: dict[str, Any]) -> dict[str, int]:
    return {kind: report[kind] for kind in KINDS if report[kind]}


def test_rows_are_compared_and_mended_beside_a_running_app(node: tuple[Node, Place]) -> None:
    server, place = node
    put(server, 30)
    server.call("DeleteItem", {"TableName": "orders", "Key": {"id": {"S": "o0"}}})
    report = place.report("verify", "search", code=0)  # what is on its way is waited for
    assert (report["equal"], report["items"], report["wanted"], report["left"]) == (True, 29, 29, 0)
    place.damage()
    report = place.report("verify", "search", code=1)
    assert counts(report) == {"missing": 1, "different": 1}
    named = {row["key"]["id"]["S"]: (row["kind"], row["mended"]) for row in report["differences"]}
    assert named == {"o1": ("missing", ""), "o2": ("different", "")}

    planned = place.run("sink", "repair", "search", "--dry-run")
    assert planned.returncode == 1
    assert "1 missing, 1 different" in planned.stdout
    assert planned.stdout.count("would be written") == 2
    mended = place.run("sink", "repair", "search", "--yes")
    assert (mended.returncode, "2 rows were written; 0 are left" in mended.stdout) == (0, True), mended.stdout
    verdict = place.run("sink", "verify", "search")
    assert (verdict.returncode, verdict.stderr.splitlines()[0].startswith("search: reads about")) == (0, True)
    assert verdict.stdout == "search: 29 of 29 items, 30 rows: as the table has them\n"

    notes = json.loads(place.run("audit", "--json").stdout)
    assert [note["verb"] for note in notes] == ["sink.repair", "sink.mended"]
    assert notes[1]["arguments"]["rows"] == 2
    assert place.report("verify", "search", "--sample", "10", code=0)["sample"]["wrong"] == 0


def test_what_cannot_be_compared_says_why_and_what_to_type(node: tuple[Node, Place]) -> None:
    server, place = node
    listed = {one["sink"]: one["comparable"] for one in json.loads(place.run("sink", "ls", "--json").stdout)}
    assert listed == {"search": True, "seen": False, "gone": False}
    assert "gets only some kinds of changes" in place.run("sink", "ls").stdout
    for arguments, code, words in (
        (("verify", "serch"), 1, "has no sink 'serch'. Sinks that can be compared: search."),
        (("verify", "seen"), 1, "Function has no row for each item"),
        (("repair", "gone"), 1, "gets only some kinds of changes (REMOVE)"),
        (("verify", "search", "--sample", "0"), 2, "a number of items above 0"),
        (("verify", "search", "--read-units", "0"), 2, "--read-units"),
        (("verify",), 2, "NAME"),
        (("veryfy", "search"), 2, "verify"),
    ):
        answer = place.run("sink", *arguments)
        assert (answer.returncode, answer.stdout) == (code, ""), arguments
        assert words in answer.stderr, answer.stderr
    server.kill()
    answer = place.run("sink", "verify", "search")
    assert answer.returncode == 1
    assert "needs the app that declares the sink" in answer.stderr
    assert "tailrace dev app.py" in answer.stderr


def test_a_comparison_that_is_cut_off_leaves_nothing(node: tuple[Node, Place]) -> None:
    server, place = node
    put(server, 5)
    assert place.run("sink", "verify", "search").returncode == 0  # its first changes are written, too
    for number, code in ((signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)):
        begun = place.slow()
        begun.send_signal(number)
        _, said = begun.communicate(timeout=PATIENCE_S)
        assert begun.returncode == code
        assert ("nothing of it is left behind" in said) == (number == signal.SIGINT)
        until(lambda: unnamed_files(server.pid), 0)
        place.hurry()
    begun = place.slow()
    server.kill()
    _, said = begun.communicate(timeout=PATIENCE_S)
    assert (begun.returncode, "has gone" in said) == (1, True)
    place.hurry()
    server.start()
    server.wait_until_answering()
    assert place.report("verify", "search", code=0)["items"] == 5


def unnamed_files(process: int) -> int:
    """How many files without a name of SQLite's a process holds."""
    held = 0
    for link in Path(f"/proc/{process}/fd").iterdir():
        try:
            target = os.readlink(link)
        except OSError:  # it was closed meanwhile
            continue
        held += "etilqs" in target
    return held


def test_a_fleet_is_asked_from_where_one_is(tmp_path: Path, cluster: SearchServer) -> None:
    with fleet(tmp_path, "--memory", "--shards", "4") as ground:
        place = Place(
            tmp_path, cluster, "--state", "sqlite:state.db", "--app", "app.py", "--endpoint", ground.endpoint
        )
        ground.create_state()
        ground.create_table()
        assert ground.worker("--start", "beginning").announced
        ground.write(30, 0, 2)
        assert place.report("verify", "search", code=0)["items"] == 30
        place.damage()
        assert counts(place.report("verify", "search", code=1)) == {"missing": 1, "different": 1}
        report = place.report("repair", "search", code=0)
        assert (report["mended"], report["left"]) == (2, 0)
        assert place.report("verify", "search", code=0)["read_units"] > 0
