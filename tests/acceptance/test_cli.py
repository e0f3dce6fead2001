"""The command line as people run it: real processes, real signals, real kills."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import tailrace
from tests.crash.node import HEADERS
from tests.patience import PATIENCE_S, eventually

APP = """
from tailrace import App, Change

app = App("shop")
orders = app.table("orders", pk="id")


@app.on(orders)
def note(change: Change) -> None:
    print("{word}", change.key, flush=True)
"""


class Running:
    """A `tailrace` process that serves, and what it has printed."""

    def __init__(self, process: subprocess.Popen[str], endpoint: dict[str, Any]) -> None:
        self.process = process
        self.endpoint = endpoint
        self.port = int(endpoint["port"])

    def call(self, operation: str, payload: dict[str, Any]) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.request(
                "POST",
                "/",
                json.dumps(payload),
                {**HEADERS, "X-Amz-Target": f"DynamoDB_20120810.{operation}"},
            )
            answer = connection.getresponse()
            body = json.loads(answer.read())
        finally:
            connection.close()
        assert answer.status == 200, body
        return body

    def get(self, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def create(self, table: str) -> None:
        self.call(
            "CreateTable",
            {
                "TableName": table,
                "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
                "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
                "BillingMode": "PAY_PER_REQUEST",
                "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
            },
        )

    def put(self, table: str, id: str, **attributes: str) -> None:
        item = {"id": {"S": id}, **{name: {"S": value} for name, value in attributes.items()}}
        self.call("PutItem", {"TableName": table, "Item": item})

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, out, err


def refused(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """A server that cannot start."""
    return subprocess.run(
        [sys.executable, "-m", "tailrace", *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        cwd=cwd,
        check=False,
    )


Start = Callable[..., Running]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts `tailrace COMMAND … --json` on a free port and waits for its first line."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str) -> Running:
        process = subprocess.Popen(
            [sys.executable, "-m", "tailrace", *arguments, "--port", "0", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise AssertionError(process.communicate()[1])
        return Running(process, json.loads(line))

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def refuses(port: int) -> bool:
    """Whether no process listens there any more."""
    try:
        socket.create_connection(("127.0.0.1", port), PATIENCE_S).close()
    except ConnectionRefusedError:
        return True
    return False


def status(data: Path) -> Any:
    answer = tailrace("status", "--json", "--data", str(data))
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


# ---- serve -------------------------------------------------------------------------------------------------


def test_serve_answers_at_once_and_says_how_to_use_it(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tailrace", "serve", "--port", "0", "--data", str(tmp_path / "data")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        match = re.search(r"http://127\.0\.0\.1:(\d+)", said)
        assert match, said
        assert str(tmp_path / "data") in said
        assert "endpoint_url" in said
        assert "--endpoint-url" in said
        running = Running(process, {"port": match[1]})
        assert running.call("ListTables", {}) == {"TableNames": []}
        code, _, err = running.stop(signal.SIGINT)
    finally:
        if process.poll() is None:
            process.kill()
    assert code == 0
    assert "drained" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_and_frees_the_directory(start: Start, tmp_path: Path, number: int) -> None:
    data = tmp_path / "data"
    running = start("serve", "--data", str(data))
    running.create("shop")
    running.put("shop", "o1")
    code, out, err = running.stop(number)
    assert (code, out) == (0, "")
    assert "Traceback" not in err
    assert not (data / "control.sock").exists()
    again = start("serve", "--data", str(data))
    assert again.call("GetItem", {"TableName": "shop", "Key": {"id": {"S": "o1"}}})["Item"] == {
        "id": {"S": "o1"}
    }


def test_what_was_acknowledged_before_a_kill_is_there_after_a_restart(start: Start, tmp_path: Path) -> None:
    data = tmp_path / "data"
    running = start("serve", "--data", str(data))
    running.create("shop")
    for number in range(20):
        running.put("shop", f"o{number}")
    running.process.kill()
    running.process.communicate()
    again = start("serve", "--data", str(data))
    assert again.call("Scan", {"TableName": "shop", "Select": "COUNT"})["Count"] == 20
    assert status(data)["tables"][0]["table"] == "shop"


def test_a_taken_port_is_one_message(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        answer = refused("serve", "--port", str(port), "--data", str(tmp_path / "data"))
    assert answer.returncode == 1
    assert f"Port {port}" in answer.stderr
    assert "next: the same command with --port 0 (any free port)" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_taken_directory_is_one_message_that_names_its_owner(start: Start, tmp_path: Path) -> None:
    data = tmp_path / "data"
    running = start("serve", "--data", str(data))
    answer = refused("serve", "--port", "0", "--data", str(data))
    assert answer.returncode == 1
    assert str(running.process.pid) in answer.stderr
    assert "next:" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_directory_that_is_a_file_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("mine")
    answer = refused("serve", "--port", "0", "--data", str(tmp_path / "data"))
    assert answer.returncode in (1, 2)
    assert "Traceback" not in answer.stderr
    assert "next:" in answer.stderr


def test_another_address_than_loopback_is_refused_with_the_reason(tmp_path: Path) -> None:
    answer = refused("serve", "--host", "0.0.0.0", "--port", "0", "--data", str(tmp_path / "data"))
    assert answer.returncode == 1
    assert "signatures are not checked" in answer.stderr
    assert not (tmp_path / "data").exists()


def test_memory_leaves_nothing_behind(start: Start, tmp_path: Path) -> None:
    before = os.getcwd()
    os.chdir(tmp_path)
    try:
        running = start("serve", "--memory")
    finally:
        os.chdir(before)
    running.create("shop")
    running.put("shop", "o1")
    assert running.stop()[0] == 0
    assert list(tmp_path.iterdir()) == []


def test_the_data_directory_is_named_once_for_every_command(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAILRACE_DATA", str(tmp_path / "data"))
    running = start("serve")
    running.create("shop")
    assert [
        table["table"] for table in json.loads(tailrace("status", "--json", cwd=tmp_path).stdout)["tables"]
    ] == ["shop"]
    assert tailrace("status", "--data", str(tmp_path / "other")).returncode == 1, "what is said counts more"
    assert running.stop()[0] == 0
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_metrics_and_readiness_are_answered(start: Start, tmp_path: Path) -> None:
    running = start("serve", "--data", str(tmp_path / "data"))
    running.create("shop")
    running.put("shop", "o1")
    code, ready = running.get("/ready")
    assert (code, json.loads(ready)) == (200, {"ready": True, "reasons": []})
    code, metrics = running.get("/metrics")
    assert code == 200
    assert 'tailrace_requests_total{operation="PutItem",status="200"} 1.0' in metrics
    assert 'tailrace_shards{state="open",table="shop"} 1.0' in metrics


def test_logs_are_json_lines_when_asked_for(start: Start, tmp_path: Path) -> None:
    running = start("serve", "--data", str(tmp_path / "data"), "--clock", "manual", "--log-format", "json")
    assert tailrace("clock", "advance", "1h", "--data", str(tmp_path / "data")).returncode == 0
    _, _, err = running.stop()
    lines = [json.loads(line) for line in err.splitlines()]
    assert any("clock.advance" in line["message"] for line in lines)


# ---- beside a server and without one -----------------------------------------------------------------------


def test_tail_shows_changes_as_they_happen(start: Start, tmp_path: Path) -> None:
    data = tmp_path / "data"
    running = start("serve", "--data", str(data))
    running.create("shop")
    running.put("shop", "before")
    process = subprocess.Popen(
        [sys.executable, "-m", "tailrace", "tail", "shop", "--diff", "--from-start", "--data", str(data)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert "INSERT  shop/before" in process.stdout.readline()
        running.put("shop", "o1", status="new")
        assert 'INSERT  shop/o1  +id "o1", +status "new"' in process.stdout.readline()
        running.put("shop", "o1", status="paid")
        assert 'MODIFY  shop/o1  status "new" → "paid"' in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE_S)
    finally:
        if process.poll() is None:
            process.kill()
    assert (process.returncode, err.strip()) == (130, "")


def test_tail_of_a_missing_table_is_one_message(start: Start, tmp_path: Path) -> None:
    start("serve", "--data", str(tmp_path / "data"))
    answer = tailrace("tail", "nothing", "--data", str(tmp_path / "data"))
    assert answer.returncode == 1
    assert "nothing" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_tail_ends_with_a_message_when_its_server_goes(start: Start, tmp_path: Path) -> None:
    running = start("serve", "--data", str(tmp_path / "data"))
    running.create("shop")
    running.put("shop", "o1")
    process = subprocess.Popen(
        [sys.executable, "-m", "tailrace", "tail", "shop", "--from-start", "--data", str(tmp_path / "data")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()
        assert running.stop()[0] == 0
        _, err = process.communicate(timeout=PATIENCE_S)
    finally:
        if process.poll() is None:
            process.kill()
    assert process.returncode == 1
    assert "has gone" in err


def test_questions_are_answered_without_a_server_as_beside_one(start: Start, tmp_path: Path) -> None:
    data = tmp_path / "data"
    running = start("serve", "--data", str(data))
    running.create("shop")
    running.put("shop", "o1", status="new")
    beside = tailrace("why", "shop/o1", "--json", "--data", str(data))
    running.stop()
    without = tailrace("why", "shop/o1", "--json", "--data", str(data))
    assert (beside.returncode, without.returncode) == (0, 0), without.stderr
    assert json.loads(beside.stdout) == json.loads(without.stdout)
    assert status(data)["tables"][0]["shards"] == {"open": 1, "closed": 0}
    shown = tailrace("tail", "shop", "--from-start", "--json", "--data", str(data))
    assert json.loads(shown.stdout)["keys"] == {"id": {"S": "o1"}}


def test_bending_time_needs_a_manual_clock(start: Start, tmp_path: Path) -> None:
    manual, system = tmp_path / "manual", tmp_path / "system"
    start("serve", "--data", str(manual), "--clock", "manual")
    before = json.loads(tailrace("clock", "show", "--json", "--data", str(manual)).stdout)
    after = json.loads(tailrace("clock", "advance", "25h", "--json", "--data", str(manual)).stdout)
    assert after["wall_ms"] - before["wall_ms"] == 90_000_000
    back = tailrace("clock", "set", "2001-01-01", "--data", str(manual))
    assert back.returncode == 1
    assert "back" in back.stderr
    start("serve", "--data", str(system))
    refused = tailrace("clock", "advance", "25h", "--data", str(system))
    assert refused.returncode == 1
    assert "next: tailrace serve --clock manual" in refused.stderr
    absent = tailrace("clock", "advance", "25h", "--data", str(tmp_path / "nowhere"))
    assert absent.returncode == 1


def test_a_manual_clock_goes_on_where_it_was_left_and_questions_are_asked_at_its_time(
    start: Start, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    manual = ("serve", "--data", str(data), "--clock", "manual")
    running = start(*manual, "--clock-start", "2013-01-01T05:00Z")
    running.create("shop")
    assert tailrace("clock", "advance", "2h", "--data", str(data)).returncode == 0
    running.put("shop", "o1")
    running.process.kill()
    running.process.communicate()
    story = tailrace("why", "shop/o1", "--json", "--data", str(data))
    assert json.loads(story.stdout)["changes"][0]["at"] == "2013-01-01T07:00:00.000Z", story.stderr
    start(*manual)
    shown = tailrace("clock", "show", "--data", str(data))
    assert shown.stdout.startswith("2013-01-01T07:00:00.000Z by the manual clock")


def test_a_server_can_be_stopped_through_its_socket(start: Start, tmp_path: Path) -> None:
    running = start("serve", "--data", str(tmp_path / "data"))
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(tmp_path / "data" / "control.sock"))
        connection.sendall(b'{"v":1,"verb":"stop"}\n')
        assert b'"stopping":true' in connection.recv(1_000)
    assert running.process.wait(PATIENCE_S) == 0


def test_a_second_signal_does_not_wait_for_a_handler(start: Start, tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text(APP.replace("print(", "import time; time.sleep(600); print(").format(word="never"))
    running = start("dev", str(app), "--data", str(tmp_path / "data"))
    running.put("orders", "o1")

    def is_in_hand() -> bool:
        handlers = status(tmp_path / "data")["handlers"]
        return any(shard["in_flight"] for handler in handlers for shard in handler["shards"])

    eventually(is_in_hand)
    running.process.send_signal(signal.SIGINT)
    eventually(lambda: refuses(running.port))
    assert running.process.poll() is None, "it did not wait for the handler"
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(PATIENCE_S) == 130


def test_coverage_needs_nothing() -> None:
    answer = tailrace("coverage", "--json")
    assert answer.returncode == 0, answer.stderr
    assert "PutItem" in answer.stdout
    assert "PutItem" in tailrace("coverage").stdout


# ---- dev ---------------------------------------------------------------------------------------------------


def test_dev_runs_handlers_and_tells_their_story(start: Start, tmp_path: Path) -> None:
    app, data = tmp_path / "app.py", tmp_path / "data"
    app.write_text(APP.format(word="saw"))
    running = start("dev", str(app), "--no-reload", "--data", str(data))
    running.put("orders", "o1")
    assert running.process.stdout is not None
    settled = eventually(lambda: [h for h in status(data)["handlers"] if h["settled"].get("handled") == 1])
    assert settled[0]["table"] == "orders"
    assert settled[0]["dead_letters"] == 0
    story = tailrace("why", "orders/o1", "--data", str(data))
    assert story.returncode == 0, story.stderr
    assert "handled" in story.stdout
    code, metrics = running.get("/metrics")
    assert code == 200
    assert 'outcome="handled"} 1.0' in metrics
    code, _, err = running.stop()
    assert code == 0, err
    again = tailrace("why", "orders/o1", "--data", str(data))
    assert "handled" in again.stdout


def test_dev_reloads_a_saved_app_and_keeps_serving_when_it_is_broken(start: Start, tmp_path: Path) -> None:
    app, data = tmp_path / "app.py", tmp_path / "data"
    app.write_text(APP.format(word="first"))
    running = start("dev", str(app), "--data", str(data))
    seen: list[str] = []

    def lines_until(word: str) -> None:
        watchdog = threading.Timer(PATIENCE_S, running.process.kill)
        watchdog.start()
        try:
            assert running.process.stdout is not None
            for line in running.process.stdout:
                seen.append(line)
                if word in line:
                    return
        finally:
            watchdog.cancel()
        raise AssertionError(seen)

    running.put("orders", "o1")
    lines_until("first")
    app.write_text("def broken(:")
    lines_until("SyntaxError")
    running.put("orders", "o2")
    lines_until("first")
    app.write_text(APP.format(word="second"))
    lines_until("reloaded")
    running.put("orders", "o3")
    lines_until("second")
    assert running.stop()[0] == 0


def test_an_app_that_keeps_a_duckdb_file_ends_without_a_word(start: Start, tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    file = tmp_path / "shop.duckdb"
    app.write_text(
        "import duckdb\nfrom tailrace import App, sinks\n"
        f"app = App('shop')\norders = app.table('orders', pk='id')\nmirror = "
        f"sinks.DuckDB({str(file)!r}, 'orders')\napp.sink(orders, mirror)\n"
    )
    server = start("dev", str(app), "--no-reload", "--data", str(tmp_path / "data"))
    server.put("orders", "o1")
    eventually(
        lambda: "o1" in tailrace("sql", "select id from orders", "--data", str(tmp_path / "data")).stdout
    )
    code, _, err = server.stop()
    assert (code, err) == (0, "")


def test_an_app_that_cannot_be_loaded_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import not_there_at_all")
    (tmp_path / "empty.py").write_text("")
    for name, word in (("broken.py", "not_there_at_all"), ("empty.py", "App"), ("absent.py", "absent.py")):
        answer = refused("dev", name, "--port", "0", "--data", str(tmp_path / "data"), cwd=tmp_path)
        assert answer.returncode in (1, 2), name
        assert word in answer.stderr
        assert "Traceback (most recent call last)" not in answer.stderr


def test_a_node_in_memory_is_asked_by_its_url(start: Start, tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text(APP.format(word="saw"))
    node = start("dev", str(app), "--memory")
    url = f"http://localhost:{node.port}"
    node.put("orders", "o1")

    def handled() -> bool:
        asked = tailrace("status", "--url", url, "--json", cwd=tmp_path)
        assert asked.returncode == 0, asked.stderr
        return json.loads(asked.stdout)["handlers"][0]["settled"].get("handled") == 1

    eventually(handled)
    assert "handled" in tailrace("why", "orders/o1", "--url", url, cwd=tmp_path).stdout
    assert "open" in tailrace("shards", "ls", "orders", "--url", url, cwd=tmp_path).stdout
    watching = subprocess.Popen(
        [sys.executable, "-m", "tailrace", "tail", "orders", "--from-start", "--json"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "TAILRACE_URL": url},
    )
    try:
        assert watching.stdout is not None
        assert json.loads(watching.stdout.readline())["keys"] == {"id": {"S": "o1"}}
        assert not list(tmp_path.glob(".tailrace"))
        assert node.stop()[0] == 0
    finally:
        watching.kill()
        watching.communicate()
    gone = tailrace("status", "--url", url, cwd=tmp_path)
    assert gone.returncode == 1
    assert f"Nothing serves {url}" in gone.stderr


def test_a_node_with_a_directory_is_asked_by_its_url_too(start: Start, tmp_path: Path) -> None:
    node = start("serve", "--data", str(tmp_path / "data"))
    node.create("shop")
    url = f"http://127.0.0.1:{node.port}"
    assert "shop" in tailrace("status", "--url", url, cwd=tmp_path).stdout
