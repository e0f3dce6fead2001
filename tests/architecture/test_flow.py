"""One PutItem goes through exactly the modules of the picture in docs/flow.md, in their order, and past the
points in theirs.

Rules of this file: a real node with a handler, on loopback and on disk; `sys.setprofile` sees every call
between the request's first byte and the saved checkpoint. What else is entered on the way is listed here with
its reason, so that a new module on the path is a decision and not an accident.
"""

import asyncio
import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import tailrace
from tailrace import App, Change, telemetry
from tailrace.compose import EngineOptions, Node
from tailrace.server.http import HttpSettings
from tests.patience import PATIENCE_S

PACKAGE = str(Path(tailrace.__file__).parent) + "/"

STEPS = [
    ("server/connection.py", "data_received"),
    ("api/dispatch.py", "execute"),
    ("api/wire.py", None),
    ("api/dynamodb/put_item.py", None),
    ("engine/engine.py", "put"),
    ("tables/mutate.py", None),
    ("streams/record.py", None),
    ("server/turns.py", "_flush"),
    ("engine/committer.py", "flush"),
    ("stores/sqlite.py", "commit"),
    ("sources/embedded.py", None),
    ("mapping/shard.py", "step"),
    ("runtime/delivering.py", "_invoke"),
    ("runtime/driver.py", "write"),
    ("sinks/function.py", "write"),
    ("mapping/shard.py", "step"),
    ("runtime/delivering.py", "_save"),
    ("runtime/driver.py", "_answer"),
    ("server/turns.py", "_flush"),
    ("engine/committer.py", "flush"),
    ("stores/sqlite.py", "commit"),
]
"""The lines of the picture in docs/flow.md that name a module, in their order, each with the function that is
entered; None: any.
"""
PAGE = Path(__file__).parents[2] / "docs" / "flow.md"
NAMED = re.compile(r"^ *(?:\d+ )? *([a-z_]+(?:/[a-z_]+)*\.py) ", re.MULTILINE)

PATH = {file for file, _ in STEPS}
BESIDE = {
    "server/http.py": "owns the connections; asked for its limits and the Host",
    "server/answering.py": "what every version of HTTP does with a request, beside connection",
    "server/preface.py": "which version of HTTP the connection's first bytes are",
    "api/dynamodb/parameters.py": "members that several operations share",
    "api/validation.py": "checks members, in AWS's words",
    "api/shapes.py": "what members an operation takes",
    "server/hosts.py": "whether the Host header names this server",
    "values/": "items at the border",
    "expressions/": "conditions",
    "tables/": "schema and limits beside mutate",
    "streams/": "sequence numbers, shards and rows of the log beside record",
    "engine/": "catalog, overlay, queries and state beside engine and committer",
    "mapping/": "the parts of the machine beside shard",
    "rows/": "how keys of state are made",
    "leases/": "layouts of leases, checkpoints and the ledger",
    "runtime/": "effects and rows beside driver",
    "worker/": "a lease that is renewed beside",
    "sinks/": "how a function is called, beside what one is given",
    "stores/": "the rows of a store",
    "clocks/": "what time it is",
    "app/": "what the handler is given",
    "ports/": "values",
    "server/node.py": "housekeeping goes on beside",
    "server/takers.py": "its idle processes are looked at once a second",
    "telemetry.py": "points",
    "errors.py": "errors",
}


@dataclass(slots=True)
class Trace:
    """Calls into the package, in order, and points passed."""

    calls: list[tuple[str, str]] = field(default_factory=list)
    points: list[str] = field(default_factory=list)
    reached: dict[str, int] = field(default_factory=dict)
    """How many calls there were when a point was passed first."""

    def reach(self, point: str) -> None:
        """What the node passes."""
        self.points.append(point)
        self.reached.setdefault(point, len(self.calls))

    def see(self, frame: FrameType, event: str, argument: Any) -> None:
        """What sys.setprofile calls."""
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            call = (frame.f_code.co_filename.removeprefix(PACKAGE), frame.f_code.co_name)
            if not self.calls or self.calls[-1] != call:
                self.calls.append(call)


def missing_step(
    calls: list[tuple[str, str]], steps: list[tuple[str, str | None]]
) -> tuple[str, str | None] | None:
    """The first step that does not follow the ones before it."""
    remaining = iter(calls)
    for file, function in steps:
        if not any(file == seen and function in (None, name) for seen, name in remaining):
            return file, function
    return None


def drawn(page: str) -> list[str]:
    """The modules that the picture of a page names, in their order."""
    return NAMED.findall(page.split("```")[1])


def strangers(calls: list[tuple[str, str]]) -> set[str]:
    """Modules on the way that nobody has named."""
    return {
        file
        for file, _ in calls
        if file not in PATH and not any(file == one or file.startswith(one) for one in BESIDE)
    }


ENTERED = 28
"""So many modules a change enters from the log to its checkpoint: at most 30 were the aim.
It may only sink.
"""
WRITERS = {"server/connection.py", "server/http.py", "server/preface.py"}
"""They end the writer's connection meanwhile, and see nothing of the change any more."""


WRITING = 16
"""So many modules a PutItem enters at most from dispatch to its commit. It may only sink."""
BEFORE = {"server/answering.py", "server/connection.py", "server/http.py", "server/turns.py"}
"""They read the request and end the turn around it."""


def written(trace: Trace) -> list[str]:
    """The modules that were entered between the dispatch of a request and the end of its commit."""
    calls = trace.calls[: trace.reached["commit.done"]]
    begun = calls.index(("api/dispatch.py", "execute"))
    return sorted({file for file, _ in calls[begun:]} - BEFORE)


def entered(trace: Trace, begun: str = "commit.done", done: str = "checkpoint.done") -> list[str]:
    """The modules that were entered between two points."""
    calls = trace.calls[trace.reached[begun] : trace.reached[done]]
    return sorted({file for file, _ in calls} - WRITERS)


async def put(port: int, item: dict[str, Any]) -> bytes:
    """One PutItem over a new connection; the whole answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps({"TableName": "items", "Item": item}).encode()
    writer.write(
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: "
        b"application/x-amz-json-1.0\r\nX-Amz-Target: DynamoDB_20120810.PutItem\r\nX-Amz-Date: "
        b"20260101T000000Z\r\nAuthorization: AWS4-HMAC-SHA256 "
        b"Credential=flow/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host;x-amz-date, "
        b"Signature=0\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )
    answer = await reader.read()
    writer.close()
    return answer


async def trace_one(directory: Path) -> tuple[Trace, list[str], bytes]:
    """Run a node, settle one change so that everything is imported, then trace another."""
    app, handled, trace = App("flow"), list[str](), Trace()
    items = app.table("items", pk="id")

    @app.on(items)
    async def handle(change: Change) -> None:
        handled.append(str(change.key))

    node = Node(EngineOptions(directory, clock="manual"), HttpSettings(port=0), app)
    node.reached = trace.reach
    port = await node.start()
    try:
        await put(port, {"id": {"S": "first"}})
        await settle(trace)
        trace.points.clear()
        trace.reached.clear()
        sys.setprofile(trace.see)
        try:
            answer = await put(port, {"id": {"S": "second"}, "n": {"N": "1"}})
            await settle(trace)
        finally:
            sys.setprofile(None)
    finally:
        await node.stop()
    return trace, handled, answer


async def settle(trace: Trace) -> None:
    """Wait until a checkpoint is saved."""
    async with asyncio.timeout(PATIENCE_S):
        while "checkpoint.done" not in trace.points:
            await asyncio.sleep(0.001)


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Trace, list[str], bytes]:
    """The way of one change. Nobody else finds the node: whoever lists nodes asks each by its control socket,
    which would be on the way.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
        return asyncio.run(trace_one(tmp_path_factory.mktemp("flow") / "data"))


def test_the_change_is_answered_and_handled(traced: tuple[Trace, list[str], bytes]) -> None:
    _, handled, answer = traced
    assert answer.startswith(b"HTTP/1.1 200")
    assert handled == ["first", "second"]


def test_it_goes_through_the_modules_of_the_picture_in_order(traced: tuple[Trace, list[str], bytes]) -> None:
    assert missing_step(traced[0].calls, STEPS) is None


def test_the_page_draws_every_step_in_order() -> None:
    assert drawn(PAGE.read_text(encoding="utf-8")) == [file for file, _ in STEPS]


def test_a_picture_of_another_way_is_found() -> None:
    page, steps = PAGE.read_text(encoding="utf-8"), [file for file, _ in STEPS]
    for before, after in (
        ("   sinks/function.py", "   sinks/functions.py"),
        ("   api/wire.py", "              "),
        ("12 runtime/delivering.py", "12 runtime/settling.py"),
    ):
        assert before in page
        assert drawn(page.replace(before, after)) != steps


def test_it_goes_through_no_other_module(traced: tuple[Trace, list[str], bytes]) -> None:
    assert strangers(traced[0].calls) == set()


def test_it_enters_few_modules_between_the_log_and_its_checkpoint(
    traced: tuple[Trace, list[str], bytes],
) -> None:
    way = entered(traced[0])
    assert len(way) <= ENTERED, f"{len(way)} modules, at most {ENTERED}:\n" + "\n".join(way)


def test_it_enters_few_modules_between_dispatch_and_commit(traced: tuple[Trace, list[str], bytes]) -> None:
    way = written(traced[0])
    assert len(way) <= WRITING, f"{len(way)} modules, at most {WRITING}:\n" + "\n".join(way)


SELDOM = ("lease.taken", "transaction.done", "park.begun", "park.done", "stamp.done")
"""Passed before, or only by a change with recorded writes, or by one that fails."""


def test_it_passes_every_point_in_order(traced: tuple[Trace, list[str], bytes]) -> None:
    """A change without recorded writes passes no transaction, and the lease was taken before."""
    first = list(dict.fromkeys(traced[0].points))
    expected = [point for point in telemetry.POINTS if point not in SELDOM]
    writing = [point for point in first if point in telemetry.WRITE_POINTS]
    delivering = [point for point in first if point in telemetry.DELIVERY_POINTS]
    assert [*writing, *delivering] == expected
    assert first.index("commit.done") < first.index("read.done")


def test_a_step_out_of_order_and_a_stranger_are_found() -> None:
    calls = [(file, function or "f") for file, function in STEPS]
    assert missing_step(calls, STEPS) is None
    assert missing_step([*calls[1:], calls[0]], STEPS) == STEPS[1]
    assert missing_step(calls[:-1], STEPS) == STEPS[-1]
    assert strangers([*calls, ("dashboard/api.py", "f")]) == {"dashboard/api.py"}


def test_a_module_is_counted_once_and_only_between_the_points() -> None:
    trace = Trace()
    for call in ("before.py", "sources/embedded.py", "mapping/shard.py", "sources/embedded.py", "after.py"):
        if call == "after.py":
            trace.reach("checkpoint.done")
        trace.calls.append((call, "f"))
        if call == "before.py":
            trace.reach("commit.done")
    assert entered(trace) == ["mapping/shard.py", "sources/embedded.py"]


def test_a_module_of_a_write_is_counted_once_and_only_from_dispatch_to_commit() -> None:
    trace = Trace()
    for file in ("before.py", "api/dispatch.py", "engine/engine.py", "server/turns.py", "engine/engine.py"):
        trace.calls.append((file, "execute"))
    trace.reach("commit.done")
    trace.calls.append(("after.py", "f"))
    assert written(trace) == ["api/dispatch.py", "engine/engine.py"]
