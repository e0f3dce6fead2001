"""Invoke: run a function with an event, in a process of its own.

Behaviour:     RequestResponse answers what the function answers, or its error with X-Amz-Function-Error, and
               with LogType=Tail the last 4 KB of its log; Event answers 202 at once and tries twice more when
               the function fails, after one and two minutes; DryRun answers 204. What the function writes
               descends from what its caller was called for (X-Amzn-Trace-Id).
Limits:        6 MB for the event and the answer, 1 MB for an event of Event.
Not emulated:  versions and aliases, a destination for what Event gives up (it is logged), answers as streams,
               DurableExecutionName, TenantId.
Source:        AWS API Reference, Invoke; Lambda Developer Guide, "asynchronous invocation".
"""

import asyncio
import logging
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson

from tailrace.api.lambdas.functions import DeployedFunction
from tailrace.api.lambdas.log import log_of
from tailrace.api.lambdas.names import registered
from tailrace.api.lambdas.service import LambdaService
from tailrace.api.protocols import DEEPEST, HttpAnswer, is_deeper, unparsable
from tailrace.api.registry import LAMBDA, operation
from tailrace.api.wire import Payload
from tailrace.errors import ApiError
from tailrace.sinks.calling import TimedOut
from tailrace.sinks.lambda_function import Captured, function_arn

LARGEST: Final = 6 << 20
LARGEST_EVENT: Final = 1 << 20
VERSION: Final = {"X-Amz-Executed-Version": "$LATEST"}
RETRY_AFTER_MS: Final = (60_000, 120_000)
"""Source: Lambda Developer Guide, "asynchronous invocation": two retries, after one and two minutes."""
LOG: Final = logging.getLogger("tailrace.handlers")


class Invocation(NamedTuple):
    """One invocation that is asked for."""

    function: DeployedFunction
    event: bytes
    request_id: str
    trace: str
    client: Mapping[str, Any] | None


@operation(LAMBDA, "Invoke", refused={"DurableExecutionName": None, "TenantId": None})
async def invoke(service: LambdaService, payload: Payload) -> HttpAnswer:
    """Run a function. Raises: ApiError."""
    kind, logs = payload.get("InvocationType", "RequestResponse"), payload.get("LogType", "None")
    function = registered(service, payload["FunctionName"], payload.get("Qualifier"))
    event = _event(payload["Payload"] or b"{}", kind)
    request = service.new_uuid(function.name)
    trace = payload.get("TraceId", "")
    invocation = Invocation(function, event, request, trace, _client(payload.get("ClientContext")))
    match kind:
        case "RequestResponse":
            return await _answered(service, invocation, tail=logs == "Tail")
        case "Event":
            service.begin(_unattended(service, invocation))
            return HttpAnswer(202, b"")
        case _:
            return HttpAnswer(204, b"")


def _event(body: bytes, kind: str) -> bytes:
    if len(body) > LARGEST:
        raise ApiError(
            "RequestTooLargeException",
            f"Request must be smaller than {LARGEST} bytes for the InvokeFunction operation",
            status=413,
        )
    if kind == "Event" and len(body) > LARGEST_EVENT:
        raise ApiError(
            "RequestTooLargeException",
            f"{len(body)} byte payload is too large for the Event invocation type (limit "
            f"{LARGEST_EVENT} bytes)",
            status=413,
        )
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise unparsable(str(error)) from error
    return body


def _client(header: str | None) -> Mapping[str, Any] | None:
    if header is None:
        return None
    try:
        context = orjson.loads(b64decode(header, validate=True))
    except ValueError:
        context = None
    if not isinstance(context, dict) or is_deeper(context, DEEPEST):
        raise ApiError(
            "InvalidRequestContentException", "Client context must be a valid Base64-encoded JSON object."
        )
    return context


async def _answered(service: LambdaService, invocation: Invocation, *, tail: bool = False) -> HttpAnswer:
    function, clock = invocation.function, service.engine.clock
    settings = service.engine.settings
    arn = function_arn(settings.region, settings.account, function.name)
    captured = Captured() if tail else None
    started_ms = clock.now().monotonic_ms
    tally = service.invoked.of(function.name)
    tally.concurrent += 1
    failure: dict[str, Any] | None = None
    answer = b""
    try:
        answer = await function.runner.invoke(
            invocation.event, invocation.request_id, arn, invocation.trace, captured, invocation.client
        )
    except asyncio.CancelledError:
        raise
    except Exception as error:  # whatever says that the function failed: its words are the answer
        failure = error_of(error)
        tally.errors += 1
    finally:
        took_ms = clock.now().monotonic_ms - started_ms
        tally.concurrent -= 1
        tally.invocations += 1
        tally.took(took_ms)
    headers = dict(VERSION)
    if failure is not None:
        answer = orjson.dumps(failure)
        headers["X-Amz-Function-Error"] = "Unhandled"
    if captured is not None:
        memory_size = function.settings.memory_mb
        log = log_of(
            invocation.request_id, captured.printed, took_ms, memory_size, captured.memory_mb, failure
        )
        headers["X-Amz-Log-Result"] = b64encode(log).decode()
    return HttpAnswer(200, answer, headers)


def error_of(error: Exception) -> dict[str, Any]:
    """A failed invocation as Lambda answers it."""
    if isinstance(error, TimedOut):
        return {"errorType": "Sandbox.Timedout", "errorMessage": str(error.args[0])}
    failure: dict[str, Any] = {
        "errorType": getattr(error, "error_type", type(error).__name__),
        "errorMessage": getattr(error, "message", str(error)),
    }
    if trace := getattr(error, "trace", ()):
        failure["stackTrace"] = list(trace)
    return failure


async def _unattended(service: LambdaService, invocation: Invocation) -> None:
    clock = service.engine.clock
    for after_ms in (*RETRY_AFTER_MS, None):
        answer = await _answered(service, invocation)
        if "X-Amz-Function-Error" not in answer.headers:
            return
        words = "given up" if after_ms is None else f"tried again in {after_ms // 1_000} s"
        LOG.error("function %s failed, %s: %s", invocation.function.name, words, answer.body.decode())
        if after_ms is not None:
            await clock.sleep_until(clock.now().monotonic_ms + after_ms)
