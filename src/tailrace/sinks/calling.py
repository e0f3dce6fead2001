"""Calling the user's functions: on the loop or in a thread, and what their failures mean.

Rules of this file: whatever a handler raises is its way to say that it failed, also what would end the process (`sys.exit`) or our
task (`CancelledError`): nothing of it may stop the machine. Called by function.py and lambda_function.py.
"""

import asyncio
import inspect
from collections.abc import Callable
from contextvars import copy_context
from traceback import format_exception
from typing import Any, Final

from tailrace.app.app import is_async
from tailrace.errors import Refused, SinkOutage, Throttled
from tailrace.ports import Failure, FailureKind
from tailrace.runtime.threads import in_thread

RAISED: Final = (Exception, asyncio.CancelledError, SystemExit)
"""What a handler may raise without stopping us. KeyboardInterrupt is the operator's."""
_HERE: Final = __file__.removesuffix("calling.py")
OURS: Final = (_HERE, f"{_HERE[:-6]}testing/")
"""Whose frames no user wants to see: those that call a handler, and the notes that the test world lays around it."""
NOT_AWAITED: Final = (
    "the handler returned a coroutine and is not declared `async def`, so nothing ran: declare it `async def`"
)


async def call(function: Callable[..., Any], *arguments: Any, timeout_s: float | None = None) -> Any:
    """Await a coroutine function, or run another one in a thread. Raises: what it raises, TimedOut."""
    if not is_async(function):
        return await in_thread(copy_context().run, call_here, function, *arguments)
    try:
        async with asyncio.timeout(timeout_s) as limit:
            answer = function(*arguments)
            return await answer if inspect.isawaitable(answer) else answer
    except TimeoutError as error:
        if limit.expired():
            raise TimedOut(f"no answer within {timeout_s} s") from error
        raise


def call_here(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function that is no coroutine. Raises: what it raises; TypeError when it was one all the same."""
    answer = function(*arguments)
    if inspect.iscoroutine(answer):
        answer.close()
        raise TypeError(NOT_AWAITED)
    return answer


class TimedOut(Exception):
    """A handler did not answer within its time-out."""


class FailedElsewhere(Exception):
    """A handler failed in another process. Shape: `trace` is its own lines, as Python prints them; the words are those of its error."""

    def __init__(self, words: str, trace: tuple[str, ...] = ()) -> None:
        super().__init__(words)
        self.trace = trace

    @property
    def told(self) -> str:
        """What Python would have printed there."""
        heading = ("Traceback (most recent call last):",) if self.trace else ()
        return "".join(f"{line}\n" for line in (*heading, *self.trace, str(self)))


def is_ours(error: BaseException) -> bool:
    """Whether a CancelledError is meant for our own task rather than raised by the handler."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


def failure_of(error: BaseException) -> Failure:
    """What an exception says: whose fault it is, its words, and its traceback without our own frames.

    >>> failure_of(Throttled("too many mails", retry_after=1.5))
    Failure(kind=<FailureKind.THROTTLED: 'THROTTLED'>, error='Throttled: too many mails', traceback='tailrace.errors.Throttled: too many mails\\n', retry_after_ms=1500, final=False)
    """
    frames = error.__traceback__
    while (
        frames is not None
        and frames.tb_next is not None
        and frames.tb_frame.f_code.co_filename.startswith(OURS)
    ):
        frames = frames.tb_next
    if isinstance(error, TimedOut):
        frames = None  # where we waited; where an `async def` handler did is in its cause
    text = "".join(format_exception(type(error), error, frames))
    match error:
        case SinkOutage():
            kind = FailureKind.THROTTLED if isinstance(error, Throttled) else FailureKind.UNAVAILABLE
            return Failure(kind, _words(error), text, round(error.retry_after * 1_000))
        case Refused():
            return Failure(FailureKind.RECORD, _words(error), text, final=True)
        case TimedOut():
            return Failure(FailureKind.TIMEOUT, str(error), text)
        case FailedElsewhere():
            return Failure(FailureKind.RECORD, str(error), error.told)
    return Failure(FailureKind.RECORD, _words(error), text)


def _words(error: BaseException) -> str:
    name = type(error).__name__
    try:
        words = str(error)
    except Exception:  # an exception whose own text fails is still a failure of the handler, not of ours
        return f"{name}: (its text cannot be printed)"
    return f"{name}: {words}" if words else name
