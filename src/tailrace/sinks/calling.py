"""Calling the user's functions: on the loop or in a thread, and what their failures mean.

Rules of this file: whatever a handler raises is its way to say that it failed, also what would end the
process (`sys.exit`, KeyboardInterrupt) or our task (`CancelledError`, GeneratorExit): nothing of it may stop
the machine. Tasks that it begins are fenced too, for asyncio lets what ends a process out of any task,
through the whole loop; a task of the user's may be cancelled by its holder. A real Ctrl-C goes through.
Called by function.py and lambda_function.py.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar, Token, copy_context
from functools import partial
from typing import Any, Final

from msgspec.structs import replace

from tailrace.app.app import is_async
from tailrace.app.fence import END_FENCE, Escaped, escape
from tailrace.errors import Refused, SinkOutage
from tailrace.ports import Failure, FailureKind
from tailrace.runtime.attempting import said_by_port
from tailrace.runtime.threads import in_thread
from tailrace.runtime.traces import trace_of

IN_USERS_CODE: Final[ContextVar[bool]] = ContextVar("tailrace_users_code", default=False)
"""Whether a task that is begun now is one of the user's."""


def guard_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Have tasks that are begun in the user's code fenced. Repeatable."""
    make = loop.get_task_factory()
    if getattr(make, "is_fenced", False):
        return

    def factory(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
        if IN_USERS_CODE.get() and asyncio.iscoroutine(coroutine):
            coroutine = _fenced(coroutine)
        if make is None:
            return asyncio.Task(coroutine, loop=loop, **options)
        return make(loop, coroutine, **options)

    factory.is_fenced = True  # type: ignore[attr-defined]
    loop.set_task_factory(factory)


async def _fenced(coroutine: Coroutine[Any, Any, Any]) -> Any:
    with END_FENCE:
        return await coroutine


RAISED: Final = (Exception, asyncio.CancelledError)
"""What `call` and `call_here` raise: failures, what the fence made of others, our own cancellation."""
CHAINED: Final = 100
"""Frames of a cause that are kept: an error that is raised again and again collects more of them."""
_HERE: Final = __file__.removesuffix("calling.py")
OURS: Final = (_HERE, f"{_HERE[:-6]}testing/")
"""Frames no user wants to see: of what calls a handler, and of the test world's notes around it."""
NOT_AWAITED: Final = (
    "the handler returned a coroutine and is not declared `async def`, so nothing ran: declare it `async def`"
)


async def call(function: Callable[..., Any], *arguments: Any, timeout_s: float | None = None) -> Any:
    """Await a coroutine function; another runs in a thread. Raises: what it raises, Escaped, TimedOut."""
    if is_async(function):
        return await call_async(function, *arguments, timeout_s=timeout_s)
    return await call_in_thread(function, *arguments)


def caller(function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """`call` of one function that is called again and again: how is decided once."""
    return partial(call_async if is_async(function) else call_in_thread, function)


async def call_async(function: Callable[..., Any], *arguments: Any, timeout_s: float | None = None) -> Any:
    """Await a coroutine function. Raises: what it raises, Escaped, TimedOut."""
    token = begin_users_code()
    try:
        return await answered(function, *arguments, timeout_s=timeout_s)
    finally:
        IN_USERS_CODE.reset(token)


def begin_users_code() -> Token[bool]:
    """What this task does from now on is the user's code, until IN_USERS_CODE is reset."""
    guard_tasks(asyncio.get_running_loop())
    return IN_USERS_CODE.set(True)


async def answered(function: Callable[..., Any], *arguments: Any, timeout_s: float | None = None) -> Any:
    """Await a coroutine function inside the user's code. Raises: what it raises, Escaped, TimedOut."""
    if timeout_s is not None:
        return await _answered_in_time(timeout_s, function, *arguments)
    try:
        answer = function(*arguments)
        return await answer if inspect.isawaitable(answer) else answer
    except BaseException as error:  # what would end a process or our task is a failure, too
        escape(error)
        raise


async def _answered_in_time(timeout_s: float, function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        async with asyncio.timeout(timeout_s) as limit:
            return await answered(function, *arguments)
    except TimeoutError as error:
        if limit.expired():
            raise TimedOut(f"no answer within {timeout_s} s") from error
        raise


async def call_in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a plain function in a thread of its mapping, in this task's context. Raises: as `call_here`."""
    return await in_thread(copy_context().run, call_here, function, *arguments)


def call_here(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a plain function. Raises: what it raises, Escaped; TypeError when it was a coroutine one."""
    try:
        answer = function(*arguments)
    except BaseException as error:  # as above
        escape(error)
        raise
    if inspect.iscoroutine(answer):
        answer.close()
        raise TypeError(NOT_AWAITED)
    return answer


class TimedOut(Exception):
    """A handler did not answer within its time-out."""


class FailedElsewhere(Exception):
    """A handler failed in another process. Shape: `trace` is its own lines, as Python prints them; the words
    are those of its error.
    """

    def __init__(self, words: str, trace: tuple[str, ...] = ()) -> None:
        super().__init__(words)
        self.trace = trace

    @property
    def printed(self) -> str:
        """What Python would have printed there."""
        heading = ("Traceback (most recent call last):",) if self.trace else ()
        return "".join(f"{line}\n" for line in (*heading, *self.trace, str(self)))


def is_ours(error: BaseException) -> bool:
    """Whether a CancelledError is meant for our own task rather than raised by the handler."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


def failure_of(error: BaseException) -> Failure:
    """What an exception says: whose fault it is, its words, and its traceback without our own frames.

    >>> from tailrace.errors import Throttled
    >>> failure_of(Throttled("too many mails", retry_after=1.5))
    Failure(kind=<FailureKind.THROTTLED: 'THROTTLED'>, error='Throttled: too many mails',
    traceback='tailrace.errors.Throttled: too many mails\\n', retry_after_ms=1500, final=False)
    """
    if isinstance(error, Escaped):
        error = error.error
    frames = error.__traceback__
    while (
        frames is not None
        and frames.tb_next is not None
        and frames.tb_frame.f_code.co_filename.startswith(OURS)
    ):
        frames = frames.tb_next
    if isinstance(error, TimedOut):
        frames = None  # where we waited; where an `async def` handler did is in its cause
    cut_causes(error)
    text = trace_of(error, frames)
    error.__traceback__ = None  # the next time that this very object is raised its trace begins anew
    match error:
        case SinkOutage() | Refused():
            return replace(said_by_port(error), error=_words(error), traceback=text)
        case TimedOut():
            return Failure(FailureKind.TIMEOUT, str(error), text)
        case FailedElsewhere():
            return Failure(FailureKind.RECORD, str(error), error.printed)
    return Failure(FailureKind.RECORD, _words(error), text)


def cut_causes(error: BaseException) -> None:
    """Leave no more than the nearest frames of whatever led to an exception."""
    seen = {id(error)}
    waiting = [error.__cause__, error.__context__]
    while waiting:
        cause = waiting.pop()
        if cause is None or id(cause) in seen:
            continue
        seen.add(id(cause))
        waiting += [cause.__cause__, cause.__context__]
        frames = cause.__traceback__
        for _ in range(CHAINED):
            frames = frames and frames.tb_next
        if frames is not None:
            frames.tb_next = None


def _words(error: BaseException) -> str:
    name = type(error).__name__
    try:
        words = str(error)
    except Exception:  # an exception whose own text fails is still a failure of the handler, not of ours
        return f"{name}: (its text cannot be printed)"
    return f"{name}: {words}" if words else name
