"""One request, from bytes to bytes: read, check, do, and put every failure into AWS's words.

Rules of this file: no I/O of its own and no commit: the caller flushes the engine's group before an answer
leaves. What is not an `ApiError` is logged here, once, and answered 500. Called by `server.connection`
and `server.inprocess`.
"""

import logging
from collections.abc import Generator, Mapping
from types import GeneratorType
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from tailrace.api.listed import Listed, written
from tailrace.api.protocols import (
    HttpAnswer,
    Route,
    query_answer,
    query_refusal,
    read_query,
    read_rest,
    rest_answer,
    rest_refusal,
    routes_of,
)
from tailrace.api.registry import STS, Answer, ApiService, Operation, find_operations
from tailrace.api.streaming import Streamed
from tailrace.api.taking import Taken, unpacked
from tailrace.api.wire import (
    Headers,
    Payload,
    all_but_signature,
    answer_body,
    check_authentication,
    content_type,
    internal_server_error,
    namespace_of,
    read_call,
    refusal_body,
)
from tailrace.engine.paging import PageAsOf
from tailrace.engine.slices import Slices
from tailrace.errors import CORAL, ApiError, StoreError
from tailrace.streams.ancestry import TRACE_HEADER, ancestry_of
from tailrace.streams.positions import POSITION_HEADER, position_value
from tailrace.telemetry import PointReached, pass_by

if TYPE_CHECKING:
    from tailrace.engine.engine import Engine

_log = logging.getLogger("tailrace.server")


OK: Final = 200
NO_CREDENTIAL: Final = b"\0"
POSITION: Final = POSITION_HEADER.encode()
MOST_ENGINES: Final = 1_000
"""How many credentials are remembered at once, and how many tables that are elsewhere are told of."""


class Reply(NamedTuple):
    """Status and body of an answer. Shape: `lines` are further header lines, each with its CRLF."""

    status: int
    body: bytes
    lines: bytes = b""


Finished: TypeAlias = Answer | Streamed | Listed
"""What the work of an operation comes to in the end."""
Executed: TypeAlias = Reply | Streamed | Slices[Reply | Streamed]
"""What a request comes to: the answer, one that goes on, or the work to it."""


class Dispatcher:
    """Executes requests against one engine.

    Shape:   `requests` counts answers by (operation, status); what could not be told apart is under "-".
    """

    def __init__(self, engine: "Engine", reached: PointReached = pass_by) -> None:
        self.requests: dict[tuple[str, str], int] = {}
        self._engine = engine
        self._usual = NO_CREDENTIAL
        """What the last Authorization header said before its signature, and whose engine that is: nearly
        always that of the next one, which then needs no look at its parts.
        """
        self._usual_engine = engine.of(engine.settings.region, engine.settings.account)
        self._engines: dict[bytes, Engine] = {}
        self._logged: set[str] = set()
        self._reached = reached
        self._operations = find_operations()
        self._keepers: dict[str, object] = {}
        self._routes: list[Route] = []
        self._forms = {operation.name: operation for operation in find_operations((STS,)).values()}

    def execute(self, headers: Headers, query: bytes, body: bytes) -> Executed:
        """Do what a POST asks for. Never raises; what it wrote is in the engine's pending group.

        Returns: the answer, or the work to it when its first slice was not all. What a slice wrote is in the
                 group, too.
        """
        if POSITION in headers:
            return self._execute_as_of(headers, query, body)
        name = "-"
        try:
            signed = headers.get(b"authorization", b"")
            is_usual = signed.startswith(self._usual)
            operation, payload = read_call(headers, query, body, self._operations, is_usual)
            name = operation.name
            self._reached("write.received")
            engine = self._usual_engine if is_usual else self._engine_of(signed, query)
            trace = headers.get(TRACE_HEADER)
            try:
                if trace is None:
                    result = operation.run(engine, operation.check(payload))
                else:
                    with engine.caused_by(ancestry_of(trace)):
                        result = operation.run(engine, operation.check(payload))
            except ApiError as error:
                raise operation.worded(error, payload) from None
            if type(result) is bytes:  # asked first: it is the usual answer, and the other question is dear
                answer = result
            elif isinstance(result, GeneratorType):
                return _begun(self._slices(engine, operation, payload, headers, result))
            elif isinstance(result, Streamed):
                self.count(name, "200")
                return result
            else:
                answer = answer_body(headers, result)
        except Exception as error:  # a fault in one operation must not take the connection of others with it
            return self._refused(headers, name, error)
        self.count(name, "200")
        return Reply(200, answer)

    def _execute_as_of(self, headers: Headers, query: bytes, body: bytes) -> Executed:
        """The same; a page of items says as of which position it is."""
        others = {name: value for name, value in headers.items() if name != POSITION}
        with self._engine_of(headers.get(b"authorization", b""), query).read_as_of() as as_of:
            executed = self.execute(others, query, body)
        if isinstance(executed, Reply | Streamed):
            return _with_position(executed, as_of)
        return _told(executed, as_of)

    def _engine_of(self, signed: bytes, query: bytes) -> "Engine":
        """The engine as the namespace of a request sees it: the region of its credential scope, the account
        of its access key.
        """
        begin = all_but_signature(signed)
        engine = self._engines.get(begin)
        if engine is None:
            default = self._engine.settings
            region, account = namespace_of(signed or query)
            engine = self._engine.of(region or default.region, account or default.account)
            if not begin:
                return engine
            if len(self._engines) >= MOST_ENGINES:
                self._engines.clear()
            self._engines[begin] = engine
        self._usual, self._usual_engine = begin, engine
        return engine

    def execute_taken(self, headers: Headers, taken: Taken, query: bytes = b"") -> Executed:
        """The same for a request that was taken apart elsewhere."""
        operation = self._operations.get(taken.target)
        if operation is None or taken.status != OK:
            self.count("-" if operation is None else operation.name, str(taken.status))
            return Reply(taken.status, taken.beside)
        engine = self._engine_of(headers.get(b"authorization", b""), query)
        work = self._run_taken(engine, operation, taken)
        return _begun(self._slices(engine, operation, None, headers, work))

    def _run_taken(self, engine: "Engine", operation: Operation, taken: Taken) -> Slices[Finished]:
        payload = yield from unpacked(operation, taken)
        self._reached("write.received")
        result = operation.run(engine, payload)
        del payload  # what it holds may be given back before the end
        if isinstance(result, Generator):
            finished: Finished = yield from result
            return finished
        return result

    def _slices(
        self,
        engine: "Engine",
        operation: Operation,
        payload: Payload | None,
        headers: Headers,
        work: Slices[Finished] | Slices[Answer | Streamed] | Slices[Listed],
    ) -> Slices[Reply | Streamed]:
        """The rest of an operation. Never raises. A failed commit took what earlier slices wrote with it."""
        name, committer = operation.name, engine.committer
        failures, trace = committer.failures, headers.get(TRACE_HEADER)
        ancestry = "" if trace is None else ancestry_of(trace)
        try:
            while committer.failures == failures:
                try:
                    if trace is None:
                        next(work)
                    else:
                        with engine.caused_by(ancestry):
                            next(work)
                except StopIteration as end:
                    result: Finished = end.value
                    if isinstance(result, Listed):
                        result = yield from written(content_type(headers), result)
                    if not isinstance(result, bytes | Streamed):
                        result = answer_body(headers, result)
                    self.count(name, "200")
                    return Reply(200, result) if isinstance(result, bytes) else result
                except ApiError as error:
                    raise operation.worded(error, payload) from None
                yield
        except Exception as error:  # as in `execute`
            return self._refused(headers, name, error)
        finally:
            work.close()
        self.count(name, "500")
        return Reply(500, refusal_body(headers, internal_server_error()))

    def serve(self, service: ApiService, keeper: object) -> None:
        """Answer requests by path from now on. Shape: `keeper` is what the service's functions get."""
        self._keepers[service.target] = keeper
        self._routes += routes_of(find_operations((service,)).values())

    @property
    def serves_paths(self) -> bool:
        """Whether there is a service that is asked by path."""
        return bool(self._routes)

    async def ask(self, method: bytes, url: bytes, headers: Headers, body: bytes) -> HttpAnswer:
        """Do what a method and a path ask for. Never raises."""
        name = "-"
        try:
            check_authentication(headers, url.partition(b"?")[2])
            operation, members = read_rest(self._routes, method, url, headers, body)
            name = operation.name
            payload = operation.check(members)
            assert operation.ask is not None
            answer = rest_answer(
                operation, await operation.ask(self._keepers[operation.service.target], payload)
            )
        except Exception as error:  # as in `execute`
            answer = rest_refusal(self._api_error(name, error))
        self.count(name, str(answer.status))
        return answer

    def execute_form(self, headers: Headers, query: bytes, body: bytes, request_id: str) -> HttpAnswer:
        """Do what a form asks for. Never raises. Nothing of it writes."""
        name = "-"
        try:
            check_authentication(headers, query)
            operation, members = read_query(self._forms, body)
            name = operation.name
            engine = self._engine_of(headers.get(b"authorization", b""), query)
            result = operation.run(engine, operation.check(members))
            assert isinstance(result, Mapping)
            answer = query_answer(operation, result, request_id)
        except Exception as error:  # as in `execute`
            answer = query_refusal(STS, self._api_error(name, error), request_id)
        self.count(name, str(answer.status))
        return answer

    def _refused(self, headers: Headers, name: str, error: Exception) -> Reply:
        """An error in the form that the request has."""
        api_error = self._api_error(name, error)
        self.count(name, str(api_error.status))
        return Reply(api_error.status, refusal_body(headers, api_error))

    def _api_error(self, name: str, error: Exception) -> ApiError:
        """An error in AWS's words; what is no error of AWS is logged."""
        match error:
            case ApiError():
                api_error = error
                if error.note and error.note not in self._logged and len(self._logged) < MOST_ENGINES:
                    self._logged.add(
                        error.note
                    )  # once: a client that waits for its table asks again and again
                    _log.warning("%s answered %s: %s", name, error.code, error.note)
            case RecursionError():
                # Only input can nest this deep: the walks over it are the only recursion there is.
                api_error = ApiError("SerializationException", None, prefix=CORAL)
            case StoreError():
                # A fault of the disk, told in one line: our own trace would say nothing about it.
                _log.error("%s failed: %s", name, error.args[0], extra={"hint": error.hint})
                api_error = internal_server_error()
            case _:
                _log.error("%s failed", name, exc_info=error)
                api_error = internal_server_error()
        return api_error

    def count(self, name: str, status: str) -> None:
        """One more answer."""
        key = (name, status)
        self.requests[key] = self.requests.get(key, 0) + 1


def _begun(work: Slices[Reply | Streamed]) -> Executed:
    """The first slice is done at once: mostly it is all."""
    try:
        next(work)
    except StopIteration as end:
        reply: Reply | Streamed = end.value
        return reply
    return work


def _told(work: Slices[Reply | Streamed], as_of: PageAsOf) -> Slices[Reply | Streamed]:
    """The same work; its answer says as of which position it is."""
    reply = yield from work
    return _with_position(reply, as_of)


def _with_position(reply: Reply | Streamed, as_of: PageAsOf) -> Reply | Streamed:
    """The answer, with the position of its page if it is one."""
    if as_of.position is None or isinstance(reply, Streamed) or reply.status != OK:
        return reply
    line = f"{POSITION_HEADER}: {position_value(as_of.position)}\r\n"
    return reply._replace(lines=reply.lines + line.encode())
