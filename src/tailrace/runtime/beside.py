"""A loop in a thread of its own, for callers that block theirs: what they wait for is awaited there.

Theory of operation: one for the whole process, from the first call to its end, so that connections and what
was read once serve the next call too. Rules of this file: nothing of a record's; a caller that runs in this
loop itself would wait for itself, and awaits instead. Used by aws/client.py and by Python's surface of the
past.
"""

import asyncio
import atexit
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from itertools import chain
from typing import Any, Final, TypeVar

T = TypeVar("T")
WAITING: Final[ContextVar[int]] = ContextVar("tailrace_waiting", default=0)
"""The thread that waits for what is awaited here."""
END_S: Final = 10.0
"""How long its end may take."""
AT_ONCE: Final = 500
"""Items that are fetched from an iterator in one turn."""


class Beside:
    """The loop. Shape: `name` is that of its thread; the names of its executor's threads begin with it."""

    def __init__(self, name: str = "tailrace beside") -> None:
        self._name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def loop(self) -> asyncio.AbstractEventLoop:
        """It runs."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.SelectorEventLoop()
                self._loop.set_default_executor(ThreadPoolExecutor(thread_name_prefix=self._name))
                self._thread = threading.Thread(target=self._loop.run_forever, name=self._name, daemon=True)
                self._thread.start()
                atexit.register(self.end)
            return self._loop

    def end(self) -> None:
        """Let everything that was opened in it be closed."""
        with self._lock:
            loop, thread, self._loop = self._loop, self._thread, None
        if loop is None or thread is None:
            return
        atexit.unregister(self.end)
        asyncio.run_coroutine_threadsafe(loop.shutdown_asyncgens(), loop).result(END_S)
        asyncio.run_coroutine_threadsafe(loop.shutdown_default_executor(), loop).result(END_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(END_S)
        loop.close()


_BESIDE: Final = Beside()


def waited_for(coroutine: Coroutine[Any, Any, T]) -> T:
    """What a coroutine comes to that is awaited beside this thread, which waits. Raises: what it raises."""
    told = WAITING.set(threading.get_ident())
    try:
        future = asyncio.run_coroutine_threadsafe(coroutine, _BESIDE.loop())
    finally:
        WAITING.reset(told)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise


def iterated(items: AsyncIterator[T]) -> Iterator[T]:
    """The same items, fetched some at a time. Raises: what the iterator raises."""

    async def some() -> list[T]:
        taken: list[T] = []
        async for item in items:
            taken.append(item)
            if len(taken) >= AT_ONCE:
                break
        return taken

    return chain.from_iterable(iter(lambda: waited_for(some()), []))
