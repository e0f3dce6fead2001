"""The functions that Lambda calls: `app.lambda_handler` for a stream, `app.lambda_redriver` for a schedule.

Theory of operation: a process has one event loop, in a thread of its own, which lives as long as the process:
connections and sinks stay open from one invocation to the next. Everything is made at the first call, so that
what is wrong with the app is the answer of an invocation, which Lambda counts and retries, and no process
that ends without words.
An answer with failures is only good where the event source mapping reads it: one without
ReportBatchItemFailures takes it for success, and everything in it would be lost. So before the first such
answer Lambda is asked, once; where it says no, or cannot be asked, the invocation fails instead, and the
whole batch comes again.
Rules of this file: the environment is read here and nowhere else. Reached through app/on_lambda.py.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from tailrace.app.app import App
from tailrace.clocks.system import SystemClock
from tailrace.entry.delivering import BatchAnswer, deliver
from tailrace.entry.fitness import STATE
from tailrace.entry.sandbox import Sandbox, state_named
from tailrace.errors import SettingsError, TailraceError
from tailrace.ports import Clock, StateStore
from tailrace.runtime.masking import KEPT_SECRET, learn, mask_handlers, masked
from tailrace.streams.ancestry import ancestry_of
from tailrace.streams.arns import ACCOUNT

T = TypeVar("T")
LOG: Final = logging.getLogger("tailrace.handlers")
PARTIAL: Final = "TAILRACE_PARTIAL_RESPONSES"
"""The environment variable that says whether event source mappings read answers with failures: `yes` or `no`;
without it Lambda is asked.
"""
REPORTS: Final = "ReportBatchItemFailures"
FUNCTION: Final = "AWS_LAMBDA_FUNCTION_NAME"
TRACE: Final = "_X_AMZN_TRACE_ID"
UNBOUNDED_MS: Final = 900_000
"""What a caller without a context grants: Lambda's longest time-out."""
REDRIVER_RESERVE_MS: Final = 2_000
"""What is left of a redriver's time when it is cut off: at most half of it."""


class BatchFailed(TailraceError):
    """A batch comes again as a whole, because its event source mapping does not read which records failed."""


@contextmanager
def masked_errors() -> Iterator[None]:
    """What is raised in a block has no accounts, keys and secrets in its words: Lambda logs it. Raises: what
    the block raises.
    """
    try:
        yield
    except Exception as error:  # every error: Lambda logs each
        raised: BaseException | None = error
        while raised is not None:
            raised.args = tuple(masked(word) if isinstance(word, str) else word for word in raised.args)
            raised = raised.__cause__ or raised.__context__
        raise


class LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="tailrace lambda", daemon=True).start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What the work returns. Raises: what it raises."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


class LambdaEntry:
    """One app as Lambda calls it. Shape: `state`, `clock` and `environment` are those of the process unless a
    test gives its own.
    """

    def __init__(
        self,
        app: App,
        state: StateStore | None = None,
        clock: Clock | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._app = app
        self._state = state
        self._clock = clock
        self._environment = environment
        self._making = threading.Lock()
        self._thread: LoopThread | None = None
        self._sandbox: Sandbox | None = None
        self._redrives: Any = None
        self._is_read: dict[str, bool] = {}

    def handler(self, event: Any, context: Any = None) -> dict[str, Any]:
        """A batch of a table's stream or of a data stream. Returns: `{"batchItemFailures": […]}`.

        Raises:  SettingsError for what cannot be handled at all; BatchFailed where the answer would not be
                 read. Lambda sends the batch again then.
        """
        with masked_errors():
            thread, sandbox = self._ready()
            ancestry = ancestry_of(self._environment.get(TRACE, "").encode())
            answer = thread.run(deliver(sandbox, event, _remaining_ms(context), ancestry))
            if answer.left_from is not None and not thread.run(self._is_answer_read(event, context)):
                raise BatchFailed(_unread(answer))
            return answer.value()

    def redriver(self, event: Any = None, context: Any = None) -> dict[str, Any]:
        """What a schedule calls: what is parked and dead is put back. Returns: counts by handler.

        Shape:   the event may say `{"rate": "10/s", "even_if_overtaken": true}`.
        Raises:  SettingsError without a state table; StoreError.
        """
        with masked_errors():
            return self._redriven(event, context)

    def _redriven(self, event: Any, context: Any) -> dict[str, Any]:
        from tailrace.entry.redriving import ScheduledRedrives, read_redriver_event

        thread, sandbox = self._ready()
        if not sandbox.keeps:
            raise SettingsError(
                "app.lambda_redriver: there is no state table, so nothing is parked: "
                f"set {STATE}=dynamodb:TABLE"
            )
        asked = read_redriver_event(event)
        if self._redrives is None:
            self._redrives = ScheduledRedrives(sandbox, _account(context))
        remaining_ms = _remaining_ms(context)
        left_ms = remaining_ms - min(REDRIVER_RESERVE_MS, remaining_ms // 2)
        return dict(thread.run(self._redrives.run(asked, left_ms)))

    # ---- made once -----------------------------------------------------------------------------------------

    def _ready(self) -> tuple[LoopThread, Sandbox]:
        with self._making:
            if self._thread is None:
                learn(*(self._environment.get(name) for name in KEPT_SECRET))
                mask_handlers(logging.getLogger())
                self._thread = LoopThread()
            if self._sandbox is None:
                self._sandbox = self._thread.run(self._made())
            return self._thread, self._sandbox

    async def _made(self) -> Sandbox:
        target = self._environment.get(STATE) or self._app.lambda_state
        access: Any = None
        if target or not self._app.remote:
            from tailrace.aws.places import Access

            access = Access()
        state = self._state
        if state is None and target:
            state = state_named(target, access)
        sandbox = Sandbox(
            self._app,
            state,
            self._clock or SystemClock(),
            os.urandom(8).hex(),
            self._environment,
            access=access,
        )
        if not sandbox.keeps:
            LOG.warning(
                "there is no state table (%s=dynamodb:TABLE): a change that fails holds its batch as a batch "
                "item failure, and is lost when the event source mapping's own attempts and age run out",
                STATE,
            )
        return sandbox

    # ---- whether an answer is read -------------------------------------------------------------------------

    async def _is_answer_read(self, event: Any, context: Any) -> bool:
        """Whether who sent an event reads which of its records failed."""
        if said := self._environment.get(PARTIAL):
            return _yes(said)
        if isinstance(event, list) or FUNCTION not in self._environment:
            return True  # a pipe reads it always; a call that is not Lambda's has its own eyes
        function, stream = str(context.invoked_function_arn), str(event["Records"][0]["eventSourceARN"])
        if stream not in self._is_read:
            read = await _reports(function, stream)
            if read is None:
                return False
            self._is_read[stream] = read
        return self._is_read[stream]


async def _reports(function: str, stream: str) -> bool | None:
    """Whether every mapping from a stream to a function reads answers with failures; None: Lambda did not
    say.
    """
    from tailrace.aws import client
    from tailrace.aws.errors import AwsError
    from tailrace.aws.places import Access

    asked = {"FunctionName": function, "EventSourceArn": stream}
    try:
        answer = await client.call(Access(), "lambda", "list_event_source_mappings", asked)
    except (AwsError, ImportError) as error:
        LOG.error(
            "it is not known whether the event source mapping reads batch item failures, so the whole batch "
            "fails: %s. Allow lambda:ListEventSourceMappings, or set %s",
            error, PARTIAL,
        )  # fmt: skip
        return None
    return all(
        REPORTS in (mapping.get("FunctionResponseTypes") or ())
        for mapping in answer.get("EventSourceMappings", ())
    )


def _unread(answer: BatchAnswer) -> str:
    return (
        f"the batch is not done from {answer.left_from} on, and comes again as a whole: its event source "
        f"mapping does not read batch item failures, as far as it is known. Give it "
        f'FunctionResponseTypes=["{REPORTS}"], and {PARTIAL}=yes or lambda:ListEventSourceMappings'
    )


def _yes(said: str) -> bool:
    if said not in ("yes", "no"):
        raise SettingsError(f"{PARTIAL}: {said!r} is not allowed; it is yes or no")
    return said == "yes"


def _remaining_ms(context: Any) -> int:
    """What is left of an invocation's time; a call without a context has no bound of its own."""
    remaining = getattr(context, "get_remaining_time_in_millis", None)
    return UNBOUNDED_MS if remaining is None else int(remaining())


def _account(context: Any) -> str:
    """The account of the function, which is that of its streams."""
    parts = str(getattr(context, "invoked_function_arn", "")).split(":")
    return parts[4] if len(parts) > 4 and parts[4] else ACCOUNT
