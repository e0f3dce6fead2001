"""A small Lambda Runtime API, for the real runtime client: one event, and what the client says of it.

Rules of this file: loopback only; it knows the five paths that a runtime calls. Source: AWS Lambda Developer
Guide, "Using the Lambda runtime API".
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import IO, Any

from tests.patience import PATIENCE_S

ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"
PREFIX = "/2018-06-01/runtime"


class RuntimeApi(ThreadingHTTPServer):
    """Serves one event; `said` is what came back: "response" or "error" and its body."""

    daemon_threads = True

    def __init__(self, event: bytes, deadline_ms: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.event: bytes | None = event
        self.deadline_ms = deadline_ms
        self.said: tuple[str, Any] | None = None
        self.has_said = threading.Event()


class _Handler(BaseHTTPRequestHandler):
    server: RuntimeApi

    def do_GET(self) -> None:
        """The next invocation; after the first there is none, until the runtime is ended."""
        event, self.server.event = self.server.event, None
        if event is None:
            threading.Event().wait(PATIENCE_S)
            return
        self.send_response(200)
        for name, value in {
            "Lambda-Runtime-Aws-Request-Id": "request-1",
            "Lambda-Runtime-Deadline-Ms": str(self.server.deadline_ms),
            "Lambda-Runtime-Invoked-Function-Arn": ARN,
            "Content-Type": "application/json",
            "Content-Length": str(len(event)),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(event)

    def do_POST(self) -> None:
        """An answer, or an error of an invocation or of the start."""
        body = self._body()
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()
        kind = self.path.rpartition("/")[2]
        if self.server.said is None:
            self.server.said = kind, json.loads(body) if body else None
        self.server.has_said.set()

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


@contextmanager
def _serving(api: RuntimeApi) -> Iterator[str]:
    thread = threading.Thread(target=api.serve_forever, daemon=True)
    thread.start()
    try:
        yield "{}:{}".format(*api.server_address[:2])
    finally:
        api.shutdown()
        api.server_close()
        thread.join(PATIENCE_S)


def by_the_runtime_client(
    handler: str,
    event: bytes,
    environment: dict[str, str],
    deadline_ms: int,
    output: IO[bytes] | int = subprocess.DEVNULL,
) -> tuple[str, Any]:
    """What AWS's own runtime client says of one invocation. Shape: `output` gets what the process prints."""
    api = RuntimeApi(event, deadline_ms)
    with _serving(api) as address:
        process = subprocess.Popen(
            [sys.executable, "-m", "awslambdaric", handler],
            env={**os.environ, **environment, "AWS_LAMBDA_RUNTIME_API": address, "_HANDLER": handler},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE if output == subprocess.DEVNULL else subprocess.STDOUT,
        )
        try:
            if not api.has_said.wait(PATIENCE_S):
                process.kill()
                raise AssertionError(f"the runtime client said nothing: {process.communicate()[1]!r}")
        finally:
            process.kill()
            process.communicate()
    assert api.said is not None
    return api.said
