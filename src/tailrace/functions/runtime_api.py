"""Lambda's Runtime API on loopback, and AWS's own runtime client on it:
`python -m tailrace.functions.runtime_api MODULE ATTRIBUTE [FILE]`, in place of process.py, where
TAILRACE_RUNTIME=awslambdaric asks for it.

Theory of operation: to the node it is a function's process: frames come in, frames go out, and it ends with
its input. Behind it stands the program that runs a Python function on Lambda, `awslambdaric`, which asks for
the next invocation, calls the function and posts what it answered, over HTTP. So a function is tested by what
will run it: its imports, its errors, its JSON, its context. A client that ends by itself ends this process
with the same code, as a function's process would; the client ends when this process does, also when that is
killed at a time-out.
Rules of this file: the five paths of the API and no more; one invocation at a time. What the client prints
goes to standard error, and is not in the log that an invocation answers. Started by pool.py. Source: AWS
Lambda Developer Guide, "Using the Lambda runtime API".
"""

import json
import os
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final, NamedTuple

from tailrace.clocks.system import SystemClock
from tailrace.functions.frames import LOADED, Frame
from tailrace.functions.process import begun, failed, read

CLIENT: Final = "awslambdaric"
PREFIX: Final = "/2018-06-01/runtime"
CLOCK: Final = SystemClock()
RUN: Final = (
    "from tailrace.functions.process import end_with_node\n"
    "end_with_node(0)\n"
    "import runpy\n"
    f"runpy.run_module('{CLIENT}', run_name='__main__', alter_sys=True)\n"
)
"""The client, ending with the other side of its input."""


class Said(NamedTuple):
    """What the client posted or asked for. Shape: `what` is "next", "response", "error" or "init/error";
    "gone" when it has ended.
    """

    what: str
    body: bytes = b""


class RuntimeApi(ThreadingHTTPServer):
    """The API for one client. Shape: `said` is what it says, in order; `invocations` are given out by GET
    next.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _RuntimeRequest)
        self.said: SimpleQueue[Said] = SimpleQueue()
        self.invocations: SimpleQueue[Frame] = SimpleQueue()

    @property
    def address(self) -> str:
        """What AWS_LAMBDA_RUNTIME_API says."""
        return f"127.0.0.1:{self.server_address[1]}"


class _RuntimeRequest(BaseHTTPRequestHandler):
    server: RuntimeApi
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """The next invocation, when there is one."""
        if self.path != f"{PREFIX}/invocation/next":
            self._answer(404, b"{}")
            return
        self.server.said.put(Said("next"))
        frame = self.server.invocations.get()
        head = frame.head
        headers = {
            "Lambda-Runtime-Aws-Request-Id": head["request_id"],
            "Lambda-Runtime-Deadline-Ms": str(CLOCK.now().wall_ms + int(head["timeout_ms"])),
            "Lambda-Runtime-Invoked-Function-Arn": head["arn"],
            "Lambda-Runtime-Trace-Id": head.get("trace") or "",
        }
        if head.get("client"):
            headers["Lambda-Runtime-Client-Context"] = json.dumps(head["client"])
        self._answer(200, frame.body, {name: value for name, value in headers.items() if value})

    def do_POST(self) -> None:
        """An answer, or an error of an invocation or of the start."""
        body = self._body()
        what = self.path.removeprefix(f"{PREFIX}/")
        if what.startswith("invocation/"):
            what = what.rpartition("/")[2]
        if what not in ("response", "error", "init/error"):
            self._answer(404, b"{}")
            return
        self._answer(202, b'{"status":"OK"}')
        self.server.said.put(Said(what, body))

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        every = {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}
        for name, value in every.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

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


class RuntimeClient:
    """The client's process, and the API that it speaks to."""

    def __init__(self, module: str, attribute: str, file: str) -> None:
        self.api = RuntimeApi()
        threading.Thread(target=self.api.serve_forever, name="tailrace runtime api", daemon=True).start()
        paths = [str(Path(file).parent)] if file else []
        paths += [path for path in [os.environ.get("PYTHONPATH", "")] if path]
        handler = f"{module}.{attribute}"
        self._process = subprocess.Popen(
            [sys.executable, "-c", RUN, handler],
            stdin=subprocess.PIPE,
            stdout=2,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(paths),
                "AWS_LAMBDA_RUNTIME_API": self.api.address,
                "_HANDLER": handler,
            },
        )
        threading.Thread(target=self._watch, name="tailrace runtime client", daemon=True).start()

    @property
    def code(self) -> int | None:
        """How it ended; None while it runs."""
        return self._process.poll()

    def _watch(self) -> None:
        self._process.wait()
        self.api.said.put(Said("gone"))

    def started(self) -> Said:
        """Wait until it asks for its first invocation, or says why it cannot."""
        return self.api.said.get()

    def invoked(self, frame: Frame) -> Said:
        """What it says of an invocation. The client asks for the next one when it has answered."""
        self.api.invocations.put(frame)
        while (said := self.api.said.get()).what == "next":
            pass  # it has asked after its last answer
        return said


def main(arguments: list[str]) -> int:
    """Answer frames until the input ends, or the client does."""
    module, attribute, *place = arguments
    answers = begun()
    client: RuntimeClient | None = None
    while (frame := read(sys.stdin.buffer)) is not None:
        if find_spec(CLIENT) is None:
            words = f"TAILRACE_RUNTIME={CLIENT}, and {CLIENT} is not installed"
            answers.write(failed("Runtime.InvalidEntrypoint", words).encode())
            continue
        if client is None:
            client = RuntimeClient(module, attribute, *(place or [""]))
            if (said := client.started()).what == "next":
                answers.write(LOADED.encode())
            else:
                answers.write(_answer(said, client).encode())
                client = None  # the next invocation is a new start
                continue
        answers.write(_answer(client.invoked(frame), client).encode())
    return 0


def _answer(said: Said, client: RuntimeClient) -> Frame:
    """What the client said, as a function's process says it. Guarantee: where the client has ended, so does
    this process.
    """
    if said.what == "response":
        return Frame({"ok": True}, said.body)
    if said.what == "gone":
        code = client.code or 0
        if code < 0:
            signal.signal(-code, signal.SIG_DFL)
            os.kill(os.getpid(), -code)
        os._exit(code)
    error = json.loads(said.body)
    trace = [str(line).rstrip("\n") for line in error.get("stackTrace") or ()]
    return failed(str(error.get("errorType", "")), str(error.get("errorMessage", "")), trace)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
