"""Lambda functions as sinks: `handler(event, context)` with the event that AWS would send.

Rules of this file: the answer is read as an event source mapping reads it. What runs the function is a
`Runner`: a process of its own (functions/pool.py), which can be killed at its time-out, or this one. Made by
making.py. Source: semantics §2.6, §2.10.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import blake2b
from typing import Any, Final, NoReturn, Protocol

import orjson
from msgspec import Struct
from msgspec.structs import replace

from tailrace.app.app import HandlerMapping
from tailrace.app.function_settings import FunctionSettings
from tailrace.app.sinking import AlwaysOpen
from tailrace.mapping.window import judged
from tailrace.ports import Clock, Failed, FailedFrom, Failure, Outcome, RecordBatch, Written
from tailrace.runtime.causing import CAUSE, Causes
from tailrace.sinks.calling import RAISED, call, failure_of, is_ours
from tailrace.streams.ancestry import trace_id
from tailrace.streams.kinesis.events import event_of
from tailrace.streams.record import SequenceNumber
from tailrace.streams.windows import WindowInvoke, in_window
from tailrace.telemetry import PointReached, pass_by

REPORTED: Final = "batchItemFailures"
TOTAL_FAILURE: Final = "the function answered batchItemFailures that name no record of the batch"


@dataclass
class CognitoIdentity:
    """An app's user, as Lambda tells a function that Cognito did not authorise: none."""

    cognito_identity_id: str | None = None
    cognito_identity_pool_id: str | None = None


@dataclass
class LambdaContext:
    """The `context` of an invocation; as on Lambda, a decorator may set attributes of it.

    Source:  AWS Lambda Developer Guide, "context object in Python"; awslambdaric.
    """

    function_name: str
    aws_request_id: str
    invoked_function_arn: str
    _remaining_ms: Callable[[], int] = field(repr=False)
    function_version: str = "$LATEST"
    memory_limit_in_mb: str = "128"
    log_stream_name: str = "local"
    identity: CognitoIdentity = field(default_factory=CognitoIdentity)
    client_context: Any = None
    tenant_id: str | None = None

    @property
    def log_group_name(self) -> str:
        """Where the function's log would go."""
        return f"/aws/lambda/{self.function_name}"

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the time-out."""
        return self._remaining_ms()

    def log(self, message: object) -> None:
        """Print it, without a line's end."""
        sys.stdout.write(str(message))


class Captured(Struct):
    """What one invocation leaves beside its answer. Units: the last 4 KB of what it printed; megabytes at
    most used, 0: unknown.
    """

    printed: bytes = b""
    memory_mb: int = 0


class Runner(Protocol):
    """What runs a function."""

    async def invoke(
        self, event: bytes, request_id: str, arn: str, trace: str = "", *, exact: bool = True
    ) -> bytes:
        """The function's answer, as JSON; `trace` is the invocation's X-Amzn-Trace-Id. Not `exact`: no number
        in the event needs more than 64 bits, so that it may be read in half the time. Raises: whatever says
        that it failed; FunctionError of a process.
        """


class InlineRunner:
    """Runs a function in this process: a thread, or the test world's loop. Its time-out is not enforced."""

    def __init__(
        self, function: Callable[..., Any], name: str, settings: FunctionSettings, clock: Clock
    ) -> None:
        self._function = function
        self._name = name
        self._settings = settings
        self._clock = clock

    async def invoke(
        self, event: bytes, request_id: str, arn: str, trace: str = "", *, exact: bool = True
    ) -> bytes:
        """Call it. Raises: what it raises, MarshalError."""
        deadline_ms = self._clock.now().monotonic_ms + self._settings.timeout_s * 1_000
        context = LambdaContext(
            self._name,
            request_id,
            arn,
            lambda: max(0, deadline_ms - self._clock.now().monotonic_ms),
            memory_limit_in_mb=str(self._settings.memory_mb),
        )
        return marshalled(await call(self._function, unmarshalled(event, exact=exact), context))


class LambdaSink(AlwaysOpen):
    """A Lambda function behind an event source mapping."""

    def __init__(
        self,
        mapping: HandlerMapping,
        runner: Runner,
        account: str,
        reached: PointReached = pass_by,
        causes: Causes | None = None,
    ) -> None:
        self._runner = runner
        self._name = mapping.function_name
        self._reports = mapping.settings.report_batch_item_failures
        self._window_ms = mapping.settings.tumbling_window_ms
        self._account = account
        self._causes = causes or Causes(mapping.id)
        self._reached = reached

    async def write(self, batch: RecordBatch) -> Outcome:
        """Invoke the function with the whole batch."""
        if self._window_ms and batch.window is None:
            return await self._in_own_window(batch)
        return await self._invoke(batch)

    async def _in_own_window(self, batch: RecordBatch) -> Outcome:
        """A redriven change: its window is over, so it is alone in another one, which ends with it."""
        first_ms = batch.records[0].created_ms
        start_ms = first_ms - first_ms % self._window_ms
        window = WindowInvoke(start_ms, start_ms + self._window_ms)
        outcome = judged(await self._invoke(replace(batch, window=window)))
        if not isinstance(outcome, Written) or outcome.state is None:
            return outcome
        final = replace(window, state=outcome.state, is_final=True)
        return judged(await self._invoke(replace(batch, records=(), window=final)))

    async def _invoke(self, batch: RecordBatch) -> Outcome:
        stream = batch.stream
        event = event_of(batch.records, stream.arn, stream.view_type, stream.region, self._account)
        if batch.window is not None:
            event = in_window(event, batch.window, batch.shard_id, stream.arn)
        request = request_id(f"{batch.mapping_id}/{batch.shard_id}/{batch.request}")
        cause = self._causes.of_batch(batch.records)
        CAUSE.set(cause)
        trace = trace_id(cause, batch.records[0].created_ms if batch.records else 0, request)
        try:
            answer = await self._runner.invoke(
                event,
                request,
                function_arn(stream.region, self._account, self._name),
                trace,
                # only the state of a window has numbers of the function's own
                exact=batch.window is not None,
            )
        except RAISED as error:
            if is_ours(error):
                raise
            return Failed(whole=failure_of(error))
        self._reached("invoke.done")
        if not self._reports and batch.window is None:
            return Written()
        try:
            document = unmarshalled(answer)
        except ValueError as error:
            return Failed(whole=Failure(error=f"the function's answer is no JSON: {error}"))
        outcome = outcome_of(document, batch) if self._reports else Written()
        return outcome if batch.window is None else _with_state(outcome, document)


def function_arn(region: str, account: str, name: str) -> str:
    """The ARN of a function.

    >>> function_arn("us-east-1", "000000000000", "tally")
    'arn:aws:lambda:us-east-1:000000000000:function:tally'
    """
    return f"arn:aws:lambda:{region}:{account}:function:{name}"


def request_id(name: str) -> str:
    """A request id in the form of a UUID: the same for a retry of an unchanged batch."""
    digits = blake2b(name.encode(), digest_size=16).hexdigest()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def marshalled(answer: Any) -> bytes:
    """The answer as JSON, as Lambda sends it.

    Raises:  MarshalError in the words of Lambda's runtime for what has no JSON form.
    """
    try:
        return json.dumps(answer, default=_number, ensure_ascii=False).encode()
    except (TypeError, ValueError) as error:
        raise MarshalError(f"Unable to marshal response: {error}") from error


def unmarshalled(data: bytes, *, exact: bool = True) -> Any:
    """What JSON says, with every digit of its integers: a function keeps numbers in its state that 64 bits do
    not hold.

    Shape:   not `exact`: an integer that 64 bits do not hold may lose digits; it takes half the time.

    Raises:  ValueError for what is no JSON, NaN and the infinities among it.

    >>> unmarshalled(b'{"n": 1180591620717411303425}')
    {'n': 1180591620717411303425}
    """
    return json.loads(data, parse_constant=_refused) if exact else orjson.loads(data)


def _refused(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON's")


class MarshalError(Exception):
    """A function's answer has no JSON form."""


def _number(value: object) -> float:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _with_state(outcome: Outcome, answer: Any) -> Outcome:
    """The outcome with the state that the answer holds. Source: semantics §2.9."""
    state = answer.get("state") if isinstance(answer, dict) else None
    if isinstance(state, dict) and isinstance(outcome, Written | FailedFrom):
        text = json.dumps(state, ensure_ascii=False, separators=(",", ":"))
        return replace(outcome, state=text.encode(errors="backslashreplace"))  # JSON's own escape
    return outcome


def outcome_of(answer: Any, batch: RecordBatch) -> Outcome:
    """What a function's answer says about its batch, with ReportBatchItemFailures. Source: semantics §2.6."""
    if answer is None or answer == "":
        return Written()
    if not isinstance(answer, dict):
        return Written()
    reported = answer.get(REPORTED)
    if not reported:
        return Written()
    places = {SequenceNumber(record.sequence).wire: index for index, record in enumerate(batch.records)}
    failed: list[int] = []
    for item_failure in reported if isinstance(reported, list) else [None]:
        identifier = item_failure.get("itemIdentifier") if isinstance(item_failure, dict) else None
        if not isinstance(identifier, str) or identifier not in places:
            return Failed(whole=Failure(error=TOTAL_FAILURE))
        failed.append(places[identifier])
    index = min(failed)
    return FailedFrom(
        index, Failure(error=f"the function reported {batch.records[index].sequence_number.wire}")
    )
