"""The process that is killed, and what any client can read of it.

Rules of this file: speaks HTTP and the command line only; imports nothing of tailrace. Servers listen on
loopback and are stopped by process id.
"""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.patience import PATIENCE_S, eventually

APP = Path(__file__).with_name("app.py")
HEADERS = {
    "Content-Type": "application/x-amz-json-1.0",
    "X-Amz-Date": "20260101T000000Z",
    "Authorization": "AWS4-HMAC-SHA256 Credential=crash/20260101/us-east-1/dynamodb/aws4_request, "
    "SignedHeaders=host;x-amz-date, Signature=0",
}


def free_port() -> int:
    """A loopback port that no process has at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Refused(AssertionError):
    """An answer that is no success. Shape: `data` is its body."""

    def __init__(self, words: str, data: dict[str, Any]) -> None:
        super().__init__(words)
        self.data = data


class Node:
    """One data directory, one port, and a process that comes and goes."""

    def __init__(
        self, directory: Path, port: int, command: tuple[str, ...] = ("dev", str(APP), "--no-reload")
    ) -> None:
        self.directory = directory
        self.port = port
        self.command = command
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """What all processes of the node have printed."""
        return self.directory / "node.log"

    @property
    def pid(self) -> int:
        """The process of now."""
        assert self._process is not None
        return self._process.pid

    @property
    def place(self) -> tuple[str, ...]:
        """How commands name it."""
        return ("--data", str(self.directory / "data"))

    @property
    def line(self) -> tuple[str, ...]:
        """The arguments of a process."""
        return (*self.command, *self.place, "--port", str(self.port))

    def start(self, crash_at: str | None = None) -> None:
        """Start a process, told where to kill itself."""
        environment = {**os.environ, "TAILRACE_CRASH_AT": crash_at or ""}
        if not crash_at:
            del environment["TAILRACE_CRASH_AT"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tailrace", *self.line],
                env=environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def wait_for_death(self, seconds: float) -> bool:
        """Whether the process killed itself in time; ends it by id when it did not."""
        assert self._process is not None
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        if code != -signal.SIGKILL:
            raise AssertionError(
                f"the node ended with {code}, not by a kill; the end of its log:\n{self.tail()}"
            )
        return True

    def kill(self) -> None:
        """SIGKILL, now."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def send(self, number: signal.Signals) -> bool:
        """Send a signal; whether the process was alive."""
        assert self._process is not None
        is_alive = self._process.poll() is None
        self._process.send_signal(number)
        return is_alive

    def wait(self) -> int:
        """Return when it has ended: its exit code."""
        assert self._process is not None
        return self._process.wait(PATIENCE_S)

    def stop(self) -> int:
        """Ask it to drain, and return its exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(PATIENCE_S)

    def tail(self, lines: int = 30) -> str:
        """The end of the node's log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def wait_until_answering(self) -> None:
        """Return when a request is answered. Raises: AssertionError when the process has ended."""
        eventually(self._answers)

    def _answers(self) -> bool:
        assert self._process is not None
        try:
            self.knock()
        except OSError:
            if self._process.poll() is not None:
                raise AssertionError(f"the node has ended; the end of its log:\n{self.tail()}") from None
            return False
        return True

    def knock(self) -> None:
        """Any question that it answers. Raises: OSError."""
        self.call("ListTables", {})

    def call(self, operation: str, payload: dict[str, Any], service: str = "DynamoDB_20120810") -> Any:
        """One request over a new connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            connection.request(
                "POST", "/", json.dumps(payload), {**HEADERS, "X-Amz-Target": f"{service}.{operation}"}
            )
            answer = connection.getresponse()
            data = json.loads(answer.read() or b"{}")
        finally:
            connection.close()
        if answer.status != 200:
            raise Refused(f"{operation} answered {answer.status}: {data}", data)
        return data

    def scan(self, table: str, **options: object) -> list[dict[str, Any]]:
        """Every item of a table, or of its index."""
        items: list[dict[str, Any]] = []
        start: dict[str, Any] = {}
        while True:
            page = self.call("Scan", {"TableName": table, "ConsistentRead": True, **options, **start})
            items += page["Items"]
            if "LastEvaluatedKey" not in page:
                return items
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def records(self, table: str) -> list[dict[str, Any]]:
        """Every record of a table's stream, shard by shard, each shard in order, parents first."""
        arn = self.call("DescribeTable", {"TableName": table})["Table"]["LatestStreamArn"]
        stream = self._streams("DescribeStream", {"StreamArn": arn})["StreamDescription"]
        records: list[dict[str, Any]] = []
        for shard in stream["Shards"]:
            records += self._shard_records(arn, shard["ShardId"])
        return records

    def _shard_records(self, arn: str, shard_id: str) -> list[dict[str, Any]]:
        iterator = self._streams(
            "GetShardIterator", {"StreamArn": arn, "ShardId": shard_id, "ShardIteratorType": "TRIM_HORIZON"}
        )["ShardIterator"]
        records: list[dict[str, Any]] = []
        while iterator:
            page = self._streams("GetRecords", {"ShardIterator": iterator})
            if not page["Records"]:
                break
            records += page["Records"]
            iterator = page.get("NextShardIterator")
        return records

    def _streams(self, operation: str, payload: dict[str, Any]) -> Any:
        return self.call(operation, payload, "DynamoDBStreams_20120810")

    def status(self) -> Any:
        """What `tailrace status --json` says beside the running node."""
        answer = subprocess.run(
            [sys.executable, "-m", "tailrace", "status", "--json", *self.place],
            capture_output=True,
            check=False,
            timeout=PATIENCE_S,
        )
        if answer.returncode:
            raise AssertionError(f"tailrace status failed: {answer.stderr.decode()}")
        return json.loads(answer.stdout)
