"""Threads for what blocks: a bounded pool for each mapping, so that a handler that hangs costs its own
mapping and no other.

Theory of operation: the task that runs a mapping's work says so (`with threads.used()`), and everything
beneath it that blocks runs in the pool of that mapping: its handler, its providers, its sinks, its
projection. What belongs to no mapping has a pool of its own. The threads are made when they are needed and
are daemons: one that hangs is left behind, and the process ends all the same.
Rules of this file: no decision about records; nothing waits here. In a test world nothing of it is used but
the names, for its loop runs everything in place.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from contextvars import ContextVar, Token
from functools import partial
from typing import Any, Final, ParamSpec, TypeVar
from weakref import WeakSet

P = ParamSpec("P")
T = TypeVar("T")
MOST: Final = 32
"""Threads of one mapping, or as many as it may have batches in flight in a shard where that is more."""


def threads_for(concurrency: int) -> int:
    """How many threads a mapping has in one process.

    >>> threads_for(1), threads_for(100)
    (32, 100)
    """
    return max(MOST, concurrency)


POOLS: Final["WeakSet[Threads]"] = WeakSet()


class Threads(Executor):
    """A bounded pool. Shape: `busy` of at most `most` threads work; `waiting` calls wait for one."""

    def __init__(self, name: str, most: int = MOST) -> None:
        self.name = name
        self.most = most
        self.busy = 0
        self._calls: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._changed = threading.Condition(threading.Lock())
        self._threads = 0
        self._is_closed = False
        POOLS.add(self)

    @property
    def waiting(self) -> int:
        """Calls that wait for a thread."""
        return len(self._calls)

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Have it called in a thread. Raises: RuntimeError when the pool is closed."""
        future: Future[T] = Future()
        with self._changed:
            if self._is_closed:
                raise RuntimeError(f"the threads {self.name} have ended")
            self._calls.append((future, partial(function, *args, **kwargs)))
            if self._threads < self.most and self._threads < self.busy + len(self._calls):
                self._threads += 1
                threading.Thread(
                    target=self._work, name=f"tailrace {self.name} {self._threads}", daemon=True
                ).start()
            self._changed.notify()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the threads that idle, and each of the others when it is done: nothing waits for them.
        Repeatable.
        """
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    @contextmanager
    def used(self) -> Iterator[None]:
        """What blocks in this block runs in these threads, also in tasks that are begun in it."""
        token: Token[Threads | None] = CURRENT.set(self)
        try:
            yield
        finally:
            CURRENT.reset(token)

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._calls:
                    if self._is_closed:
                        self._threads -= 1
                        return
                    self._changed.wait()
                future, call = self._calls.popleft()
                self.busy += 1
            try:
                _carry_out(future, call)
            finally:
                del future, call  # an idle thread keeps nothing alive
                with self._changed:
                    self.busy -= 1


def _carry_out(future: "Future[Any]", call: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except StopIteration as error:  # asyncio refuses it, and the awaiting task would wait for ever
        failure = RuntimeError("StopIteration was raised")
        failure.__cause__ = error
        future.set_exception(failure)
    except BaseException as error:  # it belongs to the task that awaits the result
        future.set_exception(error)
    else:
        future.set_result(result)


def at_work() -> list[str]:
    """The names of the pools with busy threads. A process that ends with one inside a library in C++
    (DuckDB) aborts.
    """
    return sorted(pool.name for pool in tuple(POOLS) if pool.busy)


CURRENT: Final[ContextVar[Threads | None]] = ContextVar("tailrace_threads", default=None)
SHARED: Final = Threads("shared")
"""For what belongs to no mapping."""


async def in_thread(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function that blocks, in the threads of the mapping that this is done for. Raises: what it
    raises.
    """
    threads = CURRENT.get() or SHARED
    return await asyncio.get_running_loop().run_in_executor(threads, function, *arguments)
