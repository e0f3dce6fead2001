"""An event loop that a seed reproduces: callbacks in a shuffled order, virtual time, no threads, and no
sockets but those that descriptors.py may watch.

Theory of operation: it is asyncio's own loop with another selector. Before each turn the ready callbacks are
shuffled by the seed. When nothing is ready and nothing outside is waited for, a task that awaits `idle()`
goes on; when none does, time jumps to the next timer of the loop or sleeper of the clock.
Rules of this file: no real time; functions for threads run inline; what would reach the world is refused.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from itertools import count
from math import ceil
from random import Random
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any, Final, Never, NoReturn

from tailrace.clocks.manual import ManualClock
from tailrace.errors import InternalError
from tailrace.testing.descriptors import Descriptors
from tailrace.testing.sealing import NetworkRefused

REFUSED: Final = (
    "create_connection",
    "create_server",
    "create_datagram_endpoint",
    "create_unix_connection",
    "create_unix_server",
    "connect_accepted_socket",
    "connect_read_pipe",
    "connect_write_pipe",
    "subprocess_exec",
    "subprocess_shell",
    "getaddrinfo",
    "getnameinfo",
    "sock_accept",
    "sock_connect",
    "sock_recv",
    "sock_recv_into",
    "sock_recvfrom",
    "sock_recvfrom_into",
    "sock_sendall",
    "sock_sendfile",
    "sock_sendto",
    "sendfile",
    "start_tls",
)
"""Coroutines of the loop that reach the world."""
MOST_TURNS: Final = 1_000_000
"""After so many turns without a moment of stillness something runs in circles, such as retries."""

ROUNDING: Final = 1e-6
"""Asyncio adds times as floats: what differs by less is the same time. Units: seconds."""


class _Stillness:
    """Stands where asyncio waits for sockets: nothing ever comes from there, but time may pass."""

    def __init__(self, loop: "SeededLoop") -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Never]:
        """Called once a turn: with 0 when callbacks are ready, else with the seconds to the next timer."""
        self._loop.turn(is_still=timeout is None or timeout > ROUNDING)
        return []

    def close(self) -> None:
        """Called when the loop is closed."""
        self._loop.descriptors.close()


class _Task(asyncio.Task[Any]):
    """A task that sorts by its birth in a set: asyncio keeps sets of tasks, else sorted by address."""

    number: int

    def __hash__(self) -> int:
        return self.number


class _Future(asyncio.Future[Any]):
    """A future that has its birth as its hash, as a task has."""

    number: int

    def __hash__(self) -> int:
        return self.number


class SeededLoop(asyncio.BaseEventLoop):
    """A loop whose order is chosen by a seed and whose time is a clock's.

    Guarantee: the same seed and the same program give the same order, in every process. A coroutine that
               waits for what can never happen raises InternalError instead of hanging.
    """

    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]

    def __init__(
        self, seed: int = 0, clock: ManualClock | None = None, *, most_turns: int = MOST_TURNS
    ) -> None:
        super().__init__()
        self.clock = clock or ManualClock()
        self.errors: list[BaseException] = []
        """What tasks raised that were not awaited."""
        self.is_inline = False
        """Whether what runs now would run in a thread of another loop."""
        self.descriptors = Descriptors()
        """What is waited for outside."""
        self._random = Random(seed)
        self._most_turns = most_turns
        self._turns = 0
        self._idle: list[asyncio.Future[None]] = []
        self._selector = _Stillness(self)
        self._clock_resolution = ROUNDING  # asyncio calls every timer that is due within it
        self._born = count()
        self.set_exception_handler(self._note)
        self.set_task_factory(self._make_task)

    # ---- time ----------------------------------------------------------------------------------------------

    def time(self) -> float:
        """The clock's monotonic time, in seconds as asyncio wants it."""
        return self.clock.now().monotonic_ms / 1_000

    @property
    def next_event_ms(self) -> int | None:
        """The monotonic time of the next timer or sleeper; None: nothing is waited for."""
        timers = [ceil(timer.when() * 1_000 - 1e-6) for timer in self._scheduled if not timer.cancelled()]
        sleeper_ms = self.clock.next_wake_ms
        if sleeper_ms is not None:
            timers.append(sleeper_ms)
        return min(timers, default=None)

    # ---- tasks ---------------------------------------------------------------------------------------------

    def _make_task(self, loop: Any, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        task = _Task.__new__(_Task)
        task.number = next(self._born)
        task.__init__(coroutine, loop=self, **options)  # type: ignore[misc]
        return task

    def create_future(self) -> asyncio.Future[Any]:
        """A future whose place in a set is that of its birth."""
        future = _Future.__new__(_Future)
        future.number = next(self._born)
        future.__init__(loop=self)  # type: ignore[misc]
        return future

    def tasks(self) -> list[asyncio.Task[Any]]:
        """Every task that is not done, the oldest first: the order of asyncio's own set varies."""
        return sorted(asyncio.all_tasks(self), key=lambda task: getattr(task, "number", -1))

    async def idle(self) -> None:
        """Return when nothing else can go on before time passes."""
        waiter: asyncio.Future[None] = self.create_future()
        self._idle.append(waiter)
        await waiter

    def turn(self, *, is_still: bool) -> None:
        """Before a turn: shuffle what is ready, or decide what happens when nothing is."""
        self._turns = 0 if is_still else self._turns + 1
        if self._turns > self._most_turns:
            self._turns = 0
            raise InternalError(
                f"{self._most_turns} turns and time has not passed: something runs in circles"
            )
        if not is_still:
            self._arrange()
        elif answered := self.descriptors.wait():
            self._ready.extend(answered)
        elif self._idle:
            waiting, self._idle = self._idle, []
            for waiter in waiting:
                if not waiter.done():
                    waiter.set_result(None)
        else:
            self._jump()

    def _arrange(self) -> None:
        """Put what is ready into another order."""
        ready = list(self._ready)
        self._random.shuffle(ready)
        self._ready.clear()
        self._ready.extend(ready)

    def _jump(self) -> None:
        next_ms = self.next_event_ms
        if next_ms is None:
            tasks = ", ".join(sorted(task.get_name() for task in asyncio.all_tasks(self)))
            raise InternalError(f"nothing can happen any more, and these still wait: {tasks}")
        self.clock.advance(max(0, next_ms - self.clock.now().monotonic_ms))

    # ---- what would leave the process ----------------------------------------------------------------------

    def run_in_executor(self, executor: object, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """Run the function at once, here: threads would bring an order that no seed reproduces."""
        future: asyncio.Future[Any] = self.create_future()
        was_inline, self.is_inline = self.is_inline, True
        try:
            future.set_result(func(*args))
        except Exception as error:  # it belongs to the task that awaits the result
            future.set_exception(error)
        finally:
            self.is_inline = was_inline
        return future

    def call_soon_threadsafe(self, callback: Callable[..., object], *args: Any, context: Any = None) -> Any:  # type: ignore[override]
        """There are no other threads."""
        return self.call_soon(callback, *args, context=context)

    def add_reader(self, fd: Any, callback: Callable[..., object], *args: Any) -> None:  # type: ignore[override]
        """As asyncio has it. Raises: NetworkRefused unless sinks may call."""
        self.descriptors.watch(fd, EVENT_READ, asyncio.Handle(callback, args, self))

    def add_writer(self, fd: Any, callback: Callable[..., object], *args: Any) -> None:  # type: ignore[override]
        """As asyncio has it. Raises: NetworkRefused unless sinks may call."""
        self.descriptors.watch(fd, EVENT_WRITE, asyncio.Handle(callback, args, self))

    def remove_reader(self, fd: Any) -> bool:
        """As asyncio has it."""
        return self.descriptors.forget(fd, EVENT_READ)

    def remove_writer(self, fd: Any) -> bool:
        """As asyncio has it."""
        return self.descriptors.forget(fd, EVENT_WRITE)

    def _process_events(self, event_list: object) -> None:
        """Called by asyncio with what the selector found: nothing."""

    def _write_to_self(self) -> None:
        """Called by asyncio to wake a selector that sleeps: ours does not."""

    def _note(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.errors.append(context.get("exception") or InternalError(str(context["message"])))


def _refuse(name: str) -> Callable[..., NoReturn]:
    def refuse(self: SeededLoop, *arguments: object, **options: object) -> NoReturn:
        place = _place_of((*arguments, *options.values()))
        raise NetworkRefused(
            f"{name}: the test world has no sockets, pipes or processes"
            + (f"; {place} was not reached" if place else ""),
            hint='world.override(provider, …) puts something in its place; world.client("dynamodb") '
            "speaks to the engine without any",
        )

    refuse.__name__ = name
    return refuse


def _place_of(arguments: tuple[object, ...]) -> str:
    """The host, or the address, among what a coroutine of the loop was given."""
    for place, argument in enumerate(arguments):
        if isinstance(argument, tuple) and len(argument) >= 2 and isinstance(argument[0], str):
            return f"{argument[0]}:{argument[1]}"
        if isinstance(argument, str):
            port = arguments[place + 1] if place + 1 < len(arguments) else None
            return f"{argument}:{port}" if isinstance(port, int) and port else argument
    return ""


for _name in REFUSED:
    setattr(SeededLoop, _name, _refuse(_name))
