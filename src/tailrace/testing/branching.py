"""A test world that goes many ways from where it is: `world.explore`.

Theory of operation: to leave, the world puts a new loop, a new clock and a copy of the durable store in place
of its own; to come back, it takes up its attributes of before. So ways know nothing of each other.
Rules of this file: which ways there are is exploring.py's. The part of `World` that `explore` is.
"""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

from tailrace.app.app import App
from tailrace.archives import MemoryArchive
from tailrace.clocks.manual import ManualClock
from tailrace.errors import SettingsError
from tailrace.testing.exploring import Exploration, ExploredAction, Explorer, Tried, check_asked
from tailrace.testing.exploring_loop import ExploringLoop
from tailrace.testing.faults import Faults
from tailrace.testing.perils import Perils
from tailrace.testing.schedules import Schedule


class Branching(Perils):
    """A world that can leave for another way, and come back."""

    _clients: dict[tuple[str, str, str], Any]
    _archives: dict[str, MemoryArchive]

    def use(self, app: App) -> None:
        """Create the app's tables and run its handlers. Raises: SettingsError."""
        raise NotImplementedError

    def settle(self, within: str = "24h") -> None:
        """Run until every change is settled. Raises: Unsettled."""
        raise NotImplementedError

    def close(self) -> None:
        """End everything. Repeatable."""
        raise NotImplementedError

    def _begin(self) -> None:
        raise NotImplementedError

    def explore(
        self,
        action: Callable[[], object],
        *,
        check: Callable[[], object] | None = None,
        same: Callable[[], object] | None = None,
        schedules: int = 2_000,
        faults: Mapping[str, Any] | None = None,
        seed: int | None = None,
        replay: str | None = None,
    ) -> Exploration:
        """Play an action and its delivery in many orders, each from here; the plain one is kept.

        An order is wrong when the action or `check` raises, when a handler raises, when a change is lost or
        never settled, or when what `same` returns differs from the plain order. What lies outside of the
        world is set back by the action itself.

        Shape:   `faults` as `world.faults` takes them, with another seed in every schedule; `replay` plays
                 that schedule alone.
        Raises:  BrokenOrder, with the smallest schedule that fails, in at most ten lines; SettingsError.
        """
        __tracebackhide__ = True  # pytest: what it found is what matters, not where
        asked = ExploredAction(action, check, same, dict(faults or {}))
        check_asked(schedules, asked.faults)
        if self._faults.are_injected:
            raise SettingsError(
                "explore: leave the block of world.faults and give explore its own, faults={…}"
            )
        explorer = Explorer(self._play, asked, self.seed if seed is None else seed, schedules)
        explored = explorer.run() if replay is None else explorer.replay(replay)
        self._journal.note(str(explored))
        return explored

    def _play(
        self, schedule: Schedule, asked: ExploredAction, *, tells: bool = False, stays: bool = False
    ) -> Tried:
        """Go one way from here, and come back unless told to stay: what `explore` does for each schedule."""
        before = dict(self.__dict__)
        loop = self._leave(schedule, tells=tells)
        error: Exception | None = None
        answer: object = None
        try:
            with self.faults(**asked.faults, seed=schedule.fault_seed) if asked.faults else nullcontext():
                asked.action()
                self.settle()
            self._complain()
            if asked.check is not None:
                asked.check()
            answer = None if asked.same is None else asked.same()
        except Exception as raised:  # whatever a test or a handler raises: it is what is looked for
            error = raised
        struck = self.struck
        after = dict(self.__dict__)
        if stays:
            self.__dict__.update(before)
        self.close()
        self.__dict__.update(after if stays else before)
        return Tried(error, loop.ran, loop.order, struck, answer)

    def _leave(self, schedule: Schedule, *, tells: bool) -> ExploringLoop:
        """Everything anew on a copy of what is durable, as after a restart."""
        apps = [running.app for running in self._running]
        self._store = self._store.successor()
        self._archives = {place: archive.copy() for place, archive in self._archives.items()}
        self.clock = ManualClock(self.clock.now().wall_ms)
        self.loop = loop = ExploringLoop(schedule, self.clock, tells=tells)
        self._running, self._killed, self._clients = [], [], {}
        self._faults = Faults(only=None if schedule.faults is None else frozenset(schedule.faults))
        self._begin()
        self._journal.on_call = loop.label
        self._open()
        for app in apps:
            self.use(app)
        return loop

    def _complain(self) -> None:
        """Raises: what a handler raised, or AssertionError for what was lost."""
        for notes in self._observer.everything():
            for words, error in notes.raised:
                error.add_note(f"raised by {words}")
                raise error
        lost = self.gaps()
        assert not lost, f"changes were lost: {lost}"
