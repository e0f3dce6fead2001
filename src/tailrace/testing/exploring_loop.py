"""An event loop that runs callbacks as they become ready, except for the steps that a schedule holds back.

Theory of operation: a task has a name that does not depend on the order of others: made of its parent's name,
its function's, and how many such children the parent had before. So a hold means the same step in every
schedule, and in every process.
Rules of this file: no chance in here. Called by exploring.py through the world.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary
from zlib import crc32

from tailrace.clocks.manual import ManualClock
from tailrace.testing.loop import SeededLoop
from tailrace.testing.schedules import WRITE, Schedule, Until

NOT_THEIRS: Final = (
    str(asyncio.__file__).removesuffix("__init__.py"),
    __file__.removesuffix("testing/exploring_loop.py"),
)
"""Where code lies that is not the user's: asyncio, and this package."""
AFTER_S: Final = 0.001
"""How long after a timer a step goes on that was held until later."""


@dataclass(slots=True)
class Track:
    """One task of the loop.

    Shape:   `label` is the handler and its argument, once it is called; one that `is_ours` is never held.
    """

    name: str
    is_ours: bool
    label: tuple[str, Any] | None = None
    steps: int = 0
    children: dict[str, int] = field(default_factory=dict)


class RanStep(NamedTuple):
    """One step that ran: whose, which, where it went on, and until when it was held before."""

    track: Track
    number: int
    label: tuple[str, Any] | None
    place: tuple[str, int] | None
    until: Until | None = None


WRITES: Final = Track(WRITE, is_ours=True)


class ExploringLoop(SeededLoop):
    """A loop that a schedule arranges. Shape: `ran` are the steps; `order` tells orders of them apart."""

    def __init__(self, schedule: Schedule, clock: ManualClock, *, tells: bool = False) -> None:
        self._tracks: WeakKeyDictionary[asyncio.Task[Any], Track] = WeakKeyDictionary()
        self._root = Track("", is_ours=True)
        super().__init__(0, clock)
        self.ran: list[RanStep] = []
        self.order = 0
        self._tells = tells
        self._holds: Mapping[tuple[str, int], Until] = {
            (hold.task, hold.step): hold.until for hold in schedule.holds
        }
        self._held: list[tuple[asyncio.Handle, Until, int | None]] = []
        self._released: dict[int, Until] = {}
        self._writes = 0
        self._now_turn = 0
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    # ---- names ---------------------------------------------------------------------------------------------

    def _make_task(self, loop: Any, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        task = super()._make_task(loop, coroutine, **options)
        present = asyncio.current_task(self)
        parent = self._root if present is None else self._tracks.get(present, self._root)
        function = getattr(coroutine, "__qualname__", type(coroutine).__name__)
        nth = parent.children[function] = parent.children.get(function, 0) + 1
        name = blake2b(f"{parent.name}/{function}/{nth}".encode(), digest_size=4).hexdigest()
        self._tracks[task] = Track(name, function.startswith("World."), parent.label)
        return task

    def label(self, handler: str, argument: Any) -> None:
        """The present task calls a handler now."""
        task = asyncio.current_task(self)
        track = None if task is None else self._tracks.get(task)
        if track is not None:
            is_first, track.label = track.label is None, (handler, argument)
            self._count(track)
            if self._tells and is_first:
                self.ran.append(RanStep(track, 0, track.label, None))

    def _count(self, track: Track) -> None:
        self.order = crc32(track.name.encode(), self.order)

    # ---- turns ---------------------------------------------------------------------------------------------

    def turn(self, *, is_still: bool) -> None:
        """Before a turn: let go on what was held long enough, or long enough for nothing else to be left."""
        self._now_turn += 1
        for due, waiter in self._waiting:
            if (due <= self._now_turn or is_still) and not waiter.done():
                waiter.set_result(None)
                is_still = False
        if self._held and self._release(is_still=is_still):
            is_still = False
        super().turn(is_still=is_still)

    def _release(self, *, is_still: bool) -> bool:
        due = [held for held in self._held if held[2] is not None and held[2] <= self._now_turn]
        if not due and is_still:
            due = self._held[:1]
        for held in due:
            self._held.remove(held)
            self._go_on(held[0], held[1])
        return bool(due)

    def _go_on(self, handle: asyncio.Handle, until: Until) -> None:
        self._released[id(handle)] = until
        self._ready.append(handle)

    def _arrange(self) -> None:
        ready = [handle for handle in self._ready if not self._is_held(handle)]
        if len(ready) < len(self._ready):
            self._ready.clear()
            self._ready.extend(ready)

    def _is_held(self, handle: asyncio.Handle) -> bool:
        task = getattr(handle._callback, "__self__", None)  # type: ignore[attr-defined]
        if not isinstance(task, asyncio.Task) or (track := self._tracks.get(task)) is None or track.is_ours:
            return False
        until = self._released.pop(id(handle), None)
        if until is None:
            track.steps += 1
            wanted = self._holds.get((track.name, track.steps))
            if wanted is not None:
                self._hold(handle, wanted)
                return True
        if track.label is not None:
            self._count(track)
        place = place_of(task) if self._tells and track.label is not None else None
        self.ran.append(RanStep(track, track.steps, track.label, place, until))
        return False

    def _hold(self, handle: asyncio.Handle, until: Until) -> None:
        timers = [timer.when() for timer in self._scheduled if not timer.cancelled()]
        if until == "later" and timers:
            self.call_at(min(timers) + AFTER_S, self._go_on, handle, until)
        else:
            self._held.append((handle, until, self._now_turn + until if isinstance(until, int) else None))

    # ---- writes --------------------------------------------------------------------------------------------

    def after_write(self) -> Until | None:
        """How far the delivery goes on after the write that was made; None: not at all."""
        self._writes += 1
        until = self._holds.get((WRITE, self._writes))
        self.ran.append(RanStep(WRITES, self._writes, None, None, until))
        return until

    async def some_turns(self, count: int) -> None:
        """Return after so many turns, or when nothing else can go on."""
        waiter: asyncio.Future[None] = self.create_future()
        self._waiting.append((self._now_turn + count, waiter))
        await waiter
        self._waiting.clear()


def place_of(task: asyncio.Task[Any]) -> tuple[str, int] | None:
    """The outermost line of the user's code that a task is at: as a rule one of the handler's own."""
    awaited: Any = task.get_coro()
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None)
        if frame is not None and not frame.f_code.co_filename.startswith(NOT_THEIRS):
            return frame.f_code.co_filename, frame.f_lineno
        awaited = getattr(awaited, "cr_await", None)
    return None
