"""Invoke: run a function with an event, in a process of its own.

Behaviour:     RequestResponse answers what the function answers, or its error with X-Amz-Function-Error; Event answers 202 at once and does not
               try again; DryRun answers 204.
Limits:        6 MB, for the event and the answer.
Not emulated:  LogType=Tail (what a function prints goes to the server's standard error), ClientContext, qualifiers, retries of Event.
Source:        AWS API Reference, Invoke.
"""

import asyncio
import logging
from typing import Final

import orjson

from tailrace.errors import ApiError
from tailrace.server.lambda_constraints import invalid
from tailrace.server.lambda_names import registered
from tailrace.server.lambda_routes import Ask, Told, lambda_operation
from tailrace.server.lambda_service import Function, LambdaService
from tailrace.sinks.calling import TimedOut
from tailrace.sinks.lambda_function import function_arn

LARGEST: Final = 6 << 20
VERSION: Final = {"X-Amz-Executed-Version": "$LATEST"}
LOG: Final = logging.getLogger("tailrace.handlers")


@lambda_operation("Invoke", "POST", "functions/{FunctionName}/invocations")
async def invoke(service: LambdaService, ask: Ask) -> Told:
    """Run a function. Raises: ApiError."""
    function = registered(service, ask.names["FunctionName"])
    event = ask.body or b"{}"
    if len(event) > LARGEST:
        raise ApiError(
            "RequestTooLargeException", f"Request must be smaller than {LARGEST} bytes for the InvokeFunction operation",
            status=413,
        )  # fmt: skip
    try:
        orjson.loads(event)
    except orjson.JSONDecodeError as error:
        raise ApiError(
            "InvalidRequestContentException", f"Could not parse request body into json: {error}"
        ) from error
    match ask.headers.get(b"x-amz-invocation-type", b"RequestResponse"):
        case b"RequestResponse":
            return await _answered(service, function, event)
        case b"Event":
            service.begin(_unattended(service, function, event))
            return Told(202, b"")
        case b"DryRun":
            return Told(204, b"")
        case other:
            raise invalid(f"InvocationType {other.decode('latin-1')} is not supported.")


async def _answered(service: LambdaService, function: Function, event: bytes) -> Told:
    request = service.new_uuid(function.name)
    settings = service.engine.settings
    arn = function_arn(settings.region, settings.account, function.name)
    try:
        return Told(200, await function.runner.invoke(event, request, arn), VERSION)
    except asyncio.CancelledError:
        raise
    except TimedOut as error:
        said: dict[str, object] = {"errorType": "Sandbox.Timedout", "errorMessage": str(error.args[0])}
    except Exception as error:  # whatever says that the function failed: its words are the answer
        said = {
            "errorType": getattr(error, "error_type", type(error).__name__),
            "errorMessage": getattr(error, "message", str(error)),
        }
        if trace := getattr(error, "trace", ()):
            said["stackTrace"] = list(trace)
    return Told(200, orjson.dumps(said), {**VERSION, "X-Amz-Function-Error": "Unhandled"})


async def _unattended(service: LambdaService, function: Function, event: bytes) -> None:
    told = await _answered(service, function, event)
    if "X-Amz-Function-Error" in told.headers:
        LOG.error("function %s failed: %s", function.name, told.body.decode())
