"""The same against `tailrace serve` in a process of its own: over sockets, with Lambda's API, and with an eye
on its memory.

Rules of this file: the process is ended by its id; memory is what the kernel says of it (Linux only,
else 0: not judged).
"""

import gzip
import http.client
import json
import os
import time
from pathlib import Path
from typing import Any

from tests.crash.node import Node, free_port
from tests.fuzz import campaign
from tests.fuzz.campaign import FURNISHED, Report, judge
from tests.fuzz.data_streams import clear
from tests.fuzz.model import TARGETS
from tests.fuzz.mutations import SIGNED, Request
from tests.fuzz.seeds import Known, furnish, harvest, request_of, shelf
from tests.patience import PATIENCE_S

SERVICES = (*campaign.SERVICES, "lambda", "lambda", "http")
FUNCTIONS = ("echo", "fail")
CODE = (
    "def echo(event, context):\n    return event\n\ndef fail(event, context):\n    raise "
    "LookupError('no such country')\n"
)
EVENT_STREAM = "application/vnd.amazon.eventstream"
DELETED = 204
SETTLE_S = 0.5
LOOKS = 6
MOST_GROWTH = 0.20
PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class ServedWorld:
    """A server process with the tables of the campaign."""

    def __init__(self, directory: Path) -> None:
        (directory / "functions.py").write_text(CODE)
        os.environ["PYTHONPATH"] = f"{directory}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
        named = [f"--function={name}=functions:{name}" for name in FUNCTIONS]
        self.node = Node(directory, free_port(), ("serve", *named))
        self.node.start()
        self.node.wait_until_answering()
        self.known: Known = {}
        self.renew()

    def renew(self) -> None:
        """Delete every table and make those of the campaign anew: memory is compared with the same data."""
        for name in self.node.call("ListTables", {})["TableNames"]:
            protected = {"TableName": name, "DeletionProtectionEnabled": False}
            if self.node.call("DescribeTable", {"TableName": name})["Table"]["DeletionProtectionEnabled"]:
                self.node.call("UpdateTable", protected)
            self.node.call("DeleteTable", {"TableName": name})
        clear(self._plainly)
        self.furnish()

    def furnish(self) -> None:
        """Make what is missing."""
        furnish(self._plainly, self.known)
        for name in FUNCTIONS:
            self._ask(_creating(name))  # refused when it is there

    def _plainly(self, service: str, operation: str, members: dict[str, Any]) -> Any:
        try:
            return self.node.call(operation, members, TARGETS[service])
        except AssertionError:  # refused: it is there already
            return None

    def send(self, report: Report, first: int, count: int) -> None:
        """Requests `first` to `first + count - 1`."""
        for number in range(first, first + count):
            if (number - first) % FURNISHED == 0:
                self.furnish()
            request = request_of(report.seed, number, self.known, SERVICES)
            try:
                status, body = self._ask(request)
            except (OSError, http.client.HTTPException) as error:
                is_dead = not self._is_alive()
                place = (
                    "the process has ended"
                    if is_dead
                    else f"{request.operation} is not answered: {type(error).__name__}"
                )
                report.add(number, request, 0, place, f"{error}; {self.node.tail(12)}")
                if is_dead:
                    return
                continue
            if request.operation == "lambda.DeleteFunction" and status == DELETED:
                self.furnish()
            place, answer = judge(request, status, body)
            harvest(answer, shelf(self.known, request.operation))
            report.add(
                number, request, status, place, f"{body!r} {self.node.tail(12)[-500:]}" if place else ""
            )

    def _ask(self, request: Request) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.node.port, timeout=PATIENCE_S)
        try:
            connection.putrequest(
                request.method, request.url.replace(" ", "%20") or "/", skip_accept_encoding=True
            )
            for name, value in request.headers.items():
                connection.putheader(name, value.encode("latin-1", "replace").replace(b"\n", b" "))
            connection.putheader("Content-Length", str(len(request.body)))
            connection.endheaders(request.body)
            answer = connection.getresponse()
            if answer.getheader("Content-Type") == EVENT_STREAM:
                answer.read(1)  # a subscription goes on for five minutes; this client leaves
                return answer.status, b""
            body = answer.read()
            return answer.status, gzip.decompress(body) if answer.getheader("Content-Encoding") else body
        finally:
            connection.close()

    def _is_alive(self) -> bool:
        try:
            self.node.call("ListTables", {})
        except OSError:
            return False
        return True

    def memory(self) -> int:
        """What the server's own process occupies when it has come to rest; functions
        have theirs. Units: bytes.
        """
        self.renew()
        seen: list[int] = []
        for _ in range(LOOKS):
            time.sleep(SETTLE_S)
            for _ in range(20):
                self.node.call("ListTables", {})
            seen.append(_resident(self.node.pid))
        return min(seen)

    def stop(self) -> int:
        """End it."""
        return self.node.stop()


def _creating(name: str) -> Request:
    members = {
        "FunctionName": name,
        "Role": "arn:aws:iam::000000000000:role/any",
        "Code": {"ZipFile": "AAAA"},
        "Runtime": "python3.11",
        "Handler": f"functions.{name}",
    }
    return Request("", "POST", "/2015-03-31/functions", SIGNED, json.dumps(members).encode())


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except OSError:
        return 0


def told(before: int, after: int) -> str:
    """What became of the memory."""
    if not before:
        return "memory is not known here"
    return (
        f"memory {before / 2**20:.1f} MiB before, {after / 2**20:.1f} MiB after "
        f"({(after - before) / before:+.1%})"
    )


def has_grown(before: int, after: int) -> bool:
    """Whether it is more than a fifth above."""
    return bool(before) and after > before * (1 + MOST_GROWTH)
