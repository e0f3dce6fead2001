"""A campaign: mutated requests to a server in this process, then to a real one; what it answers 500, where it
hangs, what it keeps.

Theory of operation: requests come in blocks of `BLOCK`, each on a fresh world, so that a finding is replayed
by its seed and number within one block. A block is sent either in this process, where the trace of a fault is
at hand, or over HTTP to `tailrace serve` with a data directory, where Lambda's API, headers and the memory of
a process are tried as well.
Rules of this file: a finding is a 500 that AWS does not answer, an answer that is none, or a request that
uses more processor time than `HANG_S`.
"""

import contextlib
import json
import logging
import signal
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tailrace.api.cbor import read_cbor
from tailrace.api.wire import CBOR
from tailrace.clocks.manual import ManualClock
from tailrace.engine.engine import Engine
from tailrace.errors import ApiError
from tailrace.server.inprocess import InProcess
from tailrace.stores.memory import MemoryStore
from tests.fuzz.model import TARGETS
from tests.fuzz.mutations import SIGNED, Request
from tests.fuzz.seeds import Known, furnish, harvest, request_of, shelf

SERVICES = ("dynamodb", "dynamodb", "dynamodb", "dynamodbstreams", "kinesis", "kinesis")
BLOCK = 500
FURNISHED = 50
"""So often the world is made whole again: requests delete tables."""
START_MS = 1_780_000_000_000
HANG_S = 60.0
"""Units: seconds of processor time for one request, hundreds of times what the slowest legal one takes."""
SHOWN = 600
SERVER_FAULT = 500


@dataclass
class Finding:
    """What is wrong. Shape: `place` tells findings of one kind apart from those of another."""

    number: int
    place: str
    request: Request
    told: str
    count: int = 1

    def lines(self) -> list[str]:
        """As a report shows it."""
        said = self.request.body[:SHOWN].decode("utf-8", "backslashreplace")
        done = "; ".join(self.request.done)
        return [
            f"{self.count} × {self.place}",
            f"    first: number {self.number}, {self.request.method} {self.request.url} "
            f"{self.request.operation} ({done})",
            f"    {said}",
            f"    {self.told[:SHOWN]}",
        ]


@dataclass
class Report:
    """A campaign so far."""

    seed: int
    sent: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    operations: dict[str, int] = field(default_factory=dict)
    accepted: dict[str, int] = field(default_factory=dict)
    findings: dict[str, Finding] = field(default_factory=dict)

    def add(self, number: int, request: Request, status: int, place: str, told: str) -> None:
        """One more answer. Shape: `place` is empty when nothing is wrong."""
        self.sent += 1
        self.statuses[str(status)] = self.statuses.get(str(status), 0) + 1
        self.operations[request.operation] = self.operations.get(request.operation, 0) + 1
        if status == 200:
            self.accepted[request.operation] = self.accepted.get(request.operation, 0) + 1
        if place and place in self.findings:
            self.findings[place].count += 1
        elif place:
            self.findings[place] = Finding(number, place, request, told)

    def lines(self) -> list[str]:
        """The report."""
        statuses = ", ".join(f"{status}: {count:,}" for status, count in sorted(self.statuses.items()))
        shown = [line for one in self.findings.values() for line in one.lines()]
        return [
            f"fuzz: seed {self.seed}, {self.sent:,} requests of {len(self.operations)} operations; "
            f"answers {statuses}",
            *shown,
        ]


class Hung(BaseException):
    """A request has used its processor time; no `except Exception` of the server takes it for a fault."""


class Faults(logging.Handler):
    """The last trace that the server has logged."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.trace = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            last = traceback.extract_tb(error.__traceback__)[-1]
            self.trace = (
                f"{type(error).__name__}: {str(error)[:100]} in {last.name} "
                f"({last.filename.rsplit('/', 1)[-1]})"
            )

    def take(self) -> str:
        """The trace, once."""
        trace, self.trace = self.trace, ""
        return trace


def judge(request: Request, status: int, body: bytes) -> tuple[str, Any]:
    """What is wrong with an answer, if something is, and the answer."""
    if status >= SERVER_FAULT and not request.may_fail:
        return f"{request.operation} answers {status}", None
    try:
        if request.headers.get("Content-Type") == CBOR.decode() and not body.startswith(b"{"):
            return "", read_cbor(body) if body else None
        return "", json.loads(body) if body else None
    except (ValueError, ApiError):
        is_xml = body.startswith(b"<") or request.operation == "http" or request.url != "/"
        return ("" if is_xml else f"{request.operation} answers what is no JSON"), None


# ---- in this process ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def watched(seconds: float) -> Iterator[None]:
    """Raise `Hung` in the block when it uses so much processor time."""

    def struck(number: int, frame: Any) -> None:
        raise Hung

    before = signal.signal(signal.SIGPROF, struck)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def nothing(server: InProcess) -> None:
    """No bug is planted."""


def block_here(
    report: Report,
    first: int,
    count: int,
    plant: Callable[[InProcess], None] = nothing,
    hang_s: float = HANG_S,
) -> None:
    """Requests `first` to `first + count - 1` to a fresh engine in this process."""
    clock = ManualClock(START_MS)
    engine = Engine(MemoryStore(), clock)
    server, faults = InProcess(engine), Faults()
    known: Known = {}
    log = logging.getLogger("tailrace.server")
    log.addHandler(faults)
    was, log.propagate = log.propagate, False
    try:
        plant(server)
        for number in range(first, first + count):
            if (number - first) % FURNISHED == 0:
                furnish(lambda *asked: _plainly(server, *asked), known)
            request = request_of(report.seed, number, known, SERVICES)
            status, place, told = _called(server, request, hang_s)
            trace = faults.take()
            if not place:
                place, answer = judge(request, status, told)
                harvest(answer, shelf(known, request.operation))
            report.add(
                number,
                request,
                status,
                f"{place}: {trace}" if place and trace else place,
                told.decode("utf-8", "replace") if place else "",
            )
            clock.advance(60_000 if number % 50 == 0 else 7)
            if place.startswith("hang"):
                return
    finally:
        log.removeHandler(faults)
        log.propagate = was
        engine.close()


def _plainly(server: InProcess, service: str, operation: str, members: dict[str, Any]) -> Any:
    headers = {**SIGNED, "X-Amz-Target": f"{TARGETS[service]}.{operation}"}
    answer = server.call(headers, json.dumps(members).encode())
    return json.loads(answer.body or b"{}") if answer.status == 200 else None


def _called(server: InProcess, request: Request, hang_s: float) -> tuple[int, str, bytes]:
    _url, _, query = request.url.partition("?")
    try:
        with watched(hang_s):
            answer = server.call(request.headers, request.body, query)
        return answer.status, "", answer.body
    except Hung:
        return 0, f"hang: {request.operation}", b""
    except Exception as error:  # the door itself must not raise
        last = traceback.extract_tb(error.__traceback__)[-1]
        return 0, f"{request.operation} raises {type(error).__name__} in {last.name}", repr(error).encode()
