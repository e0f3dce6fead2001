"""Workers of a fleet as processes, and the server that stands for AWS: for tests that see both from outside.

Rules of this file: processes, HTTP and files. Servers and workers are processes, listen on loopback and are
stopped by process id; a command that ends by itself runs in this one. Handlers write a line for each change
to a file, in one write.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

from tests.command_line import tailrace
from tests.crash.node import HEADERS
from tests.patience import PATIENCE_S, eventually

APP = """
import os

from tailrace import App, Change

app = App("fleet")
orders = app.table("orders", pk="id")


@app.on(orders)
def note(change: Change) -> None:
    record = change.new
    line = f"{record['id']} {record.get('n', 0)} {os.getpid()}\\n"
    out = os.open(os.environ["SEEN"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(out, line.encode())
    os.close(out)
"""
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKIAFLEETFLEETFLEET1",
    "AWS_SECRET_ACCESS_KEY": "not-to-be-told",
    "AWS_DEFAULT_REGION": "us-east-1",
}


class Handled(NamedTuple):
    """A change that a handler was called for, and the process that called it."""

    key: str
    number: int
    process: int


class Command:
    """A `tailrace` process with what it says. Shape: `first` is its first line on standard output."""

    def __init__(self, *arguments: str, cwd: Path, seen: Path | None = None) -> None:
        environment = {**os.environ, **ENVIRONMENT, "SEEN": str(seen or cwd / "seen.txt")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tailrace", *arguments],
            cwd=cwd,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.errors: list[str] = []
        assert self.process.stderr is not None
        self._reader = threading.Thread(target=self.errors.extend, args=(self.process.stderr,))
        self._reader.start()
        assert self.process.stdout is not None
        self.first = self.process.stdout.readline()

    @property
    def announced(self) -> dict[str, Any]:
        """What it said of itself. Raises: AssertionError when it ended instead."""
        assert self.first, self.end()
        answer: dict[str, Any] = json.loads(self.first)
        return answer

    def send(self, number: int) -> None:
        """A signal, to this process alone."""
        self.process.send_signal(number)

    def end(self, number: int | None = None) -> tuple[int, str]:
        """Wait for its end, after a signal if one is given. Returns: exit code, and what it said on standard
        error.
        """
        if number is not None and self.process.poll() is None:
            self.send(number)
        code = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        return code, "".join(self.errors)

    def close(self) -> None:
        """Kill it if it lives, and close its pipes."""
        if self.process.poll() is None:
            self.process.kill()
        self.end()
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()

    def said(self, words: str) -> str:
        """Wait for a line on standard error with these words."""
        return eventually(
            lambda: next((line for line in [*self.errors] if words in line), ""),
            lambda: f"{words!r} was not said: {self.errors}",
        )

    def get(self, path: str) -> tuple[int, str]:
        """What a worker answers over HTTP."""
        url = self.announced["urls"][path]
        host = url.split("/")[2]
        connection = HTTPConnection(host, timeout=PATIENCE_S)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()


class Fleet:
    """A server that stands for AWS, and the workers of one app. Shape: `path` is where their files are."""

    def __init__(self, path: Path, *serve: str) -> None:
        self.path = path
        self.seen = path / "seen.txt"
        self.commands: list[Command] = []
        (path / "app.py").write_text(APP)
        self._serve = serve
        self.server = self.serve("--port", "0", *serve)
        self.port = int(self.server.announced["port"])
        self.state: list[str] = ["--state", "sqlite:state.db"]
        self.behind = ""
        """A proxy before the server, for workers that begin from now on."""

    def keep_state_in_dynamodb(self) -> None:
        """State is in a table of another server from now on, which is to be made."""
        other = self.serve("--port", "0", "--memory").announced
        self.state = ["--state", "dynamodb:kept", "--state-endpoint", f"http://127.0.0.1:{other['port']}"]

    @property
    def endpoint(self) -> str:
        """Where the tables are."""
        return f"http://127.0.0.1:{self.port}"

    def serve(self, *arguments: str) -> Command:
        """A server."""
        return self.begin("serve", *arguments, "--json")

    def begin(self, *arguments: str) -> Command:
        """A command that goes on."""
        command = Command(*arguments, cwd=self.path, seen=self.seen)
        self.commands.append(command)
        return command

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """One command that ends by itself: exit code, and what it said."""
        answer = tailrace(*arguments, cwd=self.path, environment=ENVIRONMENT)
        return answer.returncode, answer.stdout, answer.stderr

    def create_state(self) -> None:
        """Make the place for state."""
        options = [option.replace("--state-endpoint", "--endpoint") for option in self.state[2:]]
        code, _, said = self.run("state", "create", self.state[1], *options)
        assert code == 0, said

    def worker(self, *options: str, app: str = "app.py") -> Command:
        """A worker, which may end at once."""
        health = () if "--health" in options else ("--health", "127.0.0.1:0")
        return self.begin(
            "worker", app, *self.state, "--endpoint", self.behind or self.endpoint, *health, "--json",
            "--log-format", "json", *options,
        )  # fmt: skip

    def call(
        self, operation: str, members: dict[str, Any], port: int = 0, service: str = "DynamoDB_20120810"
    ) -> dict[str, Any]:
        """One request. Raises: AssertionError when it is refused."""
        connection = HTTPConnection("127.0.0.1", port or self.port, timeout=PATIENCE_S)
        try:
            target = {"X-Amz-Target": f"{service}.{operation}"}
            connection.request("POST", "/", json.dumps(members), {**HEADERS, **target})
            answer = connection.getresponse()
            body: dict[str, Any] = json.loads(answer.read())
        finally:
            connection.close()
        assert answer.status == 200, body
        return body

    def create_table(self, name: str = "orders", *, stream: bool = True) -> None:
        """A table of the app."""
        members: dict[str, Any] = {
            "TableName": name,
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "BillingMode": "PAY_PER_REQUEST",
        }
        if stream:
            members["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
        self.call("CreateTable", members)

    def write(self, keys: int, first: int, last: int, table: str = "orders") -> set[tuple[str, int]]:
        """Change so many items of a table from one number to another. Returns: the changes."""
        changes = [(f"{table[0]}{key}", number) for number in range(first, last) for key in range(keys)]
        for key, number in changes:
            self.call("PutItem", {"TableName": table, "Item": {"id": {"S": key}, "n": {"N": str(number)}}})
        return set(changes)

    def handled(self) -> list[Handled]:
        """What handlers were called for, in the order of the calls; a line that is being written is left
        out.
        """
        if not self.seen.exists():
            return []
        whole, _, _ = self.seen.read_text().rpartition("\n")
        lines = [line.split(" ") for line in whole.splitlines()]
        return [Handled(key, int(number), int(process)) for key, number, process in lines]

    def wait(self, changes: set[tuple[str, int]]) -> None:
        """Until every change was handled."""
        eventually(
            lambda: changes <= {line[:2] for line in self.handled()},
            lambda: f"{len(changes - {line[:2] for line in self.handled()})} changes were not handled",
        )

    def end(self) -> None:
        """Kill what is left."""
        for command in self.commands:
            command.close()


def first_deliveries(lines: list[Handled]) -> dict[str, list[int]]:
    """The numbers of each item, each where it came first."""
    numbers: dict[str, list[int]] = {}
    for line in lines:
        known = numbers.setdefault(line.key, [])
        if line.number not in known:
            known.append(line.number)
    return numbers


def check_order(lines: list[Handled]) -> None:
    """Raises: AssertionError unless each item's changes came first in their order."""
    for key, numbers in first_deliveries(lines).items():
        assert numbers == sorted(numbers), f"{key}: {numbers}"


@contextmanager
def fleet(path: Path, *serve: str) -> Iterator[Fleet]:
    """A fleet until the block ends."""
    begun = Fleet(path, *(serve or ("--memory",)))
    try:
        yield begun
    finally:
        begun.end()


KILL, TERM, INT = signal.SIGKILL, signal.SIGTERM, signal.SIGINT
