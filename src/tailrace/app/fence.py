"""A fence around the user's code: whatever it raises is a failure of what it was called for, and never the
end of the process or of our task.

Theory of operation: Python ends a loop, a thread or a task by raising what is no `Exception`, and the user's
code may raise the same. Inside the fence that becomes `Escaped`, an exception like any other. What really
came from outside goes through: the cancellation of our own task, an interrupt that the interpreter delivered,
the closing of a coroutine: no `raise` of the user's code raised them, which is how they are known.
Rules of this file: no decision about records; what `Escaped` says is its inner exception. Used wherever the
user's code is called.
"""

import signal
import threading
from opcode import opmap
from types import CodeType, TracebackType
from typing import Any, Final

RAISE: Final = opmap["RAISE_VARARGS"]
ENDING: Final = (SystemExit, KeyboardInterrupt, GeneratorExit)
"""What ends a process or a coroutine wherever it is raised."""


class Death(BaseException):
    """What no fence holds: the death of a test world's worker."""


class Escaped(Exception):
    """The user's code raised StopIteration or what is no Exception. Shape: `error` is that; its words and its
    trace are the failure's.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__(f"{type(error).__name__}: {error}")
        self.error = error


def told(error: BaseException) -> str:
    """An exception in words, what escaped in its own.

    >>> told(Escaped(SystemExit(3)))
    'SystemExit: 3'
    """
    if isinstance(error, Escaped):
        error = error.error
    return f"{type(error).__name__}: {error}"


class Fence:
    """`with FENCE:` around a call, for exceptions of the kinds `only`. It has no state. Raises: Escaped."""

    __slots__ = ("_only",)

    def __init__(self, only: tuple[type[BaseException], ...] = (BaseException,)) -> None:
        self._only = only

    def __enter__(self) -> None:
        """Nothing is done on the way in."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        if error is not None and isinstance(error, self._only):
            escape(error)


def escape(error: BaseException) -> None:
    """What a fence does with an exception, for calls too frequent for a `with`. Raises: Escaped."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return
    if is_users(error):
        raise Escaped(error) from error


FENCE: Final = Fence()
END_FENCE: Final = Fence(ENDING)
"""Around a task of the user's, which its owner may cancel."""


def is_users(error: BaseException) -> bool:
    """Whether the user's code raised it, rather than the interpreter, the loop or a test's crash."""
    import asyncio  # here: a program that only declares an app needs none

    match error:
        case Death():
            return False
        case asyncio.CancelledError():
            return not _is_cancelling()
        case KeyboardInterrupt() if threading.current_thread() is not threading.main_thread():
            return True
        case KeyboardInterrupt() | GeneratorExit():
            return _is_raised_by_code(error)
        case _:
            return True


def _is_cancelling() -> bool:
    import asyncio

    try:
        task = asyncio.current_task()
    except RuntimeError:  # a thread without a loop: nothing cancels it
        return False
    return task is not None and task.cancelling() > 0


def _is_raised_by_code(error: BaseException) -> bool:
    """Whether the innermost frame stands at a `raise`, and is no handler of signals."""
    frames = error.__traceback__
    while frames is not None and frames.tb_next is not None:
        frames = frames.tb_next
    if frames is None:
        return False
    code = frames.tb_frame.f_code
    return code.co_code[frames.tb_lasti] == RAISE and code is not _interrupts()


def _interrupts() -> CodeType | None:
    """The code that a signal of the operator's runs, where it is Python's."""
    handler: Any = signal.getsignal(signal.SIGINT)
    for name in ("func", "__func__"):  # a partial of a method, as asyncio's own
        handler = getattr(handler, name, handler)
    code: CodeType | None = getattr(handler, "__code__", None)
    return code
