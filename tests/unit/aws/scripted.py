"""A server that says exactly what a test tells it, byte by byte, and keeps what it was asked. On loopback, in
threads of the test.

Rules of this file: an answer is bytes, HANGS, or a function of the request; after one that does not say how
long it is the connection is closed.
"""

import asyncio
import json
import socketserver
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from tailrace.aws.client import AwsClient
from tailrace.aws.errors import AwsError
from tailrace.aws.places import Access

HANGS: Final = "hangs"
JSON: Final = "application/x-amz-json-1.0"
NOW_S: Final = 1_780_000_000.0


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. Shape: names of `headers` in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Said: TypeAlias = bytes | str | Callable[[Asked], bytes]


def answer(status: int, body: bytes | dict[str, Any] = b"", *, reason: str = "Said", **headers: str) -> bytes:
    """An answer with its length. Shape: `retry_after="3"` is the header Retry-After."""
    data = json.dumps(body).encode() if isinstance(body, dict) else body
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = "\r\n".join([f"HTTP/1.1 {status} {reason}", f"content-length: {len(data)}", *lines, "", ""])
    return head.encode() + data


@dataclass
class Scripted:
    """What it says next, and what it was asked. Shape: with nothing more to say it says `otherwise`."""

    said: deque[Said] = field(default_factory=deque)
    otherwise: Said = field(default_factory=lambda: answer(200, {}))
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    ended: threading.Event = field(default_factory=threading.Event)
    url: str = ""


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    script: Scripted


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        """Answer until the test has enough."""
        self.server.script.connections += 1
        while self._one():
            pass

    def _one(self) -> bool:
        script = self.server.script
        first = self.rfile.readline().decode().split()
        if len(first) != 3:
            return False
        headers: dict[str, str] = {}
        while line := self.rfile.readline().strip().decode("latin-1"):
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        asked = Asked(first[0], first[1], headers, self.rfile.read(int(headers.get("content-length", 0))))
        script.asked.append(asked)
        said = script.said.popleft() if script.said else script.otherwise
        if said == HANGS:
            script.ended.wait()
            return False
        data = said(asked) if callable(said) else said
        assert isinstance(data, bytes)
        try:
            self.wfile.write(data)
        except OSError:
            return False
        head, _, body = data.partition(b"\r\n\r\n")
        is_whole = f"content-length: {len(body)}".encode() in head.lower().split(b"\r\n")
        return is_whole or body.endswith(b"0\r\n\r\n") or asked.method == "HEAD"


@contextmanager
def scripted(secured: ssl.SSLContext | None = None) -> Iterator[Scripted]:
    """A server until the block ends; with a context it speaks TLS."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        script = server.script = Scripted()
        script.url = f"http{'s' if secured else ''}://127.0.0.1:{server.server_address[1]}"
        if secured is not None:
            server.socket = secured.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield script
        finally:
            script.ended.set()
            server.shutdown()
            thread.join()


def access(script: Scripted) -> Access:
    return Access("us-east-1", script.url)


def called(script: Scripted, *operations: tuple[str, str, dict[str, Any]], **settings: Any) -> list[Any]:
    """The answers of calls one after the other, or what they raised."""

    async def all_of_them() -> list[Any]:
        client = AwsClient(now=lambda: NOW_S, **settings)
        outcomes: list[Any] = []
        try:
            for service, operation, parameters in operations:
                try:
                    outcomes.append(await client.call(access(script), service, operation, parameters))
                except AwsError as error:
                    outcomes.append(error)
        finally:
            await client.close()
        return outcomes

    return asyncio.run(all_of_them())


GET: Final = ("dynamodb", "get_item", {"TableName": "t", "Key": {"pk": {"S": "a"}}})


def refused(script: Scripted, operation: tuple[str, str, dict[str, Any]] = GET, **settings: Any) -> AwsError:
    (error,) = called(script, operation, **settings)
    assert isinstance(error, AwsError), error
    return error
