"""An HTTP proxy on loopback that does to a client of AWS what the network and AWS do: at the call that a test
names, and the same in every run.

    with Proxy("http://127.0.0.1:4566") as proxy:
        proxy.on("GetRecords", expired(), calls=[3])
        proxy.on("DescribeStream", Late(200), calls=[1, 2], where={"StreamArn": arn})
        client = boto3.client("dynamodbstreams", endpoint_url=proxy.url, …)

Theory of operation. A call is known by its operation (X-Amz-Target), and counted: the third GetRecords is the
third that came, or the third of those whose members are as `where` says. A rule names calls and a fault; the
first rule that fits is used, and each call has one fault at most: later rules do not count it. Everything
that came is in `calls`, with what was done to it. Nothing is left to chance: `chosen_faults` chooses by a
hash of a seed and the number of the call.
Rules of this file: it runs in a thread of its own, and a connection is a task; what it answers in AWS's place
has AWS's form. It is closed by leaving the block, and then answers nothing more. Called by tests and by
users.
"""

import asyncio
import re
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from hashlib import blake2b
from itertools import count
from types import TracebackType
from typing import Any, Final, NamedTuple, Self, TypeAlias
from urllib.parse import urlsplit

import orjson
from msgspec import Struct

from tailrace.errors import SettingsError

HOST: Final = "127.0.0.1"
CODES: Final = "com.amazonaws.dynamodb.v20120810#"
MOST_HEAD: Final = 64 * 1024
STARTS_S: Final = 10.0
HOP_BY_HOP: Final = frozenset(("connection", "keep-alive", "transfer-encoding", "content-length"))
JSON: Final = "application/x-amz-json-1.0"
SIGNER: Final = re.compile("Credential=([^/,]+)/")


# ---- faults ------------------------------------------------------------------------------------------------


class Late(Struct, frozen=True):
    """The answer comes later. Units: milliseconds. Shape: `before` the server has seen the call, or after."""

    milliseconds: int
    before: bool = False


class CutOff(Struct, frozen=True):
    """The connection is closed: before the server has seen the call, or after `sent` bytes of its answer."""

    sent: int | None = None


class Never(Struct, frozen=True):
    """No answer comes, and the connection stays. Shape: `seen` whether the server has seen the call."""

    seen: bool = True


class Twice(Struct, frozen=True):
    """The server sees the call twice; the second answer comes."""


class Again(Struct, frozen=True):
    """The answer of the last call of this operation (that fits the same rule) comes once more; the server
    sees nothing. The first call has no such answer, and is let through.
    """


class Refuse(Struct, frozen=True):
    """The server's refusal, without the server. Shape: `retry_after_s` is a header, when it is not 0."""

    code: str
    message: str = ""
    status: int = 400
    retry_after_s: int = 0


class Alter(Struct, frozen=True):
    """The answer is another one. Shape: `change` gets its members and returns others."""

    change: Callable[[dict[str, Any]], dict[str, Any]]


Fault: TypeAlias = Late | CutOff | Never | Twice | Again | Refuse | Alter


def throttled(operation: str = "GetRecords") -> Refuse:
    """Too many calls, in the words of that operation. Source: semantics §1.7."""
    if operation == "GetRecords":
        return Refuse("LimitExceededException", "Shard reads are being throttled")
    return Refuse("ThrottlingException", "Rate exceeded")


def expired() -> Refuse:
    """An iterator that is older than it may be. Source: semantics §1.6."""
    return Refuse(
        "ExpiredIteratorException",
        "Iterator expired. The iterator was created at time Sun Oct 10 05:17:11 UTC 2021 while right "
        "now it is "
        "Sun Oct 10 07:05:22 UTC 2021 which is further in the future than the tolerated delay of 900000 "
        "milliseconds.",
    )


def trimmed() -> Refuse:
    """A position that the stream no longer has. Source: semantics §1.6."""
    return Refuse(
        "TrimmedDataAccessException",
        "The operation attempted to read past the oldest stream record in a shard.",
    )


def denied() -> Refuse:
    """A role whose permission has not arrived everywhere yet."""
    return Refuse(
        "AccessDeniedException", "User: arn:aws:iam::000000000000:user/x is not authorized to perform"
    )


def failing() -> Refuse:
    """The service is away."""
    return Refuse("InternalServerError", "Internal server error", 500)


def listing(*, without: Collection[str] = (), opened: Collection[str] = (), last: str | None = None) -> Alter:
    """A page of DescribeStream that contradicts the others. Shape: ids of shards that it lacks, and of closed
    ones that it shows open; `last` is where it says that the next page begins, "" that there is none.
    """

    def change(members: dict[str, Any]) -> dict[str, Any]:
        description = members["StreamDescription"]
        shards = [shard for shard in description["Shards"] if shard["ShardId"] not in without]
        for shard in shards:
            if shard["ShardId"] in opened:
                shard["SequenceNumberRange"].pop("EndingSequenceNumber", None)
        description["Shards"] = shards
        if last is not None:
            description.pop("LastEvaluatedShardId", None)
            if last:
                description["LastEvaluatedShardId"] = last
        return members

    return Alter(change)


# ---- what is done to which call ----------------------------------------------------------------------------


class ProxyCall(Struct):
    """A call that came. Shape: `number` among those of its operation, from 1; `fault` what was done to it;
    `status` what was answered, 0 for nothing; `access_key` who signed it, "" where that is not said.
    """

    operation: str
    number: int
    members: dict[str, Any]
    fault: Fault | None = None
    status: int = 0
    access_key: str = ""


class ProxyRule(Struct):
    """What is done to which calls. Shape: `calls` by their numbers among those that fit, from 1; None:
    all; `access_key` who signed them, None: anybody.
    """

    operation: str
    fault: Fault
    calls: Collection[int] | None
    where: Mapping[str, Any]
    access_key: str | None = None
    fitting: int = 0
    answer: "_Answer | None" = None

    def fits(self, call: ProxyCall) -> bool:
        """Whether it is about such calls."""
        return (
            self.operation in (call.operation, "*")
            and self.access_key in (call.access_key, None)
            and all(call.members.get(name) == value for name, value in self.where.items())
        )


class _Answer(NamedTuple):
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class _Request(NamedTuple):
    first: str
    headers: Mapping[str, str]
    body: bytes


def chosen_faults(seed: str, faults: Sequence[Fault], per_mille: int, calls: int) -> dict[int, Fault]:
    """Faults for the first calls, by a hash of the seed and the call's number. Units: `per_mille` of the
    calls have one, about.

    >>> chosen_faults("a", [CutOff()], 300, 12) == chosen_faults("a", [CutOff()], 300, 12)
    True
    """
    chosen: dict[int, Fault] = {}
    for number in range(1, calls + 1):
        drawn = int.from_bytes(blake2b(f"{seed}/{number}".encode(), digest_size=8).digest())
        if drawn % 1_000 < per_mille:
            chosen[number] = faults[drawn // 1_000 % len(faults)]
    return chosen


class Proxy:
    """A proxy before one server. Shape: `server` is its URL, http only. Raises: SettingsError."""

    def __init__(self, server: str) -> None:
        parts = urlsplit(server)
        if parts.scheme != "http" or not parts.hostname:
            raise SettingsError(
                f"{server!r}: the proxy reads what it passes on, so it takes http and no https"
            )
        self._server = (parts.hostname, parts.port or 80)
        self.calls: list[ProxyCall] = []
        """Every call that came, in order."""
        self._rules: list[ProxyRule] = []
        self._counts: dict[str, count[int]] = {}
        self._given: dict[str, _Answer] = {}
        """The answer of GetRecords that gave an iterator."""
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tailrace proxy", daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: asyncio.Server | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """Where clients call."""
        return f"http://{HOST}:{self._port}"

    def on(
        self,
        operation: str,
        fault: Fault,
        *,
        calls: Collection[int] | None = None,
        where: Mapping[str, Any] | None = None,
        access_key: str | None = None,
    ) -> Self:
        """From now on do this to calls of an operation ("*": of any). Shape: `calls` by their numbers from
        now on, from 1, among those whose members are as `where` says and that `access_key` signed; None: all
        of them.
        """
        with self._lock:
            self._rules.append(ProxyRule(operation, fault, calls, dict(where or {}), access_key))
        return self

    def clear(self) -> None:
        """Do nothing to calls any more."""
        with self._lock:
            self._rules.clear()

    def count(self, operation: str) -> int:
        """How many calls of an operation came."""
        return sum(call.operation == operation for call in list(self.calls))

    # ---- running -------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(STARTS_S)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Answer nothing more, and cut what is open. Repeatable."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(STARTS_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STARTS_S)
        self._loop.close()

    async def _open(self) -> None:
        self._listener = await asyncio.start_server(self._connected, HOST, 0, limit=MOST_HEAD)
        self._port = self._listener.sockets[0].getsockname()[1]

    async def _end(self) -> None:
        if self._listener is not None:
            self._listener.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while (request := await _read_request(reader)) is not None:
                if not await self._serve(request, writer):
                    break
        except (OSError, EOFError, asyncio.CancelledError):
            pass  # the client or the server has closed, or the proxy ends
        finally:
            self._tasks.discard(task)
            writer.close()

    # ---- one call ------------------------------------------------------------------------------------------

    async def _serve(self, request: _Request, writer: asyncio.StreamWriter) -> bool:
        """Answer a call. Returns: whether the connection goes on."""
        call, rule = self._count_in(request)
        fault = None if rule is None else rule.fault
        match fault:
            case CutOff(None):
                return False
            case Never(seen):
                if seen:
                    await self._forward(request)
                await asyncio.get_running_loop().create_future()
            case Late(milliseconds, before=True):
                await asyncio.sleep(milliseconds / 1_000)
        answer = await self._answer(request, call, rule)
        call.status = answer.status
        data = _written(answer)
        match fault:
            case CutOff(int(sent)):
                writer.write(data[:sent])
                await writer.drain()
                return False
            case Late(milliseconds, before=False):
                await asyncio.sleep(milliseconds / 1_000)
        writer.write(data)
        await writer.drain()
        return True

    def _count_in(self, request: _Request) -> tuple[ProxyCall, ProxyRule | None]:
        operation = request.headers.get("x-amz-target", "").rpartition(".")[2] or request.first.split(" ")[1]
        members: dict[str, Any] = {}
        with suppress(orjson.JSONDecodeError):
            members = orjson.loads(request.body or b"{}")
        with self._lock:
            number = next(self._counts.setdefault(operation, count(1)))
            signer = SIGNER.search(request.headers.get("authorization", ""))
            call = ProxyCall(operation, number, members, access_key=signer[1] if signer else "")
            self.calls.append(call)
            for rule in self._rules:
                if rule.fits(call):
                    rule.fitting += 1
                    if call.fault is None and (rule.calls is None or rule.fitting in rule.calls):
                        call.fault = rule.fault
                        return call, rule
        return call, None

    async def _answer(self, request: _Request, call: ProxyCall, rule: ProxyRule | None) -> _Answer:
        fault = None if rule is None else rule.fault
        match fault:
            case Refuse():
                return _refusal(fault)
            case Again() if rule is not None:
                before = self._given.get(str(call.members.get("ShardIterator")), rule.answer)
                if before is not None:
                    return before
            case Twice():
                await self._forward(request)
        answer = await self._forward(request)
        if rule is not None and isinstance(fault, Alter) and answer.status < 300:
            answer = answer._replace(body=orjson.dumps(fault.change(orjson.loads(answer.body))))
        self._remember(call, answer)
        return answer

    def _remember(self, call: ProxyCall, answer: _Answer) -> None:
        """For calls that are answered the same once more."""
        if call.operation == "GetRecords":
            with suppress(orjson.JSONDecodeError):
                following = orjson.loads(answer.body).get("NextShardIterator")
                self._given[following] = answer
            return
        with self._lock:
            for rule in self._rules:
                if isinstance(rule.fault, Again) and rule.fits(call):
                    rule.answer = answer

    async def _forward(self, request: _Request) -> _Answer:
        """Ask the server, over a connection of this call's own. Raises: OSError, EOFError."""
        reader, writer = await asyncio.open_connection(*self._server)
        try:
            headers = {name: value for name, value in request.headers.items() if name not in HOP_BY_HOP}
            lines = [request.first, *(f"{name}: {value}" for name, value in headers.items())]
            lines += [f"content-length: {len(request.body)}", "connection: close", "", ""]
            writer.write("\r\n".join(lines).encode("latin-1") + request.body)
            await writer.drain()
            return await _read_answer(reader)
        finally:
            writer.close()


# ---- HTTP/1.1 ----------------------------------------------------------------------------------------------


async def _read_head(reader: asyncio.StreamReader) -> tuple[str, dict[str, str]] | None:
    """The first line and the headers, by names in lower case; None: the other side has closed. Raises:
    EOFError.
    """
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return first, {name.strip().lower(): value.strip() for name, _, value in pairs}


async def _read_body(reader: asyncio.StreamReader, headers: Mapping[str, str]) -> bytes:
    if "chunked" not in headers.get("transfer-encoding", ""):
        return await reader.readexactly(int(headers.get("content-length", 0)))
    pieces: list[bytes] = []
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        pieces.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return b"".join(pieces)


async def _read_request(reader: asyncio.StreamReader) -> _Request | None:
    head = await _read_head(reader)
    return None if head is None else _Request(*head, await _read_body(reader, head[1]))


async def _read_answer(reader: asyncio.StreamReader) -> _Answer:
    head = await _read_head(reader)
    if head is None:
        raise EOFError("the server has closed without an answer")
    first, headers = head
    body = await _read_body(reader, headers)
    kept = tuple((name, value) for name, value in headers.items() if name not in HOP_BY_HOP)
    return _Answer(int(first.split(" ")[1]), kept, body)


def _refusal(fault: Refuse) -> _Answer:
    body = orjson.dumps({"__type": f"{CODES}{fault.code}", "message": fault.message})
    headers = [("content-type", JSON), ("x-amzn-requestid", "0" * 52)]
    if fault.retry_after_s:
        headers.append(("retry-after", str(fault.retry_after_s)))
    return _Answer(fault.status, tuple(headers), body)


def _written(answer: _Answer) -> bytes:
    headers = [(name, value) for name, value in answer.headers if name != "x-amz-crc32"]
    lines = [f"HTTP/1.1 {answer.status} -", *(f"{name}: {value}" for name, value in headers)]
    lines += [f"content-length: {len(answer.body)}", "", ""]
    return "\r\n".join(lines).encode("latin-1") + answer.body
